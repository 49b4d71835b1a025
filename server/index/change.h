/*
 * A change of one node's record: put together from a registration or a heartbeat, taken into
 * memory, given to the store, answered after the commit.
 */
#ifndef SIGNPOST_INDEX_CHANGE_H
#define SIGNPOST_INDEX_CHANGE_H

#include "index/internal.h"

#include "server_limits.h"
#include "text.h"

/* What a registration or heartbeat asks to keep, held until the store has taken it. */
struct change {
    struct index *index;
    struct network *network; /* held */
    bool created;
    bool announces;        /* brings endpoints of its own, in `announced` */
    struct text announced; /* as sent, a line each */
    struct text endpoints; /* resolved */
    char *meta, *reach;    /* NULL: as they were */
    int ttl_s;
    bool listed;
    int64_t registered_wall_ms; /* of a new node */
    uint8_t token_hash[STORE_HASH_SIZE];
    bool by_key; /* it comes with a join key, which from now on is the one that admits it */
    uint8_t key_hash[STORE_HASH_SIZE]; /* zeros: none does */
    struct address observed_ipv4, observed_ipv6;
    struct fault fault;
    struct cursor cursor;
    char network_name[LIMIT_ID_CHARS + 1];
    char id[LIMIT_ID_CHARS + 1];
    char token[LIMIT_TOKEN_CHARS + 1]; /* "": the client has it */
    registered_done registered;        /* one of the two */
    heartbeat_done heartbeat;
    void *user;
};

/* `meta` and `reach` NULL: as they were. NULL where memory is out, with its fault. */
struct change *change_new(
    struct index *index, const char *meta, const char *reach, struct fault *ret_fault);
void change_free(struct change *change); /* NULL is fine; for one that is not run */

/* What the index has seen of the node so far (`lease` NULL: nothing), and where it calls from now.
 */
void change_observe(
    struct change *change, const struct lease *lease, const struct address *address);

/* Endpoints of its own, checked and resolved by what was observed. */
int change_announce(struct change *change, const char *const *endpoints, size_t count,
    const struct address *address, struct fault *ret_fault);

/* Takes the change into memory and gives it to the store. If the batch is lost, load.c reads back
 * what memory should say. The change is freed once it is answered. */
void change_run(struct change *change, struct lease *lease);

#endif
