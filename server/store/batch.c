#include "store/batch.h"

#include <stdlib.h>

#define BATCH_ROOM_FIRST 16

/* A prune's result, waiting for the commit. */
struct pruned {
    store_pruned done;
    void *user;
    uint64_t horizon;
    size_t tombstones_left;
};

int batch_add(struct batch *batch, store_done done, void *user)
{
    if (!done)
        return 0;
    if (batch->count == batch->room) {
        size_t room = batch->room ? batch->room * 2 : BATCH_ROOM_FIRST;
        struct batch_entry *entries = realloc(batch->entries, room * sizeof *entries);
        if (!entries)
            return ERROR_NO_MEMORY;
        batch->entries = entries;
        batch->room = room;
    }
    batch->entries[batch->count++] = (struct batch_entry){done, user};
    return 0;
}

static void batch_complete_pruned(int error, void *user)
{
    struct pruned *pruned = user;

    if (error)
        pruned->done(error, 0, 0, pruned->user);
    else
        pruned->done(0, pruned->horizon, pruned->tombstones_left, pruned->user);
    free(pruned);
}

int batch_add_pruned(
    struct batch *batch, store_pruned done, void *user, uint64_t horizon, size_t tombstones_left)
{
    if (!done)
        return 0;
    struct pruned *pruned = malloc(sizeof *pruned);
    if (!pruned)
        return ERROR_NO_MEMORY;
    *pruned = (struct pruned){done, user, horizon, tombstones_left};
    int error = batch_add(batch, batch_complete_pruned, pruned);
    if (error)
        free(pruned);
    return error;
}

void batch_complete(struct batch *batch, int error)
{
    struct batch taken = *batch;

    *batch = (struct batch){0};
    for (size_t i = 0; i < taken.count; i++)
        taken.entries[i].done(error, taken.entries[i].user);
    if (batch->entries) {
        batch_free(&taken);
    } else {
        /* Nothing was queued meanwhile: the next batch uses the same room. */
        taken.count = 0;
        *batch = taken;
    }
}

void batch_lose(struct batch *batch, struct store *store)
{
    /* What `lost` may queue belongs to the next batch, not to the one that failed. */
    struct batch taken = *batch;

    *batch = (struct batch){0};
    if (store->lost)
        store->lost(store->lost_user);
    batch_complete(&taken, ERROR_STORE_FAILED);
    batch_free(&taken);
}

void batch_free(struct batch *batch)
{
    free(batch->entries);
    *batch = (struct batch){0};
}
