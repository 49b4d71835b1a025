#include "http/listen.h"

#include "log.h"
#include "server_limits.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCEPT_BATCH 128 /* connections taken from one listener in a row */
#define LISTEN_BACKLOG 1024

struct listener {
    uv_poll_t readable;
    struct listeners *all;
    struct listener *next;
    int fd;
    int tag;
    bool paused; /* out of descriptors */
};

struct listeners {
    uv_loop_t *uv;
    listeners_accepted accepted;
    void (*done)(void *user);
    void *user;
    struct listener *first;
};

struct listeners *listeners_new(
    uv_loop_t *uv, listeners_accepted accepted, void (*done)(void *user), void *user)
{
    struct listeners *listeners = malloc(sizeof *listeners);

    if (listeners)
        *listeners = (struct listeners){uv, accepted, done, user, NULL};
    return listeners;
}

uint16_t listeners_port_of(const struct sockaddr *name)
{
    return ntohs(name->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)name)->sin6_port
                                             : ((const struct sockaddr_in *)name)->sin_port);
}

static void on_connectable(uv_poll_t *readable, int status, int events)
{
    struct listener *listener = readable->data;
    struct listeners *all = listener->all;

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage peer;
        socklen_t peer_size = sizeof peer;
        int fd = accept4(
            listener->fd, (struct sockaddr *)&peer, &peer_size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
            log_event(LOG_WARN, "accept_paused", "reason", strerror(errno), NULL);
            listener->paused = true;
            uv_poll_stop(readable);
        }
        if (fd < 0)
            break;
        all->accepted(fd, (struct sockaddr *)&peer, peer_size, listener->tag, all->user);
    }
    all->done(all->user);
}

static int open_socket(const struct address *address, uint16_t port, int *ret_fd)
{
    struct sockaddr_storage name;
    socklen_t name_size = address_to_sockaddr(address, port, &name);
    int on = 1, send_bytes = LIMIT_SEND_BUFFER_BYTES;
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno;
    /* Connections inherit it. Left to itself, the kernel takes megabytes of a reply that nobody
     * reads. */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
    /* With IPV6_V6ONLY [::] and 0.0.0.0 can be given side by side, and mean what they say. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        (name.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on)) ||
        bind(fd, (struct sockaddr *)&name, name_size) || listen(fd, LISTEN_BACKLOG)) {
        int error = errno;
        close(fd);
        return error;
    }
    *ret_fd = fd;
    return 0;
}

/* What to do about it; where there is something, an option follows. */
static const char *advice(int error)
{
    switch (error) {
    case EADDRINUSE: return "; another program has the port, give another with ";
    case EADDRNOTAVAIL:
        return "; this machine has no such address, give one of its own, or 0.0.0.0 for all, with ";
    case EACCES: return "; a port below 1024 is for root, give another with ";
    case EAFNOSUPPORT: return "; this machine has no IPv6, give an IPv4 address with ";
    default: return "";
    }
}

static int fault_listen(struct fault *ret_fault, const struct address *address, uint16_t port,
    int error, const char *option)
{
    const char *what = advice(error);
    char text[ADDRESS_TEXT_SIZE];
    bool brackets = address->family == 6;

    return fault_set(ret_fault, ERROR_BAD_REQUEST, "cannot listen on %s%s%s:%u: %s%s%s",
        brackets ? "[" : "", address_format(address, text), brackets ? "]" : "", (unsigned)port,
        strerror(error), what, what[0] ? option : "");
}

int listeners_add(struct listeners *listeners, const struct address *address, uint16_t port,
    int tag, const char *option, uint16_t *ret_port, struct fault *ret_fault)
{
    struct sockaddr_storage name;
    socklen_t name_size = sizeof name;
    int fd = -1;
    int error = open_socket(address, port, &fd);

    if (error)
        return fault_listen(ret_fault, address, port, error, option);
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        close(fd);
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory for a listener");
    }
    if (getsockname(fd, (struct sockaddr *)&name, &name_size) == 0)
        port = listeners_port_of((struct sockaddr *)&name);
    *ret_port = port;
    listener->fd = fd;
    listener->tag = tag;
    listener->all = listeners;
    listener->next = listeners->first;
    listeners->first = listener;
    uv_poll_init(listeners->uv, &listener->readable, fd);
    listener->readable.data = listener;
    uv_poll_start(&listener->readable, UV_READABLE, on_connectable);
    return 0;
}

bool listeners_pause(const struct listeners *listeners)
{
    for (const struct listener *at = listeners->first; at; at = at->next)
        if (at->paused)
            return true;
    return false;
}

void listeners_go_on(struct listeners *listeners)
{
    for (struct listener *at = listeners->first; at; at = at->next)
        if (at->paused) {
            at->paused = false;
            uv_poll_start(&at->readable, UV_READABLE, on_connectable);
        }
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    close(listener->fd);
    free(listener);
}

void listeners_close(struct listeners *listeners)
{
    while (listeners->first) {
        struct listener *listener = listeners->first;
        listeners->first = listener->next;
        uv_close((uv_handle_t *)&listener->readable, on_closed);
    }
}

void listeners_free(struct listeners *listeners)
{
    free(listeners);
}
