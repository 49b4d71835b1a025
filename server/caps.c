#include "caps.h"

#include "log.h"
#include "server_limits.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

/* For what is no connection of strangers: files, epoll, listeners, dial-backs, operations. */
#define DESCRIPTORS_ASIDE (64 + LIMIT_CHECK_SOCKETS + LIMIT_OPS_PLACES)
#define DAEMON_DESCRIPTORS 2 /* of each of libmicrohttpd's daemons */

void caps_fit(struct options *options)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    size_t room = limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)limit.rlim_cur;
    room = room > 2 * DESCRIPTORS_ASIDE ? room - DESCRIPTORS_ASIDE : DESCRIPTORS_ASIDE;
    if (room < SIZE_MAX / 2)
        room -= room / LIMIT_DAEMON_CONNECTIONS * DAEMON_DESCRIPTORS;
    if (room < SIZE_MAX / 2 && (!options->max_connections || options->max_connections > room))
        options->max_connections = room;
    /* A parked poll holds a connection: some must be left for everything else. */
    size_t most = options->max_connections > 1 ? options->max_connections * 4 / 5 : 1;
    if (options->max_connections && (!options->max_waiters || options->max_waiters > most))
        options->max_waiters = most;
}

void caps_announce(const struct options *asked, const struct options *got)
{
    char connections[24], waiters[24];

    if (asked->max_connections == got->max_connections && asked->max_waiters == got->max_waiters)
        return;
    snprintf(connections, sizeof connections, "%zu", got->max_connections);
    snprintf(waiters, sizeof waiters, "%zu", got->max_waiters);
    log_event(LOG_WARN, "caps_lowered", "max_connections", connections, "max_waiters", waiters,
        "reason", "the descriptor limit (ulimit -n), and room for what does not wait", NULL);
}
