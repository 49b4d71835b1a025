/* signpost_check() as an application calls it: what it takes, when it may be closed, and what it
 * says where there is no index. The checks themselves are in tests/cli and tests/nat. */
#include "signpost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct asking {
    uv_loop_t loop;
    uv_tcp_t index; /* takes connections, and may answer */
    char url[64];
    const char *answer; /* NULL: it is silent */
    signpost_check_t *check;
    unsigned lines, reports, closed;
    int error, verdict;
    char why[512], json[4096];
    bool closes_at_line, closes_at_report;
};

/* --- an index of one answer ------------------------------------------------------------------ */

struct guest {
    uv_tcp_t tcp;
    uv_write_t write;
    char buffer[2048];
};

static void on_guest_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret_buffer)
{
    struct guest *guest = (struct guest *)handle;
    (void)size;
    *ret_buffer = uv_buf_init(guest->buffer, sizeof guest->buffer);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct guest *guest = (struct guest *)stream;
    const struct asking *asking = stream->data;

    (void)buffer;
    if (size < 0) {
        uv_close((uv_handle_t *)stream, on_guest_closed);
        return;
    }
    if (asking->answer) {
        uv_buf_t out = uv_buf_init((char *)asking->answer, (unsigned)strlen(asking->answer));
        uv_write(&guest->write, stream, &out, 1, NULL);
    }
}

static void on_guest(uv_stream_t *stream, int status)
{
    struct guest *guest = calloc(1, sizeof *guest);

    assert_int_equal(status, 0);
    uv_tcp_init(stream->loop, &guest->tcp);
    guest->tcp.data = stream->data;
    uv_accept(stream, (uv_stream_t *)&guest->tcp);
    uv_read_start((uv_stream_t *)&guest->tcp, on_alloc, on_read);
}

static int setup(void **state)
{
    struct asking *asking = calloc(1, sizeof *asking);
    struct sockaddr_in address;
    int length = sizeof address;

    uv_loop_init(&asking->loop);
    uv_tcp_init(&asking->loop, &asking->index);
    asking->index.data = asking;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&asking->index, (struct sockaddr *)&address, 0);
    assert_int_equal(uv_listen((uv_stream_t *)&asking->index, 8, on_guest), 0);
    uv_tcp_getsockname(&asking->index, (struct sockaddr *)&address, &length);
    snprintf(
        asking->url, sizeof asking->url, "http://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    *state = asking;
    return 0;
}

static int teardown(void **state)
{
    struct asking *asking = *state;

    if (!uv_is_closing((uv_handle_t *)&asking->index))
        uv_close((uv_handle_t *)&asking->index, NULL);
    uv_run(&asking->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&asking->loop), 0);
    free(asking);
    return 0;
}

/* --- checks ---------------------------------------------------------------------------------- */

static void on_closed(void *user)
{
    ((struct asking *)user)->closed++;
}

static void on_line(signpost_check_t *check, const char *line, void *user)
{
    struct asking *asking = user;

    assert_true(*line);
    asking->lines++;
    if (asking->closes_at_line)
        signpost_check_close(check, on_closed, asking);
}

static void on_report(signpost_check_t *check, const signpost_report_t *report, void *user)
{
    struct asking *asking = user;

    assert_ptr_equal(check, asking->check);
    asking->reports++;
    asking->error = report->error;
    asking->verdict = report->verdict;
    snprintf(asking->why, sizeof asking->why, "%s", report->why);
    snprintf(asking->json, sizeof asking->json, "%s", report->json);
    if (asking->closes_at_report)
        signpost_check_close(check, on_closed, asking);
}

static void begins(struct asking *asking)
{
    const char *const indexes[] = {asking->url, NULL};
    signpost_check_config_t config = {
        .indexes = indexes,
        .port = 50051,
        .ipv4 = true,
        .no_listen = true,
        .on_line = on_line,
        .on_report = on_report,
        .user = asking,
    };

    assert_int_equal(signpost_check(&asking->loop, &config, &asking->check), 0);
    assert_int_equal(asking->lines + asking->reports, 0);
}

static void waits_for(struct asking *asking, const unsigned *count)
{
    while (!*count)
        uv_run(&asking->loop, UV_RUN_ONCE);
}

static void ends(struct asking *asking)
{
    waits_for(asking, &asking->closed);
    for (int i = 0; i < 10; i++)
        uv_run(&asking->loop, UV_RUN_NOWAIT);
    assert_int_equal(asking->closed, 1);
}

static void test_check_without_an_index_is_an_error_and_no_verdict(void **state)
{
    struct asking *asking = *state;

    uv_close((uv_handle_t *)&asking->index, NULL);
    uv_run(&asking->loop, UV_RUN_NOWAIT);
    asking->closes_at_report = true;
    begins(asking);
    ends(asking);
    assert_int_equal(asking->reports, 1);
    assert_int_equal(asking->error, SIGNPOST_ERROR_UNREACHABLE);
    assert_non_null(strstr(asking->json, "\"verdict\":null"));
    assert_true(asking->lines > 0);
}

static void test_check_of_a_silent_index_is_an_error(void **state)
{
    struct asking *asking = *state;

    asking->closes_at_report = true;
    begins(asking);
    ends(asking);
    assert_int_equal(asking->error, SIGNPOST_ERROR_TIMEOUT);
}

/* Each of these for /ice, and so never a word about the port. */
static void test_check_of_what_is_no_index_is_an_error(void **state)
{
    static const struct {
        const char *answer;
        int error;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", SIGNPOST_ERROR_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{\"a\":",
            SIGNPOST_ERROR_PROTOCOL},
        {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", SIGNPOST_ERROR_PROTOCOL},
        {"SSH-2.0-x\r\n", SIGNPOST_ERROR_PROTOCOL},
        {"HTTP/1.1 429 No\r\nContent-Type: application/problem+json\r\nContent-Length: 39\r\n\r\n"
         "{\"code\":\"rate_limited\",\"detail\":\"wait\"}",
            SIGNPOST_ERROR_BUSY},
    };
    struct asking *asking = *state;

    asking->closes_at_report = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        asking->reports = asking->closed = asking->lines = 0;
        asking->answer = cases[i].answer;
        begins(asking);
        ends(asking);
        assert_int_equal(asking->reports, 1);
        assert_int_equal(asking->error, cases[i].error);
    }
}

/* It names servers, and then does not know /check. */
static void test_check_that_is_answered_with_nonsense_gives_no_verdict(void **state)
{
    struct asking *asking = *state;

    asking->answer =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 44\r\n\r\n"
        "{\"iceServers\":[],\"result\":\"shut\",\"ttl\":3600}";
    asking->closes_at_report = true;
    begins(asking);
    ends(asking);
    assert_int_equal(asking->reports, 1);
    assert_int_not_equal(asking->error, 0);
}

static void test_check_may_be_closed_at_any_moment(void **state)
{
    struct asking *asking = *state;

    for (int turns = 0; turns < 6; turns++) {
        asking->closed = 0;
        begins(asking);
        for (int i = 0; i < turns; i++)
            uv_run(&asking->loop, UV_RUN_NOWAIT);
        signpost_check_close(asking->check, on_closed, asking);
        ends(asking);
        assert_int_equal(asking->reports, 0);
    }
}

static void test_check_may_be_closed_at_a_line(void **state)
{
    struct asking *asking = *state;

    asking->answer = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
    asking->closes_at_line = true;
    begins(asking);
    ends(asking);
    assert_int_equal(asking->lines, 1);
    assert_int_equal(asking->reports, 0);
}

static void test_check_with_nonsense_is_invalid(void **state)
{
    struct asking *asking = *state;
    const char *const good[] = {asking->url, NULL}, *const none[] = {NULL},
                      *const wrong[] = {"ftp://x", NULL}, *const query[] = {"http://x/?a", NULL};
    const signpost_check_config_t cases[] = {
        {.indexes = NULL, .port = 1, .on_report = on_report},
        {.indexes = none, .port = 1, .on_report = on_report},
        {.indexes = wrong, .port = 1, .on_report = on_report},
        {.indexes = query, .port = 1, .on_report = on_report},
        {.indexes = good, .on_report = on_report},
        {.indexes = good, .port = 1},
        {.indexes = good, .port = 1, .on_report = on_report, .publish = true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(
            signpost_check(&asking->loop, &cases[i], &asking->check), SIGNPOST_ERROR_INVALID);
    assert_int_equal(signpost_check(NULL, &cases[0], &asking->check), SIGNPOST_ERROR_INVALID);
    assert_null(asking->check);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_check_without_an_index_is_an_error_and_no_verdict),
        TEST(test_check_of_a_silent_index_is_an_error),
        TEST(test_check_of_what_is_no_index_is_an_error),
        TEST(test_check_that_is_answered_with_nonsense_gives_no_verdict),
        TEST(test_check_may_be_closed_at_any_moment),
        TEST(test_check_may_be_closed_at_a_line),
        TEST(test_check_with_nonsense_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
