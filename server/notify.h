/*
 * What the service manager is told: that the index is ready, reads its files anew, stops, and is
 * alive. This is the protocol of sd_notify(3), datagrams to the socket that $NOTIFY_SOCKET names;
 * without it nothing is sent. What cannot be sent is logged once, and changes nothing else.
 */
#ifndef SIGNPOST_NOTIFY_H
#define SIGNPOST_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int fd; /* -1: nobody is to be told */
    struct sockaddr_un address;
    socklen_t address_length;
    uint64_t beat_ms; /* how often WATCHDOG=1 is to be said; 0: never */
};

/* From the environment. What cannot be used in it is logged and left out. */
void notify_open(struct notify *ret_notify);
void notify_close(struct notify *notify);

/* Lines as in sd_notify(3), "READY=1\nSTATUS=..."; a text that is too long is cut. Never waits. */
void notify_send(struct notify *notify, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
