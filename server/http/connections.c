#include "http/loop_internal.h"

#include "http/listen.h"
#include "http/tls.h"
#include "log.h"
#include "metrics.h"
#include "net/log_address.h"
#include "server_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define HOLDERS_LOOKED_AT 256 /* connections, for one that holds something */

static void phase_leave(struct http_connection *connection)
{
    struct phase_list *list = &connection->loop->phases[connection->phase];

    if (connection->previous)
        connection->previous->next = connection->next;
    else
        list->first = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    else
        list->last = connection->previous;
}

static void phase_join(struct http_connection *connection, enum http_phase phase)
{
    struct phase_list *list = &connection->loop->phases[phase];

    connection->phase = phase;
    connection->since_ms = loop_now_ms(connection->loop);
    connection->next = NULL;
    connection->previous = list->last;
    if (list->last)
        list->last->next = connection;
    else
        list->first = connection;
    list->last = connection;
}

static void set_held(struct http_connection *connection, size_t bytes)
{
    connection->loop->held_bytes += bytes - connection->held_bytes;
    connection->held_bytes = bytes;
}

void connection_cut(struct http_connection *connection)
{
    shutdown(connection->fd, SHUT_RDWR);
    connection->daemon->due = true;
}

void http_connection_enter(struct http_connection *connection, enum http_phase phase)
{
    set_held(connection, 0);
    phase_leave(connection);
    phase_join(connection, phase);
    if (phase == HTTP_IDLE && connection->loop->draining)
        connection_cut(connection);
}

void http_connection_resume(struct http_connection *connection)
{
    MHD_resume_connection(connection->mhd);
    connection->daemon->due = true;
    connection->loop->triggered = true;
}

struct http_connection *http_connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* Where that descriptor stands among those for operations, or NULL. */
static int *find_ops(struct http_loop *loop, int fd)
{
    for (size_t i = 0; i < LIMIT_OPS_PLACES; i++)
        if (loop->ops[i] == fd + 1)
            return &loop->ops[i];
    return NULL;
}

static struct http_connection *oldest_ops(const struct phase_list *list)
{
    struct http_connection *at = list->first;

    while (at && !at->ops)
        at = at->next;
    return at;
}

/* One that asks for nothing makes room for one that may. */
static bool cut_idle_ops(struct http_loop *loop)
{
    struct http_connection *idle = oldest_ops(&loop->phases[HTTP_IDLE]);
    struct http_connection *silent = oldest_ops(&loop->phases[HTTP_HEADERS]);
    struct http_connection *cut = idle;

    if (!idle || (silent && silent->since_ms < idle->since_ms))
        cut = silent;
    if (!cut)
        return false;
    connection_cut(cut);
    /* Its place is free when libmicrohttpd looks at it next. */
    http_connection_enter(cut, HTTP_RUNNING);
    return true;
}

bool connections_admit_ops(struct http_loop *loop, int fd)
{
    int *place = NULL;
    size_t taken = 0;

    for (size_t i = 0; i < LIMIT_OPS_PLACES; i++) {
        taken += loop->ops[i] != 0;
        if (!place && !loop->ops[i])
            place = &loop->ops[i];
    }
    while (taken >= LIMIT_OPS_CONNECTIONS && cut_idle_ops(loop))
        taken--;
    if (!place)
        return false;
    *place = fd + 1;
    return true;
}

/* Its number will be another connection's. */
void connections_forget_ops(struct http_loop *loop, int fd)
{
    int *place = find_ops(loop, fd);
    if (place)
        *place = 0;
}

/* Did it come to an address that only this machine reaches? */
static bool came_by_loopback(int fd)
{
    struct sockaddr_storage here;
    socklen_t length = sizeof here;
    struct address address;

    return !getsockname(fd, (struct sockaddr *)&here, &length) &&
           address_from_sockaddr((struct sockaddr *)&here, &address) &&
           address_classify(&address) == ADDRESS_LOOPBACK;
}

static size_t *count_of(struct http_connection *connection)
{
    struct http_loop *loop = connection->loop;
    return connection->ops ? &loop->ops_connections : &loop->connections;
}

static struct http_connection *connection_new(
    struct http_daemon *daemon, struct MHD_Connection *mhd)
{
    struct http_loop *loop = daemon->loop;
    struct http_connection *connection = calloc(1, sizeof *connection);
    const union MHD_ConnectionInfo *info;

    if (!connection)
        return NULL;
    connection->loop = loop;
    connection->daemon = daemon;
    connection->mhd = mhd;
    connection->heard_ms = INT64_MIN;
    info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    connection->fd = info->connect_fd;
    info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    address_from_sockaddr(info->client_addr, &connection->address);
    connection->port = listeners_port_of(info->client_addr);
    connection->tls = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION) != NULL;
    connection->ops = find_ops(loop, connection->fd) != NULL;
    connection->own = connection->ops && came_by_loopback(connection->fd);
    if (!connection->ops && !loop->config.exempt(&connection->address, loop->config.user))
        connection->source =
            source_hold(loop->config.sources, &connection->address, loop_now_ms(loop));
    if (connection->source)
        connection->source->connections++;
    *count_of(connection) += 1;
    daemon->connections++;
    phase_join(connection, HTTP_HEADERS);
    if (connection->tls) {
        tls_begin(mhd);
        handshake_begin(loop->handshakes, &connection->handshake, mhd, connection->fd);
    }
    return connection;
}

void http_connection_secured(struct http_connection *connection)
{
    handshake_end(connection->loop->handshakes, &connection->handshake);
}

/* Of one that ends without its handshake having come to its end. */
static void tell_handshake(const struct http_connection *connection)
{
    char text[LOG_ADDRESS_SIZE];

    if (connection->handshake.state == HANDSHAKE_NONE || connection->loop->closed)
        return;
    metrics_add(METRIC_HANDSHAKES_FAILED, 1);
    if (log_takes(LOG_INFO, "handshake_failed", NULL, 0))
        log_event(
            LOG_INFO, "handshake_failed", "address", log_address(&connection->address, text), NULL);
}

static void connection_free(struct http_connection *connection)
{
    struct http_loop *loop = connection->loop;

    if (connection->tls) {
        tell_handshake(connection);
        handshake_end(loop->handshakes, &connection->handshake);
    }
    set_held(connection, 0);
    phase_leave(connection);
    if (connection->source) {
        connection->source->connections--;
        source_release(loop->config.sources, connection->source);
    }
    *count_of(connection) -= 1;
    connection->daemon->connections--;
    if (connection->ops)
        connections_forget_ops(loop, connection->fd);
    free(connection);
}

void connections_notify(void *user, struct MHD_Connection *mhd, void **socket_context,
    enum MHD_ConnectionNotificationCode code)
{
    struct http_daemon *daemon = user;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = connection_new(daemon, mhd);
        /* Without one it has no deadline, and cannot be refused here. */
        if (!*socket_context) {
            int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
            connections_forget_ops(daemon->loop, fd);
            shutdown(fd, SHUT_RDWR);
        }
    } else if (*socket_context) {
        struct http_connection *connection = *socket_context;
        const struct http_loop_config *config = &daemon->loop->config;
        /* libmicrohttpd tells nothing of one that it had no memory to refuse. */
        if (connection->request)
            config->complete(
                config->user, mhd, &connection->request, MHD_REQUEST_TERMINATED_WITH_ERROR);
        connection_free(connection);
        *socket_context = NULL;
    }
}

void connections_cut_late(struct http_loop *loop)
{
    for (int phase = 0; phase < HTTP_PHASES; phase++) {
        struct http_connection *next;
        if (loop->phase_limits_ms[phase] == INT64_MAX)
            continue;
        int64_t latest_ms = loop_now_ms(loop) - loop->phase_limits_ms[phase];
        for (struct http_connection *at = loop->phases[phase].first;
             at && at->since_ms <= latest_ms; at = next) {
            next = at->next;
            connection_cut(at);
        }
    }
}

bool connections_have_deadlines(const struct http_loop *loop)
{
    for (int phase = 0; phase < HTTP_PHASES; phase++)
        if (loop->phases[phase].first && loop->phase_limits_ms[phase] != INT64_MAX)
            return true;
    return false;
}

/* The oldest that holds something, as far as one looks. */
static struct http_connection *oldest_holder(const struct phase_list *list)
{
    struct http_connection *at = list->first;

    for (int i = 0; at && !at->held_bytes && i < HOLDERS_LOOKED_AT; i++)
        at = at->next;
    return at;
}

/* The one that has been sending its body or taking its reply for the longest, or NULL. */
static struct http_connection *slowest(const struct http_loop *loop)
{
    struct http_connection *body = oldest_holder(&loop->phases[HTTP_BODY]);
    struct http_connection *reply = oldest_holder(&loop->phases[HTTP_REPLY]);

    if (!body || !reply)
        return body ? body : reply;
    return body->since_ms < reply->since_ms ? body : reply;
}

void http_connection_hold(struct http_connection *connection, size_t bytes)
{
    struct http_loop *loop = connection->loop;
    struct http_connection *cut;

    set_held(connection, bytes);
    while (loop->held_bytes > LIMIT_HELD_BYTES && (cut = slowest(loop)) && cut != connection) {
        connection_cut(cut);
        /* Its memory goes when libmicrohttpd looks at it next, in this pass or in the one after. */
        http_connection_enter(cut, HTTP_RUNNING);
        loop->cut_for_room++;
        metrics_add(METRIC_LIMIT_HELD, 1);
    }
}

size_t http_loop_held_bytes(const struct http_loop *loop)
{
    return loop->held_bytes;
}

void connections_report_cut(struct http_loop *loop)
{
    char count[24];

    if (!loop->cut_for_room)
        return;
    snprintf(count, sizeof count, "%zu", loop->cut_for_room);
    loop->cut_for_room = 0;
    log_event(LOG_WARN, "slow_cut", "connections", count, "reason",
        "bodies and replies under way take more memory than they may: the slowest were closed",
        NULL);
}
