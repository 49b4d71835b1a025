/*
 * The first routers on the way to an address, which tell a carrier's NAT or a second router where
 * no gateway protocol does: datagrams with a TTL of 1 to HOPS_MAX, and who says that it was used
 * up. Needs no root (IP_RECVERR, Linux).
 */
#ifndef SIGNPOST_CLIENT_NAT_HOPS_H
#define SIGNPOST_CLIENT_NAT_HOPS_H

#include "nat.h"

#include <sys/socket.h>
#include <uv.h>

#define HOPS_MAX 3
#define HOPS_WAIT_MS 1500 /* in all; each is asked up to three times */

struct hops {
    char address[HOPS_MAX][NAT_ADDRESS_SIZE]; /* of the hop with that number less one; "": silent */
    bool reached; /* the target itself answered, behind those; it is none of them */
};

struct hops_probe;

/* `done` comes once, from the loop, unless it is closed before. The probe is gone then. */
int hops_start(uv_loop_t *loop, const struct sockaddr *target,
    void (*done)(const struct hops *hops, void *user), void *user, struct hops_probe **ret_probe);
void hops_close(struct hops_probe *probe); /* NULL is fine; not from inside `done` */

#endif
