/* The client with a real signpostd: peers, messages, outages. */
#include "index_help.h"
#include "signpost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CROWD 200

struct fixture {
    uv_loop_t loop;
    struct index_process index, other;
    const char *indexes[3];
    struct member a, b, c;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    uv_loop_init(&fixture->loop);
    index_begin(&fixture->index, true);
    fixture->indexes[0] = fixture->index.url;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    member_stop(&fixture->loop, &fixture->a);
    member_stop(&fixture->loop, &fixture->b);
    member_stop(&fixture->loop, &fixture->c);
    index_forget(&fixture->index);
    index_forget(&fixture->other);
    /* Nothing of a client is left in the loop. */
    assert_int_equal(uv_run(&fixture->loop, UV_RUN_NOWAIT), 0);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    free(fixture);
    return 0;
}

static void start_two(struct fixture *fixture)
{
    member_start(&fixture->loop, &fixture->a, "a", fixture->indexes, NULL);
    member_start(&fixture->loop, &fixture->b, "b", fixture->indexes, NULL);
    run_until_told(&fixture->loop, &fixture->a, "+b ");
    run_until_told(&fixture->loop, &fixture->b, "+a ");
    run_until_ready(&fixture->loop, &fixture->a, 1);
    run_until_ready(&fixture->loop, &fixture->b, 1);
}

static void expect_peers(const struct member *member, const char *expected)
{
    char text[4096];
    assert_string_equal(member_peers(member, text, sizeof text), expected);
}

/* --- peers ----------------------------------------------------------------------------------- */

static void test_client_two_see_each_other_come_and_go(void **state)
{
    struct fixture *fixture = *state;
    start_two(fixture);
    expect_peers(&fixture->a, "b ");
    expect_peers(&fixture->b, "a ");
    member_stop(&fixture->loop, &fixture->b);
    run_until_told(&fixture->loop, &fixture->a, "-b ");
    expect_peers(&fixture->a, "");
    assert_string_equal(fixture->a.told, "+b -b ");
}

static void test_client_update_is_told_as_changed(void **state)
{
    struct fixture *fixture = *state;
    const char *const endpoints[] = {"grpc://:50051", NULL};
    signpost_peer_t peer;
    start_two(fixture);
    assert_int_equal(signpost_update(fixture->b.client, endpoints, "{\"x\":1}", NULL), 0);
    run_until_told(&fixture->loop, &fixture->a, "~b ");
    assert_int_equal(signpost_find(fixture->a.client, "b", &peer), 0);
    assert_string_equal(peer.meta, "{\"x\":1}");
    assert_int_equal(peer.endpoint_count, 1);
    assert_string_equal(peer.endpoints[0], "grpc://127.0.0.1:50051");
    assert_int_equal(peer.observed_count, 1);
    assert_string_equal(peer.observed[0], "127.0.0.1");
    assert_int_equal(
        signpost_find(fixture->a.client, "nobody", &peer), SIGNPOST_ERROR_UNKNOWN_PEER);
}

static void test_client_watch_only_registers_nothing(void **state)
{
    struct fixture *fixture = *state;
    signpost_config_t watch = {.watch_only = true};
    member_start(&fixture->loop, &fixture->c, NULL, fixture->indexes, &watch);
    start_two(fixture);
    run_until_told(&fixture->loop, &fixture->c, "+b ");
    run_until_told(&fixture->loop, &fixture->c, "+a ");
    expect_peers(&fixture->c, "a b ");
    expect_peers(&fixture->a, "b ");
    assert_int_equal(signpost_send(fixture->c.client, "a", NULL, "hi", "1", 1, 0, NULL, NULL, NULL),
        SIGNPOST_ERROR_INVALID);
}

static void test_client_filter_takes_those_that_match(void **state)
{
    struct fixture *fixture = *state;
    const char *const filters[] = {"role=master", NULL};
    signpost_config_t watch = {.watch_only = true, .filters = filters};
    signpost_config_t master = {.meta = "{\"role\":\"master\"}"};
    member_start(&fixture->loop, &fixture->c, NULL, fixture->indexes, &watch);
    member_start(&fixture->loop, &fixture->a, "a", fixture->indexes, &master);
    member_start(&fixture->loop, &fixture->b, "b", fixture->indexes, NULL);
    run_until_told(&fixture->loop, &fixture->a, "+b ");
    run_until_told(&fixture->loop, &fixture->c, "+a ");
    assert_int_equal(signpost_update(fixture->b.client, NULL, "{\"role\":\"master\"}", NULL), 0);
    run_until_told(&fixture->loop, &fixture->c, "+b ");
    assert_int_equal(signpost_update(fixture->a.client, NULL, "{}", NULL), 0);
    run_until_told(&fixture->loop, &fixture->c, "-a ");
    assert_string_equal(fixture->c.told, "+a +b -a ");
}

static void test_client_crowd_all_see_all(void **state)
{
    struct fixture *fixture = *state;
    struct member *crowd = calloc(CROWD, sizeof *crowd);
    char id[16], last[24];
    assert_non_null(crowd);
    for (int i = 0; i < CROWD; i++) {
        snprintf(id, sizeof id, "m%03d", i);
        member_start(&fixture->loop, &crowd[i], id, fixture->indexes, NULL);
    }
    for (int i = 0; i < CROWD; i++)
        for (int other = 0; other < CROWD; other++) {
            snprintf(last, sizeof last, "+m%03d ", other);
            if (other != i)
                run_until_told(&fixture->loop, &crowd[i], last);
        }
    for (int i = 0; i < CROWD; i++)
        member_stop(&fixture->loop, &crowd[i]);
    free(crowd);
}

/* --- messages -------------------------------------------------------------------------------- */

static void test_client_message_is_handed_and_kept_as_sent(void **state)
{
    struct fixture *fixture = *state;
    start_two(fixture);
    member_send(&fixture->a, "b", "s1", "offer", "{\"sdp\" :  \"v=0\"}", 0);
    run_until_got(&fixture->loop, &fixture->b, "a:{\"sdp\" :  \"v=0\"} ");
    run_until_sent(&fixture->loop, &fixture->a, 1);
    assert_int_equal(fixture->a.sent_error, 0);
    /* Sooner or later one finds the reader waiting. */
    for (size_t i = 2; i < 100 && fixture->a.delivery != SIGNPOST_HANDED; i++) {
        member_send(&fixture->a, "b", "s1", "offer", "1", 0);
        run_until_sent(&fixture->loop, &fixture->a, i);
    }
    assert_int_equal(fixture->a.delivery, SIGNPOST_HANDED);
}

static void test_client_messages_of_a_session_keep_their_order(void **state)
{
    struct fixture *fixture = *state;
    char body[16], expected[8192] = "";
    start_two(fixture);
    for (int i = 0; i < 40; i++) {
        snprintf(body, sizeof body, "%d", i);
        member_send(&fixture->a, "b", "s1", "note", body, 0);
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "a:%d ", i);
    }
    run_until_sent(&fixture->loop, &fixture->a, 40);
    run_until_got(&fixture->loop, &fixture->b, "a:39 ");
    assert_string_equal(fixture->b.got, expected);
}

static void test_client_message_to_nobody_fails(void **state)
{
    struct fixture *fixture = *state;
    start_two(fixture);
    member_send(&fixture->a, "nobody", NULL, "offer", "1", 0);
    run_until_sent(&fixture->loop, &fixture->a, 1);
    assert_int_equal(fixture->a.delivery, SIGNPOST_FAILED);
    assert_int_equal(fixture->a.sent_error, SIGNPOST_ERROR_UNKNOWN_PEER);
}

static bool has_returned(void *user)
{
    return ((struct member *)user)->returned[0];
}

static void test_client_message_that_nobody_reads_is_undeliverable(void **state)
{
    struct fixture *fixture = *state;
    signpost_config_t deaf = {.no_mailbox = true};
    member_start(&fixture->loop, &fixture->a, "a", fixture->indexes, NULL);
    member_start(&fixture->loop, &fixture->b, "b", fixture->indexes, &deaf);
    run_until_told(&fixture->loop, &fixture->a, "+b ");
    run_until_ready(&fixture->loop, &fixture->a, 1);
    member_send(&fixture->a, "b", "s1", "knock", "1", 1);
    run_until_sent(&fixture->loop, &fixture->a, 1);
    assert_int_equal(fixture->a.delivery, SIGNPOST_QUEUED);
    run_until(&fixture->loop, has_returned, &fixture->a);
    assert_string_equal(fixture->a.returned, "b/knock/EXPIRED ");
}

static void test_client_malformed_message_is_refused_at_once(void **state)
{
    struct fixture *fixture = *state;
    signpost_t *client;
    start_two(fixture);
    client = fixture->a.client;
    assert_int_equal(signpost_send(client, "b", NULL, "offer", "{", 1, 0, NULL, NULL, NULL),
        SIGNPOST_ERROR_INVALID);
    assert_int_equal(signpost_send(client, "b/c", NULL, "offer", "1", 1, 0, NULL, NULL, NULL),
        SIGNPOST_ERROR_INVALID);
    assert_int_equal(signpost_send(client, "b", "s 1", "offer", "1", 1, 0, NULL, NULL, NULL),
        SIGNPOST_ERROR_INVALID);
    assert_int_equal(signpost_send(client, "b", NULL, "Offer", "1", 1, 0, NULL, NULL, NULL),
        SIGNPOST_ERROR_INVALID);
    assert_int_equal(signpost_send(client, "b", NULL, "offer", "1", 1, 601, NULL, NULL, NULL),
        SIGNPOST_ERROR_INVALID);
}

/* --- outages --------------------------------------------------------------------------------- */

static bool is_away(void *user)
{
    const struct member *member = user;
    return member->status[0].state == SIGNPOST_INDEX_AWAY;
}

static void outage(struct fixture *fixture, bool fresh)
{
    start_two(fixture);
    member_forget(&fixture->a);
    index_kill(&fixture->index);
    run_until(&fixture->loop, is_away, &fixture->a);
    assert_int_equal(fixture->a.status[0].error, SIGNPOST_ERROR_UNREACHABLE);
    expect_peers(&fixture->a, "b? ");
    index_begin(&fixture->index, fresh);
    run_until_told(&fixture->loop, &fixture->a, "~b ");
    run_until_ready(&fixture->loop, &fixture->a, 1);
    run_until_ready(&fixture->loop, &fixture->b, 1);
    expect_peers(&fixture->a, "b ");
    assert_null(strchr(fixture->a.told, '-'));
    assert_null(strchr(fixture->a.told, '+'));
    member_send(&fixture->a, "b", NULL, "note", "\"back\"", 0);
    run_until_got(&fixture->loop, &fixture->b, "a:\"back\" ");
}

static void test_client_index_back_with_its_file_nobody_was_gone(void **state)
{
    outage(*state, false);
}

static void test_client_index_back_with_an_empty_disk_nobody_was_gone(void **state)
{
    outage(*state, true);
}

static void test_client_started_before_its_index_joins_later(void **state)
{
    struct fixture *fixture = *state;
    index_kill(&fixture->index);
    member_start(&fixture->loop, &fixture->a, "a", fixture->indexes, NULL);
    run_until(&fixture->loop, is_away, &fixture->a);
    member_send(&fixture->a, "b", NULL, "note", "1", 60);
    index_begin(&fixture->index, false);
    member_start(&fixture->loop, &fixture->b, "b", fixture->indexes, NULL);
    run_until_ready(&fixture->loop, &fixture->a, 1);
    run_until_told(&fixture->loop, &fixture->a, "+b ");
}

static void test_client_stop_while_the_index_is_away_ends(void **state)
{
    struct fixture *fixture = *state;
    start_two(fixture);
    index_kill(&fixture->index);
    member_send(&fixture->a, "b", NULL, "note", "1", 60);
    member_stop(&fixture->loop, &fixture->a);
    assert_int_equal(fixture->a.sent, 1);
    assert_int_equal(fixture->a.sent_error, SIGNPOST_ERROR_STOPPED);
}

static void test_client_of_two_indexes_one_may_die(void **state)
{
    struct fixture *fixture = *state;
    index_begin(&fixture->other, true);
    fixture->indexes[1] = fixture->other.url;
    member_start(&fixture->loop, &fixture->a, "a", fixture->indexes, NULL);
    member_start(&fixture->loop, &fixture->b, "b", fixture->indexes, NULL);
    run_until_ready(&fixture->loop, &fixture->a, 2);
    run_until_ready(&fixture->loop, &fixture->b, 2);
    run_until_told(&fixture->loop, &fixture->a, "+b ");
    run_until_told(&fixture->loop, &fixture->b, "+a ");
    index_kill(&fixture->index);
    run_until_ready(&fixture->loop, &fixture->a, 1);
    expect_peers(&fixture->a, "b ");
    assert_string_equal(fixture->a.told, "+b ");
    member_send(&fixture->a, "b", NULL, "note", "\"other way\"", 20);
    run_until_got(&fixture->loop, &fixture->b, "a:\"other way\" ");
    run_until_sent(&fixture->loop, &fixture->a, 1);
    assert_string_equal(fixture->b.got, "a:\"other way\" ");
}

static bool is_replaced(void *user)
{
    const struct member *member = user;
    return member->status[0].state == SIGNPOST_INDEX_REPLACED;
}

static void test_client_of_one_identity_the_newer_replaces_the_older(void **state)
{
    struct fixture *fixture = *state;
    uint8_t secret[SIGNPOST_SECRET_SIZE] = {7};
    signpost_config_t same = {.secret = secret};
    member_start(&fixture->loop, &fixture->a, NULL, fixture->indexes, &same);
    run_until_ready(&fixture->loop, &fixture->a, 1);
    /* It waits in its mailbox once a change in the list has come and gone. */
    member_start(&fixture->loop, &fixture->c, "c", fixture->indexes, NULL);
    run_until_told(&fixture->loop, &fixture->a, "+c ");
    member_start(&fixture->loop, &fixture->b, NULL, fixture->indexes, &same);
    assert_string_equal(signpost_id(fixture->a.client), signpost_id(fixture->b.client));
    run_until(&fixture->loop, is_replaced, &fixture->a);
    run_until_ready(&fixture->loop, &fixture->b, 1);
    assert_int_equal(fixture->a.status[0].error, SIGNPOST_ERROR_REPLACED);
}

/* --- arguments ------------------------------------------------------------------------------- */

static void test_client_bad_configuration_is_refused(void **state)
{
    struct fixture *fixture = *state;
    signpost_t *client = NULL;
    const char *const none[] = {NULL};
    const char *const bad_url[] = {"ftp://x", NULL};
    const char *const query[] = {"http://127.0.0.1:1/a?b", NULL};
    const char *const fragment[] = {"http://127.0.0.1:1#", NULL};
    const char *const bad_filter[] = {"role", NULL};
    const signpost_config_t bad[] = {
        {.indexes = NULL},
        {.indexes = none},
        {.indexes = bad_url},
        {.indexes = query},
        {.indexes = fragment},
        {.indexes = fixture->indexes, .meta = "[]"},
        {.indexes = fixture->indexes, .reach = "{"},
        {.indexes = fixture->indexes, .id = ""},
        {.indexes = fixture->indexes, .filters = bad_filter},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(signpost_start(&fixture->loop, &bad[i], &client), SIGNPOST_ERROR_INVALID);
    assert_null(client);
    while (uv_run(&fixture->loop, UV_RUN_NOWAIT))
        continue;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_client_two_see_each_other_come_and_go),
        TEST(test_client_update_is_told_as_changed),
        TEST(test_client_watch_only_registers_nothing),
        TEST(test_client_filter_takes_those_that_match),
        TEST(test_client_crowd_all_see_all),
        TEST(test_client_message_is_handed_and_kept_as_sent),
        TEST(test_client_messages_of_a_session_keep_their_order),
        TEST(test_client_message_to_nobody_fails),
        TEST(test_client_message_that_nobody_reads_is_undeliverable),
        TEST(test_client_malformed_message_is_refused_at_once),
        TEST(test_client_index_back_with_its_file_nobody_was_gone),
        TEST(test_client_index_back_with_an_empty_disk_nobody_was_gone),
        TEST(test_client_started_before_its_index_joins_later),
        TEST(test_client_stop_while_the_index_is_away_ends),
        TEST(test_client_of_two_indexes_one_may_die),
        TEST(test_client_of_one_identity_the_newer_replaces_the_older),
        TEST(test_client_bad_configuration_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
