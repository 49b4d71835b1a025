/* What a route answers with: request_reply() and its like, of http/door.h. */
#include "http/door_internal.h"

#include "metrics.h"
#include "server_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void reply_send(struct request *request)
{
    http_connection_enter(request->connection, HTTP_REPLY);
    http_connection_hold(request->connection, request->reply_bytes);
    MHD_queue_response(request->mhd, request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
}

/* A reply without one of its headers is not sent: there was no memory for it. */
static void add_header(struct request *request, const char *name, const char *value)
{
    if (MHD_add_response_header(request->response, name, value) != MHD_YES)
        request->failed = true;
}

static void add_retry_after(struct request *request, int seconds)
{
    char text[16];

    snprintf(text, sizeof text, "%d", http_loop_spread_s(request->door->loop, seconds));
    add_header(request, MHD_HTTP_HEADER_RETRY_AFTER, text);
}

static void request_resume(struct request *request)
{
    if (!request->suspended)
        return;
    request->suspended = false;
    http_connection_resume(request->connection);
}

static bool has_header(const struct reply_header *headers, const char *name)
{
    for (; headers && headers->name; headers++)
        if (!strcasecmp(headers->name, name))
            return true;
    return false;
}

/* Takes `bytes` over as `mode` says. */
static void answer(struct request *request, unsigned status, const char *type, char *bytes,
    size_t size, enum MHD_ResponseMemoryMode mode, const struct reply_header *headers)
{
    request->response = MHD_create_response_from_buffer(size, bytes, mode);
    if (!request->response) {
        if (mode == MHD_RESPMEM_MUST_FREE)
            free(bytes);
        request->failed = true;
        request_resume(request);
        return;
    }
    request->status = status;
    add_header(request, REQUEST_ID_HEADER, request->id);
    bool empty =
        status == MHD_HTTP_NOT_MODIFIED || !strcmp(request->shown_method, MHD_HTTP_METHOD_HEAD);
    request->sent_bytes = empty ? 0 : size;
    if (type)
        add_header(request, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (!has_header(headers, MHD_HTTP_HEADER_CACHE_CONTROL))
        add_header(request, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (!request->connection->ops &&
        !policy_add_cors(&request->door->config.policy, request->mhd, request->response))
        request->failed = true;
    for (; headers && headers->name; headers++)
        add_header(request, headers->name, headers->value);
    if (request->retry_after_s)
        add_retry_after(request, request->retry_after_s);
    if (request->door->draining)
        add_header(request, MHD_HTTP_HEADER_CONNECTION, "close");
    if (request->failed) {
        request->status = 0;
        MHD_destroy_response(request->response);
        request->response = NULL;
    }
    request_resume(request);
}

void reply_free_pieces(struct request *request)
{
    text_clear(&request->pieces.nodes);
    text_clear(&request->pieces.gone);
    text_clear(&request->pieces.messages);
}

void request_reply(struct request *request, unsigned status, const char *type, struct text *body,
    const struct reply_header *headers)
{
    size_t size = 0;
    char *bytes = NULL;

    if (request->response || request->failed)
        return;
    if (body && text_failed(body)) {
        struct fault fault;
        text_clear(body);
        fault_busy(&fault, ERROR_NO_MEMORY);
        request_fail(request, &fault);
        return;
    }
    if (body)
        bytes = text_take(body, &size);
    /* What the reply was put together from may be as much again. */
    reply_free_pieces(request);
    request->reply_bytes = size;
    answer(request, status, type, bytes, size,
        bytes ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT, headers);
}

void request_reply_bytes(struct request *request, unsigned status, const char *type,
    const char *bytes, size_t size, const struct reply_header *headers)
{
    if (request->response || request->failed)
        return;
    /* libmicrohttpd takes a pointer to what it could change, and does not change it. */
    answer(request, status, type, (char *)bytes, size, MHD_RESPMEM_PERSISTENT, headers);
}

void request_reply_json(struct request *request, struct text *body)
{
    request_reply(request, MHD_HTTP_OK, "application/json", body, NULL);
}

/* What is said where there is no memory to write down what went wrong. */
static const char out_of_memory[] =
    "{\"type\":\"urn:signpost:problem:no_memory\",\"title\":\"The index is out of memory\","
    "\"status\":503,\"detail\":\"the index is out of memory: try again\",\"code\":\"no_memory\","
    "\"action\":\"retry\"}\n";

void request_fail(struct request *request, const struct fault *fault)
{
    struct text body = {0};
    unsigned status = error_http_status(fault->error);
    struct reply_header headers[3] = {{0}};
    size_t count = 0;

    metrics_problem(fault->error);
    codec_write_problem(&body, fault);
    if (text_failed(&body)) {
        text_clear(&body);
        request->retry_after_s = 1;
        request_reply_bytes(request, MHD_HTTP_SERVICE_UNAVAILABLE, "application/problem+json",
            out_of_memory, sizeof out_of_memory - 1, NULL);
        return;
    }
    if (status == MHD_HTTP_UNAUTHORIZED)
        headers[count++] = (struct reply_header){MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer"};
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        headers[count++] = (struct reply_header){MHD_HTTP_HEADER_ALLOW, request->methods};
    if (fault->retry_after_s)
        request->retry_after_s = fault->retry_after_s;
    else if (status == MHD_HTTP_SERVICE_UNAVAILABLE || status == MHD_HTTP_TOO_MANY_REQUESTS)
        request->retry_after_s = 1;
    request_reply(request, status, "application/problem+json", &body, headers);
}
