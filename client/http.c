#include "http_internal.h"
#include "signpost.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECT_TIMEOUT_MS 10000
#define BEARER_MAX 256  /* bytes; a join key has 47 */
#define HEAD_MAX 65536  /* bytes of a reply's head */
#define BODY_FIRST 4096 /* bytes that the first part of a body makes room for */

/* One socket of libcurl's. */
struct watch {
    uv_poll_t handle;
    struct http *http;
    curl_socket_t socket;
    int events;
};

/* --- calls ----------------------------------------------------------------------------------- */

/* Also takes it from libcurl, which may then close sockets. */
static void call_unlink(struct http_call *call)
{
    if (call->previous)
        call->previous->next = call->next;
    else
        call->http->calls = call->next;
    if (call->next)
        call->next->previous = call->previous;
    curl_multi_remove_handle(call->http->multi, call->easy);
}

static void call_free(struct http_call *call)
{
    if (!call)
        return;
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    free(call->body);
    free(call);
}

static void call_finish(struct http_call *call, CURLcode code)
{
    struct http_reply reply = {.body = ""};

    if (call->error == SIGNPOST_ERROR_NO_MEMORY)
        code = CURLE_OUT_OF_MEMORY;
    else if (!code && !call->head_complete) /* libcurl is content with a head that breaks off */
        code = CURLE_PARTIAL_FILE;
    if (code)
        http_describe(call, code, &reply);
    else
        http_read(call, &reply);
    call_unlink(call);
    call->done(&reply, call->user);
    call_free(call);
}

/* The next call that has ended; NULL: none. */
static struct http_call *take_finished(struct http *http, CURLcode *ret_code)
{
    struct http_call *call = NULL;
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(http->multi, &left)))
        if (message->msg == CURLMSG_DONE) {
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
            *ret_code = message->data.result;
            return call;
        }
    if (!http->unwatched)
        return NULL;
    *ret_code = CURLE_OUT_OF_MEMORY;
    for (call = http->calls; call; call = call->next)
        if (call->error)
            return call;
    http->unwatched = false;
    return NULL;
}

/* libcurl ran out of memory between two calls. It does not say for which, asks for no timer any
 * more, and trips over its own tables when it goes on with them. */
static void give_up(struct http *http)
{
    for (struct http_call *call = http->calls; call; call = call->next)
        call->error = SIGNPOST_ERROR_NO_MEMORY;
    http->unwatched = true;
}

/* Tells libcurl what happened, and the callers what came of it: the only place that calls them. */
static void act(struct http *http, curl_socket_t socket, int what)
{
    struct http_call *call;
    CURLcode code = CURLE_OK;
    int running;

    if (curl_multi_socket_action(http->multi, socket, what, &running))
        give_up(http);
    /* A callback may close all of it. */
    while (!http->closing && (call = take_finished(http, &code)))
        call_finish(call, code);
}

/* --- libcurl on the loop --------------------------------------------------------------------- */

static void handle_closed(struct http *http)
{
    void (*closed)(void *user) = http->closed;
    void *user = http->closed_user;

    if (--http->handles > 0)
        return;
    free(http->ca_file);
    free(http);
    if (closed)
        closed(user);
}

static void on_timer(uv_timer_t *timer)
{
    struct http *http = timer->data;

    http->in_timer = true;
    act(http, CURL_SOCKET_TIMEOUT, 0);
    http->in_timer = false;
}

static int follow_timer(CURLM *multi, long timeout_ms, void *user)
{
    struct http *http = user;

    (void)multi;
    /* A timer of 0 that is set in its own callback runs before the loop looks at anything else. */
    if (timeout_ms == 0 && http->in_timer)
        timeout_ms = 1;
    if (timeout_ms < 0)
        uv_timer_stop(&http->timer);
    else
        uv_timer_start(&http->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *watch = handle->data;
    struct http *http = watch->http;

    free(watch);
    handle_closed(http);
}

static int curl_events(int events)
{
    int what = 0;

    if (events & UV_READABLE)
        what |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        what |= CURL_CSELECT_OUT;
    return what;
}

static int uv_events(int what)
{
    int events = 0;

    if (what & CURL_POLL_IN)
        events |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        events |= UV_WRITABLE;
    return events;
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
    const struct watch *watch = handle->data;

    /* libuv stops the handle of a socket with an error, of which libcurl is to hear, by looking for
     * itself: what came before the error is still to be read. */
    if (status < 0)
        uv_poll_start(handle, watch->events, on_ready);
    act(watch->http, watch->socket, status < 0 ? 0 : curl_events(events));
}

static struct watch *watch_new(struct http *http, curl_socket_t socket)
{
    struct watch *watch = calloc(1, sizeof *watch);

    if (!watch)
        return NULL;
    if (uv_poll_init_socket(http->loop, &watch->handle, socket)) {
        free(watch);
        return NULL;
    }
    watch->handle.data = watch;
    watch->http = http;
    watch->socket = socket;
    http->handles++;
    curl_multi_assign(http->multi, socket, watch);
    return watch;
}

/* What libcurl wants to know of a socket. Fails by a mark on the call: a failure that is returned
 * would end every other call too. */
static int follow_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *known)
{
    struct http *http = user;
    struct watch *watch = known;
    struct http_call *call = NULL;

    if (what == CURL_POLL_REMOVE) {
        if (watch)
            uv_close((uv_handle_t *)&watch->handle, on_watch_closed);
        return 0;
    }
    if (!watch)
        watch = watch_new(http, socket);
    if (watch) {
        watch->events = uv_events(what);
        uv_poll_start(&watch->handle, watch->events, on_ready);
        return 0;
    }
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
    if (call) {
        call->error = SIGNPOST_ERROR_NO_MEMORY;
        http->unwatched = true;
    }
    return 0;
}

/* --- a request ------------------------------------------------------------------------------- */

static size_t take_body(char *bytes, size_t one, size_t size, void *user)
{
    struct http_call *call = user;
    size_t needed = call->body_size + size + 1;

    (void)one;
    if (size > call->max_bytes - call->body_size) {
        call->error = SIGNPOST_ERROR_PROTOCOL;
        return 0;
    }
    if (needed > call->body_capacity) {
        size_t capacity = call->body_capacity ? call->body_capacity * 2 : BODY_FIRST;
        if (capacity < needed)
            capacity = needed;
        char *body = realloc(call->body, capacity);
        if (!body) {
            call->error = SIGNPOST_ERROR_NO_MEMORY;
            return 0;
        }
        call->body = body;
        call->body_capacity = capacity;
    }
    memcpy(call->body + call->body_size, bytes, size);
    call->body_size += size;
    call->body[call->body_size] = '\0';
    return size;
}

/* An empty line ends a head; after that come the next head or trailers. */
static size_t take_header(char *line, size_t one, size_t size, void *user)
{
    struct http_call *call = user;

    (void)one;
    if (size > 5 && memcmp(line, "HTTP/", 5) == 0)
        call->head_complete = false;
    else if (line[0] == '\r' || line[0] == '\n')
        call->head_complete = true;
    call->head_size += size;
    if (call->head_size <= HEAD_MAX)
        return size;
    call->head_complete = false;
    call->error = SIGNPOST_ERROR_PROTOCOL;
    return 0;
}

/* What the application starts does not inherit our connections. */
static int close_on_exec(void *user, curl_socket_t socket, curlsocktype purpose)
{
    (void)user;
    (void)purpose;
    return fcntl(socket, F_SETFD, FD_CLOEXEC) ? CURL_SOCKOPT_ERROR : CURL_SOCKOPT_OK;
}

static bool add_header(struct http_call *call, const char *line)
{
    struct curl_slist *more = curl_slist_append(call->headers, line);

    if (more)
        call->headers = more;
    return more != NULL;
}

static bool set_headers(struct http_call *call, const struct http_request *request, bool has_body)
{
    char line[sizeof "Authorization: Bearer " + BEARER_MAX];

    if (request->bearer) {
        snprintf(line, sizeof line, "Authorization: Bearer %s", request->bearer);
        if (!add_header(call, line))
            return false;
    }
    if (has_body && !add_header(call, "Content-Type: application/json"))
        return false;
    return add_header(call, "Accept: application/json") && add_header(call, "Expect:") &&
           curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK;
}

static bool set_transport(struct http_call *call, long timeout_ms)
{
    const char *ca_file = call->http->ca_file;
    CURL *easy = call->easy;
    unsigned failed = 0;

    /* No signals in a library; and no waiting for a silent resolver when a call is given up. */
    failed |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    failed |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
        timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS);
    failed |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    failed |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    failed |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    failed |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, close_on_exec);
    if (ca_file) {
        failed |= curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
        /* Else the system's directory of certificates would count beside the file. Not every TLS
         * library knows such a directory, so that this may fail. */
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    return !failed;
}

static bool set_request(struct http_call *call, const struct http_request *request)
{
    CURL *easy = call->easy;
    bool has_body = request->body || strcmp(request->method, "POST") == 0;
    unsigned failed = 0;
    char agent[64];

    snprintf(agent, sizeof agent, "libsignpost/%s", signpost_version());
    failed |= curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    failed |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->curl_text);
    failed |= curl_easy_setopt(easy, CURLOPT_URL, request->url);
    failed |= curl_easy_setopt(easy, CURLOPT_IPRESOLVE,
        request->family == 4   ? CURL_IPRESOLVE_V4
        : request->family == 6 ? CURL_IPRESOLVE_V6
                               : CURL_IPRESOLVE_WHATEVER);
    failed |= curl_easy_setopt(easy, CURLOPT_USERAGENT, agent);
    failed |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    failed |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    failed |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    failed |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    if (has_body) {
        curl_off_t size = request->body ? (curl_off_t)request->body_size : 0;
        failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, size);
        failed |=
            curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body ? request->body : "");
    }
    failed |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    return !failed && set_headers(call, request, has_body);
}

/* A bearer that is no token would be a header of its own, or two. */
static bool is_valid(const struct http_request *request)
{
    if (!http_scheme_size(request->url))
        return false;
    if (!request->bearer)
        return true;
    for (const char *at = request->bearer; *at; at++)
        if (*at <= ' ' || *at > '~')
            return false;
    return strlen(request->bearer) <= BEARER_MAX;
}

int http_start(struct http *http, const struct http_request *request, http_done done, void *user,
    struct http_call **ret_call)
{
    struct http_call *call = NULL;
    long timeout_ms = request->timeout_ms < INT_MAX ? (long)request->timeout_ms : INT_MAX;

    if (http->closing)
        return SIGNPOST_ERROR_STOPPED;
    if (!is_valid(request))
        return SIGNPOST_ERROR_INVALID;
    call = calloc(1, sizeof *call);
    if (!call)
        goto cleanup;
    call->http = http;
    call->done = done;
    call->user = user;
    call->max_bytes = request->max_bytes;
    call->easy = curl_easy_init();
    /* 0 would mean to libcurl that there is no end. */
    if (!call->easy || !set_transport(call, timeout_ms ? timeout_ms : 1) ||
        !set_request(call, request) || curl_multi_add_handle(http->multi, call->easy))
        goto cleanup;

    call->next = http->calls;
    if (call->next)
        call->next->previous = call;
    http->calls = call;
    *ret_call = call;
    return 0;

cleanup:
    call_free(call);
    return SIGNPOST_ERROR_NO_MEMORY;
}

void http_cancel(struct http_call *call)
{
    call_unlink(call);
    call_free(call);
}

/* --- all of it ------------------------------------------------------------------------------- */

static CURLM *multi_new(struct http *http)
{
    CURLM *multi = curl_multi_init();
    unsigned failed = 0;

    if (!multi)
        return NULL;
    failed |= (unsigned)curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, follow_socket);
    failed |= (unsigned)curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http);
    failed |= (unsigned)curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, follow_timer);
    failed |= (unsigned)curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http);
    if (!failed)
        return multi;
    curl_multi_cleanup(multi);
    return NULL;
}

int http_new(uv_loop_t *loop, const char *ca_file, struct http **ret_http)
{
    struct http *http = calloc(1, sizeof *http);

    /* Counted by libcurl and safe in any thread. It is never undone: the application may have come
     * to use libcurl by then, and rely on it without having said so. */
    if (!http || curl_global_init(CURL_GLOBAL_DEFAULT))
        goto cleanup;
    http->loop = loop;
    if (ca_file) {
        http->ca_file = strdup(ca_file);
        if (!http->ca_file)
            goto cleanup;
    }
    http->multi = multi_new(http);
    if (!http->multi)
        goto cleanup;
    uv_timer_init(loop, &http->timer);
    http->timer.data = http;
    http->handles = 1;
    *ret_http = http;
    return 0;

cleanup:
    if (http)
        free(http->ca_file);
    free(http);
    return SIGNPOST_ERROR_NO_MEMORY;
}

/* A kept connection cannot be asked whether its path is still there, and libcurl has no function
 * that drops them all: so the calls move to a new multi handle, which knows none. */
void http_renew(struct http *http)
{
    CURLM *multi = http->closing ? NULL : multi_new(http);

    if (!multi)
        return;
    for (struct http_call *call = http->calls; call; call = call->next)
        curl_multi_remove_handle(http->multi, call->easy);
    curl_multi_cleanup(http->multi);
    http->multi = multi;
    for (struct http_call *call = http->calls; call; call = call->next) {
        call->body_size = call->head_size = 0;
        call->head_complete = false;
        if (!curl_multi_add_handle(multi, call->easy))
            continue;
        call->error = SIGNPOST_ERROR_NO_MEMORY;
        http->unwatched = true;
    }
    uv_timer_start(&http->timer, on_timer, 0, 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

void http_close(struct http *http, void (*closed)(void *user), void *user)
{
    struct http_call *next;

    http->closing = true;
    http->closed = closed;
    http->closed_user = user;
    for (struct http_call *call = http->calls; call; call = next) {
        next = call->next;
        http_cancel(call);
    }
    /* libcurl takes leave of the sockets that it kept for later. */
    curl_multi_cleanup(http->multi);
    uv_close((uv_handle_t *)&http->timer, on_timer_closed);
}
