/*
 * All sessions of a client, one for each peer and kind: brings each machine (session.h) what the
 * mailbox has for it, sends what it says, and keeps its time. Who they are for, the application or
 * direct connections, is the business of their actions.
 */
#ifndef SIGNPOST_CLIENT_SESSIONS_H
#define SIGNPOST_CLIENT_SESSIONS_H

#include "client.h"
#include "session.h"

#define SESSIONS_MAX 4096    /* also those that are over, for a little while */
#define SESSIONS_KINDS_MAX 4 /* that one peer may begin */

/* That peers began and that are not connected yet; from one address half of it. A direct one costs
 * little and is over in a moment, and a mesh that starts has many. */
#define SESSIONS_CALLED_MAX 32
#define SESSIONS_DIRECT_MAX 64 /* as many as the listener greets at once */

struct sessions;

struct signpost_session {
    struct signpost_session *next;
    signpost_t *client;
    struct session *machine;
    char peer[SESSION_ID_SIZE];
    char kind[CODEC_KIND_SIZE];
    char from[64];    /* the address that its last knock came from */
    void *data;       /* of whom it is for */
    int error;        /* what went wrong in this attempt, as far as it is known; else 0 */
    int64_t ended_ms; /* when it was found to be over; 0: it is not */
    unsigned knocks;  /* lately, as a bucket that leaks */
    int64_t knocks_ms;
};

int sessions_new(signpost_t *client, struct sessions **ret_sessions);
void sessions_stop(struct sessions *sessions);  /* closes every session, from inside */
void sessions_close(struct sessions *sessions); /* frees it once its timer is closed */

/* The one with this peer, which is made where there is none: SIGNPOST_ERROR_FULL, _NO_MEMORY. */
int sessions_get(struct sessions *sessions, const char *peer, const char *kind,
    struct signpost_session **ret_session);
struct signpost_session *sessions_find(
    const struct sessions *sessions, const char *peer, const char *kind); /* NULL: none */

/* A message of the mailbox. False: it is for no session. */
bool sessions_take(struct sessions *sessions, const signpost_message_t *message);
bool sessions_take_undeliverable(
    struct sessions *sessions, const struct codec_undeliverable *undeliverable);

/* To be called after whatever was said to a machine: its time may be another. */
void sessions_follow(struct sessions *sessions);

/* Actions that are the same for all; `user` is the session. */
void sessions_send(void *user, const char *id, enum session_type type, unsigned gen,
    const char *payload, bool end);
uint64_t sessions_random(void *user, uint64_t most);
void sessions_new_id(void *user, char ret_id[SESSION_ID_SIZE]);

/* --- whom they are for ----------------------------------------------------------------------- */

extern const struct session_actions session_events_actions; /* session_events.c: the application */
extern const struct session_actions direct_actions;         /* direct.c */

#endif
