#include "net/dialback.h"

#include "log.h"
#include "server_limits.h"

#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROOF_CHARS 64 /* of HMAC-SHA256 in hex */
#define NONCE_CHARS (2 * QUOTA_NONCE_BYTES)

struct dial {
    struct dialback *dialback;
    struct dial *next, *previous;
    struct dial_request request;
    struct quota_stranger *stranger;
    union {
        uv_handle_t handle;
        uv_tcp_t tcp;
        uv_udp_t udp;
    } socket;
    uv_timer_t timer;
    uv_connect_t connect;
    char read[LIMIT_CHECK_READ_BYTES];
    size_t size;        /* of it */
    unsigned datagrams; /* sent */
    bool connected;
    struct dialled result;
    int64_t began_ms;
    uint64_t began_ns;
    dial_done done;
    void *user;
    unsigned handles; /* not closed yet */
};

struct dialback {
    struct dialback_config config;
    struct quota *quota;
    struct dial *dials; /* under way */
    size_t sockets;     /* not closed yet */
};

/* --- the proof ------------------------------------------------------------------------------- */

static void write_hex(const uint8_t *bytes, size_t size, char *ret_text)
{
    for (size_t i = 0; i < size; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", bytes[i]);
}

static bool is_proof(const struct dial *dial)
{
    struct hmac_sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char message[sizeof "signpost-check:65535"], expected[PROOF_CHARS + 1];

    int length =
        snprintf(message, sizeof message, "signpost-check:%u", (unsigned)dial->request.port);
    hmac_sha256_set_key(&context, QUOTA_NONCE_BYTES, dial->request.nonce);
    hmac_sha256_update(&context, (size_t)length, (const uint8_t *)message);
    hmac_sha256_digest(&context, sizeof digest, digest);
    write_hex(digest, sizeof digest, expected);
    return dial->size == PROOF_CHARS && memeql_sec(dial->read, expected, PROOF_CHARS);
}

/* --- the end of one -------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct dial *dial = handle->data;

    if (--dial->handles)
        return;
    dial->dialback->sockets--;
    free(dial);
}

static void close_dial(struct dial *dial)
{
    struct dialback *dialback = dial->dialback;

    if (dial->previous)
        dial->previous->next = dial->next;
    else
        dialback->dials = dial->next;
    if (dial->next)
        dial->next->previous = dial->previous;
    quota_end(dial->stranger, dial->request.protocol);
    uv_close(&dial->socket.handle, on_closed);
    uv_close((uv_handle_t *)&dial->timer, on_closed);
}

static void log_dial(const struct dial *dial, const char *result)
{
    char address[ADDRESS_TEXT_SIZE], port[8];

    snprintf(port, sizeof port, "%u", (unsigned)dial->request.port);
    log_event(LOG_INFO, "check", "address", address_format(&dial->request.target, address), "port",
        port, "protocol", dial->request.protocol == DIAL_TCP ? "tcp" : "udp", "result", result,
        "verified", dial->result.verified ? "yes" : "no", NULL);
}

/* `done` may free what it likes: nothing of the dial is touched after it. */
static void finish(struct dial *dial, const char *result)
{
    struct dialled told = dial->result;

    if (uv_is_closing((uv_handle_t *)&dial->timer))
        return;
    told.result = result;
    told.ms = (double)(uv_hrtime() - dial->began_ns) / 1e6;
    log_dial(dial, result);
    close_dial(dial);
    dial->done(NULL, &told, dial->user);
}

void dial_cut(struct dial *dial)
{
    struct fault fault;

    fault_set(
        &fault, ERROR_NOT_READY, "the check was cut short: the index stops, or you have gone");
    fault.retry_after_s = 1;
    log_dial(dial, "cut");
    close_dial(dial);
    dial->done(&fault, NULL, dial->user);
}

void dialback_cut_all(struct dialback *dialback)
{
    while (dialback->dials)
        dial_cut(dialback->dials);
}

/* --- TCP ------------------------------------------------------------------------------------- */

static void finish_connected(struct dial *dial)
{
    dial->result.verified = is_proof(dial);
    finish(dial, dial->result.verified ? "open" : "connected");
}

static void allocate(uv_handle_t *handle, size_t size, uv_buf_t *ret_buffer)
{
    struct dial *dial = handle->data;

    (void)size;
    *ret_buffer = uv_buf_init(dial->read + dial->size, (unsigned)(sizeof dial->read - dial->size));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct dial *dial = stream->data;

    (void)buffer;
    if (size > 0)
        dial->size += (size_t)size;
    if (size < 0 || dial->size == sizeof dial->read)
        finish_connected(dial);
}

static void on_silence(uv_timer_t *timer)
{
    finish_connected(timer->data);
}

static void note_from(struct dial *dial, const struct sockaddr_storage *local)
{
    (void)address_from_sockaddr((const struct sockaddr *)local, &dial->result.from);
}

static const char *result_of(int error)
{
    switch (error) {
    case UV_ECONNREFUSED:
    case UV_ECONNRESET: return "refused";
    case UV_ETIMEDOUT: return "timeout";
    default: return "unreachable"; /* what routers tell by ICMP, and no route here */
    }
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct dial *dial = (struct dial *)connect->data;
    struct sockaddr_storage local;
    int length = sizeof local;

    if (status == UV_ECANCELED)
        return;
    if (status < 0) {
        finish(dial, result_of(status));
        return;
    }
    if (!uv_tcp_getsockname(&dial->socket.tcp, (struct sockaddr *)&local, &length))
        note_from(dial, &local);
    int64_t left_ms = dial->began_ms + LIMIT_CHECK_MS - clock_now_ms(dial->dialback->config.clock);
    if (left_ms > LIMIT_CHECK_SILENCE_MS)
        left_ms = LIMIT_CHECK_SILENCE_MS;
    uv_timer_start(&dial->timer, on_silence, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
    if (uv_read_start((uv_stream_t *)&dial->socket.tcp, allocate, on_read))
        finish_connected(dial);
}

static void on_connect_late(uv_timer_t *timer)
{
    finish(timer->data, "timeout");
}

static int begin_tcp(struct dial *dial, const struct sockaddr *from, const struct sockaddr *to)
{
    int error = from ? uv_tcp_bind(&dial->socket.tcp, from, 0) : 0;

    dial->connect.data = dial;
    if (!error)
        error = uv_tcp_connect(&dial->connect, &dial->socket.tcp, to, on_connected);
    if (!error)
        uv_timer_start(&dial->timer, on_connect_late, (uint64_t)dial->request.connect_s * 1000, 0);
    return error;
}

/* --- UDP ------------------------------------------------------------------------------------- */

static void on_datagram_due(uv_timer_t *timer)
{
    struct dial *dial = timer->data;
    struct sockaddr_storage to;
    char text[NONCE_CHARS + 1];

    if (dial->datagrams == LIMIT_CHECK_DATAGRAMS) {
        finish(dial, "sent");
        return;
    }
    write_hex(dial->request.nonce, QUOTA_NONCE_BYTES, text);
    uv_buf_t buffer = uv_buf_init(text, NONCE_CHARS);
    address_to_sockaddr(&dial->request.target, dial->request.port, &to);
    int sent = uv_udp_try_send(&dial->socket.udp, &buffer, 1, (const struct sockaddr *)&to);
    if (sent < 0 && sent != UV_EAGAIN) {
        finish(dial, "unreachable");
        return;
    }
    dial->datagrams++;
    /* Nothing is waited for after the last one. */
    bool last = dial->datagrams == LIMIT_CHECK_DATAGRAMS;
    uv_timer_start(timer, on_datagram_due, last ? 0 : LIMIT_CHECK_DATAGRAM_MS, 0);
}

/* The kernel's choice of address for it, where none is to be bound. */
static void find_from(const struct sockaddr *to, struct dial *dial)
{
    struct sockaddr_storage local;
    socklen_t length = sizeof local;
    int fd = socket(to->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    if (!connect(fd, to,
            to->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) &&
        !getsockname(fd, (struct sockaddr *)&local, &length))
        note_from(dial, &local);
    close(fd);
}

static int begin_udp(struct dial *dial, const struct sockaddr *from, const struct sockaddr *to)
{
    int error = from ? uv_udp_bind(&dial->socket.udp, from, 0) : 0;

    if (!from)
        find_from(to, dial);
    if (!error)
        uv_timer_start(&dial->timer, on_datagram_due, 0, 0);
    return error;
}

/* --- the beginning --------------------------------------------------------------------------- */

/* The address to dial from; family 0: the kernel's choice. */
static int choose_from(const struct dialback *dialback, const struct dial_request *request,
    struct address *ret_from, struct fault *ret_fault)
{
    const struct dialback_config *config = &dialback->config;
    struct address contacted = request->contacted;

    if (contacted.family != request->target.family)
        contacted = (struct address){.family = 0};
    *ret_from = contacted;
    if (request->from == DIAL_FROM_CONTACTED)
        return 0;
    for (size_t i = 0; i < config->from_count; i++)
        if (config->from[i].family == request->target.family &&
            !address_equal(&config->from[i], &contacted)) {
            *ret_from = config->from[i];
            return 0;
        }
    if (request->from == DIAL_FROM_ANY)
        return 0;
    return fault_set(ret_fault, ERROR_BAD_REQUEST,
        "this index has no other %s address to dial from: leave `from` out",
        request->target.family == 4 ? "IPv4" : "IPv6");
}

static int admit(struct dialback *dialback, const struct dial_request *request,
    struct address *ret_from, struct quota_stranger **ret_stranger, struct fault *ret_fault)
{
    int error = target_check(&dialback->config.policy, &request->target, request->port, ret_fault);

    if (!error)
        error = choose_from(dialback, request, ret_from, ret_fault);
    if (!error && dialback->sockets >= LIMIT_CHECK_SOCKETS) {
        error = fault_set(ret_fault, ERROR_INDEX_FULL,
            "as many checks are under way as this index makes at once: try again in a moment");
        ret_fault->retry_after_s = 2;
    }
    if (!error)
        error = quota_begin(dialback->quota, &request->target, request->protocol, request->port,
            request->nonce, clock_now_ms(dialback->config.clock), ret_stranger, ret_fault);
    return error;
}

static struct dial *dial_new(struct dialback *dialback, const struct dial_request *request)
{
    struct dial *dial = calloc(1, sizeof *dial);

    if (!dial)
        return NULL;
    int error = request->protocol == DIAL_TCP ? uv_tcp_init(dialback->config.uv, &dial->socket.tcp)
                                              : uv_udp_init(dialback->config.uv, &dial->socket.udp);
    if (error) {
        free(dial);
        return NULL;
    }
    uv_timer_init(dialback->config.uv, &dial->timer);
    dial->dialback = dialback;
    dial->request = *request;
    dial->socket.handle.data = dial->timer.data = dial;
    dial->handles = 2;
    dialback->sockets++;
    dial->next = dialback->dials;
    if (dial->next)
        dial->next->previous = dial;
    dialback->dials = dial;
    return dial;
}

struct dial *dialback_start(
    struct dialback *dialback, const struct dial_request *request, dial_done done, void *user)
{
    struct quota_stranger *stranger;
    struct sockaddr_storage from_address, to;
    struct address from;
    struct fault fault;

    if (admit(dialback, request, &from, &stranger, &fault)) {
        done(&fault, NULL, user);
        return NULL;
    }
    struct dial *dial = dial_new(dialback, request);
    if (!dial) {
        quota_end(stranger, request->protocol);
        fault_busy(&fault, ERROR_NO_MEMORY);
        done(&fault, NULL, user);
        return NULL;
    }
    dial->stranger = stranger;
    dial->done = done;
    dial->user = user;
    uv_update_time(dialback->config.uv);
    dial->began_ms = clock_now_ms(dialback->config.clock);
    dial->began_ns = uv_hrtime();
    dial->result.from = from;
    dial->result.contacted = from.family && address_equal(&from, &request->contacted);
    address_to_sockaddr(&request->target, request->port, &to);
    if (from.family)
        address_to_sockaddr(&from, 0, &from_address);
    int error = (request->protocol == DIAL_TCP ? begin_tcp : begin_udp)(dial,
        from.family ? (const struct sockaddr *)&from_address : NULL, (const struct sockaddr *)&to);
    if (!error)
        return dial;
    finish(dial, result_of(error));
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------ */

/* Can a socket be bound there? */
static bool is_of_this_machine(const struct address *address)
{
    struct sockaddr_storage local;
    socklen_t length = address_to_sockaddr(address, 0, &local);
    int fd = socket(local.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && !bind(fd, (const struct sockaddr *)&local, length);

    if (fd >= 0)
        close(fd);
    return bound;
}

int dialback_new(
    const struct dialback_config *config, struct dialback **ret_dialback, struct fault *ret_fault)
{
    struct dialback *dialback;
    char text[ADDRESS_TEXT_SIZE];

    for (size_t i = 0; i < config->from_count; i++)
        if (address_classify(&config->from[i]) == ADDRESS_UNSPECIFIED ||
            !is_of_this_machine(&config->from[i]))
            return fault_set(ret_fault, ERROR_BAD_REQUEST,
                "--check-from: %s is no address of this machine",
                address_format(&config->from[i], text));
    dialback = calloc(1, sizeof *dialback);
    if (dialback)
        dialback->quota = quota_new();
    if (!dialback || !dialback->quota) {
        free(dialback);
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory for port checks");
    }
    dialback->config = *config;
    *ret_dialback = dialback;
    return 0;
}

void dialback_close(struct dialback *dialback)
{
    dialback_cut_all(dialback);
}

void dialback_free(struct dialback *dialback)
{
    if (!dialback)
        return;
    quota_free(dialback->quota);
    free(dialback);
}
