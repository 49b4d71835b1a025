#include "http/checks.h"

#include "charset.h"
#include "http/meter.h"
#include "http/routes.h"
#include "metrics.h"
#include "server_limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEY_PREFIX "spk_"
#define CREDENTIAL_CHARS (sizeof KEY_PREFIX - 1 + LIMIT_TOKEN_CHARS) /* the longer of the two */
#define HEADER_OVERHEAD_BYTES 64 /* of libmicrohttpd for each header and argument, in its pool */

/* Of a request, as far as a wrong one shows in them. */
struct headers {
    int hosts, lengths;
    bool plain; /* names are tokens, and no value has a control character but HTAB */
};

static enum MHD_Result look_at_header(
    void *user, enum MHD_ValueKind kind, const char *name, const char *value)
{
    static const bool token[CHARSET_SIZE] = {
        CHARSET_ALPHANUMERIC, ['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true, ['&'] = true,
        ['\''] = true, ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true, ['^'] = true,
        ['_'] = true, ['`'] = true, ['|'] = true, ['~'] = true};
    static const bool plain[CHARSET_SIZE] = {
        ['\t'] = true, [' ' ... '~'] = true, [0x80 ... 0xff] = true};
    struct headers *headers = user;

    (void)kind;
    headers->plain = headers->plain && name[0] && !name[charset_span(name, token)] &&
                     (!value || !value[charset_span(value, plain)]);
    headers->hosts += !strcasecmp(name, MHD_HTTP_HEADER_HOST);
    headers->lengths += !strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return MHD_YES;
}

static struct headers look_at_headers(struct request *request)
{
    struct headers headers = {.plain = true};
    MHD_get_connection_values(request->mhd, MHD_HEADER_KIND, look_at_header, &headers);
    return headers;
}

static int fault_unknown_key(struct fault *ret_fault)
{
    return fault_set(ret_fault, ERROR_BAD_KEY,
        "this index knows no such join key: it was mistyped or withdrawn; ask the operator for "
        "one");
}

/* Of the key whose hash is the caller's. */
static int find_key(struct request *request, struct fault *ret_fault)
{
    struct caller *caller = &request->caller;
    struct key *key = keys_find(request_keys(request), caller->hash);

    if (!key)
        return fault_unknown_key(ret_fault);
    caller->kind = CREDENTIAL_KEY;
    caller->key_operator = key->is_operator;
    strcpy(caller->key_network, key->network);
    request->bucket = &key->bucket;
    return 0;
}

static int read_key(struct request *request, const char *value, struct fault *ret_fault)
{
    if (!request_keys(request))
        return fault_set(ret_fault, ERROR_BAD_KEY,
            "this index knows no such join key; it is open, so leave the key out");
    if (!token_is_well_formed(value + strlen(KEY_PREFIX)))
        return fault_unknown_key(ret_fault);
    token_hash(value, strlen(value), request->caller.hash);
    return find_key(request, ret_fault);
}

int checks_key(struct request *request, struct fault *ret_fault)
{
    if (request->caller.kind != CREDENTIAL_KEY)
        return 0;
    int error = find_key(request, ret_fault);
    request->bucket = NULL;
    return error;
}

/* Blanks behind a value are none of it (RFC 9110, 5.5); libmicrohttpd leaves them there. What is
 * too long for a credential stays as it is. */
static const char *trim_credential(const char *value, char ret_text[CREDENTIAL_CHARS + 1])
{
    size_t length = strlen(value);

    while (length && strchr(" \t", value[length - 1]))
        length--;
    if (length > CREDENTIAL_CHARS)
        return value;
    memcpy(ret_text, value, length);
    ret_text[length] = '\0';
    return ret_text;
}

/* `spk_` and 43 characters are a join key; 43 characters, whatever they are, a node token. */
static int read_credential(struct request *request, struct fault *ret_fault)
{
    const char *value = request_header(request, MHD_HTTP_HEADER_AUTHORIZATION);
    struct caller *caller = &request->caller;
    char text[CREDENTIAL_CHARS + 1];

    caller->kind = CREDENTIAL_NONE;
    if (!value)
        return 0;
    if (strncasecmp(value, "Bearer ", 7) != 0)
        return fault_set(ret_fault, ERROR_BAD_CREDENTIAL,
            "Authorization must be `Bearer` and a join key or a node token");
    value = trim_credential(value + 7 + strspn(value + 7, " "), text);
    bool is_token = token_is_well_formed(value);
    if (!is_token && !strncmp(value, KEY_PREFIX, strlen(KEY_PREFIX)))
        return read_key(request, value, ret_fault);
    if (!is_token)
        return fault_set(ret_fault, ERROR_BAD_CREDENTIAL,
            "a node token is %d base64url characters; the one sent is not", LIMIT_TOKEN_CHARS);
    token_hash(value, LIMIT_TOKEN_CHARS, caller->hash);
    caller->kind = CREDENTIAL_TOKEN;
    request->bucket = index_token_bucket(request_index(request), caller->hash);
    return 0;
}

/* Where there are keys, nothing but what is public is answered without a credential. That of a
 * registration may be a token in its body. */
static int check_credential(struct request *request, struct fault *ret_fault)
{
    int error = read_credential(request, ret_fault);

    if (error || !request_keys(request) || request->caller.kind != CREDENTIAL_NONE ||
        request->route->flags & (ROUTE_PUBLIC | ROUTE_BRINGS_TOKEN))
        return error;
    return fault_set(ret_fault, ERROR_NO_CREDENTIAL,
        "this index has join keys: send one, or a node token, in Authorization: Bearer");
}

int checks_refuse_overloaded(struct fault *ret_fault)
{
    metrics_add(METRIC_LIMIT_LOAD, 1);
    fault_set(ret_fault, ERROR_OVERLOADED,
        "the index has more to do than it can, and turns away what is least urgent first: try "
        "again");
    ret_fault->retry_after_s = LIMIT_SHED_RETRY_S;
    ret_fault->action = "retry";
    return ERROR_OVERLOADED;
}

/* A busy index turns away what is least important first, before it costs anything. */
static int check_load(struct request *request, struct fault *ret_fault)
{
    enum importance importance = request->route->importance;

    if (importance == IMPORTANCE_LIST && request_query(request, "since"))
        importance = IMPORTANCE_CHANGE;
    if (importance >= http_loop_least(request->connection->loop))
        return 0;
    return checks_refuse_overloaded(ret_fault);
}

/* `Content-Length : 5` is another header to libmicrohttpd, and so is one behind a lone CR; a proxy
 * may see the length of a body in them. Such requests are refused, and nothing behind them read
 * (RFC 9112, 5.1 and 2.2). */
static int check_headers(const struct headers *headers, struct fault *ret_fault)
{
    if (headers->plain)
        return 0;
    return fault_set(ret_fault, ERROR_BAD_REQUEST,
        "a header has a name with a space or another character that is none of a name, or a "
        "control character in its value");
}

int checks_target(const char *target, struct fault *ret_fault)
{
    size_t length = strlen(target), count = 0;

    for (const char *at = strchr(target, '?'); at; at = strchr(at + 1, '&'))
        count++;
    if (count <= LIMIT_ARGUMENTS && length + count * HEADER_OVERHEAD_BYTES <= LIMIT_HEADER_BYTES)
        return 0;
    return fault_set(ret_fault, ERROR_HEADERS_TOO_LARGE,
        "the URL has %zu characters and %zu arguments: at most %d and %d are taken", length, count,
        LIMIT_URL_CHARS, LIMIT_ARGUMENTS);
}

int checks_size(struct request *request, struct fault *ret_fault)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const char *cookie = request_header(request, MHD_HTTP_HEADER_COOKIE);
    /* Of cookies there is a copy, taken to pieces. */
    size_t size = (info ? info->header_size : 0) + (cookie ? strlen(cookie) : 0);
    int count = MHD_get_connection_values(
        request->mhd, MHD_HEADER_KIND | MHD_GET_ARGUMENT_KIND | MHD_COOKIE_KIND, NULL, NULL);

    if (size + (size_t)count * HEADER_OVERHEAD_BYTES <= LIMIT_HEADER_BYTES)
        return 0;
    return fault_set(ret_fault, ERROR_HEADERS_TOO_LARGE,
        "the request line and %d headers, arguments and cookies take %zu bytes: send fewer or "
        "shorter ones",
        count, size);
}

/* RFC 9112, 3.2: exactly one, but from an HTTP/1.0 client. */
static int check_host(
    const struct request *request, const struct headers *headers, struct fault *ret_fault)
{
    if (headers->hosts == 1 || (headers->hosts == 0 && !request->needs_host))
        return 0;
    return fault_set(ret_fault, ERROR_BAD_REQUEST,
        headers->hosts ? "there are two Host headers: send one" : "send a Host header");
}

static int check_route(
    struct request *request, const char *path, const char *method, struct fault *ret_fault)
{
    if (request->has_nul)
        return fault_set(ret_fault, ERROR_BAD_REQUEST, "the URL has a NUL character: leave it out");
    if (request->url_length > LIMIT_URL_CHARS)
        return fault_set(ret_fault, ERROR_URL_TOO_LONG, "the URL has %zu characters: at most %d",
            request->url_length, LIMIT_URL_CHARS);
    request->route = route_find(request, method, path);
    if (request->route && request->route->handle == handle_metrics)
        return meter_check(request, ret_fault);
    if (request->connection->ops && (!request->route || !(request->route->flags & ROUTE_OPS)))
        return fault_set(ret_fault, ERROR_UNKNOWN_PATH,
            "this listener is for operations: /metrics, /healthz and /readyz; the index is at "
            "that of --listen");
    if (request->route)
        return 0;
    if (!request->methods[0])
        return fault_set(ret_fault, ERROR_UNKNOWN_PATH,
            "there is nothing at this path; see /list, /register, /heartbeat, /mailbox, /events");
    return fault_set(ret_fault, ERROR_BAD_METHOD, "this path takes %s", request->methods);
}

/* Is it known for sure how long the body will be, and is it short enough? */
static int check_length(
    struct request *request, const struct headers *headers, struct fault *ret_fault)
{
    const char *length = request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);

    if (request_header(request, MHD_HTTP_HEADER_TRANSFER_ENCODING))
        return fault_set(ret_fault, ERROR_LENGTH_REQUIRED,
            "Transfer-Encoding is not taken: send the body with a Content-Length");
    if (!length)
        return 0;
    if (headers->lengths > 1)
        return fault_set(ret_fault, ERROR_BAD_REQUEST, "there are two Content-Length headers");
    if (!length[0] || strspn(length, "0123456789") != strlen(length))
        return fault_set(ret_fault, ERROR_BAD_REQUEST, "the Content-Length is not a number");
    errno = 0;
    unsigned long long size = strtoull(length, NULL, 10);
    if (errno || size > LIMIT_BODY_BYTES)
        return fault_set(ret_fault, ERROR_TOO_LARGE, "the body has %s bytes: at most %d are taken",
            length, LIMIT_BODY_BYTES);
    return 0;
}

/* A POST has a body, and it is JSON. */
static int check_body(struct request *request, struct fault *ret_fault)
{
    const char *type = request_header(request, MHD_HTTP_HEADER_CONTENT_TYPE);
    size_t length = type ? strcspn(type, "; \t") : 0;

    if (strcmp(request->route->method, MHD_HTTP_METHOD_POST) != 0)
        return 0;
    if (!request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH))
        return fault_set(ret_fault, ERROR_LENGTH_REQUIRED,
            "send a JSON body, such as {}, with a Content-Length");
    if (length == strlen("application/json") && !strncasecmp(type, "application/json", length))
        return 0;
    return fault_set(ret_fault, ERROR_NOT_JSON,
        "send the body with Content-Type: application/json; with curl use `curl --json '{...}'`");
}

int checks_run(
    struct request *request, const char *path, const char *method, struct fault *ret_fault)
{
    /* Where there are no CORS headers there is nothing to ask for before. */
    bool preflight = !request->connection->ops && !strcmp(method, MHD_HTTP_METHOD_OPTIONS);
    struct headers headers = look_at_headers(request);
    int error = check_headers(&headers, ret_fault);

    if (!error)
        error = check_host(request, &headers, ret_fault);
    if (!error && !preflight)
        error = check_route(request, path, method, ret_fault);
    if (!error)
        error = check_length(request, &headers, ret_fault);
    if (!error && !preflight)
        error = check_body(request, ret_fault);
    if (!error && !preflight && !request->connection->ops)
        error = check_credential(request, ret_fault);
    if (!error && !preflight)
        error = check_load(request, ret_fault);
    return error;
}

bool checks_can_drain(struct request *request)
{
    const char *length = request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    struct headers headers = look_at_headers(request);

    if (request_header(request, MHD_HTTP_HEADER_TRANSFER_ENCODING) || !headers.plain)
        return false;
    if (!length)
        return true;
    return headers.lengths == 1 && !request_header(request, MHD_HTTP_HEADER_EXPECT) &&
           strtoull(length, NULL, 10) <= LIMIT_DRAIN_BYTES;
}
