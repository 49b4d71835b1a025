/* Requests as they should go: what is sent, what comes back, over which connection. */
#include "http_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANY 200

/* --- what is sent, and what comes ------------------------------------------------------------ */

static void expect_in(const struct answer *answer, const char *part)
{
    if (!strstr(answer->reply.body, part))
        fail_msg("%s is not in %s", part, answer->reply.body);
}

static void expect_not_in(const struct answer *answer, const char *part)
{
    if (strstr(answer->reply.body, part))
        fail_msg("%s is in %s", part, answer->reply.body);
}

static void test_http_post_is_sent_as_contract_says(void **state)
{
    struct answer answer = {0};
    struct http_request request = {.method = "POST",
        .url = fixture_url("echo/a?b=c"),
        .bearer = "token-of-ours",
        .body = "{\"a\": 1}, and more",
        .body_size = 8};

    fixture_start(*state, &answer, &request);
    fixture_wait(&answer);
    assert_int_equal(answer.reply.error, 0);
    assert_int_equal(answer.reply.status, 200);
    assert_true(answer.reply.json);
    assert_int_equal(answer.reply.retry_after_ms, 0);
    expect_in(&answer, "\"method\": \"POST\", \"target\": \"/echo/a?b=c\"");
    expect_in(&answer, "\"Authorization: Bearer token-of-ours\"");
    expect_in(&answer, "\"Content-Type: application/json\"");
    expect_in(&answer, "\"Accept: application/json\"");
    expect_in(&answer, "\"User-Agent: libsignpost/0.1.0\"");
    expect_in(&answer, "\"Content-Length: 8\"");
    expect_in(&answer, "\"body\": \"{\\\"a\\\": 1}\"");
    expect_not_in(&answer, "Encoding");
    answer_free(&answer);
}

/* libcurl asks before it sends more than a megabyte, where it is not told otherwise. */
static void test_http_large_post_is_sent_without_asking(void **state)
{
    struct answer answer = {0};
    size_t size = (1 << 20) + 1;
    char *body = malloc(size);

    assert_non_null(body);
    memset(body, 'z', size);
    fixture_start(*state, &answer,
        &(struct http_request){
            .method = "POST", .url = fixture_url("echo"), .body = body, .body_size = size});
    free(body);
    fixture_wait(&answer);
    assert_int_equal(answer.reply.error, 0);
    expect_in(&answer, "\"Content-Length: 1048577\"");
    expect_not_in(&answer, "Expect");
    answer_free(&answer);
}

static void test_http_post_without_body_has_a_length(void **state)
{
    struct answer answer = {0};

    fixture_start(
        *state, &answer, &(struct http_request){.method = "POST", .url = fixture_url("echo")});
    fixture_wait(&answer);
    expect_in(&answer, "\"method\": \"POST\"");
    expect_in(&answer, "\"Content-Length: 0\"");
    answer_free(&answer);
}

static void expect_bare(void **state, const char *method, const char *told)
{
    struct answer answer = {0};

    fixture_start(
        *state, &answer, &(struct http_request){.method = method, .url = fixture_url("echo")});
    fixture_wait(&answer);
    expect_in(&answer, told);
    expect_not_in(&answer, "Content-");
    expect_not_in(&answer, "Authorization");
    answer_free(&answer);
}

static void test_http_get_and_delete_have_no_body(void **state)
{
    expect_bare(state, "GET", "\"method\": \"GET\"");
    expect_bare(state, "DELETE", "\"method\": \"DELETE\"");
}

static void test_http_chunked_reply_is_put_together(void **state)
{
    struct answer answer = {0};

    fixture_get(*state, &answer, fixture_url("chunked"));
    assert_int_equal(answer.reply.error, 0);
    assert_string_equal(answer.reply.body, "{\"a\": 1}");
    assert_int_equal(answer.reply.body_size, 8);
    answer_free(&answer);
}

static void test_http_large_reply_is_whole(void **state)
{
    struct answer answer = {0};

    fixture_get(*state, &answer, fixture_url("big/3000001"));
    assert_int_equal(answer.reply.body_size, 3000001);
    assert_int_equal(strspn(answer.reply.body, "y"), 3000001);
    assert_false(answer.reply.json);
    answer_free(&answer);
}

static void on_never(const struct http_reply *reply, void *user)
{
    (void)user;
    fail_msg("called, with error %d and status %ld", reply->error, reply->status);
}

static void test_http_what_is_no_request_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct http_request request = {.method = "GET", .timeout_ms = 1000, .max_bytes = 1000};
    struct http_call *call = (struct http_call *)fixture;
    static const char *const urls[] = {"", "127.0.0.1", "ftp://127.0.0.1/", "file:///etc/passwd"};
    static const char *const bearers[] = {"a\r\nX-More: b", "a b", "\x80"};
    char bearer[300];

    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        request.url = urls[i];
        assert_int_equal(
            http_start(fixture->http, &request, on_never, NULL, &call), SIGNPOST_ERROR_INVALID);
    }
    request.url = fixture_url("echo");
    for (size_t i = 0; i < sizeof bearers / sizeof *bearers; i++) {
        request.bearer = bearers[i];
        assert_int_equal(
            http_start(fixture->http, &request, on_never, NULL, &call), SIGNPOST_ERROR_INVALID);
    }
    memset(bearer, 'b', sizeof bearer);
    bearer[sizeof bearer - 1] = '\0';
    request.bearer = bearer;
    assert_int_equal(
        http_start(fixture->http, &request, on_never, NULL, &call), SIGNPOST_ERROR_INVALID);
    assert_ptr_equal(call, fixture);
}

/* libcurl knows at once, and says so from the loop all the same. */
static void test_http_malformed_url_is_told_from_loop(void **state)
{
    struct http_request request = {.url = "http://127.0.0.1:99999/"};

    fixture_expect_error(
        *state, &request, SIGNPOST_ERROR_INVALID, "not the URL of an index: 127.0.0.1:99999");
}

/* --- connections ----------------------------------------------------------------------------- */

static unsigned port_of(const struct answer *answer)
{
    const char *port = strstr(answer->reply.body, "\"port\": ");

    assert_non_null(port);
    return (unsigned)strtoul(port + strlen("\"port\": "), NULL, 10);
}

static void test_http_connection_is_kept(void **state)
{
    struct answer first = {0}, second = {0};

    fixture_get(*state, &first, fixture_url("echo"));
    fixture_get(*state, &second, fixture_url("echo"));
    expect_in(&first, "\"request\": 1}");
    expect_in(&second, "\"request\": 2}");
    assert_int_equal(port_of(&first), port_of(&second));
    answer_free(&first);
    answer_free(&second);
}

/* The loop of an application ends when nothing is under way. */
static void test_http_kept_connection_keeps_no_loop_alive(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer = {0};

    fixture_get(fixture, &answer, fixture_url("echo"));
    answer_free(&answer);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    assert_false(uv_loop_alive(&fixture->loop));
}

static void test_http_kept_connection_that_was_closed_is_replaced(void **state)
{
    for (int i = 0; i < 5; i++) {
        struct answer answer = {0};
        fixture_get(*state, &answer, fixture_url("goodbye"));
        assert_int_equal(answer.reply.error, 0);
        assert_string_equal(answer.reply.body, "hello");
        answer_free(&answer);
    }
}

static bool all_answered(void *user)
{
    const struct answer *answers = user;

    for (size_t i = 0; i < MANY; i++)
        if (!answers[i].calls)
            return false;
    return true;
}

static void test_http_many_requests_at_once_complete(void **state)
{
    struct fixture *fixture = *state;
    static struct answer answers[MANY];
    char path[64];

    memset(answers, 0, sizeof answers);
    for (size_t i = 0; i < MANY; i++) {
        snprintf(path, sizeof path, "echo/number-%zu", i);
        fixture_start_get(fixture, &answers[i], fixture_url(path));
    }
    help_run_until(&fixture->loop, all_answered, answers);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(answers[i].calls, 1);
        assert_int_equal(answers[i].reply.error, 0);
        snprintf(path, sizeof path, "\"target\": \"/echo/number-%zu\"", i);
        expect_in(&answers[i], path);
        answer_free(&answers[i]);
    }
}

/* Those of the loop and of the fault server were there before. */
static void test_http_connections_are_not_inherited(void **state)
{
    int before[256], count = 0;
    struct answer answer = {0};

    for (int fd = 0; fd < 256; fd++)
        before[fd] = fcntl(fd, F_GETFD);
    fixture_get(*state, &answer, fixture_url("echo"));
    for (int fd = 0; fd < 256; fd++)
        if (before[fd] < 0 && fcntl(fd, F_GETFD) >= 0) {
            assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
            count++;
        }
    assert_int_equal(count, 1);
    answer_free(&answer);
}

/* --- proxies --------------------------------------------------------------------------------- */

static void set_proxy(unsigned port)
{
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    setenv("http_proxy", url, 1);
}

static void test_http_proxy_of_environment_is_used(void **state)
{
    struct answer answer = {0};

    set_proxy(fixture_faults.port);
    unsetenv("no_proxy");
    fixture_get(*state, &answer, "http://index.invalid:81/echo");
    unsetenv("http_proxy");
    setenv("no_proxy", "*", 1);
    assert_int_equal(answer.reply.error, 0);
    expect_in(&answer, "\"target\": \"http://index.invalid:81/echo\"");
    answer_free(&answer);
}

static void test_http_proxy_is_passed_by_where_told(void **state)
{
    struct answer answer = {0};

    set_proxy(1);
    fixture_get(*state, &answer, fixture_url("echo"));
    unsetenv("http_proxy");
    assert_int_equal(answer.reply.error, 0);
    expect_in(&answer, "\"target\": \"/echo\"");
    answer_free(&answer);
}

int main(void)
{
#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        HTTP_TEST(test_http_post_is_sent_as_contract_says),
        HTTP_TEST(test_http_large_post_is_sent_without_asking),
        HTTP_TEST(test_http_post_without_body_has_a_length),
        HTTP_TEST(test_http_get_and_delete_have_no_body),
        HTTP_TEST(test_http_chunked_reply_is_put_together),
        HTTP_TEST(test_http_large_reply_is_whole),
        HTTP_TEST(test_http_what_is_no_request_is_refused),
        HTTP_TEST(test_http_malformed_url_is_told_from_loop),
        HTTP_TEST(test_http_connection_is_kept),
        HTTP_TEST(test_http_kept_connection_keeps_no_loop_alive),
        HTTP_TEST(test_http_kept_connection_that_was_closed_is_replaced),
        HTTP_TEST(test_http_many_requests_at_once_complete),
        HTTP_TEST(test_http_connections_are_not_inherited),
        HTTP_TEST(test_http_proxy_of_environment_is_used),
        HTTP_TEST(test_http_proxy_is_passed_by_where_told),
    };

    /* What the machine says of proxies is not for 127.0.0.1. */
    setenv("no_proxy", "*", 1);
    return cmocka_run_group_tests_name("http", tests, fixture_start_faults, fixture_stop_faults);
}
