/* What the client asks of an index, and when: an index of the test's own sees every request. */
#include "client.h"
#include "client_help.h"
#include "fake_index.h"
#include "index_help.h"
#include "signpost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_SIZE 8192

struct fixture {
    uv_loop_t loop;
    struct fake_index index;
    struct fake_connection *held; /* a request that is not answered yet */
    const char *indexes[2];
    struct member a;
    size_t registers, polls, beats, deletes; /* that came */
    size_t step;
    char last[1024]; /* heartbeat's body */
};

static char link_log[LOG_SIZE]; /* what the client's log said */

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    uv_loop_init(&fixture->loop);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    member_stop(&fixture->loop, &fixture->a);
    fake_stop(&fixture->index);
    help_close_loop(&fixture->loop);
    free(fixture);
    return 0;
}

static void on_log(signpost_log_level_t level, const char *text, void *user)
{
    (void)level;
    (void)user;
    size_t length = strlen(link_log);
    snprintf(link_log + length, sizeof link_log - length, "%s\n", text);
}

static void start(struct fixture *fixture, fake_answer answer, const signpost_config_t *more)
{
    signpost_config_t config = more ? *more : (signpost_config_t){0};

    config.on_log = on_log;
    config.log_level = SIGNPOST_LOG_INFO;
    link_log[0] = '\0';
    fake_start(&fixture->loop, &fixture->index, answer, fixture);
    fixture->indexes[0] = fixture->index.url;
    member_start(&fixture->loop, &fixture->a, "a", fixture->indexes, &config);
}

/* Counts what came, and answers what needs no thought: to be called first. */
static bool answer_usual(struct fixture *fixture, struct fake_connection *connection)
{
    if (fake_is(connection, "POST", "/register")) {
        fixture->registers++;
        fake_reply(connection, 201, "", FAKE_REGISTERED);
    } else if (fake_is(connection, "DELETE", "/nodes/a")) {
        fixture->deletes++;
        fake_reply(connection, 204, "", "");
    } else if (fake_is(connection, "POST", "/heartbeat")) {
        fixture->beats++;
        snprintf(fixture->last, sizeof fixture->last, "%s", connection->body);
        fake_reply(connection, 200, "", FAKE_HEARTBEAT);
    } else {
        fixture->polls++;
        return false;
    }
    return true;
}

static bool waits(const struct fake_connection *connection)
{
    return !strstr(connection->body, "\"wait\":0") && strstr(connection->body, "\"wait\":");
}

static void on_time(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static bool is_true(void *user)
{
    return *(bool *)user;
}

static void run_for(uv_loop_t *loop, uint64_t time_ms)
{
    uv_timer_t timer;
    bool over = false;

    uv_timer_init(loop, &timer);
    timer.data = &over;
    uv_timer_start(&timer, on_time, time_ms, 0);
    run_until(loop, is_true, &over);
    help_close((uv_handle_t *)&timer);
}

/* --- a lease that is lost -------------------------------------------------------------------- */

static void answer_unknown(struct fake_index *index, struct fake_connection *connection)
{
    if (!answer_usual(index->user, connection))
        fake_reply(connection, 404, "", FAKE_FORGOTTEN);
}

static bool is_refused(void *user)
{
    return ((struct member *)user)->status[0].state == SIGNPOST_INDEX_REFUSED;
}

/* A key that looks like a node's token is one to the index. */
static void test_link_watch_only_with_the_token_of_nobody_is_told_and_tries_again(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, answer_unknown, &(signpost_config_t){.watch_only = true, .key = "token"});
    run_until(&fixture->loop, is_refused, &fixture->a);
    run_for(&fixture->loop, 3000);
    assert_true(fixture->polls > 1);
}

static void test_link_index_that_forgets_at_once_is_asked_less_and_less(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, answer_unknown, NULL);
    run_for(&fixture->loop, 6000);
    assert_true(fixture->registers >= 2);
    assert_in_range(fixture->registers, 2, 12);
}

/* --- polls that are cut ---------------------------------------------------------------------- */

static bool is_held(void *user)
{
    return ((struct fixture *)user)->held != NULL;
}

static void answer_and_hold(struct fake_index *index, struct fake_connection *connection)
{
    struct fixture *fixture = index->user;

    if (answer_usual(fixture, connection))
        return;
    if (waits(connection))
        fixture->held = connection;
    else if (fixture->step)
        fake_reply(connection, 404, "", FAKE_FORGOTTEN);
    else
        fake_reply(connection, 200, "", FAKE_EVENTS("false", ""));
}

static void test_link_cut_poll_with_retry_after_is_not_followed_before(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, answer_and_hold, NULL);
    run_until(&fixture->loop, is_held, fixture);
    run_for(&fixture->loop, 700);
    size_t before = fixture->polls;
    fake_reply(fixture->held, 503, "Retry-After: 3\r\n", "busy");
    run_for(&fixture->loop, 2500);
    assert_int_equal(fixture->polls, before);
}

static bool has_registered_twice(void *user)
{
    const struct fixture *fixture = user;
    return fixture->registers == 2 && !fixture->step && fixture->held;
}

static void on_forgotten(struct fake_index *index, struct fake_connection *connection)
{
    struct fixture *fixture = index->user;

    answer_and_hold(index, connection);
    if (fixture->registers == 2)
        fixture->step = 0;
}

/* An index that was started anew, and not an ingress that cuts. */
static void test_link_poll_cut_by_an_index_that_forgot_all_shortens_none(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, on_forgotten, NULL);
    run_until(&fixture->loop, is_held, fixture);
    run_for(&fixture->loop, 700);
    fixture->step = 1;
    struct fake_connection *held = fixture->held;
    fixture->held = NULL;
    fake_reply(held, 504, "", "cut");
    run_until(&fixture->loop, has_registered_twice, fixture);
    assert_null(strstr(link_log, "are cut"));
}

/* --- Retry-After, and more to come ----------------------------------------------------------- */

static void answer_in_parts(struct fake_index *index, struct fake_connection *connection)
{
    struct fixture *fixture = index->user;

    if (answer_usual(fixture, connection))
        return;
    if (!strstr(connection->body, "since"))
        fake_reply(connection, 200, "", FAKE_EVENTS("false", ""));
    else if (fixture->polls < 5)
        fake_reply(connection, 200, "", FAKE_EVENTS("true", "{\"id\":\"c\",\"endpoints\":[]}"));
    else
        fake_reply(connection, 200, "", FAKE_EVENTS("false", "{\"id\":\"b\",\"endpoints\":[]}"));
}

static void test_link_at_an_interval_what_is_left_of_the_news_is_asked_for_at_once(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, answer_in_parts, &(signpost_config_t){.poll_interval_ms = 2000});
    run_until_ready(&fixture->loop, &fixture->a, 1);
    uint64_t begin_ms = uv_hrtime() / 1000000;
    run_until_told(&fixture->loop, &fixture->a, "+b ");
    assert_in_range(uv_hrtime() / 1000000 - begin_ms, 0, 4000);
}

static void answer_busy(struct fake_index *index, struct fake_connection *connection)
{
    struct fixture *fixture = index->user;

    if (!answer_usual(fixture, connection))
        fake_reply(connection, 429, "Retry-After: 3\r\n",
            "{\"code\":\"too_many_requests\",\"title\":\"\",\"action\":\"retry\"}");
}

static bool has_polled(void *user)
{
    return ((struct fixture *)user)->polls > 0;
}

static void test_link_retry_after_holds_also_when_our_addresses_change(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, answer_busy, NULL);
    run_until(&fixture->loop, has_polled, fixture);
    run_for(&fixture->loop, 100);
    client_addresses_changed(fixture->a.client);
    run_for(&fixture->loop, 2000);
    assert_int_equal(fixture->polls, 1);
}

/* --- the end --------------------------------------------------------------------------------- */

static void answer_nothing(struct fake_index *index, struct fake_connection *connection)
{
    struct fixture *fixture = index->user;

    if (fake_is(connection, "POST", "/register"))
        fixture->held = connection;
    else
        answer_usual(fixture, connection);
}

static void test_link_stopped_while_it_registers_takes_the_node_out(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, answer_nothing, NULL);
    run_until(&fixture->loop, is_held, fixture);
    member_stop(&fixture->loop, &fixture->a);
    assert_int_equal(fixture->deletes, 1);
}

static void test_link_stopped_after_long_work_takes_the_node_out(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, answer_and_hold, NULL);
    run_until(&fixture->loop, is_held, fixture);
    usleep(1800 * 1000);
    member_stop(&fixture->loop, &fixture->a);
    assert_int_equal(fixture->deletes, 1);
}

/* --- a node that is another process's -------------------------------------------------------- */

static void test_link_shared_update_leaves_the_record_of_another_as_it_is(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, answer_and_hold, &(signpost_config_t){.shared = true});
    run_until_ready(&fixture->loop, &fixture->a, 1);
    assert_int_equal(fixture->beats, 1);
    assert_int_equal(fixture->registers, 0);
    assert_int_equal(signpost_update(fixture->a.client, NULL, "{\"mine\":1}", NULL), 0);
    run_for(&fixture->loop, 500);
    assert_null(strstr(fixture->last, "mine"));
}

/* --- messages -------------------------------------------------------------------------------- */

static void answer_late(struct fake_index *index, struct fake_connection *connection)
{
    struct fixture *fixture = index->user;

    if (answer_usual(fixture, connection))
        return;
    if (!strncmp(connection->path, "/mailbox/", 9)) {
        if (fixture->step)
            fake_reply(connection, 202, "", FAKE_SENT);
    } else if (waits(connection)) {
        fixture->held = connection;
    } else {
        fake_reply(connection, 200, "", FAKE_EVENTS("false", ""));
    }
}

static void test_link_many_messages_at_once_take_few_connections(void **state)
{
    struct fixture *fixture = *state;
    struct fake_connection *next;

    start(fixture, answer_late, NULL);
    run_until_ready(&fixture->loop, &fixture->a, 1);
    for (int i = 0; i < 300; i++)
        member_send(&fixture->a, "b", NULL, "note", "1", 30);
    run_for(&fixture->loop, 1000);
    assert_in_range(fixture->index.most, 2, 64);
    fixture->step = 1;
    for (struct fake_connection *at = fixture->index.connections; at; at = next) {
        next = at->next;
        if (at->busy && !strncmp(at->path, "/mailbox/", 9))
            fake_reply(at, 202, "", FAKE_SENT);
    }
    run_until_sent(&fixture->loop, &fixture->a, 300);
    assert_int_equal(fixture->a.sent_error, 0);
}

/* --- URLs ------------------------------------------------------------------------------------ */

static void test_link_password_of_its_url_is_in_no_log(void **state)
{
    struct fixture *fixture = *state;
    char url[96];

    fake_start(&fixture->loop, &fixture->index, answer_and_hold, fixture);
    snprintf(url, sizeof url, "http://user:secret@%s", fixture->index.url + 7);
    link_log[0] = '\0';
    fixture->indexes[0] = url;
    member_start(&fixture->loop, &fixture->a, "a", fixture->indexes,
        &(signpost_config_t){.on_log = on_log, .log_level = SIGNPOST_LOG_DEBUG});
    run_until_ready(&fixture->loop, &fixture->a, 1);
    assert_non_null(strstr(link_log, "ready"));
    assert_null(strstr(link_log, "secret"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_link_watch_only_with_the_token_of_nobody_is_told_and_tries_again),
        TEST(test_link_index_that_forgets_at_once_is_asked_less_and_less),
        TEST(test_link_cut_poll_with_retry_after_is_not_followed_before),
        TEST(test_link_poll_cut_by_an_index_that_forgot_all_shortens_none),
        TEST(test_link_at_an_interval_what_is_left_of_the_news_is_asked_for_at_once),
        TEST(test_link_retry_after_holds_also_when_our_addresses_change),
        TEST(test_link_stopped_while_it_registers_takes_the_node_out),
        TEST(test_link_stopped_after_long_work_takes_the_node_out),
        TEST(test_link_shared_update_leaves_the_record_of_another_as_it_is),
        TEST(test_link_many_messages_at_once_take_few_connections),
        TEST(test_link_password_of_its_url_is_in_no_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
