/* Networks that are pruned, dropped and made anew, also within one batch. */
#include "index_fixture.h"

#define PAUSE_MS 1000

static struct registration join_in(
    struct fixture *fixture, const char *network, const char *id, unsigned number, bool listed)
{
    struct caller caller = fixture_node(number);
    struct register_request request = {
        .id = id, .network = network, .listed = listed, .ttl_s = LIMIT_TTL_MAX_S};
    return fixture_register(fixture, &caller, &request);
}

/* Nobody is left in `red`, nor a tombstone: the next tick drops it. */
static void empty_network(struct fixture *fixture)
{
    assert_fault(join_in(fixture, "red", "u", 1, false).fault, 0);
    struct caller caller = fixture_node(1);
    assert_fault(fixture_remove(fixture, &caller, "red", "u").fault, 0);
}

static void test_network_dropped_and_made_in_a_lost_batch_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    empty_network(fixture);
    struct cursor before = fixture_cursor(fixture, "red");
    fixture_tick_at_next_due(fixture);
    assert_true(fixture->store->open_batch);
    store_memory_fail_next_flush(fixture->store);
    assert_fault(join_in(fixture, "red", "u", 1, true).fault, ERROR_STORE_FAILED);
    assert_int_equal(index_node_count(fixture->index), 0);
    assert_string_equal(watch_told(fixture_list(fixture, "red")), "");

    fixture_advance(fixture, PAUSE_MS);
    assert_true(cursor_equal(fixture_cursor(fixture, "red"), before));
    struct registration joined = join_in(fixture, "red", "u", 1, true);
    assert_fault(joined.fault, 0);
    assert_true(joined.created);
    assert_string_equal(watch_told(fixture_list(fixture, "red")), "+u ");
    struct caller owner = fixture_node(1);
    assert_fault(fixture_remove(fixture, &owner, "red", "u").fault, 0);
    assert_string_equal(watch_told(fixture_list(fixture, "red")), "");
    assert_int_equal(index_node_count(fixture->index), 0);
    assert_int_equal(fixture->losses, 1);
}

/* A read holds the network that was made in memory, which becomes the one of the store again. */
static void test_network_dropped_and_read_in_a_lost_batch_goes_on(void **state)
{
    struct fixture *fixture = *state;
    empty_network(fixture);
    fixture_tick_at_next_due(fixture);
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct caller owner = fixture_node(1);
    struct register_request request = {.id = "u", .network = "red", .listed = true};
    struct registration joined = {0};
    index_register(fixture->index, &owner, &request, fixture_on_registered, &joined);
    store_memory_fail_next_flush(fixture->store);
    struct poll_request changes = poll_changes((struct cursor){0}, 50);
    changes.network = "red";
    struct watch *watch = fixture_poll(fixture, &stranger, &changes);
    assert_int_equal(joined.calls, 1);
    assert_fault(joined.fault, ERROR_STORE_FAILED);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, PAUSE_MS);

    changes.since = fixture_cursor(fixture, "red");
    watch = fixture_poll(fixture, &stranger, &changes);
    assert_int_equal(watch->calls, 0);
    assert_fault(join_in(fixture, "red", "v", 2, true).fault, 0);
    fixture_settle(fixture);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, 0);
    assert_string_equal(watch_told(watch), "+v ");
}

/* The last node leaves in the very batch of a prune that leaves no tombstone. Its own one counts:
 * while it is there the network cannot be dropped, and trying would lose a batch. */
static void test_network_left_in_the_batch_of_its_prune_keeps_the_tombstone(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, LIMIT_TTL_MAX_S);
    fixture_join_for(fixture, "b", 2, LIMIT_TTL_MAX_S);
    struct cursor before = fixture_cursor(fixture, NULL);
    fixture_leave(fixture, "b", 2);
    struct cursor between = fixture_cursor(fixture, NULL);
    fixture_tick_at_next_due(fixture);
    assert_true(fixture->store->open_batch);
    fixture_leave(fixture, "a", 1);

    /* The prune did take the tombstone of b, and left none but that of a. */
    assert_true(fixture_changes(fixture, NULL, before, 10)->result.reset);
    assert_string_equal(watch_told(fixture_changes(fixture, NULL, between, 10)), "-a ");
    for (int i = 0; i < 3; i++) {
        fixture_advance(fixture, LIMIT_DROP_AFTER_MS + 1);
        assert_int_equal(fixture->losses, 0);
        struct watch *watch = fixture_changes(fixture, NULL, between, 10);
        assert_false(watch->result.reset);
        assert_string_equal(watch_told(watch), "-a ");
    }
    assert_true(fixture_join(fixture, "c", 3).created);
    assert_string_equal(watch_told(fixture_changes(fixture, NULL, between, 10)), "-a +c ");
}

/* ...and once its hour is over the network does go. */
static void test_network_left_in_the_batch_of_its_prune_is_dropped_later(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, LIMIT_TTL_MAX_S);
    fixture_join_for(fixture, "b", 2, LIMIT_TTL_MAX_S);
    fixture_leave(fixture, "b", 2);
    fixture_tick_at_next_due(fixture);
    assert_true(fixture->store->open_batch);
    fixture_leave(fixture, "a", 1);
    struct cursor last = fixture_cursor(fixture, NULL);
    fixture_advance(
        fixture, LIMIT_TOMBSTONE_S * 1000LL + LIMIT_PRUNE_EVERY_MS + 2 * LIMIT_DROP_AFTER_MS);
    assert_int_equal(fixture->losses, 0);
    assert_false(cursor_equal(fixture_cursor(fixture, NULL), last));
    assert_true(index_next_due_ms(fixture->index) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_network_dropped_and_made_in_a_lost_batch_leaves_nothing),
        FIXTURE_TEST(test_network_dropped_and_read_in_a_lost_batch_goes_on),
        FIXTURE_TEST(test_network_left_in_the_batch_of_its_prune_keeps_the_tombstone),
        FIXTURE_TEST(test_network_left_in_the_batch_of_its_prune_is_dropped_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
