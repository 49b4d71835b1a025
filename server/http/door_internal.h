/* What door.c (a request from its first header to its end) and reply.c (what it is answered) share.
 */
#ifndef SIGNPOST_HTTP_DOOR_INTERNAL_H
#define SIGNPOST_HTTP_DOOR_INTERNAL_H

#include "http/delta.h"
#include "http/door.h"
#include "usage.h"

struct http_door {
    struct http_door_config config;
    struct http_loop *loop;
    struct waits *waits;
    size_t pages_bytes;      /* put together in this pass */
    size_t bodies_bytes;     /* parsed in this pass, of large ones */
    struct kept_delta delta; /* until this pass is over */
    int64_t began_ms, began_wall_ms;
    struct usage usage;
    bool draining;
};

static inline int64_t door_now_ms(const struct http_door *door)
{
    return clock_now_ms(door->config.clock);
}

/* Gives the response that is there to libmicrohttpd; from inside its callback. */
void reply_send(struct request *request);

void reply_free_pieces(struct request *request);

#endif
