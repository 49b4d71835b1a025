/* A world of many meshes, each a core of its own, with an index and a network between them whose
 * delays and faults are drawn from a seed. */
#ifndef SIGNPOST_TESTS_MESH_WORLD_H
#define SIGNPOST_TESTS_MESH_WORLD_H

#include "client_help.h"
#include "mesh/mesh_core.h"

#include <inttypes.h>
#include <stdio.h>

#define WORLD_NODES_MAX 100
#define WORLD_TRACE_LINES 200
#define WORLD_TRACE_SIZE 100

/* Chances are percentages. */
struct conditions {
    unsigned nodes, neighbours;
    unsigned join_ms;    /* nodes start within this */
    unsigned trouble_ms; /* so long something goes wrong, once in every_ms */
    unsigned every_ms;
    unsigned failing; /* attempts, while there is trouble */
    unsigned late;    /* nodes start while there is trouble */
    unsigned severed; /* pairs that never get a connection */
};

/* LOOK: the node looks at the index's record of the peer. MEET: both dial. */
enum kind {
    TICK,
    START,
    REGISTER,
    EXPIRE,
    LOOK,
    KNOCK,
    MEET,
    CONNECTED,
    FAILED,
    CALLED,
    MISSED,
    ENDED,
    TROUBLE,
    MEND,
    RETURN
};

struct event {
    int64_t at_ms;
    uint64_t serial; /* of two at the same time the older one is first */
    enum kind kind;
    unsigned node, peer;
    unsigned number; /* of an attempt, of a connection, or which life of the node */
};

struct node {
    struct world *world;
    unsigned number, life;
    char id[12];
    struct mesh_core *core; /* NULL: dead */
    int64_t tick_ms;
    unsigned seen[WORLD_NODES_MAX];    /* the version of the peer's record; 0: it is down */
    unsigned attempt[WORLD_NODES_MAX]; /* 0: none */
    unsigned link[WORLD_NODES_MAX];    /* the connection; 0: none */
    unsigned links, attempts;          /* how many */
};

struct world {
    const struct conditions *conditions;
    uint64_t seed, random, serial;
    int64_t now_ms, trouble_until_ms;
    struct node nodes[WORLD_NODES_MAX];
    bool cut[WORLD_NODES_MAX][WORLD_NODES_MAX], severed[WORLD_NODES_MAX][WORLD_NODES_MAX];
    /* At the index; 0: not listed. */
    unsigned version[WORLD_NODES_MAX], registered[WORLD_NODES_MAX]; /* the latter: which life */
    bool away;                                                      /* the index */
    unsigned attempts, connections;                                 /* how many there were */
    bool *ended; /* a connection, at one end at least */
    size_t ended_room;
    unsigned moves; /* links that came or went */
    struct event *events;
    size_t waiting, room;
    unsigned told;
    char trace[WORLD_TRACE_LINES][WORLD_TRACE_SIZE];
};

struct world_counts {
    unsigned replaced, displaced, unwanted, cancelled, refused, glare, moved;
};
extern struct world_counts world_counts; /* of all runs */

#define NOTE(world, ...)                                                                           \
    (void)snprintf(                                                                                \
        (world)->trace[(world)->told++ % WORLD_TRACE_LINES], WORLD_TRACE_SIZE, __VA_ARGS__)

#define MUST(world, so)                                                                            \
    do {                                                                                           \
        if (!(so))                                                                                 \
            world_explain(world, #so, __LINE__);                                                   \
    } while (0)

void world_explain(const struct world *world, const char *broken, int line);

void world_begin(struct world *world, uint64_t seed, const struct conditions *conditions);
void world_end(struct world *world);

uint64_t world_draw(struct world *world, uint64_t most);
bool world_chance(struct world *world, unsigned percent);
bool world_is_troubled(const struct world *world);

void world_add(struct world *world, int64_t after_ms, enum kind kind, unsigned node, unsigned peer,
    unsigned number);
struct event world_take_first(struct world *world);

void world_start_node(struct node *node);
void world_stop_node(struct node *node, bool leaves); /* or it crashes */
void world_cut(struct world *world, unsigned one, unsigned other, bool so);
/* One end closes it, or it breaks; the other end hears of it, or notices that it hears nothing. */
void world_end_connection(struct world *world, unsigned node, unsigned peer, unsigned number);

/* What is not TROUBLE, MEND or RETURN. */
void world_happen(struct world *world, const struct event *event);

#endif
