/*
 * How often strangers may have themselves dialled: by IPv4 /32 or IPv6 /56 and in all, and each
 * nonce once. Only what was admitted counts, so that what is remembered is bounded by the limit on
 * all of it.
 */
#ifndef SIGNPOST_NET_QUOTA_H
#define SIGNPOST_NET_QUOTA_H

#include "net/address.h"

#include <stdbool.h>
#include <stdint.h>

#define QUOTA_NONCE_BYTES 16

enum dial_protocol { DIAL_TCP, DIAL_UDP, DIAL_PROTOCOLS };

struct quota;
struct quota_stranger;

struct quota *quota_new(void);        /* NULL where memory is out */
void quota_free(struct quota *quota); /* NULL is fine */

/* One dial-back begins; it ends with quota_end(). ERROR_CHECK_LIMITED with the limit that is hit
 * and when to come back; ERROR_NONCE_USED; ERROR_NO_MEMORY. */
int quota_begin(struct quota *quota, const struct address *target, enum dial_protocol protocol,
    uint16_t port, const uint8_t nonce[QUOTA_NONCE_BYTES], int64_t now_ms,
    struct quota_stranger **ret_stranger, struct fault *ret_fault);
void quota_end(struct quota_stranger *stranger, enum dial_protocol protocol);

#endif
