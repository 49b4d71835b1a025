#include "listener.h"

#include "endpoint.h"
#include "secret.h"
#include "signpost.h"
#include "stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The door is a plain socket. As a server of libuv's it would take whoever waits there before it
 * reads from any, so that in a rush nobody gets a word in before making room for the next; and it
 * would try again without end where the process has no descriptor left.
 */

#define BACKLOG 128
#define REST_MS 100 /* where this machine has run out of something */

struct ticket {
    struct ticket *next;
    struct greet_ticket greet;
    char peer[65];
    void *user;
};

enum guest_state {
    GUEST_HELLO, /* says hello */
    GUEST_HELD,  /* has named a ticket that is not known, and is not read from */
    GUEST_PROOF  /* was answered, and has to prove itself */
};

/* A connection that is not greeted yet. */
struct guest {
    struct listener *listener;
    uv_tcp_t tcp;
    uint64_t deadline_ms; /* by the loop's clock */
    enum guest_state state;
    struct ticket *ticket; /* where the state is PROOF */
    struct greeting greeting;
    uint8_t name[GREET_NAME_SIZE]; /* of the ticket it wants */
    uint8_t hello[GREET_HELLO_SIZE], proof[GREET_PROOF_SIZE];
    size_t size; /* of whichever of the two is being read */
};

struct listener {
    uv_loop_t *loop;
    int fd;
    uv_poll_t door;
    uv_timer_t timer; /* for the oldest guest, or for the end of the rest */
    unsigned handles; /* that are not closed yet */
    bool resting;     /* takes nobody */
    uint16_t port;
    char own[65];
    listener_guest guest;
    void *user;
    void (*closed)(void *user);
    void *closed_user;
    struct ticket *tickets;
    size_t ticket_count;
    struct guest *guests[LISTENER_GUESTS_MAX]; /* the oldest first, so by their deadlines */
    size_t guest_count;
};

/* --- the end of things ----------------------------------------------------------------------- */

static void handle_closed(struct listener *listener)
{
    void (*closed)(void *user) = listener->closed;
    void *user = listener->closed_user;

    if (--listener->handles > 0)
        return;
    free(listener);
    if (closed)
        closed(user);
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

static void on_door_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;

    close(listener->fd);
    handle_closed(listener);
}

static void on_guest_closed(uv_handle_t *handle)
{
    struct guest *guest = handle->data;
    struct listener *listener = guest->listener;

    free(guest);
    handle_closed(listener);
}

static void drop_guest_at(struct listener *listener, size_t place)
{
    struct guest *guest = listener->guests[place];

    listener->guest_count--;
    memmove(listener->guests + place, listener->guests + place + 1,
        (listener->guest_count - place) * sizeof listener->guests[0]);
    uv_close((uv_handle_t *)&guest->tcp, on_guest_closed);
}

static void drop_guest(struct guest *guest)
{
    size_t place = 0;

    while (guest->listener->guests[place] != guest)
        place++;
    drop_guest_at(guest->listener, place);
}

/* Takes it out, with the guests that were answered for it; the caller frees it. */
static void take_out(struct listener *listener, struct ticket *ticket)
{
    struct ticket **at = &listener->tickets;

    while (*at != ticket)
        at = &(*at)->next;
    *at = ticket->next;
    listener->ticket_count--;
    for (size_t i = listener->guest_count; i-- > 0;)
        if (listener->guests[i]->ticket == ticket)
            drop_guest_at(listener, i);
}

/* --- the greeting ---------------------------------------------------------------------------- */

/* Exactly what is needed, so that nothing of what follows is taken from the socket. */
static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct guest *guest = handle->data;
    bool proof = guest->state == GUEST_PROOF;
    uint8_t *bytes = proof ? guest->proof : guest->hello;
    size_t size = proof ? sizeof guest->proof : sizeof guest->hello;

    (void)suggested;
    *buffer = uv_buf_init((char *)bytes + guest->size, (unsigned)(size - guest->size));
}

/* Whichever proof comes first uses the ticket up, so that nobody has a second try. */
static void take_proof(struct guest *guest)
{
    struct listener *listener = guest->listener;
    struct ticket *ticket = guest->ticket;
    int fd = -1;

    if (greet_take_proof(&guest->greeting, guest->proof))
        fd = stream_copy(&guest->tcp);
    take_out(listener, ticket); /* and this guest */
    if (fd >= 0)
        listener->guest(fd, ticket->peer, ticket->user, listener->user);
    free(ticket);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer);

/* Who has a ticket is not to take all places with it. */
static bool is_crowded(const struct listener *listener, const struct ticket *ticket)
{
    unsigned count = 0;

    for (size_t i = 0; i < listener->guest_count; i++)
        count += listener->guests[i]->ticket == ticket;
    return count >= LISTENER_GUESTS_OF_TICKET;
}

static void answer(struct guest *guest, struct ticket *ticket)
{
    uint8_t nonce[GREET_NONCE_SIZE], reply[GREET_REPLY_SIZE];

    if (is_crowded(guest->listener, ticket) || secret_random(nonce, sizeof nonce)) {
        drop_guest(guest);
        return;
    }
    greet_answer(&ticket->greet, ticket->peer, guest->listener->own, guest->hello, nonce,
        &guest->greeting, reply);
    guest->state = GUEST_PROOF;
    guest->ticket = ticket;
    guest->size = 0;
    if (!stream_send(&guest->tcp, reply, sizeof reply) ||
        uv_read_start((uv_stream_t *)&guest->tcp, on_room, on_read))
        drop_guest(guest);
}

static void take_hello(struct guest *guest)
{
    if (!greet_read_hello(guest->hello, guest->name)) {
        drop_guest(guest);
        return;
    }
    guest->state = GUEST_HELD;
    for (struct ticket *at = guest->listener->tickets; at; at = at->next)
        if (greet_is_ticket(&at->greet, guest->name)) {
            answer(guest, at);
            return;
        }
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct guest *guest = stream->data;
    bool proof = guest->state == GUEST_PROOF;

    (void)buffer;
    if (size < 0) {
        drop_guest(guest);
        return;
    }
    guest->size += (size_t)size;
    if (guest->size < (proof ? sizeof guest->proof : sizeof guest->hello))
        return;
    uv_read_stop(stream);
    if (proof)
        take_proof(guest);
    else
        take_hello(guest);
}

/* --- those who come -------------------------------------------------------------------------- */

static void on_door(uv_poll_t *door, int status, int events);

static void on_timer(uv_timer_t *timer)
{
    struct listener *listener = timer->data;
    uint64_t now_ms = uv_now(listener->loop);

    if (listener->resting)
        listener->resting = uv_poll_start(&listener->door, UV_READABLE, on_door) != 0;
    while (listener->guest_count > 0 && listener->guests[0]->deadline_ms <= now_ms)
        drop_guest_at(listener, 0);
    if (listener->resting)
        uv_timer_start(timer, on_timer, REST_MS, 0);
    else if (listener->guest_count > 0)
        uv_timer_start(timer, on_timer, listener->guests[0]->deadline_ms - now_ms, 0);
}

static void rest(struct listener *listener)
{
    listener->resting = true;
    uv_poll_stop(&listener->door);
    uv_timer_start(&listener->timer, on_timer, REST_MS, 0);
}

/* Room for one more: the oldest goes that has named no ticket, or none that is known. */
static bool make_room(struct listener *listener)
{
    for (size_t i = 0; i < listener->guest_count; i++)
        if (listener->guests[i]->state != GUEST_PROOF) {
            drop_guest_at(listener, i);
            return true;
        }
    return false;
}

static void take_guest(struct listener *listener, int fd)
{
    struct guest *guest = calloc(1, sizeof *guest);

    if (!guest) {
        close(fd);
        return;
    }
    uv_tcp_init(listener->loop, &guest->tcp);
    guest->tcp.data = guest;
    guest->listener = listener;
    guest->deadline_ms = uv_now(listener->loop) + LISTENER_GREET_MS;
    listener->handles++;
    int error = uv_tcp_open(&guest->tcp, fd);
    if (error)
        close(fd);
    if (error || uv_tcp_nodelay(&guest->tcp, 1) ||
        (listener->guest_count == LISTENER_GUESTS_MAX && !make_room(listener)) ||
        uv_read_start((uv_stream_t *)&guest->tcp, on_room, on_read)) {
        uv_close((uv_handle_t *)&guest->tcp, on_guest_closed);
        return;
    }
    listener->guests[listener->guest_count++] = guest;
    if (!uv_is_active((uv_handle_t *)&listener->timer))
        uv_timer_start(&listener->timer, on_timer, LISTENER_GREET_MS, 0);
}

/* One in each turn of the loop. */
static void on_door(uv_poll_t *door, int status, int events)
{
    struct listener *listener = door->data;
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)events;
    if (fd >= 0)
        take_guest(listener, fd);
    else if (status < 0 || errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
             errno == ENOMEM)
        rest(listener);
}

/* --- tickets --------------------------------------------------------------------------------- */

int listener_expect(struct listener *listener, const struct greet_ticket *ticket, const char *peer,
    void *ticket_user)
{
    struct ticket *expected;

    if (listener->ticket_count == LISTENER_TICKETS_MAX)
        return SIGNPOST_ERROR_FULL;
    expected = calloc(1, sizeof *expected);
    if (!expected)
        return SIGNPOST_ERROR_NO_MEMORY;
    expected->greet = *ticket;
    snprintf(expected->peer, sizeof expected->peer, "%s", peer);
    expected->user = ticket_user;
    expected->next = listener->tickets;
    listener->tickets = expected;
    listener->ticket_count++;
    for (size_t i = listener->guest_count; i-- > 0;) {
        struct guest *guest = listener->guests[i];
        if (guest->state == GUEST_HELD && greet_is_ticket(ticket, guest->name))
            answer(guest, expected);
    }
    return 0;
}

void listener_withdraw(struct listener *listener, const void *ticket_user)
{
    struct ticket *next;

    for (struct ticket *ticket = listener->tickets; ticket; ticket = next) {
        next = ticket->next;
        if (ticket->user != ticket_user)
            continue;
        take_out(listener, ticket);
        free(ticket);
    }
}

/* --- life ------------------------------------------------------------------------------------ */

/* A socket that listens; -1: none. */
static int listen_at(struct sockaddr_storage *address, uint16_t port, bool ipv6_only)
{
    int yes = 1, only = ipv6_only;
    bool ipv6 = address->ss_family == AF_INET6;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (ipv6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)address)->sin_port = htons(port);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) ||
        (ipv6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only)) ||
        bind(fd, (const struct sockaddr *)address, sizeof *address) || listen(fd, BACKLOG)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* One socket for both families, where the machine has both. */
static int listen_everywhere(uint16_t port)
{
    struct sockaddr_storage both = {.ss_family = AF_INET6}, ipv4 = {.ss_family = AF_INET};
    int fd = listen_at(&both, port, false);

    return fd < 0 && errno == EAFNOSUPPORT ? listen_at(&ipv4, port, false) : fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;

    memset(&address, 0, sizeof address);
    getsockname(fd, (struct sockaddr *)&address, &size);
    return ntohs(address.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&address)->sin6_port
                                               : ((const struct sockaddr_in *)&address)->sin_port);
}

int listener_new(uv_loop_t *loop, const char *host, uint16_t port, const char *own,
    listener_guest guest, void *user, struct listener **ret_listener)
{
    struct sockaddr_storage address;
    struct listener *listener;

    if (host && !endpoint_parse_address(host, &address))
        return SIGNPOST_ERROR_INVALID;
    listener = calloc(1, sizeof *listener);
    if (!listener)
        return SIGNPOST_ERROR_NO_MEMORY;
    listener->fd = host ? listen_at(&address, port, true) : listen_everywhere(port);
    if (listener->fd < 0 || uv_poll_init(loop, &listener->door, listener->fd)) {
        if (listener->fd >= 0)
            close(listener->fd);
        free(listener);
        return SIGNPOST_ERROR_ADDRESS;
    }
    uv_timer_init(loop, &listener->timer);
    listener->door.data = listener->timer.data = listener;
    listener->handles = 2;
    listener->loop = loop;
    listener->port = port_of(listener->fd);
    listener->guest = guest;
    listener->user = user;
    snprintf(listener->own, sizeof listener->own, "%s", own);
    if (uv_poll_start(&listener->door, UV_READABLE, on_door))
        rest(listener);
    *ret_listener = listener;
    return 0;
}

uint16_t listener_port(const struct listener *listener)
{
    return listener->port;
}

void listener_close(struct listener *listener, void (*closed)(void *user), void *user)
{
    listener->closed = closed;
    listener->closed_user = user;
    while (listener->tickets) {
        struct ticket *ticket = listener->tickets;
        take_out(listener, ticket);
        free(ticket);
    }
    while (listener->guest_count > 0)
        drop_guest_at(listener, 0);
    uv_close((uv_handle_t *)&listener->door, on_door_closed);
    uv_close((uv_handle_t *)&listener->timer, on_timer_closed);
}
