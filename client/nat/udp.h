/*
 * One UDP socket at the port that is checked. First it listens for the datagrams of a dial-back,
 * and sends nothing, which would open the NAT's filter; then it asks STUN servers what they see.
 */
#ifndef SIGNPOST_CLIENT_NAT_UDP_H
#define SIGNPOST_CLIENT_NAT_UDP_H

#include "nat.h"

#include <stddef.h>
#include <uv.h>

#define UDP_SERVERS_MAX 8
#define UDP_NONCE_SIZE 33  /* 32 hex characters and NUL */
#define UDP_ANSWER_MS 4000 /* after so long a server that has said nothing is silent */

struct udp;

/* One STUN server, at one of its addresses, and what it saw. */
struct udp_seen {
    char server[NAT_ENDPOINT_SIZE];
    char address[NAT_ADDRESS_SIZE];
    uint16_t port;
    unsigned rtt_us; /* of the first request that was answered */
};

struct udp_behaviour {
    struct udp_seen seen[UDP_SERVERS_MAX]; /* who answered; several may be of one host */
    size_t seen_count;
    size_t asked;                 /* how many addresses of servers were sent to */
    enum nat_mapping mapping;     /* UNKNOWN also where it looks steady at one address only */
    enum nat_filtering filtering; /* UNKNOWN unless an RFC 5780 server told */
    enum nat_answer port_preserved;
    char detail[NAT_DETAIL_SIZE]; /* what went wrong on the way, "": nothing */
};

/* Bound to `port` (0: one that is free) at all addresses of the family, for it alone.
 * SIGNPOST_ERROR_ADDRESS: the port is held by another; SIGNPOST_ERROR_INVALID: this user may not
 * have it; SIGNPOST_ERROR_NO_MEMORY. */
int udp_open(uv_loop_t *loop, enum nat_family family, uint16_t port, struct udp **ret_udp);
uint16_t udp_port(const struct udp *udp);

/* `heard` is called, once, when a datagram comes that is these 32 characters and nothing else; one
 * that is waited for already is forgotten. NULL ends the wait. */
void udp_expect(struct udp *udp, const char *nonce, void (*heard)(void *user), void *user);

/* `servers`: "HOST[:PORT]" (3478), a name or a literal, IPv6 in brackets; several, each at its
 * addresses of this family. A server that answers with OTHER-ADDRESS is asked there too, and for
 * its filtering (RFC 5780, 4.3 and 4.4). `local` is the address of this machine towards the
 * internet, to tell whether there is a NAT; "": not known. `done` comes once, from the loop, within
 * UDP_ANSWER_MS where nobody answers, and twice that at most; unless it is closed before. */
typedef void (*udp_discovered)(const struct udp_behaviour *behaviour, void *user);
int udp_discover(struct udp *udp, const char *const *servers, size_t count, const char *local,
    udp_discovered done, void *user);

/* Frees it once its handles are closed on the loop; no callback comes any more. NULL is fine. */
void udp_close(struct udp *udp);

#endif
