/*
 * The daemons of libmicrohttpd: as many as there are hundreds of connections. One that resumes a
 * connection looks at all that it has suspended, so each has but a few.
 */
#ifndef SIGNPOST_HTTP_DAEMONS_H
#define SIGNPOST_HTTP_DAEMONS_H

#include "http/loop.h"

struct http_daemon {
    struct http_loop *loop;
    struct http_daemon *next; /* of the same scheme */
    struct MHD_Daemon *mhd;
    uv_poll_t events;
    size_t connections;
    bool due; /* a socket is ready, or something was resumed or added */
};

/* One more, of HTTP_PLAIN or HTTP_TLS. NULL where it did not start. */
struct http_daemon *daemons_add(struct http_loop *loop, enum http_scheme scheme);

/* The one for the next connection. */
struct http_daemon *daemons_with_room(struct http_loop *loop, enum http_scheme scheme);

bool daemons_are_due(const struct http_loop *loop);

/* Runs those that are due, once. True where one of them is due again. */
bool daemons_run(struct http_loop *loop);

/* Those that have no connection any more end; one of each scheme stays. To be called now and then
 * while there are more. */
void daemons_end_idle(struct http_loop *loop);
bool daemons_are_many(const struct http_loop *loop);

void daemons_close(struct http_loop *loop); /* run the loop of libuv once more afterwards */

#endif
