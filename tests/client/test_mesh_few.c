/* The rules of a mesh that wants few neighbours, one by one, from the view of one node. */
#include "mesh/mesh_internal.h"
#include "mesh_fixture.h"

#include <stdio.h>
#include <string.h>

#define PEERS 20

static char all_ids[PEERS][MESH_FIXTURE_ID_SIZE];
static bool all_chosen[PEERS]; /* by "m", with 4 or 5 neighbours */

/* All have higher ids than "m", to be connected to at once. */
static void come_up(struct mesh_fixture *fixture)
{
    const char *ids[PEERS];

    for (unsigned i = 0; i < PEERS; i++) {
        (void)snprintf(all_ids[i], sizeof all_ids[i], "z%u", i);
        ids[i] = all_ids[i];
        assert_true(mesh_core_up(fixture->core, ids[i], 0));
    }
    mesh_choose("m", ids, PEERS, 4, all_chosen);
}

/* Which one is the nth that is chosen, or is not. */
static unsigned nth(bool chosen, unsigned n)
{
    unsigned i = 0;

    while (all_chosen[i] != chosen || n-- > 0)
        i++;
    return i;
}

/* All whom it chose are linked: there are four, as the rings of these ids do not agree. */
static void link_chosen(struct mesh_fixture *fixture)
{
    come_up(fixture);
    mesh_core_tick(fixture->core, MESH_GATHER_MS);
    assert_int_equal(fixture->connects, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_true(mesh_core_connected(fixture->core, all_ids[nth(true, i)], MESH_GATHER_MS));
    fixture->done[0] = '\0';
    fixture->connects = 0;
}

static void test_mesh_few_changes_are_gathered_before_it_chooses(void **state)
{
    static struct mesh_fixture fixture;

    (void)state;
    mesh_fixture_begin(&fixture, 4);
    come_up(&fixture);
    mesh_core_tick(fixture.core, MESH_GATHER_MS - 1);
    mesh_fixture_expect_done(&fixture, "");
    mesh_core_tick(fixture.core, MESH_GATHER_MS);
    assert_int_equal(fixture.connects, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_non_null(strstr(fixture.done, all_ids[nth(true, i)]));
    mesh_fixture_end(&fixture);
}

static void test_mesh_few_full_is_busy_but_for_the_linked(void **state)
{
    static struct mesh_fixture fixture;

    (void)state;
    mesh_fixture_begin(&fixture, 4);
    link_chosen(&fixture);
    assert_false(mesh_core_accepts(fixture.core, all_ids[nth(false, 0)], 1000));
    assert_false(mesh_core_accepts(fixture.core, "a stranger", 1000));
    assert_false(mesh_core_called(fixture.core, "a stranger", 1000));
    assert_int_equal(fixture.core->table.count, PEERS); /* of strangers nothing is kept */
    assert_true(mesh_core_accepts(fixture.core, all_ids[nth(true, 0)], 1000));
    mesh_fixture_expect_idle(&fixture);
    mesh_fixture_end(&fixture);
}

static void test_mesh_few_let_in_peer_has_a_place_for_a_while(void **state)
{
    static struct mesh_fixture fixture;

    (void)state;
    mesh_fixture_begin(&fixture, 5); /* one is left over */
    link_chosen(&fixture);
    assert_true(mesh_core_accepts(fixture.core, all_ids[nth(false, 0)], 1000));
    assert_false(mesh_core_accepts(fixture.core, "b", 1000));
    mesh_core_tick(fixture.core, 1000 + MESH_EXPECT_MS);
    assert_true(mesh_core_accepts(fixture.core, "b", 1000 + MESH_EXPECT_MS));
    /* The first one comes late. */
    assert_false(mesh_core_called(fixture.core, all_ids[nth(false, 0)], 1000 + MESH_EXPECT_MS));
    assert_true(mesh_core_called(fixture.core, "b", 1000 + MESH_EXPECT_MS));
    mesh_fixture_expect_idle(&fixture);
    mesh_fixture_end(&fixture);
}

static void test_mesh_few_wanted_peer_takes_the_place_of_an_unwanted_one(void **state)
{
    static struct mesh_fixture fixture;
    const char *lost;

    (void)state;
    mesh_fixture_begin(&fixture, 4);
    link_chosen(&fixture);
    lost = all_ids[nth(true, 0)];
    mesh_core_lost(fixture.core, lost, 1000);
    assert_true(
        mesh_core_called(fixture.core, "a", 1000)); /* it stays where it is not in the way */
    assert_true(mesh_core_accepts(fixture.core, lost, 1000));
    mesh_fixture_expect_done(&fixture, "-a (its place is needed for another peer) ");
    assert_true(mesh_core_called(fixture.core, lost, 1000));
    mesh_fixture_expect_idle(&fixture);
    mesh_fixture_end(&fixture);
}

/* A peer that, when it comes, is chosen in the place of one that is. Returns that one. */
static const char *find_rival(char ret_rival[MESH_FIXTURE_ID_SIZE])
{
    const char *ids[PEERS + 1];
    bool chosen[PEERS + 1];

    for (unsigned i = 0; i < PEERS; i++)
        ids[i] = all_ids[i];
    ids[PEERS] = ret_rival;
    for (unsigned n = 0;; n++) {
        const char *displaced = NULL;
        unsigned count = 0;

        (void)snprintf(ret_rival, MESH_FIXTURE_ID_SIZE, "y%u", n);
        mesh_choose("m", ids, PEERS + 1, 4, chosen);
        for (unsigned i = 0; i < PEERS; i++)
            if (all_chosen[i] && !chosen[i]) {
                displaced = ids[i];
                count++;
            }
        if (chosen[PEERS] && count == 1)
            return displaced;
    }
}

static void test_mesh_few_own_attempt_makes_room_before_the_link_of_a_peer(void **state)
{
    static struct mesh_fixture fixture;
    char rival[MESH_FIXTURE_ID_SIZE], expected[64];
    const char *displaced;

    (void)state;
    mesh_fixture_begin(&fixture, 5);
    assert_true(mesh_core_called(fixture.core, "a", 0));
    come_up(&fixture);
    mesh_core_tick(fixture.core, MESH_GATHER_MS);
    assert_int_equal(fixture.connects, 4);
    displaced = find_rival(rival);
    for (unsigned i = 0; i < 4; i++)
        if (strcmp(fixture.begun[i], displaced) != 0)
            assert_true(mesh_core_connected(fixture.core, fixture.begun[i], 200));
    fixture.done[0] = '\0';
    mesh_core_up(fixture.core, rival, 1000);
    mesh_core_tick(fixture.core, 1000 + MESH_GATHER_MS);
    (void)snprintf(expected, sizeof expected, "!%s +%s ", displaced, rival);
    mesh_fixture_expect_done(&fixture, expected);
    mesh_fixture_end(&fixture);
}

static void test_mesh_few_unwanted_link_is_closed_after_a_while(void **state)
{
    static struct mesh_fixture fixture;
    char rival[MESH_FIXTURE_ID_SIZE], expected[64];
    const char *displaced;

    (void)state;
    mesh_fixture_begin(&fixture, 5); /* there is room for both */
    link_chosen(&fixture);
    displaced = find_rival(rival);
    mesh_core_up(fixture.core, rival, 1000);
    assert_true(mesh_core_called(fixture.core, rival, 1000));
    mesh_core_tick(fixture.core, 2000);
    mesh_core_down(fixture.core, rival, 20000); /* the displaced one is wanted again */
    mesh_core_tick(fixture.core, 21000);
    mesh_fixture_expect_idle(&fixture);
    mesh_core_up(fixture.core, rival, 25000);
    mesh_core_tick(fixture.core, 26000);
    (void)snprintf(expected, sizeof expected, "-%s (it is not wanted any more) ", displaced);
    mesh_fixture_expect_at(&fixture, 26000 + MESH_UNWANTED_MS, expected);
    mesh_fixture_expect_idle(&fixture);
    mesh_fixture_end(&fixture);
}

static void test_mesh_few_unwanted_link_stays_where_the_peer_has_connected(void **state)
{
    static struct mesh_fixture fixture;
    char rival[MESH_FIXTURE_ID_SIZE];
    const char *displaced;

    (void)state;
    mesh_fixture_begin(&fixture, 5);
    link_chosen(&fixture);
    displaced = find_rival(rival);
    assert_true(mesh_core_called(fixture.core, displaced, 500));
    fixture.done[0] = '\0';
    mesh_core_up(fixture.core, rival, 1000);
    assert_true(mesh_core_called(fixture.core, rival, 1000));
    mesh_core_tick(fixture.core, 2000);
    mesh_fixture_expect_idle(&fixture);
    mesh_fixture_end(&fixture);
}

/* Where the index does not see a peer it may be there all the same. */
static void test_mesh_few_link_to_a_peer_that_is_down_stays(void **state)
{
    static struct mesh_fixture fixture;
    const char *away;

    (void)state;
    mesh_fixture_begin(&fixture, 5);
    link_chosen(&fixture);
    away = all_ids[nth(true, 2)];
    mesh_core_down(fixture.core, away, 1000);
    mesh_core_tick(fixture.core, 1000 + MESH_GATHER_MS);
    assert_int_equal(fixture.connects, 1); /* another one is chosen in its place, and fits in */
    assert_true(mesh_core_connected(fixture.core, fixture.begun[0], 2000));
    fixture.done[0] = '\0';
    mesh_fixture_expect_idle(&fixture);
    mesh_core_up(fixture.core, away, 100000); /* now the other one is of no use any more */
    mesh_core_tick(fixture.core, 100000 + MESH_GATHER_MS);
    assert_int_equal(mesh_core_due_ms(fixture.core), 100000 + MESH_GATHER_MS + MESH_UNWANTED_MS);
    mesh_fixture_end(&fixture);
}

static void test_mesh_few_link_to_a_peer_that_comes_up_unwanted_is_closed(void **state)
{
    static struct mesh_fixture fixture;
    char rival[MESH_FIXTURE_ID_SIZE];
    const char *displaced;

    (void)state;
    mesh_fixture_begin(&fixture, 5);
    link_chosen(&fixture);
    displaced = find_rival(rival);
    mesh_core_down(fixture.core, displaced, 1000);
    mesh_core_up(fixture.core, rival, 1000);
    assert_true(mesh_core_called(fixture.core, rival, 1000));
    mesh_core_tick(fixture.core, 2000);
    mesh_fixture_expect_idle(&fixture);
    mesh_core_up(fixture.core, displaced, 100000);
    assert_int_equal(mesh_core_due_ms(fixture.core), 100000 + MESH_GATHER_MS);
    mesh_core_tick(fixture.core, 100000 + MESH_GATHER_MS);
    assert_int_equal(mesh_core_due_ms(fixture.core), 100000 + MESH_UNWANTED_MS);
    mesh_fixture_end(&fixture);
}

/* One of those it chose is lost and fails twice, so that another one is linked in its place. */
static const char *fail_one(struct mesh_fixture *fixture)
{
    const char *bad = all_ids[nth(true, 1)];
    int64_t now_ms = 1000;

    mesh_core_lost(fixture->core, bad, now_ms);
    for (unsigned i = 0; i < MESH_FAILURES_MAX; i++) {
        now_ms += MESH_BACKOFF_FIRST_MS;
        mesh_core_tick(fixture->core, now_ms);
        assert_string_equal(fixture->begun[i], bad);
        mesh_core_failed(fixture->core, bad, now_ms);
    }
    mesh_core_tick(fixture->core, now_ms + MESH_GATHER_MS);
    assert_int_equal(fixture->connects, MESH_FAILURES_MAX + 1);
    assert_string_not_equal(fixture->begun[MESH_FAILURES_MAX], bad);
    assert_true(mesh_core_connected(fixture->core, fixture->begun[MESH_FAILURES_MAX], now_ms));
    fixture->done[0] = '\0';
    return bad;
}

/* Now 2000 ms, and the peer is due at 3000. */
static void test_mesh_few_failing_peer_is_passed_over_and_tried_without_a_place(void **state)
{
    static struct mesh_fixture fixture;
    char expected[64];
    const char *bad;

    (void)state;
    mesh_fixture_begin(&fixture, 4);
    link_chosen(&fixture);
    bad = fail_one(&fixture);
    (void)snprintf(expected, sizeof expected, "+%s ", bad);
    mesh_fixture_expect_at(&fixture, 3000, expected);
    mesh_core_failed(fixture.core, bad, 4000);
    mesh_fixture_expect_at(&fixture, 6000, expected); /* nobody has lost a place for it */
    assert_true(mesh_core_connected(fixture.core, bad, 6000));
    (void)snprintf(expected, sizeof expected, "-%s (its place is needed for another peer) ",
        fixture.begun[MESH_FAILURES_MAX]);
    mesh_fixture_expect_done(&fixture, expected);
    mesh_fixture_expect_idle(&fixture);
    mesh_fixture_end(&fixture);
}

static void test_mesh_few_passed_over_peer_that_calls_gets_its_place_back(void **state)
{
    static struct mesh_fixture fixture;
    const char *bad;

    (void)state;
    mesh_fixture_begin(&fixture, 4);
    link_chosen(&fixture);
    bad = fail_one(&fixture);
    assert_true(mesh_core_accepts(fixture.core, bad, 2500));
    mesh_fixture_expect_done(&fixture, ""); /* it may fail once more */
    mesh_core_missed(fixture.core, bad, 2600);
    assert_true(mesh_core_accepts(fixture.core, bad, 2700));
    assert_true(mesh_core_called(fixture.core, bad, 2800));
    assert_int_equal(fixture.done[0], '-');
    fixture.done[0] = '\0';
    mesh_fixture_expect_idle(&fixture);
    mesh_fixture_end(&fixture);
}

static void test_mesh_few_passed_over_peer_with_another_record_is_wanted_again(void **state)
{
    static struct mesh_fixture fixture;
    char expected[100];
    const char *bad;

    (void)state;
    mesh_fixture_begin(&fixture, 4);
    link_chosen(&fixture);
    bad = fail_one(&fixture);
    mesh_core_changed(fixture.core, bad, 2500);
    (void)snprintf(expected, sizeof expected, "-%s (its place is needed for another peer) +%s ",
        fixture.begun[MESH_FAILURES_MAX], bad);
    mesh_fixture_expect_at(&fixture, 2500 + MESH_GATHER_MS, expected);
    mesh_fixture_end(&fixture);
}

/* A node that is cut off tries a few peers, each about once a minute, not the whole mesh. */
static void test_mesh_few_with_all_failing_passes_over_so_many_only(void **state)
{
    static struct mesh_fixture fixture;
    char id[MESH_FIXTURE_ID_SIZE];
    unsigned failed = 0, distinct = 0, last = 0;
    int64_t now_ms = 0;

    (void)state;
    mesh_fixture_begin(&fixture, 4);
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(id, sizeof id, "z%u", i);
        mesh_core_up(fixture.core, id, 0);
    }
    while (now_ms < 20 * 60 * 1000) {
        now_ms = mesh_core_due_ms(fixture.core);
        mesh_core_tick(fixture.core, now_ms);
        last += now_ms > 15 * 60 * 1000 ? fixture.connects - failed : 0;
        while (failed < fixture.connects)
            mesh_core_failed(fixture.core, fixture.begun[failed++], now_ms);
    }
    for (unsigned i = 0; i < fixture.connects; i++) {
        unsigned first = 0;

        while (strcmp(fixture.begun[first], fixture.begun[i]) != 0)
            first++;
        distinct += first == i;
    }
    assert_in_range(distinct, MESH_PASSED_MAX, MESH_PASSED_MAX + 4);
    assert_in_range(last, 4 * distinct, 6 * distinct); /* in five minutes */
    mesh_fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mesh_few_changes_are_gathered_before_it_chooses),
        cmocka_unit_test(test_mesh_few_full_is_busy_but_for_the_linked),
        cmocka_unit_test(test_mesh_few_let_in_peer_has_a_place_for_a_while),
        cmocka_unit_test(test_mesh_few_wanted_peer_takes_the_place_of_an_unwanted_one),
        cmocka_unit_test(test_mesh_few_own_attempt_makes_room_before_the_link_of_a_peer),
        cmocka_unit_test(test_mesh_few_unwanted_link_is_closed_after_a_while),
        cmocka_unit_test(test_mesh_few_unwanted_link_stays_where_the_peer_has_connected),
        cmocka_unit_test(test_mesh_few_link_to_a_peer_that_is_down_stays),
        cmocka_unit_test(test_mesh_few_link_to_a_peer_that_comes_up_unwanted_is_closed),
        cmocka_unit_test(test_mesh_few_failing_peer_is_passed_over_and_tried_without_a_place),
        cmocka_unit_test(test_mesh_few_passed_over_peer_that_calls_gets_its_place_back),
        cmocka_unit_test(test_mesh_few_passed_over_peer_with_another_record_is_wanted_again),
        cmocka_unit_test(test_mesh_few_with_all_failing_passes_over_so_many_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
