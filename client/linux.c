/* What is Linux's own: news of our interface addresses, by rtnetlink(7). */
#include "client.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SETTLE_MS 500 /* addresses come and go in bunches */

struct addresses {
    signpost_t *client;
    uv_poll_t news;
    uv_timer_t settle;
    unsigned handles;
    int fd;
};

static void on_settled(uv_timer_t *timer)
{
    struct addresses *addresses = timer->data;
    client_addresses_changed(addresses->client);
}

static void on_news(uv_poll_t *news, int status, int events)
{
    struct addresses *addresses = news->data;
    char buffer[8192];
    bool changed = status < 0;

    (void)events;
    /* What it says in detail does not matter: the index sees where we come from. */
    while (recv(addresses->fd, buffer, sizeof buffer, MSG_DONTWAIT) > 0)
        changed = true;
    /* There was more than the socket holds, which is an error, after which libuv does not look at
     * it any more. */
    if (status < 0)
        uv_poll_start(news, UV_READABLE, on_news);
    if (changed)
        uv_timer_start(&addresses->settle, on_settled, SETTLE_MS, 0);
}

void addresses_watch(signpost_t *client, struct addresses **ret_addresses)
{
    struct sockaddr_nl name = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
    };
    struct addresses *addresses = calloc(1, sizeof *addresses);

    *ret_addresses = NULL;
    if (!addresses)
        return;
    addresses->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (addresses->fd < 0 || bind(addresses->fd, (struct sockaddr *)&name, sizeof name) ||
        uv_poll_init(client->loop, &addresses->news, addresses->fd)) {
        if (addresses->fd >= 0)
            close(addresses->fd);
        free(addresses);
        return;
    }
    addresses->client = client;
    addresses->handles = 2;
    uv_timer_init(client->loop, &addresses->settle);
    addresses->news.data = addresses->settle.data = addresses;
    uv_poll_start(&addresses->news, UV_READABLE, on_news);
    client_hold(client);
    *ret_addresses = addresses;
}

static void on_closed(uv_handle_t *handle)
{
    struct addresses *addresses = handle->data;
    signpost_t *client = addresses->client;

    if (--addresses->handles)
        return;
    close(addresses->fd);
    free(addresses);
    client_release(client);
}

void addresses_close(struct addresses *addresses)
{
    if (!addresses)
        return;
    uv_close((uv_handle_t *)&addresses->news, on_closed);
    uv_close((uv_handle_t *)&addresses->settle, on_closed);
}
