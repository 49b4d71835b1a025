#include "http/query.h"

#include "server_limits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct query {
    struct request *request;
    struct poll_request *poll;
    struct fault *fault;
    unsigned seen; /* a bit for each known name */
};

static int read_number(
    const char *name, const char *text, double *ret_number, struct fault *ret_fault)
{
    char *end;
    double number = strtod(text, &end);

    if (!text[0] || strspn(text, "0123456789.") != strlen(text) || *end || !isfinite(number))
        return fault_set(
            ret_fault, ERROR_BAD_REQUEST, "%s must be a number, such as %s=10", name, name);
    *ret_number = number;
    return 0;
}

static int query_wait(struct query *query, const char *value)
{
    int error = read_number("wait", value, &query->poll->wait_s, query->fault);
    return error ? error : codec_check_wait(query->poll->wait_s, query->fault);
}

static int query_limit(struct query *query, const char *value)
{
    size_t max = query->poll->list ? LIMIT_LIST_MAX_NODES : LIMIT_MAIL_MAX_MESSAGES;
    double limit;
    int error = read_number("limit", value, &limit, query->fault);

    if (!error)
        error = codec_check_limit(limit, max, query->fault);
    if (error)
        return error;
    if (query->poll->list)
        query->poll->list_limit = (size_t)limit;
    if (query->poll->mail)
        query->poll->mail_limit = (size_t)limit < LIMIT_MAIL_DEFAULT_MESSAGES || !query->poll->list
                                      ? (size_t)limit
                                      : LIMIT_MAIL_DEFAULT_MESSAGES;
    return 0;
}

static int query_network(struct query *query, const char *value)
{
    if (!query->poll->mail)
        query->poll->network = value; /* else it is that of the node */
    return 0;
}

static int query_since(struct query *query, const char *value)
{
    query->poll->has_since = true;
    return codec_check_cursor("since", value, &query->poll->since, query->fault);
}

static int query_after(struct query *query, const char *value)
{
    if (!query->poll->mail) {
        query->poll->after_id = value;
        return 0;
    }
    query->poll->has_after = true;
    return codec_check_cursor("after", value, &query->poll->after, query->fault);
}

static const struct {
    const char *name;
    bool list, mail; /* where it is known */
    int (*read)(struct query *query, const char *value);
} query_names[] = {
    {"wait", true, true, query_wait},
    {"limit", true, true, query_limit},
    {"network", true, false, query_network},
    {"since", true, false, query_since},
    {"after", true, true, query_after},
};

static int query_filter(struct query *query, const char *key, const char *value)
{
    struct request *request = query->request;

    if (request->filter_count == LIMIT_FILTERS)
        return fault_set(
            query->fault, ERROR_BAD_REQUEST, "at most %d meta filters in one query", LIMIT_FILTERS);
    request->filters[request->filter_count++] = (struct meta_filter){key, value};
    return 0;
}

static enum MHD_Result query_visit(
    void *user, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct query *query = user;

    (void)kind;
    if (!value)
        value = "";
    if (query->poll->list && !query->poll->mail && !strncmp(key, "meta.", 5))
        return query_filter(query, key + 5, value) ? MHD_NO : MHD_YES;
    for (size_t i = 0; i < sizeof query_names / sizeof query_names[0]; i++) {
        if (strcmp(key, query_names[i].name) != 0 ||
            !((query->poll->list && query_names[i].list) ||
                (query->poll->mail && query_names[i].mail)))
            continue;
        if (query->seen & 1u << i) {
            fault_set(query->fault, ERROR_BAD_REQUEST, "%s is given twice", key);
            return MHD_NO;
        }
        query->seen |= 1u << i;
        return query_names[i].read(query, value) ? MHD_NO : MHD_YES;
    }
    return MHD_YES;
}

int query_read_poll(struct request *request, struct poll_request *poll, struct fault *ret_fault)
{
    struct query query = {request, poll, ret_fault, 0};

    ret_fault->error = 0;
    MHD_get_connection_values(request->mhd, MHD_GET_ARGUMENT_KIND, query_visit, &query);
    return ret_fault->error;
}
