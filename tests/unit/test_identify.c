/* Who a caller is to the index, where a request names nothing: for /ice. */
#include "ice/turn.h"
#include "index_fixture.h"

#include <string.h>

struct identified {
    int calls;
    struct fault fault;
    bool is_node, open;
    char node[FIXTURE_ID_SIZE];
};

static void on_identified(const struct fault *fault, const struct identity *result, void *user)
{
    struct identified *identified = user;

    identified->calls++;
    if (fault) {
        identified->fault = *fault;
        assert_null(result);
        return;
    }
    identified->open = result->open;
    identified->is_node = result->node != NULL;
    if (result->node)
        strcpy(identified->node, result->node);
}

static struct identified identify(struct fixture *fixture, struct caller caller)
{
    struct identified identified = {0};

    index_identify(fixture->index, &caller, on_identified, &identified);
    fixture_flush(fixture);
    assert_int_equal(identified.calls, 1);
    return identified;
}

static void close_with_keys(struct fixture *fixture)
{
    fixture->config.open = false;
    fixture_restart(fixture);
}

static void test_identify_on_an_open_index_tells_that_it_is_open(void **state)
{
    struct fixture *fixture = *state;

    fixture_join(fixture, "a", 1);
    struct identified nobody = identify(fixture, fixture_stranger("203.0.113.9"));
    assert_fault(nobody.fault, 0);
    assert_false(nobody.is_node);
    assert_true(nobody.open);
    struct identified node = identify(fixture, fixture_node(1));
    assert_fault(node.fault, 0);
    assert_string_equal(node.node, "a");
    assert_true(node.open);
    assert_false(turn_may_have(node.node, node.open));
}

static void test_identify_with_keys_tells_a_node_from_a_member(void **state)
{
    struct fixture *fixture = *state;
    struct caller owner = fixture_node(1);

    fixture_join(fixture, "a", 1);
    close_with_keys(fixture);
    struct identified node = identify(fixture, owner);
    assert_fault(node.fault, 0);
    assert_string_equal(node.node, "a");
    assert_false(node.open);
    assert_true(turn_may_have(node.node, node.open));
    for (int is_operator = 0; is_operator < 2; is_operator++) {
        struct identified member =
            identify(fixture, fixture_keyed("203.0.113.9", "default", is_operator));
        assert_fault(member.fault, 0);
        assert_false(member.is_node);
        assert_false(member.open);
    }
    assert_fault(identify(fixture, fixture_stranger("203.0.113.9")).fault, ERROR_NO_CREDENTIAL);
}

static void test_identify_of_a_token_without_node_is_told_to_register(void **state)
{
    struct fixture *fixture = *state;

    for (int keys = 0; keys < 2; keys++) {
        struct identified unknown = identify(fixture, fixture_node(7));
        assert_fault(unknown.fault, ERROR_UNKNOWN_NODE);
        assert_action(unknown.fault, "register");
        close_with_keys(fixture);
    }
}

static void test_identify_after_the_lease_is_over_is_told_to_register(void **state)
{
    struct fixture *fixture = *state;

    fixture_join_for(fixture, "a", 1, 5);
    fixture_advance(fixture, 4000);
    assert_fault(identify(fixture, fixture_node(1)).fault, 0);
    /* Asking renewed nothing. */
    fixture_advance(fixture, 2000);
    assert_fault(identify(fixture, fixture_node(1)).fault, ERROR_UNKNOWN_NODE);
}

/* A node is none before the commit of what made it. */
static void test_identify_in_a_batch_that_fails_is_503(void **state)
{
    struct fixture *fixture = *state;
    struct caller owner = fixture_node(1);
    struct registration registration = {0};
    struct identified identified = {0};

    index_register(fixture->index, &owner, &(struct register_request){.id = "a", .listed = true},
        fixture_on_registered, &registration);
    index_identify(fixture->index, &owner, on_identified, &identified);
    assert_int_equal(identified.calls, 0);
    store_memory_fail_next_flush(fixture->store);
    fixture_flush(fixture);
    assert_int_equal(identified.calls, 1);
    assert_fault(identified.fault, ERROR_STORE_FAILED);
}

static void test_identify_of_a_node_that_leaves_meanwhile_has_its_id(void **state)
{
    struct fixture *fixture = *state;
    struct caller owner = fixture_node(1);
    struct outcome outcome = {0};
    struct identified identified = {0};

    fixture_join(fixture, "a", 1);
    fixture_heartbeat(fixture, &owner, &(struct heartbeat_request){.meta = "{\"n\":1}"});
    struct heartbeat_request change = {.meta = "{\"n\":2}"};
    struct beat beat = {0};
    index_heartbeat(fixture->index, &owner, &change, fixture_on_heartbeat, &beat);
    index_identify(fixture->index, &owner, on_identified, &identified);
    index_remove_node(fixture->index, &owner, NULL, "a", fixture_on_done, &outcome);
    fixture_flush(fixture);
    assert_int_equal(identified.calls, 1);
    assert_fault(identified.fault, 0);
    assert_string_equal(identified.node, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_identify_on_an_open_index_tells_that_it_is_open),
        FIXTURE_TEST(test_identify_with_keys_tells_a_node_from_a_member),
        FIXTURE_TEST(test_identify_of_a_token_without_node_is_told_to_register),
        FIXTURE_TEST(test_identify_after_the_lease_is_over_is_told_to_register),
        FIXTURE_TEST(test_identify_in_a_batch_that_fails_is_503),
        FIXTURE_TEST(test_identify_of_a_node_that_leaves_meanwhile_has_its_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
