/*
 * Takes TCP connections and greets those who dial: who knows the secret of a ticket is handed over,
 * everyone else gets silence and a close. It holds few strangers, and none of them for long.
 */
#ifndef SIGNPOST_CLIENT_LISTENER_H
#define SIGNPOST_CLIENT_LISTENER_H

#include "greet.h"

#include <uv.h>

/* Connections that are not greeted yet. One more, and the oldest goes that has named no ticket that
 * is known; where all have, the new one does. */
#define LISTENER_GUESTS_MAX 64
#define LISTENER_GUESTS_OF_TICKET 16 /* of these with one ticket: nobody dials more addresses */
#define LISTENER_GREET_MS 5000 /* so long each may take; a ticket may come so much later too */
#define LISTENER_TICKETS_MAX 256

struct listener;

/* The ticket is used up. `fd` is connected, non-blocking, closed on exec, TCP_NODELAY, of the
 * peer's bytes only the greeting was read; it belongs to the callback now, which may do anything,
 * listener_close() included. */
typedef void (*listener_guest)(int fd, const char *peer, void *ticket_user, void *user);

/* `host`: an address literal, and that alone, so that "::" is IPv6 alone; NULL: all of both
 * families, where there is IPv6. `port` 0: one that is free. `own`: our node id. 0,
 * SIGNPOST_ERROR_INVALID (no address), SIGNPOST_ERROR_ADDRESS or SIGNPOST_ERROR_NO_MEMORY; on
 * failure nothing is left behind. */
int listener_new(uv_loop_t *loop, const char *host, uint16_t port, const char *own,
    listener_guest guest, void *user, struct listener **ret_listener);
uint16_t listener_port(const struct listener *listener);

/* Takes no more, forgets tickets and guests; `closed` comes from the loop; frees. */
void listener_close(struct listener *listener, void (*closed)(void *user), void *user);

/* The peer may dial with this ticket, once, until it is withdrawn: the first proof that comes for
 * it uses it up, also a wrong one, of which nobody is told. A guest who came before with it is
 * answered now; `guest` never comes from inside this. SIGNPOST_ERROR_FULL, _NO_MEMORY. */
int listener_expect(struct listener *listener, const struct greet_ticket *ticket, const char *peer,
    void *ticket_user);

/* All tickets with this user; those who were answered for one are closed. */
void listener_withdraw(struct listener *listener, const void *ticket_user);

#endif
