/* What the files of the mesh's core share: peers change their states here, and get their places. */
#ifndef SIGNPOST_CLIENT_MESH_INTERNAL_H
#define SIGNPOST_CLIENT_MESH_INTERNAL_H

#include "mesh_choice.h"
#include "mesh_core.h"
#include "mesh_table.h"

struct mesh_core {
    const struct mesh_actions *actions;
    void *user;
    unsigned neighbours; /* 0: all */
    struct mesh_table table;
    struct mesh_peer *holders[MESH_NEIGHBOURS_MAX]; /* of places, the oldest first; with few */
    unsigned holder_count;
    struct mesh_peer *trial;                        /* connects, or is let in, without; or NULL */
    struct mesh_peer *first_waiting, *last_waiting; /* for a turn */
    unsigned connecting, passed;                    /* how many are so */
    int64_t choose_ms;                              /* INT64_MAX: the choice stands */
    char own[];
};

/* --- mesh_places.c --------------------------------------------------------------------------- */

int64_t mesh_draw_ms(struct mesh_core *core, int64_t most_ms);
/* Until we connect: for the first time; after a loss, longer where one follows another; after so
 * many failures, with full jitter: those who failed together do not come again together. */
int64_t mesh_first_delay_ms(struct mesh_core *core, const struct mesh_peer *peer);
int64_t mesh_again_delay_ms(struct mesh_core *core, const struct mesh_peer *peer);
int64_t mesh_backoff_ms(struct mesh_core *core, unsigned failures);
void mesh_set_due(struct mesh_core *core, struct mesh_peer *peer, int64_t due_ms);

void mesh_wait_for_turn(struct mesh_core *core, struct mesh_peer *peer);
void mesh_stop_waiting(struct mesh_core *core, struct mesh_peer *peer);

/* The one way to another state; nothing is due then. With `trial` it takes no place. */
void mesh_enter(struct mesh_core *core, struct mesh_peer *peer, enum mesh_state state, bool trial);
void mesh_end_link(struct mesh_core *core, struct mesh_peer *peer, const char *reason);
void mesh_end_connect(struct mesh_core *core, struct mesh_peer *peer);

/* When to connect to a peer that is idle now, where that is wanted. One that is not in the index's
 * table is forgotten: it is freed. */
void mesh_rest(struct mesh_core *core, struct mesh_peer *peer, int64_t delay_ms, int64_t now_ms);
void mesh_forget(struct mesh_core *core, struct mesh_peer *peer);

bool mesh_has_place(const struct mesh_core *core);
/* For a peer that is wanted there is always room: no more are wanted than there are places. */
bool mesh_make_room(struct mesh_core *core, int64_t now_ms);

#endif
