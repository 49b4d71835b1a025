/* What comes back to a sender: the first answer to a retry, and undeliverable messages. */
#include "index_fixture.h"

#include <string.h>

static void join_pair(struct fixture *fixture)
{
    fixture_join_for(fixture, "a", 1, LIMIT_TTL_MAX_S);
    fixture_join_for(fixture, "b", 2, LIMIT_TTL_MAX_S);
}

/* From "a" of token 1 to "b". */
static struct delivery send_to_b(struct fixture *fixture, const char *id, int ttl_s)
{
    struct caller caller = fixture_node(1);
    struct send_request request = {.to = "b",
        .id = id,
        .session = "s1",
        .type = "offer",
        .body = "{\"x\":1}",
        .body_size = 7,
        .ttl_s = ttl_s};
    return fixture_send(fixture, &caller, &request);
}

static struct watch *read_all(struct fixture *fixture, unsigned number)
{
    struct watch *watch = fixture_read(fixture, number);
    fixture_acknowledge(fixture, number, watch->result.next);
    return watch;
}

static void expect_undeliverable(struct watch *watch, size_t position, const char *body)
{
    assert_true(watch->message_count > position);
    const struct seen_message *seen = &watch->messages[position];
    assert_true(seen->from_index);
    assert_int_equal(seen->from_address.family, 0);
    assert_string_equal(seen->type, "undeliverable");
    assert_string_equal(seen->body, body);
    assert_true(seen->id[0] != '\0');
    assert_between(seen->expires_in_s, 58.0, 60.0);
}

/* --- retries --------------------------------------------------------------------------------- */

static void test_retry_gets_first_answer_and_no_second_message(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    fixture_offer(fixture, 1, "b", "m0");
    struct delivery first = send_to_b(fixture, "m1", 0);
    fixture_advance(fixture, 1000);
    struct delivery again = send_to_b(fixture, "m1", 0);
    assert_fault(again.fault, 0);
    assert_int_equal(again.result.seq, first.result.seq);
    assert_false(again.result.handed);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m0 *m1 ");
}

static void test_retry_after_acknowledgement_gets_first_answer(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    struct delivery first = send_to_b(fixture, "m1", 0);
    read_all(fixture, 2);
    struct delivery again = send_to_b(fixture, "m1", 0);
    assert_fault(again.fault, 0);
    assert_int_equal(again.result.seq, first.result.seq);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "");
}

static void test_retry_of_handed_message_is_handed(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    struct caller reader = fixture_node(2);
    struct poll_request request = poll_mail(30);
    struct watch *watch = fixture_poll(fixture, &reader, &request);
    struct delivery first = send_to_b(fixture, "m1", 0);
    assert_true(first.result.handed);
    fixture_settle(fixture);
    assert_int_equal(watch->calls, 1);
    struct delivery again = send_to_b(fixture, "m1", 0);
    assert_true(again.result.handed);
    assert_int_equal(again.result.seq, first.result.seq);
}

static void test_retry_does_not_turn_queued_into_handed(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    assert_false(send_to_b(fixture, "m1", 0).result.handed);
    struct cursor next = fixture_read(fixture, 2)->result.next;
    struct caller reader = fixture_node(2);
    struct poll_request request = poll_mail_after(next, 30);
    struct watch *watch = fixture_poll(fixture, &reader, &request);
    assert_int_equal(watch->calls, 0);
    assert_false(send_to_b(fixture, "m1", 0).result.handed);
    fixture_settle(fixture);
    assert_int_equal(watch->calls, 0);
}

static void test_retry_after_recipient_left_gets_first_answer(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    struct delivery first = send_to_b(fixture, "m1", 0);
    fixture_leave(fixture, "b", 2);
    struct delivery again = send_to_b(fixture, "m1", 0);
    assert_fault(again.fault, 0);
    assert_int_equal(again.result.seq, first.result.seq);
    assert_fault(send_to_b(fixture, "m2", 0).fault, ERROR_UNKNOWN_NODE);
    assert_int_equal(read_all(fixture, 1)->message_count, 1);
}

static void test_retry_into_full_mailbox_gets_first_answer(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    struct delivery first = send_to_b(fixture, "m1", 0);
    const char *ids[] = {"n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10", "n11", "n12",
        "n13", "n14", "n15"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        assert_fault(send_to_b(fixture, ids[i], 0).fault, 0);
    assert_fault(send_to_b(fixture, "n16", 0).fault, ERROR_MAILBOX_FULL);
    struct delivery again = send_to_b(fixture, "m1", 0);
    assert_fault(again.fault, 0);
    assert_int_equal(again.result.seq, first.result.seq);
}

static void expect_memory_of(struct fixture *fixture, int ttl_s, int64_t memory_s)
{
    join_pair(fixture);
    struct delivery first = send_to_b(fixture, "m1", ttl_s);
    fixture_acknowledge(fixture, 2, fixture_read(fixture, 2)->result.next);
    fixture_advance(fixture, memory_s * 1000 - 500);
    struct delivery again = send_to_b(fixture, "m1", ttl_s);
    assert_fault(again.fault, 0);
    assert_int_equal(again.result.seq, first.result.seq);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "");

    fixture_advance(fixture, 2000);
    again = send_to_b(fixture, "m1", ttl_s);
    assert_fault(again.fault, 0);
    assert_int_equal(again.result.seq, first.result.seq + 1);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 ");
}

static void test_retry_of_short_message_is_remembered_60_seconds(void **state)
{
    expect_memory_of(*state, 10, 60);
}

static void test_retry_of_long_message_is_remembered_its_ttl(void **state)
{
    expect_memory_of(*state, 600, 600);
}

static void test_retry_with_other_content_is_refused(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    assert_fault(send_to_b(fixture, "m1", 0).fault, 0);
    struct caller caller = fixture_node(1);
    const struct send_request first = {.to = "b",
        .id = "m1",
        .session = "s1",
        .type = "offer",
        .body = "{\"x\":1}",
        .body_size = 7};
    struct send_request other = first;
    other.body = "{\"x\":2}";
    assert_fault(fixture_send(fixture, &caller, &other).fault, ERROR_MESSAGE_ID_REUSED);
    other = first;
    other.type = "answer";
    assert_fault(fixture_send(fixture, &caller, &other).fault, ERROR_MESSAGE_ID_REUSED);
    other = first;
    other.session = "s2";
    assert_fault(fixture_send(fixture, &caller, &other).fault, ERROR_MESSAGE_ID_REUSED);
    other.session = NULL;
    assert_fault(fixture_send(fixture, &caller, &other).fault, ERROR_MESSAGE_ID_REUSED);
    assert_fault(fixture_send(fixture, &caller, &first).fault, 0);

    read_all(fixture, 2);
    assert_fault(fixture_send(fixture, &caller, &other).fault, ERROR_MESSAGE_ID_REUSED);
}

static void test_retry_is_of_one_sender_and_one_recipient(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    fixture_join(fixture, "c", 3);
    assert_int_equal(fixture_offer(fixture, 1, "b", "m1").result.seq, 1);
    assert_int_equal(fixture_offer(fixture, 3, "b", "m1").result.seq, 2);
    assert_int_equal(fixture_offer(fixture, 1, "c", "m1").result.seq, 1);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 *m1 ");
    assert_string_equal(watch_told(fixture_read(fixture, 3)), "*m1 ");
}

static void test_retry_of_sender_that_came_back_gets_first_answer(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    struct delivery first = send_to_b(fixture, "m1", 600);
    fixture_leave(fixture, "a", 1);
    fixture_join(fixture, "a", 1);
    struct delivery again = send_to_b(fixture, "m1", 600);
    assert_fault(again.fault, 0);
    assert_int_equal(again.result.seq, first.result.seq);

    /* The same where its lease ran out, and over a restart. */
    fixture_advance(fixture, 31000);
    assert_false(fixture_has_node(fixture, "a"));
    fixture_restart(fixture);
    fixture_join_for(fixture, "a", 1, LIMIT_TTL_MAX_S);
    again = send_to_b(fixture, "m1", 600);
    assert_fault(again.fault, 0);
    assert_int_equal(again.result.seq, first.result.seq);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 ");
}

static void test_retry_is_of_one_token_whoever_has_the_id(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    assert_int_equal(send_to_b(fixture, "m1", 600).result.seq, 1);
    fixture_leave(fixture, "a", 1);
    fixture_join_for(fixture, "a", 3, LIMIT_TTL_MAX_S);
    struct delivery delivery = fixture_offer(fixture, 3, "b", "m1");
    assert_int_equal(delivery.result.seq, 2);
    assert_int_equal(fixture_offer(fixture, 3, "b", "m1").result.seq, 2);

    /* The same content makes it no retry either. */
    fixture_leave(fixture, "a", 3);
    fixture_join_for(fixture, "a", 4, LIMIT_TTL_MAX_S);
    assert_int_equal(fixture_offer(fixture, 4, "b", "m1").result.seq, 3);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 *m1 *m1 ");

    /* Each of them is answered for its own, also after a restart. */
    fixture_restart(fixture);
    assert_int_equal(fixture_offer(fixture, 4, "b", "m1").result.seq, 3);
    fixture_leave(fixture, "a", 4);
    fixture_join_for(fixture, "a", 1, LIMIT_TTL_MAX_S);
    delivery = send_to_b(fixture, "m1", 600);
    assert_fault(delivery.fault, 0);
    assert_int_equal(delivery.result.seq, 1);
    fixture_leave(fixture, "a", 1);
    fixture_join_for(fixture, "a", 3, LIMIT_TTL_MAX_S);
    assert_int_equal(fixture_offer(fixture, 3, "b", "m1").result.seq, 2);
    assert_int_equal(fixture_read(fixture, 2)->message_count, 3);
}

/* --- undeliverable --------------------------------------------------------------------------- */

static void test_undeliverable_comes_when_message_expires_unread(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_to_b(fixture, "m1", 5);
    fixture_advance(fixture, 4900);
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "");
    fixture_advance(fixture, 1100);
    struct watch *watch = fixture_read(fixture, 1);
    assert_int_equal(watch->message_count, 1);
    expect_undeliverable(watch, 0, "\"m1 to b session s1 type offer reason expired\"");
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "");
}

static void test_undeliverable_wakes_the_sender(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_to_b(fixture, "m1", 5);
    struct caller sender = fixture_node(1);
    struct poll_request request = poll_mail(30);
    struct watch *watch = fixture_poll(fixture, &sender, &request);
    fixture_advance(fixture, 4900);
    assert_int_equal(watch->calls, 0);
    fixture_advance(fixture, 1100);
    assert_int_equal(watch->calls, 1);
    expect_undeliverable(watch, 0, "\"m1 to b session s1 type offer reason expired\"");
}

static void test_undeliverable_not_when_given_message_expires(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_to_b(fixture, "m1", 5);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 ");
    fixture_advance(fixture, 6000);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "");
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "");
}

static void test_undeliverable_comes_for_what_page_did_not_reach(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_to_b(fixture, "m1", 5);
    send_to_b(fixture, "m2", 5);
    struct caller reader = fixture_node(2);
    struct poll_request request = poll_mail(0);
    request.mail_limit = 1;
    assert_string_equal(watch_told(fixture_poll(fixture, &reader, &request)), "*m1 ");
    fixture_advance(fixture, 6000);
    struct watch *watch = fixture_read(fixture, 1);
    assert_int_equal(watch->message_count, 1);
    expect_undeliverable(watch, 0, "\"m2 to b session s1 type offer reason expired\"");
}

static void test_undeliverable_comes_when_recipient_is_removed(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_to_b(fixture, "m1", 0);
    read_all(fixture, 2);
    send_to_b(fixture, "m2", 0);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m2 ");
    send_to_b(fixture, "m3", 0);
    fixture_leave(fixture, "b", 2);
    struct watch *watch = fixture_read(fixture, 1);
    assert_int_equal(watch->message_count, 2);
    expect_undeliverable(watch, 0, "\"m2 to b session s1 type offer reason gone\"");
    expect_undeliverable(watch, 1, "\"m3 to b session s1 type offer reason gone\"");
    assert_string_not_equal(watch->messages[0].id, watch->messages[1].id);
}

static void test_undeliverable_comes_when_recipient_expires(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, LIMIT_TTL_MAX_S);
    fixture_join_for(fixture, "b", 2, 10);
    send_to_b(fixture, "m1", 600);
    fixture_advance(fixture, 11000);
    struct watch *watch = fixture_read(fixture, 1);
    assert_int_equal(watch->message_count, 1);
    expect_undeliverable(watch, 0, "\"m1 to b session s1 type offer reason gone\"");
}

static void test_undeliverable_names_no_session_where_there_was_none(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    fixture_offer(fixture, 1, "b", "m1");
    fixture_leave(fixture, "b", 2);
    struct watch *watch = fixture_read(fixture, 1);
    expect_undeliverable(watch, 0, "\"m1 to b session  type offer reason gone\"");
}

static void test_undeliverable_is_outside_all_quotas(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_to_b(fixture, "m1", 0);
    for (unsigned i = 0; i < 4; i++) {
        const char id[] = {(char)('p' + i), '\0'};
        fixture_join(fixture, id, 20 + i);
        for (unsigned k = 0; k < 16; k++) {
            const char message_id[] = {(char)('A' + k), '\0'};
            fixture_offer(fixture, 20 + i, "a", message_id);
        }
    }
    fixture_leave(fixture, "b", 2);
    struct watch *watch = fixture_read(fixture, 1);
    assert_int_equal(watch->message_count, 65);
    expect_undeliverable(watch, 64, "\"m1 to b session s1 type offer reason gone\"");
}

static void test_undeliverable_for_no_undeliverable(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_to_b(fixture, "m1", 1);
    fixture_advance(fixture, 2000);
    assert_int_equal(fixture_read(fixture, 1)->message_count, 1);
    fixture_advance(fixture, 61000);
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "");
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "");

    send_to_b(fixture, "m2", 1);
    fixture_advance(fixture, 2000);
    fixture_leave(fixture, "a", 1);
    fixture_advance(fixture, 2000);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "");
}

static void test_undeliverable_not_to_sender_that_is_gone(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_to_b(fixture, "m1", 5);
    fixture_leave(fixture, "a", 1);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 ");
    fixture_leave(fixture, "b", 2);
    fixture_advance(fixture, 6000);
    fixture_join(fixture, "a", 3);
    assert_string_equal(watch_told(fixture_read(fixture, 3)), "");
}

static void test_undeliverable_not_to_another_that_took_the_id(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_to_b(fixture, "m1", 5);
    fixture_leave(fixture, "a", 1);
    fixture_join(fixture, "a", 3);
    fixture_advance(fixture, 6000);
    assert_string_equal(watch_told(fixture_read(fixture, 3)), "");
}

static void test_undeliverable_to_sender_that_came_back(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_to_b(fixture, "m1", 5);
    send_to_b(fixture, "m2", 600);
    fixture_leave(fixture, "a", 1);
    fixture_join_for(fixture, "a", 1, LIMIT_TTL_MAX_S);
    fixture_advance(fixture, 6000);
    struct watch *watch = read_all(fixture, 1);
    assert_int_equal(watch->message_count, 1);
    expect_undeliverable(watch, 0, "\"m1 to b session s1 type offer reason expired\"");
    fixture_restart(fixture);
    fixture_leave(fixture, "b", 2);
    watch = fixture_read(fixture, 1);
    assert_int_equal(watch->message_count, 1);
    expect_undeliverable(watch, 0, "\"m2 to b session s1 type offer reason gone\"");
}

static void test_undeliverable_not_to_another_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    send_to_b(fixture, "m1", 600);
    fixture_leave(fixture, "a", 1);
    fixture_join_for(fixture, "a", 3, LIMIT_TTL_MAX_S);
    fixture_restart(fixture);
    fixture_leave(fixture, "b", 2);
    assert_string_equal(watch_told(fixture_read(fixture, 3)), "");
}

static void test_undeliverable_of_message_to_oneself_ends_with_its_node(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    fixture_offer(fixture, 1, "a", "m1");
    fixture_leave(fixture, "a", 1);
    fixture_join(fixture, "a", 1);
    fixture_settle(fixture);
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_retry_gets_first_answer_and_no_second_message),
        FIXTURE_TEST(test_retry_after_acknowledgement_gets_first_answer),
        FIXTURE_TEST(test_retry_of_handed_message_is_handed),
        FIXTURE_TEST(test_retry_does_not_turn_queued_into_handed),
        FIXTURE_TEST(test_retry_after_recipient_left_gets_first_answer),
        FIXTURE_TEST(test_retry_into_full_mailbox_gets_first_answer),
        FIXTURE_TEST(test_retry_of_short_message_is_remembered_60_seconds),
        FIXTURE_TEST(test_retry_of_long_message_is_remembered_its_ttl),
        FIXTURE_TEST(test_retry_with_other_content_is_refused),
        FIXTURE_TEST(test_retry_is_of_one_sender_and_one_recipient),
        FIXTURE_TEST(test_retry_of_sender_that_came_back_gets_first_answer),
        FIXTURE_TEST(test_retry_is_of_one_token_whoever_has_the_id),
        FIXTURE_TEST(test_undeliverable_comes_when_message_expires_unread),
        FIXTURE_TEST(test_undeliverable_wakes_the_sender),
        FIXTURE_TEST(test_undeliverable_not_when_given_message_expires),
        FIXTURE_TEST(test_undeliverable_comes_for_what_page_did_not_reach),
        FIXTURE_TEST(test_undeliverable_comes_when_recipient_is_removed),
        FIXTURE_TEST(test_undeliverable_comes_when_recipient_expires),
        FIXTURE_TEST(test_undeliverable_names_no_session_where_there_was_none),
        FIXTURE_TEST(test_undeliverable_is_outside_all_quotas),
        FIXTURE_TEST(test_undeliverable_for_no_undeliverable),
        FIXTURE_TEST(test_undeliverable_not_to_sender_that_is_gone),
        FIXTURE_TEST(test_undeliverable_not_to_another_that_took_the_id),
        FIXTURE_TEST(test_undeliverable_to_sender_that_came_back),
        FIXTURE_TEST(test_undeliverable_not_to_another_after_a_restart),
        FIXTURE_TEST(test_undeliverable_of_message_to_oneself_ends_with_its_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
