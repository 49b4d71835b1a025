/* Parked polls: what wakes them, how often, and how each of them ends. */
#include "index_fixture.h"

#include <stdio.h>
#include <string.h>

static struct caller visitor(void)
{
    return fixture_stranger("198.51.100.99");
}

/* Parks a poll, which must not be answered at once. */
static struct watch *park(
    struct fixture *fixture, const struct caller *caller, const struct poll_request *request)
{
    struct watch *watch = fixture_poll(fixture, caller, request);
    fixture_settle(fixture);
    assert_int_equal(watch->calls, 0);
    assert_non_null(watch->poll);
    return watch;
}

static struct watch *park_list(struct fixture *fixture, double wait_s)
{
    struct caller caller = visitor();
    struct poll_request request = poll_changes(fixture_cursor(fixture, NULL), wait_s);
    return park(fixture, &caller, &request);
}

static struct watch *park_mail(struct fixture *fixture, unsigned number, double wait_s)
{
    struct caller caller = fixture_node(number);
    struct poll_request request = poll_mail(wait_s);
    return park(fixture, &caller, &request);
}

static void expect_answered(const struct watch *watch, const char *told)
{
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, 0);
    assert_string_equal(watch_told(watch), told);
}

/* --- waking ---------------------------------------------------------------------------------- */

static void test_poll_is_woken_by_change(void **state)
{
    struct fixture *fixture = *state;
    struct watch *watch = park_list(fixture, 30);
    fixture_advance(fixture, 5000);
    assert_int_equal(watch->calls, 0);
    struct cursor now = fixture_join(fixture, "a", 1).cursor;
    fixture_settle(fixture);
    expect_answered(watch, "+a ");
    assert_true(cursor_equal(watch->result.cursor, now));
    assert_true(watch->result.list_changed);
    assert_false(watch->result.reset);

    watch = park_list(fixture, 30);
    fixture_leave(fixture, "a", 1);
    fixture_settle(fixture);
    expect_answered(watch, "-a ");

    fixture_join(fixture, "b", 2);
    watch = park_list(fixture, 55);
    fixture_advance(fixture, 31000);
    expect_answered(watch, "-b ");
}

static void test_poll_is_not_woken_by_other_networks_or_unlisted(void **state)
{
    struct fixture *fixture = *state;
    struct watch *watch = park_list(fixture, 30);
    struct caller caller = fixture_node(1);
    struct register_request red = {.id = "a", .network = "red", .listed = true};
    assert_fault(fixture_register(fixture, &caller, &red).fault, 0);
    caller = fixture_node(2);
    struct register_request unlisted = {.id = "b"};
    assert_fault(fixture_register(fixture, &caller, &unlisted).fault, 0);
    fixture_advance(fixture, 1000);
    assert_int_equal(watch->calls, 0);
}

static void test_poll_of_many_are_all_woken(void **state)
{
    struct fixture *fixture = *state;
    struct watch *watches[50];
    for (size_t i = 0; i < 50; i++)
        watches[i] = park_list(fixture, 30);
    fixture_join(fixture, "a", 1);
    fixture_settle(fixture);
    for (size_t i = 0; i < 50; i++)
        expect_answered(watches[i], "+a ");
}

static void test_poll_with_news_is_answered_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = fixture_join(fixture, "a", 1).cursor;
    fixture_join(fixture, "b", 2);
    struct caller caller = visitor();
    struct poll_request request = poll_changes(before, 30);
    expect_answered(fixture_poll(fixture, &caller, &request), "+b ");
    request.has_since = false;
    expect_answered(fixture_poll(fixture, &caller, &request), "+a +b ");

    fixture_offer(fixture, 1, "b", "m1");
    struct caller reader = fixture_node(2);
    request = poll_mail(30);
    expect_answered(fixture_poll(fixture, &reader, &request), "*m1 ");
}

static void test_poll_is_woken_by_mail(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    struct watch *watch = park_mail(fixture, 2, 20);
    fixture_advance(fixture, 5000);
    assert_int_equal(watch->calls, 0);
    fixture_offer(fixture, 1, "b", "m1");
    fixture_settle(fixture);
    expect_answered(watch, "*m1 ");
    assert_int_equal(watch->result.next.seq, 1);
}

static void test_poll_events_hears_of_both(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    struct cursor now = fixture_join(fixture, "b", 2).cursor;
    struct caller reader = fixture_node(2);
    struct poll_request request = poll_events(now, 20);
    struct watch *watch = park(fixture, &reader, &request);
    struct cursor changed = fixture_join(fixture, "c", 3).cursor;
    fixture_settle(fixture);
    expect_answered(watch, "+c ");
    assert_between(watch->result.heartbeat_after_s, 9.0, 11.0);

    fixture_advance(fixture, 1000);
    request = poll_events(changed, 20);
    watch = park(fixture, &reader, &request);
    fixture_offer(fixture, 1, "b", "m1");
    fixture_settle(fixture);
    expect_answered(watch, "*m1 ");
    assert_true(cursor_equal(watch->result.cursor, changed));
    assert_false(watch->result.list_changed);

    fixture_advance(fixture, 1000);
    fixture_join(fixture, "d", 4);
    watch = fixture_poll(fixture, &reader, &request);
    assert_int_equal(watch->calls, 1);
    assert_non_null(strstr(watch_told(watch), "+d "));
    assert_non_null(strstr(watch_told(watch), "*m1 "));
}

/* --- at most every 100 ms -------------------------------------------------------------------- */

static void test_poll_that_heard_lately_hears_changes_together(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = visitor();
    struct poll_request request = poll_changes(fixture_cursor(fixture, NULL), 30);
    request.heard_ms = fixture->now_ms;
    struct watch *watch = park(fixture, &caller, &request);
    fixture_join(fixture, "a", 1);
    fixture_advance(fixture, 50);
    assert_int_equal(watch->calls, 0);
    struct cursor last = fixture_join(fixture, "b", 2).cursor;
    fixture_advance(fixture, 48);
    assert_int_equal(watch->calls, 0);
    fixture_advance(fixture, 2);
    expect_answered(watch, "+a +b ");
    assert_true(cursor_equal(watch->result.cursor, last));
}

static void test_poll_that_heard_lately_waits_also_for_old_news(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = visitor();
    struct poll_request request = poll_changes(fixture_cursor(fixture, NULL), 30);
    fixture_join(fixture, "a", 1);
    request.heard_ms = fixture->now_ms;
    struct watch *watch = park(fixture, &caller, &request);
    fixture_advance(fixture, 101);
    expect_answered(watch, "+a ");
}

static void test_poll_that_heard_long_ago_hears_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = visitor();
    struct poll_request request = poll_changes(fixture_cursor(fixture, NULL), 30);
    request.heard_ms = fixture->now_ms - 100;
    struct watch *watch = park(fixture, &caller, &request);
    fixture_join(fixture, "a", 1);
    fixture_settle(fixture);
    expect_answered(watch, "+a ");
}

static void test_poll_that_heard_lately_gets_mail_at_once(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    struct cursor now = fixture_join(fixture, "b", 2).cursor;
    struct caller reader = fixture_node(2);
    struct poll_request request = poll_events(now, 20);
    request.heard_ms = fixture->now_ms;
    struct watch *watch = park(fixture, &reader, &request);
    fixture_offer(fixture, 1, "b", "m1");
    fixture_settle(fixture);
    expect_answered(watch, "*m1 ");
}

static void test_poll_of_one_node_hears_every_100_ms_on_any_connection(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    struct caller caller = fixture_node(1);
    fixture_advance(fixture, 1000);
    struct poll_request request = poll_events(fixture_cursor(fixture, NULL), 20);
    struct watch *watch = park(fixture, &caller, &request);
    struct cursor heard = fixture_join(fixture, "b", 2).cursor;
    fixture_settle(fixture);
    expect_answered(watch, "+b ");

    request = poll_events(heard, 20);
    watch = park(fixture, &caller, &request);
    fixture_join(fixture, "c", 3);
    fixture_advance(fixture, 90);
    assert_int_equal(watch->calls, 0);
    fixture_advance(fixture, 10);
    expect_answered(watch, "+c ");
}

static void test_poll_without_wait_tells_changes_however_lately_heard(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = visitor();
    struct poll_request request = poll_changes(fixture_cursor(fixture, NULL), 0);
    request.heard_ms = fixture->now_ms;
    fixture_join(fixture, "a", 1);
    expect_answered(fixture_poll(fixture, &caller, &request), "+a ");
}

/* --- how a wait ends ------------------------------------------------------------------------- */

static void test_poll_past_its_wait_is_answered_empty(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, 600);
    struct cursor now = fixture_cursor(fixture, NULL);
    struct watch *list = park_list(fixture, 10);
    struct watch *mail = park_mail(fixture, 1, 10.5);
    fixture_advance(fixture, 9990);
    assert_int_equal(list->calls, 0);
    fixture_advance(fixture, 20);
    expect_answered(list, "");
    assert_true(cursor_equal(list->result.cursor, now));
    assert_false(list->result.list_changed);
    assert_false(list->result.reset);
    assert_false(list->result.more);
    assert_int_equal(mail->calls, 0);
    fixture_advance(fixture, 500);
    expect_answered(mail, "");
    assert_false(mail->result.mail_reset);
}

static void test_poll_without_wait_is_answered_at_once(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "");
    struct cursor now = fixture_cursor(fixture, NULL);
    struct watch *watch = fixture_changes(fixture, NULL, now, 10);
    expect_answered(watch, "");
}

static void test_poll_of_newer_reader_supersedes(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    struct watch *older = park_mail(fixture, 2, 20);
    struct watch *newer = park_mail(fixture, 2, 20);
    assert_int_equal(older->calls, 1);
    assert_fault(older->fault, ERROR_SUPERSEDED);
    assert_string_equal(watch_told(older), "");
    fixture_offer(fixture, 1, "b", "m1");
    fixture_settle(fixture);
    expect_answered(newer, "*m1 ");

    /* It is one reader a mailbox, not one in all. */
    struct watch *a = park_mail(fixture, 1, 20);
    fixture_acknowledge(fixture, 2, newer->result.next);
    struct watch *b = park_mail(fixture, 2, 20);
    assert_int_equal(a->calls, 0);
    struct cursor now = fixture_cursor(fixture, NULL);
    struct caller reader = fixture_node(2);
    struct poll_request list = poll_changes(now, 20);
    park(fixture, &reader, &list);
    assert_int_equal(b->calls, 0);
    struct poll_request events = poll_events(now, 20);
    struct watch *both = park(fixture, &reader, &events);
    assert_int_equal(b->calls, 1);
    assert_fault(b->fault, ERROR_SUPERSEDED);
    assert_int_equal(both->calls, 0);
}

static void test_poll_of_newer_reader_gets_mail_that_waits(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    fixture_offer(fixture, 1, "b", "m1");
    struct cursor next = fixture_read(fixture, 2)->result.next;
    struct caller reader = fixture_node(2);
    struct poll_request request = poll_mail_after(next, 20);
    struct watch *older = park(fixture, &reader, &request);
    fixture_offer(fixture, 1, "b", "m2");
    struct watch *newer = fixture_poll(fixture, &reader, &request);
    fixture_settle(fixture);
    expect_answered(newer, "*m2 ");
    assert_int_equal(older->calls, 1);
    if (older->fault.error == 0)
        assert_string_equal(watch_told(older), "*m2 ");
    else
        assert_fault(older->fault, ERROR_SUPERSEDED);
}

static void test_poll_without_wait_supersedes_nobody(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    struct watch *watch = park_mail(fixture, 2, 20);
    expect_answered(fixture_read(fixture, 2), "");
    fixture_settle(fixture);
    assert_int_equal(watch->calls, 0);
    fixture_offer(fixture, 1, "b", "m1");
    fixture_settle(fixture);
    expect_answered(watch, "*m1 ");
}

static void test_poll_that_is_cut_is_answered_empty(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    struct watch *list = park_list(fixture, 20);
    struct watch *mail = park_mail(fixture, 2, 20);
    index_poll_cut(list->poll);
    fixture_flush(fixture);
    expect_answered(list, "");
    assert_true(cursor_equal(list->result.cursor, fixture_cursor(fixture, NULL)));
    index_poll_cut(mail->poll);
    fixture_flush(fixture);
    expect_answered(mail, "");
    assert_false(fixture_offer(fixture, 1, "b", "m1").result.handed);
    fixture_join(fixture, "c", 3);
    fixture_advance(fixture, 21000);
    assert_int_equal(list->calls, 1);
    assert_int_equal(mail->calls, 1);
}

static void test_poll_that_is_cut_is_answered_with_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = visitor();
    struct poll_request request = poll_changes(fixture_cursor(fixture, NULL), 30);
    request.heard_ms = fixture->now_ms;
    struct watch *watch = park(fixture, &caller, &request);
    fixture_join(fixture, "a", 1);
    fixture_settle(fixture);
    assert_int_equal(watch->calls, 0);
    index_poll_cut(watch->poll);
    fixture_flush(fixture);
    expect_answered(watch, "");

    /* Nothing is lost: its cursor is still the one that it asked with. */
    assert_true(cursor_equal(watch->result.cursor, request.since));
    assert_string_equal(
        watch_told(fixture_changes(fixture, NULL, watch->result.cursor, 10)), "+a ");
}

static void test_poll_is_answered_empty_on_release(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    struct watch *list = park_list(fixture, 20);
    struct watch *mail = park_mail(fixture, 1, 20);
    struct caller reader = fixture_node(2);
    struct poll_request request = poll_events(fixture_cursor(fixture, NULL), 20);
    struct watch *events = park(fixture, &reader, &request);
    index_release(fixture->index);
    fixture_flush(fixture);
    expect_answered(list, "");
    expect_answered(mail, "");
    expect_answered(events, "");
    assert_true(cursor_equal(events->result.cursor, fixture_cursor(fixture, NULL)));

    /* From here on nobody is parked. */
    expect_answered(fixture_poll(fixture, &reader, &request), "");
    assert_fault(fixture_join(fixture, "c", 3).fault, 0);
    expect_answered(fixture_poll(fixture, &reader, &request), "+c ");
}

/* --- leases ---------------------------------------------------------------------------------- */

static void test_poll_that_renews_extends_the_lease(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, 10);
    struct caller caller = fixture_node(1);
    struct cursor now = fixture_cursor(fixture, NULL);
    for (int i = 0; i < 3; i++) {
        fixture_advance(fixture, 8000);
        struct poll_request request = poll_events(now, 0);
        struct watch *watch = fixture_poll(fixture, &caller, &request);
        expect_answered(watch, "");
        assert_between(watch->result.heartbeat_after_s, 3.0, 3.67);
    }
    fixture_advance(fixture, 9900);
    assert_true(fixture_has_node(fixture, "a"));
    fixture_advance(fixture, 1100);
    assert_false(fixture_has_node(fixture, "a"));
}

static void test_poll_that_does_not_renew_leaves_the_lease(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, 10);
    fixture_advance(fixture, 8000);
    fixture_read(fixture, 1);
    struct caller caller = fixture_node(1);
    struct poll_request request = poll_changes(fixture_cursor(fixture, NULL), 0);
    expect_answered(fixture_poll(fixture, &caller, &request), "");
    fixture_advance(fixture, 3000);
    assert_false(fixture_has_node(fixture, "a"));
}

static void test_poll_whose_lease_expires_is_unknown(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, 5);
    fixture_join_for(fixture, "b", 2, 5);
    struct watch *mail = park_mail(fixture, 1, 55);
    struct caller caller = fixture_node(2);
    struct poll_request request = poll_events(fixture_cursor(fixture, NULL), 55);
    struct watch *events = park(fixture, &caller, &request);
    fixture_advance(fixture, 4900);
    assert_int_equal(mail->calls, 0);
    assert_int_equal(events->calls, 0);
    fixture_advance(fixture, 1100);
    assert_int_equal(mail->calls, 1);
    assert_fault(mail->fault, ERROR_UNKNOWN_NODE);
    assert_action(mail->fault, "register");
    assert_int_equal(events->calls, 1);
    assert_fault(events->fault, ERROR_UNKNOWN_NODE);
    assert_action(events->fault, "register");
}

static void test_poll_whose_node_is_removed_is_unknown(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    struct watch *watch = park_mail(fixture, 1, 55);
    fixture_leave(fixture, "a", 1);
    fixture_settle(fixture);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, ERROR_UNKNOWN_NODE);
    assert_action(watch->fault, "register");
}

static void test_poll_of_owner_that_registers_again_goes_on(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    struct watch *watch = park_mail(fixture, 2, 20);
    fixture_join(fixture, "b", 2);
    fixture_settle(fixture);
    assert_int_equal(watch->calls, 0);
    assert_true(fixture_offer(fixture, 1, "b", "m1").result.handed);
    fixture_settle(fixture);
    expect_answered(watch, "*m1 ");
}

static void test_poll_events_needs_token_of_live_node(void **state)
{
    struct fixture *fixture = *state;
    struct cursor now = fixture_cursor(fixture, NULL);
    struct poll_request request = poll_events(now, 20);
    struct caller stranger = visitor(), unknown = fixture_node(9);
    struct watch *watch = fixture_poll(fixture, &stranger, &request);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, ERROR_NO_CREDENTIAL);
    watch = fixture_poll(fixture, &unknown, &request);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, ERROR_UNKNOWN_NODE);
    assert_action(watch->fault, "register");
}

static void test_poll_filter_is_kept_while_parked(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = visitor();
    struct poll_request request = poll_changes(fixture_cursor(fixture, NULL), 30);
    struct watch *watch = fixture_poll_matching(fixture, &caller, &request, "master", 0);
    assert_int_equal(watch->calls, 0);
    struct caller owner = fixture_node(1);
    struct register_request join = {.id = "a", .meta = "{\"role\":\"master\"}", .listed = true};
    assert_fault(fixture_register(fixture, &owner, &join).fault, 0);
    fixture_settle(fixture);
    expect_answered(watch, "+a ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_poll_is_woken_by_change),
        FIXTURE_TEST(test_poll_is_not_woken_by_other_networks_or_unlisted),
        FIXTURE_TEST(test_poll_of_many_are_all_woken),
        FIXTURE_TEST(test_poll_with_news_is_answered_at_once),
        FIXTURE_TEST(test_poll_is_woken_by_mail),
        FIXTURE_TEST(test_poll_events_hears_of_both),
        FIXTURE_TEST(test_poll_that_heard_lately_hears_changes_together),
        FIXTURE_TEST(test_poll_that_heard_lately_waits_also_for_old_news),
        FIXTURE_TEST(test_poll_that_heard_long_ago_hears_at_once),
        FIXTURE_TEST(test_poll_that_heard_lately_gets_mail_at_once),
        FIXTURE_TEST(test_poll_of_one_node_hears_every_100_ms_on_any_connection),
        FIXTURE_TEST(test_poll_without_wait_tells_changes_however_lately_heard),
        FIXTURE_TEST(test_poll_past_its_wait_is_answered_empty),
        FIXTURE_TEST(test_poll_without_wait_is_answered_at_once),
        FIXTURE_TEST(test_poll_of_newer_reader_supersedes),
        FIXTURE_TEST(test_poll_of_newer_reader_gets_mail_that_waits),
        FIXTURE_TEST(test_poll_without_wait_supersedes_nobody),
        FIXTURE_TEST(test_poll_that_is_cut_is_answered_empty),
        FIXTURE_TEST(test_poll_that_is_cut_is_answered_with_nothing),
        FIXTURE_TEST(test_poll_is_answered_empty_on_release),
        FIXTURE_TEST(test_poll_that_renews_extends_the_lease),
        FIXTURE_TEST(test_poll_that_does_not_renew_leaves_the_lease),
        FIXTURE_TEST(test_poll_whose_lease_expires_is_unknown),
        FIXTURE_TEST(test_poll_whose_node_is_removed_is_unknown),
        FIXTURE_TEST(test_poll_of_owner_that_registers_again_goes_on),
        FIXTURE_TEST(test_poll_events_needs_token_of_live_node),
        FIXTURE_TEST(test_poll_filter_is_kept_while_parked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
