#include "http/wait.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_BATCH 64

struct waits {
    uv_poll_t events;
    size_t count;
    size_t max, max_per_address; /* 0: no limit */
    void (*vanished)(struct wait *wait);
    int epoll_fd; /* of the parked sockets: one handle of libuv for all of them */
};

static void on_events(uv_poll_t *handle, int status, int ready)
{
    struct waits *waits = handle->data;
    struct epoll_event events[EVENTS_BATCH];
    int count = epoll_wait(waits->epoll_fd, events, EVENTS_BATCH, 0);

    (void)status;
    (void)ready;
    for (int i = 0; i < count; i++)
        waits->vanished(events[i].data.ptr);
}

int waits_new(uv_loop_t *uv, size_t max, size_t max_per_address,
    void (*vanished)(struct wait *wait), struct waits **ret_waits)
{
    struct waits *waits = calloc(1, sizeof *waits);

    if (!waits)
        return ERROR_NO_MEMORY;
    waits->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (waits->epoll_fd < 0) {
        free(waits);
        return ERROR_NO_MEMORY;
    }
    waits->max = max;
    waits->max_per_address = max_per_address;
    waits->vanished = vanished;
    uv_poll_init(uv, &waits->events, waits->epoll_fd);
    waits->events.data = waits;
    uv_poll_start(&waits->events, UV_READABLE, on_events);
    *ret_waits = waits;
    return 0;
}

void waits_close(struct waits *waits)
{
    uv_close((uv_handle_t *)&waits->events, NULL);
}

void waits_free(struct waits *waits)
{
    if (!waits)
        return;
    close(waits->epoll_fd);
    free(waits);
}

size_t waits_count(const struct waits *waits)
{
    return waits->count;
}

bool waits_have_room(const struct waits *waits, const struct source *source)
{
    if (waits->max && waits->count >= waits->max)
        return false;
    return !source || !waits->max_per_address || source->waiters < waits->max_per_address;
}

void wait_begin(struct waits *waits, struct wait *wait, struct source *source, int fd)
{
    /* Only the peer's closing is of interest; one event is enough. */
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = wait};

    wait->source = source;
    wait->fd = fd;
    wait->watched = true;
    waits->count++;
    if (source)
        source->waiters++;
    /* Where this fails, the wait still ends at its deadline. */
    (void)epoll_ctl(waits->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

void wait_end(struct waits *waits, struct wait *wait)
{
    if (!wait->watched)
        return;
    wait->watched = false;
    waits->count--;
    if (wait->source)
        wait->source->waiters--;
    (void)epoll_ctl(waits->epoll_fd, EPOLL_CTL_DEL, wait->fd, NULL);
}
