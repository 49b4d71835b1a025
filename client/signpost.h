/*
 * libsignpost: the client of a Signpost index, on the libuv loop of the application.
 *
 * A client keeps its node registered with one or more indexes, keeps a table of the other nodes
 * that is right, and exchanges messages with them. Indexes may be slow, away, or come back with an
 * empty disk: the client mends that by itself, and every function here may be called at any time.
 *
 * Threads: a client belongs to the thread that runs its loop; every function is called there, and
 * every callback comes there. Several clients may share a loop, and a process.
 *
 * Ownership: what is passed in is copied or borrowed until the call returns; what a callback is
 * given is borrowed until it returns. No callback comes from inside a call, those of
 * signpost_peers() excepted. A callback may call any function here, signpost_stop() included.
 *
 * Errors: functions return 0 or a negative enum signpost_error; results go through `ret_x`, which
 * is left alone on failure.
 */
#ifndef SIGNPOST_H
#define SIGNPOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SIGNPOST_API __attribute__((visibility("default")))
#else
#define SIGNPOST_API
#endif

#define SIGNPOST_VERSION_MAJOR 0
#define SIGNPOST_VERSION_MINOR 1
#define SIGNPOST_VERSION_PATCH 0

/* Of the library that runs, "0.1.0". Static. */
SIGNPOST_API const char *signpost_version(void);

/* --- errors ---------------------------------------------------------------------------------- */

/* X(NAME, value, text) */
#define SIGNPOST_ERRORS(X)                                                                         \
    X(INVALID, -1, "an argument is not valid")                                                     \
    X(NO_MEMORY, -2, "out of memory")                                                              \
    X(STOPPED, -3, "the client was stopped")                                                       \
    X(UNREACHABLE, -4, "the index cannot be reached")                                              \
    X(TIMEOUT, -5, "the index did not answer in time")                                             \
    X(TLS, -6, "the index cannot be trusted: its certificate is wrong")                            \
    X(PROTOCOL, -7, "what answered is not a Signpost index")                                       \
    X(REFUSED, -8, "the index refused the request")                                                \
    X(BUSY, -9, "the index is busy, or limits how much may be asked")                              \
    X(UNKNOWN_PEER, -10, "no index knows that peer now")                                           \
    X(EXPIRED, -11, "the message was not taken in time")                                           \
    X(REPLACED, -12, "another process runs under this identity")                                   \
    X(FULL, -13, "too much is waiting already")

enum signpost_error {
    SIGNPOST_OK = 0,
#define X(name, value, text) SIGNPOST_ERROR_##name = value,
    SIGNPOST_ERRORS(X)
#undef X
};

SIGNPOST_API const char *signpost_strerror(int error);   /* a sentence; static */
SIGNPOST_API const char *signpost_error_name(int error); /* "UNKNOWN_PEER"; static */

/* --- what there is to know ------------------------------------------------------------------- */

typedef struct signpost signpost_t;

/* Another node. Strings are never NULL. */
typedef struct signpost_peer {
    const char *id;
    const char *const *endpoints; /* "scheme://host:port" */
    size_t endpoint_count;
    const char *const *observed; /* addresses that an index saw it at */
    size_t observed_count;
    const char *meta;          /* a JSON object */
    const char *reach;         /* a JSON object */
    const char *registered_at; /* RFC 3339 in UTC by the index's clock; "": not known */
    bool stale;                /* every index that listed it is away: it may be gone */
} signpost_peer_t;

typedef enum signpost_peer_event {
    SIGNPOST_PEER_UP,
    SIGNPOST_PEER_CHANGED, /* also when it becomes stale or fresh */
    SIGNPOST_PEER_DOWN     /* the peer as it was last known */
} signpost_peer_event_t;

/* A message that came. */
typedef struct signpost_message {
    const char *id;
    const char *from;         /* the sender's node id, vouched for by the index */
    const char *from_address; /* as the index saw it */
    const char *session;      /* "": none */
    const char *type;
    const char *body; /* JSON text, exactly as sent; NUL-terminated */
    size_t body_size;
} signpost_message_t;

/* How a message fared that this client sent. */
typedef enum signpost_delivery {
    SIGNPOST_HANDED, /* its reader was waiting for it */
    SIGNPOST_QUEUED, /* it waits in the mailbox */
    SIGNPOST_FAILED  /* see the error */
} signpost_delivery_t;

typedef enum signpost_index_state {
    SIGNPOST_INDEX_CONNECTING, /* not registered yet, or not any more; tries again by itself */
    SIGNPOST_INDEX_READY,      /* registered, and its list is known */
    SIGNPOST_INDEX_AWAY,       /* it does not answer; tries again by itself */
    SIGNPOST_INDEX_REFUSED,    /* it answers and will not have us; tries again, seldom */
    SIGNPOST_INDEX_REPLACED    /* another process runs under this identity: gave up there */
} signpost_index_state_t;

typedef struct signpost_index_status {
    const char *url;
    signpost_index_state_t state;
    int error;            /* why, where the state is not READY; else 0 */
    const char *detail;   /* a sentence for people, "" where there is none */
    const char *observed; /* our own address as it sees it, "" if not known */
} signpost_index_status_t;

typedef enum signpost_log_level {
    SIGNPOST_LOG_ERROR,
    SIGNPOST_LOG_WARN,
    SIGNPOST_LOG_INFO,
    SIGNPOST_LOG_DEBUG
} signpost_log_level_t;

/* --- a client -------------------------------------------------------------------------------- */

#define SIGNPOST_SECRET_SIZE 32

/* May be zeroed; then set at least `indexes`. Everything is copied. */
typedef struct signpost_config {
    const char *const *indexes; /* URLs such as "https://pod.example:7117"; ended by NULL */
    const char *id;        /* NULL: made from the secret, so the same secret is the same node */
    const char *network;   /* NULL: the key's, else "default" */
    const char *key;       /* join key; NULL: none */
    const uint8_t *secret; /* SIGNPOST_SECRET_SIZE random bytes that the application keeps, so that
                              it is the same node after a restart; NULL: made for this run */
    const char *const *endpoints; /* ended by NULL; NULL: none. An empty host is the observed one */
    const char *meta;             /* a JSON object; NULL: {} */
    const char *reach;            /* a JSON object; NULL: {} */
    unsigned ttl_s;               /* of the lease; 0: 30 */
    bool unlisted;                /* reachable by id, in nobody's table */
    bool no_mailbox;              /* leaves the messages to another process of the same identity */
    bool shared;                /* another process may keep this node registered: where it does, its
                                   record stays as it is, also when this client stops */
    bool watch_only;            /* registers nowhere: a table of peers, no messages */
    const char *const *filters; /* "key=value" of meta, ended by NULL: only such peers; NULL: all */
    unsigned poll_interval_ms;  /* 0: long polls, and plain ones only where those are cut */
    const char *ca_file;        /* PEM; NULL: the system's */
    signpost_log_level_t log_level; /* what on_log gets: this and what is graver */

    /* Each may be NULL. */
    void (*on_peer)(
        signpost_t *client, signpost_peer_event_t event, const signpost_peer_t *peer, void *user);
    void (*on_message)(signpost_t *client, const signpost_message_t *message, void *user);
    /* A message that was queued or handed came to nothing: `reason` is SIGNPOST_ERROR_EXPIRED, or
     * SIGNPOST_ERROR_UNKNOWN_PEER where the peer has left. */
    void (*on_undeliverable)(signpost_t *client, const char *id, const char *to,
        const char *session, const char *type, int reason, void *user);
    void (*on_index)(signpost_t *client, const signpost_index_status_t *status, void *user);
    void (*on_log)(signpost_log_level_t level, const char *text, void *user);
    void *user;
} signpost_config_t;

/* Starts a client on `loop`. SIGNPOST_ERROR_INVALID or SIGNPOST_ERROR_NO_MEMORY: nothing was begun,
 * but the loop has to run once more to close what was opened. */
SIGNPOST_API int signpost_start(
    uv_loop_t *loop, const signpost_config_t *config, signpost_t **ret_client);

/* Leaves the indexes, ends what is under way (with SIGNPOST_ERROR_STOPPED) and frees the client;
 * then calls `stopped`, which may be NULL. Within 2 s, whatever the network does. No other callback
 * of the client comes after `stopped`, and no function may be called with it after this one. */
SIGNPOST_API void signpost_stop(signpost_t *client, void (*stopped)(void *user), void *user);

SIGNPOST_API const char *signpost_id(const signpost_t *client); /* lives as long as the client */

/* --- the node's own record ------------------------------------------------------------------- */

/* What is NULL stays as it is. The indexes are told at once, or as soon as they answer. */
SIGNPOST_API int signpost_update(
    signpost_t *client, const char *const *endpoints, const char *meta, const char *reach);

/* --- peers ----------------------------------------------------------------------------------- */

/* Calls `visit` for each peer, in order of id, before it returns; false ends it. */
SIGNPOST_API void signpost_peers(
    const signpost_t *client, bool (*visit)(const signpost_peer_t *peer, void *user), void *user);

/* SIGNPOST_ERROR_UNKNOWN_PEER where there is none. What `ret_peer` points to is good until the loop
 * goes on. */
SIGNPOST_API int signpost_find(const signpost_t *client, const char *id, signpost_peer_t *ret_peer);

/* --- messages -------------------------------------------------------------------------------- */

typedef void (*signpost_sent_cb)(
    signpost_t *client, const char *id, signpost_delivery_t delivery, int error, void *user);

/* Sends a JSON body of at most 64 KiB to the mailbox of a peer. `session` NULL: none; messages of
 * one session to one peer arrive in the order of sending. `ttl_s` 0: the type's default; the
 * message is tried again, with the same id, until that is over. `sent` (may be NULL) is called
 * exactly once, and not before this returns. `ret_id` (may be NULL) gets the id of the message, for
 * on_undeliverable. */
SIGNPOST_API int signpost_send(signpost_t *client, const char *to, const char *session,
    const char *type, const char *body, size_t body_size, unsigned ttl_s, char ret_id[37],
    signpost_sent_cb sent, void *user);

#ifdef __cplusplus
}
#endif

#endif
