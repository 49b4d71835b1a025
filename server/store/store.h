/*
 * What the index needs of a store: a table of functions that complete by callback, so that an
 * engine behind a network fits as well as the embedded one.
 *
 * The index keeps what is small and changes often in memory (who holds which lease until when,
 * which messages wait where) and tells the store of every change that a reply will speak of. The
 * store keeps it all across a restart, and answers what is large: records, lists, bodies.
 *
 * Batches. A write opens a batch if none is open; everything up to the next flush() belongs to it
 * and is committed by that flush as one. A completion (`done`) is called exactly once: that of a
 * write after the commit of its batch, that of a read at once where no batch is open, else after
 * that commit too, because the read has seen what is not yet committed. If anything in a batch
 * fails, the whole of it is undone: `lost` of the config is called once, then every completion of
 * the batch with the error. In `lost` the index reads back, with load(), what is still true.
 *
 * Ownership. What a callback is given is borrowed until it returns. What is passed in is borrowed
 * until the call returns. A completion may be called before the call returns (a read), never for a
 * write. A completion may call the store again, flush() excepted.
 *
 * One thread, that of the loop. Times are milliseconds since 1970 on a clock that does not go back
 * while the process runs, unless a name says otherwise.
 */
#ifndef SIGNPOST_STORE_H
#define SIGNPOST_STORE_H

#include "error.h"
#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_HASH_SIZE 32

struct store_network {
    int64_t number; /* from 1; chosen by the index, never used again while anything refers to it */
    const char *name;
    uint64_t birth;   /* what its epoch is derived from, with the store's own epoch */
    uint64_t seq;     /* of its last visible change; below 2^63 */
    uint64_t horizon; /* changes up to here may be forgotten: an older cursor is of no use */
};

/* One node as it is kept. Strings are never NULL: "" where there is nothing. */
struct store_node {
    int64_t number; /* from 1; of this one registration, never used again for another */
    int64_t network;
    const char *id;
    uint8_t token_hash[STORE_HASH_SIZE];
    uint8_t key_hash[STORE_HASH_SIZE]; /* of the join key that admitted it; zeros: none */
    int ttl_s;
    bool listed;
    uint64_t seq; /* the network's, at the node's last visible change; 0 while unlisted */
    int64_t registered_wall_ms;
    struct address observed_ipv4, observed_ipv6; /* family 0: never seen there */
    const char *announced;                       /* the endpoints as sent, a line each */
    const char *endpoints;                       /* the endpoints resolved, a line each */
    const char *meta;                            /* JSON objects */
    const char *reach;
};

struct store_tombstone {
    const char *id;
    uint64_t seq;
    int64_t gone_ms;
};

/* What a message has come to. */
enum store_mark {
    STORE_QUEUED, /* given to nobody yet */
    STORE_GIVEN,  /* given out, not acknowledged */
    STORE_SPENT,  /* acknowledged, expired or its box gone: kept without its body, for retries */
    STORE_FORGET  /* remove the row */
};

struct store_message {
    int64_t number; /* from 1; unique in the store */
    int64_t box;    /* the number of the recipient's node */
    int64_t network;
    uint64_t seq;     /* in its box, from 1 */
    const char *to;   /* the recipient's id */
    const char *from; /* the sender's id; "": the index itself */
    struct address from_address;
    const char *id;
    const char *session; /* "": none */
    const char *type;
    uint8_t content_hash[STORE_HASH_SIZE]; /* the index's own: tells retries apart */
    int64_t sent_wall_ms;
    int64_t expires_ms; /* when it is no longer given out */
    int64_t forget_ms;  /* when a retry no longer finds it */
    bool handed;        /* the state of the first answer: handed, else queued */
    enum store_mark mark;
    const char *body; /* JSON text, byte for byte as sent; NULL in load() and once spent */
    size_t body_size; /* kept also where body is NULL */
};

/* A mailbox's own counters, written when messages leave it: those in it tell the rest. */
struct store_box {
    int64_t node;
    uint64_t seq;   /* of its newest message then */
    uint64_t acked; /* everything up to here was acknowledged */
};

typedef void (*store_done)(int error, void *user);

enum store_verdict { STORE_KEEP, STORE_WRITE };

/* Is shown the node as it is kept (`exists`), or a zeroed one with number set; may change it in
 * place, pointing at strings that live until edit_node() has called it and returned; says whether
 * to write. `ret_network` is to be filled where the network's row changes too: its number is 0
 * otherwise. */
typedef enum store_verdict (*store_edit)(
    struct store_node *node, bool exists, struct store_network *ret_network, void *user);

/* Visitors return false to stop. */
typedef bool (*store_node_visit)(const struct store_node *node, void *user);
typedef bool (*store_message_visit)(const struct store_message *message, void *user);

/* One row of a list: a node, or the tombstone of one. Just one of the two is not NULL. */
typedef bool (*store_change_visit)(
    const struct store_node *node, const struct store_tombstone *tombstone, void *user);

/* How load() tells what is kept: networks first, then nodes, boxes, messages, each by number. Of
 * a node the four texts are "" and of a message the body is NULL. None may be NULL. */
struct store_loader {
    void (*network)(const struct store_network *network, size_t tombstones, void *user);
    void (*node)(const struct store_node *node, void *user);
    void (*box)(const struct store_box *box, void *user);
    void (*message)(const struct store_message *message, void *user);
    /* The store's epoch (random; changes when its history may have been cut) and how many
     * networks it has dropped. Called first. */
    void (*epoch)(uint64_t epoch, uint64_t dropped_networks, void *user);
};

typedef void (*store_pruned)(int error, uint64_t horizon, size_t tombstones_left, void *user);

struct store;

struct store_functions {
    /* --- reads -----------------------------------------------------------------------------------
     */

    /* Everything, in order; with no batch open, or from `lost`. A store that was cut off from its
     * engine goes to it again, and where that is not possible yet, it fails. */
    void (*load)(
        struct store *store, const struct store_loader *loader, store_done done, void *user);

    /* One node with all its texts; the visitor is not called where there is none. */
    void (*get_node)(
        struct store *store, int64_t number, store_node_visit visit, store_done done, void *user);

    /* The listed nodes of a network whose id is after `after_id` ("" : from the first), by id. */
    void (*list_nodes)(struct store *store, int64_t network, const char *after_id,
        store_change_visit visit, store_done done, void *user);

    /* What changed after `since`, in order of seq: listed nodes and tombstones. */
    void (*list_changes)(struct store *store, int64_t network, uint64_t since,
        store_change_visit visit, store_done done, void *user);

    /* The messages of these numbers, in that order, with bodies; those that are spent or forgotten
     * are left out. */
    void (*read_messages)(struct store *store, const int64_t *numbers, size_t count,
        store_message_visit visit, store_done done, void *user);

    /* Reads nothing: completes when what was written so far is committed (or lost). */
    void (*barrier)(struct store *store, store_done done, void *user);

    /* Asks the engine for a sign of life, and where a write has failed, tries one of its own.
     * ERROR_STORE_FAILED where nothing can be done before load() has succeeded again. */
    void (*probe)(struct store *store, store_done done, void *user);

    /* What keeps it from serving, as far as it knows by now: a short sentence without a stop that
     * anyone may read, borrowed until the next call. NULL: nothing. */
    const char *(*trouble)(const struct store *store);

    /* How much room its files take, in bytes; 0: it has none, or cannot tell. */
    uint64_t (*bytes)(const struct store *store);

    /* --- writes ----------------------------------------------------------------------------------
     */

    /* Read, change, write one node, by its number; the row of its network with it. A tombstone of
     * the same id in that network goes when a listed node is written. */
    void (*edit_node)(
        struct store *store, int64_t number, store_edit edit, store_done done, void *user);

    /* Removes a node (if it is there) and its box's counters. Its messages are the caller's to
     * mark. */
    void (*remove_node)(struct store *store, int64_t number, store_done done, void *user);

    /* Leaves a tombstone in the network and writes the network's row. */
    void (*put_tombstone)(struct store *store, const struct store_network *network,
        const struct store_tombstone *tombstone, store_done done, void *user);

    /* Forgets the tombstones of a network older than `before_ms`, and the oldest past the newest
     * `keep`; moves its horizon to the newest one forgotten. */
    void (*prune_tombstones)(struct store *store, int64_t network, int64_t before_ms, size_t keep,
        store_pruned done, void *user);

    /* Forgets a network that has no node and no tombstone, and counts it as dropped. */
    void (*drop_network)(struct store *store, int64_t network, store_done done, void *user);

    /* Adds a message. */
    void (*put_message)(
        struct store *store, const struct store_message *message, store_done done, void *user);

    /* Marks one message. SPENT drops its body. */
    void (*mark_message)(
        struct store *store, int64_t number, enum store_mark mark, store_done done, void *user);

    /* Sets a box's counters. */
    void (*put_box)(struct store *store, const struct store_box *box, store_done done, void *user);

    /* --- the batch -------------------------------------------------------------------------------
     */

    /* Commits what is open and calls the completions; nothing to do is fine. */
    void (*flush)(struct store *store);

    /* Flushes, then frees. NULL is fine. */
    void (*close)(struct store *store);
};

/* Every store begins with this. `lost` is set by the index before its first write. */
struct store {
    const struct store_functions *f;
    void (*lost)(void *user);
    void *lost_user;
    bool open_batch; /* something waits for flush() */
    /* Its times minus the clock's monotonic side, as they were kept before; 0: it does not say. */
    int64_t offset_ms;
};

#endif
