/* Asks the indexes for one node, as it is now. */
#ifndef SIGNPOST_CLIENT_LOOKUP_H
#define SIGNPOST_CLIENT_LOOKUP_H

#include "client.h"

struct lookup;

/* `peer` where `error` is 0; SIGNPOST_ERROR_UNKNOWN_PEER: no index that answered knows it. */
typedef void (*lookup_done)(int error, const signpost_peer_t *peer, void *user);

/* `done` comes exactly once, from the loop, unless it is cancelled; then the lookup is gone. NULL:
 * no index is ready, or there is no memory. */
struct lookup *lookup_start(signpost_t *client, const char *id, lookup_done done, void *user);
void lookup_cancel(struct lookup *lookup); /* NULL is fine; not from inside `done` */

#endif
