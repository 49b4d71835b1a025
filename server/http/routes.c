#include "http/routes.h"

#include "http/check.h"
#include "http/etag.h"
#include "http/ice.h"
#include "http/link.h"
#include "http/meter.h"
#include "http/query.h"
#include "http/status.h"
#include "metrics.h"
#include "server_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LIST_TAG_SIZE (CURSOR_TEXT_SIZE + 4) /* W/, and quotes */

/* --- pieces of a poll's answer --------------------------------------------------------------- */

static bool gather_node(const struct node_view *node, void *user)
{
    struct request *request = user;
    struct text *nodes = &request->pieces.nodes;
    size_t before = nodes->length;

    codec_add_node(nodes, node);
    return request_page_grew(request, nodes->length - before, nodes->length);
}

static void gather_gone(const char *id, void *user)
{
    struct request *request = user;
    size_t before = request->pieces.gone.length;

    codec_add_gone(&request->pieces.gone, id);
    request_page_grew(request, request->pieces.gone.length - before, 0);
}

static bool gather_message(const struct message_view *message, void *user)
{
    struct request *request = user;
    struct text *messages = &request->pieces.messages;
    size_t before = messages->length;

    /* Behind a list that fills the page the first goes all the same, or none ever would. */
    if (before && !request_page_takes(request, message->body_size))
        return false;
    codec_add_message(messages, message);
    request_page_grew(request, messages->length - before, messages->length);
    return true;
}

static void keep_delta(const struct poll_delta *delta, void *user)
{
    request_keep_delta(user, delta);
}

static bool take_delta(const struct poll_delta *delta, void *user)
{
    return request_take_delta(user, delta);
}

static void write_tag(const struct cursor *cursor, char ret_tag[LIST_TAG_SIZE])
{
    char text[CURSOR_TEXT_SIZE];

    snprintf(ret_tag, LIST_TAG_SIZE, "W/\"%s\"", cursor_format(cursor, text));
}

static bool is_known(const struct cursor *cursor, void *user)
{
    struct request *request = user;
    char tag[LIST_TAG_SIZE];

    write_tag(cursor, tag);
    return etag_is_known(request, tag);
}

static bool match_filters(const char *meta, void *user)
{
    struct request *request = user;

    return request_meta_matches(request, meta);
}

/* Fills a poll from the query and asks. */
static void poll_by_query(struct request *request, bool list, bool mail, poll_done done)
{
    struct fault fault;
    struct poll_request poll = {
        .list = list,
        .mail = mail,
        .renew = list && mail,
        .list_limit = LIMIT_LIST_DEFAULT_NODES,
        .mail_limit = LIMIT_MAIL_DEFAULT_MESSAGES,
        .mailbox = request->name,
        .on_node = gather_node,
        .on_gone = gather_gone,
        .on_message = gather_message,
        .keep_delta = keep_delta,
        .take_delta = take_delta,
        .is_known = list && !mail ? is_known : NULL,
    };

    if (query_read_poll(request, &poll, &fault)) {
        request_fail(request, &fault);
        return;
    }
    if (request->filter_count)
        poll.match = match_filters;
    request_poll(request, &poll, done);
}

/* --- lists ----------------------------------------------------------------------------------- */

/* Where a whole list goes on, as a link (RFC 8288). */
static void write_next_link(struct request *request, const char *after, struct text *out)
{
    text_puts(out, "<");
    link_write(out, "/list", after, request_query(request, "limit"),
        request_query(request, "network"), request->filters, request->filter_count);
    text_puts(out, ">; rel=\"next\"");
}

static void list_answered(const struct fault *fault, const struct poll_result *result, void *user)
{
    struct request *request = user;
    struct text body = {0}, link = {0};
    char tag[LIST_TAG_SIZE];
    struct reply_header headers[3] = {{0}};

    request_poll_done(request);
    if (fault) {
        request_fail(request, fault);
        return;
    }
    if (result->list_changed)
        request_heard(request);
    write_tag(&result->cursor, tag);
    headers[0] = (struct reply_header){MHD_HTTP_HEADER_ETAG, tag};
    if (etag_is_known(request, tag)) {
        request_reply(request, MHD_HTTP_NOT_MODIFIED, NULL, NULL, headers);
        return;
    }
    if (result->after) {
        write_next_link(request, result->after, &link);
        /* A reply whose head does not fit its room would not be sent at all. */
        if (!text_failed(&link) && link.length <= LIMIT_LINK_CHARS)
            headers[1] = (struct reply_header){MHD_HTTP_HEADER_LINK, link.bytes};
    }
    codec_write_list(&body, &request->pieces, result);
    request_reply(request, MHD_HTTP_OK, "application/json", &body, headers);
    text_clear(&link);
}

static void handle_list(struct request *request)
{
    poll_by_query(request, true, false, list_answered);
}

/* --- mailboxes ------------------------------------------------------------------------------- */

typedef void (*poll_writer)(
    struct text *out, const struct poll_pieces *pieces, const struct poll_result *result);

static void answer_poll(struct request *request, const struct fault *fault,
    const struct poll_result *result, poll_writer write)
{
    struct text body = {0};

    request_poll_done(request);
    if (fault) {
        request_fail(request, fault);
        return;
    }
    write(&body, &request->pieces, result);
    request_reply_json(request, &body);
}

static void mail_answered(const struct fault *fault, const struct poll_result *result, void *user)
{
    answer_poll(user, fault, result, codec_write_mail);
}

static void handle_read(struct request *request)
{
    poll_by_query(request, false, true, mail_answered);
}

static void message_sent(const struct fault *fault, const struct sent *result, void *user)
{
    struct request *request = user;
    struct text body = {0};

    if (fault) {
        request_fail(request, fault);
        return;
    }
    codec_write_sent(&body, result);
    request_reply(request, MHD_HTTP_ACCEPTED, "application/json", &body, NULL);
}

static void handle_send(struct request *request)
{
    struct send_request send = {0};
    struct fault fault;

    if (!request_parse(request))
        return;
    if (codec_read_message(request->json, &send, &fault)) {
        request_fail(request, &fault);
        return;
    }
    send.to = request->name;
    index_send(request_index(request), &request->caller, &send, message_sent, request);
}

/* --- events ---------------------------------------------------------------------------------- */

static void events_answered(const struct fault *fault, const struct poll_result *result, void *user)
{
    answer_poll(user, fault, result, codec_write_events);
}

static void handle_events_query(struct request *request)
{
    poll_by_query(request, true, true, events_answered);
}

static void handle_events(struct request *request)
{
    struct fault fault;
    struct poll_request poll = {
        .on_node = gather_node,
        .on_gone = gather_gone,
        .on_message = gather_message,
        .keep_delta = keep_delta,
        .take_delta = take_delta,
    };

    if (!request_parse(request))
        return;
    if (codec_read_events(request->json, &poll, &fault)) {
        request_fail(request, &fault);
        return;
    }
    request_poll(request, &poll, events_answered);
}

/* --- nodes ----------------------------------------------------------------------------------- */

static void registered(const struct fault *fault, const struct registered *result, void *user)
{
    struct request *request = user;
    struct text body = {0};
    char location[sizeof "/nodes/?network=" + 2 * (LIMIT_ID_CHARS + 1)];
    struct reply_header headers[2] = {{0}};

    if (fault) {
        request_fail(request, fault);
        return;
    }
    codec_write_registered(&body, result, &request->caller.address, request->port);
    if (result->created) {
        snprintf(location, sizeof location, "/nodes/%s?network=%s", result->id, result->network);
        headers[0] = (struct reply_header){MHD_HTTP_HEADER_LOCATION, location};
    }
    request_reply(request, result->created ? MHD_HTTP_CREATED : MHD_HTTP_OK, "application/json",
        &body, headers);
}

static void handle_register(struct request *request)
{
    struct register_request asked;
    struct fault fault;

    if (!request_parse(request))
        return;
    if (codec_read_register(request->json, &asked, &fault)) {
        request_fail(request, &fault);
        return;
    }
    index_register(request_index(request), &request->caller, &asked, registered, request);
}

static void heartbeat_taken(const struct fault *fault, const struct heartbeat *result, void *user)
{
    struct request *request = user;
    struct text body = {0};

    if (fault) {
        request_fail(request, fault);
        return;
    }
    metrics_add(METRIC_HEARTBEATS, 1);
    codec_write_heartbeat(&body, result, &request->caller.address, request->port);
    request_reply_json(request, &body);
}

static void handle_heartbeat(struct request *request)
{
    struct heartbeat_request asked;
    struct fault fault;

    if (!request_parse(request))
        return;
    if (codec_read_heartbeat(request->json, &asked, &fault)) {
        request_fail(request, &fault);
        return;
    }
    index_heartbeat(request_index(request), &request->caller, &asked, heartbeat_taken, request);
}

static bool write_node(const struct node_view *node, void *user)
{
    struct request *request = user;
    codec_write_node(&request->pieces.nodes, node);
    return true;
}

static void node_answered(const struct fault *fault, void *user)
{
    struct request *request = user;

    if (fault) {
        request_fail(request, fault);
        return;
    }
    text_puts(&request->pieces.nodes, "\n");
    request_reply_json(request, &request->pieces.nodes);
}

static void handle_node(struct request *request)
{
    index_get_node(request_index(request), &request->caller, request_query(request, "network"),
        request->name, write_node, node_answered, request);
}

static void node_removed(const struct fault *fault, void *user)
{
    struct request *request = user;

    if (fault)
        request_fail(request, fault);
    else
        request_reply(request, MHD_HTTP_NO_CONTENT, NULL, NULL, NULL);
}

static void handle_remove(struct request *request)
{
    index_remove_node(request_index(request), &request->caller, request_query(request, "network"),
        request->name, node_removed, request);
}

/* --- health ---------------------------------------------------------------------------------- */

static void reply_status(struct request *request, const char *status)
{
    struct text body = {0};
    text_printf(&body, "{\"status\":\"%s\"}\n", status);
    request_reply_json(request, &body);
}

static void handle_health(struct request *request)
{
    reply_status(request, "alive");
}

static void readiness_known(const struct fault *fault, void *user)
{
    if (fault)
        request_fail(user, fault);
    else
        reply_status(user, "ready");
}

static void handle_ready(struct request *request)
{
    index_check_ready(request_index(request), readiness_known, request);
}

/* --- pages ----------------------------------------------------------------------------------- */

static void handle_page(struct request *request)
{
    const struct page *page = request->page;
    struct reply_header headers[6] = {
        {MHD_HTTP_HEADER_ETAG, page->tag},
        {MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache"},
        {"X-Content-Type-Options", "nosniff"},
    };

    if (page->policy) {
        headers[3] = (struct reply_header){"Content-Security-Policy", page->policy};
        headers[4] = (struct reply_header){"Referrer-Policy", "no-referrer"};
    }
    /* A 304 says how long the page is, and libmicrohttpd sends nothing of it. */
    bool known = etag_is_known(request, page->tag);
    request_reply_bytes(request, known ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK,
        known ? NULL : page->type, page->bytes, page->size, headers);
}

/* --- the table ------------------------------------------------------------------------------- */

/* A path that ends in a slash takes one name after it, but for the root. */
static const struct route routes[] = {
    {"POST", "/register", handle_register, IMPORTANCE_LIFE, ROUTE_BRINGS_TOKEN},
    {"POST", "/heartbeat", handle_heartbeat, IMPORTANCE_LIFE, 0},
    {"GET", "/", handle_status, IMPORTANCE_LIST, ROUTE_HEAD | ROUTE_PUBLIC},
    {"GET", "/list", handle_list, IMPORTANCE_LIST, ROUTE_HEAD},
    {"GET", "/nodes/", handle_node, IMPORTANCE_CHANGE, ROUTE_HEAD},
    {"DELETE", "/nodes/", handle_remove, IMPORTANCE_LIFE, 0},
    {"POST", "/mailbox/", handle_send, IMPORTANCE_MAIL, 0},
    {"GET", "/mailbox/", handle_read, IMPORTANCE_MAIL, 0},
    {"POST", "/events", handle_events, IMPORTANCE_LIFE, 0},
    {"GET", "/events", handle_events_query, IMPORTANCE_LIFE, 0},
    {"GET", "/ice", ice_handle, IMPORTANCE_CHANGE, ROUTE_HEAD},
    {"POST", "/check", handle_check, IMPORTANCE_CHANGE, 0},
    {"GET", "/healthz", handle_health, IMPORTANCE_HEALTH, ROUTE_HEAD | ROUTE_PUBLIC | ROUTE_OPS},
    {"GET", "/readyz", handle_ready, IMPORTANCE_HEALTH, ROUTE_HEAD | ROUTE_PUBLIC | ROUTE_OPS},
    {"GET", "/metrics", handle_metrics, IMPORTANCE_HEALTH, ROUTE_HEAD | ROUTE_PUBLIC | ROUTE_OPS},
};

#define ROUTES (sizeof routes / sizeof routes[0])
_Static_assert(ROUTES < ROUTES_MAX, "the pages have a number too");

/* Every page of pages/pages.c. */
static const struct route page_route = {
    "GET", NULL, handle_page, IMPORTANCE_LIST, ROUTE_HEAD | ROUTE_PUBLIC};

static bool path_matches(const struct route *route, const char *path, const char **ret_name)
{
    size_t length = strlen(route->path);

    if (length == 1 || route->path[length - 1] != '/') {
        *ret_name = NULL;
        return !strcmp(path, route->path);
    }
    if (strncmp(path, route->path, length) != 0 || !path[length] || strchr(path + length, '/'))
        return false;
    *ret_name = path + length;
    return true;
}

static void add_method(char ret_methods[ROUTE_METHODS_SIZE], const char *method)
{
    if (ret_methods[0])
        strcat(ret_methods, ", ");
    strcat(ret_methods, method);
}

/* Does the route of this path take the method? Where it does not, what it takes is noted. */
static bool takes(struct request *request, const struct route *route, const char *method)
{
    bool head = !strcmp(method, "HEAD");

    if (!strcmp(route->method, head ? "GET" : method) && (!head || route->flags & ROUTE_HEAD))
        return true;
    add_method(request->methods, route->method);
    if (route->flags & ROUTE_HEAD)
        add_method(request->methods, "HEAD");
    return false;
}

const struct route *route_find(struct request *request, const char *method, const char *path)
{
    request->methods[0] = '\0';
    request->name = NULL;
    request->page = pages_find(request_pages(request), path);
    if (request->page && takes(request, &page_route, method))
        return &page_route;
    for (size_t i = 0; i < ROUTES && !request->page; i++)
        if (path_matches(&routes[i], path, &request->name) && takes(request, &routes[i], method))
            return &routes[i];
    if (request->methods[0])
        add_method(request->methods, "OPTIONS");
    return NULL;
}

size_t route_number(const struct route *route)
{
    if (!route)
        return ROUTES_MAX;
    return route == &page_route ? ROUTES : (size_t)(route - routes);
}

const char *route_describe(size_t number, char *ret_path, size_t size)
{
    if (number > ROUTES) {
        snprintf(ret_path, size, "none");
        return "none";
    }
    const char *path = number < ROUTES ? routes[number].path : "(page)";
    bool has_name = path[1] && path[strlen(path) - 1] == '/';
    snprintf(ret_path, size, "%s%s", path, has_name ? "{id}" : "");
    return number < ROUTES ? routes[number].method : page_route.method;
}
