/* The completions of a batch, kept until its flush; shared by the stores. */
#ifndef SIGNPOST_STORE_BATCH_H
#define SIGNPOST_STORE_BATCH_H

#include "store/store.h"

struct batch_entry {
    store_done done;
    void *user;
};

struct batch {
    struct batch_entry *entries;
    size_t count;
    size_t room;
};

/* Queues a completion; `done` may be NULL. Where memory is out, ERROR_NO_MEMORY: the caller then
 * fails its batch and calls `done` itself. */
int batch_add(struct batch *batch, store_done done, void *user);

/* The same for a prune: keeps what it found until the batch is committed. */
int batch_add_pruned(
    struct batch *batch, store_pruned done, void *user, uint64_t horizon, size_t tombstones_left);

/* Calls all, in order, and empties the batch first, so that a completion may open the next. */
void batch_complete(struct batch *batch, int error);

/* After a batch has been undone: calls `lost` of the store, then all with ERROR_STORE_FAILED. */
void batch_lose(struct batch *batch, struct store *store);

void batch_free(struct batch *batch);

#endif
