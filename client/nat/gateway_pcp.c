/* PCP (RFC 6887): ANNOUNCE, to see whether it is there, and MAP. */
#include "gateway_internal.h"

#include "signpost.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define VERSION 2
#define REPLY_BIT 0x80
#define HEADER_SIZE 24
#define MAP_SIZE 60
#define MESSAGE_MAX 1100 /* RFC 6887, 7 */
#define TRY_FIRST_MS 250 /* doubled */
#define TRIES 3          /* 1.75 s in all */
#define IANA_TCP 6
#define IANA_UDP 17

enum { OPCODE_ANNOUNCE = 0, OPCODE_MAP = 1 };

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

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* An IPv4 address as IPv6 has it (RFC 6887, 5); NULL: none of IPv4. */
static void put_mapped(uint8_t *at, const char *address)
{
    memset(at, 0, 16);
    at[10] = at[11] = 0xFF;
    if (address)
        inet_pton(AF_INET, address, at + 12);
}

static void write_header(
    uint8_t *bytes, uint8_t opcode, uint32_t lifetime_s, const struct gateway_target *target)
{
    memset(bytes, 0, HEADER_SIZE);
    bytes[0] = VERSION;
    bytes[1] = opcode;
    put32(bytes + 4, lifetime_s);
    put_mapped(bytes + 8, target->local);
}

/* --- the conversation ------------------------------------------------------------------------ */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Connected, so that only the gateway's own answers come. */
static int open_socket(const struct gateway_target *target)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(GATEWAY_PORT)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    if (inet_pton(AF_INET, target->address, &address.sin_addr) == 1 &&
        !connect(fd, (const struct sockaddr *)&address, sizeof address))
        return fd;
    close(fd);
    return -1;
}

/* Is it an answer to this request? One of NAT-PMP alone is none. */
static bool is_answer(const uint8_t *reply, ssize_t size, const uint8_t *request, size_t asked)
{
    if (size < HEADER_SIZE || size % 4 != 0 || reply[0] != VERSION ||
        reply[1] != (REPLY_BIT | request[1]))
        return false;
    /* A MAP is known by its nonce, protocol and port. */
    return asked < MAP_SIZE ||
           (size >= MAP_SIZE && !memcmp(reply + HEADER_SIZE, request + HEADER_SIZE, 13) &&
               !memcmp(reply + HEADER_SIZE + 16, request + HEADER_SIZE + 16, 2));
}

/* What comes until `until_ms`; false: no answer did. `ret_gone`: none will, nobody is at the port.
 */
static bool listen_until(int fd, int64_t until_ms, const uint8_t *request, size_t asked,
    uint8_t ret_reply[MESSAGE_MAX], bool *ret_gone)
{
    for (int64_t left_ms; (left_ms = until_ms - now_ms()) > 0;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, (int)left_ms) <= 0)
            continue;
        ssize_t size = recv(fd, ret_reply, MESSAGE_MAX, 0);
        if (size < 0) {
            *ret_gone = true;
            return false;
        }
        if (is_answer(ret_reply, size, request, asked))
            return true;
    }
    return false;
}

static bool ask(const struct gateway_target *target, const uint8_t *request, size_t size,
    uint8_t ret_reply[MESSAGE_MAX])
{
    int fd = open_socket(target);
    bool answered = false, gone = false;
    int64_t wait_ms = TRY_FIRST_MS;

    if (fd < 0)
        return false;
    for (int i = 0; i < TRIES && !answered && !gone; i++, wait_ms *= 2) {
        if (send(fd, request, size, 0) < 0)
            break;
        answered = listen_until(fd, now_ms() + wait_ms, request, size, ret_reply, &gone);
    }
    close(fd);
    return answered;
}

/* RFC 6887, 7.4 */
static const char *explain(unsigned code)
{
    switch (code) {
    case 1: return "it does not know this version of PCP";
    case 2: return "it does not allow port mappings to this machine (not authorized)";
    case 3: return "it found the request malformed";
    case 4:
    case 5: return "it does not make mappings by PCP";
    case 7: return "its network is not up";
    case 8: return "it has no room for another mapping";
    case 9: return "it does not map this protocol";
    case 10: return "this machine has as many mappings as it allows";
    case 11: return "it cannot give that outer port";
    case 12: return "another NAT is between this machine and it (address mismatch)";
    default: return "it refused, without a reason that is known";
    }
}

/* --- the calls ------------------------------------------------------------------------------- */

static void probe(
    const struct gateway_target *target, struct gateway_claim *ret_claim, char ret_model[64])
{
    uint8_t request[HEADER_SIZE], reply[MESSAGE_MAX];

    ret_model[0] = '\0'; /* the protocol tells none */
    write_header(request, OPCODE_ANNOUNCE, 0, target);
    ret_claim->present = NAT_NO;
    if (!ask(target, request, sizeof request, reply))
        return;
    ret_claim->present = NAT_YES;
    if (reply[3])
        snprintf(ret_claim->detail, sizeof ret_claim->detail, "%s", explain(reply[3]));
}

static int map(const struct gateway_target *target, struct gateway_mapping *mapping)
{
    uint8_t request[MAP_SIZE] = {0}, reply[MESSAGE_MAX];
    uint8_t *body = request + HEADER_SIZE;
    const uint8_t *answer = reply + HEADER_SIZE;

    write_header(request, OPCODE_MAP, mapping->lifetime_s, target);
    memcpy(body, mapping->nonce, GATEWAY_PCP_NONCE_BYTES);
    body[12] = mapping->protocol == NAT_TCP ? IANA_TCP : IANA_UDP;
    put16(body + 16, mapping->internal_port);
    put16(body + 18, mapping->external_port);
    put_mapped(body + 20, NULL);
    if (!ask(target, request, sizeof request, reply))
        return SIGNPOST_ERROR_NO_GATEWAY;
    if (reply[3]) {
        snprintf(mapping->detail, sizeof mapping->detail, "%s", explain(reply[3]));
        return reply[3] == 1 ? SIGNPOST_ERROR_NO_GATEWAY : SIGNPOST_ERROR_NO_MAPPING;
    }
    if (!mapping->lifetime_s)
        return 0;
    mapping->lifetime_s = get32(reply + 4);
    mapping->external_port = (uint16_t)(answer[18] << 8 | answer[19]);
    if (!mapping->lifetime_s || !mapping->external_port) {
        snprintf(mapping->detail, sizeof mapping->detail, "it gave a mapping that is none");
        return SIGNPOST_ERROR_NO_MAPPING;
    }
    inet_ntop(AF_INET, answer + 32, mapping->address, sizeof mapping->address);
    return 0;
}

const struct gateway_calls gateway_pcp = {probe, map};
