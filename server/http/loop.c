#include "http/loop_internal.h"

#include "http/by_hand.h"
#include "http/listen.h"
#include "http/request_id.h"
#include "http/tls.h"
#include "log.h"
#include "metrics.h"
#include "net/log_address.h"
#include "server_limits.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PUMP_TURNS 32      /* of libmicrohttpd, before other handles of the loop get their turn, */
#define PUMP_MS 50         /* and how long they may take: new connections wait meanwhile */
#define PUMP_AGAIN_MS 1000 /* the longest sleep while a connection has a deadline */
#define TURNED_AWAY_RETRY_S 5
#define RETRY_JITTER_S 3 /* a Retry-After is longer than needed by less than that */
#define OPS_TURNS 3      /* to find a place for a connection for operations */

/* --- the pump -------------------------------------------------------------------------------- */

/* Once a second, however busy the loop is. */
static void keep_house(struct http_loop *loop)
{
    int64_t now = loop_now_ms(loop);

    if (now < loop->next_keeping_ms)
        return;
    loop->next_keeping_ms = now + PUMP_AGAIN_MS;
    connections_cut_late(loop);
    connections_report_cut(loop);
    daemons_end_idle(loop);
    listeners_go_on(loop->listeners);
}

static void on_timer(uv_timer_t *timer)
{
    http_loop_pump(timer->data);
}

void http_loop_pump(struct http_loop *loop)
{
    bool more = true;

    if (loop->pumping || loop->closed)
        return;
    loop->pumping = true;
    keep_house(loop);
    int64_t end_ms = loop_now_ms(loop) + PUMP_MS;
    for (int turn = 0; more && turn < PUMP_TURNS && (!turn || loop_now_ms(loop) < end_ms); turn++) {
        loop->triggered = false;
        load_begin_pass(&loop->load, loop_now_ms(loop));
        more = daemons_run(loop);
        if (loop->handshakes)
            handshakes_rest(loop->handshakes);
        more |= loop->config.pass_done(loop->config.user);
        load_end_pass(&loop->load, loop_now_ms(loop));
        more |= loop->triggered;
    }
    loop->pumping = false;
    if (more)
        /* Not 0: libuv would run it again at once, and again, and accept nobody meanwhile. */
        uv_timer_start(&loop->timer, on_timer, 1, 0);
    else if (connections_have_deadlines(loop) || listeners_pause(loop->listeners) ||
             daemons_are_many(loop))
        uv_timer_start(&loop->timer, on_timer, PUMP_AGAIN_MS, 0);
    else
        uv_timer_stop(&loop->timer);
}

static void on_polled(uv_check_t *check)
{
    struct http_loop *loop = check->data;

    if (daemons_are_due(loop))
        http_loop_pump(loop);
}

enum importance http_loop_least(const struct http_loop *loop)
{
    return load_least(&loop->load);
}

bool http_loop_triggered(const struct http_loop *loop)
{
    return loop->triggered;
}

int http_loop_spread_s(struct http_loop *loop, int seconds)
{
    return seconds + (int)(loop->spread++ % RETRY_JITTER_S);
}

/* --- listening ------------------------------------------------------------------------------- */

static void log_refused(const char *id, const struct address *address, const char *reason)
{
    char text[LOG_ADDRESS_SIZE];

    if (log_takes(LOG_INFO, "connection_refused", NULL, 0))
        log_event(LOG_INFO, "connection_refused", "id", id, "address", log_address(address, text),
            "reason", reason, NULL);
}

/* Says why before closing; not where a handshake would have to come first. */
static void turn_away(struct http_loop *loop, int fd, const struct address *address,
    enum http_scheme scheme, int error, const char *detail)
{
    struct fault fault;
    char id[REQUEST_ID_SIZE];

    request_id_choose(NULL, id);
    log_refused(id, address, error_code(error));

    fault_set(&fault, error, "%s", detail);
    fault.retry_after_s = http_loop_spread_s(loop, TURNED_AWAY_RETRY_S);
    if (scheme == HTTP_PLAIN)
        by_hand_send(fd, &fault, id);
    shutdown(fd, SHUT_WR);
    close(fd);
}

/* May one more connection of that address come in? Answers and closes it otherwise. */
static bool admit(
    struct http_loop *loop, int fd, enum http_scheme scheme, const struct address *address)
{
    const struct http_loop_config *config = &loop->config;

    if (config->max_connections && loop->connections >= config->max_connections) {
        metrics_add(METRIC_LIMIT_CONNECTIONS, 1);
        turn_away(loop, fd, address, scheme, ERROR_INDEX_FULL,
            "the index has all the connections it takes: try again later");
        return false;
    }
    if (config->exempt(address, config->user))
        return true;
    struct source *source = source_hold(config->sources, address, loop_now_ms(loop));
    bool full = source && config->max_connections_per_address &&
                source->connections >= config->max_connections_per_address;
    /* A handshake costs as much as many requests. */
    bool hasty = source && !full && scheme == HTTP_TLS &&
                 !source_take_handshake(config->sources, source, loop_now_ms(loop));
    source_release(config->sources, source);
    if (full) {
        metrics_add(METRIC_LIMIT_CONNECTIONS_ADDRESS, 1);
        turn_away(loop, fd, address, scheme, ERROR_TOO_MANY_CONNECTIONS,
            "your address has all the connections that it may have: close one first");
    }
    if (hasty) {
        metrics_add(METRIC_LIMIT_HANDSHAKES, 1);
        turn_away(loop, fd, address, scheme, ERROR_RATE_LIMITED,
            "your address begins more connections than this index takes: keep one open");
    }
    return !full && !hasty;
}

/* Those for operations have a few places of their own, and the idle ones make room. */
static bool admit_ops(struct http_loop *loop, int fd, const struct address *address)
{
    /* What came in this turn is known to libmicrohttpd after one pump, and what was cut is gone
     * after another. */
    for (int turn = 0; turn < OPS_TURNS; turn++) {
        if (connections_admit_ops(loop, fd))
            return true;
        http_loop_pump(loop);
    }
    metrics_add(METRIC_LIMIT_OPS, 1);
    turn_away(loop, fd, address, HTTP_PLAIN, ERROR_TOO_MANY_CONNECTIONS,
        "all connections for operations are in use: close one first");
    return false;
}

/* A socket that was accepted, on a listener of that scheme. */
static void on_accepted(
    int fd, const struct sockaddr *peer, socklen_t peer_size, int scheme, void *user)
{
    struct http_loop *loop = user;
    struct address address = {0};
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    address_from_sockaddr(peer, &address);
    if (scheme == HTTP_OPS ? !admit_ops(loop, fd, &address)
                           : !admit(loop, fd, (enum http_scheme)scheme, &address))
        return;
    struct http_daemon *daemon =
        daemons_with_room(loop, scheme == HTTP_OPS ? HTTP_PLAIN : (enum http_scheme)scheme);
    daemon->due = true;
    /* On failure libmicrohttpd has closed the socket. */
    if (MHD_add_connection(daemon->mhd, fd, peer, peer_size) != MHD_YES) {
        log_refused("-", &address, "libmicrohttpd");
        connections_forget_ops(loop, fd);
        return;
    }
    if (scheme != HTTP_OPS)
        metrics_add(METRIC_CONNECTIONS, 1);
    if (scheme == HTTP_TLS)
        handshakes_rest(loop->handshakes);
}

static void on_heard(struct handshake *handshake, void *user)
{
    const struct http_connection *connection = http_connection_of(handshake->mhd);
    char id[REQUEST_ID_SIZE];

    (void)user;
    request_id_choose(NULL, id);
    if (by_hand_greet(handshake->fd, id))
        log_refused(id, &connection->address, "plain_http");
}

static void on_ready_to_run(void *user)
{
    http_loop_pump(user);
}

int http_loop_listen(struct http_loop *loop, const struct address *address, uint16_t port,
    enum http_scheme scheme, uint16_t *ret_port, struct fault *ret_fault)
{
    const char *option = scheme == HTTP_OPS ? "--ops-listen" : "--listen";
    return listeners_add(loop->listeners, address, port, (int)scheme, option, ret_port, ret_fault);
}

/* --- life ------------------------------------------------------------------------------------ */

int http_loop_new(
    const struct http_loop_config *config, struct http_loop **ret_loop, struct fault *ret_fault)
{
    struct http_loop *loop = calloc(1, sizeof *loop);
    int schemes = config->tls ? HTTP_SCHEMES : HTTP_TLS;

    if (!loop)
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory for the HTTP loop");
    loop->config = *config;
    loop->phase_limits_ms[HTTP_HEADERS] = config->headers_timeout_s * 1000LL;
    loop->phase_limits_ms[HTTP_BODY] = config->body_timeout_s * 1000LL;
    loop->phase_limits_ms[HTTP_RUNNING] = INT64_MAX;
    loop->phase_limits_ms[HTTP_REPLY] = LIMIT_REPLY_DEADLINE_MS;
    loop->phase_limits_ms[HTTP_IDLE] = LIMIT_IDLE_MS;
    loop->listeners = listeners_new(config->uv, on_accepted, on_ready_to_run, loop);
    bool failed = !loop->listeners;
    for (int scheme = 0; !failed && scheme < schemes; scheme++)
        failed = !daemons_add(loop, (enum http_scheme)scheme);
    if (!failed && config->tls)
        failed = handshakes_new(config->uv, on_heard, on_ready_to_run, loop, &loop->handshakes);
    if (failed) {
        daemons_close(loop);
        uv_run(config->uv, UV_RUN_NOWAIT);
        listeners_free(loop->listeners);
        free(loop);
        return fault_set(ret_fault, ERROR_NO_MEMORY, "libmicrohttpd did not start");
    }
    uv_check_init(config->uv, &loop->polled);
    loop->polled.data = loop;
    uv_check_start(&loop->polled, on_polled);
    uv_timer_init(config->uv, &loop->timer);
    loop->timer.data = loop;
    *ret_loop = loop;
    return 0;
}

void http_loop_drain(struct http_loop *loop)
{
    static const enum http_phase waiting[] = {HTTP_HEADERS, HTTP_IDLE};

    loop->draining = true;
    listeners_close(loop->listeners);
    for (size_t i = 0; i < sizeof waiting / sizeof waiting[0]; i++)
        for (struct http_connection *at = loop->phases[waiting[i]].first; at; at = at->next)
            connection_cut(at);
}

const struct tls *http_loop_tls(const struct http_loop *loop)
{
    return loop->config.tls;
}

size_t http_loop_connections(const struct http_loop *loop)
{
    return loop->connections;
}

bool http_loop_is_empty(const struct http_loop *loop)
{
    return !loop->connections && !loop->ops_connections;
}

void http_loop_close(struct http_loop *loop)
{
    listeners_close(loop->listeners);
    loop->closed = true;
    uv_close((uv_handle_t *)&loop->timer, NULL);
    if (loop->handshakes) {
        handshakes_wake(loop->handshakes);
        handshakes_close(loop->handshakes);
    }
    uv_close((uv_handle_t *)&loop->polled, NULL);
    daemons_close(loop);
}

void http_loop_free(struct http_loop *loop)
{
    if (!loop)
        return;
    listeners_free(loop->listeners);
    handshakes_free(loop->handshakes);
    free(loop);
}
