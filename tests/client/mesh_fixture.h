/* A mesh's core, and what it has done. Chance always draws the most. */
#ifndef SIGNPOST_TESTS_MESH_FIXTURE_H
#define SIGNPOST_TESTS_MESH_FIXTURE_H

#include "client_help.h"
#include "mesh/mesh_core.h"

#define MESH_FIXTURE_MANY 10000
#define MESH_FIXTURE_ID_SIZE 8

/* "m" is told what happens; what it does is written down. "a" has a lower id, "z" a higher one. */
struct mesh_fixture {
    struct mesh_core *core;
    char done[1024]; /* "+peer ": connects, "!peer ": cancels, "-peer (reason) ": unlinks */
    unsigned connects;
    char begun[MESH_FIXTURE_MANY][MESH_FIXTURE_ID_SIZE]; /* those */
};

void mesh_fixture_begin(struct mesh_fixture *fixture, unsigned neighbours);
void mesh_fixture_end(struct mesh_fixture *fixture);

/* What was done since this was asked last. */
void mesh_fixture_expect_done(struct mesh_fixture *fixture, const char *expected);
/* Nothing is done before a moment, and then this is. */
void mesh_fixture_expect_at(struct mesh_fixture *fixture, int64_t at_ms, const char *expected);
void mesh_fixture_expect_idle(struct mesh_fixture *fixture); /* nothing was, nor will be */

#endif
