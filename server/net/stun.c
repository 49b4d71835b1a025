#include "net/stun.h"

#include <stdbool.h>
#include <string.h>

#define HEADER_SIZE 20
#define ID_SIZE 16 /* the magic cookie and the transaction id, which replies repeat */
#define COOKIE 0x2112A442u
#define ATTRIBUTE_HEADER_SIZE 4
#define FINGERPRINT_XOR 0x5354554Eu /* RFC 8489, 14.7 */
#define UNKNOWN_MAX 4               /* unknown attributes that an error names */
#define UNDERSTOOD_OPTIONAL 0x8000  /* attributes from here on may be passed over */

enum { BINDING_REQUEST = 0x0001, BINDING_SUCCESS = 0x0101, BINDING_ERROR = 0x0111 };

enum {
    USERNAME = 0x0006,
    MESSAGE_INTEGRITY = 0x0008,
    ERROR_CODE = 0x0009,
    UNKNOWN_ATTRIBUTES = 0x000A,
    REALM = 0x0014,
    NONCE = 0x0015,
    MESSAGE_INTEGRITY_SHA256 = 0x001C,
    PASSWORD_ALGORITHM = 0x001D,
    USERHASH = 0x001E,
    XOR_MAPPED_ADDRESS = 0x0020,
    FINGERPRINT = 0x8028
};

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* --- requests -------------------------------------------------------------------------------- */

/* CRC-32 of ITU V.42, bit by bit: messages are short, and few have one. */
static uint32_t crc32_of(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xFFFFFFFFu;

    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

/* Credentials are understood: without authentication here they count for nothing. */
static bool is_understood(unsigned type)
{
    switch (type) {
    case USERNAME:
    case MESSAGE_INTEGRITY:
    case REALM:
    case NONCE:
    case MESSAGE_INTEGRITY_SHA256:
    case PASSWORD_ALGORITHM:
    case USERHASH: return true;
    default: return type >= UNDERSTOOD_OPTIONAL;
    }
}

struct unknown {
    uint16_t types[UNKNOWN_MAX];
    size_t count;
};

static bool is_request(const uint8_t *request, size_t size)
{
    return size >= HEADER_SIZE && size % 4 == 0 && get16(request) == BINDING_REQUEST &&
           (size_t)get16(request + 2) + HEADER_SIZE == size && get32(request + 4) == COOKIE;
}

/* False: it is malformed, or was changed on its way. */
static bool read_attributes(const uint8_t *request, size_t size, struct unknown *ret_unknown)
{
    size_t at = HEADER_SIZE;

    while (at < size) {
        unsigned type = get16(request + at);
        size_t length = get16(request + at + 2);
        size_t padded = (length + 3) & ~(size_t)3;
        const uint8_t *value = request + at + ATTRIBUTE_HEADER_SIZE;
        if (padded > size - at - ATTRIBUTE_HEADER_SIZE)
            return false;
        size_t next = at + ATTRIBUTE_HEADER_SIZE + padded;
        if (type == FINGERPRINT && (length != 4 || next != size ||
                                       get32(value) != (crc32_of(request, at) ^ FINGERPRINT_XOR)))
            return false;
        if (!is_understood(type) && ret_unknown->count < UNKNOWN_MAX)
            ret_unknown->types[ret_unknown->count++] = (uint16_t)type;
        at = next;
    }
    return true;
}

/* --- replies --------------------------------------------------------------------------------- */

static size_t write_header(
    const uint8_t *request, unsigned type, size_t size, uint8_t ret_reply[STUN_REPLY_MAX])
{
    put16(ret_reply, type);
    put16(ret_reply + 2, (unsigned)(size - HEADER_SIZE));
    memcpy(ret_reply + 4, request + 4, ID_SIZE);
    return size;
}

/* RFC 8489, 14.2: the port under the cookie, the address under the cookie and the id. */
static size_t write_success(const uint8_t *request, const struct address *source, uint16_t port,
    uint8_t ret_reply[STUN_REPLY_MAX])
{
    size_t length = source->family == 4 ? 4 : 16;
    uint8_t *attribute = ret_reply + HEADER_SIZE;

    put16(attribute, XOR_MAPPED_ADDRESS);
    put16(attribute + 2, (unsigned)(4 + length));
    attribute[4] = 0;
    attribute[5] = source->family == 4 ? 1 : 2;
    put16(attribute + 6, port ^ (COOKIE >> 16));
    for (size_t i = 0; i < length; i++)
        attribute[8 + i] = source->bytes[i] ^ request[4 + i];
    return write_header(request, BINDING_SUCCESS, HEADER_SIZE + 8 + length, ret_reply);
}

/* 420, without a phrase, and what was not understood (RFC 8489, 6.3.1). */
static size_t write_unknown(
    const uint8_t *request, const struct unknown *unknown, uint8_t ret_reply[STUN_REPLY_MAX])
{
    uint8_t *attribute = ret_reply + HEADER_SIZE;
    size_t padded = (2 * unknown->count + 3) & ~(size_t)3;

    memset(attribute, 0, STUN_REPLY_MAX - HEADER_SIZE);
    put16(attribute, ERROR_CODE);
    put16(attribute + 2, 4);
    attribute[6] = 4;
    attribute[7] = 20;
    put16(attribute + 8, UNKNOWN_ATTRIBUTES);
    put16(attribute + 10, (unsigned)(2 * unknown->count));
    for (size_t i = 0; i < unknown->count; i++)
        put16(attribute + 12 + 2 * i, unknown->types[i]);
    return write_header(request, BINDING_ERROR, HEADER_SIZE + 12 + padded, ret_reply);
}

size_t stun_answer(const uint8_t *request, size_t size, const struct address *source, uint16_t port,
    uint8_t ret_reply[STUN_REPLY_MAX])
{
    struct unknown unknown = {.count = 0};

    if (!is_request(request, size) || !read_attributes(request, size, &unknown))
        return 0;
    return unknown.count ? write_unknown(request, &unknown, ret_reply)
                         : write_success(request, source, port, ret_reply);
}
