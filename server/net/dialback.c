#include "net/dialback.h"

#include "server_limits.h"

#include <netinet/in.h>
#include <nettle/base16.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROOF_CHARS (2 * SHA256_DIGEST_SIZE)
#define NONCE_CHARS (2 * DIALBACK_NONCE_BYTES)
#define RECEIVE_BUFFER_BYTES 4096 /* of the kernel: who floods us fills no more */

_Static_assert(LIMIT_CHECK_CONNECT_MS + LIMIT_CHECK_GREETING_MS <= LIMIT_CHECK_MS,
    "a check over TCP ends in time");
_Static_assert(LIMIT_CHECK_DATAGRAMS *LIMIT_CHECK_DATAGRAM_EVERY_MS <= LIMIT_CHECK_MS,
    "a check over UDP ends in time");

struct dialbacks {
    uv_loop_t *uv;
    struct dialback *first; /* those under way, in no order */
    size_t count;
    bool stopped;
};

struct dialback {
    struct dialbacks *owner;
    struct dialback *next, *previous;
    struct dialback_request request;
    dialback_done done;
    void *user;
    union {
        uv_handle_t handle;
        uv_tcp_t tcp;
        uv_udp_t udp;
    } socket;
    uv_timer_t timer; /* the deadline, or the next datagram */
    uv_connect_t connect;
    int start_error; /* found on the spot, told by the timer */
    int handles;     /* not closed yet */
    bool ended;
    int datagrams; /* looked after so far */
    int sent;      /* of these */
    uint64_t begun_ns;
    double ms; /* until it was known whether it connects */
    struct address dialed_from;
    char heard[PROOF_CHARS];
    size_t heard_length;
};

/* --- the end --------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct dialback *dialback = handle->data;

    if (--dialback->handles == 0)
        free(dialback);
}

static void unlink_dialback(struct dialback *dialback)
{
    struct dialbacks *owner = dialback->owner;

    if (dialback->previous)
        dialback->previous->next = dialback->next;
    else
        owner->first = dialback->next;
    if (dialback->next)
        dialback->next->previous = dialback->previous;
    owner->count--;
}

static double elapsed_ms(const struct dialback *dialback)
{
    return (double)(uv_hrtime() - dialback->begun_ns) / 1e6;
}

/* The socket is closed before anyone hears of the result. */
static void end(struct dialback *dialback, enum dialback_result result)
{
    if (dialback->ended)
        return;
    dialback->ended = true;
    unlink_dialback(dialback);
    uv_close(&dialback->socket.handle, on_closed);
    uv_close((uv_handle_t *)&dialback->timer, on_closed);
    struct dialback_report report = {
        .result = result,
        .dialed_from = dialback->dialed_from,
        .ms = dialback->ms >= 0 ? dialback->ms : elapsed_ms(dialback),
    };
    dialback->done(&report, dialback->user);
}

static enum dialback_result result_of(int status)
{
    switch (status) {
    case UV_ECONNREFUSED:
    case UV_ECONNRESET: return DIALBACK_REFUSED;
    case UV_ETIMEDOUT: return DIALBACK_TIMEOUT;
    default: return DIALBACK_UNREACHABLE;
    }
}

/* --- TCP ------------------------------------------------------------------------------------- */

/* The proof that who listens knows the nonce, and was asked for this port. */
static bool is_proved(const struct dialback *dialback)
{
    struct hmac_sha256_ctx hmac;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char expected[PROOF_CHARS];
    char message[sizeof "signpost-check:65535"];

    if (dialback->heard_length != PROOF_CHARS)
        return false;
    int length =
        snprintf(message, sizeof message, "signpost-check:%u", (unsigned)dialback->request.port);
    hmac_sha256_set_key(&hmac, DIALBACK_NONCE_BYTES, dialback->request.nonce);
    hmac_sha256_update(&hmac, (size_t)length, (const uint8_t *)message);
    hmac_sha256_digest(&hmac, sizeof digest, digest);
    base16_encode_update(expected, sizeof digest, digest);
    return memeql_sec(expected, dialback->heard, PROOF_CHARS);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
    struct dialback *dialback = handle->data;

    (void)suggested;
    ret_buffer->base = dialback->heard + dialback->heard_length;
    ret_buffer->len = PROOF_CHARS - dialback->heard_length;
}

static void on_heard(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct dialback *dialback = stream->data;

    (void)buffer;
    if (length > 0)
        dialback->heard_length += (size_t)length;
    if (dialback->heard_length == PROOF_CHARS)
        end(dialback, is_proved(dialback) ? DIALBACK_OPEN : DIALBACK_CONNECTED);
    else if (length < 0)
        end(dialback, DIALBACK_CONNECTED);
}

static void on_silent(uv_timer_t *timer)
{
    end(timer->data, DIALBACK_CONNECTED);
}

static void on_late(uv_timer_t *timer)
{
    end(timer->data, DIALBACK_TIMEOUT);
}

/* Of the socket's own end; its port too where `ret_port` is not NULL. */
static void note_own_address(struct dialback *dialback, uint16_t *ret_port)
{
    struct sockaddr_storage own;
    int length = sizeof own;
    int error = dialback->request.udp
                    ? uv_udp_getsockname(&dialback->socket.udp, (struct sockaddr *)&own, &length)
                    : uv_tcp_getsockname(&dialback->socket.tcp, (struct sockaddr *)&own, &length);

    struct address address;
    if (error || !address_from_sockaddr((struct sockaddr *)&own, &address) ||
        address_classify(&address) == ADDRESS_UNSPECIFIED)
        return;
    dialback->dialed_from = address;
    if (ret_port)
        *ret_port = ntohs(own.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&own)->sin6_port
                                                    : ((struct sockaddr_in *)&own)->sin_port);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct dialback *dialback = connect->data;
    uint16_t own_port = 0;

    if (dialback->ended)
        return;
    dialback->ms = elapsed_ms(dialback);
    if (status) {
        end(dialback, result_of(status));
        return;
    }
    note_own_address(dialback, &own_port);
    /* On one machine a socket may by chance have met itself: nobody listens there. */
    if (own_port == dialback->request.port &&
        address_equal(&dialback->dialed_from, &dialback->request.address)) {
        end(dialback, DIALBACK_REFUSED);
        return;
    }
    /* One deadline for all that it says: who dribbles gains nothing. */
    uv_timer_start(&dialback->timer, on_silent, LIMIT_CHECK_GREETING_MS, 0);
    if (uv_read_start((uv_stream_t *)&dialback->socket.tcp, on_room, on_heard))
        end(dialback, DIALBACK_CONNECTED);
}

static void on_start_failed(uv_timer_t *timer)
{
    struct dialback *dialback = timer->data;
    end(dialback, result_of(dialback->start_error));
}

static int bind_to(struct dialback *dialback)
{
    struct sockaddr_storage from;

    if (!dialback->request.from.family)
        return 0;
    dialback->dialed_from = dialback->request.from;
    address_to_sockaddr(&dialback->request.from, 0, &from);
    if (dialback->request.udp)
        return uv_udp_bind(&dialback->socket.udp, (struct sockaddr *)&from, 0);
    return uv_tcp_bind(&dialback->socket.tcp, (struct sockaddr *)&from, 0);
}

static int start_tcp(struct dialback *dialback, const struct sockaddr *to)
{
    int buffer = RECEIVE_BUFFER_BYTES;
    int error = bind_to(dialback);

    uv_recv_buffer_size(&dialback->socket.handle, &buffer);
    dialback->connect.data = dialback;
    if (!error)
        error = uv_tcp_connect(&dialback->connect, &dialback->socket.tcp, to, on_connected);
    if (error)
        return error;
    note_own_address(dialback, NULL);
    uv_timer_start(&dialback->timer, on_late, (uint64_t)dialback->request.connect_ms, 0);
    return 0;
}

/* --- UDP ------------------------------------------------------------------------------------- */

static int send_nonce(struct dialback *dialback)
{
    char nonce[NONCE_CHARS];
    uv_buf_t datagram = uv_buf_init(nonce, sizeof nonce);
    int sent;

    base16_encode_update(nonce, DIALBACK_NONCE_BYTES, dialback->request.nonce);
    sent = uv_udp_try_send(&dialback->socket.udp, &datagram, 1, NULL);
    /* What came back for the last one is told by the next send, which then sends nothing. */
    if (sent == UV_ECONNREFUSED || (sent < 0 && dialback->sent))
        sent = uv_udp_try_send(&dialback->socket.udp, &datagram, 1, NULL);
    return sent;
}

static void on_next_datagram(uv_timer_t *timer)
{
    struct dialback *dialback = timer->data;
    int sent = send_nonce(dialback);

    dialback->datagrams++;
    if (sent >= 0)
        dialback->sent++;
    else if (!dialback->sent && sent != UV_EAGAIN) {
        end(dialback, DIALBACK_UNREACHABLE);
        return;
    }
    if (dialback->datagrams == LIMIT_CHECK_DATAGRAMS)
        end(dialback, dialback->sent ? DIALBACK_SENT : DIALBACK_UNREACHABLE);
}

static int start_udp(struct dialback *dialback, const struct sockaddr *to)
{
    int error = bind_to(dialback);

    if (!error)
        error = uv_udp_connect(&dialback->socket.udp, to);
    if (error)
        return error;
    note_own_address(dialback, NULL);
    uv_timer_start(&dialback->timer, on_next_datagram, 0, LIMIT_CHECK_DATAGRAM_EVERY_MS);
    return 0;
}

/* --- one dial-back --------------------------------------------------------------------------- */

static int refuse_socket(struct fault *ret_fault)
{
    fault_set(ret_fault, ERROR_INDEX_FULL,
        "this index makes as many checks as it can at once (%d): ask again in a few seconds",
        LIMIT_CHECK_SOCKETS);
    ret_fault->retry_after_s = LIMIT_CHECK_MS / 1000;
    ret_fault->action = "retry";
    return ret_fault->error;
}

int dialbacks_room(const struct dialbacks *dialbacks, struct fault *ret_fault)
{
    if (dialbacks->stopped) {
        fault_set(ret_fault, ERROR_NOT_READY, "this index is stopping: ask again in a moment");
        ret_fault->action = "retry";
        return ret_fault->error;
    }
    return dialbacks->count < LIMIT_CHECK_SOCKETS ? 0 : refuse_socket(ret_fault);
}

static void link_dialback(struct dialback *dialback)
{
    struct dialbacks *owner = dialback->owner;

    dialback->next = owner->first;
    if (owner->first)
        owner->first->previous = dialback;
    owner->first = dialback;
    owner->count++;
}

int dialback_start(struct dialbacks *dialbacks, const struct dialback_request *request,
    dialback_done done, void *user, struct dialback **ret_dialback, struct fault *ret_fault)
{
    struct sockaddr_storage to;
    unsigned family = request->address.family == 6 ? AF_INET6 : AF_INET;

    if (dialbacks_room(dialbacks, ret_fault))
        return ret_fault->error;
    struct dialback *dialback = calloc(1, sizeof *dialback);
    if (!dialback)
        return fault_busy(ret_fault, ERROR_NO_MEMORY);
    dialback->owner = dialbacks;
    dialback->request = *request;
    dialback->done = done;
    dialback->user = user;
    dialback->ms = -1;
    dialback->begun_ns = uv_hrtime();
    int error = request->udp ? uv_udp_init_ex(dialbacks->uv, &dialback->socket.udp, family)
                             : uv_tcp_init_ex(dialbacks->uv, &dialback->socket.tcp, family);
    if (error) {
        free(dialback);
        return refuse_socket(ret_fault);
    }
    uv_timer_init(dialbacks->uv, &dialback->timer);
    dialback->socket.handle.data = dialback->timer.data = dialback;
    dialback->handles = 2;
    link_dialback(dialback);
    /* The deadlines count from now, not from when the loop last looked. */
    uv_update_time(dialbacks->uv);
    address_to_sockaddr(&request->address, request->port, &to);
    dialback->start_error = request->udp ? start_udp(dialback, (struct sockaddr *)&to)
                                         : start_tcp(dialback, (struct sockaddr *)&to);
    if (dialback->start_error)
        uv_timer_start(&dialback->timer, on_start_failed, 0, 0);
    *ret_dialback = dialback;
    return 0;
}

void dialback_cut(struct dialback *dialback)
{
    end(dialback, DIALBACK_CUT);
}

const char *dialback_word(enum dialback_result result)
{
    switch (result) {
    case DIALBACK_OPEN: return "open";
    case DIALBACK_CONNECTED: return "connected";
    case DIALBACK_REFUSED: return "refused";
    case DIALBACK_TIMEOUT: return "timeout";
    case DIALBACK_UNREACHABLE: return "unreachable";
    case DIALBACK_SENT: return "sent";
    case DIALBACK_CUT: break;
    }
    return "cut";
}

bool dialback_can_bind(const struct address *address)
{
    struct sockaddr_storage here;
    socklen_t length = address_to_sockaddr(address, 0, &here);
    int fd = socket(here.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    bool can = bind(fd, (struct sockaddr *)&here, length) == 0;
    close(fd);
    return can;
}

/* --- all of them ----------------------------------------------------------------------------- */

struct dialbacks *dialbacks_new(uv_loop_t *uv)
{
    struct dialbacks *dialbacks = calloc(1, sizeof *dialbacks);

    if (dialbacks)
        dialbacks->uv = uv;
    return dialbacks;
}

void dialbacks_stop(struct dialbacks *dialbacks)
{
    if (!dialbacks)
        return;
    dialbacks->stopped = true;
    while (dialbacks->first)
        dialback_cut(dialbacks->first);
}

void dialbacks_free(struct dialbacks *dialbacks)
{
    free(dialbacks);
}
