/* What a client does so that those who lost an index together do not come back to it in one moment,
 * nor hammer one that is in trouble. How long it rests is read from its timers. */
#include "client.h"
#include "link.h"
#include "link_fixture.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 12 /* that each fail: with so many, no draw of chance stays short */
#define LONG_MS 2000
#define POLLS 200u /* with so many, each wait that can be drawn is */

enum way { ANSWERS, FAILS, FORGETS };

static struct link *link_of(const struct link_fixture *fixture)
{
    return fixture->a.client->links[0];
}

/* As after a change of the addresses: what rests is tried now. */
static void try_now(struct link_fixture *fixture, const size_t *count, int times)
{
    for (int i = 0; i < times; i++) {
        size_t before = *count;
        client_addresses_changed(fixture->a.client);
        run_until_more(&fixture->loop, count, before);
    }
}

/* --- a lease that is lost -------------------------------------------------------------------- */

static void answer_polls(struct fake_index *index, struct fake_connection *connection)
{
    struct link_fixture *fixture = index->user;

    if (link_fixture_answer(fixture, connection))
        return;
    if (fixture->step == FAILS)
        fake_reply(connection, 503, "", "");
    else if (fixture->step == FORGETS)
        fake_reply(connection, 404, "", FAKE_FORGOTTEN);
    else if (!fake_wait_s(connection))
        fake_reply(connection, 200, "", FAKE_EVENTS("false", ""));
}

static bool lease_is_lost(void *user)
{
    return !link_of(user)->registered;
}

static void test_link_lease_lost_in_an_outage_is_taken_anew_from_the_first_window(void **state)
{
    struct link_fixture *fixture = *state;

    link_fixture_start(fixture, answer_polls, NULL);
    for (int i = 0; i < TRIES; i++) {
        fixture->step = ANSWERS;
        run_until_ready(&fixture->loop, &fixture->a, 1);
        fixture->step = FAILS;
        try_now(fixture, &fixture->polls, TRIES);
        fixture->step = FORGETS;
        client_addresses_changed(fixture->a.client);
        run_until(&fixture->loop, lease_is_lost, fixture);
        assert_in_range(uv_timer_get_due_in(&link_of(fixture)->timer), 0, CLIENT_BACKOFF_FIRST_MS);
    }
}

/* --- heartbeats that fail -------------------------------------------------------------------- */

/* The list's polls are answered, but for those that wait. */
static void answer_beats(struct fake_index *index, struct fake_connection *connection)
{
    struct link_fixture *fixture = index->user;

    if (fake_is(connection, "POST", "/heartbeat") && fixture->step == FAILS) {
        fixture->beats++;
        fake_reply(connection, 500, "", "");
    } else if (!link_fixture_answer(fixture, connection) && !fake_wait_s(connection)) {
        fake_reply(connection, 200, "", FAKE_LIST("false", ""));
    }
}

static bool rests_from_beats(void *user)
{
    const struct link *link = link_of(user);
    return !link->beat && uv_is_active((const uv_handle_t *)&link->heart);
}

/* How long until the next heartbeat, after one that is sent now. */
static uint64_t beat_and_rest_ms(struct link_fixture *fixture)
{
    try_now(fixture, &fixture->beats, 1);
    run_until(&fixture->loop, rests_from_beats, fixture);
    return uv_timer_get_due_in(&link_of(fixture)->heart);
}

static void fail_until_rest_is_long(struct link_fixture *fixture)
{
    uint64_t rest_ms = 0;

    for (int i = 0; i < TRIES && rest_ms < LONG_MS; i++)
        rest_ms = beat_and_rest_ms(fixture);
    assert_in_range(rest_ms, LONG_MS, link_most_backoff_ms(link_of(fixture)));
}

static void test_link_heartbeats_that_fail_come_ever_later_until_one_is_taken(void **state)
{
    struct link_fixture *fixture = *state;

    fixture->step = FAILS;
    link_fixture_start(fixture, answer_beats, &(signpost_config_t){.no_mailbox = true});
    run_until_ready(&fixture->loop, &fixture->a, 1);
    assert_in_range(beat_and_rest_ms(fixture), 0, CLIENT_BACKOFF_FIRST_MS);
    fail_until_rest_is_long(fixture);
    fixture->step = ANSWERS;
    beat_and_rest_ms(fixture);
    fixture->step = FAILS;
    assert_in_range(beat_and_rest_ms(fixture), 0, CLIENT_BACKOFF_FIRST_MS);
}

static void answer_busy_beats(struct fake_index *index, struct fake_connection *connection)
{
    struct link_fixture *fixture = index->user;

    if (fake_is(connection, "POST", "/heartbeat")) {
        fixture->beats++;
        fake_reply(connection, 503, "Retry-After: 3\r\n", FAKE_BUSY);
    } else {
        answer_polls(index, connection);
    }
}

static void update(struct link_fixture *fixture, const char *meta)
{
    assert_int_equal(signpost_update(fixture->a.client, NULL, meta, NULL), 0);
}

static void test_link_heartbeat_with_news_is_not_sent_before_retry_after(void **state)
{
    struct link_fixture *fixture = *state;

    link_fixture_start(fixture, answer_busy_beats, NULL);
    run_until_ready(&fixture->loop, &fixture->a, 1);
    update(fixture, "{\"news\":1}");
    run_until_more(&fixture->loop, &fixture->beats, 0);
    run_until(&fixture->loop, rests_from_beats, fixture);
    update(fixture, "{\"news\":2}");
    run_for(&fixture->loop, 500);
    assert_int_equal(fixture->beats, 1);
}

/* Nothing works but to register. */
static void answer_in_outage(struct fake_index *index, struct fake_connection *connection)
{
    if (fake_is(connection, "POST", "/heartbeat"))
        answer_beats(index, connection);
    else
        answer_polls(index, connection);
}

static void test_link_news_of_an_outage_are_told_once_the_index_is_ready(void **state)
{
    struct link_fixture *fixture = *state;

    fixture->step = FAILS;
    link_fixture_start(fixture, answer_in_outage, NULL);
    run_until_more(&fixture->loop, &fixture->polls, 0);
    update(fixture, "{\"news\":1}");
    fail_until_rest_is_long(fixture);
    size_t before = fixture->beats;
    fixture->step = ANSWERS;
    link_rest(link_of(fixture), STEP_POLL, 0);
    run_until_ready(&fixture->loop, &fixture->a, 1);
    run_for(&fixture->loop, LONG_MS / 4);
    assert_int_equal(fixture->beats, before + 1);
    assert_non_null(strstr(fixture->last, "news"));
}

/* --- how long polls wait --------------------------------------------------------------------- */

static struct {
    unsigned ttl_s, least_s, most_s; /* of the lease; that a poll waited */
} waits;

static void answer_at_once(struct fake_index *index, struct fake_connection *connection)
{
    struct link_fixture *fixture = index->user;
    unsigned wait_s = fake_wait_s(connection);
    char body[128];

    if (fake_is(connection, "POST", "/register")) {
        snprintf(body, sizeof body,
            "{\"id\":\"a\",\"cursor\":\"e.1\",\"ttl\":%u,\"heartbeat_after\":10}", waits.ttl_s);
        fake_reply(connection, 201, "", body);
        return;
    }
    if (link_fixture_answer(fixture, connection) || fixture->polls > POLLS)
        return;
    if (wait_s && wait_s < waits.least_s)
        waits.least_s = wait_s;
    if (wait_s > waits.most_s)
        waits.most_s = wait_s;
    fake_reply(connection, 200, "",
        fake_is(connection, "POST", "/events") ? FAKE_EVENTS("false", "") : FAKE_LIST("false", ""));
}

static void expect_waits(
    struct link_fixture *fixture, unsigned ttl_s, bool mailbox, unsigned least_s, unsigned most_s)
{
    waits.ttl_s = ttl_s;
    waits.least_s = UINT_MAX;
    waits.most_s = 0;
    link_fixture_start(fixture, answer_at_once, &(signpost_config_t){.no_mailbox = !mailbox});
    run_until_more(&fixture->loop, &fixture->polls, POLLS);
    assert_int_equal(waits.least_s, least_s);
    assert_int_equal(waits.most_s, most_s);
}

static void test_link_polls_wait_two_thirds_of_the_lease_or_up_to_a_fifth_less(void **state)
{
    expect_waits(*state, 30, true, 16, 20);
}

static void test_link_polls_of_the_list_wait_25_s_or_up_to_a_fifth_less(void **state)
{
    expect_waits(*state, 30, false, 20, 25);
}

static void test_link_polls_of_a_short_lease_all_wait_the_same(void **state)
{
    expect_waits(*state, 5, true, 3, 3);
}

/* --- polls that fall silent ------------------------------------------------------------------ */

static int64_t ahead_ms; /* of the real clock */

static int64_t clock_ms(void)
{
    return client_clock_ms() + ahead_ms;
}

static void answer_overdue(struct fake_index *index, struct fake_connection *connection)
{
    struct link_fixture *fixture = index->user;

    if (link_fixture_answer(fixture, connection))
        return;
    if (!fake_wait_s(connection)) {
        fake_reply(connection, 200, "", FAKE_EVENTS("false", ""));
    } else if (fixture->step++ < 2) {
        ahead_ms += fake_wait_s(connection) * 1000LL + 1000;
        fake_reply(connection, 504, "", "");
    } else {
        fixture->held = connection;
    }
}

/* That one waited for more and the other for less makes no difference. */
static void test_link_two_polls_that_fall_silent_shorten_those_that_follow(void **state)
{
    struct link_fixture *fixture = *state;

    ahead_ms = 0;
    link_fixture_start(fixture, answer_overdue, NULL);
    fixture->a.client->clock_ms = clock_ms;
    run_until(&fixture->loop, link_fixture_holds, fixture);
    assert_non_null(strstr(link_log, "are cut after 10 s"));
    assert_in_range(fake_wait_s(fixture->held), 8, 9);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, link_fixture_setup, link_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_link_lease_lost_in_an_outage_is_taken_anew_from_the_first_window),
        TEST(test_link_heartbeats_that_fail_come_ever_later_until_one_is_taken),
        TEST(test_link_heartbeat_with_news_is_not_sent_before_retry_after),
        TEST(test_link_news_of_an_outage_are_told_once_the_index_is_ready),
        TEST(test_link_polls_wait_two_thirds_of_the_lease_or_up_to_a_fifth_less),
        TEST(test_link_polls_of_the_list_wait_25_s_or_up_to_a_fifth_less),
        TEST(test_link_polls_of_a_short_lease_all_wait_the_same),
        TEST(test_link_two_polls_that_fall_silent_shorten_those_that_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
