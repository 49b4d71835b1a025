/* What the files of the memory store share: its rows, and the arrays that they lie in. */
#ifndef SIGNPOST_STORE_MEMORY_INTERNAL_H
#define SIGNPOST_STORE_MEMORY_INTERNAL_H

#include "store/batch.h"
#include "store/store.h"

/*
 * All rows lie in plain arrays. A row never changes once it is in one: a change puts another in its
 * place. So the picture that the first write of a batch takes, to go back to, is a copy of the
 * arrays that shares the rows.
 */

enum memory_kind {
    MEMORY_NETWORKS,
    MEMORY_NODES,
    MEMORY_TOMBSTONES,
    MEMORY_BOXES,
    MEMORY_MESSAGES,
    MEMORY_KINDS
};

struct memory_row {
    size_t references; /* the arrays that have it */
    int64_t key;       /* its number; of a box its node, of a tombstone its network */
    union {
        struct store_network network;
        struct store_node node;
        struct store_tombstone tombstone;
        struct store_box box;
        struct store_message message;
    };
    char strings[]; /* what the row points at */
};

struct memory_list {
    struct memory_row **rows;
    size_t count;
};

struct memory_state {
    struct memory_list lists[MEMORY_KINDS];
    uint64_t dropped_networks;
};

struct store_memory {
    struct store base;
    struct batch batch;
    struct memory_state now;
    struct memory_state before; /* of the open batch, where it has not failed at once */
    bool has_before;
    bool failed; /* of the open batch: it can only be undone */
    bool fail_next_flush;
    bool fail_next_load;
    uint64_t epoch;
};

static inline struct store_memory *memory_of(struct store *store)
{
    return (struct store_memory *)store; /* `base` comes first */
}

/* --- rows and arrays (memory_rows.c) --------------------------------------------------------- */

/* New rows, copied from what is given; NULL where memory is out. */
struct memory_row *memory_network_row(const struct store_network *network);
struct memory_row *memory_node_row(int64_t number, const struct store_node *node);
struct memory_row *memory_tombstone_row(int64_t network, const struct store_tombstone *tombstone);
struct memory_row *memory_box_row(const struct store_box *box);
struct memory_row *memory_message_row(const struct store_message *message);

/* The row with that key, or NULL. */
struct memory_row *memory_find(
    const struct store_memory *memory, enum memory_kind kind, int64_t key);

/* Adds a row, or puts it in place of the one with its key. Both take the row over, also where they
 * fail, and fail where it is NULL. */
bool memory_add(struct store_memory *memory, enum memory_kind kind, struct memory_row *row);
bool memory_put(struct store_memory *memory, enum memory_kind kind, struct memory_row *row);

/* Removes the row with that key, if there is one. */
void memory_remove(struct store_memory *memory, enum memory_kind kind, int64_t key);
void memory_remove_at(struct store_memory *memory, enum memory_kind kind, size_t at);
size_t memory_count_tombstones(const struct store_memory *memory, int64_t network);

bool memory_state_copy(const struct memory_state *state, struct memory_state *ret_copy);
void memory_state_free(struct memory_state *state); /* leaves it empty */

/* Completes a read at once, or with the batch where one is open; a write always has one. */
void memory_finish(struct store_memory *memory, bool well, store_done done, void *user);

/* --- reads (memory_read.c); the contract is in store.h --------------------------------------- */

void memory_load(
    struct store *store, const struct store_loader *loader, store_done done, void *user);
void memory_get_node(
    struct store *store, int64_t number, store_node_visit visit, store_done done, void *user);
void memory_list_nodes(struct store *store, int64_t network, const char *after_id,
    store_change_visit visit, store_done done, void *user);
void memory_list_changes(struct store *store, int64_t network, uint64_t since,
    store_change_visit visit, store_done done, void *user);
void memory_read_messages(struct store *store, const int64_t *numbers, size_t count,
    store_message_visit visit, store_done done, void *user);

#endif
