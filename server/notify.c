#include "notify.h"

#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOTIFY_TEXT_SIZE 512 /* bytes of a datagram, with its NUL */

static void notify_give_up(struct notify *notify, const char *reason)
{
    log_event(LOG_WARN, "notify_failed", "reason", reason, "effect",
        "the service manager is told nothing", NULL);
    notify_close(notify);
}

/* A whole number above 0 and nothing else; else 0. */
static uint64_t notify_number(const char *text)
{
    char *end = NULL;

    if (*text < '0' || *text > '9')
        return 0;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    return errno || *end ? 0 : number;
}

/* Twice as often as the manager wants it. */
static uint64_t notify_read_beat_ms(void)
{
    const char *process = getenv("WATCHDOG_PID"), *period = getenv("WATCHDOG_USEC");

    if (!period || (process && notify_number(process) != (uint64_t)getpid()))
        return 0;
    uint64_t period_us = notify_number(period);
    if (!period_us) {
        log_event(LOG_WARN, "watchdog_ignored", "reason",
            "WATCHDOG_USEC is not a whole number of microseconds above 0", NULL);
        return 0;
    }
    return period_us < 2000 ? 1 : period_us / 2000;
}

void notify_open(struct notify *ret_notify)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un *address = &ret_notify->address;

    *ret_notify = (struct notify){.fd = -1, .address = {.sun_family = AF_UNIX}};
    if (!name || !*name)
        return;
    size_t length = strlen(name);
    if ((*name != '/' && *name != '@') || length >= sizeof address->sun_path) {
        notify_give_up(ret_notify, "NOTIFY_SOCKET names no Unix socket");
        return;
    }
    memcpy(address->sun_path, name, length + 1);
    /* One of the abstract ones has a NUL for the @, and none at its end. */
    if (*name == '@')
        address->sun_path[0] = '\0';
    ret_notify->address_length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (*name == '/'));
    ret_notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (ret_notify->fd < 0) {
        notify_give_up(ret_notify, strerror(errno));
        return;
    }
    ret_notify->beat_ms = notify_read_beat_ms();
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

void notify_send(struct notify *notify, const char *format, ...)
{
    char text[NOTIFY_TEXT_SIZE];
    va_list values;

    if (notify->fd < 0)
        return;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    ssize_t sent = sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL,
        (const struct sockaddr *)&notify->address, notify->address_length);
    /* A manager that is behind gets the next one. */
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        notify_give_up(notify, strerror(errno));
}
