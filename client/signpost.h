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
 * signpost_peers() and of sessions excepted. A callback may call any function here, signpost_stop()
 * included.
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
    X(FULL, -13, "too much is waiting already")                                                    \
    X(NO_PATH, -14, "no way to the peer was found")                                                \
    X(PEER_REFUSED, -15, "the peer does not want to")                                              \
    X(CANCELLED, -16, "it was called off")                                                         \
    X(ADDRESS, -17, "that address and port cannot be listened on")                                 \
    X(NO_GATEWAY, -18, "no router that makes port mappings was found")                             \
    X(NO_MAPPING, -19, "the router did not make the port mapping")

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

/* --- sessions -------------------------------------------------------------------------------- */

/* How a peer and we come to a connection that the application makes: WebRTC, or any other that has
 * descriptions and candidates. docs/sessions.md has the states, the limits and the reasons. There
 * is one for each peer and kind; it is good until on_state says that it has ended. */
typedef struct signpost_session signpost_session_t;

/* What the application does for its sessions. They may come from inside a function of sessions. */
typedef struct signpost_session_events {
    /* A peer calls: signpost_session_accept() or signpost_session_refuse(), now or later. NULL: all
     * calls are refused. */
    void (*on_call)(signpost_session_t *session, void *user);
    /* Make an offer, or where there is an `offer` (SDP) the answer to it, and say it with
     * signpost_session_describe(), now or later. Generation 0 is a new connection, any other
     * restarts ICE. */
    void (*on_describe)(
        signpost_session_t *session, unsigned generation, const char *offer, void *user);
    void (*on_answer)(
        signpost_session_t *session, unsigned generation, const char *answer, void *user);
    /* The peer's: an RTCIceCandidateInit in JSON; NULL: there are no more of this generation. */
    void (*on_candidate)(signpost_session_t *session, const char *candidate, void *user);
    /* What there is of a connection is of no more use: close it. */
    void (*on_drop)(signpost_session_t *session, void *user);
    /* `state` is a name from docs/sessions.md; `reason` a sentence for people, or "". May be
     * NULL. */
    void (*on_state)(
        signpost_session_t *session, const char *state, const char *reason, bool ended, void *user);
} signpost_session_events_t;

typedef enum signpost_link {
    SIGNPOST_LINK_CONNECTED,
    SIGNPOST_LINK_DISCONNECTED, /* it may come back by itself */
    SIGNPOST_LINK_FAILED
} signpost_link_t;

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
    /* Not those of sessions and direct connections, which the client itself answers. */
    void (*on_message)(signpost_t *client, const signpost_message_t *message, void *user);
    /* A message that was queued or handed came to nothing: `reason` is SIGNPOST_ERROR_EXPIRED, or
     * SIGNPOST_ERROR_UNKNOWN_PEER where the peer has left. */
    void (*on_undeliverable)(signpost_t *client, const char *id, const char *to,
        const char *session, const char *type, int reason, void *user);
    void (*on_index)(signpost_t *client, const signpost_index_status_t *status, void *user);
    void (*on_log)(signpost_log_level_t level, const char *text, void *user);
    const signpost_session_events_t *sessions; /* NULL: none */
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

/* What is NULL stays as it is. The indexes are told at once, or as soon as they answer. Of a node
 * that listens at most 9 endpoints are the application's own: SIGNPOST_ERROR_FULL. */
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

/* --- sessions: what an application wants of them --------------------------------------------- */

/* Calls a peer. `kind` NULL: "webrtc"; any other but "direct" is the application's own. Where there
 * is a session already it is that one. SIGNPOST_ERROR_INVALID: not without config.sessions;
 * SIGNPOST_ERROR_FULL: too many sessions. */
SIGNPOST_API int signpost_call(
    signpost_t *client, const char *peer, const char *kind, signpost_session_t **ret_session);

/* Where it makes no sense in the session's present state nothing happens. */
SIGNPOST_API void signpost_session_accept(signpost_session_t *session);
SIGNPOST_API void signpost_session_refuse(signpost_session_t *session, bool busy);
SIGNPOST_API int signpost_session_describe(signpost_session_t *session, const char *sdp);
/* A local candidate: an RTCIceCandidateInit in JSON; NULL: there are no more. */
SIGNPOST_API int signpost_session_candidate(signpost_session_t *session, const char *candidate);
SIGNPOST_API void signpost_session_link(signpost_session_t *session, signpost_link_t link);
SIGNPOST_API void signpost_session_close(signpost_session_t *session); /* gives up, or hangs up */

SIGNPOST_API const char *signpost_session_peer(const signpost_session_t *session);
SIGNPOST_API const char *signpost_session_kind(const signpost_session_t *session);
SIGNPOST_API signpost_t *signpost_session_client(const signpost_session_t *session);
SIGNPOST_API void signpost_session_set_data(signpost_session_t *session, void *data);
SIGNPOST_API void *signpost_session_data(const signpost_session_t *session); /* NULL: none set */

/* --- direct connections ---------------------------------------------------------------------- */

typedef enum signpost_path {
    SIGNPOST_PATH_DIRECT,
    SIGNPOST_PATH_LAN,     /* by a private address, behind the same router */
    SIGNPOST_PATH_REVERSED /* the one that was asked has dialled */
} signpost_path_t;

SIGNPOST_API const char *signpost_path_name(
    signpost_path_t path); /* "direct", "lan", ...; static */

/* A TCP connection to a peer. Of what the peer sends nothing was read yet. */
typedef struct signpost_connection {
    const char *peer;   /* its id; proved, except where `scheme` was a service's own */
    const char *local;  /* "192.0.2.7:50051", "[2001:db8::7]:50051" */
    const char *remote; /* likewise */
    signpost_path_t path;
    bool called;      /* the peer asked for it */
    unsigned rtt_us;  /* round trip as the kernel measured it so far, in microseconds; 0: unknown */
    unsigned took_ms; /* since it was asked for, here or by the peer */
    int fd;           /* non-blocking, closed on exec; the application's own from now on */
} signpost_connection_t;

/* Puts it into a `tcp`, which is initialised and for the application to uv_close() in any case. 0,
 * or an error of libuv's: then `fd` is closed. */
SIGNPOST_API int signpost_connection_open(
    const signpost_connection_t *connection, uv_loop_t *loop, uv_tcp_t *tcp);

typedef void (*signpost_connection_cb)(
    signpost_t *client, const signpost_connection_t *connection, void *user);

/* Takes connections of peers, on a port that is announced as an endpoint with the scheme
 * "signpost": at the address that the indexes see and at the private ones of this machine. `host`
 * is an address of it, NULL: all. `port` 0: one that is free. `on_connection` may be NULL where
 * there is a mesh. Once for a client. SIGNPOST_ERROR_ADDRESS; SIGNPOST_ERROR_FULL: the node has 10
 * endpoints of its own. */
SIGNPOST_API int signpost_listen(signpost_t *client, const char *host, uint16_t port,
    signpost_connection_cb on_connection, void *user);
SIGNPOST_API uint16_t signpost_port(const signpost_t *client); /* 0: it does not listen */

/* `connection` where `error` is 0; else `reason` is a sentence for people. */
typedef void (*signpost_connected_cb)(signpost_t *client, const char *peer, int error,
    const char *reason, const signpost_connection_t *connection, void *user);

/* Connects to a peer that listens: its addresses are tried side by side, and where none leads there
 * it is asked to dial us, if we listen too. Each knows the other when it is done. With a `scheme`
 * (NULL: "signpost") it is an endpoint of that scheme, connected to as it is. `connected` is called
 * exactly once, not before this returns; of several for one peer one after the other.
 * `ret_request` may be NULL. SIGNPOST_ERROR_FULL: too many at once. */
SIGNPOST_API int signpost_connect(signpost_t *client, const char *peer, const char *scheme,
    signpost_connected_cb connected, void *user, uint64_t *ret_request);

/* Calls it off: `connected` comes with SIGNPOST_ERROR_CANCELLED, from the loop, if it has not come
 * yet. */
SIGNPOST_API void signpost_connect_cancel(signpost_t *client, uint64_t request);

/* --- a mesh ---------------------------------------------------------------------------------- */

/* Keeps one direct connection to each peer, or to some of them. The application has the sockets and
 * says when one has ended; the mesh connects again. When the indexes are away nothing happens to
 * the connections that are there. */
typedef struct signpost_mesh signpost_mesh_t;

typedef struct signpost_mesh_config {
    unsigned neighbours;   /* at most so many connections, 2 to 64; 0: one to each peer */
    unsigned dead_after_s; /* one on which nothing gets through ends; 0: 15; at most 86400 */
    /* A connection that is there, the only one to this peer. */
    void (*on_link)(signpost_mesh_t *mesh, const signpost_connection_t *connection, void *user);
    /* The connection to this peer is of no more use: close it. Either it was replaced (on_link
     * follows), our address is gone, or it is not wanted any more; `reason` says which. */
    void (*on_unlink)(signpost_mesh_t *mesh, const char *peer, const char *reason, void *user);
    /* It did not come about; the mesh tries again. May be NULL. */
    void (*on_trouble)(signpost_mesh_t *mesh, const char *peer, const char *reason, void *user);
    void *user;
} signpost_mesh_config_t;

/* One for a client, which listens. It ends with the client, without another callback. */
SIGNPOST_API int signpost_mesh_start(
    signpost_t *client, const signpost_mesh_config_t *config, signpost_mesh_t **ret_mesh);

/* The application's connection to this peer has ended, and the application has closed it. */
SIGNPOST_API void signpost_mesh_lost(signpost_mesh_t *mesh, const char *peer);

/* --- can others reach this port? ------------------------------------------------------------- */

/* X(NAME, number, name): also the exit codes of `signpost check`, so that none changes. */
#define SIGNPOST_VERDICTS(X)                                                                       \
    X(OPEN, 0, "open")                                                                             \
    X(NOTHING_LISTENS, 10, "nothing listening")                                                    \
    X(REJECTED, 11, "rejected")                                                                    \
    X(FILTERED, 12, "filtered")                                                                    \
    X(ELSEWHERE, 13, "mapped elsewhere")                                                           \
    X(OTHER_PORT, 14, "other external port")                                                       \
    X(CGNAT, 15, "CGNAT")                                                                          \
    X(DOUBLE_NAT, 16, "double NAT")                                                                \
    X(MISMATCH, 17, "address mismatch")                                                            \
    X(RESTRICTED, 18, "restricted")                                                                \
    X(PUNCHABLE, 20, "punchable")                                                                  \
    X(SYMMETRIC, 21, "symmetric")                                                                  \
    X(UDP_BLOCKED, 22, "UDP blocked")                                                              \
    X(INCONCLUSIVE, 30, "inconclusive")

enum signpost_verdict {
#define X(name, number, text) SIGNPOST_VERDICT_##name = number,
    SIGNPOST_VERDICTS(X)
#undef X
};

SIGNPOST_API const char *signpost_verdict_name(int verdict); /* "filtered"; static */

/* One check of one port. It needs no client. docs/nat.md says what is tested, and how to read it.
 */
typedef struct signpost_check signpost_check_t;

/* What it came to. Everything lives until signpost_check_close(). */
typedef struct signpost_report {
    int error;               /* 0; else nothing could be tested, and nothing is said of the port */
    int verdict;             /* an enum signpost_verdict, where `error` is 0 */
    const char *why;         /* a sentence, with the addresses and the port in it */
    const char *advice;      /* a sentence: what to do. "": nothing */
    const char *const *also; /* what holds besides, a sentence each; ended by NULL */
    const char *json;        /* all that was found out: one object */
    const char *reach;       /* what is proved, for signpost_update(); "{}": nothing */
    int publish_error; /* of `publish`: why the record has it not; 0: it has, or was not to have */
    const char *publish_detail; /* a sentence */
} signpost_report_t;

/* May be zeroed; then set at least `indexes` and `port`. Everything is copied. */
typedef struct signpost_check_config {
    const char *const *indexes; /* URLs, ended by NULL: the first that answers, for each family */
    const char *key;            /* join key; NULL: none */
    const char *ca_file;        /* PEM; NULL: the system's */
    uint16_t port;
    bool tcp, udp;   /* neither: TCP */
    bool ipv4, ipv6; /* neither: both */
    bool no_listen; /* the application holds the port, or will; else the check listens there, as far
                       as it is free */
    bool thorough;  /* ends when every probe has; else as soon as the port is open */
    bool map; /* asks the router for a mapping first, and keeps it until the check is closed */
    const char *const *stun_servers; /* "HOST[:PORT]", ended by NULL: more than the index names */
    /* Writes what is proved into the record of the node with this secret, which is registered. */
    bool publish;
    const uint8_t *secret; /* SIGNPOST_SECRET_SIZE bytes; NULL where nothing is published */
    void (*on_line)(signpost_check_t *check, const char *line, void *user); /* as a probe ends; may
                                                                               be NULL */
    void (*on_report)(signpost_check_t *check, const signpost_report_t *report, void *user);
    void *user;
} signpost_check_config_t;

/* on_report comes once, from the loop: within 10 s, with `map` 25 s. */
SIGNPOST_API int signpost_check(
    uv_loop_t *loop, const signpost_check_config_t *config, signpost_check_t **ret_check);

/* Calls it off, or ends it; a mapping that it has made is removed. Then calls `closed`, which may
 * be NULL: within 3 s. */
SIGNPOST_API void signpost_check_close(
    signpost_check_t *check, void (*closed)(void *user), void *user);

/* --- port mappings --------------------------------------------------------------------------- */

/* A port of the router that leads to one of this machine (PCP, NAT-PMP or UPnP-IGD, IPv4), renewed
 * at half its lifetime and made anew where the router has forgotten it. */
typedef struct signpost_mapping signpost_mapping_t;

typedef struct signpost_mapping_status {
    int error;            /* 0: it is there; else SIGNPOST_ERROR_NO_GATEWAY or _NO_MAPPING */
    const char *detail;   /* where `error`: a sentence */
    const char *protocol; /* "pcp", "nat-pmp", "upnp"; "": none */
    const char *address;  /* the router's outer one as it says, "": it does not */
    uint16_t port;        /* the outer one, which may be another than was asked for */
    unsigned lifetime_s;  /* 0: until it is removed */
} signpost_mapping_status_t;

typedef struct signpost_mapping_config {
    uint16_t port;
    bool udp;               /* else TCP */
    uint16_t external_port; /* that is wished for; 0: the same */
    unsigned lifetime_s;    /* that is asked for; 0: 3600 */
    /* First within 12 s, and then whenever it changes; where there is none it is tried again, at
     * growing distances. */
    void (*on_mapping)(
        signpost_mapping_t *mapping, const signpost_mapping_status_t *status, void *user);
    void *user;
} signpost_mapping_config_t;

SIGNPOST_API int signpost_map_port(
    uv_loop_t *loop, const signpost_mapping_config_t *config, signpost_mapping_t **ret_mapping);

/* Removes it from the router, within 2 s, and frees it; then calls `removed`, which may be NULL. */
SIGNPOST_API void signpost_unmap_port(
    signpost_mapping_t *mapping, void (*removed)(void *user), void *user);

#ifdef __cplusplus
}
#endif

#endif
