/*
 * An index for a fuzzer: the door over the index over the store in memory, as service.c puts them
 * together, with a clock that stands still until it is moved, the same random numbers each time,
 * and connections that are no sockets of a network. A few nodes are there, and a message.
 */
#ifndef SIGNPOST_FUZZ_REQUEST_WORLD_H
#define SIGNPOST_FUZZ_REQUEST_WORLD_H

#include "index/index.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_NODES 3
#define WORLD_SECRETS 6

struct world;

/* The tokens of "alpha" on this machine, "beta" a stranger, and "gamma", which is in no list; then
 * the join keys of a member and an operator of their network, and of a member of "other". */
extern const char *const world_secrets[WORLD_SECRETS];

/* For everyone; for its own machine only; with the join keys. */
enum world_access { WORLD_OPEN, WORLD_LOOPBACK_ONLY, WORLD_KEYED };

/* Who connects. */
enum world_peer { WORLD_LOOPBACK, WORLD_STRANGER, WORLD_PROXY, WORLD_IPV6, WORLD_PEERS };

/* One at a time. */
struct world *world_open(enum world_access access);

/* Ends what is under way, closes all, and aborts where something is left. */
void world_close(struct world *world);

/* The other end of a new connection; to be closed before world_close(). */
int world_connect(struct world *world, enum world_peer peer);

/* Writes the bytes into that end, lets the index do what it can, and appends what it says. False:
 * the connection is closed. */
bool world_send(
    struct world *world, int fd, const void *bytes, size_t size, struct text *ret_replies);

/* Lets the index do what it can; appends what it says there. False: the connection is closed. */
bool world_hear(struct world *world, int fd, struct text *ret_replies);

/* Where it is keyed: the first join key is withdrawn, and with it all nodes are. */
void world_withdraw_key(struct world *world);

void world_pass_time(struct world *world, int64_t ms);

/* Texts of these. */
const char *world_cursor(const struct world *world); /* of the list, before the input */
const char *world_next(const struct world *world);   /* of alpha's mailbox, likewise */

#endif
