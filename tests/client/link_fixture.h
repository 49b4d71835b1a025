/* What the tests of a link share: a client at an index of the test's own, which counts what comes.
 */
#ifndef SIGNPOST_TEST_LINK_FIXTURE_H
#define SIGNPOST_TEST_LINK_FIXTURE_H

#include "client_help.h"
#include "fake_index.h"
#include "index_help.h"

struct link_fixture {
    uv_loop_t loop;
    struct fake_index index;
    struct fake_connection *held; /* a request that is not answered yet */
    const char *indexes[2];
    struct member a;
    size_t registers, polls, beats, deletes; /* that came */
    size_t step;                             /* as the test says */
    char last[1024];                         /* heartbeat's body */
};

extern char link_log[8192]; /* what the client's log said */

int link_fixture_setup(void **state);
int link_fixture_teardown(void **state);

/* The index, and a client "a" at it; or the client alone. `more` may be NULL. */
void link_fixture_start(
    struct link_fixture *fixture, fake_answer answer, const signpost_config_t *more);
void link_fixture_join(
    struct link_fixture *fixture, const char *url, const signpost_config_t *more);

/* Counts what came, and answers what needs no thought: to be called first. False: it is a poll or a
 * message, and not answered. */
bool link_fixture_answer(struct link_fixture *fixture, struct fake_connection *connection);

bool link_fixture_holds(void *user); /* for run_until() */

#endif
