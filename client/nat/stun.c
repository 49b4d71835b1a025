#include "stun.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define HEADER_SIZE 20
#define COOKIE 0x2112A442u /* RFC 8489, 5 */
#define ATTRIBUTE_HEADER_SIZE 4
#define FINGERPRINT_XOR 0x5354554Eu /* RFC 8489, 14.7 */

enum { BINDING_REQUEST = 0x0001, BINDING_SUCCESS = 0x0101, BINDING_ERROR = 0x0111 };

enum {
    MAPPED_ADDRESS = 0x0001,
    CHANGE_REQUEST = 0x0003,
    ERROR_CODE = 0x0009,
    XOR_MAPPED_ADDRESS = 0x0020,
    FINGERPRINT = 0x8028,
    OTHER_ADDRESS = 0x802C
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

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xFFFF);
}

size_t stun_write_request(
    const uint8_t id[STUN_ID_SIZE], unsigned change, uint8_t ret_bytes[STUN_REQUEST_SIZE])
{
    size_t size = change ? STUN_REQUEST_SIZE : HEADER_SIZE;

    put16(ret_bytes, BINDING_REQUEST);
    put16(ret_bytes + 2, (unsigned)(size - HEADER_SIZE));
    put32(ret_bytes + 4, COOKIE);
    memcpy(ret_bytes + 8, id, STUN_ID_SIZE);
    if (change) {
        put16(ret_bytes + HEADER_SIZE, CHANGE_REQUEST);
        put16(ret_bytes + HEADER_SIZE + 2, 4);
        put32(ret_bytes + HEADER_SIZE + 4, change);
    }
    return size;
}

/* --- replies --------------------------------------------------------------------------------- */

/* An address attribute; `mask` of 16 bytes is laid over port and address, NULL: none. False: it is
 * malformed. */
static bool read_address(
    const uint8_t *value, size_t size, const uint8_t *mask, struct sockaddr_storage *ret_address)
{
    uint8_t bytes[18]; /* port and address */
    size_t length = size > 2 ? size - 2 : 0;

    if (size != 8 && size != 20)
        return false;
    memcpy(bytes, value + 2, length);
    for (size_t i = 0; mask && i < length; i++)
        bytes[i] ^= i < 2 ? mask[i] : mask[i - 2];
    memset(ret_address, 0, sizeof *ret_address);
    if (value[1] == 1 && size == 8) {
        struct sockaddr_in *ipv4 = (struct sockaddr_in *)ret_address;
        ipv4->sin_family = AF_INET;
        ipv4->sin_port = htons(get16(bytes));
        memcpy(&ipv4->sin_addr, bytes + 2, 4);
        return true;
    }
    if (value[1] == 2 && size == 20) {
        struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)ret_address;
        ipv6->sin6_family = AF_INET6;
        ipv6->sin6_port = htons(get16(bytes));
        memcpy(&ipv6->sin6_addr, bytes + 2, 16);
        return true;
    }
    return false;
}

/* CRC-32 of ITU V.42, bit by bit: messages are short. */
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

/* What the attributes of one message say. */
struct reading {
    struct stun_reply reply;
    struct sockaddr_storage plain; /* MAPPED-ADDRESS */
    bool has_error;
};

/* One attribute at `at`, with `size` bytes of value. */
static bool read_attribute(
    const uint8_t *message, const uint8_t *at, size_t size, bool is_last, struct reading *reading)
{
    const uint8_t *value = at + ATTRIBUTE_HEADER_SIZE;

    switch (get16(at)) {
    case MAPPED_ADDRESS: return read_address(value, size, NULL, &reading->plain);
    case XOR_MAPPED_ADDRESS: return read_address(value, size, message + 4, &reading->reply.mapped);
    case OTHER_ADDRESS: return read_address(value, size, NULL, &reading->reply.other);
    case ERROR_CODE:
        if (size < 4 || value[2] < 3 || value[2] > 6 || value[3] > 99)
            return false;
        reading->reply.error = value[2] * 100u + value[3];
        reading->has_error = true;
        return true;
    case FINGERPRINT:
        return is_last && size == 4 &&
               get32(value) == (crc32_of(message, (size_t)(at - message)) ^ FINGERPRINT_XOR);
    default: return true;
    }
}

static bool is_reply(const uint8_t *bytes, size_t size, const uint8_t id[STUN_ID_SIZE])
{
    return size >= HEADER_SIZE &&
           (get16(bytes) == BINDING_SUCCESS || get16(bytes) == BINDING_ERROR) &&
           (size_t)get16(bytes + 2) + HEADER_SIZE == size && size % 4 == 0 &&
           get32(bytes + 4) == COOKIE && !memcmp(bytes + 8, id, STUN_ID_SIZE);
}

bool stun_read_reply(
    const uint8_t *bytes, size_t size, const uint8_t id[STUN_ID_SIZE], struct stun_reply *ret_reply)
{
    struct reading reading = {.has_error = false};
    size_t at = HEADER_SIZE;

    if (!is_reply(bytes, size, id))
        return false;
    while (at + ATTRIBUTE_HEADER_SIZE <= size) {
        size_t length = get16(bytes + at + 2);
        size_t padded = (length + 3) & ~(size_t)3;
        if (padded > size - at - ATTRIBUTE_HEADER_SIZE)
            return false;
        bool is_last = at + ATTRIBUTE_HEADER_SIZE + padded == size;
        if (!read_attribute(bytes, bytes + at, length, is_last, &reading))
            return false;
        at += ATTRIBUTE_HEADER_SIZE + padded;
    }
    /* A success tells an address, an error its code. */
    if (!reading.reply.mapped.ss_family)
        reading.reply.mapped = reading.plain;
    bool is_error = get16(bytes) == BINDING_ERROR;
    if (is_error ? !reading.has_error : !reading.reply.mapped.ss_family)
        return false;
    if (!is_error)
        reading.reply.error = 0;
    *ret_reply = reading.reply;
    return true;
}
