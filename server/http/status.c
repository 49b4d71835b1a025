#include "http/status.h"

#include "http/accept.h"
#include "http/query.h"
#include "http/status_html.h"
#include "metrics.h"
#include "server_limits.h"

static bool gather_row(const struct node_view *node, void *user)
{
    struct request *request = user;
    struct text *rows = &request->pieces.nodes;
    size_t before = rows->length;
    struct status_reply now;

    request_status(request, &now);
    status_html_add_node(rows, node, now.wall_ms);
    return request_page_grew(request, rows->length - before, rows->length) &&
           rows->length < LIMIT_STATUS_PAGE_BYTES;
}

static bool gather_sign(const struct node_view *node, void *user)
{
    struct request *request = user;
    struct text *nodes = &request->pieces.nodes;
    size_t before = nodes->length;

    codec_add_sign_of_life(nodes, node);
    return request_page_grew(request, nodes->length - before, nodes->length);
}

/* Where there are keys, the totals would tell one network of the others. */
static void read_status(const struct request *request, struct status_reply *ret_status)
{
    const struct index *index = request_index(request);

    request_status(request, ret_status);
    ret_status->ready = request->ready;
    ret_status->counts = !request_keys(request);
    ret_status->nodes = index_node_count(index);
    ret_status->networks = index_network_count(index);
}

/* Not ready, a bad query, a credential that is none any more: the page says it, in its place.
 * `result` NULL: nothing is shown. */
static void reply_html(
    struct request *request, const struct fault *fault, const struct poll_result *result)
{
    const struct page *page = pages_status(request_pages(request));
    struct status_html html = {
        .keyed = request_keys(request) != NULL,
        .fault = fault,
        .result = result,
        .rows = &request->pieces.nodes,
        .limit = request_query(request, "limit"),
        .network = request_query(request, "network"),
        .filters = request->filters,
        .filter_count = request->filter_count,
    };
    struct reply_header headers[] = {
        {MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT},
        {"Content-Security-Policy", page->policy},
        {"Referrer-Policy", "no-referrer"},
        {"X-Content-Type-Options", "nosniff"},
        {MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer"},
        {NULL, NULL},
    };
    unsigned status = fault ? error_http_status(fault->error) : MHD_HTTP_OK;
    struct text body = {0};

    if (fault)
        metrics_problem(fault->error);
    read_status(request, &html.status);
    status_html_write(&body, page, &html);
    if (status != MHD_HTTP_UNAUTHORIZED)
        headers[4].name = NULL;
    if (fault && fault->retry_after_s)
        request->retry_after_s = fault->retry_after_s;
    else if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        request->retry_after_s = 1;
    request_reply(request, status, page->type, &body, headers);
}

static void status_answered(const struct fault *fault, const struct poll_result *result, void *user)
{
    static const struct reply_header headers[] = {
        {MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT}, {NULL, NULL}};
    struct request *request = user;
    struct status_reply status;
    struct text body = {0};

    request_poll_done(request);
    if (accept_html(request)) {
        reply_html(request, fault, fault ? NULL : result);
    } else if (fault) {
        request_fail(request, fault);
    } else {
        read_status(request, &status);
        codec_write_status(&body, &status, &request->pieces, result);
        request_reply(request, MHD_HTTP_OK, "application/json", &body, headers);
    }
}

static bool match_filters(const char *meta, void *user)
{
    struct request *request = user;
    return request_meta_matches(request, meta);
}

static void readiness_known(const struct fault *fault, void *user)
{
    struct request *request = user;
    bool html = accept_html(request);
    struct fault wrong;
    struct poll_request poll = {
        .list = true,
        .list_limit = LIMIT_LIST_DEFAULT_NODES,
        .on_node = html ? gather_row : gather_sign,
    };

    request->ready = !fault;
    if (html && request_keys(request) && request->caller.kind == CREDENTIAL_NONE) {
        reply_html(request, NULL, NULL); /* it asks for the key */
        return;
    }
    if (query_read_poll(request, &poll, &wrong)) {
        status_answered(&wrong, NULL, request);
        return;
    }
    poll.wait_s = 0;
    poll.has_since = false;
    if (request->filter_count)
        poll.match = match_filters;
    request_poll(request, &poll, status_answered);
}

void handle_status(struct request *request)
{
    index_check_ready(request_index(request), readiness_known, request);
}
