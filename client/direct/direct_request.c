#include "direct_internal.h"
#include "endpoint.h"
#include "mesh/mesh.h"
#include "session/sessions.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIAL_MS 10000

/* --- the requests ---------------------------------------------------------------------------- */

static void direct_later(struct direct *direct, uint64_t delay_ms);

static bool needs_session(const struct request *request)
{
    return !strcmp(request->scheme, DIRECT_SCHEME);
}

/* Where the oldest for that peer stands; what it points to is NULL where there is none. */
static struct request **place_of(struct direct *direct, const char *peer)
{
    struct request **at = &direct->requests;

    while (*at && ((*at)->finished || !needs_session(*at) || strcmp((*at)->peer, peer) != 0))
        at = &(*at)->next;
    return at;
}

static void take_out(struct direct *direct, struct request **at)
{
    *at = (*at)->next;
    direct->request_count--;
}

struct request *direct_take_request(struct direct *direct, const char *peer)
{
    struct request **at = place_of(direct, peer), *request = *at;

    if (request)
        take_out(direct, at);
    direct_later(direct, 0); /* the next one may begin */
    return request;
}

bool direct_has_request(const struct direct *direct, const char *peer)
{
    return *place_of((struct direct *)direct, peer) != NULL;
}

static void finish(struct request *request, int error, const char *reason)
{
    approach_cancel(request->approach);
    request->approach = NULL;
    request->finished = true;
    request->error = error;
    snprintf(request->reason, sizeof request->reason, "%s", reason);
    direct_later(request->direct, 0);
}

void direct_fail_request(struct direct *direct, const char *peer, int error, const char *reason)
{
    struct request *request = *place_of(direct, peer);

    if (request && request->begun) /* else what ended was not its own */
        finish(request, error, reason);
}

/* --- connections ----------------------------------------------------------------------------- */

static void address_text(
    int fd, int (*get)(int, struct sockaddr *, socklen_t *), char ret_text[ENDPOINT_TEXT_SIZE])
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof address;

    get(fd, (struct sockaddr *)&address, &size);
    endpoint_text(&address, ret_text);
}

void direct_deliver(struct direct *direct, struct request *request, const char *peer, int fd,
    signpost_path_t path, bool called, int64_t took_ms)
{
    char local[ENDPOINT_TEXT_SIZE], remote[ENDPOINT_TEXT_SIZE];
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    address_text(fd, getsockname, local);
    address_text(fd, getpeername, remote);
    signpost_connection_t connection = {
        .peer = peer,
        .local = local,
        .remote = remote,
        .path = path,
        .called = called,
        .rtt_us = info.tcpi_rtt,
        .took_ms = (unsigned)took_ms,
        .fd = fd,
    };
    if (direct->client->stopping) {
        close(fd);
        if (request)
            request->connected(direct->client, peer, SIGNPOST_ERROR_STOPPED,
                signpost_strerror(SIGNPOST_ERROR_STOPPED), NULL, request->user);
    } else if (request) {
        request->connected(direct->client, peer, 0, "", &connection, request->user);
    } else if (direct->client->mesh) {
        mesh_called(direct->client->mesh, &connection);
    } else if (direct->on_connection && called) {
        direct->on_connection(direct->client, &connection, direct->user);
    } else {
        close(fd); /* nobody wants it any more */
    }
    free(request);
}

enum direct_answer direct_answer_to(const struct direct *direct, const char *peer)
{
    if (direct_has_request(direct, peer))
        return DIRECT_YES;
    if (direct->client->mesh)
        return mesh_accepts(direct->client->mesh, peer) ? DIRECT_YES : DIRECT_BUSY;
    return direct->on_connection ? DIRECT_YES : DIRECT_NO;
}

int signpost_connection_open(
    const signpost_connection_t *connection, uv_loop_t *loop, uv_tcp_t *tcp)
{
    int error = uv_tcp_init(loop, tcp);

    if (!error)
        error = uv_tcp_open(tcp, connection->fd);
    if (error)
        close(connection->fd);
    return error;
}

const char *signpost_path_name(signpost_path_t path)
{
    static const char *const names[] = {"direct", "lan", "reversed"};
    return names[path];
}

/* --- endpoints of other services: as they are ------------------------------------------------ */

static void on_approached(const struct dial_result *result, int error, void *user)
{
    struct request *request = user;
    struct direct *direct = request->direct;
    char reason[DIRECT_REASON_SIZE];

    request->approach = NULL;
    if (result->fd >= 0) {
        struct request **at = &direct->requests;
        while (*at != request)
            at = &(*at)->next;
        take_out(direct, at);
        direct_deliver(direct, request, request->peer, result->fd,
            result->private ? SIGNPOST_PATH_LAN : SIGNPOST_PATH_DIRECT, false,
            client_now_ms(direct->client) - request->began_ms);
        return;
    }
    if (request->retries++ < SESSION_RETRIES) {
        request->due_ms = client_now_ms(direct->client) + SESSION_RETRY_MS / 2 +
                          (int64_t)client_jitter(direct->client, SESSION_RETRY_MS);
        direct_later(direct, 0);
        return;
    }
    snprintf(reason, sizeof reason, "cannot reach %s: %s", request->peer, result->reason);
    finish(request, error, reason);
}

static void begin_approach(struct request *request)
{
    request->due_ms = INT64_MAX;
    request->approach = approach_start(request->direct->client,
        &(struct approach_plan){
            .peer = request->peer, .scheme = request->scheme, .only = "", .timeout_ms = DIAL_MS},
        on_approached, request);
    if (!request->approach)
        finish(request, SIGNPOST_ERROR_NO_MEMORY, signpost_strerror(SIGNPOST_ERROR_NO_MEMORY));
}

/* --- time ------------------------------------------------------------------------------------ */

/* One after the other for one peer: each is a session of its own. */
static void begin_session(struct request *request)
{
    struct direct *direct = request->direct;
    struct signpost_session *session;
    int error;

    if (*place_of(direct, request->peer) != request)
        return;
    request->begun = true;
    request->due_ms = INT64_MAX;
    error = sessions_get(direct->client->sessions, request->peer, "direct", &session);
    if (error) {
        finish(request, error, signpost_strerror(error));
        return;
    }
    session_connect(session->machine, client_now_ms(direct->client));
    sessions_follow(direct->client->sessions);
}

/* Tells the first that is finished; its callback may do anything. */
static bool tell_one(struct direct *direct)
{
    for (struct request **at = &direct->requests; *at; at = &(*at)->next) {
        struct request *request = *at;
        if (!request->finished)
            continue;
        take_out(direct, at);
        request->connected(
            direct->client, request->peer, request->error, request->reason, NULL, request->user);
        free(request);
        return true;
    }
    return false;
}

static void on_timer(uv_timer_t *timer)
{
    struct direct *direct = timer->data;
    int64_t now_ms = client_now_ms(direct->client), next_ms = INT64_MAX;

    while (tell_one(direct))
        continue;
    for (struct request *at = direct->requests; at && !direct->client->stopping; at = at->next) {
        if (at->finished || at->due_ms > now_ms)
            continue;
        if (!needs_session(at))
            begin_approach(at);
        else if (!at->begun)
            begin_session(at);
    }
    for (const struct request *at = direct->requests; at; at = at->next) {
        if (at->finished)
            next_ms = now_ms;
        else if (at->due_ms > now_ms && at->due_ms < next_ms)
            next_ms = at->due_ms;
    }
    if (next_ms < INT64_MAX)
        direct_later(direct, next_ms > now_ms ? (uint64_t)(next_ms - now_ms) : 0);
}

static void direct_later(struct direct *direct, uint64_t delay_ms)
{
    if (!direct->closed)
        uv_timer_start(&direct->timer, on_timer, delay_ms, 0);
}

/* --- what an application asks for ------------------------------------------------------------ */

int signpost_connect(signpost_t *client, const char *peer, const char *scheme,
    signpost_connected_cb connected, void *user, uint64_t *ret_request)
{
    struct direct *direct = client->direct;
    struct request *request, **end = &direct->requests;

    if (!scheme)
        scheme = DIRECT_SCHEME;
    if (client->stopping)
        return SIGNPOST_ERROR_STOPPED;
    if (!connected || !peer || !codec_is_id(peer) || !strcmp(peer, client->id) || !*scheme ||
        strlen(scheme) >= sizeof request->scheme ||
        (client->config.watch_only && !strcmp(scheme, DIRECT_SCHEME)))
        return SIGNPOST_ERROR_INVALID;
    if (direct->request_count >= DIRECT_REQUESTS_MAX)
        return SIGNPOST_ERROR_FULL;
    request = calloc(1, sizeof *request);
    if (!request)
        return SIGNPOST_ERROR_NO_MEMORY;
    request->direct = direct;
    request->id = ++direct->last_id;
    snprintf(request->peer, sizeof request->peer, "%s", peer);
    snprintf(request->scheme, sizeof request->scheme, "%s", scheme);
    request->began_ms = client_now_ms(client);
    request->connected = connected;
    request->user = user;
    while (*end)
        end = &(*end)->next;
    *end = request;
    direct->request_count++;
    if (ret_request)
        *ret_request = request->id;
    direct_later(direct, 0);
    return 0;
}

void signpost_connect_cancel(signpost_t *client, uint64_t id)
{
    struct request *request = client->direct->requests, *next;
    struct signpost_session *session;

    while (request && request->id != id)
        request = request->next;
    if (!request)
        return;
    bool was_finished = request->finished;
    finish(request, SIGNPOST_ERROR_CANCELLED, signpost_strerror(SIGNPOST_ERROR_CANCELLED));
    if (was_finished)
        return;
    next = *place_of(client->direct, request->peer);
    session = sessions_find(client->sessions, request->peer, "direct");
    if (!request->begun || !session)
        return;
    if (next) { /* what is under way is for that one now */
        next->begun = true;
        return;
    }
    if (!session_is_over(session->machine))
        session_close(session->machine, client_now_ms(client));
    sessions_follow(client->sessions);
}

/* --- life ------------------------------------------------------------------------------------ */

int direct_new(signpost_t *client, struct direct **ret_direct)
{
    struct direct *direct = calloc(1, sizeof *direct);

    if (!direct)
        return SIGNPOST_ERROR_NO_MEMORY;
    direct->client = client;
    uv_timer_init(client->loop, &direct->timer);
    direct->timer.data = direct;
    client_hold(client);
    *ret_direct = direct;
    return 0;
}

void direct_stop(struct direct *direct)
{
    for (struct request *at = direct->requests; at; at = at->next)
        if (!at->finished)
            finish(at, SIGNPOST_ERROR_STOPPED, signpost_strerror(SIGNPOST_ERROR_STOPPED));
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct direct *direct = handle->data;
    signpost_t *client = direct->client;

    client->direct = NULL;
    free(direct->locals);
    free(direct);
    client_release(client);
}

static void on_listener_closed(void *user)
{
    struct direct *direct = user;

    uv_close((uv_handle_t *)&direct->timer, on_timer_closed);
}

void direct_close(struct direct *direct)
{
    while (tell_one(direct))
        continue;
    direct->closed = true;
    uv_timer_stop(&direct->timer);
    if (direct->listener)
        listener_close(direct->listener, on_listener_closed, direct);
    else
        on_listener_closed(direct);
}
