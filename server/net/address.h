/*
 * IP addresses as the index compares, counts and classifies them, and the endpoints and listeners
 * that are written with them. IPv4-mapped IPv6 addresses are unwrapped wherever one comes in.
 */
#ifndef SIGNPOST_NET_ADDRESS_H
#define SIGNPOST_NET_ADDRESS_H

#include "error.h"
#include "server_limits.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_SIZE 46 /* as INET6_ADDRSTRLEN, with the NUL */

struct address {
    uint8_t family;    /* 0: none, 4 or 6 */
    uint8_t bytes[16]; /* network order; IPv4 in the first four, the rest zero */
};

/* What an address may be used for (IANA special-purpose registries, RFC 6890). */
enum address_class {
    ADDRESS_UNSPECIFIED, /* 0.0.0.0/8, :: */
    ADDRESS_LOOPBACK,    /* 127.0.0.0/8, ::1 */
    ADDRESS_LINK_LOCAL,  /* 169.254.0.0/16, fe80::/10 */
    ADDRESS_MULTICAST,   /* 224.0.0.0/4, ff00::/8 */
    ADDRESS_RESERVED,    /* 240.0.0.0/4 with the broadcast address */
    ADDRESS_PRIVATE,     /* RFC 1918, RFC 6598 (shared, CGNAT), fc00::/7 */
    ADDRESS_PUBLIC       /* all else */
};

bool address_from_sockaddr(const struct sockaddr *socket_address, struct address *ret_address);

/* `port` in host order. Returns the length of the filled sockaddr. */
socklen_t address_to_sockaddr(
    const struct address *address, uint16_t port, struct sockaddr_storage *ret_socket_address);

/* A literal without brackets, port or zone; strict (no octal, no short forms). */
bool address_parse(const char *text, struct address *ret_address);

/* RFC 5952 for IPv6. Returns `ret_text`; "" for none. */
const char *address_format(const struct address *address, char ret_text[ADDRESS_TEXT_SIZE]);
bool address_equal(const struct address *a, const struct address *b);
enum address_class address_classify(const struct address *address);

/* What limits count as one stranger: the IPv4 /32, the IPv6 /56. */
struct address address_prefix(const struct address *address);

struct address_range {
    struct address base;
    unsigned bits;
};

/* "10.0.0.0/8", "fd00::/8", or one address; bits below the prefix are an error. */
bool address_range_parse(const char *text, struct address_range *ret_range);
bool address_range_has(const struct address_range *range, const struct address *address);

/* "127.0.0.1:7117", "[::1]:0"; the port is needed, 0 allowed. The address a literal, or `localhost`
 * for 127.0.0.1. */
bool address_port_parse(const char *text, struct address *ret_address, uint16_t *ret_port);

/* An endpoint, `scheme://host:port`. */
enum endpoint_host {
    ENDPOINT_OBSERVED,      /* empty or [::]: every address the index sees me at */
    ENDPOINT_OBSERVED_IPV4, /* 0.0.0.0: the IPv4 one, where there is one, else as above */
    ENDPOINT_ADDRESS,       /* a literal */
    ENDPOINT_NAME           /* a DNS name */
};

struct endpoint {
    char scheme[LIMIT_SCHEME_CHARS + 1]; /* lower case */
    enum endpoint_host host;
    struct address address; /* where host is ENDPOINT_ADDRESS */
    char name[254];         /* where host is ENDPOINT_NAME; lower case */
    uint16_t port;          /* 1 to 65535 */
};

/* Grammar only (RFC 3986 scheme and authority, no user, path, query, zone); on failure
 * ERROR_BAD_ENDPOINT and a sentence that quotes the text. */
int endpoint_parse(const char *text, struct endpoint *ret_endpoint, struct fault *ret_fault);

/* `scheme://literal:port` or `scheme://[literal]:port`, for the endpoint at that address. */
void endpoint_format(const struct endpoint *endpoint, const struct address *address,
    char ret_text[LIMIT_ENDPOINT_CHARS + 1]);

#endif
