/*
 * STUN as an index answers it: Binding requests without authentication (RFC 8489), so that who asks
 * learns the address and port that it is seen at. Pure: bytes in, bytes out.
 */
#ifndef SIGNPOST_NET_STUN_H
#define SIGNPOST_NET_STUN_H

#include "net/address.h"

#include <stddef.h>
#include <stdint.h>

/* To a bare request of 20 bytes 32 over IPv4 and 44 over IPv6; an error is shorter than that. */
#define STUN_REPLY_MAX 44

/* The size of the reply to who sent that from `source`; 0: there is none, which is the answer to
 * everything that is no Binding request. */
size_t stun_answer(const uint8_t *request, size_t size, const struct address *source, uint16_t port,
    uint8_t ret_reply[STUN_REPLY_MAX]);

#endif
