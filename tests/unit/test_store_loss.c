/* A commit that fails: whoever was told by its batch gets 503, and what is true is what was true
 * before. After a loss the index may refuse writes for up to a second. */
#include "index_fixture.h"

#include <string.h>

#define RECOVERY_MS 1100

static void join_pair(struct fixture *fixture)
{
    fixture_join_for(fixture, "a", 1, LIMIT_TTL_MAX_S);
    fixture_join_for(fixture, "b", 2, LIMIT_TTL_MAX_S);
}

static struct registration try_to_join(struct fixture *fixture, const char *id, unsigned number)
{
    struct caller caller = fixture_node(number);
    struct register_request request = {.id = id, .listed = true};
    return fixture_register(fixture, &caller, &request);
}

static struct delivery try_to_send(struct fixture *fixture, const char *id)
{
    struct caller caller = fixture_node(1);
    struct send_request request = {
        .to = "b", .id = id, .type = "offer", .body = "1", .body_size = 1, .ttl_s = 600};
    return fixture_send(fixture, &caller, &request);
}

static void test_loss_during_registration_leaves_no_node(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = fixture_join(fixture, "a", 1).cursor;
    store_memory_fail_next_flush(fixture->store);
    struct registration result = try_to_join(fixture, "b", 2);
    assert_fault(result.fault, ERROR_STORE_FAILED);
    assert_int_equal(index_node_count(fixture->index), 1);
    fixture_advance(fixture, RECOVERY_MS);
    assert_false(fixture_has_node(fixture, "b"));
    assert_string_equal(watch_told(fixture_list(fixture, NULL)), "+a ");
    assert_true(cursor_equal(fixture_cursor(fixture, NULL), before));

    /* Neither the id nor the token is held by what never was. */
    result = try_to_join(fixture, "b", 3);
    assert_fault(result.fault, 0);
    assert_true(result.created);
    result = try_to_join(fixture, "c", 2);
    assert_fault(result.fault, 0);
    assert_true(result.created);
    assert_string_equal(watch_told(fixture_changes(fixture, NULL, before, 10)), "+b +c ");
}

static void test_loss_in_a_network_that_was_new_leaves_its_cursor(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = fixture_cursor(fixture, "red");
    struct caller caller = fixture_node(1);
    struct register_request request = {.id = "a", .network = "red", .listed = true};
    store_memory_fail_next_flush(fixture->store);
    assert_fault(fixture_register(fixture, &caller, &request).fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, RECOVERY_MS);
    assert_true(cursor_equal(fixture_cursor(fixture, "red"), before));
    assert_fault(fixture_register(fixture, &caller, &request).fault, 0);
    struct watch *watch = fixture_changes(fixture, "red", before, 10);
    assert_false(watch->result.reset);
    assert_string_equal(watch_told(watch), "+a ");
}

static void test_loss_gives_room_back_under_the_caps(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.max_nodes = 1;
    fixture->config.max_nodes_per_address = 1;
    fixture_restart(fixture);
    store_memory_fail_next_flush(fixture->store);
    assert_fault(try_to_join(fixture, "a", 1).fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, RECOVERY_MS);
    assert_fault(try_to_join(fixture, "a", 1).fault, 0);
}

static void test_loss_of_a_batch_fails_all_of_it(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    struct registration joined = {0};
    struct outcome removed = {0};
    struct delivery sent = {0};
    struct caller a = fixture_node(1), b = fixture_node(2), c = fixture_node(3);
    struct register_request join = {.id = "c", .listed = true};
    struct send_request message = {
        .to = "b", .id = "m1", .type = "offer", .body = "1", .body_size = 1};
    store_memory_fail_next_flush(fixture->store);
    index_register(fixture->index, &c, &join, fixture_on_registered, &joined);
    index_send(fixture->index, &a, &message, fixture_on_sent, &sent);
    index_remove_node(fixture->index, &b, NULL, "b", fixture_on_done, &removed);
    assert_int_equal(joined.calls + sent.calls + removed.calls, 0);
    fixture_flush(fixture);
    assert_int_equal(joined.calls, 1);
    assert_int_equal(sent.calls, 1);
    assert_int_equal(removed.calls, 1);
    assert_fault(joined.fault, ERROR_STORE_FAILED);
    assert_fault(sent.fault, ERROR_STORE_FAILED);
    assert_fault(removed.fault, ERROR_STORE_FAILED);
    assert_true(removed.fault.retry_after_s > 0);
    fixture_advance(fixture, RECOVERY_MS);
    assert_string_equal(watch_told(fixture_list(fixture, NULL)), "+a +b ");
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "");
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "");
}

static void test_loss_during_heartbeat_leaves_the_old_meta(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = fixture_join(fixture, "a", 1).cursor;
    struct caller caller = fixture_node(1);
    struct heartbeat_request request = {.meta = "{\"x\":1}"};
    store_memory_fail_next_flush(fixture->store);
    struct beat beat = fixture_heartbeat(fixture, &caller, &request);
    assert_fault(beat.fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, RECOVERY_MS);
    struct watch *watch = fixture_list(fixture, NULL);
    assert_string_equal(watch->nodes[0].meta, "{}");
    assert_true(cursor_equal(watch->result.cursor, before));
    beat = fixture_heartbeat(fixture, &caller, &request);
    assert_fault(beat.fault, 0);
    assert_true(beat.result.cursor.seq > before.seq);
    assert_string_equal(fixture_list(fixture, NULL)->nodes[0].meta, "{\"x\":1}");
}

static void test_loss_during_send_leaves_no_message(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    assert_fault(try_to_send(fixture, "m1").fault, 0);
    store_memory_fail_next_flush(fixture->store);
    assert_fault(try_to_send(fixture, "m2").fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, RECOVERY_MS);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 ");

    /* The retry is a first: it is delivered, and once. */
    struct delivery delivery = try_to_send(fixture, "m2");
    assert_fault(delivery.fault, 0);
    assert_int_equal(delivery.result.seq, 2);
    assert_fault(try_to_send(fixture, "m3").fault, 0);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 *m2 *m3 ");
}

static void test_loss_during_first_send_leaves_an_empty_box(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    struct cursor next = fixture_read(fixture, 2)->result.next;
    store_memory_fail_next_flush(fixture->store);
    assert_fault(try_to_send(fixture, "m1").fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, RECOVERY_MS);
    struct watch *watch = fixture_acknowledge(fixture, 2, next);
    assert_false(watch->result.mail_reset);
    assert_string_equal(watch_told(watch), "");
    assert_fault(try_to_send(fixture, "m1").fault, 0);
    watch = fixture_acknowledge(fixture, 2, next);
    assert_false(watch->result.mail_reset);
    assert_string_equal(watch_told(watch), "*m1 ");
}

static void test_loss_during_acknowledgement_keeps_the_messages(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    assert_fault(try_to_send(fixture, "m1").fault, 0);
    struct cursor next = fixture_read(fixture, 2)->result.next;
    struct caller reader = fixture_node(2);
    struct poll_request request = poll_mail_after(next, 0);
    store_memory_fail_next_flush(fixture->store);
    struct watch *watch = fixture_poll(fixture, &reader, &request);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, RECOVERY_MS);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 ");
    watch = fixture_acknowledge(fixture, 2, next);
    assert_false(watch->result.mail_reset);
    assert_string_equal(watch_told(watch), "");
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "");
}

static void test_loss_during_removal_keeps_the_node(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    assert_fault(try_to_send(fixture, "m1").fault, 0);
    struct cursor before = fixture_cursor(fixture, NULL);
    struct caller caller = fixture_node(2);
    store_memory_fail_next_flush(fixture->store);
    struct outcome outcome = fixture_remove(fixture, &caller, NULL, "b");
    assert_fault(outcome.fault, ERROR_STORE_FAILED);
    assert_int_equal(index_node_count(fixture->index), 2);
    fixture_advance(fixture, RECOVERY_MS);
    assert_true(fixture_has_node(fixture, "b"));
    assert_true(cursor_equal(fixture_cursor(fixture, NULL), before));
    struct heartbeat_request request = {0};
    assert_fault(fixture_heartbeat(fixture, &caller, &request).fault, 0);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 ");
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "");

    fixture_leave(fixture, "b", 2);
    assert_false(fixture_has_node(fixture, "b"));
    assert_string_equal(watch_told(fixture_changes(fixture, NULL, before, 10)), "-b ");
    assert_int_equal(fixture_read(fixture, 1)->message_count, 1);
}

static void test_loss_during_expiry_is_made_up_for(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, LIMIT_TTL_MAX_S);
    struct cursor before = fixture_join_for(fixture, "b", 2, 10).cursor;
    assert_fault(try_to_send(fixture, "m1").fault, 0);
    fixture_jump(fixture, 10500);
    assert_true(index_next_due_ms(fixture->index) <= fixture->now_ms);
    store_memory_fail_next_flush(fixture->store);
    index_tick(fixture->index);
    assert_true(fixture->store->open_batch);
    fixture_flush(fixture);
    assert_int_equal(index_node_count(fixture->index), 2);

    /* A lease may have been given its full ttl anew, but it does not stay. */
    fixture_advance(fixture, 12000);
    assert_false(fixture_has_node(fixture, "b"));
    assert_string_equal(watch_told(fixture_changes(fixture, NULL, before, 10)), "-b ");
    struct watch *watch = fixture_read(fixture, 1);
    assert_int_equal(watch->message_count, 1);
    assert_string_equal(watch->messages[0].type, "undeliverable");
}

static void test_loss_of_expiring_message_is_made_up_for(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    struct caller caller = fixture_node(1);
    struct send_request request = {
        .to = "b", .id = "m1", .type = "offer", .body = "1", .body_size = 1, .ttl_s = 5};
    assert_fault(fixture_send(fixture, &caller, &request).fault, 0);
    fixture_jump(fixture, 5500);
    store_memory_fail_next_flush(fixture->store);
    index_tick(fixture->index);
    assert_true(fixture->store->open_batch);
    fixture_flush(fixture);
    fixture_advance(fixture, 2 * RECOVERY_MS);
    struct watch *watch = fixture_read(fixture, 1);
    assert_int_equal(watch->message_count, 1);
    assert_string_equal(watch->messages[0].type, "undeliverable");
}

static void test_loss_leaves_parked_polls(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct caller reader = fixture_node(2);
    struct cursor now = fixture_cursor(fixture, NULL);
    struct poll_request request = poll_changes(now, 50);
    struct watch *list = fixture_poll(fixture, &stranger, &request);
    request = poll_events(now, 50);
    request.heard_ms = fixture->now_ms;
    struct watch *events = fixture_poll(fixture, &reader, &request);
    fixture_settle(fixture);
    assert_int_equal(list->calls + events->calls, 0);

    store_memory_fail_next_flush(fixture->store);
    assert_fault(try_to_join(fixture, "ghost", 3).fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, RECOVERY_MS);
    store_memory_fail_next_flush(fixture->store);
    assert_fault(try_to_send(fixture, "ghost").fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, RECOVERY_MS);
    assert_int_equal(list->calls + events->calls, 0);

    assert_true(try_to_send(fixture, "m1").result.handed);
    fixture_settle(fixture);
    assert_int_equal(events->calls, 1);
    assert_fault(events->fault, 0);
    assert_string_equal(watch_told(events), "*m1 ");
    assert_int_equal(list->calls, 0);
    fixture_join(fixture, "c", 4);
    fixture_settle(fixture);
    assert_int_equal(list->calls, 1);
    assert_fault(list->fault, 0);
    assert_string_equal(watch_told(list), "+c ");
}

/* A reader whose own end was undone waits on, or is told what failed: not that it is unknown. */
static void test_loss_of_the_readers_own_removal_is_no_end(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    struct caller reader = fixture_node(2);
    struct poll_request request = poll_mail(50);
    struct watch *watch = fixture_poll(fixture, &reader, &request);
    store_memory_fail_next_flush(fixture->store);
    struct outcome outcome = fixture_remove(fixture, &reader, NULL, "b");
    assert_fault(outcome.fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, RECOVERY_MS);
    if (watch->calls == 1) {
        assert_fault(watch->fault, ERROR_STORE_FAILED);
        watch = fixture_poll(fixture, &reader, &request);
    }
    assert_int_equal(watch->calls, 0);
    assert_true(try_to_send(fixture, "m1").result.handed);
    fixture_settle(fixture);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, 0);
    assert_string_equal(watch_told(watch), "*m1 ");
}

static void test_loss_of_the_readers_registration_ends_its_poll(void **state)
{
    struct fixture *fixture = *state;
    struct registration joined = {0};
    struct caller caller = fixture_node(1);
    struct register_request join = {.id = "a", .listed = true};
    struct poll_request request = poll_mail(50);
    index_register(fixture->index, &caller, &join, fixture_on_registered, &joined);
    store_memory_fail_next_flush(fixture->store);
    struct watch *watch = fixture_poll(fixture, &caller, &request);
    assert_int_equal(joined.calls, 1);
    assert_fault(joined.fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, RECOVERY_MS);
    assert_int_equal(watch->calls, 1);
    assert_int_not_equal(watch->fault.error, 0);
    assert_int_equal(index_node_count(fixture->index), 0);
}

static void test_loss_during_registration_leaves_the_old_lease(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, 5);
    struct caller caller = fixture_node(1);
    struct register_request request = {.id = "a", .ttl_s = 7200};
    store_memory_fail_next_flush(fixture->store);
    assert_fault(fixture_register(fixture, &caller, &request).fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, RECOVERY_MS);
    struct watch *watch = fixture_list(fixture, NULL);
    assert_string_equal(watch_told(watch), "+a ");
    assert_between(watch->nodes[0].age_s, 0.0, 5.0);
    assert_between(watch->nodes[0].expires_in_s, 0.0, 5.0);
    fixture_advance(fixture, 6000);
    assert_false(fixture_has_node(fixture, "a"));

    fixture_join_for(fixture, "a", 1, 7200);
    request.ttl_s = 5;
    store_memory_fail_next_flush(fixture->store);
    assert_fault(fixture_register(fixture, &caller, &request).fault, ERROR_STORE_FAILED);
    fixture_advance(fixture, 10000);
    assert_true(fixture_has_node(fixture, "a"));
}

/* The message is committed, but that it was given to the parked reader is not: the reader gets it
 * once or an error, and in the end nobody has lost it. */
static void test_loss_of_the_given_mark_loses_no_message(void **state)
{
    struct fixture *fixture = *state;
    join_pair(fixture);
    struct caller reader = fixture_node(2), sender = fixture_node(1);
    struct poll_request request = poll_mail(50);
    struct watch *watch = fixture_poll(fixture, &reader, &request);
    struct send_request message = {
        .to = "b", .id = "m1", .type = "offer", .body = "1", .body_size = 1, .ttl_s = 600};
    struct delivery sent = {0};
    index_send(fixture->index, &sender, &message, fixture_on_sent, &sent);
    fixture->store->f->flush(fixture->store);
    if (!fixture->store->open_batch && watch->calls == 0)
        index_tick(fixture->index);
    assert_int_equal(sent.calls, 1);
    assert_fault(sent.fault, 0);
    if (fixture->store->open_batch)
        store_memory_fail_next_flush(fixture->store);
    fixture_flush(fixture);
    fixture_advance(fixture, RECOVERY_MS);
    assert_int_equal(watch->calls, 1);
    if (watch->fault.error == 0)
        assert_string_equal(watch_told(watch), "*m1 ");
    else
        assert_fault(watch->fault, ERROR_STORE_FAILED);
    assert_string_equal(watch_told(fixture_read(fixture, 2)), "*m1 ");
}

static void test_loss_twice_in_a_row_is_survived(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 3; i++) {
        store_memory_fail_next_flush(fixture->store);
        assert_fault(try_to_join(fixture, "a", 1).fault, ERROR_STORE_FAILED);
        fixture_advance(fixture, RECOVERY_MS);
        assert_int_equal(index_node_count(fixture->index), 0);
    }
    assert_fault(try_to_join(fixture, "a", 1).fault, 0);
    fixture_restart(fixture);
    assert_true(fixture_has_node(fixture, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_loss_during_registration_leaves_no_node),
        FIXTURE_TEST(test_loss_in_a_network_that_was_new_leaves_its_cursor),
        FIXTURE_TEST(test_loss_gives_room_back_under_the_caps),
        FIXTURE_TEST(test_loss_of_a_batch_fails_all_of_it),
        FIXTURE_TEST(test_loss_during_heartbeat_leaves_the_old_meta),
        FIXTURE_TEST(test_loss_during_send_leaves_no_message),
        FIXTURE_TEST(test_loss_during_first_send_leaves_an_empty_box),
        FIXTURE_TEST(test_loss_during_acknowledgement_keeps_the_messages),
        FIXTURE_TEST(test_loss_during_removal_keeps_the_node),
        FIXTURE_TEST(test_loss_during_expiry_is_made_up_for),
        FIXTURE_TEST(test_loss_of_expiring_message_is_made_up_for),
        FIXTURE_TEST(test_loss_leaves_parked_polls),
        FIXTURE_TEST(test_loss_of_the_readers_own_removal_is_no_end),
        FIXTURE_TEST(test_loss_of_the_readers_registration_ends_its_poll),
        FIXTURE_TEST(test_loss_during_registration_leaves_the_old_lease),
        FIXTURE_TEST(test_loss_of_the_given_mark_loses_no_message),
        FIXTURE_TEST(test_loss_twice_in_a_row_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
