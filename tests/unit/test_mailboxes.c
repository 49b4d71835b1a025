/* Mailboxes: order, acknowledgement, lifetimes, quotas, what sending answers. Retries and
 * undeliverables are in test_returns.c. */
#include "index_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Joins "a" to "d" with tokens 1 to 4, for as long as a lease can last. */
static void join_four(struct fixture *fixture)
{
    fixture_join_for(fixture, "a", 1, LIMIT_TTL_MAX_S);
    fixture_join_for(fixture, "b", 2, LIMIT_TTL_MAX_S);
    fixture_join_for(fixture, "c", 3, LIMIT_TTL_MAX_S);
    fixture_join_for(fixture, "d", 4, LIMIT_TTL_MAX_S);
}

static struct send_request message(const char *to, const char *id, const char *type)
{
    return (struct send_request){
        .to = to, .id = id, .type = type, .body = "{\"x\":1}", .body_size = 7};
}

static struct delivery send_from(
    struct fixture *fixture, unsigned number, const struct send_request *request)
{
    struct caller caller = fixture_node(number);
    return fixture_send(fixture, &caller, request);
}

/* Sends `count` messages of `size` bytes each, the last of which gets the returned answer. */
static struct delivery send_many(struct fixture *fixture, const struct caller *caller,
    const char *to, unsigned count, size_t size)
{
    static unsigned serial;
    struct delivery result = {0};
    char *body = malloc(size);
    assert_non_null(body);
    memset(body, 'x', size);
    if (size > 1)
        body[0] = body[size - 1] = '"';
    else
        body[0] = '1';
    for (unsigned i = 0; i < count; i++) {
        char id[32];
        snprintf(id, sizeof(id), "serial-%u", serial++);
        struct send_request request = {.to = to,
            .id = id,
            .type = "app",
            .body = body,
            .body_size = size,
            .ttl_s = LIMIT_MESSAGE_TTL_MAX_S};
        assert_fault(result.fault, 0);
        result = fixture_send(fixture, caller, &request);
    }
    free(body);
    return result;
}

static struct caller join_at(
    struct fixture *fixture, const char *id, unsigned number, const char *address)
{
    struct caller caller = fixture_owner(address, number);
    struct register_request request = {.id = id, .listed = true, .ttl_s = LIMIT_TTL_MAX_S};
    assert_fault(fixture_register(fixture, &caller, &request).fault, 0);
    return caller;
}

/* --- reading --------------------------------------------------------------------------------- */

static void test_mailbox_gives_messages_in_order_and_as_sent(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    struct send_request first = message("a", "z9", "offer");
    first.session = "s1";
    first.body = "{ \"sdp\" : \"v=0\\r\\n\" }";
    first.body_size = strlen(first.body);
    struct delivery delivery = send_from(fixture, 2, &first);
    assert_fault(delivery.fault, 0);
    assert_int_equal(delivery.result.seq, 1);
    assert_false(delivery.result.handed);
    struct send_request second = message("a", "a1", "x-app.y_z-0");
    delivery = send_from(fixture, 3, &second);
    assert_int_equal(delivery.result.seq, 2);
    fixture_advance(fixture, 1000);

    struct watch *watch = fixture_read(fixture, 1);
    assert_string_equal(watch_told(watch), "*z9 *a1 ");
    assert_false(watch->result.mail_reset);
    assert_int_equal(watch->result.next.seq, 2);
    const struct seen_message *seen = &watch->messages[0];
    struct caller sender = fixture_node(2);
    assert_int_equal(seen->seq, 1);
    assert_false(seen->from_index);
    assert_string_equal(seen->from, "b");
    assert_true(address_equal(&seen->from_address, &sender.address));
    assert_true(seen->has_session);
    assert_string_equal(seen->session, "s1");
    assert_string_equal(seen->type, "offer");
    assert_string_equal(seen->body, "{ \"sdp\" : \"v=0\\r\\n\" }");
    assert_true(seen->sent_wall_ms == fixture->wall_ms - 1000);
    assert_between(seen->expires_in_s, 8.9, 9.1);
    seen = &watch->messages[1];
    assert_int_equal(seen->seq, 2);
    assert_string_equal(seen->from, "c");
    assert_false(seen->has_session);
    assert_string_equal(seen->type, "x-app.y_z-0");
}

static void test_mailbox_reading_deletes_nothing(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    fixture_offer(fixture, 2, "a", "m1");
    fixture_offer(fixture, 2, "a", "m2");
    struct watch *first = fixture_read(fixture, 1);
    struct watch *second = fixture_read(fixture, 1);
    assert_string_equal(watch_told(first), "*m1 *m2 ");
    assert_string_equal(watch_told(second), "*m1 *m2 ");
    assert_true(cursor_equal(first->result.next, second->result.next));
}

static void test_mailbox_after_acknowledges_up_to_there(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    fixture_offer(fixture, 2, "a", "m1");
    fixture_offer(fixture, 2, "a", "m2");
    struct cursor next = fixture_read(fixture, 1)->result.next;
    fixture_offer(fixture, 2, "a", "m3");
    struct watch *watch = fixture_acknowledge(fixture, 1, next);
    assert_string_equal(watch_told(watch), "*m3 ");
    assert_false(watch->result.mail_reset);
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "*m3 ");
    watch = fixture_acknowledge(fixture, 1, watch->result.next);
    assert_string_equal(watch_told(watch), "");
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "");
}

static void test_mailbox_read_in_pages(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    fixture_offer(fixture, 2, "a", "m1");
    fixture_offer(fixture, 2, "a", "m2");
    fixture_offer(fixture, 2, "a", "m3");
    struct caller caller = fixture_node(1);
    struct poll_request request = poll_mail(0);
    request.mail_limit = 2;
    struct watch *watch = fixture_poll(fixture, &caller, &request);
    assert_string_equal(watch_told(watch), "*m1 *m2 ");
    assert_int_equal(watch->result.next.seq, 2);
    assert_string_equal(watch_told(fixture_acknowledge(fixture, 1, watch->result.next)), "*m3 ");

    request = poll_mail(0);
    fixture_offer(fixture, 2, "a", "m4");
    watch = fixture_poll_matching(fixture, &caller, &request, NULL, 1);
    assert_string_equal(watch_told(watch), "*m3 ");
    assert_int_equal(watch->result.next.seq, 3);
}

static void test_mailbox_next_is_never_behind_what_was_acknowledged(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    struct watch *empty = fixture_read(fixture, 1);
    fixture_offer(fixture, 2, "a", "m1");
    fixture_offer(fixture, 2, "a", "m2");
    struct watch *read = fixture_read(fixture, 1);
    assert_true(empty->result.next.epoch == read->result.next.epoch);
    struct watch *watch = fixture_acknowledge(fixture, 1, read->result.next);
    assert_true(cursor_equal(watch->result.next, read->result.next));
    watch = fixture_read(fixture, 1);
    assert_true(cursor_equal(watch->result.next, read->result.next));
    watch = fixture_acknowledge(fixture, 1, (struct cursor){read->result.next.epoch, 1});
    assert_false(watch->result.mail_reset);
    assert_true(cursor_equal(watch->result.next, read->result.next));
}

static void test_mailbox_foreign_or_future_after_resets(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    fixture_offer(fixture, 2, "a", "m1");
    fixture_offer(fixture, 2, "a", "m2");
    struct cursor next = fixture_read(fixture, 1)->result.next;
    const struct cursor wrong[] = {
        {next.epoch ^ 1, next.seq}, {next.epoch, next.seq + 1}, {next.epoch, UINT64_MAX}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct watch *watch = fixture_acknowledge(fixture, 1, wrong[i]);
        assert_true(watch->result.mail_reset);
        assert_string_equal(watch_told(watch), "*m1 *m2 ");
        assert_true(cursor_equal(watch->result.next, next));
    }
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "*m1 *m2 ");
}

static void test_mailbox_of_new_registration_resets_old_after(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    fixture_offer(fixture, 2, "a", "m1");
    fixture_offer(fixture, 2, "a", "m2");
    struct cursor old = fixture_read(fixture, 1)->result.next;
    fixture_leave(fixture, "a", 1);
    fixture_join(fixture, "a", 1);
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "");
    fixture_offer(fixture, 3, "a", "n1");
    fixture_offer(fixture, 3, "a", "n2");
    fixture_offer(fixture, 3, "a", "n3");
    struct watch *watch = fixture_acknowledge(fixture, 1, old);
    assert_true(watch->result.mail_reset);
    assert_string_equal(watch_told(watch), "*n1 *n2 *n3 ");
}

static void test_mailbox_counts_on_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    fixture_offer(fixture, 2, "a", "acknowledged");
    fixture_acknowledge(fixture, 1, fixture_read(fixture, 1)->result.next);
    fixture_restart(fixture);
    assert_int_equal(fixture_offer(fixture, 2, "a", "queued").result.seq, 2);
    fixture_restart(fixture);
    assert_int_equal(fixture_offer(fixture, 2, "a", "expired").result.seq, 3);
    struct cursor next = fixture_read(fixture, 1)->result.next;
    fixture_advance(fixture, (LIMIT_RETRY_MEMORY_S + 1) * 1000);
    assert_int_equal(index_message_count(fixture->index), 0);
    fixture_restart(fixture);
    assert_int_equal(fixture_offer(fixture, 2, "a", "last").result.seq, 4);
    struct watch *watch = fixture_acknowledge(fixture, 1, next);
    assert_false(watch->result.mail_reset);
    assert_string_equal(watch_told(watch), "*last ");
}

static void test_mailbox_stays_when_owner_registers_again(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    fixture_offer(fixture, 2, "a", "m1");
    fixture_join(fixture, "a", 1);
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "*m1 ");
}

static void test_mailbox_of_another_is_not_yours(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    fixture_offer(fixture, 2, "a", "m1");
    struct poll_request request = poll_mail(0);
    request.mailbox = "a";
    struct caller owner = fixture_node(1), other = fixture_node(2);
    struct caller stranger = fixture_stranger("198.51.100.99"), unknown = fixture_node(9);
    assert_string_equal(watch_told(fixture_poll(fixture, &owner, &request)), "*m1 ");
    struct watch *watch = fixture_poll(fixture, &other, &request);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, ERROR_NOT_YOURS);
    assert_string_equal(watch_told(watch), "");
    assert_fault(fixture_poll(fixture, &stranger, &request)->fault, ERROR_NO_CREDENTIAL);
    request.mailbox = NULL;
    watch = fixture_poll(fixture, &unknown, &request);
    assert_fault(watch->fault, ERROR_UNKNOWN_NODE);
    assert_action(watch->fault, "register");
}

/* --- sending --------------------------------------------------------------------------------- */

static void test_send_to_unknown_recipient_is_refused(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    struct send_request request = message("nobody", "m1", "offer");
    struct delivery delivery = send_from(fixture, 1, &request);
    assert_fault(delivery.fault, ERROR_UNKNOWN_NODE);
    assert_null(delivery.fault.action);

    struct caller red = fixture_node(5);
    struct register_request in_red = {.id = "e", .network = "red", .listed = true};
    assert_fault(fixture_register(fixture, &red, &in_red).fault, 0);
    request = message("e", "m1", "offer");
    assert_fault(send_from(fixture, 1, &request).fault, ERROR_UNKNOWN_NODE);
    request = message("a", "m1", "offer");
    assert_fault(send_from(fixture, 5, &request).fault, ERROR_UNKNOWN_NODE);
}

static void test_send_needs_token_of_live_node(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    struct send_request request = message("a", "m1", "offer");
    struct caller stranger = fixture_stranger("198.51.100.99");
    assert_fault(fixture_send(fixture, &stranger, &request).fault, ERROR_NO_CREDENTIAL);
    struct delivery delivery = send_from(fixture, 9, &request);
    assert_fault(delivery.fault, ERROR_UNKNOWN_NODE);
    assert_action(delivery.fault, "register");
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "");
}

static void test_send_to_oneself_is_delivered(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    fixture_offer(fixture, 1, "a", "m1");
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "*m1 ");
}

static void test_send_malformed_is_refused(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    const struct {
        const char *id;
        const char *type;
        const char *session;
    } bad[] = {{"m1", "undeliverable", NULL}, {"m1", "", NULL}, {"m1", "Offer", NULL},
        {"m1", "a b", NULL}, {"m1", "abcdefghijklmnopqrstuvwxyz0123456", NULL}, {"", "offer", NULL},
        {"m 1", "offer", NULL}, {"m1", "offer", "s 1"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct send_request request = message("a", bad[i].id, bad[i].type);
        request.session = bad[i].session;
        int error = send_from(fixture, 2, &request).fault.error;
        assert_int_not_equal(error, 0);
        assert_int_equal(error_http_status(error), 400);
    }
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "");
    struct send_request request = message("a", "m1", "abcdefghijklmnopqrstuvwxyz.123_-");
    assert_fault(send_from(fixture, 2, &request).fault, 0);
}

static void test_send_ttl_is_that_of_type_or_request(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    const struct {
        const char *type;
        int ttl_s;
        double expires_in_s;
    } cases[] = {{"knock", 0, 5}, {"ready", 0, 5}, {"offer", 0, 10}, {"answer", 0, 10},
        {"candidates", 0, 30}, {"bye", 0, 30}, {"x-app", 0, 30}, {"knock", 1, 1},
        {"offer", 600, 600}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char id[8];
        snprintf(id, sizeof(id), "m%zu", i);
        struct send_request request = message("a", id, cases[i].type);
        request.ttl_s = cases[i].ttl_s;
        struct delivery delivery = send_from(fixture, 2, &request);
        assert_fault(delivery.fault, 0);
        assert_between(delivery.result.expires_in_s, cases[i].expires_in_s - 0.01,
            cases[i].expires_in_s + 0.01);
    }
    assert_int_equal(fixture_read(fixture, 1)->message_count, 9);
    fixture_advance(fixture, 2000);
    assert_int_equal(fixture_read(fixture, 1)->message_count, 8);
    fixture_advance(fixture, 4000);
    assert_int_equal(fixture_read(fixture, 1)->message_count, 6);
    fixture_advance(fixture, 5000);
    assert_int_equal(fixture_read(fixture, 1)->message_count, 4);
    fixture_advance(fixture, 20000);
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "*m8 ");
}

static void test_send_to_waiting_reader_is_handed(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    assert_false(fixture_offer(fixture, 2, "a", "m1").result.handed);
    struct caller caller = fixture_node(1);
    struct poll_request request = poll_mail_after(fixture_read(fixture, 1)->result.next, 30);
    struct watch *watch = fixture_poll(fixture, &caller, &request);
    assert_int_equal(watch->calls, 0);
    assert_true(fixture_offer(fixture, 2, "a", "m2").result.handed);
    fixture_settle(fixture);
    assert_int_equal(watch->calls, 1);
    assert_string_equal(watch_told(watch), "*m2 ");
    assert_false(fixture_offer(fixture, 2, "a", "m3").result.handed);

    /* One who waits for the list alone reads no mail. */
    struct poll_request list = poll_changes(fixture_cursor(fixture, NULL), 30);
    watch = fixture_poll(fixture, &caller, &list);
    assert_int_equal(watch->calls, 0);
    assert_false(fixture_offer(fixture, 2, "a", "m4").result.handed);
}

/* --- quotas ---------------------------------------------------------------------------------- */

static void test_send_past_size_of_a_message_is_too_large(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    struct caller caller = fixture_node(2);
    struct delivery delivery = send_many(fixture, &caller, "a", 1, LIMIT_MESSAGE_BYTES + 1);
    assert_fault(delivery.fault, ERROR_TOO_LARGE);
    assert_fault(send_many(fixture, &caller, "a", 1, LIMIT_MESSAGE_BYTES).fault, 0);
    assert_int_equal(fixture_read(fixture, 1)->messages[0].body_size, LIMIT_MESSAGE_BYTES);
}

static void test_send_past_quota_of_sender_is_full(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    struct caller b = fixture_node(2), c = fixture_node(3);
    assert_fault(send_many(fixture, &b, "a", 16, 10).fault, 0);
    struct delivery delivery = send_many(fixture, &b, "a", 1, 10);
    assert_fault(delivery.fault, ERROR_MAILBOX_FULL);
    assert_true(delivery.fault.retry_after_s > 0);
    assert_fault(send_many(fixture, &b, "d", 1, 10).fault, 0);
    assert_fault(send_many(fixture, &c, "a", 1, 10).fault, 0);

    struct cursor next = fixture_read(fixture, 1)->result.next;
    assert_fault(send_many(fixture, &b, "a", 1, 10).fault, ERROR_MAILBOX_FULL);
    fixture_acknowledge(fixture, 1, next);
    assert_fault(send_many(fixture, &b, "a", 16, 10).fault, 0);
    assert_fault(send_many(fixture, &b, "a", 1, 10).fault, ERROR_MAILBOX_FULL);
    fixture_advance(fixture, 601 * 1000);
    assert_fault(send_many(fixture, &b, "a", 16, 10).fault, 0);
}

static void test_send_past_bytes_of_sender_is_full(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    struct caller b = fixture_node(2), c = fixture_node(3);
    assert_fault(send_many(fixture, &b, "a", 1, 65536 - 1).fault, 0);
    assert_fault(send_many(fixture, &b, "a", 1, 2).fault, ERROR_MAILBOX_FULL);
    assert_fault(send_many(fixture, &b, "a", 1, 1).fault, 0);
    assert_fault(send_many(fixture, &b, "a", 1, 1).fault, ERROR_MAILBOX_FULL);
    assert_fault(send_many(fixture, &c, "a", 1, 1).fault, 0);
}

static void test_send_past_half_from_one_prefix_is_full(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    struct caller one = join_at(fixture, "s1", 11, "2001:db8:0:1::1");
    struct caller two = join_at(fixture, "s2", 12, "2001:db8:0:2::1");
    struct caller three = join_at(fixture, "s3", 13, "2001:db8:0:3::1");
    struct caller far = join_at(fixture, "s4", 14, "2001:db8:0:100::1");
    assert_fault(send_many(fixture, &one, "a", 16, 10).fault, 0);
    assert_fault(send_many(fixture, &two, "a", 15, 10).fault, 0);
    assert_fault(send_many(fixture, &three, "a", 1, 10).fault, 0);
    assert_fault(send_many(fixture, &three, "a", 1, 10).fault, ERROR_MAILBOX_FULL);
    assert_fault(send_many(fixture, &two, "a", 1, 10).fault, ERROR_MAILBOX_FULL);
    assert_fault(send_many(fixture, &far, "a", 1, 10).fault, 0);
}

static void test_send_past_half_of_bytes_from_one_prefix_is_full(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    struct caller one = join_at(fixture, "s1", 11, "198.51.100.4");
    struct caller two = join_at(fixture, "s2", 12, "198.51.100.4");
    struct caller three = join_at(fixture, "s3", 13, "198.51.100.4");
    struct caller far = join_at(fixture, "s4", 14, "198.51.100.5");
    assert_fault(send_many(fixture, &one, "a", 1, 65536).fault, 0);
    assert_fault(send_many(fixture, &two, "a", 1, 65536).fault, 0);
    assert_fault(send_many(fixture, &three, "a", 1, 1).fault, ERROR_MAILBOX_FULL);
    assert_fault(send_many(fixture, &far, "a", 1, 1).fault, 0);
}

static void test_send_past_quota_of_box_is_full(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    for (unsigned i = 0; i < 4; i++) {
        char id[8];
        snprintf(id, sizeof(id), "s%u", i);
        fixture_join(fixture, id, 20 + i);
        struct caller caller = fixture_node(20 + i);
        assert_fault(send_many(fixture, &caller, "a", 16, 10).fault, 0);
    }
    struct caller b = fixture_node(2);
    assert_fault(send_many(fixture, &b, "a", 1, 10).fault, ERROR_MAILBOX_FULL);
    struct watch *watch = fixture_read(fixture, 1);
    assert_int_equal(watch->message_count, 64);
    fixture_acknowledge(fixture, 1, watch->result.next);
    assert_fault(send_many(fixture, &b, "a", 1, 10).fault, 0);
}

static void test_send_past_bytes_of_box_is_full(void **state)
{
    struct fixture *fixture = *state;
    join_four(fixture);
    for (unsigned i = 0; i < 4; i++) {
        char id[8];
        snprintf(id, sizeof(id), "s%u", i);
        fixture_join(fixture, id, 20 + i);
        struct caller caller = fixture_node(20 + i);
        assert_fault(send_many(fixture, &caller, "a", 1, 65536).fault, 0);
    }
    struct caller b = fixture_node(2);
    assert_fault(send_many(fixture, &b, "a", 1, 1).fault, ERROR_MAILBOX_FULL);
    assert_fault(send_many(fixture, &b, "c", 1, 1).fault, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_mailbox_gives_messages_in_order_and_as_sent),
        FIXTURE_TEST(test_mailbox_reading_deletes_nothing),
        FIXTURE_TEST(test_mailbox_after_acknowledges_up_to_there),
        FIXTURE_TEST(test_mailbox_read_in_pages),
        FIXTURE_TEST(test_mailbox_next_is_never_behind_what_was_acknowledged),
        FIXTURE_TEST(test_mailbox_foreign_or_future_after_resets),
        FIXTURE_TEST(test_mailbox_of_new_registration_resets_old_after),
        FIXTURE_TEST(test_mailbox_counts_on_after_a_restart),
        FIXTURE_TEST(test_mailbox_stays_when_owner_registers_again),
        FIXTURE_TEST(test_mailbox_of_another_is_not_yours),
        FIXTURE_TEST(test_send_to_unknown_recipient_is_refused),
        FIXTURE_TEST(test_send_needs_token_of_live_node),
        FIXTURE_TEST(test_send_to_oneself_is_delivered),
        FIXTURE_TEST(test_send_malformed_is_refused),
        FIXTURE_TEST(test_send_ttl_is_that_of_type_or_request),
        FIXTURE_TEST(test_send_to_waiting_reader_is_handed),
        FIXTURE_TEST(test_send_past_size_of_a_message_is_too_large),
        FIXTURE_TEST(test_send_past_quota_of_sender_is_full),
        FIXTURE_TEST(test_send_past_bytes_of_sender_is_full),
        FIXTURE_TEST(test_send_past_half_from_one_prefix_is_full),
        FIXTURE_TEST(test_send_past_half_of_bytes_from_one_prefix_is_full),
        FIXTURE_TEST(test_send_past_quota_of_box_is_full),
        FIXTURE_TEST(test_send_past_bytes_of_box_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
