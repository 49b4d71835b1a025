/* For the tests of the client: a real signpostd as a child process, and clients that write down
 * what they are told. */
#ifndef SIGNPOST_TEST_INDEX_HELP_H
#define SIGNPOST_TEST_INDEX_HELP_H

#include "signpost.h"

#include <sys/types.h>
#include <uv.h>

struct index_process {
    pid_t pid; /* 0: does not run */
    unsigned port;
    char url[64];
    char directory[64];
};

/* Starts it on a free port the first time, then on the same one; `fresh`: with an empty database.
 */
void index_begin(struct index_process *index, bool fresh);
void index_kill(struct index_process *index);   /* SIGKILL */
void index_forget(struct index_process *index); /* ends it, and removes its database */

/* A client, and what it was told: peers that are up, each change as "+id ", "~id " or "-id ",
 * messages as "id:body ". */
struct member {
    signpost_t *client;
    char told[8192];
    char got[8192];
    char returned[512]; /* "type/reason " of each undeliverable */
    signpost_index_status_t status[4];
    size_t ready; /* indexes that are READY */
    bool stopped;
    signpost_delivery_t delivery;
    int sent_error;
    size_t sent; /* callbacks of signpost_send() */
};

void member_start(uv_loop_t *loop, struct member *member, const char *id,
    const char *const *indexes, const signpost_config_t *more);
void member_stop(uv_loop_t *loop, struct member *member);
void member_forget(struct member *member); /* what it was told so far */
void member_send(struct member *member, const char *to, const char *session, const char *type,
    const char *body, unsigned ttl_s);

/* Runs the loop until that is so; fails the test after a generous time. */
void run_until(uv_loop_t *loop, bool (*is_so)(void *user), void *user);
void run_until_more(uv_loop_t *loop, const size_t *count, size_t than);
void run_until_ready(uv_loop_t *loop, struct member *member, size_t indexes);
void run_until_told(uv_loop_t *loop, struct member *member, const char *what);
void run_until_got(uv_loop_t *loop, struct member *member, const char *what);
void run_until_sent(uv_loop_t *loop, struct member *member, size_t count);

void run_for(uv_loop_t *loop, uint64_t time_ms);

/* The fresh peers of a client, "a b ", with a "?" after a stale one. */
const char *member_peers(const struct member *member, char *ret_text, size_t size);

#endif
