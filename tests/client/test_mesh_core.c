/* The rules of a mesh that wants a connection to each peer, one by one, from the view of one node.
 */
#include "mesh_fixture.h"

#include <stdio.h>
#include <string.h>

static void test_mesh_core_lower_id_connects_at_once_the_higher_one_later(void **state)
{
    static struct mesh_fixture fixture;

    (void)state;
    mesh_fixture_begin(&fixture, 0);
    mesh_core_up(fixture.core, "m", 0); /* itself */
    mesh_fixture_expect_idle(&fixture);
    mesh_core_up(fixture.core, "z", 0);
    mesh_core_up(fixture.core, "a", 0);
    mesh_fixture_expect_at(&fixture, 0, "+z ");
    mesh_fixture_expect_at(&fixture, MESH_FIRST_MS * 4 / 3, "+a ");
    mesh_fixture_expect_idle(&fixture);
    mesh_fixture_end(&fixture);
}

static void test_mesh_core_called_by_the_lower_id_does_not_connect(void **state)
{
    static struct mesh_fixture fixture;

    (void)state;
    mesh_fixture_begin(&fixture, 0);
    mesh_core_up(fixture.core, "a", 0);
    assert_true(mesh_core_accepts(fixture.core, "a", 1000));
    mesh_fixture_expect_at(&fixture, 20000, "");
    assert_true(mesh_core_called(fixture.core, "a", 20000));
    mesh_fixture_expect_idle(&fixture);
    mesh_fixture_end(&fixture);
}

static void test_mesh_core_let_in_peer_that_does_not_come_is_connected_to(void **state)
{
    static struct mesh_fixture fixture;

    (void)state;
    mesh_fixture_begin(&fixture, 0);
    mesh_core_up(fixture.core, "a", 0);
    assert_true(mesh_core_accepts(fixture.core, "a", 1000));
    mesh_core_tick(fixture.core, 1000 + MESH_EXPECT_MS);
    mesh_fixture_expect_at(&fixture, 1000 + MESH_EXPECT_MS + 2 * MESH_AGAIN_MS, "+a ");
    mesh_core_up(fixture.core, "b", 50000);
    assert_true(mesh_core_accepts(fixture.core, "b", 50000));
    mesh_core_missed(fixture.core, "b", 51000); /* the same, but told */
    mesh_fixture_expect_at(&fixture, 51000 + 2 * MESH_AGAIN_MS, "+b ");
    mesh_fixture_end(&fixture);
}

static void test_mesh_core_failures_wait_twice_as_long_each_time(void **state)
{
    static struct mesh_fixture fixture;
    int64_t now_ms = 0;

    (void)state;
    mesh_fixture_begin(&fixture, 0);
    mesh_core_up(fixture.core, "z", 0);
    mesh_fixture_expect_at(&fixture, 0, "+z ");
    for (int64_t window_ms = MESH_BACKOFF_FIRST_MS; window_ms < 200000; window_ms *= 2) {
        mesh_core_failed(fixture.core, "z", now_ms);
        now_ms += window_ms < MESH_BACKOFF_MOST_MS ? window_ms : MESH_BACKOFF_MOST_MS;
        mesh_fixture_expect_at(&fixture, now_ms, "+z ");
    }
    mesh_core_failed(fixture.core, "z", now_ms);
    mesh_core_changed(fixture.core, "z", now_ms); /* it has moved */
    mesh_fixture_expect_at(&fixture, now_ms, "+z ");
    mesh_core_failed(fixture.core, "z", now_ms);
    mesh_fixture_expect_at(&fixture, now_ms + MESH_BACKOFF_FIRST_MS, "+z ");
    mesh_fixture_end(&fixture);
}

static void test_mesh_core_lost_connection_comes_again(void **state)
{
    static struct mesh_fixture fixture;

    (void)state;
    mesh_fixture_begin(&fixture, 0);
    mesh_core_up(fixture.core, "z", 0);
    mesh_core_up(fixture.core, "a", 0);
    assert_true(mesh_core_called(fixture.core, "z", 0));
    assert_true(mesh_core_called(fixture.core, "a", 0));
    mesh_fixture_expect_idle(&fixture);
    mesh_core_lost(fixture.core, "z", 1000);
    mesh_core_lost(fixture.core, "a", 1000);
    mesh_core_lost(fixture.core, "a", 1000); /* once more makes no difference */
    mesh_fixture_expect_at(&fixture, 1000 + MESH_JITTER_MS, "+z ");
    mesh_fixture_expect_at(&fixture, 1000 + 2 * MESH_AGAIN_MS, "+a ");
    mesh_fixture_end(&fixture);
}

static void test_mesh_core_connection_that_is_lost_at_once_comes_ever_later(void **state)
{
    static struct mesh_fixture fixture;
    int64_t now_ms = 0, delay_ms = MESH_JITTER_MS;

    (void)state;
    mesh_fixture_begin(&fixture, 0);
    mesh_core_up(fixture.core, "z", 0);
    mesh_fixture_expect_at(&fixture, 0, "+z ");
    for (unsigned i = 0; i < 12; i++) {
        assert_true(mesh_core_connected(fixture.core, "z", now_ms));
        mesh_core_lost(fixture.core, "z", now_ms);
        mesh_fixture_expect_at(&fixture, now_ms + delay_ms, "+z ");
        now_ms += delay_ms;
        delay_ms = i == 0 ? 2 * MESH_BACKOFF_FIRST_MS : 2 * (delay_ms - MESH_JITTER_MS);
        delay_ms =
            (delay_ms < MESH_BACKOFF_MOST_MS ? delay_ms : MESH_BACKOFF_MOST_MS) + MESH_JITTER_MS;
    }
    assert_true(mesh_core_connected(fixture.core, "z", now_ms));
    mesh_core_lost(fixture.core, "z", now_ms + MESH_SHORT_MS);
    mesh_fixture_expect_at(&fixture, now_ms + MESH_SHORT_MS + MESH_JITTER_MS, "+z ");
    mesh_fixture_end(&fixture);
}

static void test_mesh_core_second_connection_replaces_the_first(void **state)
{
    static struct mesh_fixture fixture;

    (void)state;
    mesh_fixture_begin(&fixture, 0);
    mesh_core_up(fixture.core, "z", 0);
    assert_true(mesh_core_called(fixture.core, "z", 0));
    assert_true(mesh_core_accepts(fixture.core, "z", 1000)); /* it was started again */
    mesh_fixture_expect_done(&fixture, "");
    assert_true(mesh_core_called(fixture.core, "z", 1100));
    mesh_fixture_expect_done(&fixture, "-z (replaced by a new connection) ");
    mesh_fixture_expect_idle(&fixture);
    mesh_fixture_end(&fixture);
}

static void test_mesh_core_called_while_it_connects_has_one_connection(void **state)
{
    static struct mesh_fixture fixture;

    (void)state;
    mesh_fixture_begin(&fixture, 0);
    mesh_core_up(fixture.core, "z", 0);
    mesh_fixture_expect_at(&fixture, 0, "+z ");
    assert_true(mesh_core_accepts(fixture.core, "z", 10));
    assert_true(mesh_core_called(fixture.core, "z", 20));
    mesh_core_failed(fixture.core, "z", 30);
    mesh_fixture_expect_idle(&fixture);
    mesh_fixture_end(&fixture);
}

static void test_mesh_core_peer_down_ends_attempts_but_no_connection(void **state)
{
    static struct mesh_fixture fixture;

    (void)state;
    mesh_fixture_begin(&fixture, 0);
    mesh_core_up(fixture.core, "y", 0);
    mesh_core_up(fixture.core, "z", 0);
    mesh_fixture_expect_at(&fixture, 0, "+y +z ");
    assert_true(mesh_core_connected(fixture.core, "y", 10));
    mesh_core_down(fixture.core, "y", 20);
    mesh_core_down(fixture.core, "z", 20);
    mesh_fixture_expect_done(&fixture, "!z ");
    assert_false(mesh_core_connected(fixture.core, "z", 30)); /* too late */
    mesh_fixture_expect_idle(&fixture);
    mesh_core_up(fixture.core, "y", 40); /* still linked */
    mesh_fixture_expect_idle(&fixture);
    mesh_core_down(fixture.core, "y", 50);
    mesh_core_lost(fixture.core, "y", 60);
    mesh_fixture_expect_idle(&fixture);
    mesh_fixture_end(&fixture);
}

static void test_mesh_core_address_gone_connects_again_whoever_is_lower(void **state)
{
    static struct mesh_fixture fixture;

    (void)state;
    mesh_fixture_begin(&fixture, 0);
    mesh_core_up(fixture.core, "a", 0);
    assert_true(mesh_core_called(fixture.core, "a", 0));
    mesh_core_address_gone(fixture.core, "a", 1000);
    mesh_fixture_expect_done(&fixture, "-a (our address is gone) ");
    mesh_fixture_expect_at(&fixture, 1000 + MESH_JITTER_MS, "+a ");
    mesh_fixture_end(&fixture);
}

static void test_mesh_core_many_peers_wait_their_turn(void **state)
{
    static struct mesh_fixture fixture;
    char id[MESH_FIXTURE_ID_SIZE];

    (void)state;
    mesh_fixture_begin(&fixture, 0);
    for (unsigned i = 0; i < MESH_FIXTURE_MANY; i++) {
        (void)snprintf(id, sizeof id, "z%04u", i * 7919 % MESH_FIXTURE_MANY);
        mesh_core_up(fixture.core, id, 0);
        assert_int_equal(mesh_core_due_ms(fixture.core), 0);
    }
    mesh_core_tick(fixture.core, 0);
    for (unsigned i = 0; i < MESH_FIXTURE_MANY; i++) {
        assert_int_equal(fixture.connects,
            i + MESH_CONNECTS_MAX < MESH_FIXTURE_MANY ? i + MESH_CONNECTS_MAX : MESH_FIXTURE_MANY);
        if (i % 2 == 0)
            assert_true(mesh_core_connected(fixture.core, fixture.begun[i], 0));
        else
            mesh_core_down(fixture.core, fixture.begun[i], 0);
    }
    assert_int_equal(mesh_core_due_ms(fixture.core), INT64_MAX);
    mesh_fixture_end(&fixture);
}

static void test_mesh_core_peer_down_waits_for_no_turn(void **state)
{
    static struct mesh_fixture fixture;
    char id[MESH_FIXTURE_ID_SIZE];

    (void)state;
    mesh_fixture_begin(&fixture, 0);
    for (unsigned i = 0; i < MESH_CONNECTS_MAX + 4; i++) {
        (void)snprintf(id, sizeof id, "z%02u", i);
        mesh_core_up(fixture.core, id, i);
        mesh_core_tick(fixture.core, i);
    }
    fixture.done[0] = '\0';
    mesh_core_down(fixture.core, "z33", 100);
    mesh_core_down(fixture.core, "z32", 100);
    assert_true(mesh_core_called(fixture.core, "z35", 100));
    mesh_core_failed(fixture.core, "z00", 100);
    mesh_core_failed(fixture.core, "z01", 100);
    mesh_fixture_expect_done(&fixture, "+z34 ");
    mesh_fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mesh_core_lower_id_connects_at_once_the_higher_one_later),
        cmocka_unit_test(test_mesh_core_called_by_the_lower_id_does_not_connect),
        cmocka_unit_test(test_mesh_core_let_in_peer_that_does_not_come_is_connected_to),
        cmocka_unit_test(test_mesh_core_failures_wait_twice_as_long_each_time),
        cmocka_unit_test(test_mesh_core_lost_connection_comes_again),
        cmocka_unit_test(test_mesh_core_connection_that_is_lost_at_once_comes_ever_later),
        cmocka_unit_test(test_mesh_core_second_connection_replaces_the_first),
        cmocka_unit_test(test_mesh_core_called_while_it_connects_has_one_connection),
        cmocka_unit_test(test_mesh_core_peer_down_ends_attempts_but_no_connection),
        cmocka_unit_test(test_mesh_core_address_gone_connects_again_whoever_is_lower),
        cmocka_unit_test(test_mesh_core_many_peers_wait_their_turn),
        cmocka_unit_test(test_mesh_core_peer_down_waits_for_no_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
