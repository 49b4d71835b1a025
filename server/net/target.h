/*
 * What the index may dial when a caller asks to be dialled: the caller's own public address, and a
 * port that no system service has. Everything else would make of the index a tool against others.
 */
#ifndef SIGNPOST_NET_TARGET_H
#define SIGNPOST_NET_TARGET_H

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct port_range {
    uint16_t first, last;
};

/* "8080" or "1024-65535"; no port 0. */
bool port_range_parse(const char *text, struct port_range *ret_range);

struct target_policy {
    bool allow_private; /* loopback and private ranges too: an index of a LAN, or a test */
    const struct port_range *ports;
    size_t port_count;
    const struct address *own; /* addresses that the index listens on */
    size_t own_count;          /* those of its interfaces are looked up at each check */
};

/* ERROR_TARGET_REFUSED with the sentence that says why, and what would be needed. */
int target_check(const struct target_policy *policy, const struct address *target, uint16_t port,
    struct fault *ret_fault);

#endif
