/*
 * TLS handshakes under way. libmicrohttpd 0.9.75 looks at a connection in one again and again until
 * the client has answered, which takes a whole processor. So whenever it is the client's turn the
 * connection is suspended, and its socket watched here.
 */
#ifndef SIGNPOST_HTTP_HANDSHAKE_H
#define SIGNPOST_HTTP_HANDSHAKE_H

#include <microhttpd.h>
#include <stdbool.h>
#include <uv.h>

struct handshakes;

enum handshake_state {
    HANDSHAKE_NONE,   /* not begun, or over */
    HANDSHAKE_ACTIVE, /* libmicrohttpd's turn */
    HANDSHAKE_RESTING /* the client's turn: suspended and watched */
};

/* Embedded in a connection; zeroed it is none. */
struct handshake {
    struct handshake *next, *previous; /* of those in the same state */
    struct MHD_Connection *mhd;
    int fd;
    enum handshake_state state;
    bool heard; /* something came from the client */
};

/* `heard` is called for each when its first byte has come and nothing was read yet; `woken` after
 * some were resumed: libmicrohttpd has to run. Returns 0 or ERROR_NO_MEMORY. */
int handshakes_new(uv_loop_t *uv, void (*heard)(struct handshake *handshake, void *user),
    void (*woken)(void *user), void *user, struct handshakes **ret_handshakes);

void handshake_begin(
    struct handshakes *handshakes, struct handshake *handshake, struct MHD_Connection *mhd, int fd);
void handshake_end(struct handshakes *handshakes, struct handshake *handshake); /* or never begun */

/* After libmicrohttpd has run, or has got a new connection: all that are under way wait for their
 * clients. Not from inside its callbacks. */
void handshakes_rest(struct handshakes *handshakes);

/* Nothing is suspended any more, so that libmicrohttpd can be stopped. */
void handshakes_wake(struct handshakes *handshakes);

void handshakes_close(struct handshakes *handshakes); /* run the loop once more before freeing */
void handshakes_free(struct handshakes *handshakes);  /* NULL is fine */

#endif
