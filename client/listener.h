/*
 * Takes TCP connections and greets those who dial: who knows the secret of a ticket is handed over,
 * everyone else gets silence and a close. It holds few strangers, and none of them for long.
 */
#ifndef SIGNPOST_CLIENT_LISTENER_H
#define SIGNPOST_CLIENT_LISTENER_H

#include "greet.h"

#include <uv.h>

#define LISTENER_GUESTS_MAX                                                                        \
    64                         /* connections that are not greeted yet; the oldest goes, of those  \
                                  first that have named no ticket */
#define LISTENER_GREET_MS 5000 /* so long each may take; a ticket may come so much later too */
#define LISTENER_TICKETS_MAX 256

struct listener;

/* The ticket is used up. `fd` is connected, non-blocking, closed on exec, TCP_NODELAY, of the
 * peer's bytes only the greeting was read; it belongs to the callback now. */
typedef void (*listener_guest)(int fd, const char *peer, void *ticket_user, void *user);

/* `host`: an address literal, or NULL: all of both families, where there is IPv6. `port` 0: one
 * that is free. `own`: our node id. 0, SIGNPOST_ERROR_INVALID (no address), SIGNPOST_ERROR_ADDRESS
 * or SIGNPOST_ERROR_NO_MEMORY; on failure the loop has to run once more. */
int listener_new(uv_loop_t *loop, const char *host, uint16_t port, const char *own,
    listener_guest guest, void *user, struct listener **ret_listener);
uint16_t listener_port(const struct listener *listener);

/* Takes no more, forgets tickets and guests; `closed` comes from the loop; frees. */
void listener_close(struct listener *listener, void (*closed)(void *user), void *user);

/* The peer may dial with this ticket, once, until it is withdrawn. A guest who came before with it
 * is served now; `guest` never comes from inside this. SIGNPOST_ERROR_FULL, _NO_MEMORY. */
int listener_expect(struct listener *listener, const struct greet_ticket *ticket, const char *peer,
    void *ticket_user);
void listener_withdraw(struct listener *listener, const void *ticket_user); /* all with this user */

#endif
