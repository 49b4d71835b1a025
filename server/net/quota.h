/*
 * How many dial-backs there may be: of one stranger (an IPv4 /32 or an IPv6 /56) and in all. What
 * the limits count are the checks of the last hour, one record each; since so few are let through a
 * minute, all of them fit in a table of fixed size, and no stranger can make it grow.
 */
#ifndef SIGNPOST_NET_QUOTA_H
#define SIGNPOST_NET_QUOTA_H

#include "error.h"
#include "net/address.h"

#include <stdbool.h>
#include <stdint.h>

#define QUOTA_NONCE_BYTES 16

struct quota;

struct quota_request {
    struct address address;
    uint16_t port;
    bool udp;
    uint8_t nonce[QUOTA_NONCE_BYTES];
};

struct quota *quota_new(void);        /* NULL where memory is out */
void quota_free(struct quota *quota); /* NULL is fine */

/* Counts one check, which is under way until quota_end() of its ticket. ERROR_NONCE_USED, or
 * ERROR_CHECK_LIMITED with the limit that lasts longest and the time after which one more is taken;
 * what is refused is not counted. `now_ms` never goes back. */
int quota_begin(struct quota *quota, const struct quota_request *request, int64_t now_ms,
    uint64_t *ret_ticket, struct fault *ret_fault);
void quota_end(struct quota *quota, uint64_t ticket);

#endif
