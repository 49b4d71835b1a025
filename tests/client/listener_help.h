/* A listener and those who come to it, for its tests. */
#ifndef SIGNPOST_TESTS_LISTENER_HELP_H
#define SIGNPOST_TESTS_LISTENER_HELP_H

#include "direct/listener.h"
#include "socket_help.h"

/* A listener on every address, and what it has handed over. */
struct hall {
    uv_loop_t *loop;
    struct listener *listener;
    uint16_t port;
    unsigned guests; /* handed over */
    int fd;          /* of the last one; -1: none */
    char peer[65];
    void *ticket_user;
    bool closed;
    bool closes_itself; /* as soon as somebody was handed over */
};

/* In place, since the listener points to it. `host` as listener_new has it. */
void hall_open(void **state, struct hall *ret_hall, const char *host);
void hall_close(struct hall *hall); /* and runs the loop until it is */
void hall_wait_for_guests(struct hall *hall, unsigned guests);
void hall_turn(struct hall *hall); /* lets the loop do what there is to do */

/* Who is dialling as "dialer" with the ticket of number `number`. */
struct visitor {
    int fd;
    struct greet_ticket ticket;
    struct greeting greeting;
    uint8_t hello[GREET_HELLO_SIZE], proof[GREET_PROOF_SIZE];
};

struct greet_ticket hall_ticket(uint8_t number);
void hall_expect(struct hall *hall, uint8_t number, void *ticket_user);
struct visitor visitor_come(const struct hall *hall, uint8_t number);  /* and say nothing yet */
struct visitor visitor_greet(const struct hall *hall, uint8_t number); /* and say hello */

/* The reply has come and was right, and the proof is made. */
void visitor_take_reply(struct hall *hall, struct visitor *visitor);
void visitor_assert_unanswered(struct hall *hall, const struct visitor *visitor);
void visitor_prove(const struct visitor *visitor);

/* All of it, and both ends are joined. */
void hall_assert_serves(struct hall *hall, uint8_t number);

#endif
