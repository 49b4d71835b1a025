/*
 * STUN on the loop: each address that it has listens on a port and the one after it, and each reply
 * leaves from where its request came to. Strangers are limited by prefix, and past the limit
 * nothing is said.
 */
#ifndef SIGNPOST_NET_STUN_SERVER_H
#define SIGNPOST_NET_STUN_SERVER_H

#include "clock.h"
#include "net/address.h"

#include <uv.h>

#define STUN_PORTS 2 /* of each address */

struct stun_server;

struct stun_server *stun_server_new(uv_loop_t *uv, const struct clock *clock); /* NULL: no memory */

/* `port` and the next one; 0: two that are free. ERROR_BAD_REQUEST with a sentence where that
 * cannot be. */
int stun_server_listen(struct stun_server *server, const struct address *address, uint16_t port,
    uint16_t ret_ports[STUN_PORTS], struct fault *ret_fault);

void stun_server_close(struct stun_server *server); /* then run the loop once more before freeing */
void stun_server_free(struct stun_server *server);  /* NULL is fine */

#endif
