/*
 * Parked polls as the door sees them: how many there may be, and a watch on each one's socket for
 * the client that goes away (libmicrohttpd does not look at a suspended connection).
 */
#ifndef SIGNPOST_HTTP_WAIT_H
#define SIGNPOST_HTTP_WAIT_H

#include "error.h"
#include "net/source.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct waits;

/* Embedded in a request. */
struct wait {
    struct source *source; /* NULL: not counted by address */
    int fd;
    bool watched;
};

/* `vanished` is called when the client of a wait closed its end; the wait goes on until
 * wait_end(). */
int waits_new(uv_loop_t *uv, size_t max, size_t max_per_address,
    void (*vanished)(struct wait *wait), struct waits **ret_waits);
void waits_close(struct waits *waits); /* run the loop once more before freeing */
void waits_free(struct waits *waits);  /* NULL is fine */

size_t waits_count(const struct waits *waits);
bool waits_have_room(const struct waits *waits, const struct source *source);
void wait_begin(struct waits *waits, struct wait *wait, struct source *source, int fd);
void wait_end(struct waits *waits, struct wait *wait); /* not begun: nothing to do */

#endif
