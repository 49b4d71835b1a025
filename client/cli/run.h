/*
 * A command on the loop: starts a client, tells the command when there is something to do, and ends
 * by the command's word, a signal, the deadline, or because no index can help.
 */
#ifndef SIGNPOST_CLI_RUN_H
#define SIGNPOST_CLI_RUN_H

#include "cli.h"
#include "signpost.h"

#include <stdbool.h>

struct run;

/* What a command does. Each may be NULL; `state` is the command's own. No call comes once it ends.
 */
struct task {
    /* It ends by itself: the deadline counts, and indexes that are away are a reason to give up. */
    bool ends;
    bool patient;      /* once it is ready, the deadline does not count any more */
    bool has_identity; /* registers, with the secret */

    /* The client was started. Once. */
    void (*start)(struct run *run, void *state);
    /* Every index has answered or failed, and at least one is ready; or one is ready and the others
     * take too long. Once. */
    void (*ready)(struct run *run, void *state);
    void (*index)(struct run *run, const signpost_index_status_t *status, void *state);
    void (*peer)(
        struct run *run, signpost_peer_event_t event, const signpost_peer_t *peer, void *state);
    void (*message)(struct run *run, const signpost_message_t *message, void *state);
    void (*undeliverable)(struct run *run, const char *id, const char *to, const char *session,
        const char *type, int reason, void *state);
    void (*timer)(struct run *run, void *state); /* of run_after() */
    /* The deadline, once it is ready: says what did not come, and gives the code. */
    int (*late)(struct run *run, void *state);
};

/* What every client has of the settings is added to `config`. An enum cli_exit, or 128 + the signal
 * that ended a task that ends by itself. */
int run_client(const struct settings *settings, signpost_config_t *config, const struct task *task,
    void *state);

signpost_t *run_signpost(const struct run *run); /* the client */

void run_end(struct run *run, int code);            /* the first code counts */
void run_after(struct run *run, unsigned delay_ms); /* calls the task's timer, once */
void run_flush(struct run *run);                    /* stdout; where that fails it is the end */

#endif
