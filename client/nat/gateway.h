/*
 * What the router says when it is asked by UPnP-IGD, NAT-PMP and PCP, side by side: whether it
 * knows the protocol, and which address it has on its outer side. IPv4. A router is not trusted: it
 * may lie, be late, or send anything.
 */
#ifndef SIGNPOST_CLIENT_NAT_GATEWAY_H
#define SIGNPOST_CLIENT_NAT_GATEWAY_H

#include "nat.h"

#include <uv.h>

#define GATEWAY_WAIT_MS 2000 /* after so long what has not answered is not there */

enum gateway_protocol { GATEWAY_PCP, GATEWAY_NATPMP, GATEWAY_UPNP, GATEWAY_PROTOCOLS };

const char *gateway_protocol_name(enum gateway_protocol protocol); /* "pcp", "nat-pmp", "upnp" */

struct gateway_claim {
    enum nat_answer present;
    enum nat_answer has_wan; /* it told its outer address; NO: it says that it has none */
    char wan[NAT_ADDRESS_SIZE];
    char detail[NAT_DETAIL_SIZE]; /* what it refused or got wrong, "": nothing */
};

struct gateway_found {
    char address[NAT_ADDRESS_SIZE]; /* of the default route's next hop; "": no default route */
    char local[NAT_ADDRESS_SIZE];   /* this machine's, towards it */
    char model[64];                 /* as UPnP tells it, printable ASCII; "": not told */
    struct gateway_claim by[GATEWAY_PROTOCOLS];
};

struct gateway_probe;

/* `done` comes once, from the loop, after GATEWAY_WAIT_MS at most, unless it is closed before. The
 * probe is gone then. PCP has no request for the address alone: a probe of it announces only
 * (RFC 6887, 14.1), and makes no mapping. */
int gateway_start(uv_loop_t *loop, void (*done)(const struct gateway_found *found, void *user),
    void *user, struct gateway_probe **ret_probe);
void gateway_close(struct gateway_probe *probe); /* NULL is fine; not from inside `done` */

/* The next hop of the default route, from /proc/net/route or /proc/net/ipv6_route; "" where there
 * is none. */
void gateway_default(enum nat_family family, char ret_address[NAT_ADDRESS_SIZE]);

#endif
