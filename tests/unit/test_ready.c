/* Whether the index is ready: the store is as it was told to be, and expiry is on time. */
#include "index_fixture.h"

#include <string.h>

#define TTL_S 60
#define LAG_MS 5000

static struct fault ask(struct fixture *fixture)
{
    struct outcome outcome = {0};
    index_check_ready(fixture->index, fixture_on_done, &outcome);
    fixture_flush(fixture);
    assert_int_equal(outcome.calls, 1);
    return outcome.fault;
}

static void test_ready_is_an_index_with_leases_to_come(void **state)
{
    struct fixture *fixture = *state;
    assert_fault(ask(fixture), 0);
    fixture_join_for(fixture, "a", 1, TTL_S);
    assert_fault(ask(fixture), 0);
}

static void test_ready_is_a_lease_that_is_a_little_late(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, TTL_S);
    fixture_jump(fixture, TTL_S * 1000 + LAG_MS);
    assert_fault(ask(fixture), 0);
}

static void test_ready_is_no_index_that_ends_leases_late(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, TTL_S);
    fixture_jump(fixture, TTL_S * 1000 + LAG_MS + 1);
    struct fault fault = ask(fixture);
    assert_fault(fault, ERROR_NOT_READY);
    assert_non_null(strstr(fault.detail, "late"));

    fixture_settle(fixture);
    assert_fault(ask(fixture), 0);
}

static void test_ready_is_no_index_whose_store_lost_a_batch(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = fixture_node(1);
    struct register_request request = {.id = "a", .listed = true};
    store_memory_fail_next_load(fixture->store);
    store_memory_fail_next_flush(fixture->store);
    assert_fault(fixture_register(fixture, &caller, &request).fault, ERROR_STORE_FAILED);
    assert_fault(ask(fixture), ERROR_NOT_READY);

    fixture_advance(fixture, 2000);
    assert_fault(ask(fixture), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_ready_is_an_index_with_leases_to_come),
        FIXTURE_TEST(test_ready_is_a_lease_that_is_a_little_late),
        FIXTURE_TEST(test_ready_is_no_index_that_ends_leases_late),
        FIXTURE_TEST(test_ready_is_no_index_whose_store_lost_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
