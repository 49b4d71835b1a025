#include "udp_internal.h"

#include "signpost.h"

#include <stdlib.h>
#include <string.h>

static void allocate(uv_handle_t *handle, size_t size, uv_buf_t *ret_buffer)
{
    struct udp *udp = handle->data;

    (void)size;
    *ret_buffer = uv_buf_init(udp->buffer, sizeof udp->buffer);
}

static void on_datagram(uv_udp_t *socket, ssize_t size, const uv_buf_t *buffer,
    const struct sockaddr *from, unsigned flags)
{
    struct udp *udp = socket->data;
    size_t length = strlen(udp->nonce);

    if (size <= 0 || !from || (flags & UV_UDP_PARTIAL))
        return;
    if (length && (size_t)size == length && !memcmp(buffer->base, udp->nonce, length)) {
        udp->nonce[0] = '\0';
        udp->heard(udp->heard_user);
        return;
    }
    discovery_take(udp, (const uint8_t *)buffer->base, (size_t)size, from);
}

void udp_expect(struct udp *udp, const char *nonce, void (*heard)(void *user), void *user)
{
    udp->nonce[0] = '\0';
    if (nonce && strlen(nonce) < sizeof udp->nonce)
        strcpy(udp->nonce, nonce);
    udp->heard = heard;
    udp->heard_user = user;
}

/* --- life ------------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
    struct udp *udp = handle->data;

    if (--udp->handles == 0)
        free(udp);
}

void udp_close(struct udp *udp)
{
    if (!udp)
        return;
    discovery_free(udp->discovery);
    udp->discovery = NULL;
    uv_close((uv_handle_t *)&udp->socket, on_closed);
    uv_close((uv_handle_t *)&udp->timer, on_closed);
}

static int bind_socket(struct udp *udp, uint16_t port)
{
    struct sockaddr_storage address;
    int length = sizeof address;

    nat_any_address(udp->family, port, &address);
    int error = uv_udp_bind(&udp->socket, (const struct sockaddr *)&address,
        udp->family == NAT_IPV6 ? UV_UDP_IPV6ONLY : 0);
    if (!error)
        error = uv_udp_getsockname(&udp->socket, (struct sockaddr *)&address, &length);
    if (error)
        return nat_bind_error(error);
    udp->port = udp_port_of(&address);
    return nat_bind_error(uv_udp_recv_start(&udp->socket, allocate, on_datagram));
}

int udp_open(uv_loop_t *loop, enum nat_family family, uint16_t port, struct udp **ret_udp)
{
    struct udp *udp = calloc(1, sizeof *udp);

    if (!udp)
        return SIGNPOST_ERROR_NO_MEMORY;
    udp->loop = loop;
    udp->family = family;
    if (uv_udp_init(loop, &udp->socket)) {
        free(udp);
        return SIGNPOST_ERROR_NO_MEMORY;
    }
    uv_timer_init(loop, &udp->timer);
    udp->socket.data = udp->timer.data = udp;
    udp->handles = 2;
    int error = bind_socket(udp, port);
    if (error) {
        udp_close(udp);
        return error;
    }
    *ret_udp = udp;
    return 0;
}

uint16_t udp_port(const struct udp *udp)
{
    return udp->port;
}
