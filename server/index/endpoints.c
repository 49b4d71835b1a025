#include "index/internal.h"

#include "server_limits.h"

#include <string.h>
#include <strings.h>

/* Why an address is never announced, or NULL. */
static const char *refusal(const struct address *address, const struct address *caller)
{
    switch (address_classify(address)) {
    case ADDRESS_UNSPECIFIED: return "is unspecified: leave the host empty to mean your own";
    case ADDRESS_LINK_LOCAL: return "is link-local, which others cannot reach";
    case ADDRESS_MULTICAST: return "is multicast, which nobody can connect to";
    case ADDRESS_RESERVED: return "is reserved or broadcast, which nobody can connect to";
    case ADDRESS_LOOPBACK:
        return address_classify(caller) == ADDRESS_LOOPBACK
                   ? NULL
                   : "is loopback, and you are not on this machine";
    case ADDRESS_PRIVATE:
    case ADDRESS_PUBLIC: break;
    }
    return NULL;
}

int endpoints_join(const char *const *endpoints, size_t count, const struct address *caller,
    struct text *ret_announced, struct fault *ret_fault)
{
    struct endpoint endpoint;

    if (count > LIMIT_ENDPOINTS)
        return fault_set(ret_fault, ERROR_BAD_ENDPOINT, "%zu endpoints are too many: at most %d",
            count, LIMIT_ENDPOINTS);
    for (size_t i = 0; i < count; i++) {
        int error = endpoint_parse(endpoints[i], &endpoint, ret_fault);
        if (error)
            return error;
        const char *why = NULL;
        if (endpoint.host == ENDPOINT_ADDRESS)
            why = refusal(&endpoint.address, caller);
        else if (endpoint.host == ENDPOINT_NAME && !strcmp(endpoint.name, "localhost") &&
                 address_classify(caller) != ADDRESS_LOOPBACK)
            why = "is this machine's own name, and you are not on it";
        if (why)
            return fault_set(
                ret_fault, ERROR_BAD_ENDPOINT, "the host of %.100s %s", endpoints[i], why);
        text_puts(ret_announced, endpoints[i]);
        text_puts(ret_announced, "\n");
    }
    if (text_failed(ret_announced))
        return fault_busy(ret_fault, ERROR_NO_MEMORY);
    return 0;
}

/* Adds a line if it does not stand there yet. */
static void add_line(struct text *lines, const char *line)
{
    size_t length = strlen(line);

    for (const char *at = lines->length ? lines->bytes : ""; *at; at = strchr(at, '\n') + 1)
        if (!strncmp(at, line, length) && at[length] == '\n')
            return;
    text_append(lines, line, length);
    text_puts(lines, "\n");
}

static void add_resolved(
    struct text *lines, const struct endpoint *endpoint, const struct address *address)
{
    char line[LIMIT_ENDPOINT_CHARS + 1];

    if (!address->family)
        return;
    endpoint_format(endpoint, address, line);
    add_line(lines, line);
}

int endpoints_resolve(const char *announced, const struct address *ipv4, const struct address *ipv6,
    bool open, bool drop, struct text *ret_endpoints, struct fault *ret_fault)
{
    for (const char *at = announced; *at; at = strchr(at, '\n') + 1) {
        char line[LIMIT_ENDPOINT_CHARS + 1];
        struct endpoint endpoint;
        size_t length = strcspn(at, "\n");
        memcpy(line, at, length);
        line[length] = '\0';
        int error = endpoint_parse(line, &endpoint, ret_fault);
        if (error)
            return error;
        const char *why = NULL;
        switch (endpoint.host) {
        case ENDPOINT_OBSERVED_IPV4:
            add_resolved(ret_endpoints, &endpoint, ipv4->family ? ipv4 : ipv6);
            continue;
        case ENDPOINT_OBSERVED:
            add_resolved(ret_endpoints, &endpoint, ipv4);
            add_resolved(ret_endpoints, &endpoint, ipv6);
            continue;
        case ENDPOINT_NAME:
            if (open && strcmp(endpoint.name, "localhost") != 0)
                why = "is a name: on an open index give an address, or leave the host empty";
            break;
        case ENDPOINT_ADDRESS:
            if (open && address_classify(&endpoint.address) == ADDRESS_PUBLIC &&
                !address_equal(&endpoint.address, ipv4) && !address_equal(&endpoint.address, ipv6))
                why = "is not the address that this index sees you at: leave the host empty";
            break;
        }
        if (why && !drop)
            return fault_set(ret_fault, ERROR_BAD_ENDPOINT, "the host of %.100s %s", line, why);
        if (why)
            continue;
        if (endpoint.host == ENDPOINT_NAME)
            add_line(ret_endpoints, line);
        else
            add_resolved(ret_endpoints, &endpoint, &endpoint.address);
    }
    if (text_failed(ret_endpoints))
        return fault_busy(ret_fault, ERROR_NO_MEMORY);
    return 0;
}
