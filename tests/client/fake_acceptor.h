/* Acceptors that do as they are told, for the tests of those who dial. */
#ifndef SIGNPOST_TESTS_FAKE_ACCEPTOR_H
#define SIGNPOST_TESTS_FAKE_ACCEPTOR_H

#include "direct/greet.h"

#include <uv.h>

enum acceptor_manner {
    ACCEPTOR_GREETS,
    ACCEPTOR_GREETS_SLOWLY, /* a byte in each turn of the loop */
    ACCEPTOR_SAYS_NOTHING,
    ACCEPTOR_HANGS_UP,   /* when it has the hello */
    ACCEPTOR_BREAKS_OFF, /* in the middle of the reply */
    ACCEPTOR_RESETS,     /* behind a reply that is right */
    ACCEPTOR_LIES        /* with a proof from another secret */
};

/* One address, and the connections that came there. */
struct acceptor {
    enum acceptor_manner manner;
    const struct greet_ticket *ticket;
    const char *dialer, *own; /* ids */
    const void *behind;       /* follows the reply in the same write */
    size_t behind_size;
    unsigned *order;   /* counts connections to all that share it; may be NULL */
    unsigned place;    /* of the last one in that order, from 1 */
    unsigned accepted; /* connections that came */
    unsigned over;     /* that the dialer has closed, or were hung up */
    unsigned greeted;  /* whose proof was right */
    int fd;            /* of the one that was greeted last, from then on the test's; -1: none */
    uint8_t hello[GREET_HELLO_SIZE]; /* the last one */
    uint16_t port;
    uv_tcp_t server;
    struct acceptor_guest *guests;
};

/* `acceptor` has its manner and what belongs to it; `port` 0: any. */
void acceptor_start(uv_loop_t *loop, struct acceptor *acceptor, const char *host, uint16_t port);
void acceptor_stop(struct acceptor *acceptor); /* closes all but `fd`, and runs the loop for it */

#endif
