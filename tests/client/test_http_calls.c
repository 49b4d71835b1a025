/* How calls of http end where nothing answers, or nobody wants to know any more; and that nothing
 * of it blocks the loop. */
#include "http_fixture.h"

#include "http_internal.h"

#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#define MANY 200
#define TICKS 20

static void expect_in(const struct answer *answer, const char *part)
{
    if (!strstr(answer->reply.body, part))
        fail_msg("%s is not in %s", part, answer->reply.body);
}

static void on_never(const struct http_reply *reply, void *user)
{
    (void)user;
    fail_msg("called, with error %d and status %ld", reply->error, reply->status);
}

/* --- giving up ------------------------------------------------------------------------------- */

static void test_http_cancelled_call_is_not_answered(void **state)
{
    struct fixture *fixture = *state;
    struct answer at_once = {0}, under_way = {0}, other = {0};

    fixture_start_get(fixture, &under_way, fixture_url("slow"));
    fixture_start_get(fixture, &at_once, fixture_url("echo"));
    http_cancel(at_once.call);
    fixture_get(fixture, &other, fixture_url("echo"));
    http_cancel(under_way.call);
    answer_free(&other);
    fixture_close(fixture);
    assert_int_equal(at_once.calls, 0);
    assert_int_equal(under_way.calls, 0);
}

static void cancel_others(struct answer *answer)
{
    struct answer *answers = answer->user;

    for (size_t i = 0; i < MANY; i++)
        if (&answers[i] != answer)
            http_cancel(answers[i].call);
}

static size_t count_answers(const struct answer *answers)
{
    size_t count = 0;

    for (size_t i = 0; i < MANY; i++)
        count += answers[i].calls;
    return count;
}

static bool any_answered(void *user)
{
    return count_answers(user) > 0;
}

/* Among them calls that have ended too, and whose results wait behind this one. */
static void test_http_callback_cancels_all_others(void **state)
{
    struct fixture *fixture = *state;
    static struct answer answers[MANY];

    memset(answers, 0, sizeof answers);
    for (size_t i = 0; i < MANY; i++) {
        answers[i].then = cancel_others;
        answers[i].user = answers;
        /* Some need no server to end, and so end together. */
        fixture_start_get(
            fixture, &answers[i], i % 2 ? fixture_url("echo") : "http://127.0.0.1:99999/");
    }
    help_run_until(&fixture->loop, any_answered, answers);
    fixture_close(fixture);
    assert_int_equal(count_answers(answers), 1);
    for (size_t i = 0; i < MANY; i++)
        answer_free(&answers[i]);
}

static void ask_again(struct answer *answer)
{
    struct answer *next = answer->user;

    if (next)
        fixture_start_get(answer->fixture, next, fixture_url("echo"));
}

static void test_http_callback_starts_the_next(void **state)
{
    struct answer third = {0};
    struct answer second = {.then = ask_again, .user = &third};
    struct answer first = {.then = ask_again, .user = &second, .fixture = *state};

    fixture_start_get(*state, &first, "http://127.0.0.1:99999/");
    third.fixture = *state;
    fixture_wait(&third);
    assert_int_equal(first.reply.error, SIGNPOST_ERROR_INVALID);
    expect_in(&second, "\"request\": 1}");
    expect_in(&third, "\"request\": 2}");
    answer_free(&first);
    answer_free(&second);
    answer_free(&third);
}

struct ticks {
    unsigned count;
    struct answer answer;
};

static void count_tick(uv_timer_t *timer)
{
    ((struct ticks *)timer->data)->count++;
}

static void ask_for_nothing(struct answer *answer)
{
    const struct ticks *ticks = answer->user;

    answer_free(answer);
    if (ticks->count >= TICKS)
        return;
    answer->calls = 0;
    fixture_start_get(answer->fixture, answer, "http://127.0.0.1:99999/");
}

static bool has_ticked(void *user)
{
    const struct ticks *ticks = user;

    return ticks->count >= TICKS && ticks->answer.calls;
}

/* What fails without a socket, and is tried again at once, leaves others their turn. */
static void test_http_endless_failures_leave_loop_its_turns(void **state)
{
    struct fixture *fixture = *state;
    struct ticks ticks = {.answer = {.then = ask_for_nothing, .user = &ticks}};
    uv_timer_t timer;

    uv_timer_init(&fixture->loop, &timer);
    timer.data = &ticks;
    uv_timer_start(&timer, count_tick, 1, 1);
    fixture_start_get(fixture, &ticks.answer, "http://127.0.0.1:99999/");
    help_run_until(&fixture->loop, has_ticked, &ticks);
    help_close((uv_handle_t *)&timer);
}

static void test_http_close_ends_what_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    static struct answer answers[MANY];
    struct answer first = {0};

    memset(answers, 0, sizeof answers);
    for (size_t i = 0; i < MANY; i++)
        fixture_start_get(fixture, &answers[i], fixture_url(i % 2 ? "stuck" : "slow"));
    fixture_get(fixture, &first, fixture_url("echo"));
    fixture_close(fixture);
    assert_int_equal(fixture->closed, 1);
    assert_int_equal(count_answers(answers), 0);
    answer_free(&first);
}

static void note_closed(void *user)
{
    struct fixture *fixture = user;

    fixture->closed++;
}

static void close_all(struct answer *answer)
{
    struct fixture *fixture = answer->fixture;
    struct http_request request = {.method = "GET", .url = fixture_url("echo")};
    struct http *http = fixture->http;
    struct http_call *call;

    http_close(http, note_closed, fixture);
    fixture->http = NULL;
    assert_int_equal(fixture->closed, 0);
    assert_int_equal(http_start(http, &request, on_never, NULL, &call), SIGNPOST_ERROR_STOPPED);
}

static bool is_closed(void *user)
{
    return ((struct fixture *)user)->closed > 0;
}

static void test_http_callback_closes_all(void **state)
{
    struct fixture *fixture = *state;
    static struct answer answers[MANY];

    memset(answers, 0, sizeof answers);
    for (size_t i = 0; i < MANY; i++) {
        answers[i].then = close_all;
        fixture_start_get(fixture, &answers[i], fixture_url(i % 2 ? "echo" : "stuck"));
    }
    help_run_until(&fixture->loop, is_closed, fixture);
    assert_int_equal(fixture->closed, 1);
    assert_int_equal(count_answers(answers), 1);
    for (size_t i = 0; i < MANY; i++)
        answer_free(&answers[i]);
}

static void test_http_close_right_away_is_clean(void **state)
{
    fixture_close(*state);
    assert_int_equal(((struct fixture *)*state)->closed, 1);
}

static void test_http_several_share_a_loop(void **state)
{
    struct fixture *fixture = *state;
    struct fixture other = {.loop = fixture->loop};
    struct answer theirs = {0}, ours = {0};

    assert_int_equal(http_new(&fixture->loop, NULL, &other.http), 0);
    fixture_start_get(&other, &theirs, fixture_url("stuck"));
    fixture_start_get(fixture, &ours, fixture_url("echo"));
    http_close(other.http, note_closed, &other);
    help_run_until(&fixture->loop, is_closed, &other);
    fixture_wait(&ours);
    assert_int_equal(ours.reply.status, 200);
    assert_int_equal(theirs.calls, 0);
    answer_free(&ours);
}

/* --- names ----------------------------------------------------------------------------------- */

static sem_t resolver_answers;
static atomic_int resolving;

/* Stands before the system's, for libcurl too: a resolver that is silent until it is told to
 * answer, and then knows no name. */
int getaddrinfo(
    const char *name, const char *service, const struct addrinfo *req, struct addrinfo **pai)
{
    (void)name;
    (void)service;
    (void)req;
    (void)pai;
    resolving++;
    while (sem_wait(&resolver_answers) && errno == EINTR)
        continue;
    resolving--;
    return EAI_NONAME;
}

static bool is_resolving(void *user)
{
    (void)user;
    return resolving > 0;
}

static bool is_not_resolving(void *user)
{
    (void)user;
    return resolving == 0;
}

static void end_resolving(struct fixture *fixture)
{
    assert_int_equal(resolving, 1);
    sem_post(&resolver_answers);
    help_run_until(&fixture->loop, is_not_resolving, NULL);
}

static void on_tick(uv_timer_t *timer)
{
    unsigned *ticks = timer->data;

    if (++*ticks == TICKS)
        sem_post(&resolver_answers);
}

static void test_http_unknown_name_is_unreachable_and_blocks_nothing(void **state)
{
    struct fixture *fixture = *state;
    unsigned ticks = 0;
    uv_timer_t timer;

    uv_timer_init(&fixture->loop, &timer);
    timer.data = &ticks;
    uv_timer_start(&timer, on_tick, 1, 1);
    fixture_expect_error(fixture,
        &(struct http_request){.url = "http://no-such-host.invalid:7117/list"},
        SIGNPOST_ERROR_UNREACHABLE, "cannot reach @: the name does not resolve");
    help_close((uv_handle_t *)&timer);
    help_run_until(&fixture->loop, is_not_resolving, NULL);
    assert_true(ticks >= TICKS);
}

static void test_http_silent_resolver_times_out(void **state)
{
    struct http_request request = {.url = "http://silent.invalid/", .timeout_ms = 100};

    fixture_expect_error(
        *state, &request, SIGNPOST_ERROR_TIMEOUT, "cannot reach @: no connection within *");
    end_resolving(*state);
}

static void test_http_silent_resolver_holds_up_no_cancel(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer = {0};

    fixture_start_get(fixture, &answer, "http://silent.invalid/");
    help_run_until(&fixture->loop, is_resolving, NULL);
    http_cancel(answer.call);
    end_resolving(fixture);
    assert_int_equal(answer.calls, 0);
}

static void test_http_silent_resolver_holds_up_no_close(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer = {0};

    fixture_start_get(fixture, &answer, "http://silent.invalid/");
    help_run_until(&fixture->loop, is_resolving, NULL);
    fixture_close(fixture);
    end_resolving(fixture);
    assert_int_equal(answer.calls, 0);
}

/* --- another way to the server --------------------------------------------------------------- */

static void test_http_renew_drops_kept_connections(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer = {0};

    for (unsigned i = 0; i < 4; i++) {
        fixture_get(fixture, &answer, fixture_url("echo"));
        expect_in(&answer, i % 2 ? "\"request\": 2}" : "\"request\": 1}");
        answer_free(&answer);
        answer.calls = 0;
        if (i == 1)
            http_renew(fixture->http);
    }
}

/* A reply of which a part was there already comes once, and whole. */
static void test_http_renew_begins_calls_anew(void **state)
{
    struct fixture *fixture = *state;

    for (unsigned turns = 0, halved = 0; halved < 3; turns++) {
        struct answer answer = {0};

        fixture_start_get(fixture, &answer, fixture_url("big/4000000"));
        for (unsigned i = 0; i < turns && !answer.calls && !answer.call->body_size; i++)
            uv_run(&fixture->loop, UV_RUN_ONCE);
        halved += !answer.calls && answer.call->body_size > 0;
        http_renew(fixture->http);
        fixture_wait(&answer);
        assert_int_equal(answer.reply.status, 200);
        assert_int_equal(answer.reply.body_size, 4000000);
        answer_free(&answer);
    }
}

/* --- memory ---------------------------------------------------------------------------------- */

static atomic_bool polls_fail;

/* Stands before libuv's. */
int uv_poll_init_socket(uv_loop_t *loop, uv_poll_t *handle, uv_os_sock_t socket)
{
    return polls_fail ? UV_ENOMEM : uv_poll_init(loop, handle, socket);
}

static void test_http_socket_without_a_handle_fails_its_call_alone(void **state)
{
    struct fixture *fixture = *state;
    struct answer before = {0}, after = {0};

    fixture_get(fixture, &before, fixture_url("text"));
    answer_free(&before);
    before.calls = 0;
    fixture_start_get(fixture, &before, fixture_url("slow"));
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    polls_fail = true;
    for (int i = 0; i < 3; i++)
        fixture_expect_error(fixture, &(struct http_request){.url = fixture_url("echo")},
            SIGNPOST_ERROR_NO_MEMORY, "out of memory while asking @");
    polls_fail = false;
    fixture_get(fixture, &after, fixture_url("echo"));
    assert_int_equal(after.reply.error, 0);
    assert_int_equal(before.calls, 0);
    answer_free(&after);
}

static atomic_long fails_in; /* so many of libcurl's allocations; 0: never */

static bool is_to_fail(void)
{
    return fails_in > 0 && --fails_in == 0;
}

static void *failing_malloc(size_t size)
{
    return is_to_fail() ? NULL : malloc(size);
}

static void *failing_calloc(size_t count, size_t size)
{
    return is_to_fail() ? NULL : calloc(count, size);
}

static void *failing_realloc(void *memory, size_t size)
{
    return is_to_fail() ? NULL : realloc(memory, size);
}

static char *failing_strdup(const char *text)
{
    return is_to_fail() ? NULL : strdup(text);
}

/* A life of an http in which the given allocation fails. Its error, 0 if it did well all the same.
 */
static int live(struct fixture *fixture, long which)
{
    struct http_request request = {.method = "POST",
        .url = fixture_url("echo"),
        .bearer = "token",
        .body = "{}",
        .body_size = 2,
        .timeout_ms = 500,
        .max_bytes = FIXTURE_MAX_BYTES};
    struct answer answer = {0};
    int error;

    fails_in = which;
    error = http_new(&fixture->loop, "no-such-file.pem", &fixture->http);
    if (error)
        return error;
    error = fixture_try(fixture, &answer, &request);
    http_renew(fixture->http);
    if (!error) {
        fixture_wait(&answer);
        error = answer.reply.error;
        assert_true(error || answer.reply.status == 200);
        answer_free(&answer);
    }
    fixture_close(fixture);
    return error;
}

static void test_http_failed_allocations_are_returned(void **state)
{
    struct fixture *fixture = *state;
    int told = 0, error = 0;

    fixture_close(fixture);
    for (long which = 1; !fails_in; which++) {
        error = live(fixture, which);
        assert_in_range(-error, 0, 13);
        told += error == SIGNPOST_ERROR_NO_MEMORY;
    }
    fails_in = 0;
    assert_int_equal(error, 0);
    assert_true(told > 20);
}

int main(void)
{
#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        HTTP_TEST(test_http_cancelled_call_is_not_answered),
        HTTP_TEST(test_http_callback_cancels_all_others),
        HTTP_TEST(test_http_callback_starts_the_next),
        HTTP_TEST(test_http_endless_failures_leave_loop_its_turns),
        HTTP_TEST(test_http_close_ends_what_is_under_way),
        HTTP_TEST(test_http_callback_closes_all),
        HTTP_TEST(test_http_close_right_away_is_clean),
        HTTP_TEST(test_http_several_share_a_loop),
        HTTP_TEST(test_http_unknown_name_is_unreachable_and_blocks_nothing),
        HTTP_TEST(test_http_silent_resolver_times_out),
        HTTP_TEST(test_http_silent_resolver_holds_up_no_cancel),
        HTTP_TEST(test_http_silent_resolver_holds_up_no_close),
        HTTP_TEST(test_http_renew_drops_kept_connections),
        HTTP_TEST(test_http_renew_begins_calls_anew),
        HTTP_TEST(test_http_socket_without_a_handle_fails_its_call_alone),
        HTTP_TEST(test_http_failed_allocations_are_returned),
    };

    sem_init(&resolver_answers, 0, 0);
    curl_global_init_mem(
        CURL_GLOBAL_DEFAULT, failing_malloc, free, failing_realloc, failing_strdup, failing_calloc);
    /* What the machine says of proxies is not for 127.0.0.1. */
    setenv("no_proxy", "*", 1);
    return cmocka_run_group_tests_name(
        "http calls", tests, fixture_start_faults, fixture_stop_faults);
}
