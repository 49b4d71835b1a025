/* What loop.c (libmicrohttpd in the loop), daemons.c (how many of it there are) and connections.c
 * (each connection, its phase, and what it holds) share. */
#ifndef SIGNPOST_HTTP_LOOP_INTERNAL_H
#define SIGNPOST_HTTP_LOOP_INTERNAL_H

#include "http/daemons.h"
#include "http/loop.h"
#include "server_limits.h"

struct phase_list {
    struct http_connection *first, *last;
};

struct http_loop {
    struct http_loop_config config;
    struct http_daemon *daemons[HTTP_SCHEMES]; /* of HTTPS: none, where there is no certificate */
    bool closed;
    uv_check_t polled; /* after sockets were found ready */
    uv_timer_t timer;
    struct listeners *listeners;
    struct handshakes *handshakes; /* NULL, where there is no certificate */
    struct phase_list phases[HTTP_PHASES];
    int64_t phase_limits_ms[HTTP_PHASES];
    size_t connections;        /* without those for operations */
    size_t ops_connections;    /* of these */
    int ops[LIMIT_OPS_PLACES]; /* descriptors of connections for operations, and 1; 0: none */
    size_t held_bytes;         /* of all connections */
    size_t cut_for_room;       /* connections, since the last line in the log about it */
    int64_t next_keeping_ms;
    struct load load;
    uint64_t spread; /* how many were told when to come again */
    bool triggered;
    bool pumping;
    bool draining;
};

static inline int64_t loop_now_ms(const struct http_loop *loop)
{
    return clock_now_ms(loop->config.clock);
}

/* As libmicrohttpd tells of it (MHD_OPTION_NOTIFY_CONNECTION); `user` is the struct http_daemon. */
void connections_notify(void *user, struct MHD_Connection *mhd, void **socket_context,
    enum MHD_ConnectionNotificationCode code);

/* Ends it from our side; its memory goes when its daemon runs next. */
void connection_cut(struct http_connection *connection);

/* Keeps a place for one for operations, and where there are many cuts the one that has been idle
 * for the longest. libmicrohttpd tells of a connection by its descriptor, later. False: all places
 * are taken. */
bool connections_admit_ops(struct http_loop *loop, int fd);
void connections_forget_ops(struct http_loop *loop, int fd); /* none: nothing to do */

/* Cuts connections whose phase took too long; libmicrohttpd's own timeout is reset by every byte,
 * so a sender of one byte a second would never meet it. */
void connections_cut_late(struct http_loop *loop);
bool connections_have_deadlines(const struct http_loop *loop);

/* Says in the log how many were cut for room since it was last called. */
void connections_report_cut(struct http_loop *loop);

#endif
