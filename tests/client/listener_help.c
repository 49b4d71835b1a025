#include "listener_help.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TURNS 5

static void on_closed(void *user)
{
    struct hall *hall = user;

    assert_false(hall->closed);
    hall->closed = true;
}

static void on_guest(int fd, const char *peer, void *ticket_user, void *user)
{
    struct hall *hall = user;

    hall->guests++;
    hall->fd = fd;
    snprintf(hall->peer, sizeof hall->peer, "%s", peer);
    hall->ticket_user = ticket_user;
    if (hall->closes_itself)
        listener_close(hall->listener, on_closed, hall);
}

void hall_open(void **state, struct hall *ret_hall, const char *host)
{
    struct sockets *sockets = *state;

    *ret_hall = (struct hall){.loop = &sockets->loop, .fd = -1};
    assert_int_equal(
        listener_new(ret_hall->loop, host, 0, "acceptor", on_guest, ret_hall, &ret_hall->listener),
        0);
    ret_hall->port = listener_port(ret_hall->listener);
    assert_int_not_equal(ret_hall->port, 0);
}

static bool is_closed(void *user)
{
    const struct hall *hall = user;
    return hall->closed;
}

void hall_close(struct hall *hall)
{
    if (!hall->closes_itself)
        listener_close(hall->listener, on_closed, hall);
    help_run_until(hall->loop, is_closed, hall);
}

struct waiting {
    const struct hall *hall;
    unsigned guests;
};

static bool have_come(void *user)
{
    const struct waiting *waiting = user;
    return waiting->hall->guests >= waiting->guests;
}

void hall_wait_for_guests(struct hall *hall, unsigned guests)
{
    struct waiting waiting = {hall, guests};

    help_run_until(hall->loop, have_come, &waiting);
    assert_int_equal(hall->guests, guests);
}

void hall_turn(struct hall *hall)
{
    for (unsigned i = 0; i < TURNS; i++)
        uv_run(hall->loop, UV_RUN_NOWAIT);
}

/* --- visitors -------------------------------------------------------------------------------- */

struct greet_ticket hall_ticket(uint8_t number)
{
    const uint8_t secret[GREET_SECRET_SIZE] = {number, 1};
    struct greet_ticket ticket;

    greet_make_ticket(secret, &ticket);
    return ticket;
}

void hall_expect(struct hall *hall, uint8_t number, void *ticket_user)
{
    struct greet_ticket ticket = hall_ticket(number);
    unsigned guests = hall->guests;

    assert_int_equal(listener_expect(hall->listener, &ticket, "dialer", ticket_user), 0);
    assert_int_equal(hall->guests, guests);
}

struct visitor visitor_come(const struct hall *hall, uint8_t number)
{
    static uint8_t visitors;
    const uint8_t nonce[GREET_NONCE_SIZE] = {9, ++visitors};
    struct visitor visitor = {
        .fd = sockets_connect("127.0.0.1", hall->port),
        .ticket = hall_ticket(number),
    };

    greet_begin(&visitor.ticket, "dialer", "acceptor", nonce, &visitor.greeting, visitor.hello);
    return visitor;
}

struct visitor visitor_greet(const struct hall *hall, uint8_t number)
{
    struct visitor visitor = visitor_come(hall, number);

    sockets_write(visitor.fd, visitor.hello, sizeof visitor.hello);
    return visitor;
}

void visitor_take_reply(struct hall *hall, struct visitor *visitor)
{
    uint8_t reply[GREET_REPLY_SIZE];

    assert_int_equal(sockets_read(hall->loop, visitor->fd, reply, sizeof reply), sizeof reply);
    assert_true(greet_take_reply(&visitor->greeting, reply, visitor->proof));
}

void visitor_assert_unanswered(struct hall *hall, const struct visitor *visitor)
{
    char byte;

    hall_turn(hall);
    assert_int_equal(recv(visitor->fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

void visitor_prove(const struct visitor *visitor)
{
    sockets_write(visitor->fd, visitor->proof, sizeof visitor->proof);
}

void hall_assert_serves(struct hall *hall, uint8_t number)
{
    unsigned guests = hall->guests;
    char user;

    hall_expect(hall, number, &user);
    struct visitor visitor = visitor_greet(hall, number);
    visitor_take_reply(hall, &visitor);
    visitor_prove(&visitor);
    hall_wait_for_guests(hall, guests + 1);
    assert_string_equal(hall->peer, "dialer");
    assert_ptr_equal(hall->ticket_user, &user);
    sockets_assert_handed_over(hall->fd);
    sockets_assert_joined(hall->loop, visitor.fd, hall->fd);
    close(visitor.fd);
    close(hall->fd);
}
