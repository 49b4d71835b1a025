#include "hops.h"

#include "signpost.h"

#include <netinet/in.h>
/* After netinet/in.h, which it relies on. */
#include <linux/errqueue.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PORT_FIRST 33434 /* where traceroute begins: nobody serves there */
#define ROUNDS 3
#define ROUND_MS (HOPS_WAIT_MS / ROUNDS)
#define CONTROL_BYTES 512

struct hops_probe {
    uv_poll_t poll;
    uv_timer_t timer;
    struct sockaddr_storage target;
    int fd;
    unsigned rounds;   /* that were sent */
    size_t hops_asked; /* so many; the target is behind them, as far as is known */
    struct hops hops;
    void (*done)(const struct hops *hops, void *user);
    void *user;
    unsigned handles; /* not closed yet */
};

/* --- sending --------------------------------------------------------------------------------- */

static socklen_t set_port(struct sockaddr_storage *address, unsigned port)
{
    if (address->ss_family == AF_INET) {
        ((struct sockaddr_in *)address)->sin_port = htons((uint16_t)port);
        return sizeof(struct sockaddr_in);
    }
    ((struct sockaddr_in6 *)address)->sin6_port = htons((uint16_t)port);
    return sizeof(struct sockaddr_in6);
}

static int set_ttl(const struct hops_probe *probe, int ttl)
{
    if (probe->target.ss_family == AF_INET)
        return setsockopt(probe->fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    return setsockopt(probe->fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, sizeof ttl);
}

/* The port tells the hop that an error is about. */
static void send_one(struct hops_probe *probe, size_t hop)
{
    struct sockaddr_storage target = probe->target;
    socklen_t length = set_port(&target, PORT_FIRST + (unsigned)hop);

    if (set_ttl(probe, (int)hop + 1))
        return;
    /* An error that has come meanwhile is told by a call that fails, and sends nothing. */
    if (sendto(probe->fd, "signpost", 8, 0, (const struct sockaddr *)&target, length) < 0)
        (void)sendto(probe->fd, "signpost", 8, 0, (const struct sockaddr *)&target, length);
}

/* --- errors that come back ------------------------------------------------------------------- */

static const struct sock_extended_err *find_error(struct msghdr *message)
{
    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at))
        if ((at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_RECVERR) ||
            (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_RECVERR))
            return (const struct sock_extended_err *)(const void *)CMSG_DATA(at);
    return NULL;
}

static unsigned port_of(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET ? ((const struct sockaddr_in *)address)->sin_port
                                               : ((const struct sockaddr_in6 *)address)->sin6_port);
}

static void take_error(struct hops_probe *probe, const struct sock_extended_err *error, size_t hop)
{
    const struct sockaddr *offender = SO_EE_OFFENDER(error);
    bool is_icmp = error->ee_origin == SO_EE_ORIGIN_ICMP || error->ee_origin == SO_EE_ORIGIN_ICMP6;
    char address[NAT_ADDRESS_SIZE], target[NAT_ADDRESS_SIZE];

    if (!is_icmp || hop >= probe->hops_asked || offender->sa_family != probe->target.ss_family)
        return;
    uv_ip_name(offender, address, sizeof address);
    uv_ip_name((const struct sockaddr *)&probe->target, target, sizeof target);
    if (strcmp(address, target) != 0) {
        memcpy(probe->hops.address[hop], address, sizeof address);
        return;
    }
    /* Behind the target there is nothing, and it is no router itself. */
    probe->hops.reached = true;
    probe->hops_asked = hop;
}

/* False: there is none left. */
static bool read_error(struct hops_probe *probe)
{
    struct sockaddr_storage about = {0};
    union {
        struct cmsghdr align;
        char bytes[CONTROL_BYTES];
    } control;
    char payload[64];
    struct iovec part = {payload, sizeof payload};
    struct msghdr message = {
        .msg_name = &about,
        .msg_namelen = sizeof about,
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };

    if (recvmsg(probe->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
        return false;
    const struct sock_extended_err *error = find_error(&message);
    if (error && about.ss_family == probe->target.ss_family)
        take_error(probe, error, port_of(&about) - PORT_FIRST);
    return true;
}

/* --- its course ------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
    struct hops_probe *probe = handle->data;

    if (--probe->handles)
        return;
    close(probe->fd);
    free(probe);
}

void hops_close(struct hops_probe *probe)
{
    if (!probe || uv_is_closing((uv_handle_t *)&probe->timer))
        return;
    uv_close((uv_handle_t *)&probe->poll, on_closed);
    uv_close((uv_handle_t *)&probe->timer, on_closed);
}

static void finish(struct hops_probe *probe)
{
    hops_close(probe);
    for (size_t i = probe->hops_asked; i < HOPS_MAX; i++)
        probe->hops.address[i][0] = '\0'; /* came before it was known that there is no such hop */
    probe->done(&probe->hops, probe->user);
}

static bool is_complete(const struct hops_probe *probe)
{
    for (size_t i = 0; i < probe->hops_asked; i++)
        if (!*probe->hops.address[i])
            return false;
    return true;
}

static void on_timer(uv_timer_t *timer)
{
    struct hops_probe *probe = timer->data;

    if (probe->rounds == ROUNDS) {
        finish(probe);
        return;
    }
    probe->rounds++;
    for (size_t i = 0; i < probe->hops_asked; i++)
        if (!*probe->hops.address[i])
            send_one(probe, i);
    uv_timer_start(timer, on_timer, ROUND_MS, 0);
}

/* libuv stops the handle of a socket with an error, and an error is all that comes here. */
static void on_error(uv_poll_t *poll, int status, int events)
{
    struct hops_probe *probe = poll->data;
    char nothing[64];

    (void)status;
    (void)events;
    while (read_error(probe))
        continue;
    while (recv(probe->fd, nothing, sizeof nothing, MSG_DONTWAIT) >= 0)
        continue;
    if (is_complete(probe))
        finish(probe);
    else
        uv_poll_start(poll, UV_READABLE, on_error);
}

static int open_socket(int family)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    bool ipv4 = family == AF_INET;

    if (fd < 0)
        return -1;
    if (setsockopt(fd, ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_RECVERR : IPV6_RECVERR, &on,
            sizeof on)) {
        close(fd);
        return -1;
    }
    return fd;
}

int hops_start(uv_loop_t *loop, const struct sockaddr *target,
    void (*done)(const struct hops *hops, void *user), void *user, struct hops_probe **ret_probe)
{
    struct hops_probe *probe = calloc(1, sizeof *probe);

    if (!probe)
        return SIGNPOST_ERROR_NO_MEMORY;
    probe->fd = open_socket(target->sa_family);
    if (probe->fd < 0 || uv_poll_init(loop, &probe->poll, probe->fd)) {
        if (probe->fd >= 0)
            close(probe->fd);
        free(probe);
        return SIGNPOST_ERROR_NO_MEMORY;
    }
    memcpy(&probe->target, target,
        target->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    probe->done = done;
    probe->user = user;
    probe->hops_asked = HOPS_MAX;
    probe->handles = 2;
    uv_timer_init(loop, &probe->timer);
    probe->poll.data = probe->timer.data = probe;
    uv_poll_start(&probe->poll, UV_READABLE, on_error);
    uv_timer_start(&probe->timer, on_timer, 0, 0);
    *ret_probe = probe;
    return 0;
}
