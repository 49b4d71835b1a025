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

struct world;

/* "alpha" on this machine, "beta" a stranger, "gamma" one in no list: the number in their tokens.
 */
extern const char *const world_tokens[WORLD_NODES];

/* Who connects. */
enum world_peer { WORLD_LOOPBACK, WORLD_STRANGER, WORLD_PROXY, WORLD_IPV6, WORLD_PEERS };

/* `loopback_only`: the index is for its own machine. One at a time. */
struct world *world_open(bool loopback_only);

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

void world_pass_time(struct world *world, int64_t ms);

/* Texts of these. */
const char *world_cursor(const struct world *world); /* of the list, before the input */
const char *world_next(const struct world *world);   /* of alpha's mailbox, likewise */

#endif
