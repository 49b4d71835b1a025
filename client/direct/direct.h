/*
 * Direct connections: the requests of the application, the listener, and the sessions of kind
 * "direct" by which two clients agree on who dials whom, and on the secret of the greeting.
 */
#ifndef SIGNPOST_CLIENT_DIRECT_H
#define SIGNPOST_CLIENT_DIRECT_H

#include "client.h"

#include <sys/socket.h>

struct direct;

int direct_new(signpost_t *client, struct direct **ret_direct);
void direct_stop(struct direct *direct);  /* every request fails with STOPPED, from the loop */
void direct_close(struct direct *direct); /* frees it once its handles are closed */

/* Our interface addresses changed, and so may what is announced of the listener. */
void direct_addresses_changed(struct direct *direct);

bool direct_is_own(const signpost_t *client, const struct sockaddr_storage *address);

#endif
