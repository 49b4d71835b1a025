#include "codec_internal.h"

#include "server_limits.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct json {
    json_t *root;
    const char *body; /* borrowed */
    size_t size;
    const char *endpoints[LIMIT_ENDPOINTS];
    char *meta, *reach; /* copies, because results end with a NUL */
};

void codec_free(struct json *json)
{
    if (!json)
        return;
    json_decref(json->root);
    free(json->meta);
    free(json->reach);
    free(json);
}

static const char *name_type(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    }
    return "something else";
}

static int refuse_memory(struct fault *ret_fault)
{
    return fault_set(ret_fault, ERROR_NO_MEMORY, "the index is out of memory; try again later");
}

/* jansson does not tell all: where the text of a string or number cannot grow it leaves characters
 * out, and goes on. */
static bool allocation_failed;
static json_malloc_t allocate_as_before;

static void *allocate(size_t size)
{
    void *block = allocate_as_before(size);

    allocation_failed |= !block;
    return block;
}

/* jansson quotes up to 20 bytes of the body in its message; what is not printable is hidden. */
static int refuse_syntax(const json_error_t *syntax, struct fault *ret_fault)
{
    char message[JSON_ERROR_TEXT_LENGTH];
    size_t length = strlen(syntax->text);

    if (json_error_code(syntax) == json_error_null_character)
        return fault_set(ret_fault, ERROR_BAD_JSON,
            "line %d, column %d: a NUL character (\\u0000) is not taken", syntax->line,
            syntax->column);
    for (size_t i = 0; i <= length; i++) {
        char character = syntax->text[i];
        message[i] = character == '\0' || (character >= ' ' && character <= '~') ? character : '?';
    }
    return fault_set(
        ret_fault, ERROR_BAD_JSON, "line %d, column %d: %s", syntax->line, syntax->column, message);
}

/* Integers as reals: a large one in a body that is none of our business is not an error. Any value
 * at the top, so that the wrong one is named. */
static json_t *parse(const char *text, size_t size, json_error_t *ret_syntax)
{
    return json_loadb(
        text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, ret_syntax);
}

/* Most of a message is what its sender keeps in `body`, which is passed on as it is. Where a look
 * says that it is JSON, the rest is parsed with a number in its place. NULL: to be parsed whole. */
static json_t *parse_around_body(const char *text, size_t size)
{
    struct span value;
    json_error_t syntax;

    if (!memmem(text, size, "\"body\"", 6) || !codec_find_member(text, size, "body", &value) ||
        !codec_is_plain(&value))
        return NULL;
    size_t before = (size_t)(value.bytes - text), after = size - before - value.size;
    char *around = malloc(before + 1 + after);
    if (!around)
        return NULL;
    memcpy(around, text, before);
    around[before] = '0';
    memcpy(around + before + 1, value.bytes + value.size, after);
    json_t *root = parse(around, before + 1 + after, &syntax);
    free(around);
    return root;
}

int codec_parse(const char *body, size_t size, struct json **ret_json, struct fault *ret_fault)
{
    json_error_t syntax;
    json_free_t release;

    if (size == 0)
        return fault_set(
            ret_fault, ERROR_BAD_JSON, "the body is empty; send a JSON object such as {}");
    /* jansson passes over a NUL byte behind a number, and what is kept would end there. */
    const char *nul = memchr(body, '\0', size);
    if (nul)
        return fault_set(ret_fault, ERROR_BAD_JSON,
            "the body has a NUL byte after %zu bytes: leave it out", (size_t)(nul - body));
    json_get_alloc_funcs(&allocate_as_before, &release);
    json_set_alloc_funcs(allocate, release);
    allocation_failed = false;
    json_t *root = parse_around_body(body, size);
    if (!root)
        root = parse(body, size, &syntax);
    json_set_alloc_funcs(allocate_as_before, release);
    if (allocation_failed) {
        json_decref(root);
        return refuse_memory(ret_fault);
    }
    if (!root)
        return refuse_syntax(&syntax, ret_fault);
    if (!json_is_object(root)) {
        fault_set(ret_fault, ERROR_BAD_JSON, "the body is %s; send a JSON object such as {}",
            name_type(root));
        json_decref(root);
        return ret_fault->error;
    }
    struct json *json = calloc(1, sizeof *json);
    if (!json) {
        json_decref(root);
        return refuse_memory(ret_fault);
    }
    json->root = root;
    json->body = body;
    json->size = size;
    *ret_json = json;
    return 0;
}

/* --- members --------------------------------------------------------------------------------- */

/* Each of these leaves its result as it was where the member is absent. */

static const json_t *get_member(const struct json *json, const char *name)
{
    const json_t *value = json_object_get(json->root, name);
    return json_is_null(value) ? NULL : value;
}

static int refuse_type(
    const char *name, const char *wanted, const json_t *value, struct fault *ret_fault)
{
    return fault_set(
        ret_fault, ERROR_BAD_REQUEST, "`%s` must be %s; it is %s", name, wanted, name_type(value));
}

static int read_string(
    const struct json *json, const char *name, const char **ret_string, struct fault *ret_fault)
{
    const json_t *value = get_member(json, name);
    if (!value)
        return 0;
    if (!json_is_string(value))
        return refuse_type(name, "a string", value, ret_fault);
    *ret_string = json_string_value(value);
    return 0;
}

static int read_needed_string(const struct json *json, const char *name, const char *hint,
    const char **ret_string, struct fault *ret_fault)
{
    if (!get_member(json, name))
        return fault_set(ret_fault, ERROR_BAD_REQUEST, "`%s` is missing: %s", name, hint);
    return read_string(json, name, ret_string, ret_fault);
}

static int read_number(const struct json *json, const char *name, bool *ret_present,
    double *ret_number, struct fault *ret_fault)
{
    const json_t *value = get_member(json, name);
    if (!value)
        return 0;
    if (!json_is_number(value))
        return refuse_type(name, "a number", value, ret_fault);
    *ret_number = json_number_value(value);
    *ret_present = true;
    return 0;
}

static int read_bool(
    const struct json *json, const char *name, bool *ret_bool, struct fault *ret_fault)
{
    const json_t *value = get_member(json, name);
    if (!value)
        return 0;
    if (!json_is_boolean(value))
        return refuse_type(name, "true or false", value, ret_fault);
    *ret_bool = json_is_true(value);
    return 0;
}

static int read_endpoints(
    struct json *json, bool *ret_present, size_t *ret_count, struct fault *ret_fault)
{
    const json_t *array = get_member(json, "endpoints");
    if (!array)
        return 0;
    if (!json_is_array(array))
        return refuse_type("endpoints", "an array of strings", array, ret_fault);
    size_t count = json_array_size(array);
    if (count > LIMIT_ENDPOINTS)
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "`endpoints` has %zu items; at most %d are taken", count, LIMIT_ENDPOINTS);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_string(item))
            return fault_set(ret_fault, ERROR_BAD_REQUEST,
                "`endpoints` must be an array of strings; item %zu is %s", i + 1, name_type(item));
        json->endpoints[i] = json_string_value(item);
    }
    *ret_present = true;
    *ret_count = count;
    return 0;
}

/* --- what is kept as the bytes that came ----------------------------------------------------- */

static int find_kept(const struct json *json, const char *name, size_t limit,
    struct span *ret_value, struct fault *ret_fault)
{
    struct span value;

    /* jansson has seen the member, so only memory for decoding an escaped name can be missing. */
    if (!codec_find_member(json->body, json->size, name, &value))
        return refuse_memory(ret_fault);
    if (value.size > limit)
        return fault_set(ret_fault, ERROR_TOO_LARGE, "`%s` is %zu bytes; at most %zu are taken",
            name, value.size, limit);
    /* It comes out again some levels further down, where a reader must still be able to parse it:
     * one message too deep would close a mailbox to its owner. */
    if (value.depth > LIMIT_KEPT_DEPTH)
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "`%s` is nested %u levels deep; at most %d are taken", name, value.depth,
            LIMIT_KEPT_DEPTH);
    *ret_value = value;
    return 0;
}

static int read_kept_object(const struct json *json, const char *name, size_t limit, char **copy,
    const char **ret_text, struct fault *ret_fault)
{
    struct span value;

    const json_t *member = get_member(json, name);
    if (!member)
        return 0;
    if (!json_is_object(member))
        return refuse_type(name, "an object", member, ret_fault);
    if (find_kept(json, name, limit, &value, ret_fault))
        return ret_fault->error;
    char *text = strndup(value.bytes, value.size);
    if (!text)
        return refuse_memory(ret_fault);
    free(*copy);
    *copy = text;
    *ret_text = text;
    return 0;
}

/* --- requests -------------------------------------------------------------------------------- */

int codec_read_register(
    struct json *json, struct register_request *ret_request, struct fault *ret_fault)
{
    struct register_request request = {.endpoints = json->endpoints, .listed = true};
    bool has_endpoints = false, has_ttl = false;

    if (read_string(json, "id", &request.id, ret_fault) ||
        read_string(json, "network", &request.network, ret_fault) ||
        read_string(json, "token", &request.token, ret_fault) ||
        read_endpoints(json, &has_endpoints, &request.endpoint_count, ret_fault) ||
        read_number(json, "ttl", &has_ttl, &request.ttl_s, ret_fault) ||
        read_bool(json, "listed", &request.listed, ret_fault) ||
        read_kept_object(json, "meta", LIMIT_META_BYTES, &json->meta, &request.meta, ret_fault) ||
        read_kept_object(json, "reach", LIMIT_REACH_BYTES, &json->reach, &request.reach, ret_fault))
        return ret_fault->error;
    /* 0 asks for the default; one who says 0 or less gets the least there is. */
    if (has_ttl && request.ttl_s <= 0)
        request.ttl_s = 0.001;
    *ret_request = request;
    return 0;
}

int codec_read_heartbeat(
    struct json *json, struct heartbeat_request *ret_request, struct fault *ret_fault)
{
    struct heartbeat_request request = {.endpoints = json->endpoints};

    if (read_string(json, "id", &request.id, ret_fault) ||
        read_endpoints(json, &request.has_endpoints, &request.endpoint_count, ret_fault) ||
        read_kept_object(json, "meta", LIMIT_META_BYTES, &json->meta, &request.meta, ret_fault) ||
        read_kept_object(json, "reach", LIMIT_REACH_BYTES, &json->reach, &request.reach, ret_fault))
        return ret_fault->error;
    *ret_request = request;
    return 0;
}

static bool is_integer_within(double number, double least, double most)
{
    return number >= least && number <= most && (double)(long)number == number;
}

int codec_read_message(struct json *json, struct send_request *ret_request, struct fault *ret_fault)
{
    struct send_request request = {0};
    struct span body;
    bool has_ttl = false;
    double ttl_s = 0;

    if (read_needed_string(
            json, "id", "choose one, so that a retry is harmless", &request.id, ret_fault) ||
        read_needed_string(json, "type", "such as \"offer\"", &request.type, ret_fault) ||
        read_string(json, "session", &request.session, ret_fault) ||
        read_number(json, "ttl", &has_ttl, &ttl_s, ret_fault))
        return ret_fault->error;
    if (has_ttl && !is_integer_within(ttl_s, LIMIT_MESSAGE_TTL_MIN_S, LIMIT_MESSAGE_TTL_MAX_S))
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "`ttl` must be a whole number of seconds from %d to %d", LIMIT_MESSAGE_TTL_MIN_S,
            LIMIT_MESSAGE_TTL_MAX_S);
    if (!json_object_get(json->root, "body"))
        return fault_set(
            ret_fault, ERROR_BAD_REQUEST, "`body` is missing: send any JSON, null if need be");
    if (find_kept(json, "body", LIMIT_MESSAGE_BYTES, &body, ret_fault))
        return ret_fault->error;
    request.body = body.bytes;
    request.body_size = body.size;
    request.ttl_s = (int)ttl_s;
    *ret_request = request;
    return 0;
}

static int read_cursor(const struct json *json, const char *name, bool *ret_present,
    struct cursor *ret_cursor, struct fault *ret_fault)
{
    const char *text = NULL;

    *ret_present = false;
    if (read_string(json, name, &text, ret_fault) ||
        (text && codec_check_cursor(name, text, ret_cursor, ret_fault)))
        return ret_fault->error;
    *ret_present = text != NULL;
    return 0;
}

int codec_read_events(struct json *json, struct poll_request *ret_request, struct fault *ret_fault)
{
    struct poll_request request = *ret_request;
    bool has_wait = false, has_limit = false;
    double wait_s = 0, limit = 0;

    if (read_cursor(json, "since", &request.has_since, &request.since, ret_fault) ||
        read_cursor(json, "after", &request.has_after, &request.after, ret_fault) ||
        read_number(json, "wait", &has_wait, &wait_s, ret_fault) ||
        read_number(json, "limit", &has_limit, &limit, ret_fault) ||
        codec_check_wait(wait_s, ret_fault) ||
        (has_limit && codec_check_limit(limit, LIMIT_LIST_MAX_NODES, ret_fault)))
        return ret_fault->error;
    request.renew = request.list = request.mail = true;
    request.wait_s = wait_s;
    request.list_limit = has_limit ? (size_t)limit : LIMIT_LIST_DEFAULT_NODES;
    request.mail_limit = request.list_limit < LIMIT_MAIL_DEFAULT_MESSAGES
                             ? request.list_limit
                             : LIMIT_MAIL_DEFAULT_MESSAGES;
    *ret_request = request;
    return 0;
}

/* --- POST /check ---------------------------------------------------------------------------- */

static bool read_nonce(const char *text, uint8_t ret_nonce[16])
{
    static const char digits[] = "0123456789abcdef";

    if (strlen(text) != 32 || strspn(text, digits) != 32)
        return false;
    for (size_t i = 0; i < 16; i++)
        ret_nonce[i] = (uint8_t)((strchr(digits, text[2 * i]) - digits) * 16 +
                                 (strchr(digits, text[2 * i + 1]) - digits));
    return true;
}

static int read_check_words(const char *protocol, const char *nonce, const char *from,
    struct check_request *request, struct fault *ret_fault)
{
    request->udp = !strcmp(protocol, "udp");
    if (!request->udp && strcmp(protocol, "tcp") != 0)
        return fault_set(ret_fault, ERROR_BAD_REQUEST, "`protocol` must be \"tcp\" or \"udp\"");
    if (!read_nonce(nonce, request->nonce))
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "`nonce` must be 32 lower-case hexadecimal digits, random ones of yours");
    if (from && !strcmp(from, "other"))
        request->from = CHECK_FROM_OTHER;
    else if (from && !strcmp(from, "contacted"))
        request->from = CHECK_FROM_CONTACTED;
    else if (from)
        return fault_set(ret_fault, ERROR_BAD_REQUEST, "`from` must be \"other\" or \"contacted\"");
    return 0;
}

int codec_read_check(struct json *json, struct check_request *ret_request, struct fault *ret_fault)
{
    struct check_request request = {0};
    const char *protocol = NULL, *nonce = NULL, *from = NULL;
    bool has_port = false, has_timeout = false;
    double port = 0, timeout_s = LIMIT_CHECK_CONNECT_S;

    if (read_number(json, "port", &has_port, &port, ret_fault) ||
        read_needed_string(json, "protocol", "\"tcp\" or \"udp\"", &protocol, ret_fault) ||
        read_needed_string(json, "nonce", "32 random hexadecimal digits", &nonce, ret_fault) ||
        read_string(json, "from", &from, ret_fault) ||
        read_number(json, "timeout", &has_timeout, &timeout_s, ret_fault))
        return ret_fault->error;
    if (!has_port || !is_integer_within(port, 1, UINT16_MAX))
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "`port` must be a whole number from 1 to %d: the one to dial", UINT16_MAX);
    if (!(timeout_s >= 1 && timeout_s <= LIMIT_CHECK_CONNECT_S))
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "`timeout` must be a number of seconds from 1 to %d", LIMIT_CHECK_CONNECT_S);
    if (read_check_words(protocol, nonce, from, &request, ret_fault))
        return ret_fault->error;
    request.port = (uint16_t)port;
    request.timeout_s = timeout_s;
    *ret_request = request;
    return 0;
}

/* --- checks ---------------------------------------------------------------------------------- */

int codec_check_wait(double wait_s, struct fault *ret_fault)
{
    if (wait_s >= 0 && wait_s <= LIMIT_WAIT_MAX_S)
        return 0;
    return fault_set(ret_fault, ERROR_BAD_REQUEST,
        "`wait` must be a number of seconds from 0 to %d", LIMIT_WAIT_MAX_S);
}

int codec_check_limit(double limit, size_t max, struct fault *ret_fault)
{
    if (is_integer_within(limit, 1, (double)max))
        return 0;
    return fault_set(
        ret_fault, ERROR_BAD_REQUEST, "`limit` must be a whole number from 1 to %zu", max);
}

int codec_check_cursor(
    const char *name, const char *text, struct cursor *ret_cursor, struct fault *ret_fault)
{
    if (cursor_parse(text, ret_cursor))
        return 0;
    return fault_set(ret_fault, ERROR_BAD_CURSOR,
        "`%s` is not a cursor; send one as an earlier reply gave it, or none", name);
}
