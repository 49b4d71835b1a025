#include "fake_acceptor.h"

#include "direct/stream.h"
#include "socket_help.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define NEEDED_MOST GREET_HELLO_SIZE

struct acceptor_guest {
    struct acceptor *acceptor;
    struct acceptor_guest *next;
    uv_tcp_t tcp;
    uv_timer_t turn; /* for those who are slow */
    unsigned handles;
    struct greeting greeting;
    uint8_t bytes[NEEDED_MOST], reply[GREET_REPLY_SIZE];
    size_t size, needed, said;
};

static void on_closed(uv_handle_t *handle)
{
    struct acceptor_guest *guest = handle->data;

    if (--guest->handles == 0)
        free(guest);
}

static void end(struct acceptor_guest *guest)
{
    struct acceptor_guest **at = &guest->acceptor->guests;

    while (*at != guest)
        at = &(*at)->next;
    *at = guest->next;
    guest->acceptor->over++;
    uv_close((uv_handle_t *)&guest->tcp, on_closed);
    uv_close((uv_handle_t *)&guest->turn, on_closed);
}

static void say(struct acceptor_guest *guest, const void *bytes, size_t size)
{
    assert_true(stream_send(&guest->tcp, bytes, size));
}

/* Closed from now on, it says so in the way that leaves nothing to be sent. */
static void reset(const struct acceptor_guest *guest)
{
    const struct linger at_once = {.l_onoff = 1};
    uv_os_fd_t fd;

    assert_int_equal(uv_fileno((const uv_handle_t *)&guest->tcp, &fd), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
}

static void on_turn(uv_timer_t *timer)
{
    struct acceptor_guest *guest = timer->data;

    say(guest, guest->reply + guest->said, 1);
    if (++guest->said == sizeof guest->reply)
        uv_timer_stop(timer);
}

static void answer(struct acceptor_guest *guest)
{
    struct acceptor *acceptor = guest->acceptor;
    struct greet_ticket ticket = *acceptor->ticket;
    uint8_t nonce[GREET_NONCE_SIZE] = {7};
    uint8_t text[GREET_REPLY_SIZE + 64];

    if (acceptor->manner == ACCEPTOR_LIES)
        ticket.secret[0] ^= 1;
    greet_answer(&ticket, acceptor->dialer, acceptor->own, guest->bytes, nonce, &guest->greeting,
        guest->reply);
    guest->size = 0;
    guest->needed = GREET_PROOF_SIZE;
    if (acceptor->manner == ACCEPTOR_GREETS_SLOWLY) {
        uv_timer_start(&guest->turn, on_turn, 1, 1);
        return;
    }
    memcpy(text, guest->reply, sizeof guest->reply);
    if (acceptor->behind_size)
        memcpy(text + sizeof guest->reply, acceptor->behind, acceptor->behind_size);
    bool broken = acceptor->manner == ACCEPTOR_BREAKS_OFF;
    say(guest, text, broken ? GREET_REPLY_SIZE - 1 : GREET_REPLY_SIZE + acceptor->behind_size);
    if (acceptor->manner == ACCEPTOR_RESETS)
        reset(guest);
    if (broken || acceptor->manner == ACCEPTOR_RESETS)
        end(guest);
}

static void take_hello(struct acceptor_guest *guest)
{
    struct acceptor *acceptor = guest->acceptor;
    uint8_t name[GREET_NAME_SIZE];

    memcpy(acceptor->hello, guest->bytes, sizeof acceptor->hello);
    assert_true(greet_read_hello(guest->bytes, name));
    assert_true(greet_is_ticket(acceptor->ticket, name));
    if (acceptor->manner == ACCEPTOR_HANGS_UP)
        end(guest);
    else if (acceptor->manner == ACCEPTOR_SAYS_NOTHING)
        guest->size = 0;
    else
        answer(guest);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct acceptor_guest *guest = handle->data;

    (void)suggested;
    *buffer =
        uv_buf_init((char *)guest->bytes + guest->size, (unsigned)(guest->needed - guest->size));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct acceptor_guest *guest = stream->data;
    struct acceptor *acceptor = guest->acceptor;

    if (size < 0) {
        end(guest);
        return;
    }
    (void)buffer;
    guest->size += (size_t)size;
    if (guest->size < guest->needed)
        return;
    if (guest->needed == GREET_HELLO_SIZE) {
        take_hello(guest);
        return;
    }
    assert_true(greet_take_proof(&guest->greeting, guest->bytes));
    acceptor->greeted++;
    acceptor->fd = stream_copy(&guest->tcp);
    end(guest);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct acceptor *acceptor = server->data;
    struct acceptor_guest *guest = calloc(1, sizeof *guest);

    assert_int_equal(status, 0);
    assert_non_null(guest);
    guest->acceptor = acceptor;
    guest->needed = GREET_HELLO_SIZE;
    uv_tcp_init(server->loop, &guest->tcp);
    uv_timer_init(server->loop, &guest->turn);
    guest->handles = 2;
    guest->tcp.data = guest->turn.data = guest;
    guest->next = acceptor->guests;
    acceptor->guests = guest;
    assert_int_equal(uv_accept(server, (uv_stream_t *)&guest->tcp), 0);
    acceptor->accepted++;
    if (acceptor->order)
        acceptor->place = ++*acceptor->order;
    uv_read_start((uv_stream_t *)&guest->tcp, on_room, on_read);
}

void acceptor_start(uv_loop_t *loop, struct acceptor *acceptor, const char *host, uint16_t port)
{
    struct sockaddr_storage address = sockets_address(host, port);
    int size = sizeof address;

    acceptor->fd = -1;
    assert_int_equal(uv_tcp_init(loop, &acceptor->server), 0);
    acceptor->server.data = acceptor;
    assert_int_equal(uv_tcp_bind(&acceptor->server, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&acceptor->server, 128, on_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&acceptor->server, (struct sockaddr *)&address, &size), 0);
    acceptor->port =
        ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                           : ((struct sockaddr_in6 *)&address)->sin6_port);
}

void acceptor_stop(struct acceptor *acceptor)
{
    while (acceptor->guests)
        end(acceptor->guests);
    help_close((uv_handle_t *)&acceptor->server);
}
