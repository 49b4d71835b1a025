/* A process that stood still: leases are put off by the time that no sign of life could be read. */
#include "index_fixture.h"

#define TTL_S 10
#define STALL_MS 20000

static void heartbeat(struct fixture *fixture, unsigned number)
{
    struct caller caller = fixture_node(number);
    struct heartbeat_request request = {0};

    assert_fault(fixture_heartbeat(fixture, &caller, &request).fault, 0);
}

/* The loop was not there, and says so before it does anything else. */
static void stall(struct fixture *fixture)
{
    fixture_jump(fixture, STALL_MS);
    index_credit(fixture->index, STALL_MS);
    while (index_next_due_ms(fixture->index) <= fixture->now_ms)
        index_tick(fixture->index);
    fixture_flush(fixture);
}

static void test_without_credit_a_lease_ends_in_the_stall(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, TTL_S);
    fixture_jump(fixture, STALL_MS);
    index_tick(fixture->index);
    fixture_flush(fixture);
    assert_false(fixture_has_node(fixture, "a"));
}

static void test_credit_puts_off_what_fell_due(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, TTL_S);
    fixture_advance(fixture, 4000);
    stall(fixture);
    assert_true(fixture_has_node(fixture, "a"));
    struct watch *watch = fixture_list(fixture, NULL);
    assert_between(watch->nodes[0].expires_in_s, 5.9, 6.1);
    assert_between(watch->nodes[0].age_s, 3.9, 4.1);

    fixture_advance(fixture, 5900);
    assert_true(fixture_has_node(fixture, "a"));
    fixture_advance(fixture, 200);
    assert_false(fixture_has_node(fixture, "a"));
}

static void test_credit_does_not_lengthen_what_is_renewed_after_it(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, TTL_S);
    stall(fixture);
    heartbeat(fixture, 1);
    fixture_join_for(fixture, "b", 2, TTL_S);
    fixture_advance(fixture, TTL_S * 1000 - 100);
    assert_true(fixture_has_node(fixture, "a"));
    assert_true(fixture_has_node(fixture, "b"));
    fixture_advance(fixture, 200);
    assert_false(fixture_has_node(fixture, "a"));
    assert_false(fixture_has_node(fixture, "b"));
}

static void test_credit_adds_up(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, TTL_S);
    for (int i = 0; i < 3; i++) {
        stall(fixture);
        assert_true(fixture_has_node(fixture, "a"));
        fixture_advance(fixture, 3000);
    }
    assert_true(fixture_has_node(fixture, "a"));
    fixture_advance(fixture, 1100);
    assert_false(fixture_has_node(fixture, "a"));
}

/* While the store cannot be read no heartbeat is taken: that time counts as a stall. */
static void test_time_without_a_store_is_credited(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = fixture_node(2);
    struct register_request request = {.id = "b", .listed = true};
    fixture_join_for(fixture, "a", 1, TTL_S);
    fixture_advance(fixture, 9000);
    store_memory_fail_next_flush(fixture->store);
    store_memory_fail_next_load(fixture->store);
    assert_fault(fixture_register(fixture, &caller, &request).fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, 1500);
    assert_true(fixture_has_node(fixture, "a"));
    heartbeat(fixture, 1);
    fixture_advance(fixture, TTL_S * 1000 - 100);
    assert_true(fixture_has_node(fixture, "a"));
    fixture_advance(fixture, 200);
    assert_false(fixture_has_node(fixture, "a"));
}

/* The process stands still inside of an outage: the time counts for both, and is credited once. */
static void test_time_is_credited_once(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = fixture_node(2);
    struct register_request request = {.id = "b", .listed = true};
    fixture_join_for(fixture, "a", 1, TTL_S);
    store_memory_fail_next_flush(fixture->store);
    store_memory_fail_next_load(fixture->store);
    assert_fault(fixture_register(fixture, &caller, &request).fault, ERROR_STORE_FAILED);
    fixture_jump(fixture, STALL_MS);
    index_credit(fixture->index, STALL_MS);
    fixture_settle(fixture);
    index_credit(fixture->index, STALL_MS);
    fixture_advance(fixture, TTL_S * 1000 - 100);
    assert_true(fixture_has_node(fixture, "a"));
    fixture_advance(fixture, 200);
    assert_false(fixture_has_node(fixture, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_without_credit_a_lease_ends_in_the_stall),
        FIXTURE_TEST(test_credit_puts_off_what_fell_due),
        FIXTURE_TEST(test_credit_does_not_lengthen_what_is_renewed_after_it),
        FIXTURE_TEST(test_credit_adds_up),
        FIXTURE_TEST(test_time_without_a_store_is_credited),
        FIXTURE_TEST(test_time_is_credited_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
