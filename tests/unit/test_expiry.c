/* Leases that run out, one by one and many at once, and what a restart keeps. */
#include "index_fixture.h"

#include <stdio.h>
#include <string.h>

static void beat_once(struct fixture *fixture, unsigned number)
{
    struct caller caller = fixture_node(number);
    struct heartbeat_request request = {0};
    assert_fault(fixture_heartbeat(fixture, &caller, &request).fault, 0);
}

static struct delivery send_offer(
    struct fixture *fixture, unsigned number, const char *to, const char *id, int ttl_s)
{
    struct caller caller = fixture_node(number);
    struct send_request request = {
        .to = to, .id = id, .type = "offer", .body = "1", .body_size = 1, .ttl_s = ttl_s};
    struct delivery delivery = fixture_send(fixture, &caller, &request);
    assert_fault(delivery.fault, 0);
    return delivery;
}

static void join_pair(struct fixture *fixture)
{
    fixture_join_for(fixture, "a", 1, LIMIT_TTL_MAX_S);
    fixture_join_for(fixture, "b", 2, LIMIT_TTL_MAX_S);
}

/* --- leases ---------------------------------------------------------------------------------- */

static void test_expiry_shows_within_a_second(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_advance(fixture, 29900);
    assert_true(fixture_has_node(fixture, "a"));
    assert_int_equal(index_node_count(fixture->index), 1);
    fixture_advance(fixture, 1100);
    assert_false(fixture_has_node(fixture, "a"));
    assert_int_equal(index_node_count(fixture->index), 0);
}

static void test_expiry_is_put_off_by_signs_of_life(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, 10);
    fixture_advance(fixture, 8000);
    beat_once(fixture, 1);
    fixture_advance(fixture, 8000);
    fixture_join_for(fixture, "a", 1, 10);
    fixture_advance(fixture, 9900);
    assert_true(fixture_has_node(fixture, "a"));
    fixture_advance(fixture, 1100);
    assert_false(fixture_has_node(fixture, "a"));
}

static void test_expiry_follows_a_shorter_ttl(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, 600);
    fixture_join_for(fixture, "a", 1, 5);
    fixture_advance(fixture, 6000);
    assert_false(fixture_has_node(fixture, "a"));
}

static void test_expiry_is_not_put_off_by_reading_or_sending(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, 10);
    fixture_join_for(fixture, "b", 2, 600);
    fixture_advance(fixture, 8000);
    fixture_read(fixture, 1);
    send_offer(fixture, 1, "b", "m1", 0);
    fixture_advance(fixture, 3000);
    assert_false(fixture_has_node(fixture, "a"));
}

static void test_expiry_ignores_jumps_of_the_wall_clock(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    send_offer(fixture, 1, "b", "m1", 10);
    fixture->wall_ms += 3600 * 1000;
    fixture_advance(fixture, 5000);
    assert_true(fixture_has_node(fixture, "a"));
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 ");
    fixture->wall_ms -= 2 * 3600 * 1000;
    fixture_advance(fixture, 26000);
    assert_int_equal(index_node_count(fixture->index), 0);
}

static void test_expiry_makes_index_due_in_time(void **state)
{
    struct fixture *fixture = *state;
    fixture_settle(fixture);
    int64_t empty_due_ms = index_next_due_ms(fixture->index);
    fixture_join(fixture, "a", 1);
    assert_true(index_next_due_ms(fixture->index) <= fixture->now_ms + 31000);
    assert_true(empty_due_ms > fixture->now_ms);
}

static void test_expiry_of_many_goes_in_batches(void **state)
{
    struct fixture *fixture = *state;
    enum { NODES = 1000 };
    struct cursor before = fixture_cursor(fixture, NULL);
    for (unsigned i = 0; i < NODES; i++) {
        char id[16];
        snprintf(id, sizeof(id), "n%04u", i);
        fixture_join(fixture, id, i + 1);
    }
    fixture_jump(fixture, 31000);
    size_t left = NODES;
    int turns = 0;
    while (index_next_due_ms(fixture->index) <= fixture->now_ms && left > 0) {
        index_tick(fixture->index);
        fixture_flush(fixture);
        size_t now_left = index_node_count(fixture->index);
        assert_true(left - now_left <= LIMIT_EXPIRE_BATCH);
        left = now_left;
        assert_true(++turns < 100);
    }
    assert_int_equal(left, 0);
    assert_true(turns >= NODES / LIMIT_EXPIRE_BATCH);
    fixture_settle(fixture);
    struct watch *watch = fixture_changes(fixture, NULL, before, 1000);
    assert_int_equal(watch->gone_count, NODES);
    assert_int_equal(watch->node_count, 0);
}

/* --- restart --------------------------------------------------------------------------------- */

static void test_restart_gives_each_lease_a_full_ttl(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_join_for(fixture, "b", 2, 100);
    fixture_advance(fixture, 29000);
    fixture->wall_ms += 3600 * 1000;
    fixture_restart(fixture);
    assert_int_equal(index_node_count(fixture->index), 2);
    fixture_advance(fixture, 29900);
    assert_true(fixture_has_node(fixture, "a"));
    fixture_advance(fixture, 1100);
    assert_false(fixture_has_node(fixture, "a"));
    fixture_advance(fixture, 68000);
    assert_true(fixture_has_node(fixture, "b"));
    fixture_advance(fixture, 3000);
    assert_false(fixture_has_node(fixture, "b"));
}

static void test_restart_keeps_nodes_and_their_tokens(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = fixture_node(1);
    const char *endpoints[] = {"grpc://:1"};
    struct register_request request = {.id = "a",
        .endpoints = endpoints,
        .endpoint_count = 1,
        .meta = "{\"x\":1}",
        .reach = "{\"y\":1}",
        .listed = true};
    assert_fault(fixture_register(fixture, &caller, &request).fault, 0);
    int64_t registered_ms = fixture->wall_ms;
    fixture_advance(fixture, 1000);
    fixture_restart(fixture);
    struct watch *watch = fixture_list(fixture, NULL);
    assert_string_equal(watch_told(watch), "+a ");
    assert_string_equal(watch->nodes[0].endpoints, "grpc://203.0.113.1:1");
    assert_string_equal(watch->nodes[0].meta, "{\"x\":1}");
    assert_string_equal(watch->nodes[0].reach, "{\"y\":1}");
    assert_true(watch->nodes[0].registered_wall_ms == registered_ms);
    assert_true(address_equal(&watch->nodes[0].observed_ipv4, &caller.address));
    beat_once(fixture, 1);
    assert_true(cursor_equal(fixture_cursor(fixture, NULL), watch->result.cursor));

    struct caller other = fixture_node(2);
    assert_fault(fixture_register(fixture, &other, &request).fault, ERROR_ID_TAKEN);
    request.id = "b";
    assert_fault(fixture_register(fixture, &caller, &request).fault, ERROR_TOKEN_IN_USE);
    struct caller moved = fixture_owner("198.51.100.4", 1);
    struct heartbeat_request heartbeat = {0};
    assert_fault(fixture_heartbeat(fixture, &moved, &heartbeat).fault, 0);
    watch = fixture_list(fixture, NULL);
    assert_string_equal(watch->nodes[0].endpoints, "grpc://198.51.100.4:1");
}

static void test_restart_keeps_cursors_and_tombstones(void **state)
{
    struct fixture *fixture = *state;
    struct cursor first = fixture_join(fixture, "a", 1).cursor;
    fixture_join(fixture, "b", 2);
    fixture_leave(fixture, "a", 1);
    struct cursor now = fixture_cursor(fixture, NULL);
    fixture_restart(fixture);
    assert_true(cursor_equal(fixture_cursor(fixture, NULL), now));
    struct watch *watch = fixture_changes(fixture, NULL, now, 10);
    assert_false(watch->result.reset);
    assert_string_equal(watch_told(watch), "");
    watch = fixture_changes(fixture, NULL, first, 10);
    assert_false(watch->result.reset);
    assert_string_equal(watch_told(watch), "+b -a ");
    assert_true(fixture_join(fixture, "c", 3).cursor.seq > now.seq);
    assert_string_equal(watch_told(fixture_changes(fixture, NULL, now, 10)), "+c ");
}

static void test_restart_keeps_networks_apart(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = fixture_node(1);
    struct register_request request = {.id = "a", .network = "red", .listed = true};
    assert_fault(fixture_register(fixture, &caller, &request).fault, 0);
    caller = fixture_node(2);
    request = (struct register_request){.id = "b"};
    assert_fault(fixture_register(fixture, &caller, &request).fault, 0);
    fixture_restart(fixture);
    assert_string_equal(watch_told(fixture_list(fixture, "red")), "+a ");
    assert_string_equal(watch_told(fixture_list(fixture, NULL)), "");
    assert_true(fixture_has_node(fixture, "b"));
}

static void test_restart_counts_nodes_by_address_again(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.max_nodes = 2;
    fixture_restart(fixture);
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    fixture->config.max_nodes_per_address = 1;
    fixture_restart(fixture);
    struct caller caller = fixture_node(3);
    struct register_request request = {.id = "c", .listed = true};
    assert_fault(fixture_register(fixture, &caller, &request).fault, ERROR_INDEX_FULL);
    fixture_leave(fixture, "b", 2);
    caller = fixture_owner("203.0.113.1", 3);
    assert_fault(fixture_register(fixture, &caller, &request).fault, ERROR_TOO_MANY_NODES);
    caller = fixture_owner("203.0.113.2", 3);
    assert_fault(fixture_register(fixture, &caller, &request).fault, 0);
}

static void test_restart_keeps_messages_and_counters(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_offer(fixture, 1, "b", "m1", 600);
    send_offer(fixture, 1, "b", "m2", 600);
    struct caller reader = fixture_node(2);
    struct poll_request request = poll_mail(0);
    request.mail_limit = 1;
    struct cursor one = fixture_poll(fixture, &reader, &request)->result.next;
    fixture_restart(fixture);
    struct watch *watch = fixture_read(fixture, 2);
    assert_string_equal(watch_told(watch), "*m1 *m2 ");
    assert_string_equal(watch->messages[0].from, "a");
    assert_string_equal(watch->messages[0].body, "1");
    watch = fixture_acknowledge(fixture, 2, one);
    assert_false(watch->result.mail_reset);
    assert_string_equal(watch_told(watch), "*m2 ");
    watch = fixture_acknowledge(fixture, 2, watch->result.next);
    assert_string_equal(watch_told(watch), "");
    struct cursor next = watch->result.next;
    fixture_restart(fixture);
    watch = fixture_read(fixture, 2);
    assert_string_equal(watch_told(watch), "");
    assert_true(cursor_equal(watch->result.next, next));
    assert_int_equal(send_offer(fixture, 1, "b", "m3", 600).result.seq, 3);
    watch = fixture_acknowledge(fixture, 2, next);
    assert_false(watch->result.mail_reset);
    assert_string_equal(watch_told(watch), "*m3 ");
}

static void test_restart_keeps_counters_of_a_box_after_messages_are_forgotten(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_offer(fixture, 1, "b", "m1", 10);
    struct cursor next = fixture_read(fixture, 2)->result.next;
    fixture_acknowledge(fixture, 2, next);
    fixture_advance(fixture, 120 * 1000);
    fixture_restart(fixture);
    assert_int_equal(send_offer(fixture, 1, "b", "m2", 10).result.seq, 2);
    struct watch *watch = fixture_acknowledge(fixture, 2, next);
    assert_false(watch->result.mail_reset);
    assert_string_equal(watch_told(watch), "*m2 ");
}

static void test_restart_keeps_what_was_given(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_offer(fixture, 1, "b", "m1", 20);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 ");
    send_offer(fixture, 1, "b", "m2", 20);
    fixture_restart(fixture);
    fixture_advance(fixture, 21000);
    struct watch *watch = fixture_read(fixture, 1);
    assert_int_equal(watch->message_count, 1);
    assert_string_equal(watch->messages[0].type, "undeliverable");
    assert_non_null(strstr(watch->messages[0].body, "m2 to b"));
}

static void test_restart_keeps_quotas(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    for (unsigned i = 0; i < LIMIT_BOX_SENDER_MESSAGES; i++) {
        char id[8];
        snprintf(id, sizeof(id), "m%u", i);
        send_offer(fixture, 1, "b", id, 600);
    }
    fixture_restart(fixture);
    struct caller caller = fixture_node(1);
    struct send_request request = {
        .to = "b", .id = "n", .type = "offer", .body = "1", .body_size = 1};
    assert_fault(fixture_send(fixture, &caller, &request).fault, ERROR_MAILBOX_FULL);
    fixture_acknowledge(fixture, 2, fixture_read(fixture, 2)->result.next);
    assert_fault(fixture_send(fixture, &caller, &request).fault, 0);
}

static void test_restart_ends_messages_that_expired_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_offer(fixture, 1, "b", "m1", 20);
    send_offer(fixture, 1, "b", "m2", 600);
    fixture->wall_ms += 60 * 1000;
    fixture_restart(fixture);
    fixture_advance(fixture, 1000);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m2 ");
    struct watch *watch = fixture_read(fixture, 1);
    assert_int_equal(watch->message_count, 1);
    assert_non_null(strstr(watch->messages[0].body, "m1 to b"));
}

static void test_restart_keeps_memory_of_retries(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    fixture_join_for(fixture, "c", 3, LIMIT_TTL_MAX_S);
    struct delivery first = send_offer(fixture, 1, "b", "m1", 10);
    fixture_acknowledge(fixture, 2, fixture_read(fixture, 2)->result.next);
    struct delivery to_c = send_offer(fixture, 1, "c", "m1", 10);
    fixture_leave(fixture, "c", 3);
    fixture_restart(fixture);
    assert_int_equal(send_offer(fixture, 1, "b", "m1", 10).result.seq, first.result.seq);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "");
    assert_int_equal(send_offer(fixture, 1, "c", "m1", 10).result.seq, to_c.result.seq);
    struct caller caller = fixture_node(1);
    struct send_request other = {
        .to = "b", .id = "m1", .type = "offer", .body = "2", .body_size = 1};
    assert_fault(fixture_send(fixture, &caller, &other).fault, ERROR_MESSAGE_ID_REUSED);

    fixture_advance(fixture, 62 * 1000);
    assert_int_equal(send_offer(fixture, 1, "b", "m1", 10).result.seq, first.result.seq + 1);
}

/* What is remembered of a message to a node that has left still holds the node's number. */
static void test_restart_takes_no_number_of_a_node_that_messages_hold(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_offer(fixture, 1, "b", "m1", 10);
    fixture_leave(fixture, "b", 2);
    fixture_restart(fixture);
    fixture_join(fixture, "c", 3);
    assert_int_equal(send_offer(fixture, 1, "c", "m2", 10).result.seq, 1);
    assert_string_equal(watch_told(fixture_read(fixture, 3)), "*m2 ");
    assert_int_equal(fixture->losses, 0);
}

static void join_network(
    struct fixture *fixture, const char *network, const char *id, unsigned number)
{
    struct caller caller = fixture_node(number);
    struct register_request request = {.id = id, .network = network};
    assert_fault(fixture_register(fixture, &caller, &request).fault, 0);
}

/* The same with the number of a network that was dropped: what was sent there is no first answer to
 * what is sent in the network that comes after it. */
static void test_restart_takes_no_number_of_a_network_that_messages_hold(void **state)
{
    struct fixture *fixture = *state;
    join_network(fixture, "red", "a", 1);
    join_network(fixture, "red", "b", 2);
    assert_int_equal(send_offer(fixture, 1, "b", "m1", 600).result.seq, 1);
    assert_int_equal(send_offer(fixture, 1, "b", "m2", 600).result.seq, 2);
    fixture_leave(fixture, "b", 2);
    fixture_leave(fixture, "a", 1);
    fixture_advance(fixture, 2 * LIMIT_DROP_AFTER_MS);
    fixture_restart(fixture);
    join_network(fixture, "blue", "a", 1);
    join_network(fixture, "blue", "b", 2);
    assert_int_equal(send_offer(fixture, 1, "b", "m2", 600).result.seq, 1);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m2 ");
    assert_int_equal(fixture->losses, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_expiry_shows_within_a_second),
        FIXTURE_TEST(test_expiry_is_put_off_by_signs_of_life),
        FIXTURE_TEST(test_expiry_follows_a_shorter_ttl),
        FIXTURE_TEST(test_expiry_is_not_put_off_by_reading_or_sending),
        FIXTURE_TEST(test_expiry_ignores_jumps_of_the_wall_clock),
        FIXTURE_TEST(test_expiry_makes_index_due_in_time),
        FIXTURE_TEST(test_expiry_of_many_goes_in_batches),
        FIXTURE_TEST(test_restart_gives_each_lease_a_full_ttl),
        FIXTURE_TEST(test_restart_keeps_nodes_and_their_tokens),
        FIXTURE_TEST(test_restart_keeps_cursors_and_tombstones),
        FIXTURE_TEST(test_restart_keeps_networks_apart),
        FIXTURE_TEST(test_restart_counts_nodes_by_address_again),
        FIXTURE_TEST(test_restart_keeps_messages_and_counters),
        FIXTURE_TEST(test_restart_keeps_counters_of_a_box_after_messages_are_forgotten),
        FIXTURE_TEST(test_restart_keeps_what_was_given),
        FIXTURE_TEST(test_restart_keeps_quotas),
        FIXTURE_TEST(test_restart_ends_messages_that_expired_meanwhile),
        FIXTURE_TEST(test_restart_keeps_memory_of_retries),
        FIXTURE_TEST(test_restart_takes_no_number_of_a_node_that_messages_hold),
        FIXTURE_TEST(test_restart_takes_no_number_of_a_network_that_messages_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
