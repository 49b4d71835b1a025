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

/* Calls all, in order, and empties the batch first, so that a completion may open the next. */
void batch_complete(struct batch *batch, int error);
void batch_free(struct batch *batch);

#endif
