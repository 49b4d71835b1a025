/* Endpoints, as the index lists them ("signpost://192.0.2.7:50051"), and the addresses in them. An
 * IPv4-mapped IPv6 address counts as IPv4 everywhere: sockets of both families have such. */
#ifndef SIGNPOST_CLIENT_ENDPOINT_H
#define SIGNPOST_CLIENT_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ENDPOINT_TEXT_SIZE 64 /* "[address]:port" and NUL */

struct endpoint {
    char scheme[33];
    struct sockaddr_storage address; /* with the port */
};

/* False where it is none, or its host is no address literal: names are not looked up, since an
 * index vouches for addresses only. Unspecified (0/8, ::), multicast, reserved (240/4, broadcast)
 * and link-local addresses and port 0 are none either. The scheme comes in lower case. */
bool endpoint_parse(const char *text, struct endpoint *ret_endpoint);

/* One that only this machine or those on its own network reach: loopback, RFC 1918, RFC 6598
 * (100.64/10), unique local IPv6 (RFC 4193). */
bool endpoint_is_private(const struct sockaddr_storage *address);

/* An address literal without brackets or port, of any kind; its port becomes 0. */
bool endpoint_parse_address(const char *text, struct sockaddr_storage *ret_address);
bool endpoint_same_address(
    const struct sockaddr_storage *one, const struct sockaddr_storage *other); /* ports aside */
bool endpoint_same(const struct sockaddr_storage *one, const struct sockaddr_storage *other);

/* "192.0.2.7:50051", "[2001:db8::7]:50051". */
void endpoint_text(const struct sockaddr_storage *address, char ret_text[ENDPOINT_TEXT_SIZE]);

#endif
