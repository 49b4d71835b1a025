#include "http/policy.h"

#include "charset.h"
#include "http/request_id.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ORIGIN_CHARS 300 /* a longer one is nobody's */
#define FORWARDED_CHARS                                                                            \
    1024 /* of the forwarding headers, together; what is past this is not read */

static const char *header(struct MHD_Connection *mhd, const char *name)
{
    return MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, name);
}

bool policy_trusts(const struct http_policy *policy, const struct address *address)
{
    for (size_t i = 0; i < policy->trusted_count; i++)
        if (address_range_has(&policy->trusted[i], address))
            return true;
    return false;
}

/* --- forwarding headers ---------------------------------------------------------------------- */

struct forwarded {
    const char *name;
    char text[FORWARDED_CHARS];
    size_t length;
};

/* A header that comes several times is one list (RFC 9110, 5.3). Kept from the right: the nearest
 * proxies write there. */
static enum MHD_Result collect(
    void *user, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct forwarded *forwarded = user;

    (void)kind;
    if (strcasecmp(key, forwarded->name) != 0 || !value)
        return MHD_YES;
    size_t length = strlen(value);
    if (forwarded->length + length + 2 > sizeof forwarded->text) {
        forwarded->length = 0;
        if (length + 2 > sizeof forwarded->text) {
            /* From the end of an element on: the rest of one may be another address. Where there is
             * but one, it is as good as an empty one. */
            value += length + 2 - sizeof forwarded->text;
            value += strcspn(value, ",");
            if (!value[0])
                value = ",";
            length = strlen(value);
        }
    }
    if (forwarded->length)
        forwarded->text[forwarded->length++] = ',';
    memcpy(forwarded->text + forwarded->length, value, length);
    forwarded->length += length;
    forwarded->text[forwarded->length] = '\0';
    return MHD_YES;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t length = strlen(text);
    while (length && strchr(" \t", text[length - 1]))
        text[--length] = '\0';
    return text;
}

/* `address`, `address:port`, `[address]`, `[address]:port`, each perhaps in quotes. */
static bool parse_node(char *text, struct address *ret_address, uint16_t *ret_port)
{
    size_t length = strlen(text);
    long port = 0;

    if (length >= 2 && text[0] == '"' && text[length - 1] == '"') {
        text[length - 1] = '\0';
        text++;
    }
    char *colon = strrchr(text, ':');
    if (text[0] == '[') {
        char *end = strchr(text, ']');
        if (!end)
            return false;
        *end = '\0';
        text++;
        if (end[1] == ':')
            port = strtol(end + 2, NULL, 10);
    } else if (colon && strchr(text, ':') == colon) {
        *colon = '\0';
        port = strtol(colon + 1, NULL, 10);
    }
    *ret_port = port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
    return address_parse(text, ret_address);
}

/* The `for` of one element of Forwarded: `for=1.2.3.4;proto=https`. */
static char *forwarded_for(char *element)
{
    char *rest = element;

    for (char *pair = strsep(&rest, ";"); pair; pair = strsep(&rest, ";")) {
        pair = trim(pair);
        if (!strncasecmp(pair, "for=", 4))
            return pair + 4;
    }
    return NULL;
}

/* A comma or a semicolon inside of quotes is none that parts anything. Whoever reads from the right
 * cannot be sure of it, so an element that may have been cut there is not read at all. */
static bool is_cut_by_quotes(const char *element)
{
    bool open = false;

    for (; *element; element++) {
        if (*element == '\\' || (open && *element == ';'))
            return true;
        open ^= *element == '"';
    }
    return open;
}

enum found { FOUND_NOTHING, FOUND_CLIENT };

/* Who came to the nearest proxy that is trusted, by one of the headers. From the right: each
 * element was written by the proxy to its right, so the first that is not trusted, or cannot be
 * read, ends what is known for sure. */
static enum found follow(const struct http_policy *policy, struct MHD_Connection *mhd,
    const char *name, bool standard, struct address *address, uint16_t *port)
{
    struct forwarded forwarded = {.name = name, .length = 0};

    MHD_get_connection_values(mhd, MHD_HEADER_KIND, collect, &forwarded);
    if (!forwarded.length)
        return FOUND_NOTHING;
    for (;;) {
        struct address next;
        uint16_t next_port;
        char *comma = strrchr(forwarded.text, ',');
        char *element = trim(comma ? comma + 1 : forwarded.text);
        if (standard && is_cut_by_quotes(element))
            return FOUND_CLIENT;
        if (standard)
            element = forwarded_for(element);
        if (!element || !parse_node(element, &next, &next_port))
            return FOUND_CLIENT;
        *address = next;
        *port = next_port;
        if (!comma || !policy_trusts(policy, address))
            return FOUND_CLIENT;
        *comma = '\0';
    }
}

int policy_client(const struct http_policy *policy, struct MHD_Connection *mhd,
    struct address *address, uint16_t *port, bool *ret_exempt, struct fault *ret_fault)
{
    struct address standard = *address, common = *address;
    uint16_t standard_port = 0, common_port = 0;

    *ret_exempt = policy->trusted_count && policy_trusts(policy, address);
    if (!*ret_exempt)
        return 0;
    enum found by_standard = follow(policy, mhd, "Forwarded", true, &standard, &standard_port);
    enum found by_common = follow(policy, mhd, "X-Forwarded-For", false, &common, &common_port);
    if (!by_standard && !by_common)
        return 0;
    *ret_exempt = false;
    *address = by_common ? common : standard;
    *port = by_common ? common_port : standard_port;
    /* A proxy writes one of the two and may pass on what a client put into the other. */
    if (by_standard && by_common && !address_equal(&standard, &common))
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "Forwarded and X-Forwarded-For name different clients: send neither yourself");
    return 0;
}

/* --- Host and Origin ------------------------------------------------------------------------- */

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* An origin that is let in comes back in a header, so it is nothing but scheme, host and port. */
static bool is_end_of_host(const char *rest)
{
    return !*rest || (*rest == ':' && !rest[1 + strspn(rest + 1, DIGITS)]);
}

/* Is `host`, perhaps with a port, this machine's own name? */
static bool is_loopback_host(const char *host)
{
    static const bool name_characters[CHARSET_SIZE] = {
        CHARSET_ALPHANUMERIC, ['.'] = true, ['-'] = true, ['_'] = true};
    char name[256];
    struct address address;
    bool bracket = host[0] == '[';
    size_t length = strcspn(host, bracket ? "]" : ":");

    if (length >= sizeof name || (bracket && !host[length]) ||
        !is_end_of_host(host + length + bracket))
        return false;
    memcpy(name, host, length);
    name[length] = '\0';
    if (bracket)
        return address_parse(name + 1, &address) && address_classify(&address) == ADDRESS_LOOPBACK;
    if (name[charset_span(name, name_characters)])
        return false;
    if (!strcasecmp(name, "localhost") ||
        (length > 10 && !strcasecmp(name + length - 10, ".localhost")))
        return true;
    return address_parse(name, &address) && address_classify(&address) == ADDRESS_LOOPBACK;
}

/* May pages of that origin use the index? */
static bool allows_origin(const struct http_policy *policy, const char *origin)
{
    const char *host = strstr(origin, "://");

    for (size_t i = 0; i < policy->origin_count; i++)
        if (!strcasecmp(origin, policy->origins[i]))
            return true;
    if (!policy->loopback_only)
        return !policy->origin_count;
    return host && strlen(origin) < ORIGIN_CHARS &&
           strspn(origin, LETTERS DIGITS "+-.") == (size_t)(host - origin) &&
           is_loopback_host(host + 3);
}

int policy_check_host(
    const struct http_policy *policy, struct MHD_Connection *mhd, struct fault *ret_fault)
{
    if (!policy->loopback_only)
        return 0;
    const char *host = header(mhd, MHD_HTTP_HEADER_HOST);
    const char *origin = header(mhd, MHD_HTTP_HEADER_ORIGIN);
    if (host && !is_loopback_host(host))
        return fault_set(ret_fault, ERROR_FOREIGN_HOST,
            "this index is open to its own machine only: call it as localhost, or start it with "
            "--open");
    if (origin && !allows_origin(policy, origin))
        return fault_set(ret_fault, ERROR_FOREIGN_HOST,
            "this index is open to its own machine only: pages of other origins may not use it; "
            "allow theirs with --cors-origin");
    return 0;
}

bool policy_add_cors(
    const struct http_policy *policy, struct MHD_Connection *mhd, struct MHD_Response *response)
{
    const char *origin = header(mhd, MHD_HTTP_HEADER_ORIGIN);
    bool any = !policy->origin_count && !policy->loopback_only;
    bool allowed = origin && allows_origin(policy, origin);
    bool added;

    if (any)
        added = MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    else
        added = MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ORIGIN);
    if (allowed && !any)
        added &=
            MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if (allowed)
        added &= MHD_add_response_header(response, "Access-Control-Expose-Headers",
            "ETag, Link, Location, Retry-After, " REQUEST_ID_HEADER);
    return added;
}
