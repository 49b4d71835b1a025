/*
 * How two nodes set up a connection with nothing but their mailboxes: what one of them does about
 * one peer, as caller, as the called end, or both at once. It knows no network, no clock, no JSON
 * and no WebRTC: what comes goes in by the functions below, each with the time, and what is to be
 * done comes out by `struct session_actions`, from inside those functions.
 *
 * knock -> ready -> offer -> answer -> candidates (both ways) -> bye; for a direct connection
 * knock -> ready, and the session is over when the link is there. docs/sessions.md has the states,
 * the limits and the reasons. tests/session/vectors.json says the same to machines.
 */
#ifndef SIGNPOST_CLIENT_SESSION_H
#define SIGNPOST_CLIENT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_ID_SIZE 65      /* 1 to 64 characters and NUL */
#define SESSION_REASON_SIZE 256 /* a sentence and NUL */

#define SESSION_READY_MS 5000    /* from the knock to the ready; as long as a knock lives */
#define SESSION_ANSWER_MS 10000  /* from the offer to the answer */
#define SESSION_ICE_MS 15000     /* from the answer to a connection */
#define SESSION_ATTEMPT_MS 30000 /* one attempt in all */
#define SESSION_RETRY_MS 3000    /* between two attempts: half of it to half more */
#define SESSION_RETRIES 3
#define SESSION_GRACE_MS 5000     /* of a connection that dropped */
#define SESSION_RESTART_MS 10000  /* so long the called end waits for the caller's restart */
#define SESSION_CLEANUP_MS 120000 /* a session that nobody finishes */
#define SESSION_BATCH_MS 100      /* local candidates are gathered so long */
#define SESSION_LINK_MS 10000     /* direct, caller: from the ready to the link */
#define SESSION_TICKET_MS 30000   /* direct, called end: from its ready to the link */

/* X(NAME, name) */
#define SESSION_STATES(X)                                                                          \
    X(IDLE, "idle")                                                                                \
    X(REQUESTING, "requesting")         /* caller: the knock is on its way */                      \
    X(WAITING_READY, "waiting-ready")   /* the index has it */                                     \
    X(CREATING_OFFER, "creating-offer") /* the application makes it */                             \
    X(WAITING_ANSWER, "waiting-answer")                                                            \
    X(CONNECTING, "connecting") /* both */                                                         \
    X(CONNECTED, "connected")                                                                      \
    X(FAILED, "failed")       /* the attempt; the last one for good */                             \
    X(RETRYING, "retrying")   /* until the next attempt */                                         \
    X(PREPARING, "preparing") /* called: the application says whether it will */                   \
    X(READY, "ready")                                                                              \
    X(OFFER_RECEIVED, "offer-received") /* the application makes the answer */                     \
    X(ANSWER_SENT, "answer-sent")                                                                  \
    X(CLEANUP, "cleanup")

enum session_state {
#define X(name, text) SESSION_##name,
    SESSION_STATES(X)
#undef X
};

const char *session_state_name(enum session_state state); /* static */

/* X(NAME, name): the types of messages, as they are sent. */
#define SESSION_TYPES(X)                                                                           \
    X(KNOCK, "knock")                                                                              \
    X(ANSWERED_READY, "ready")                                                                     \
    X(OFFER, "offer")                                                                              \
    X(ANSWER, "answer")                                                                            \
    X(CANDIDATES, "candidates")                                                                    \
    X(BYE, "bye")

enum session_type {
#define X(name, text) SESSION_TYPE_##name,
    SESSION_TYPES(X)
#undef X
};

const char *session_type_name(enum session_type type); /* static */

/* How the connection itself fares: RTCPeerConnection's connectionState, where it matters. */
enum session_link {
    SESSION_LINK_CONNECTED,
    SESSION_LINK_DISCONNECTED, /* it may come back by itself */
    SESSION_LINK_FAILED
};

struct session;

/* What is to be done. Strings are borrowed until the action returns. No action may free the
 * session; every other function may be called from inside one. */
struct session_actions {
    /* `reason`: "" but for FAILED, and CLEANUP where there is one. `last`: FAILED for good. */
    void (*state)(void *user, enum session_state state, const char *reason, bool last);
    /* In the order of the calls. `gen` is that of OFFER, ANSWER and CANDIDATES; `end`: with these
     * all candidates are told. `payload` is what the application gave (for READY, a description, or
     * candidates, each ended by a newline), for BYE the reason, for a direct KNOCK what the called
     * end is to do ("accept": take my connection; "dial": I cannot reach you, dial me); else "". */
    void (*send)(void *user, const char *session, enum session_type type, unsigned gen,
        const char *payload, bool end);
    /* Called: session_accept() or session_refuse(). `knock` is its payload. */
    void (*prepare)(void *user, const char *knock);
    /* Direct, caller; NULL for webrtc. `reverse` is asked when an attempt begins (`failed` false),
     * and when one that asked the peer to accept has come to no link (`failed` true): true: (go on)
     * with a knock that says "dial". `link`: make it, with what the ready said, by dialling or by
     * waiting for the peer that dials; session_link() or session_link_failed(). */
    bool (*reverse)(void *user, bool failed);
    void (*link)(void *user, const char *ready);
    void (*make_offer)(void *user, unsigned gen); /* gen > 0: restart ICE; session_describe() */
    void (*make_answer)(void *user, unsigned gen, const char *offer); /* session_describe() */
    void (*take_answer)(void *user, unsigned gen, const char *answer);
    void (*take_candidates)(void *user, const char *candidates, bool end);
    void (*drop)(
        void *user); /* what there is of a connection, since the ready, is of no more use */
    uint64_t (*random)(void *user, uint64_t most); /* 0 to `most`, evenly */
    void (*new_id)(void *user, char ret_id[SESSION_ID_SIZE]);
};

struct session_message {
    const char *session;
    enum session_type type;
    unsigned gen;
    const char *payload; /* as for `send` */
    bool end;
};

/* `own` and `peer` are node ids; `direct`: the kind, else webrtc. NULL: no memory. */
struct session *session_new(const char *own, const char *peer, bool direct,
    const struct session_actions *actions, void *user);
void session_free(struct session *session); /* tells nothing; NULL is fine */

enum session_state session_get_state(const struct session *session);
const char *session_get_id(const struct session *session); /* of the attempt; "": none */
bool session_is_caller(const struct session *session);
bool session_is_over(const struct session *session); /* IDLE, or FAILED for good */

/* What the application wants. Where it makes no sense in the present state it is passed over. */
void session_connect(struct session *session, int64_t now_ms); /* IDLE, or FAILED for good */
/* `payload` goes with the ready; webrtc: "". */
void session_accept(struct session *session, const char *payload, int64_t now_ms);
/* `reason`: "refused", which is final, or "busy". */
void session_refuse(struct session *session, const char *reason, int64_t now_ms);
void session_describe(struct session *session, const char *description, int64_t now_ms);
void session_candidate(struct session *session, const char *candidate, int64_t now_ms);
void session_candidates_end(struct session *session);
/* Direct: CONNECTED means that the application has taken the link, which is not dropped then. */
void session_link(struct session *session, enum session_link link, int64_t now_ms);
/* Direct: it came to nothing; `reason` is a sentence for people. */
void session_link_failed(struct session *session, const char *reason, int64_t now_ms);
void session_close(struct session *session, int64_t now_ms); /* also gives up an attempt */

/* What comes from the mailbox, and how sending fared: the index took it; or it knows no such peer
 * (404), or it came to nothing (undeliverable), with a sentence. `retry_after_ms` 0: none. */
void session_receive(
    struct session *session, const struct session_message *message, int64_t now_ms);
void session_sent(struct session *session, const char *id, enum session_type type, int64_t now_ms);
void session_lost(struct session *session, const char *id, enum session_type type,
    const char *reason, int64_t retry_after_ms, int64_t now_ms);

int64_t session_due_ms(const struct session *session); /* INT64_MAX: no timer is left */
void session_tick(struct session *session, int64_t now_ms);

#endif
