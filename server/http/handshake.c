#include "http/handshake.h"

#include "error.h"
#include "http/loop.h"
#include "http/tls.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_BATCH 64

struct handshakes {
    uv_poll_t events;
    void (*heard)(struct handshake *handshake, void *user);
    void (*woken)(void *user);
    void *user;
    struct handshake *active, *resting;
    int epoll_fd; /* of the sockets of those that rest: one handle of libuv for all of them */
};

static struct handshake **list_of(struct handshakes *handshakes, enum handshake_state state)
{
    return state == HANDSHAKE_ACTIVE ? &handshakes->active : &handshakes->resting;
}

static void leave(struct handshakes *handshakes, struct handshake *handshake)
{
    if (handshake->previous)
        handshake->previous->next = handshake->next;
    else
        *list_of(handshakes, handshake->state) = handshake->next;
    if (handshake->next)
        handshake->next->previous = handshake->previous;
    handshake->state = HANDSHAKE_NONE;
}

static void join(
    struct handshakes *handshakes, struct handshake *handshake, enum handshake_state state)
{
    struct handshake **first = list_of(handshakes, state);

    handshake->state = state;
    handshake->previous = NULL;
    handshake->next = *first;
    if (*first)
        (*first)->previous = handshake;
    *first = handshake;
}

static void wake(struct handshakes *handshakes, struct handshake *handshake)
{
    (void)epoll_ctl(handshakes->epoll_fd, EPOLL_CTL_DEL, handshake->fd, NULL);
    leave(handshakes, handshake);
    join(handshakes, handshake, HANDSHAKE_ACTIVE);
    http_connection_resume(http_connection_of(handshake->mhd));
}

static void on_events(uv_poll_t *handle, int status, int ready)
{
    struct handshakes *handshakes = handle->data;
    struct epoll_event events[EVENTS_BATCH];
    int count = epoll_wait(handshakes->epoll_fd, events, EVENTS_BATCH, 0);

    (void)status;
    (void)ready;
    for (int i = 0; i < count; i++) {
        struct handshake *handshake = events[i].data.ptr;
        if (!handshake->heard) {
            handshake->heard = true;
            handshakes->heard(handshake, handshakes->user);
        }
        wake(handshakes, handshake);
    }
    if (count > 0)
        handshakes->woken(handshakes->user);
}

int handshakes_new(uv_loop_t *uv, void (*heard)(struct handshake *handshake, void *user),
    void (*woken)(void *user), void *user, struct handshakes **ret_handshakes)
{
    struct handshakes *handshakes = calloc(1, sizeof *handshakes);

    if (!handshakes)
        return ERROR_NO_MEMORY;
    handshakes->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (handshakes->epoll_fd < 0) {
        free(handshakes);
        return ERROR_NO_MEMORY;
    }
    handshakes->heard = heard;
    handshakes->woken = woken;
    handshakes->user = user;
    uv_poll_init(uv, &handshakes->events, handshakes->epoll_fd);
    handshakes->events.data = handshakes;
    uv_poll_start(&handshakes->events, UV_READABLE, on_events);
    *ret_handshakes = handshakes;
    return 0;
}

void handshake_begin(
    struct handshakes *handshakes, struct handshake *handshake, struct MHD_Connection *mhd, int fd)
{
    *handshake = (struct handshake){.mhd = mhd, .fd = fd};
    join(handshakes, handshake, HANDSHAKE_ACTIVE);
}

void handshake_end(struct handshakes *handshakes, struct handshake *handshake)
{
    if (handshake->state == HANDSHAKE_RESTING)
        (void)epoll_ctl(handshakes->epoll_fd, EPOLL_CTL_DEL, handshake->fd, NULL);
    if (handshake->state != HANDSHAKE_NONE)
        leave(handshakes, handshake);
}

void handshakes_rest(struct handshakes *handshakes)
{
    struct handshake *next;

    for (struct handshake *at = handshakes->active; at; at = next) {
        struct epoll_event event = {.data.ptr = at};
        next = at->next;
        event.events = (tls_waits_to_send(at->mhd) ? EPOLLOUT : EPOLLIN | EPOLLRDHUP);
        /* Where this fails it goes on unwatched, at the price of a busy loop. */
        if (epoll_ctl(handshakes->epoll_fd, EPOLL_CTL_ADD, at->fd, &event))
            continue;
        leave(handshakes, at);
        join(handshakes, at, HANDSHAKE_RESTING);
        MHD_suspend_connection(at->mhd);
    }
}

void handshakes_wake(struct handshakes *handshakes)
{
    while (handshakes->resting)
        wake(handshakes, handshakes->resting);
}

void handshakes_close(struct handshakes *handshakes)
{
    uv_close((uv_handle_t *)&handshakes->events, NULL);
}

void handshakes_free(struct handshakes *handshakes)
{
    if (!handshakes)
        return;
    close(handshakes->epoll_fd);
    free(handshakes);
}
