#include "http/daemons.h"

#include "http/loop_internal.h"
#include "http/tls.h"
#include "log.h"
#include "server_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTION_SLACK 64 /* our own limit must be met before libmicrohttpd's */

__attribute__((format(printf, 2, 0))) static void on_log(
    void *user, const char *format, va_list arguments)
{
    char line[256];

    (void)user;
    vsnprintf(line, sizeof line, format, arguments);
    line[strcspn(line, "\n")] = '\0';
    if (log_takes(LOG_DEBUG, "libmicrohttpd", NULL, 0))
        log_event(LOG_DEBUG, "libmicrohttpd", "text", line, NULL);
}

static struct MHD_Daemon *start(struct http_daemon *daemon, enum http_scheme scheme)
{
    const struct http_loop_config *config = &daemon->loop->config;
    unsigned limit = config->max_connections && config->max_connections < 1000000
                         ? (unsigned)config->max_connections + CONNECTION_SLACK
                         : 1000000;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, tls_certificate_callback()},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };

    return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
                                MHD_USE_ERROR_LOG | (scheme == HTTP_TLS ? MHD_USE_TLS : 0),
        0, NULL, NULL, config->handle, config->user, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, connections_notify, daemon, MHD_OPTION_NOTIFY_COMPLETED,
        config->complete, config->user, MHD_OPTION_URI_LOG_CALLBACK, config->begin, config->user,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)LIMIT_CONNECTION_POOL_BYTES,
        MHD_OPTION_CONNECTION_LIMIT, limit, MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_ARRAY,
        scheme == HTTP_TLS ? options : &options[2], MHD_OPTION_END);
}

static void on_events(uv_poll_t *events, int status, int ready)
{
    struct http_daemon *daemon = events->data;

    (void)status;
    (void)ready;
    daemon->due = true;
}

struct http_daemon *daemons_add(struct http_loop *loop, enum http_scheme scheme)
{
    struct http_daemon *daemon = calloc(1, sizeof *daemon), **last = &loop->daemons[scheme];

    if (!daemon)
        return NULL;
    daemon->loop = loop;
    daemon->mhd = start(daemon, scheme);
    if (!daemon->mhd) {
        free(daemon);
        return NULL;
    }
    uv_poll_init(loop->config.uv, &daemon->events,
        MHD_get_daemon_info(daemon->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    daemon->events.data = daemon;
    uv_poll_start(&daemon->events, UV_READABLE, on_events);
    while (*last)
        last = &(*last)->next;
    *last = daemon;
    return daemon;
}

struct http_daemon *daemons_with_room(struct http_loop *loop, enum http_scheme scheme)
{
    struct http_daemon *found = loop->daemons[scheme];

    while (found && found->connections >= LIMIT_DAEMON_CONNECTIONS)
        found = found->next;
    if (!found)
        found = daemons_add(loop, scheme);
    /* Where there is no memory for another, the first is slower with more than its share. */
    return found ? found : loop->daemons[scheme];
}

bool daemons_are_due(const struct http_loop *loop)
{
    for (int scheme = 0; scheme < HTTP_SCHEMES; scheme++)
        for (const struct http_daemon *at = loop->daemons[scheme]; at; at = at->next)
            if (at->due)
                return true;
    return false;
}

bool daemons_run(struct http_loop *loop)
{
    bool again = false;

    for (int scheme = 0; scheme < HTTP_SCHEMES; scheme++) {
        for (struct http_daemon *at = loop->daemons[scheme]; at; at = at->next) {
            MHD_UNSIGNED_LONG_LONG timeout_ms;
            if (!at->due)
                continue;
            at->due = false;
            MHD_run(at->mhd);
            /* It has no timeouts of its own: it would run again at once, or needs an event. */
            at->due |= MHD_get_timeout(at->mhd, &timeout_ms) == MHD_YES && timeout_ms == 0;
            again |= at->due;
        }
    }
    return again;
}

static void on_closed(uv_handle_t *events)
{
    free(events->data);
}

static void end(struct http_daemon *daemon)
{
    uv_close((uv_handle_t *)&daemon->events, on_closed);
    MHD_stop_daemon(daemon->mhd);
}

void daemons_end_idle(struct http_loop *loop)
{
    for (int scheme = 0; scheme < HTTP_SCHEMES; scheme++) {
        struct http_daemon *first = loop->daemons[scheme], **at = first ? &first->next : NULL;
        while (at && *at) {
            struct http_daemon *daemon = *at;
            /* One that is due may have a connection of which it has not told yet. */
            if (daemon->connections || daemon->due) {
                at = &daemon->next;
                continue;
            }
            *at = daemon->next;
            end(daemon);
        }
    }
}

bool daemons_are_many(const struct http_loop *loop)
{
    for (int scheme = 0; scheme < HTTP_SCHEMES; scheme++)
        if (loop->daemons[scheme] && loop->daemons[scheme]->next)
            return true;
    return false;
}

void daemons_close(struct http_loop *loop)
{
    for (int scheme = 0; scheme < HTTP_SCHEMES; scheme++) {
        while (loop->daemons[scheme]) {
            struct http_daemon *first = loop->daemons[scheme];
            loop->daemons[scheme] = first->next;
            end(first);
        }
    }
}
