#include "http/ice.h"

#include <stdio.h>
#include <string.h>

#define HOST_CHARS 253 /* of a name; brackets included */

/* Under which name the index was asked, with what stands behind it: that leads to its STUN too. */
struct asked_host {
    char text[HOST_CHARS + 1]; /* as in a URI; "": not known */
    uint8_t family;            /* 4 or 6: it is a literal; 0: a name */
};

/* Nothing, or a port. */
static bool is_end_of_host(const char *rest)
{
    return !*rest || (*rest == ':' && !rest[1 + strspn(rest + 1, "0123456789")]);
}

/* The host of "HOST[:PORT]", if it is one: what a stranger has put there goes into a URI. */
static void read_host(const char *header, struct asked_host *ret_host)
{
    static const char name_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789.-";
    bool bracket = header && header[0] == '[';
    size_t length = !header ? 0 : bracket ? strcspn(header, "]") + 1 : strcspn(header, ":");
    char literal[HOST_CHARS + 1];
    struct address address;

    *ret_host = (struct asked_host){.text = ""};
    if (!length || length > HOST_CHARS || length > strlen(header) ||
        !is_end_of_host(header + length))
        return;
    memcpy(literal, header + bracket, length - 2 * bracket);
    literal[length - 2 * bracket] = '\0';
    if (address_parse(literal, &address) && bracket == (strchr(literal, ':') != NULL))
        ret_host->family = address.family;
    else if (bracket || literal[strspn(literal, name_characters)])
        return;
    memcpy(ret_host->text, header, length);
}

/* The index's own responders: the first of each family under the name that it was asked by, the
 * others, with which one may compare, by their address. */
static void write_own(
    struct text *out, const struct ice *ice, const struct asked_host *host, bool from_loopback)
{
    bool covered[2] = {host->family == 6, host->family == 4}; /* that the name cannot lead to */
    unsigned named = 0; /* the port that stands behind the name already */

    for (size_t i = 0; i < ice->own_count; i++) {
        const struct ice_place *place = &ice->own[i];
        bool ipv6 = place->address.family == 6, by_name = *host->text && !covered[ipv6];
        char address[ADDRESS_TEXT_SIZE];
        covered[ipv6] = true;
        if (by_name && named == place->port)
            continue;
        if (!by_name && address_classify(&place->address) == ADDRESS_LOOPBACK && !from_loopback)
            continue;
        if (out->length)
            text_puts(out, ",");
        if (by_name)
            text_printf(out, "\"stun:%s:%u\"", host->text, (unsigned)place->port);
        else
            text_printf(out, ipv6 ? "\"stun:[%s]:%u\"" : "\"stun:%s:%u\"",
                address_format(&place->address, address), (unsigned)place->port);
        if (by_name)
            named = place->port;
    }
}

static void identified(const struct fault *fault, const struct identity *caller, void *user)
{
    struct request *request = user;
    const struct ice *ice = request_ice(request);
    struct turn_credential turn;
    struct asked_host host;
    struct text body = {0}, own = {0};

    if (fault) {
        request_fail(request, fault);
        return;
    }
    read_host(request_header(request, MHD_HTTP_HEADER_HOST), &host);
    write_own(&own, ice, &host, address_classify(&request->caller.address) == ADDRESS_LOOPBACK);
    bool has_turn = turn_issue(ice, caller->node, caller->open, &turn);
    codec_write_ice(&body, ice, own.length ? own.bytes : NULL, has_turn ? &turn : NULL);
    request_reply_json(request, &body);
    text_clear(&own);
}

void ice_handle(struct request *request)
{
    index_identify(request_index(request), &request->caller, identified, request);
}
