/* The client when its clock jumps: a machine that slept, a virtual one that was moved. */
#include "client.h"
#include "client_help.h"
#include "index_help.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_MS 3600000

struct fixture {
    uv_loop_t loop;
    struct index_process index;
    const char *indexes[2];
    struct member a, b;
};

static int64_t ahead_ms; /* of the real clock */

static int64_t clock_ms(void)
{
    return client_clock_ms() + ahead_ms;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    ahead_ms = 0;
    uv_loop_init(&fixture->loop);
    index_begin(&fixture->index, true);
    fixture->indexes[0] = fixture->index.url;
    member_start(&fixture->loop, &fixture->a, "a", fixture->indexes, NULL);
    member_start(&fixture->loop, &fixture->b, "b", fixture->indexes, NULL);
    fixture->a.client->clock_ms = clock_ms;
    run_until_told(&fixture->loop, &fixture->a, "+b ");
    run_until_told(&fixture->loop, &fixture->b, "+a ");
    run_until_ready(&fixture->loop, &fixture->a, 1);
    run_until_ready(&fixture->loop, &fixture->b, 1);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    member_stop(&fixture->loop, &fixture->a);
    member_stop(&fixture->loop, &fixture->b);
    help_close_loop(&fixture->loop);
    index_forget(&fixture->index);
    free(fixture);
    return 0;
}

static void exchange(struct fixture *fixture)
{
    member_forget(&fixture->a);
    member_forget(&fixture->b);
    member_send(&fixture->a, "b", "s", "note", "1", 30);
    member_send(&fixture->b, "a", "s", "note", "2", 30);
    run_until_got(&fixture->loop, &fixture->b, "a:1 ");
    run_until_got(&fixture->loop, &fixture->a, "b:2 ");
}

static void test_clock_ahead_by_an_hour_between_messages_changes_nothing(void **state)
{
    struct fixture *fixture = *state;

    exchange(fixture);
    ahead_ms = HOUR_MS;
    exchange(fixture);
    exchange(fixture);
    assert_string_equal(fixture->a.told, "");
    assert_int_equal(fixture->a.ready, 1);
}

static void test_clock_ahead_while_a_message_waits_ends_it(void **state)
{
    struct fixture *fixture = *state;

    index_kill(&fixture->index);
    member_send(&fixture->a, "b", "s", "note", "1", 600);
    run_until_told(&fixture->loop, &fixture->a, "?b ");
    ahead_ms = HOUR_MS;
    run_until_sent(&fixture->loop, &fixture->a, 1);
    assert_int_equal(fixture->a.delivery, SIGNPOST_FAILED);
    assert_int_equal(fixture->a.sent_error, SIGNPOST_ERROR_UNREACHABLE);
    index_begin(&fixture->index, false);
    run_until_ready(&fixture->loop, &fixture->a, 1);
    run_until_ready(&fixture->loop, &fixture->b, 1);
    exchange(fixture);
}

/* b never comes back to the emptied index; so long it is kept. */
static void test_clock_ahead_by_a_lease_gives_up_who_is_missing(void **state)
{
    struct fixture *fixture = *state;

    index_kill(&fixture->index);
    run_until_told(&fixture->loop, &fixture->a, "?b ");
    member_stop(&fixture->loop, &fixture->b);
    index_begin(&fixture->index, true);
    run_until_ready(&fixture->loop, &fixture->a, 1);
    assert_null(strstr(fixture->a.told, "-b "));
    ahead_ms = CLIENT_TTL_DEFAULT_S * 1000;
    client_follow_directory(fixture->a.client);
    run_until_told(&fixture->loop, &fixture->a, "-b ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_clock_ahead_by_an_hour_between_messages_changes_nothing),
        TEST(test_clock_ahead_while_a_message_waits_ends_it),
        TEST(test_clock_ahead_by_a_lease_gives_up_who_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
