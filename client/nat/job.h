/*
 * A blocking call (a resolver, a library that waits) on a thread of its own. Who does not want to
 * wait for it any more leaves it behind: the thread ends by itself, and touches nothing but what
 * is its own.
 */
#ifndef SIGNPOST_CLIENT_NAT_JOB_H
#define SIGNPOST_CLIENT_NAT_JOB_H

#include <uv.h>

struct job;

struct job_calls {
    void (*work)(void *data);             /* on the thread; `data` is its alone meanwhile */
    void (*done)(void *data, void *user); /* from the loop, once, unless abandoned; may be NULL */
    void (*drop)(void *data);             /* frees `data`, in whichever thread is the last */
};

/* SIGNPOST_ERROR_NO_MEMORY: `data` is dropped already. The job is gone when `done` returns, its
 * handle closes on the loop by itself. On failure the loop may have to run once more. */
int job_start(
    uv_loop_t *loop, const struct job_calls *calls, void *data, void *user, struct job **ret_job);

/* `done` does not come any more. Not from inside it. */
void job_abandon(struct job *job); /* NULL is fine */

#endif
