/* What asking does before it waits, and what becomes of a wait whose reason has gone. */
#include "index_fixture.h"

static struct watch *park(
    struct fixture *fixture, const struct caller *caller, const struct poll_request *request)
{
    struct watch *watch = fixture_poll(fixture, caller, request);
    fixture_settle(fixture);
    assert_int_equal(watch->calls, 0);
    return watch;
}

static void expect_answered(const struct watch *watch, const char *told)
{
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, 0);
    assert_string_equal(watch_told(watch), told);
}

/* --- a refused question ---------------------------------------------------------------------- */

/* An index with keys, and a node "a" of token 1 in the network "blue" that has read m1. Returns how
 * to acknowledge it. */
static struct cursor join_keyed(struct fixture *fixture)
{
    char token[FIXTURE_TOKEN_SIZE];
    struct caller member = fixture_keyed("203.0.113.1", "blue", false);
    struct register_request join = {
        .id = "a", .listed = true, .ttl_s = 10, .token = fixture_token(1, token)};
    fixture->config.open = false;
    fixture_restart(fixture);
    assert_fault(fixture_register(fixture, &member, &join).fault, 0);
    fixture_offer(fixture, 1, "a", "m1");
    struct watch *watch = fixture_read(fixture, 1);
    assert_string_equal(watch_told(watch), "*m1 ");
    return watch->result.next;
}

static void expect_refused(struct fixture *fixture, const struct poll_request *request, int error)
{
    struct caller caller = fixture_node(1);
    struct watch *watch = fixture_poll(fixture, &caller, request);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, error);
}

/* Asks for everything, in ways that are refused for the list's sake. */
static void ask_wrongly(struct fixture *fixture, struct cursor next)
{
    struct poll_request request = poll_events((struct cursor){0}, 20);
    request.has_after = true;
    request.after = next;
    request.network = "red";
    expect_refused(fixture, &request, ERROR_OTHER_NETWORK);
    request.network = "no name";
    expect_refused(fixture, &request, ERROR_BAD_ID);
    request.network = NULL;
    request.after_id = "no id";
    expect_refused(fixture, &request, ERROR_BAD_ID);
}

static void test_asking_that_is_refused_acknowledges_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct cursor next = join_keyed(fixture);
    ask_wrongly(fixture, next);
    assert_string_equal(watch_told(fixture_read(fixture, 1)), "*m1 ");
    assert_string_equal(watch_told(fixture_acknowledge(fixture, 1, next)), "");
}

static void test_asking_that_is_refused_renews_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct cursor next = join_keyed(fixture);
    fixture_advance(fixture, 8000);
    ask_wrongly(fixture, next);
    assert_int_equal(index_node_count(fixture->index), 1);
    fixture_advance(fixture, 3000);
    assert_int_equal(index_node_count(fixture->index), 0);
}

static void test_asking_that_is_refused_supersedes_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct cursor next = join_keyed(fixture);
    struct caller caller = fixture_node(1);
    struct poll_request request = poll_mail_after(next, 20);
    struct watch *watch = park(fixture, &caller, &request);
    ask_wrongly(fixture, next);
    fixture_settle(fixture);
    assert_int_equal(watch->calls, 0);
    assert_true(fixture_offer(fixture, 1, "a", "m2").result.handed);
    fixture_settle(fixture);
    expect_answered(watch, "*m2 ");
}

/* --- a reason that has gone ------------------------------------------------------------------ */

static void test_asking_woken_for_mail_that_vanished_hears_of_the_list_in_time(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    struct cursor now = fixture_cursor(fixture, NULL);
    struct cursor next = fixture_read(fixture, 2)->result.next;
    struct caller a = fixture_node(1), b = fixture_node(2), c = fixture_node(3);
    struct poll_request events = poll_events(now, 20);
    events.heard_ms = fixture->now_ms;
    struct watch *watch = park(fixture, &b, &events);

    /* In one batch: a message wakes the poll, a node comes, the message is acknowledged. */
    struct send_request message = {
        .to = "b", .id = "m1", .type = "offer", .body = "1", .body_size = 1};
    struct register_request join = {.id = "c", .listed = true};
    struct delivery sent = {0};
    struct registration joined = {0};
    struct outcome acknowledged = {0};
    next.seq++;
    struct poll_request acknowledge = poll_mail_after(next, 0);
    index_send(fixture->index, &a, &message, fixture_on_sent, &sent);
    index_register(fixture->index, &c, &join, fixture_on_registered, &joined);
    index_poll(fixture->index, &b, &acknowledge, fixture_on_polled, &acknowledged);
    fixture_flush(fixture);
    assert_int_equal(sent.calls + joined.calls + acknowledged.calls, 3);
    assert_int_equal(sent.result.seq, next.seq);
    assert_fault(joined.fault, 0);
    assert_fault(acknowledged.fault, 0);

    assert_int_equal(watch->calls, 0);
    fixture_advance(fixture, LIMIT_HEAR_EVERY_MS - 1);
    assert_int_equal(watch->calls, 0);
    fixture_advance(fixture, 1);
    fixture_settle(fixture);
    expect_answered(watch, "+c ");
}

/* Where nothing else has happened it waits on, and the next message is for it. */
static void test_asking_woken_for_mail_that_vanished_waits_on(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    struct cursor next = fixture_read(fixture, 2)->result.next;
    struct caller a = fixture_node(1), b = fixture_node(2);
    struct poll_request mail = poll_mail(20);
    struct watch *watch = park(fixture, &b, &mail);
    struct send_request message = {
        .to = "b", .id = "m1", .type = "offer", .body = "1", .body_size = 1};
    struct delivery sent = {0};
    struct outcome acknowledged = {0};
    next.seq++;
    struct poll_request acknowledge = poll_mail_after(next, 0);
    index_send(fixture->index, &a, &message, fixture_on_sent, &sent);
    index_poll(fixture->index, &b, &acknowledge, fixture_on_polled, &acknowledged);
    fixture_flush(fixture);
    assert_int_equal(sent.calls + acknowledged.calls, 2);
    fixture_advance(fixture, 5000);
    assert_int_equal(watch->calls, 0);
    assert_true(fixture_offer(fixture, 1, "b", "m2").result.handed);
    fixture_settle(fixture);
    expect_answered(watch, "*m2 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_asking_that_is_refused_acknowledges_nothing),
        FIXTURE_TEST(test_asking_that_is_refused_renews_nothing),
        FIXTURE_TEST(test_asking_that_is_refused_supersedes_nobody),
        FIXTURE_TEST(test_asking_woken_for_mail_that_vanished_hears_of_the_list_in_time),
        FIXTURE_TEST(test_asking_woken_for_mail_that_vanished_waits_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
