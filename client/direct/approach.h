/*
 * Gets to a peer over TCP: takes of its endpoints, as the indexes list them, those that make sense
 * from here, dials them side by side, and after a failure asks the indexes once whether it is
 * somewhere else now.
 */
#ifndef SIGNPOST_CLIENT_APPROACH_H
#define SIGNPOST_CLIENT_APPROACH_H

#include "client.h"
#include "dial.h"

struct approach;

struct approach_plan {
    const char *peer, *scheme;
    const char *only; /* endpoints, each ended by a newline: no others; "": all that are listed */
    const struct greet_ticket *ticket; /* NULL: no greeting */
    uint64_t timeout_ms;               /* in all */
};

/* The `private` of the result: by an address that no index sees the peer at. `error` is 0,
 * SIGNPOST_ERROR_NO_PATH or SIGNPOST_ERROR_UNKNOWN_PEER. */
typedef void (*approach_done)(const struct dial_result *result, int error, void *user);

/* Everything is copied. `done` comes exactly once, from the loop, unless it is cancelled; then the
 * approach is gone. NULL: no memory. */
struct approach *approach_start(
    signpost_t *client, const struct approach_plan *plan, approach_done done, void *user);
void approach_cancel(struct approach *approach); /* NULL is fine; not from inside `done` */

/* Has the peer, as it is listed, an endpoint of that scheme that makes sense from here? */
bool approach_makes_sense(
    const signpost_t *client, const signpost_peer_t *peer, const char *scheme);

#endif
