/* What the files of the session machine share. */
#ifndef SIGNPOST_CLIENT_SESSION_INTERNAL_H
#define SIGNPOST_CLIENT_SESSION_INTERNAL_H

#include "session.h"

enum timer { STAGE, ATTEMPT, BATCH, CLEANUP, TIMERS };

#define ENDED 8 /* as many attempts as a peer can make while a knock lives, reversals counted */

struct session {
    const struct session_actions *actions;
    void *user;
    bool direct;
    enum session_state state;
    unsigned serial; /* counts the changes of state: an action may make one */
    bool caller;
    bool wanted; /* the application's connect is not done */
    unsigned retries;
    char own[SESSION_ID_SIZE], peer[SESSION_ID_SIZE];
    char id[SESSION_ID_SIZE];           /* of the attempt; "": none */
    char ended[ENDED][SESSION_ID_SIZE]; /* the last that the peer began: knocks may come again */
    unsigned endings;
    int64_t due_ms[TIMERS]; /* INT64_MAX: not set */

    /* Of the attempt. */
    bool dials;      /* direct, caller: the knock asks the peer to dial */
    bool live;       /* the application has a connection, to be dropped */
    bool restarted;  /* ICE was, since it was connected last */
    bool waiting;    /* connected, but dropped: the caller's restart is waited for */
    bool linked;     /* the connection is there, as far as the application said */
    bool described;  /* our description of this generation is sent */
    bool has_remote; /* theirs was handed over */
    unsigned gen;
    int64_t knocks_ms; /* a knock that comes before may be older than the session that we called */
    char *local, *early; /* candidates: ours to be sent, theirs before their description */
    bool local_end, early_end;
    unsigned early_gen;
};

void session_set_timer(struct session *session, enum timer timer, int64_t due_ms);
bool session_is_middle(enum session_state state); /* of an attempt that is not over */

/* False: an action went on from here, and what was to follow is out of date. */
bool session_enter(
    struct session *session, enum session_state state, const char *reason, bool last);
void session_post(struct session *session, enum session_type type, const char *payload, bool end);

/* Where memory is out or there are too many, a candidate is lost: others may do. */
void session_append(char **text, const char *more, bool newline);

/* The attempt is over: nothing of it is left. False: see session_enter(). */
bool session_end_attempt(struct session *session);
void session_finish(struct session *session, const char *reason); /* for good: cleanup, idle */

/* What is to come of an attempt that came to nothing depends on whether we want one; `final`: not
 * another one in any case. */
void session_give_up(struct session *session, const char *reason, int64_t retry_after_ms,
    bool final, int64_t now_ms);

void session_abandon(struct session *session, const char *reason, int64_t now_ms); /* and says so */

/* Begins to call, with a new session. `dials`: the reversal of one that came to no link. */
void session_knock(struct session *session, bool dials, int64_t now_ms);

/* Direct: the ready has come; the link fares; it did not come in time. */
void session_direct_ready(struct session *session, const char *ready, int64_t now_ms);
void session_direct_link(struct session *session, enum session_link link, int64_t now_ms);
void session_direct_late(struct session *session, int64_t now_ms);

/* Both descriptions of this generation are with both ends. */
void session_begin_connecting(struct session *session, int64_t now_ms);

#endif
