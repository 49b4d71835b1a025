/* What the client asks of an index, and when: an index of the test's own sees every request. */
#include "client.h"
#include "client_help.h"
#include "link_fixture.h"
#include "signpost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- a lease that is lost -------------------------------------------------------------------- */

static void answer_unknown(struct fake_index *index, struct fake_connection *connection)
{
    if (!link_fixture_answer(index->user, connection))
        fake_reply(connection, 404, "", FAKE_FORGOTTEN);
}

static bool is_refused(void *user)
{
    return ((struct member *)user)->status[0].state == SIGNPOST_INDEX_REFUSED;
}

/* A key that looks like a node's token is one to the index. */
static void test_link_watch_only_with_the_token_of_nobody_is_told_and_tries_again(void **state)
{
    struct link_fixture *fixture = *state;

    link_fixture_start(
        fixture, answer_unknown, &(signpost_config_t){.watch_only = true, .key = "token"});
    run_until(&fixture->loop, is_refused, &fixture->a);
    run_for(&fixture->loop, 3000);
    assert_true(fixture->polls > 1);
}

static void test_link_index_that_forgets_at_once_is_asked_less_and_less(void **state)
{
    struct link_fixture *fixture = *state;

    link_fixture_start(fixture, answer_unknown, NULL);
    run_for(&fixture->loop, 6000);
    assert_true(fixture->registers >= 2);
    assert_in_range(fixture->registers, 2, 12);
}

/* --- polls that are cut ---------------------------------------------------------------------- */

static void answer_and_hold(struct fake_index *index, struct fake_connection *connection)
{
    struct link_fixture *fixture = index->user;

    if (link_fixture_answer(fixture, connection))
        return;
    if (fake_wait_s(connection))
        fixture->held = connection;
    else if (fixture->step)
        fake_reply(connection, 404, "", FAKE_FORGOTTEN);
    else
        fake_reply(connection, 200, "", FAKE_EVENTS("false", ""));
}

static void test_link_cut_poll_with_retry_after_is_not_followed_before(void **state)
{
    struct link_fixture *fixture = *state;

    link_fixture_start(fixture, answer_and_hold, NULL);
    run_until(&fixture->loop, link_fixture_holds, fixture);
    run_for(&fixture->loop, 700);
    size_t before = fixture->polls;
    fake_reply(fixture->held, 503, "Retry-After: 3\r\n", "busy");
    run_for(&fixture->loop, 2500);
    assert_int_equal(fixture->polls, before);
}

static bool has_registered_twice(void *user)
{
    const struct link_fixture *fixture = user;
    return fixture->registers == 2 && !fixture->step && fixture->held;
}

static void on_forgotten(struct fake_index *index, struct fake_connection *connection)
{
    struct link_fixture *fixture = index->user;

    answer_and_hold(index, connection);
    if (fixture->registers == 2)
        fixture->step = 0;
}

/* An index that was started anew, and not an ingress that cuts. */
static void test_link_poll_cut_by_an_index_that_forgot_all_shortens_none(void **state)
{
    struct link_fixture *fixture = *state;

    link_fixture_start(fixture, on_forgotten, NULL);
    run_until(&fixture->loop, link_fixture_holds, fixture);
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
    struct link_fixture *fixture = index->user;

    if (link_fixture_answer(fixture, connection))
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
    struct link_fixture *fixture = *state;

    link_fixture_start(fixture, answer_in_parts, &(signpost_config_t){.poll_interval_ms = 2000});
    run_until_ready(&fixture->loop, &fixture->a, 1);
    uint64_t begin_ms = uv_hrtime() / 1000000;
    run_until_told(&fixture->loop, &fixture->a, "+b ");
    assert_in_range(uv_hrtime() / 1000000 - begin_ms, 0, 4000);
}

static void answer_busy(struct fake_index *index, struct fake_connection *connection)
{
    struct link_fixture *fixture = index->user;

    if (!link_fixture_answer(fixture, connection))
        fake_reply(connection, 429, "Retry-After: 3\r\n", FAKE_BUSY);
}

static bool has_polled(void *user)
{
    return ((struct link_fixture *)user)->polls > 0;
}

static void test_link_retry_after_holds_also_when_our_addresses_change(void **state)
{
    struct link_fixture *fixture = *state;

    link_fixture_start(fixture, answer_busy, NULL);
    run_until(&fixture->loop, has_polled, fixture);
    run_for(&fixture->loop, 100);
    client_addresses_changed(fixture->a.client);
    run_for(&fixture->loop, 2000);
    assert_int_equal(fixture->polls, 1);
}

/* --- the end --------------------------------------------------------------------------------- */

static void answer_nothing(struct fake_index *index, struct fake_connection *connection)
{
    struct link_fixture *fixture = index->user;

    if (fake_is(connection, "POST", "/register"))
        fixture->held = connection;
    else
        link_fixture_answer(fixture, connection);
}

static void test_link_stopped_while_it_registers_takes_the_node_out(void **state)
{
    struct link_fixture *fixture = *state;

    link_fixture_start(fixture, answer_nothing, NULL);
    run_until(&fixture->loop, link_fixture_holds, fixture);
    member_stop(&fixture->loop, &fixture->a);
    assert_int_equal(fixture->deletes, 1);
}

static void test_link_stopped_after_long_work_takes_the_node_out(void **state)
{
    struct link_fixture *fixture = *state;

    link_fixture_start(fixture, answer_and_hold, NULL);
    run_until(&fixture->loop, link_fixture_holds, fixture);
    usleep(1800 * 1000);
    member_stop(&fixture->loop, &fixture->a);
    assert_int_equal(fixture->deletes, 1);
}

/* --- a node that is another process's -------------------------------------------------------- */

static void test_link_shared_update_leaves_the_record_of_another_as_it_is(void **state)
{
    struct link_fixture *fixture = *state;

    link_fixture_start(fixture, answer_and_hold, &(signpost_config_t){.shared = true});
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
    struct link_fixture *fixture = index->user;

    if (link_fixture_answer(fixture, connection))
        return;
    if (!strncmp(connection->path, "/mailbox/", 9)) {
        if (fixture->step)
            fake_reply(connection, 202, "", FAKE_SENT);
    } else if (fake_wait_s(connection)) {
        fixture->held = connection;
    } else {
        fake_reply(connection, 200, "", FAKE_EVENTS("false", ""));
    }
}

static void test_link_many_messages_at_once_take_few_connections(void **state)
{
    struct link_fixture *fixture = *state;
    struct fake_connection *next;

    link_fixture_start(fixture, answer_late, NULL);
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
    struct link_fixture *fixture = *state;
    char url[96];

    fake_start(&fixture->loop, &fixture->index, answer_and_hold, fixture);
    snprintf(url, sizeof url, "http://user:secret@%s", fixture->index.url + 7);
    link_fixture_join(fixture, url, &(signpost_config_t){.log_level = SIGNPOST_LOG_DEBUG});
    run_until_ready(&fixture->loop, &fixture->a, 1);
    assert_non_null(strstr(link_log, "ready"));
    assert_null(strstr(link_log, "secret"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, link_fixture_setup, link_fixture_teardown)
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
