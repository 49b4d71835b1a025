/*
 * The table of peers: the union, by node id, of what each index lists. A peer is told as it is at
 * the first index, in the order of the configuration, that is not away and lists it.
 */
#ifndef SIGNPOST_CLIENT_DIRECTORY_H
#define SIGNPOST_CLIENT_DIRECTORY_H

#include "signpost.h"

#define DIRECTORY_PEERS_MAX 200000 /* of one index: more are not taken in */

struct directory;

typedef void (*directory_event)(
    signpost_peer_event_t event, const signpost_peer_t *peer, void *user);

/* `told` is called for every visible change, from inside the functions below. NULL: no memory. */
struct directory *directory_new(size_t indexes, directory_event told, void *user);
void directory_free(struct directory *directory); /* tells nothing; NULL is fine */

/* An index lists that peer so, or does not list it any more. Where memory is out the peer stays as
 * it was, or was told, until it is put again: SIGNPOST_ERROR_NO_MEMORY. Where there are too many it
 * is left out: SIGNPOST_ERROR_FULL. */
int directory_put(struct directory *directory, size_t index, const signpost_peer_t *peer);
void directory_remove(struct directory *directory, size_t index, const char *id);

/* A whole list comes: put() what is in it, perhaps in several pages, between these two. Peers that
 * are not in it are kept, stale, until `keep_until_ms`, because an index that came back with an
 * empty disk knows its nodes only when they have come back too; INT64_MIN: they go at once. */
void directory_begin(struct directory *directory, size_t index);
void directory_end(struct directory *directory, size_t index, int64_t keep_until_ms);

/* What it listed is stale, or is not any more. */
void directory_set_away(struct directory *directory, size_t index, bool away);

/* When directory_tick() has something to do; INT64_MAX: never. */
int64_t directory_due_ms(const struct directory *directory);
void directory_tick(struct directory *directory, int64_t now_ms);

bool directory_lists(const struct directory *directory, size_t index, const char *id);
int directory_find(const struct directory *directory, const char *id, signpost_peer_t *ret_peer);
void directory_visit(const struct directory *directory,
    bool (*visit)(const signpost_peer_t *peer, void *user), void *user);

#endif
