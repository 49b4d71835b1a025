/* Sockets that are listened on, and what is accepted there. Knows nothing of HTTP. */
#ifndef SIGNPOST_HTTP_LISTEN_H
#define SIGNPOST_HTTP_LISTEN_H

#include "error.h"
#include "net/address.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

struct listeners;

/* `fd` is the callback's to close; `tag` as it was given for the listener. */
typedef void (*listeners_accepted)(
    int fd, const struct sockaddr *peer, socklen_t peer_size, int tag, void *user);

/* `done` is called after each turn of accepting. NULL where memory is out. */
struct listeners *listeners_new(
    uv_loop_t *uv, listeners_accepted accepted, void (*done)(void *user), void *user);

/* `ret_port` is the one taken where `port` is 0. ERROR_BAD_REQUEST where the address cannot be
 * listened on, with a sentence that names the `option` that gave it. */
int listeners_add(struct listeners *listeners, const struct address *address, uint16_t port,
    int tag, const char *option, uint16_t *ret_port, struct fault *ret_fault);

/* Where descriptors or memory run out, a listener pauses until it is told to go on. */
bool listeners_pause(const struct listeners *listeners);
void listeners_go_on(struct listeners *listeners);

void listeners_close(struct listeners *listeners); /* then run the loop before freeing */
void listeners_free(struct listeners *listeners);  /* NULL is fine */

uint16_t listeners_port_of(const struct sockaddr *name);

#endif
