/*
 * libmicrohttpd inside the libuv loop: listeners, connections, deadlines, and the pump that runs
 * every ready socket, then ends the pass (the store commits), then sends what that answered.
 */
#ifndef SIGNPOST_HTTP_LOOP_H
#define SIGNPOST_HTTP_LOOP_H

#include "clock.h"
#include "error.h"
#include "http/handshake.h"
#include "http/load.h"
#include "net/address.h"
#include "net/source.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct http_loop;
struct tls;

/* What a connection is doing; each phase but HTTP_RUNNING has its deadline. */
enum http_phase {
    HTTP_HEADERS, /* connected, no request seen yet */
    HTTP_BODY,    /* headers are in, the body is not */
    HTTP_RUNNING, /* a request is worked on, or parked */
    HTTP_REPLY,   /* the reply is being sent */
    HTTP_IDLE,    /* between two requests */
    HTTP_PHASES
};

/* How a listener is spoken to. */
enum http_scheme {
    HTTP_PLAIN,
    HTTP_TLS,
    HTTP_SCHEMES,           /* a daemon of libmicrohttpd speaks one of these */
    HTTP_OPS = HTTP_SCHEMES /* plain, for operations: it is there when the others are full */
};

struct http_connection {
    struct http_loop *loop;
    struct http_daemon *daemon;
    struct MHD_Connection *mhd;
    struct http_connection *next, *previous; /* of its phase, the oldest first */
    enum http_phase phase;
    int64_t since_ms;      /* in this phase */
    int64_t heard_ms;      /* when it last heard of a change in a list; INT64_MIN: never */
    struct source *source; /* NULL: a trusted proxy */
    struct address address;
    uint16_t port;
    int fd;
    bool tls;
    bool ops;      /* came by the listener for operations, */
    bool own;      /* at an address that only this machine reaches */
    void *request; /* that has begun and not ended, or NULL */
    struct handshake handshake;
    size_t held_bytes; /* of the body that arrives, or the reply that is sent; see below */
};

struct http_loop_config {
    uv_loop_t *uv;
    const struct clock *clock;
    struct sources *sources;
    size_t max_connections;                /* 0: no limit */
    size_t max_connections_per_address;    /* 0: no limit */
    int headers_timeout_s, body_timeout_s; /* the other phases' are in server_limits.h */
    const struct tls *tls;                 /* NULL: HTTP only */
    bool (*exempt)(const struct address *address, void *user); /* not counted by address */
    MHD_AccessHandlerCallback handle;
    void *(*begin)(void *user, const char *uri, struct MHD_Connection *mhd); /* makes con_cls */
    MHD_RequestCompletedCallback complete; /* ends the connection's request */
    bool (*pass_done)(void *user); /* after each pass over the ready sockets; true: once more */
    void *user;
};

/* Everything is borrowed until http_loop_free(). */
int http_loop_new(
    const struct http_loop_config *config, struct http_loop **ret_loop, struct fault *ret_fault);

/* `ret_port` is the one taken where `port` is 0. ERROR_BAD_REQUEST with a sentence where the
 * address cannot be listened on. */
int http_loop_listen(struct http_loop *loop, const struct address *address, uint16_t port,
    enum http_scheme scheme, uint16_t *ret_port, struct fault *ret_fault);

/* Runs what is ready until nothing is. Never from inside a callback of libmicrohttpd. */
void http_loop_pump(struct http_loop *loop);

/* What is less important than this is turned away now. */
enum importance http_loop_least(const struct http_loop *loop);

/* A connection was resumed: whoever runs the loop pumps before it sleeps. */
bool http_loop_triggered(const struct http_loop *loop);

/* For a Retry-After: up to two seconds more than `seconds`, so that those who are told at the same
 * moment do not come back at the same moment. */
int http_loop_spread_s(struct http_loop *loop, int seconds);

struct http_connection *http_connection_of(struct MHD_Connection *mhd);
void http_connection_enter(struct http_connection *connection, enum http_phase phase);

/* One that was suspended goes on with the next pump. */
void http_connection_resume(struct http_connection *connection);

/* Its TLS handshake is over. */
void http_connection_secured(struct http_connection *connection);

/* So many bytes are in memory for what the connection sends or takes in its phase, until it enters
 * another. Where that is too much in all (LIMIT_HELD_BYTES), those go that have been at it the
 * longest: who sends or reads as fast as others do is not among them. */
void http_connection_hold(struct http_connection *connection, size_t bytes);
size_t http_loop_held_bytes(const struct http_loop *loop);

const struct tls *http_loop_tls(const struct http_loop *loop);

/* Listens no more and closes connections that have no request; those with one finish it. */
void http_loop_drain(struct http_loop *loop);
size_t http_loop_connections(const struct http_loop *loop); /* without those for operations */
bool http_loop_is_empty(const struct http_loop *loop);      /* of these too */

/* Closes what is left. No connection may be suspended. The handles of libuv are closed: run the
 * loop once more before freeing. */
void http_loop_close(struct http_loop *loop);
void http_loop_free(struct http_loop *loop); /* NULL is fine */

#endif
