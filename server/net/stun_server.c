#include "net/stun_server.h"

#include "log.h"
#include "metrics.h"
#include "net/log_address.h"
#include "net/source.h"
#include "net/stun.h"
#include "server_limits.h"

#include <netinet/in.h>
#include <stdlib.h>

#define DATAGRAM_BYTES 1500
#define LOG_EVERY_MS 60000

struct stun_socket {
    uv_udp_t udp;
    struct stun_server *server;
    struct stun_socket *next;
};

struct stun_server {
    uv_loop_t *uv;
    const struct clock *clock;
    struct sources *sources;
    struct stun_socket *sockets;
    int64_t logged_ms; /* when it was last told that a limit is hit; 0: never */
    char buffer[DATAGRAM_BYTES];
};

struct stun_server *stun_server_new(uv_loop_t *uv, const struct clock *clock)
{
    struct stun_server *server = calloc(1, sizeof *server);

    if (!server)
        return NULL;
    server->uv = uv;
    server->clock = clock;
    server->sources = sources_new(LIMIT_STUN_RATE);
    if (server->sources)
        return server;
    free(server);
    return NULL;
}

/* --- datagrams ------------------------------------------------------------------------------- */

static void tell_limit(struct stun_server *server, const struct address *address, int64_t now_ms)
{
    char text[LOG_ADDRESS_SIZE];

    if (server->logged_ms && now_ms - server->logged_ms < LOG_EVERY_MS)
        return;
    server->logged_ms = now_ms;
    log_event(LOG_WARN, "stun_limited", "address", log_address(address, text), "reason",
        "it asks more often than one is answered; not told again for a minute", NULL);
}

static bool is_admitted(struct stun_server *server, const struct address *address)
{
    int64_t now_ms = clock_now_ms(server->clock), wait_ms;
    struct source *source = source_hold(server->sources, address, now_ms);
    bool admitted = source && source_take(server->sources, source, now_ms, &wait_ms);

    source_release(server->sources, source);
    if (!admitted) {
        metrics_add(METRIC_LIMIT_STUN, 1);
        tell_limit(server, address, now_ms);
    }
    return admitted;
}

static void allocate(uv_handle_t *handle, size_t size, uv_buf_t *ret_buffer)
{
    const struct stun_socket *socket = handle->data;

    (void)size;
    *ret_buffer = uv_buf_init(socket->server->buffer, DATAGRAM_BYTES);
}

/* libuv reads at most 32 of a socket before it looks at the others, so that a flood here leaves
 * the loop to HTTP. */
static void on_datagram(uv_udp_t *udp, ssize_t size, const uv_buf_t *buffer,
    const struct sockaddr *from, unsigned flags)
{
    struct stun_socket *socket = udp->data;
    uint8_t reply[STUN_REPLY_MAX];
    struct address address;

    if (size <= 0 || !from || (flags & UV_UDP_PARTIAL) || !address_from_sockaddr(from, &address))
        return;
    uint16_t port = ntohs(from->sa_family == AF_INET6
                              ? ((const struct sockaddr_in6 *)(const void *)from)->sin6_port
                              : ((const struct sockaddr_in *)(const void *)from)->sin_port);
    size_t length = stun_answer((const uint8_t *)buffer->base, (size_t)size, &address, port, reply);
    if (!length || !port || !is_admitted(socket->server, &address))
        return;
    uv_buf_t out = uv_buf_init((char *)reply, (unsigned)length);
    metrics_add(METRIC_STUN_REPLIES, 1);
    (void)uv_udp_try_send(udp, &out, 1, from); /* what is lost is asked for again */
}

/* --- sockets --------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static int open_socket(
    struct stun_server *server, const struct address *address, uint16_t port, uint16_t *ret_port)
{
    struct stun_socket *socket = calloc(1, sizeof *socket);
    struct sockaddr_storage local;
    int length = sizeof local;

    if (!socket)
        return UV_ENOMEM;
    int error = uv_udp_init(server->uv, &socket->udp);
    if (error) {
        free(socket);
        return error;
    }
    socket->udp.data = socket;
    socket->server = server;
    address_to_sockaddr(address, port, &local);
    error = uv_udp_bind(&socket->udp, (const struct sockaddr *)&local, 0);
    if (!error)
        error = uv_udp_getsockname(&socket->udp, (struct sockaddr *)&local, &length);
    if (!error)
        error = uv_udp_recv_start(&socket->udp, allocate, on_datagram);
    if (error) {
        uv_close((uv_handle_t *)&socket->udp, on_closed);
        return error;
    }
    *ret_port = ntohs(local.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&local)->sin6_port
                                                  : ((struct sockaddr_in *)&local)->sin_port);
    socket->next = server->sockets;
    server->sockets = socket;
    return 0;
}

int stun_server_listen(struct stun_server *server, const struct address *address, uint16_t port,
    uint16_t ret_ports[STUN_PORTS], struct fault *ret_fault)
{
    char text[ADDRESS_TEXT_SIZE];
    bool ipv6 = address->family == 6;

    address_format(address, text);
    if (address_classify(address) == ADDRESS_UNSPECIFIED)
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "--stun %s%s%s:%u: name one address: a reply has to come from the very one that was "
            "asked",
            ipv6 ? "[" : "", text, ipv6 ? "]" : "", (unsigned)port);
    if (port == UINT16_MAX)
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "--stun: port 65535 has none after it, and STUN takes two");
    for (unsigned i = 0; i < STUN_PORTS; i++) {
        uint16_t wanted = port ? (uint16_t)(port + i) : 0;
        int error = open_socket(server, address, wanted, &ret_ports[i]);
        if (error)
            return fault_set(ret_fault, ERROR_BAD_REQUEST,
                "cannot take STUN at %s%s%s:%u: %s; give another with --stun", ipv6 ? "[" : "",
                text, ipv6 ? "]" : "", (unsigned)wanted, uv_strerror(error));
    }
    return 0;
}

void stun_server_close(struct stun_server *server)
{
    while (server->sockets) {
        struct stun_socket *socket = server->sockets;
        server->sockets = socket->next;
        uv_close((uv_handle_t *)&socket->udp, on_closed);
    }
}

void stun_server_free(struct stun_server *server)
{
    if (!server)
        return;
    sources_free(server->sources);
    free(server);
}
