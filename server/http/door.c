#include "http/door_internal.h"

#include "http/access.h"
#include "http/by_hand.h"
#include "http/checks.h"
#include "http/meter.h"
#include "http/routes.h"
#include "log.h"
#include "metrics.h"
#include "server_limits.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PREFLIGHT_MAX_AGE_S "86400"

/* --- the first sight of a request ------------------------------------------------------------ */

static int find_caller(struct request *request, struct fault *ret_fault)
{
    struct http_door *door = request->door;
    struct http_connection *connection = request->connection;
    struct caller *caller = &request->caller;

    caller->address = connection->address;
    request->port = connection->port;
    if (connection->ops) {
        caller->exempt = true;
        return 0;
    }
    if (connection->source) {
        request->source = connection->source;
        return 0;
    }
    int error = policy_client(&door->config.policy, request->mhd, &caller->address, &request->port,
        &caller->exempt, ret_fault);
    if (!caller->exempt)
        request->source = source_hold(door->config.sources, &caller->address, door_now_ms(door));
    return error;
}

/* For operations there are no proxies and no pages; at loopback, no other machine. */
static const struct http_policy *policy_of(const struct request *request)
{
    static const struct http_policy reached, own = {.loopback_only = true};

    if (!request->connection->ops)
        return &request->door->config.policy;
    return request->connection->own ? &own : &reached;
}

static int fault_rate(struct fault *ret_fault, const char *whose, int64_t wait_ms)
{
    fault_set(ret_fault, ERROR_RATE_LIMITED,
        "%s sends more requests than this index takes: wait, then send fewer", whose);
    ret_fault->retry_after_s = (int)((wait_ms + 999) / 1000);
    ret_fault->action = "retry";
    return ERROR_RATE_LIMITED;
}

static int check_rate(struct request *request, struct fault *ret_fault)
{
    struct http_door *door = request->door;
    int64_t wait_ms;

    if (!request->source ||
        source_take(door->config.sources, request->source, door_now_ms(door), &wait_ms))
        return 0;
    metrics_add(METRIC_LIMIT_RATE, 1);
    return fault_rate(ret_fault, "your address", wait_ms);
}

/* Wherever its requests come from. */
static int check_credential_rate(struct request *request, struct fault *ret_fault)
{
    struct http_door *door = request->door;
    struct bucket *bucket = request->bucket;
    int64_t wait_ms;

    request->bucket = NULL; /* it may go while the request waits */
    if (!bucket ||
        bucket_take(door->config.rate_per_credential, bucket, door_now_ms(door), &wait_ms))
        return 0;
    metrics_add(METRIC_LIMIT_RATE_CREDENTIAL, 1);
    return fault_rate(ret_fault, "your join key or node token", wait_ms);
}

static void preflight(struct request *request, const char *path)
{
    route_find(request, "", path);
    if (!request->methods[0] && strcmp(path, "*") != 0) {
        struct fault fault;
        fault_set(&fault, ERROR_UNKNOWN_PATH, "there is nothing at this path");
        request_fail(request, &fault);
        return;
    }
    const char *allow = request->methods[0] ? request->methods : "GET, HEAD, POST, DELETE, OPTIONS";
    request_reply(request, MHD_HTTP_NO_CONTENT, NULL, NULL,
        (struct reply_header[]){
            {MHD_HTTP_HEADER_ALLOW, allow},
            {"Access-Control-Allow-Methods", allow},
            {"Access-Control-Allow-Headers", "Authorization, Content-Type, " REQUEST_ID_HEADER},
            {"Access-Control-Max-Age", PREFLIGHT_MAX_AGE_S},
            {NULL, NULL},
        });
}

/* The path of a target that may be a whole URL (RFC 9112, 3.2.2). */
static const char *path_of(const char *target)
{
    const char *authority = strstr(target, "://");

    if (target[0] == '/' || !authority)
        return target;
    const char *path = strchr(authority + 3, '/');
    return path ? path : "/";
}

static void answer_by_hand(struct request *request, const struct fault *fault)
{
    metrics_problem(fault->error);
    request->sent_bytes = by_hand_answer(request->mhd, fault, request->id);
    request->status = error_http_status(fault->error);
    request->by_hand = true;
}

/* Before anything but its target is known. libmicrohttpd may still call with the rest of it. */
static void refuse_target(
    struct request *request, const char *target, const struct fault *target_fault)
{
    struct fault rate_fault;

    request->failed = true;
    request->began_ns = uv_hrtime();
    request->caller.address = request->connection->address;
    request->source = request->connection->source;
    access_begin(request, "-", target);
    request->shown_path[strcspn(request->shown_path, "?")] = '\0';
    if (check_rate(request, &rate_fault))
        shutdown(request->connection->fd, SHUT_RDWR);
    else
        answer_by_hand(request, target_fault);
    meter_request(request);
    access_end(request, request->by_hand);
}

/* The first sight of a request. A refusal is mostly answered after the body. */
static enum MHD_Result begin(
    struct request *request, const char *path, const char *method, const char *version)
{
    struct fault fault, misleading;

    request->begun = true;
    request->began_ns = uv_hrtime();
    request->needs_host = strcmp(version, MHD_HTTP_VERSION_1_0) != 0;
    http_connection_enter(request->connection, HTTP_BODY);
    access_begin(request, method, path);
    int misled = find_caller(request, &misleading);
    int limited = check_rate(request, &fault);
    if (checks_size(request, limited ? &misleading : &fault)) {
        if (!limited)
            answer_by_hand(request, &fault);
        return MHD_NO;
    }
    if (!limited) {
        if (!misled && !policy_check_host(policy_of(request), request->mhd, &fault) &&
            !checks_run(request, path, method, &fault) && !check_credential_rate(request, &fault))
            return MHD_YES;
        if (misled)
            fault = misleading;
    }
    /* Whoever leaves out the length means that a body follows, or hides one: it is not read. */
    if (fault.error != ERROR_LENGTH_REQUIRED && checks_can_drain(request)) {
        request->refusal = malloc(sizeof fault);
        if (!request->refusal)
            return MHD_NO;
        *request->refusal = fault;
        return MHD_YES;
    }
    request_fail(request, &fault);
    if (!request->response)
        return MHD_NO;
    MHD_add_response_header(request->response, MHD_HTTP_HEADER_CONNECTION, "close");
    reply_send(request);
    return MHD_YES;
}

/* --- the life of a request ------------------------------------------------------------------- */

static void *on_begin(void *user, const char *target, struct MHD_Connection *mhd)
{
    struct http_connection *connection = http_connection_of(mhd);
    struct request *request = connection ? calloc(1, sizeof *request) : NULL;
    struct fault fault;

    if (!request)
        return NULL;
    request->door = user;
    request->mhd = mhd;
    request->connection = connection;
    connection->request = request;
    request->url_length = strlen(target);
    request->has_nul = strstr(target, "%00") != NULL;
    if (checks_target(target, &fault))
        refuse_target(request, target, &fault);
    return request;
}

static void free_question(struct request *request)
{
    codec_free(request->json);
    request->json = NULL;
    text_clear(&request->body);
}

static void run(struct request *request, const char *path, const char *method)
{
    struct fault fault;

    http_connection_enter(request->connection, HTTP_RUNNING);
    if (request->refusal)
        request_fail(request, request->refusal);
    else if (!strcmp(method, MHD_HTTP_METHOD_OPTIONS))
        preflight(request, path);
    else if (checks_key(request, &fault))
        request_fail(request, &fault);
    else
        request->route->handle(request);
    /* It may wait for long, for a commit or for who reads slowly, and parsed JSON is large. */
    free_question(request);
    if (request->response || request->failed)
        return;
    MHD_suspend_connection(request->mhd);
    request->suspended = true;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *mhd, const char *path,
    const char *method, const char *version, const char *upload, size_t *upload_size,
    void **request_context)
{
    struct request *request = *request_context;

    (void)user;
    (void)mhd;
    if (!request || request->failed)
        return MHD_NO;
    if (!request->begun)
        return begin(request, path_of(path), method, version);
    if (*upload_size) {
        if (!request->refusal && request->body.length + *upload_size <= LIMIT_BODY_BYTES)
            text_append(&request->body, upload, *upload_size);
        http_connection_hold(request->connection, request->body.length);
        *upload_size = 0;
        return MHD_YES;
    }
    if (!request->response && !request->failed)
        run(request, path_of(path), method);
    if (request->response)
        reply_send(request);
    return request->failed ? MHD_NO : MHD_YES;
}

static void on_complete(void *user, struct MHD_Connection *mhd, void **request_context,
    enum MHD_RequestTerminationCode code)
{
    struct request *request = *request_context;

    (void)user;
    (void)mhd;
    if (!request)
        return;
    *request_context = NULL;
    request->connection->request = NULL;
    http_connection_enter(request->connection, HTTP_IDLE);
    if (request->begun) {
        meter_request(request);
        access_end(request, code == MHD_REQUEST_TERMINATED_COMPLETED_OK || request->by_hand);
    }
    if (request->source && request->source != request->connection->source)
        source_release(request->door->config.sources, request->source);
    if (request->response)
        MHD_destroy_response(request->response);
    free(request->refusal);
    free_question(request);
    reply_free_pieces(request);
    free(request);
}

/* --- the door itself ------------------------------------------------------------------------- */

static void on_vanished(struct wait *wait)
{
    struct request *request = (struct request *)((char *)wait - offsetof(struct request, wait));
    request->vanished(request);
}

static bool on_exempt(const struct address *address, void *user)
{
    struct http_door *door = user;
    return policy_trusts(&door->config.policy, address);
}

static bool on_pass_done(void *user)
{
    struct http_door *door = user;
    door->pages_bytes = door->bodies_bytes = 0;
    bool more = door->config.pass_done(door->config.user);
    /* A node's age, and what waits for it, are what they are now. */
    delta_forget(&door->delta);
    return more;
}

int http_door_new(
    const struct http_door_config *config, struct http_door **ret_door, struct fault *ret_fault)
{
    struct http_door *door = calloc(1, sizeof *door);

    if (!door)
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory for the door");
    door->config = *config;
    door->began_ms = door_now_ms(door);
    door->began_wall_ms = clock_wall_ms(config->clock);
    usage_measure(&door->usage, door->began_ms); /* shares are of what comes from here on */
    int error = waits_new(config->uv, config->max_waiters, config->max_waiters_per_address,
        on_vanished, &door->waits);
    if (error) {
        free(door);
        return fault_set(ret_fault, error, "no memory or descriptor for parked polls");
    }
    error = http_loop_new(
        &(struct http_loop_config){
            .uv = config->uv,
            .clock = config->clock,
            .sources = config->sources,
            .max_connections = config->max_connections,
            .max_connections_per_address = config->max_connections_per_address,
            .headers_timeout_s = config->headers_timeout_s,
            .body_timeout_s = config->body_timeout_s,
            .tls = config->tls,
            .exempt = on_exempt,
            .handle = on_request,
            .begin = on_begin,
            .complete = on_complete,
            .pass_done = on_pass_done,
            .user = door,
        },
        &door->loop, ret_fault);
    if (error) {
        waits_close(door->waits);
        uv_run(config->uv, UV_RUN_NOWAIT);
        waits_free(door->waits);
        free(door);
        return error;
    }
    *ret_door = door;
    return 0;
}

struct http_loop *http_door_loop(struct http_door *door)
{
    return door->loop;
}

void http_door_set_keys(struct http_door *door, const struct keys *keys)
{
    door->config.keys = keys;
}

bool http_door_has_room(const struct http_door *door)
{
    return door->pages_bytes < LIMIT_PASS_PAGES_BYTES;
}

void http_door_drain(struct http_door *door)
{
    door->draining = true;
    http_loop_drain(door->loop);
}

void http_door_close(struct http_door *door)
{
    http_loop_close(door->loop);
    waits_close(door->waits);
}

void http_door_free(struct http_door *door)
{
    if (!door)
        return;
    http_loop_free(door->loop);
    waits_free(door->waits);
    delta_forget(&door->delta);
    free(door);
}
