#include "http/door_internal.h"

#include "http/by_hand.h"
#include "http/checks.h"
#include "http/meter.h"
#include "http/routes.h"
#include "log.h"
#include "metrics.h"
#include "server_limits.h"

#include <stdlib.h>
#include <string.h>

#define PREFLIGHT_MAX_AGE_S "86400"

/* Looking at one node of a filtered list takes about as long as writing so much of a page. */
#define FILTERED_BYTES 512

static int64_t door_now_ms(const struct http_door *door)
{
    return clock_now_ms(door->config.clock);
}

/* --- the first sight of a request ------------------------------------------------------------ */

const char *request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, name);
}

const char *request_query(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->mhd, MHD_GET_ARGUMENT_KIND, name);
}

const struct ice *request_ice(const struct request *request)
{
    return &request->door->config.ice;
}

const struct pages *request_pages(const struct request *request)
{
    return request->door->config.pages;
}

struct checker *request_checker(const struct request *request)
{
    return request->door->config.checker;
}

const struct keys *request_keys(const struct request *request)
{
    return request->door->config.keys;
}

struct index *request_index(const struct request *request)
{
    return request->door->config.index;
}

void request_status(const struct request *request, struct status_reply *ret_status)
{
    struct http_door *door = request->door;
    int64_t now_ms = door_now_ms(door);

    usage_measure(&door->usage, now_ms);
    *ret_status = (struct status_reply){
        .wall_ms = clock_wall_ms(door->config.clock),
        .uptime_s = (double)(now_ms - door->began_ms) / 1000,
        .waiting = waits_count(door->waits),
        .max_waiting = door->config.max_waiters,
        .connections = http_loop_connections(door->loop),
        .max_connections = door->config.max_connections,
        .cpu_share = door->usage.cpu_share,
        .memory_bytes = door->usage.memory_bytes,
    };
}

void request_heard(struct request *request)
{
    request->connection->heard_ms = door_now_ms(request->door);
}

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
            {"Access-Control-Allow-Headers", "Authorization, Content-Type"},
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

/* The first sight of a request. A refusal is mostly answered after the body. */
static enum MHD_Result begin(
    struct request *request, const char *path, const char *method, const char *version)
{
    const struct http_policy *policy = &request->door->config.policy;
    struct fault fault, misleading;

    request->begun = true;
    request->began_ns = uv_hrtime();
    request->needs_host = strcmp(version, MHD_HTTP_VERSION_1_0) != 0;
    request->connection = http_connection_of(request->mhd);
    if (!request->connection)
        return MHD_NO;
    if (request->connection->ops)
        policy = &request->door->config.ops_policy;
    http_connection_enter(request->connection, HTTP_BODY);
    int misled = find_caller(request, &misleading);
    int limited = check_rate(request, &fault);
    if (checks_size(request, limited ? &misleading : &fault)) {
        if (!limited)
            by_hand_answer(request->mhd, &fault);
        return MHD_NO;
    }
    if (!limited) {
        if (!misled && !policy_check_host(policy, request->mhd, &fault) &&
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

static void *on_begin(void *user, const char *uri, struct MHD_Connection *mhd)
{
    struct request *request = calloc(1, sizeof *request);

    if (!request)
        return NULL;
    request->door = user;
    request->mhd = mhd;
    request->url_length = strlen(uri);
    request->has_nul = strstr(uri, "%00") != NULL;
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
    if (!request)
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
    struct http_connection *connection = http_connection_of(mhd);

    (void)user;
    (void)code;
    if (!request)
        return;
    *request_context = NULL;
    if (connection)
        http_connection_enter(connection, HTTP_IDLE);
    if (request->begun)
        meter_request(request);
    if (request->source && (!request->connection || request->source != request->connection->source))
        source_release(request->door->config.sources, request->source);
    if (request->response)
        MHD_destroy_response(request->response);
    free(request->refusal);
    free_question(request);
    reply_free_pieces(request);
    free(request);
}

/* Everyone waits while a pass lasts: so many large bodies at once are more than a rush. */
static bool may_parse(struct request *request)
{
    struct http_door *door = request->door;

    if (request->body.length <= LIMIT_SMALL_BODY_BYTES)
        return true;
    if (door->bodies_bytes >= LIMIT_PASS_BODIES_BYTES)
        return false;
    door->bodies_bytes += request->body.length;
    return true;
}

bool request_parse(struct request *request)
{
    struct fault fault;
    int error;

    if (text_failed(&request->body))
        error = fault_busy(&fault, ERROR_NO_MEMORY);
    else if (!may_parse(request))
        error = checks_refuse_overloaded(&fault);
    else
        error = codec_parse(request->body.bytes ? request->body.bytes : "", request->body.length,
            &request->json, &fault);
    if (error)
        request_fail(request, &fault);
    return !error;
}

bool request_page_grew(struct request *request, size_t bytes, size_t length)
{
    struct http_door *door = request->door;

    door->pages_bytes += bytes;
    /* Where much waits to be read, a page is no larger than what the kernel takes at once. */
    return length < (http_loop_held_bytes(door->loop) < LIMIT_SMALL_PAGES_FROM_BYTES
                            ? LIMIT_PAGE_BYTES
                            : LIMIT_SMALL_PAGE_BYTES);
}

bool request_meta_matches(struct request *request, const char *meta)
{
    request_page_grew(request, FILTERED_BYTES, 0);
    return codec_meta_matches(meta, request->filters, request->filter_count);
}

/* --- parked requests ------------------------------------------------------------------------- */

static void on_vanished(struct wait *wait)
{
    struct request *request = (struct request *)((char *)wait - offsetof(struct request, wait));
    request->vanished(request);
}

void request_park(struct request *request, void (*vanished)(struct request *request))
{
    request->vanished = vanished;
    request->parked_ns = uv_hrtime();
    wait_begin(request->door->waits, &request->wait, request->source, request->connection->fd);
}

void request_unpark(struct request *request)
{
    if (request->vanished)
        request->parked_ns = uv_hrtime() - request->parked_ns;
    request->vanished = NULL;
    wait_end(request->door->waits, &request->wait);
}

static void cut_poll(struct request *request)
{
    /* The answer is an empty one: a client that has only closed its sending side still gets it. */
    if (request->poll)
        index_poll_cut(request->poll);
}

void request_poll(struct request *request, struct poll_request *poll, poll_done done)
{
    struct http_door *door = request->door;

    poll->heard_ms = request->connection->heard_ms;
    if (poll->wait_s > 0 && !waits_have_room(door->waits, request->source)) {
        poll->wait_s = 0;
        request->retry_after_s = 1;
        metrics_add(METRIC_LIMIT_WAITERS, 1);
    }
    request->poll = index_poll(door->config.index, &request->caller, poll, done, request);
    if (request->poll && poll->wait_s > 0)
        request_park(request, cut_poll);
}

void request_poll_done(struct request *request)
{
    request->poll = NULL;
    request_unpark(request);
}

/* --- the door itself ------------------------------------------------------------------------- */

static bool on_exempt(const struct address *address, void *user)
{
    struct http_door *door = user;
    return policy_trusts(&door->config.policy, address);
}

static bool on_pass_done(void *user)
{
    struct http_door *door = user;
    door->pages_bytes = door->bodies_bytes = 0;
    return door->config.pass_done(door->config.user);
}

int http_door_new(
    const struct http_door_config *config, struct http_door **ret_door, struct fault *ret_fault)
{
    struct http_door *door = calloc(1, sizeof *door);

    if (!door)
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory for the door");
    door->config = *config;
    door->began_ms = door_now_ms(door);
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
    free(door);
}
