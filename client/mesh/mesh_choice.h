/*
 * Which peers a node keeps a connection to, where it may have few. All nodes stand on several
 * rings, on each in another order: by the hash of the ring's number and the node's id. A node wants
 * the one before it and the one after it on each ring.
 *
 * Nobody needs to agree on anything: those who know the same nodes choose alike, so that both ends
 * of a connection want it. One ring connects all; several do so with very high probability also
 * when many nodes fail at once. A node that comes or goes concerns its neighbours only.
 */
#ifndef SIGNPOST_CLIENT_MESH_CHOICE_H
#define SIGNPOST_CLIENT_MESH_CHOICE_H

#include <stdbool.h>
#include <stddef.h>

#define MESH_NEIGHBOURS_MAX 64

/* Marks in `ret_chosen` (as long as `peers`) whom `own` wants of `peers`: the two neighbours on
 * each of `neighbours` / 2 rings. So it is at most `neighbours` (2 to MESH_NEIGHBOURS_MAX), and
 * fewer where that is odd or where rings agree: what is left over is for peers that want us and
 * whom we do not want. Ids are distinct, and `own` is not among them; their order has no meaning.
 */
void mesh_choose(
    const char *own, const char *const *peers, size_t count, unsigned neighbours, bool *ret_chosen);

#endif
