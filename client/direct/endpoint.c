#include "endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define PORT_DIGITS_MAX 5

/* --- addresses ------------------------------------------------------------------------------- */

/* An address in one form, IPv4-mapped ones unwrapped: sockets that take both families have them. */
struct plain {
    int family; /* AF_INET, AF_INET6; else neither */
    uint8_t bytes[16];
    in_port_t port; /* in network order */
};

static void unwrap(const struct sockaddr_storage *address, struct plain *ret_plain)
{
    const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)address;
    const uint8_t *bytes = ipv6->sin6_addr.s6_addr;

    *ret_plain = (struct plain){.family = address->ss_family};
    if (address->ss_family == AF_INET) {
        memcpy(ret_plain->bytes, &ipv4->sin_addr, 4);
        ret_plain->port = ipv4->sin_port;
    } else if (address->ss_family == AF_INET6) {
        bool mapped = IN6_IS_ADDR_V4MAPPED(&ipv6->sin6_addr);
        ret_plain->family = mapped ? AF_INET : AF_INET6;
        memcpy(ret_plain->bytes, mapped ? bytes + 12 : bytes, mapped ? 4 : 16);
        ret_plain->port = ipv6->sin6_port;
    }
}

static void wrap(const struct plain *plain, struct sockaddr_storage *ret_address)
{
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)ret_address;

    memset(ret_address, 0, sizeof *ret_address);
    ret_address->ss_family = (sa_family_t)plain->family;
    if (plain->family == AF_INET) {
        memcpy(&ipv4->sin_addr, plain->bytes, 4);
        ipv4->sin_port = plain->port;
    } else {
        memcpy(&ipv6->sin6_addr, plain->bytes, 16);
        ipv6->sin6_port = plain->port;
    }
}

struct range {
    int family;
    uint8_t first, second; /* bytes of the address */
    unsigned bits;         /* at most 16 */
};

/* What has more than 16 bits is compared where it is used. */
static bool is_in(const struct plain *plain, const struct range *ranges, size_t count)
{
    unsigned head = (unsigned)plain->bytes[0] << 8 | plain->bytes[1];

    for (size_t i = 0; i < count; i++) {
        unsigned base = (unsigned)ranges[i].first << 8 | ranges[i].second;
        if (plain->family == ranges[i].family && (head ^ base) >> (16 - ranges[i].bits) == 0)
            return true;
    }
    return false;
}

/* Is it :: (0) or ::1 (1)? */
static bool is_ipv6_number(const struct plain *plain, uint8_t number)
{
    static const uint8_t zeros[15];

    return plain->family == AF_INET6 && !memcmp(plain->bytes, zeros, sizeof zeros) &&
           plain->bytes[15] == number;
}

/* Does it name one machine, for everyone in the same way? */
static bool is_endpoint_address(const struct sockaddr_storage *address)
{
    static const struct range others[] = {
        {AF_INET, 0, 0, 8},         /* unspecified */
        {AF_INET, 169, 254, 16},    /* link-local */
        {AF_INET, 224, 0, 3},       /* multicast, reserved and broadcast */
        {AF_INET6, 0xFE, 0x80, 10}, /* link-local */
        {AF_INET6, 0xFF, 0, 8},     /* multicast */
    };
    struct plain plain;

    unwrap(address, &plain);
    return !is_in(&plain, others, sizeof others / sizeof others[0]) && !is_ipv6_number(&plain, 0);
}

bool endpoint_is_private(const struct sockaddr_storage *address)
{
    static const struct range ranges[] = {
        {AF_INET, 10, 0, 8},
        {AF_INET, 100, 64, 10},
        {AF_INET, 127, 0, 8},
        {AF_INET, 172, 16, 12},
        {AF_INET, 192, 168, 16},
        {AF_INET6, 0xFC, 0, 7},
    };
    struct plain plain;

    unwrap(address, &plain);
    return is_in(&plain, ranges, sizeof ranges / sizeof ranges[0]) || is_ipv6_number(&plain, 1);
}

bool endpoint_parse_address(const char *text, struct sockaddr_storage *ret_address)
{
    struct sockaddr_storage address = {.ss_family = AF_INET6};
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&address;
    struct plain plain = {.family = AF_INET};

    if (inet_pton(AF_INET, text, plain.bytes) != 1) {
        if (inet_pton(AF_INET6, text, &ipv6->sin6_addr) != 1)
            return false;
        unwrap(&address, &plain);
    }
    wrap(&plain, ret_address);
    return true;
}

bool endpoint_same_address(const struct sockaddr_storage *one, const struct sockaddr_storage *other)
{
    struct plain first, second;

    unwrap(one, &first);
    unwrap(other, &second);
    return first.family == second.family && !memcmp(first.bytes, second.bytes, sizeof first.bytes);
}

bool endpoint_same(const struct sockaddr_storage *one, const struct sockaddr_storage *other)
{
    struct plain first, second;

    unwrap(one, &first);
    unwrap(other, &second);
    return endpoint_same_address(one, other) && first.port == second.port;
}

void endpoint_text(const struct sockaddr_storage *address, char ret_text[ENDPOINT_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "?";
    struct plain plain;

    unwrap(address, &plain);
    inet_ntop(plain.family, plain.bytes, host, sizeof host);
    snprintf(ret_text, ENDPOINT_TEXT_SIZE, plain.family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
        ntohs(plain.port));
}

/* --- endpoints ------------------------------------------------------------------------------- */

static bool is_letter(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
}

static bool is_digit(char character)
{
    return character >= '0' && character <= '9';
}

/* RFC 3986, section 3.1. */
static bool read_scheme(const char *text, size_t length, char ret_scheme[33])
{
    if (!is_letter(text[0]) || length > 32)
        return false;
    for (size_t i = 0; i < length; i++) {
        char character = text[i];
        if (!is_letter(character) && !is_digit(character) && !strchr("+-.", character))
            return false;
        ret_scheme[i] = is_letter(character) ? (char)(character | 0x20) : character;
    }
    ret_scheme[length] = '\0';
    return true;
}

static bool read_port(const char *text, in_port_t *ret_port)
{
    size_t length = strspn(text, "0123456789");
    unsigned port = 0;

    if (!length || length > PORT_DIGITS_MAX || text[length])
        return false;
    for (size_t i = 0; i < length; i++)
        port = port * 10 + (unsigned)(text[i] - '0');
    if (!port || port > 65535)
        return false;
    *ret_port = htons((uint16_t)port);
    return true;
}

/* The literal, in brackets where it is IPv6; after it comes a colon. */
static bool read_host(const char *text, size_t length, struct sockaddr_storage *ret_address)
{
    char host[INET6_ADDRSTRLEN];
    bool brackets = length >= 2 && text[0] == '[' && text[length - 1] == ']';

    if (brackets) {
        text++;
        length -= 2;
    }
    if (length >= sizeof host || brackets != (memchr(text, ':', length) != NULL))
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    return endpoint_parse_address(host, ret_address) && is_endpoint_address(ret_address);
}

bool endpoint_parse(const char *text, struct endpoint *ret_endpoint)
{
    struct endpoint endpoint = {.scheme = ""};
    struct plain plain;
    in_port_t port;
    const char *host = strstr(text, "://");
    const char *colon = strrchr(text, ':');

    if (!host || !read_scheme(text, (size_t)(host - text), endpoint.scheme))
        return false;
    host += 3;
    if (colon < host || !read_port(colon + 1, &port) ||
        !read_host(host, (size_t)(colon - host), &endpoint.address))
        return false;
    unwrap(&endpoint.address, &plain);
    plain.port = port;
    wrap(&plain, &endpoint.address);
    *ret_endpoint = endpoint;
    return true;
}
