/*
 * Which peers a node keeps a connection to, where it may have few: its two neighbours on each of
 * several rings, on each of which all nodes stand in another order, by the hash of the ring's
 * number and the node's id. Whoever knows the same nodes chooses alike, so that both ends of a
 * connection want it; a ring is connected, several of them are so with very high probability also
 * when many nodes fail at once; and a node that comes or goes concerns its neighbours only.
 */
#ifndef SIGNPOST_CLIENT_MESH_CHOICE_H
#define SIGNPOST_CLIENT_MESH_CHOICE_H

#include <stdbool.h>
#include <stddef.h>

#define MESH_NEIGHBOURS_MAX 64

/* Marks in `ret_chosen` (as long as `peers`) whom `own` wants of `peers`, at most `neighbours` (2
 * or more) of them; more than half of what may be left over is for peers that want us before we
 * know why. Ids are distinct, and `own` is not among them; their order has no meaning. */
void mesh_choose(
    const char *own, const char *const *peers, size_t count, unsigned neighbours, bool *ret_chosen);

#endif
