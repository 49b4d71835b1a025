/* What an index, or what stands in its place, may do wrong: each has its error and its sentence. */
#include "http_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SHORT_MS 150 /* of requests that are to time out */

static void expect_error(void **state, const char *path, int error, const char *sentence)
{
    fixture_expect_error(*state, &(struct http_request){.url = fixture_url(path)}, error, sentence);
}

static void expect_timeout(void **state, const char *url, const char *sentence)
{
    struct http_request request = {.url = url, .timeout_ms = SHORT_MS};

    fixture_expect_error(*state, &request, SIGNPOST_ERROR_TIMEOUT, sentence);
}

static void expect_tls_error(void **state, const char *url, const char *sentence)
{
    fixture_expect_error(*state, &(struct http_request){.url = url}, SIGNPOST_ERROR_TLS, sentence);
}

/* --- replies that are none ------------------------------------------------------------------- */

static void test_http_garbage_is_protocol_error(void **state)
{
    expect_error(state, "garbage", SIGNPOST_ERROR_PROTOCOL, "@ does not speak HTTP: *");
}

static void test_http_half_body_is_unreachable(void **state)
{
    expect_error(state, "half", SIGNPOST_ERROR_UNREACHABLE, "@ broke off its answer");
}

static void test_http_half_head_is_unreachable(void **state)
{
    expect_error(state, "half-head", SIGNPOST_ERROR_UNREACHABLE, "@ broke off its answer");
}

static void test_http_close_after_interim_reply_is_unreachable(void **state)
{
    expect_error(
        state, "continue", SIGNPOST_ERROR_UNREACHABLE, "@ closed the connection without an answer");
}

static void test_http_early_close_is_unreachable(void **state)
{
    expect_error(
        state, "close", SIGNPOST_ERROR_UNREACHABLE, "@ closed the connection without an answer");
}

static void test_http_reset_is_unreachable(void **state)
{
    expect_error(state, "reset", SIGNPOST_ERROR_UNREACHABLE, "lost the connection to @: *");
}

static void test_http_long_header_is_protocol_error(void **state)
{
    expect_error(state, "long-head", SIGNPOST_ERROR_PROTOCOL, "@ sent a head that is too long");
}

static void test_http_endless_head_is_protocol_error(void **state)
{
    expect_error(state, "endless-head", SIGNPOST_ERROR_PROTOCOL, "@ sent a head that is too long");
}

static void test_http_endless_body_is_protocol_error(void **state)
{
    struct http_request request = {.url = fixture_url("endless"), .max_bytes = 100000};

    fixture_expect_error(
        *state, &request, SIGNPOST_ERROR_PROTOCOL, "@ sent more than 100000 bytes");
}

static void test_http_body_at_cap_is_taken_one_more_is_not(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer = {0};
    struct http_request request = {.url = fixture_url("big/99999"), .max_bytes = 99999};

    fixture_start(fixture, &answer, &request);
    fixture_wait(&answer);
    assert_int_equal(answer.reply.error, 0);
    assert_int_equal(answer.reply.body_size, 99999);
    answer_free(&answer);

    request.url = fixture_url("big/100000");
    fixture_expect_error(
        fixture, &request, SIGNPOST_ERROR_PROTOCOL, "@ sent more than 99999 bytes");
}

static void test_http_plain_to_tls_port_is_unreachable(void **state)
{
    char url[FIXTURE_URL_SIZE];

    snprintf(url, sizeof url, "http://127.0.0.1:%u/echo", fixture_faults.tls_port);
    struct http_request request = {.url = url};
    fixture_expect_error(*state, &request, SIGNPOST_ERROR_UNREACHABLE, "*");
}

/* A port that is ours, and at which nobody listens. */
static void test_http_refused_connection_is_unreachable(void **state)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t size = sizeof name;
    char url[FIXTURE_URL_SIZE];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (const struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
    snprintf(url, sizeof url, "http://user:secret@127.0.0.1:%u/a?b@c", ntohs(name.sin_port));
    char sentence[HTTP_DETAIL_SIZE];
    snprintf(sentence, sizeof sentence, "cannot reach 127.0.0.1:%u: Connection refused",
        ntohs(name.sin_port));
    fixture_expect_error(
        *state, &(struct http_request){.url = url}, SIGNPOST_ERROR_UNREACHABLE, sentence);
    close(fd);
}

/* --- replies that come too late -------------------------------------------------------------- */

static void test_http_stuck_server_times_out(void **state)
{
    expect_timeout(state, fixture_url("stuck"), "@ did not answer within *");
}

static void test_http_stuck_server_on_kept_connection_times_out(void **state)
{
    struct answer answer = {0};

    fixture_get(*state, &answer, fixture_url("text"));
    answer_free(&answer);
    expect_timeout(state, fixture_url("stuck"), "@ did not answer within *");
}

static void test_http_slow_body_times_out(void **state)
{
    expect_timeout(state, fixture_url("slow"), "@ did not finish its answer within *");
}

/* The plain port waits for a request that a TLS greeting never becomes. */
static void test_http_stuck_handshake_times_out(void **state)
{
    char url[FIXTURE_URL_SIZE];

    snprintf(url, sizeof url, "https://127.0.0.1:%u/echo", fixture_faults.port);
    expect_timeout(state, url, "cannot reach @: no connection within *");
}

static void expect_ended(void **state, uint64_t timeout_ms, const char *path, int error)
{
    struct answer answer = {0};
    struct http_request request = {
        .method = "GET", .url = fixture_url(path), .timeout_ms = timeout_ms, .max_bytes = 100000};

    assert_int_equal(fixture_try(*state, &answer, &request), 0);
    fixture_wait(&answer);
    assert_int_equal(answer.reply.error, error);
    answer_free(&answer);
}

static void test_http_timeouts_of_all_sizes_are_taken(void **state)
{
    expect_ended(state, 0, "stuck", SIGNPOST_ERROR_TIMEOUT);
    expect_ended(state, INT64_MAX, "echo", 0);
    expect_ended(state, UINT64_MAX, "echo", 0);
}

/* --- replies that say no --------------------------------------------------------------------- */

static void expect_status(void **state, const char *path, long status, const char *body)
{
    struct answer answer = {0};

    fixture_get(*state, &answer, fixture_url(path));
    assert_int_equal(answer.reply.error, 0);
    assert_int_equal(answer.reply.status, status);
    assert_string_equal(answer.reply.body, body);
    assert_false(answer.reply.json);
    answer_free(&answer);
}

static void test_http_status_is_told_with_its_text(void **state)
{
    expect_status(state, "status/500", 500, "something went wrong here");
    expect_status(state, "status/404", 404, "something went wrong here");
}

static void test_http_redirect_is_not_followed(void **state)
{
    expect_status(state, "redirect", 302, "");
}

static void test_http_problem_is_json(void **state)
{
    struct answer answer = {0};

    fixture_get(*state, &answer, fixture_url("problem"));
    assert_int_equal(answer.reply.status, 404);
    assert_true(answer.reply.json);
    assert_non_null(strstr(answer.reply.body, "unknown_node"));
    answer_free(&answer);
}

static int64_t retry_after_ms(void **state, const char *value)
{
    struct answer answer = {0};
    char path[128];

    snprintf(path, sizeof path, "retry/%s", value);
    fixture_get(*state, &answer, fixture_url(path));
    assert_int_equal(answer.reply.status, 503);
    answer_free(&answer);
    return answer.reply.retry_after_ms;
}

static void test_http_retry_after_is_read_in_seconds(void **state)
{
    assert_int_equal(retry_after_ms(state, "7"), 7000);
    assert_int_equal(retry_after_ms(state, "0"), 0);
    assert_int_equal(retry_after_ms(state, "3600"), 3600000);
}

static void test_http_retry_after_is_capped_at_an_hour(void **state)
{
    assert_int_equal(retry_after_ms(state, "3601"), 3600000);
    assert_int_equal(retry_after_ms(state, "99999999999"), 3600000);
}

static void test_http_retry_after_that_cannot_be_read_is_none(void **state)
{
    assert_int_equal(retry_after_ms(state, "soon"), 0);
    assert_int_equal(retry_after_ms(state, "-5"), 0);
    assert_int_equal(retry_after_ms(state, ""), 0);
}

static int64_t retry_at_ms(void **state, time_t when)
{
    char date[64];
    struct tm parts;

    strftime(
        date, sizeof date, "%a,%%20%d%%20%b%%20%Y%%20%H:%M:%S%%20GMT", gmtime_r(&when, &parts));
    return retry_after_ms(state, date);
}

static void test_http_retry_after_is_read_as_date(void **state)
{
    time_t now = time(NULL);
    int64_t wait_ms = retry_at_ms(state, now + 300);

    assert_in_range(wait_ms, 200000, 300000);
    assert_int_equal(retry_at_ms(state, now + 90000), 3600000);
    assert_int_equal(retry_at_ms(state, now - 300), 0);
}

/* --- TLS ------------------------------------------------------------------------------------- */

static void test_http_tls_with_its_authority_is_trusted(void **state)
{
    struct fixture *fixture = *state;
    struct answer answer = {0};

    fixture_trust(fixture, fixture_faults.ca_file);
    fixture_get(fixture, &answer, fixture_tls_url("echo"));
    assert_int_equal(answer.reply.error, 0);
    assert_int_equal(answer.reply.status, 200);
    assert_true(answer.reply.json);
    answer_free(&answer);
}

static void test_http_tls_half_body_is_unreachable(void **state)
{
    struct fixture *fixture = *state;

    fixture_trust(fixture, fixture_faults.ca_file);
    struct http_request request = {.url = fixture_tls_url("close")};
    fixture_expect_error(fixture, &request, SIGNPOST_ERROR_UNREACHABLE, "*");
    request.url = fixture_tls_url("half");
    fixture_expect_error(fixture, &request, SIGNPOST_ERROR_UNREACHABLE, "*");
}

static void test_http_tls_without_authority_is_not_trusted(void **state)
{
    expect_tls_error(state, fixture_tls_url("echo"), "cannot trust @: *");
}

static void test_http_tls_of_other_host_is_not_trusted(void **state)
{
    char url[FIXTURE_URL_SIZE];

    fixture_trust(*state, fixture_faults.ca_file);
    snprintf(url, sizeof url, "https://localhost:%u/echo", fixture_faults.tls_port);
    expect_tls_error(state, url, "cannot trust @: *");
}

static void test_http_tls_without_authority_file_is_not_trusted(void **state)
{
    fixture_trust(*state, "no-such-file.pem");
    expect_tls_error(state, fixture_tls_url("echo"), "cannot trust @: *");
}

int main(void)
{
#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        HTTP_TEST(test_http_garbage_is_protocol_error),
        HTTP_TEST(test_http_half_body_is_unreachable),
        HTTP_TEST(test_http_half_head_is_unreachable),
        HTTP_TEST(test_http_close_after_interim_reply_is_unreachable),
        HTTP_TEST(test_http_early_close_is_unreachable),
        HTTP_TEST(test_http_reset_is_unreachable),
        HTTP_TEST(test_http_long_header_is_protocol_error),
        HTTP_TEST(test_http_endless_head_is_protocol_error),
        HTTP_TEST(test_http_endless_body_is_protocol_error),
        HTTP_TEST(test_http_body_at_cap_is_taken_one_more_is_not),
        HTTP_TEST(test_http_plain_to_tls_port_is_unreachable),
        HTTP_TEST(test_http_refused_connection_is_unreachable),
        HTTP_TEST(test_http_stuck_server_times_out),
        HTTP_TEST(test_http_stuck_server_on_kept_connection_times_out),
        HTTP_TEST(test_http_slow_body_times_out),
        HTTP_TEST(test_http_stuck_handshake_times_out),
        HTTP_TEST(test_http_timeouts_of_all_sizes_are_taken),
        HTTP_TEST(test_http_status_is_told_with_its_text),
        HTTP_TEST(test_http_redirect_is_not_followed),
        HTTP_TEST(test_http_problem_is_json),
        HTTP_TEST(test_http_retry_after_is_read_in_seconds),
        HTTP_TEST(test_http_retry_after_is_capped_at_an_hour),
        HTTP_TEST(test_http_retry_after_that_cannot_be_read_is_none),
        HTTP_TEST(test_http_retry_after_is_read_as_date),
        HTTP_TEST(test_http_tls_with_its_authority_is_trusted),
        HTTP_TEST(test_http_tls_half_body_is_unreachable),
        HTTP_TEST(test_http_tls_without_authority_is_not_trusted),
        HTTP_TEST(test_http_tls_of_other_host_is_not_trusted),
        HTTP_TEST(test_http_tls_without_authority_file_is_not_trusted),
    };

    /* What the machine says of proxies is not for 127.0.0.1. */
    setenv("no_proxy", "*", 1);
    return cmocka_run_group_tests_name(
        "http faults", tests, fixture_start_faults, fixture_stop_faults);
}
