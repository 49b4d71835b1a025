#include "http_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct help_faults fixture_faults;

int fixture_start_faults(void **state)
{
    (void)state;
    help_start_faults(&fixture_faults);
    return 0;
}

int fixture_stop_faults(void **state)
{
    (void)state;
    help_stop_faults(&fixture_faults);
    return 0;
}

/* --- life ------------------------------------------------------------------------------------ */

int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    assert_int_equal(http_new(&fixture->loop, NULL, &fixture->http), 0);
    *state = fixture;
    return 0;
}

static void on_closed(void *user)
{
    struct fixture *fixture = user;

    fixture->closed++;
}

static bool is_closed(void *user)
{
    return ((struct fixture *)user)->closed > 0;
}

void fixture_close(struct fixture *fixture)
{
    fixture->closed = 0;
    http_close(fixture->http, on_closed, fixture);
    fixture->http = NULL;
    assert_int_equal(fixture->closed, 0);
    help_run_until(&fixture->loop, is_closed, fixture);
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->http)
        fixture_close(fixture);
    help_close_loop(&fixture->loop);
    free(fixture);
    return 0;
}

void fixture_trust(struct fixture *fixture, const char *ca_file)
{
    fixture_close(fixture);
    assert_int_equal(http_new(&fixture->loop, ca_file, &fixture->http), 0);
}

/* --- requests -------------------------------------------------------------------------------- */

static const char *make_url(const char *scheme, unsigned port, const char *path)
{
    static char urls[4][FIXTURE_URL_SIZE];
    static unsigned next;
    char *url = urls[next++ % 4];

    snprintf(url, FIXTURE_URL_SIZE, "%s://127.0.0.1:%u/%s", scheme, port, path);
    return url;
}

const char *fixture_url(const char *path)
{
    return make_url("http", fixture_faults.port, path);
}

const char *fixture_tls_url(const char *path)
{
    return make_url("https", fixture_faults.tls_port, path);
}

static void on_done(const struct http_reply *reply, void *user)
{
    struct answer *answer = user;
    char *body = malloc(reply->body_size + 1);

    assert_non_null(body);
    assert_int_equal(reply->body[reply->body_size], 0);
    memcpy(body, reply->body, reply->body_size + 1);
    answer->calls++;
    answer->reply = *reply;
    answer->reply.body = body;
    if (answer->then)
        answer->then(answer);
}

int fixture_try(struct fixture *fixture, struct answer *answer, const struct http_request *request)
{
    answer->fixture = fixture;
    int error = http_start(fixture->http, request, on_done, answer, &answer->call);
    assert_int_equal(answer->calls, 0);
    return error;
}

void fixture_start(
    struct fixture *fixture, struct answer *answer, const struct http_request *request)
{
    struct http_request whole = *request;

    if (!whole.method)
        whole.method = "GET";
    if (!whole.timeout_ms)
        whole.timeout_ms = FIXTURE_TIMEOUT_MS;
    if (!whole.max_bytes)
        whole.max_bytes = FIXTURE_MAX_BYTES;
    assert_int_equal(fixture_try(fixture, answer, &whole), 0);
}

void fixture_start_get(struct fixture *fixture, struct answer *answer, const char *url)
{
    fixture_start(fixture, answer, &(struct http_request){.url = url});
}

static bool is_answered(void *user)
{
    return ((struct answer *)user)->calls > 0;
}

void fixture_wait(struct answer *answer)
{
    help_run_until(&answer->fixture->loop, is_answered, answer);
    assert_int_equal(answer->calls, 1);
    assert_int_equal(strlen(answer->reply.detail) > 0, answer->reply.error != 0);
}

void fixture_get(struct fixture *fixture, struct answer *answer, const char *url)
{
    fixture_start_get(fixture, answer, url);
    fixture_wait(answer);
}

void answer_free(struct answer *answer)
{
    free((char *)answer->reply.body);
    answer->reply.body = NULL;
}

/* --- errors ---------------------------------------------------------------------------------- */

/* The sentence with host and port of the URL in it. */
static void fill_in(const char *sentence, const char *url, char ret_filled[HTTP_DETAIL_SIZE])
{
    const char *place = strstr(url, "://") + 3;
    const char *at = strchr(sentence, '@');

    if (at)
        snprintf(ret_filled, HTTP_DETAIL_SIZE, "%.*s%.*s%s", (int)(at - sentence), sentence,
            (int)strcspn(place, "/"), place, at + 1);
    else
        snprintf(ret_filled, HTTP_DETAIL_SIZE, "%s", sentence);
}

void fixture_expect_error(
    struct fixture *fixture, const struct http_request *request, int error, const char *sentence)
{
    struct answer answer = {0};
    char filled[HTTP_DETAIL_SIZE];
    size_t size;

    fill_in(sentence, request->url, filled);
    size = strlen(filled);
    fixture_start(fixture, &answer, request);
    fixture_wait(&answer);
    if (size > 0 && filled[size - 1] == '*') {
        filled[size - 1] = '\0';
        assert_true(strlen(answer.reply.detail) > size);
        answer.reply.detail[size - 1] = '\0';
    }
    assert_string_equal(answer.reply.detail, filled);
    assert_string_equal(signpost_error_name(answer.reply.error), signpost_error_name(error));
    assert_int_equal(answer.reply.status, 0);
    assert_int_equal(answer.reply.body_size, 0);
    assert_int_equal(answer.reply.retry_after_ms, 0);
    answer_free(&answer);
}
