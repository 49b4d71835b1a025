/*
 * Connects to one of several addresses over TCP: side by side, each begun 250 ms after the one
 * before or as soon as that one failed (RFC 8305, section 5), families in turn, and the first that
 * is connected, and greeted where there is a ticket, wins. The others are closed.
 */
#ifndef SIGNPOST_CLIENT_DIAL_H
#define SIGNPOST_CLIENT_DIAL_H

#include "greet.h"

#include <sys/socket.h>
#include <uv.h>

#define DIAL_TARGETS_MAX 16
#define DIAL_STAGGER_MS 250
#define DIAL_REASON_SIZE 256

struct dial;

struct dial_target {
    struct sockaddr_storage address; /* with its port */
    bool private;                    /* told back, and first of its family */
};

struct dial_result {
    int fd; /* connected, non-blocking, closed on exec, TCP_NODELAY; -1: see `reason` */
    bool private;
    const char *reason; /* for people, of the attempts that failed: "192.0.2.7:50051: connection
                           refused; [2001:db8::7]:50051: no answer in 10 s"; ends in "; and 3 more"
                           where that gets too long; "": none has */
};

typedef void (*dial_done)(const struct dial_result *result, void *user);

/* Everything is copied. Repeated targets are dialled once, and of more than DIAL_TARGETS_MAX those
 * that come first. `timeout_ms` is for all of it. `ticket` NULL: no greeting. `done` comes exactly
 * once, from the loop, unless it is cancelled; then the dial is gone. No targets: fails, from the
 * loop. NULL: no memory. */
struct dial *dial_start(uv_loop_t *loop, const struct dial_target *targets, size_t count,
    const struct greet_ticket *ticket, const char *own, const char *peer, uint64_t timeout_ms,
    dial_done done, void *user);
void dial_cancel(struct dial *dial); /* NULL is fine; frees once its handles are closed */

#endif
