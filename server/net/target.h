/*
 * May the index dial this address and port? It dials none but who asks it to, and of those only who
 * is a stranger of the open internet: whatever a forged or odd address may lead to inside a house
 * or a data centre is refused. Pure: what this machine's own addresses are, the caller says.
 */
#ifndef SIGNPOST_NET_TARGET_H
#define SIGNPOST_NET_TARGET_H

#include "error.h"
#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct port_range {
    uint16_t first, last;
};

struct target_rules {
    bool allow_private; /* private, shared and loopback addresses too: --check-private */
    const struct port_range *ports; /* that may be dialled; borrowed */
    size_t port_count;
    const struct address *own; /* the index's addresses; borrowed */
    size_t own_count;
};

/* 0, or ERROR_TARGET_REFUSED with a sentence that says which guard it was and what to do. */
int target_check(const struct target_rules *rules, const struct address *address, uint16_t port,
    struct fault *ret_fault);

#endif
