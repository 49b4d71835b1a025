/* The words that the parts of the port-mapping checker share. */
#ifndef SIGNPOST_CLIENT_NAT_H
#define SIGNPOST_CLIENT_NAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define NAT_ADDRESS_SIZE 46  /* as INET6_ADDRSTRLEN, with the NUL; "": none */
#define NAT_ENDPOINT_SIZE 56 /* "203.0.113.7:50051", "[2001:db8::7]:50051", with the NUL */
#define NAT_DETAIL_SIZE 256  /* a sentence */

enum nat_family { NAT_IPV4, NAT_IPV6, NAT_FAMILIES };
enum nat_protocol { NAT_TCP, NAT_UDP, NAT_PROTOCOLS };

/* What was not tested is not the same as "no". */
enum nat_answer { NAT_UNTESTED, NAT_NO, NAT_YES };

/* Which external address and port packets of one socket get, by where they go (RFC 4787, 4.1). */
enum nat_mapping {
    NAT_MAPPING_UNKNOWN,
    NAT_MAPPING_NONE,             /* no NAT: it is seen as it is */
    NAT_MAPPING_ENDPOINT,         /* the same for all: "endpoint-independent" */
    NAT_MAPPING_ADDRESS,          /* another for another address: "address-dependent" */
    NAT_MAPPING_ADDRESS_AND_PORT, /* "address-and-port-dependent" */
    NAT_MAPPING_VARYING           /* by destination; which of the two above is not known */
};

/* Whose packets get in, once a socket has sent (RFC 4787, 5). */
enum nat_filtering {
    NAT_FILTERING_UNKNOWN,
    NAT_FILTERING_ENDPOINT,        /* anyone's */
    NAT_FILTERING_ADDRESS,         /* those of addresses that it has sent to */
    NAT_FILTERING_ADDRESS_AND_PORT /* those of addresses and ports that it has sent to */
};

/* All addresses of the family, at that port. */
void nat_any_address(enum nat_family family, uint16_t port, struct sockaddr_storage *ret_address);

/* What an error of libuv's means to who wants a port: SIGNPOST_ERROR_ADDRESS (another holds it),
 * SIGNPOST_ERROR_INVALID (this user may not have it) or SIGNPOST_ERROR_NO_MEMORY; 0 for none. */
int nat_bind_error(int error);

#endif
