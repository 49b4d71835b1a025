/* STUN messages as a client writes and reads them (RFC 8489), with what RFC 5780 adds. */
#ifndef SIGNPOST_CLIENT_NAT_STUN_H
#define SIGNPOST_CLIENT_NAT_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define STUN_ID_SIZE 12
#define STUN_REQUEST_SIZE 28 /* with CHANGE-REQUEST; a bare one has 20 */
#define STUN_CHANGE_IP 0x04u /* RFC 5780, 7.2 */
#define STUN_CHANGE_PORT 0x02u

/* A Binding request; `change` 0: without CHANGE-REQUEST. Returns its size. */
size_t stun_write_request(
    const uint8_t id[STUN_ID_SIZE], unsigned change, uint8_t ret_bytes[STUN_REQUEST_SIZE]);

struct stun_reply {
    unsigned error;                 /* 0: success; else the error code, 300 to 699 */
    struct sockaddr_storage mapped; /* ss_family 0: none. XOR-MAPPED-ADDRESS, else MAPPED-ADDRESS */
    struct sockaddr_storage other;  /* OTHER-ADDRESS (RFC 5780, 7.4); ss_family 0: none */
};

/* Is it a Binding response to the request with this id? Everything else is false: another
 * transaction, a request, a bad length, a bad attribute, a FINGERPRINT that is wrong. */
bool stun_read_reply(const uint8_t *bytes, size_t size, const uint8_t id[STUN_ID_SIZE],
    struct stun_reply *ret_reply);

#endif
