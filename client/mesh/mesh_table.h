/* The peers that a mesh knows: by id, and by when something is to be done about them. */
#ifndef SIGNPOST_CLIENT_MESH_TABLE_H
#define SIGNPOST_CLIENT_MESH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mesh_state {
    MESH_IDLE,
    MESH_CONNECTING, /* we asked for a connection */
    MESH_EXPECTED,   /* the peer did, and was let in; its connection is not there yet */
    MESH_LINKED
};

struct mesh_peer {
    int64_t due_ms; /* INT64_MAX: nothing is due; mesh_table_set_due() sets it */
    size_t due_place;
    struct mesh_peer *previous_waiting, *next_waiting;
    enum mesh_state state;
    int64_t linked_ms;    /* since when it is, or was */
    unsigned short_lived; /* connections, in a row */
    unsigned failures;    /* in a row */
    bool listed;          /* in the index's table */
    bool wanted;          /* a connection is to be there */
    bool passed;          /* it failed too often: it is not wanted, others are in its place */
    bool owned;           /* linked: we have connected */
    bool waiting;         /* for its turn to be connected to */
    char id[];
};

struct mesh_table {
    struct mesh_peer **peers; /* in order of id */
    struct mesh_peer **due;   /* a heap, the earliest first */
    const char **ids;         /* with `chosen`: as long as `peers`, for whoever has to choose */
    bool *chosen;
    size_t count, room;
};

void mesh_table_clear(struct mesh_table *table); /* a zeroed table is an empty one */

struct mesh_peer *mesh_table_find(const struct mesh_table *table, const char *id); /* NULL: none */
struct mesh_peer *mesh_table_make(struct mesh_table *table, const char *id); /* NULL: no memory */
void mesh_table_drop(struct mesh_table *table, struct mesh_peer *peer);

void mesh_table_set_due(struct mesh_table *table, struct mesh_peer *peer, int64_t due_ms);
struct mesh_peer *mesh_table_first_due(const struct mesh_table *table); /* NULL: empty */

#endif
