/*
 * Addresses, ranges and endpoints, a line each: what is read is written, and reads as the same
 * again. All lines together are announced by a node; what others are told of it is an endpoint, and
 * on an open index at no public address but the node's own.
 */
#include "index/internal.h"
#include "net/address.h"
#include "want.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const struct address ipv4 = {4, {203, 0, 113, 7}};
static const struct address ipv6 = {6, {0x20, 1, 0x0d, 0xb8, [15] = 7}};

static void try_address(const char *text)
{
    struct address address, again;
    struct address_range range;
    struct sockaddr_storage name;
    char written[ADDRESS_TEXT_SIZE];
    uint16_t port;

    if (address_range_parse(text, &range)) {
        want(range.bits <= (range.base.family == 4 ? 32 : 128));
        want(address_range_has(&range, &range.base));
    }
    if (address_port_parse(text, &address, &port))
        want(address.family == 4 || address.family == 6);
    if (!address_parse(text, &address))
        return;
    want(address_parse(address_format(&address, written), &again));
    want(address_equal(&address, &again));
    address_to_sockaddr(&address, 1, &name);
    want(
        address_from_sockaddr((struct sockaddr *)&name, &again) && address_equal(&address, &again));
    struct address prefix = address_prefix(&address);
    again = address_prefix(&prefix);
    want(address_equal(&prefix, &again));
}

static void try_endpoint(const char *text)
{
    char written[LIMIT_ENDPOINT_CHARS + 1];
    struct endpoint endpoint, again;
    struct fault fault = {.detail = ""};

    if (endpoint_parse(text, &endpoint, &fault)) {
        want(fault.error == ERROR_BAD_ENDPOINT && *fault.detail);
        return;
    }
    want(strlen(text) <= LIMIT_ENDPOINT_CHARS && endpoint.port);
    const struct address *at = endpoint.host == ENDPOINT_ADDRESS ? &endpoint.address : &ipv6;
    endpoint_format(&endpoint, at, written);
    want(!endpoint_parse(written, &again, &fault));
    want(again.host == ENDPOINT_ADDRESS && again.port == endpoint.port &&
         !strcmp(again.scheme, endpoint.scheme) && address_equal(&again.address, at));
}

static void check_told(const char *told, bool open)
{
    struct endpoint endpoint;
    struct fault fault;

    for (const char *line = told; *line; line = strchr(line, '\n') + 1) {
        char *text = strndup(line, strcspn(line, "\n"));
        want(text && !endpoint_parse(text, &endpoint, &fault));
        want(endpoint.host == ENDPOINT_ADDRESS || endpoint.host == ENDPOINT_NAME);
        if (open && endpoint.host == ENDPOINT_ADDRESS &&
            address_classify(&endpoint.address) == ADDRESS_PUBLIC)
            want(
                address_equal(&endpoint.address, &ipv4) || address_equal(&endpoint.address, &ipv6));
        free(text);
    }
}

static void announce(const char *const *endpoints, size_t count)
{
    struct text announced = {0};
    struct fault fault;

    if (!endpoints_join(endpoints, count, &ipv4, &announced, &fault) && announced.length)
        for (int way = 0; way < 4; way++) {
            struct text told = {0};
            bool open = way & 1, drop = way & 2;
            int error = endpoints_resolve(announced.bytes, &ipv4, &ipv6, open, drop, &told, &fault);
            want(!error || (open && !drop));
            if (!error && told.length)
                check_told(told.bytes, open);
            text_clear(&told);
        }
    text_clear(&announced);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *endpoints[LIMIT_ENDPOINTS + 1];
    size_t count = 0;
    char *text = strndup((const char *)bytes, size), *rest = text;

    for (char *line; (line = strsep(&rest, "\n")) && count <= LIMIT_ENDPOINTS;) {
        try_address(line);
        try_endpoint(line);
        endpoints[count++] = line;
    }
    announce(endpoints, count);
    free(text);
    return 0;
}
