/* A join key is withdrawn: whom it admitted is treated as unknown at once, and leaves. */
#include "index_fixture.h"

#include <stdio.h>
#include <string.h>

#define HERE "203.0.113.7"

static int setup(void **state)
{
    int result = fixture_setup(state);
    struct fixture *fixture = *state;

    if (!result) {
        fixture->config.open = false;
        fixture_restart(fixture);
    }
    return result;
}

#define EVICT_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

static struct registration join(
    struct fixture *fixture, const struct caller *key, const char *id, unsigned number)
{
    char token[FIXTURE_TOKEN_SIZE];
    struct register_request request = {
        .id = id, .listed = true, .ttl_s = 600, .token = fixture_token(number, token)};
    struct registration result = fixture_register(fixture, key, &request);
    assert_fault(result.fault, 0);
    return result;
}

static void withdraw(struct fixture *fixture, const struct caller *key)
{
    memcpy(fixture->withdrawn, key->hash, STORE_HASH_SIZE);
    index_evict(fixture->index);
}

static struct outcome look(struct fixture *fixture, const struct caller *caller, const char *id)
{
    struct watch *watch = fixture_get_node(fixture, caller, NULL, id);
    return (struct outcome){watch->calls, watch->fault};
}

static void test_evict_ends_nodes_of_the_key_only(void **state)
{
    struct fixture *fixture = *state;
    struct caller member = fixture_keyed(HERE, "blue", false);
    struct caller operator= fixture_keyed(HERE, "blue", true);

    struct registration joined = join(fixture, &member, "a", 1);
    join(fixture, &operator, "b", 2);
    withdraw(fixture, &member);
    fixture_settle(fixture);
    assert_fault(look(fixture, &operator, "a").fault, ERROR_UNKNOWN_NODE);
    assert_fault(look(fixture, &operator, "b").fault, 0);
    assert_int_equal(index_node_count(fixture->index), 1);
    /* The list says it as of any other who left. */
    struct poll_request changes = poll_changes(joined.cursor, 0);
    struct watch *watch = fixture_poll(fixture, &operator, & changes);
    assert_fault(watch->fault, 0);
    assert_string_equal(watch_told(watch), "+b -a ");
    /* Nothing of it is left at the next start either. */
    fixture_restart(fixture);
    assert_fault(look(fixture, &operator, "a").fault, ERROR_UNKNOWN_NODE);
    assert_fault(look(fixture, &operator, "b").fault, 0);
}

static void test_evict_treats_them_as_unknown_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct caller member = fixture_keyed(HERE, "blue", false);
    struct caller owner = fixture_owner(HERE, 1);

    join(fixture, &member, "a", 1);
    assert_fault(fixture_heartbeat(fixture, &owner, &(struct heartbeat_request){0}).fault, 0);
    withdraw(fixture, &member);
    struct beat beat = fixture_heartbeat(fixture, &owner, &(struct heartbeat_request){0});
    assert_fault(beat.fault, ERROR_UNKNOWN_NODE);
    assert_action(beat.fault, "register");
}

static void test_evict_of_many_takes_some_ticks(void **state)
{
    struct fixture *fixture = *state;
    struct caller member = fixture_keyed(HERE, "blue", false);

    for (unsigned i = 0; i < 2 * LIMIT_EXPIRE_BATCH + 1; i++) {
        char id[16];
        snprintf(id, sizeof id, "n%u", i);
        join(fixture, &member, id, i);
    }
    withdraw(fixture, &member);
    assert_true(index_next_due_ms(fixture->index) <= fixture->now_ms);
    index_tick(fixture->index);
    fixture_flush(fixture);
    assert_int_equal(index_node_count(fixture->index), LIMIT_EXPIRE_BATCH + 1);
    fixture_settle(fixture);
    assert_int_equal(index_node_count(fixture->index), 0);
    assert_true(index_next_due_ms(fixture->index) > fixture->now_ms);
}

static void test_evict_answers_the_polls_of_the_key(void **state)
{
    struct fixture *fixture = *state;
    struct caller member = fixture_keyed(HERE, "blue", false);
    struct caller operator= fixture_keyed(HERE, "blue", true);
    struct caller owner = fixture_owner(HERE, 1);
    struct cursor since = join(fixture, &member, "a", 1).cursor;
    struct poll_request changes = poll_changes(since, 50), events = poll_events(since, 50);
    struct watch *by_key = fixture_poll(fixture, &member, &changes);
    struct watch *by_other = fixture_poll(fixture, &operator, & changes);
    struct watch *by_token = fixture_poll(fixture, &owner, &changes);
    struct watch *reader = fixture_poll(fixture, &owner, &events);

    assert_int_equal(by_key->calls + by_other->calls + by_token->calls + reader->calls, 0);
    withdraw(fixture, &member);
    fixture_settle(fixture);
    assert_int_equal(by_key->calls, 1);
    assert_fault(by_key->fault, ERROR_BAD_KEY);
    assert_int_equal(by_token->calls, 1);
    assert_fault(by_token->fault, ERROR_UNKNOWN_NODE);
    assert_action(by_token->fault, "register");
    assert_int_equal(reader->calls, 1);
    assert_fault(reader->fault, ERROR_UNKNOWN_NODE);
    /* That is news to the other one. */
    assert_int_equal(by_other->calls, 1);
    assert_string_equal(watch_told(by_other), "-a ");
}

static void test_evict_spares_who_has_come_back_by_another_key(void **state)
{
    struct fixture *fixture = *state;
    struct caller old = fixture_keyed(HERE, "blue", false);
    struct caller new = fixture_keyed(HERE, "blue", true);

    join(fixture, &old, "a", 1);
    assert_false(join(fixture, &new, "a", 1).created);
    withdraw(fixture, &old);
    fixture_settle(fixture);
    assert_fault(look(fixture, &new, "a").fault, 0);
    fixture_restart(fixture);
    assert_fault(look(fixture, &new, "a").fault, 0);
    /* And one that comes back with its token alone is still there by the key of before. */
    struct caller owner = fixture_owner(HERE, 1);
    assert_fault(fixture_register(fixture, &owner, &(struct register_request){.id = "a"}).fault, 0);
    withdraw(fixture, &new);
    fixture_settle(fixture);
    assert_int_equal(index_node_count(fixture->index), 0);
}

static void test_evict_goes_on_after_a_loss(void **state)
{
    struct fixture *fixture = *state;
    struct caller member = fixture_keyed(HERE, "blue", false);

    join(fixture, &member, "a", 1);
    withdraw(fixture, &member);
    store_memory_fail_next_flush(fixture->store);
    index_tick(fixture->index);
    fixture_flush(fixture);
    assert_int_equal(index_node_count(fixture->index), 1);
    struct caller owner = fixture_owner(HERE, 1);
    struct beat beat = fixture_heartbeat(fixture, &owner, &(struct heartbeat_request){0});
    assert_fault(beat.fault, ERROR_UNKNOWN_NODE);
    /* Not before the store may be written again. */
    assert_true(index_next_due_ms(fixture->index) > fixture->now_ms);
    fixture_advance(fixture, 1000);
    assert_int_equal(index_node_count(fixture->index), 0);
}

static void test_evict_of_many_ends_nothing_before_its_time(void **state)
{
    struct fixture *fixture = *state;
    struct caller member = fixture_keyed(HERE, "blue", false);
    struct caller operator= fixture_keyed(HERE, "blue", true);
    struct caller sender = fixture_owner(HERE, 5001);

    join(fixture, &operator, "to", 5000);
    join(fixture, &operator, "from", 5001);
    struct send_request message = {
        .to = "to", .id = "m", .type = "x", .body = "1", .body_size = 1, .ttl_s = 60};
    assert_fault(fixture_send(fixture, &sender, &message).fault, 0);
    for (unsigned i = 0; i < 3 * LIMIT_EXPIRE_BATCH; i++) {
        char id[16];
        snprintf(id, sizeof id, "n%u", i);
        join(fixture, &member, id, i);
    }
    withdraw(fixture, &member);
    fixture_settle(fixture);
    assert_int_equal(index_node_count(fixture->index), 2);
    struct poll_request read = poll_mail(0);
    struct caller reader = fixture_owner(HERE, 5000);
    assert_string_equal(watch_told(fixture_poll(fixture, &reader, &read)), "*m ");
}

static void test_withdrawn_key_does_nothing_more(void **state)
{
    struct fixture *fixture = *state;
    struct caller member = fixture_keyed(HERE, "blue", false);
    struct caller operator= fixture_keyed(HERE, "blue", true);
    char token[FIXTURE_TOKEN_SIZE];
    struct register_request request = {.id = "b", .token = fixture_token(2, token)};

    join(fixture, &operator, "a", 1);
    withdraw(fixture, &member);
    fixture_settle(fixture);
    assert_fault(fixture_register(fixture, &member, &request).fault, ERROR_BAD_KEY);
    assert_fault(look(fixture, &member, "a").fault, ERROR_BAD_KEY);
}

static void test_evict_at_the_start_ends_whose_key_went_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    struct caller member = fixture_keyed(HERE, "blue", false);

    join(fixture, &member, "a", 1);
    memcpy(fixture->withdrawn, member.hash, STORE_HASH_SIZE);
    fixture_restart(fixture);
    fixture_settle(fixture);
    assert_int_equal(index_node_count(fixture->index), 0);
}

static void test_register_with_the_token_in_its_body_alone_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct caller member = fixture_keyed(HERE, "blue", false);
    struct caller stranger = fixture_stranger(HERE);
    char token[FIXTURE_TOKEN_SIZE];
    struct register_request request = {.id = "a", .token = fixture_token(1, token)};

    join(fixture, &member, "a", 1);
    struct registration back = fixture_register(fixture, &stranger, &request);
    assert_fault(back.fault, 0);
    assert_string_equal(back.network, "blue");
    request.token = fixture_token(2, token);
    assert_fault(fixture_register(fixture, &stranger, &request).fault, ERROR_NO_CREDENTIAL);
    request.token = "short";
    assert_fault(fixture_register(fixture, &stranger, &request).fault, ERROR_NO_CREDENTIAL);
    struct caller unknown = fixture_owner(HERE, 3);
    request.token = NULL;
    assert_fault(fixture_register(fixture, &unknown, &request).fault, ERROR_NO_CREDENTIAL);
}

static void test_network_has_its_share_of_nodes(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.max_nodes_per_network = 2;
    fixture_restart(fixture);
    struct caller blue = fixture_keyed(HERE, "blue", false);
    struct caller red = fixture_keyed(HERE, "red", true);
    char token[FIXTURE_TOKEN_SIZE];
    struct register_request third = {.id = "c", .token = fixture_token(3, token)};

    join(fixture, &blue, "a", 1);
    join(fixture, &blue, "b", 2);
    struct registration refused = fixture_register(fixture, &blue, &third);
    assert_fault(refused.fault, ERROR_NETWORK_FULL);
    assert_true(refused.fault.retry_after_s > 0);
    join(fixture, &blue, "b", 2);
    join(fixture, &red, "a", 4);
    struct caller owner = fixture_owner(HERE, 1);
    assert_fault(fixture_remove(fixture, &owner, NULL, "a").fault, 0);
    assert_fault(fixture_register(fixture, &blue, &third).fault, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVICT_TEST(test_evict_ends_nodes_of_the_key_only),
        EVICT_TEST(test_evict_treats_them_as_unknown_at_once),
        EVICT_TEST(test_evict_of_many_takes_some_ticks),
        EVICT_TEST(test_evict_answers_the_polls_of_the_key),
        EVICT_TEST(test_evict_spares_who_has_come_back_by_another_key),
        EVICT_TEST(test_evict_goes_on_after_a_loss),
        EVICT_TEST(test_evict_of_many_ends_nothing_before_its_time),
        EVICT_TEST(test_withdrawn_key_does_nothing_more),
        EVICT_TEST(test_evict_at_the_start_ends_whose_key_went_meanwhile),
        EVICT_TEST(test_register_with_the_token_in_its_body_alone_comes_back),
        EVICT_TEST(test_network_has_its_share_of_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
