#include "net/address.h"

#include "digits.h"
#include "quote.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAPPED_BITS 96 /* of ::ffff:0:0/96, RFC 4291 section 2.5.5.2 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static struct address from_ipv4(const void *bytes)
{
    struct address address = {.family = 4};
    memcpy(address.bytes, bytes, 4);
    return address;
}

static struct address from_ipv6(const struct in6_addr *bytes)
{
    if (IN6_IS_ADDR_V4MAPPED(bytes))
        return from_ipv4(bytes->s6_addr + MAPPED_BITS / 8);
    struct address address = {.family = 6};
    memcpy(address.bytes, bytes->s6_addr, 16);
    return address;
}

bool address_from_sockaddr(const struct sockaddr *socket_address, struct address *ret_address)
{
    /* Copied out, since the storage behind a plain sockaddr need not be aligned for either. */
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;

    switch (socket_address->sa_family) {
    case AF_INET:
        memcpy(&ipv4, socket_address, sizeof ipv4);
        *ret_address = from_ipv4(&ipv4.sin_addr);
        return true;
    case AF_INET6:
        memcpy(&ipv6, socket_address, sizeof ipv6);
        *ret_address = from_ipv6(&ipv6.sin6_addr);
        return true;
    default: return false;
    }
}

socklen_t address_to_sockaddr(
    const struct address *address, uint16_t port, struct sockaddr_storage *ret_socket_address)
{
    memset(ret_socket_address, 0, sizeof *ret_socket_address);
    if (address->family == 6) {
        struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)ret_socket_address;
        ipv6->sin6_family = AF_INET6;
        ipv6->sin6_port = htons(port);
        memcpy(&ipv6->sin6_addr, address->bytes, 16);
        return sizeof *ipv6;
    }
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)ret_socket_address;
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = htons(port);
    memcpy(&ipv4->sin_addr, address->bytes, 4);
    return sizeof *ipv4;
}

bool address_parse(const char *text, struct address *ret_address)
{
    struct in_addr ipv4;
    struct in6_addr ipv6;

    if (inet_pton(AF_INET, text, &ipv4) == 1)
        *ret_address = from_ipv4(&ipv4);
    else if (inet_pton(AF_INET6, text, &ipv6) == 1)
        *ret_address = from_ipv6(&ipv6);
    else
        return false;
    return true;
}

const char *address_format(const struct address *address, char ret_text[ADDRESS_TEXT_SIZE])
{
    char *at = ret_text;

    if (address->family == 6) {
        inet_ntop(AF_INET6, address->bytes, ret_text, ADDRESS_TEXT_SIZE);
        return ret_text;
    }
    for (int i = 0; address->family && i < 4; i++) {
        if (i > 0)
            *at++ = '.';
        at = digits_write(at, address->bytes[i], 1);
    }
    *at = '\0';
    return ret_text;
}

bool address_equal(const struct address *a, const struct address *b)
{
    return a->family == b->family && !memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

/* Whether `address` begins with the `bits` bits of `base`. */
static bool begins_with(const uint8_t *address, const uint8_t *base, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned mask = 0xff00u >> (bits % 8) & 0xff;

    if (memcmp(address, base, whole) != 0)
        return false;
    return bits % 8 == 0 || ((address[whole] ^ base[whole]) & mask) == 0;
}

/* One row of the special-purpose registries; a row above goes before one below. */
struct special {
    uint8_t family;
    uint8_t bits;
    uint8_t base[16];
    enum address_class class;
};

static const struct special specials[] = {
    {4, 8, {0}, ADDRESS_UNSPECIFIED},          /* RFC 791: "this network" */
    {4, 8, {127}, ADDRESS_LOOPBACK},           /* RFC 1122 */
    {4, 16, {169, 254}, ADDRESS_LINK_LOCAL},   /* RFC 3927 */
    {4, 4, {224}, ADDRESS_MULTICAST},          /* RFC 5771 */
    {4, 4, {240}, ADDRESS_RESERVED},           /* RFC 1112, RFC 8190: the broadcast address */
    {4, 8, {10}, ADDRESS_PRIVATE},             /* RFC 1918 */
    {4, 12, {172, 16}, ADDRESS_PRIVATE},       /* RFC 1918 */
    {4, 16, {192, 168}, ADDRESS_PRIVATE},      /* RFC 1918 */
    {4, 10, {100, 64}, ADDRESS_PRIVATE},       /* RFC 6598: carriers' NAT */
    {6, 128, {0}, ADDRESS_UNSPECIFIED},        /* RFC 4291 */
    {6, 128, {[15] = 1}, ADDRESS_LOOPBACK},    /* RFC 4291 */
    {6, 10, {0xfe, 0x80}, ADDRESS_LINK_LOCAL}, /* RFC 4291 */
    {6, 8, {0xff}, ADDRESS_MULTICAST},         /* RFC 4291 */
    {6, 7, {0xfc}, ADDRESS_PRIVATE},           /* RFC 4193: unique local */
};

enum address_class address_classify(const struct address *address)
{
    if (!address->family)
        return ADDRESS_UNSPECIFIED;
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
        if (specials[i].family == address->family &&
            begins_with(address->bytes, specials[i].base, specials[i].bits))
            return specials[i].class;
    return ADDRESS_PUBLIC;
}

struct address address_prefix(const struct address *address)
{
    struct address prefix = *address;
    if (prefix.family == 6)
        memset(prefix.bytes + 7, 0, 9);
    return prefix;
}

/* One to `digits` decimal digits up to the end of the text, at most `maximum`. */
static bool parse_number(const char *text, size_t digits, unsigned maximum, unsigned *ret_number)
{
    unsigned number = 0;
    size_t length = strlen(text);

    if (length < 1 || length > digits)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i]))
            return false;
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    if (number > maximum)
        return false;
    *ret_number = number;
    return true;
}

/* A literal of `length` characters inside a longer text. */
static bool parse_piece(const char *text, size_t length, struct address *ret_address)
{
    char piece[ADDRESS_TEXT_SIZE];

    if (length >= sizeof piece)
        return false;
    memcpy(piece, text, length);
    piece[length] = '\0';
    return address_parse(piece, ret_address);
}

bool address_range_parse(const char *text, struct address_range *ret_range)
{
    static const uint8_t zeros[16];
    struct address_range range = {0};
    size_t length = strcspn(text, "/");

    if (!parse_piece(text, length, &range.base))
        return false;
    unsigned width = range.base.family == 4 ? 32 : 128;
    /* A mapped address counts its bits from the start of the IPv6 form. */
    unsigned skipped = range.base.family == 4 && memchr(text, ':', length) ? MAPPED_BITS : 0;
    range.bits = width + skipped;
    if (text[length] == '/' && !parse_number(text + length + 1, 3, width + skipped, &range.bits))
        return false;
    if (range.bits < skipped)
        return false;
    range.bits -= skipped;
    /* The bits below the prefix, shifted up to a byte's start, have to be zero. */
    unsigned whole = range.bits / 8;
    if (range.bits % 8) {
        if (range.base.bytes[whole] & (0xffu >> (range.bits % 8)))
            return false;
        whole++;
    }
    if (memcmp(range.base.bytes + whole, zeros, sizeof zeros - whole) != 0)
        return false;
    *ret_range = range;
    return true;
}

bool address_range_has(const struct address_range *range, const struct address *address)
{
    return range->base.family == address->family &&
           begins_with(address->bytes, range->base.bytes, range->bits);
}

/* Where the host of `host:port` ends, or NULL: `[...]` goes to its bracket, else to the colon. */
static const char *host_end(const char *text)
{
    const char *end = text[0] == '[' ? strchr(text, ']') : strrchr(text, ':');
    if (end && *end == ']')
        end++;
    return end;
}

bool address_port_parse(const char *text, struct address *ret_address, uint16_t *ret_port)
{
    struct address address;
    unsigned port;
    const char *end = host_end(text);

    if (!end || *end != ':' || !parse_number(end + 1, 5, UINT16_MAX, &port))
        return false;
    size_t length = (size_t)(end - text);
    if (text[0] == '[') {
        if (!memchr(text, ':', length) || !parse_piece(text + 1, length - 2, &address))
            return false;
    } else if (memchr(text, ':', length)) {
        return false;
    } else if (length == strlen("localhost") && !strncasecmp(text, "localhost", length)) {
        address = (struct address){.family = 4, .bytes = {127, 0, 0, 1}};
    } else if (!parse_piece(text, length, &address)) {
        return false;
    }
    *ret_address = address;
    *ret_port = (uint16_t)port;
    return true;
}

/* What is wrong with the characters of an endpoint, or NULL. */
static const char *check_characters(const char *text)
{
    if (strnlen(text, LIMIT_ENDPOINT_CHARS + 1) > LIMIT_ENDPOINT_CHARS)
        return "is too long: shorten it to " QUOTE_MACRO(LIMIT_ENDPOINT_CHARS) " characters";
    for (const char *at = text; *at; at++) {
        if (*at < 0)
            return "has non-ASCII characters: write an international name in its xn-- form";
        if (*at == ' ' || (*at >= '\t' && *at <= '\r'))
            return "has whitespace: remove it";
        if (*at < ' ' || *at == 0x7f)
            return "has control characters: remove them";
    }
    if (strchr(text, '%'))
        return "has a percent sign: give the host plainly, without escapes or a zone";
    if (strchr(text, '@'))
        return "has a user name: leave out all up to the @";
    if (strchr(text, '?'))
        return "has a query: leave it out, and put it into meta";
    if (strchr(text, '#'))
        return "has a fragment: leave it out";
    return NULL;
}

static const char *parse_scheme(const char *text, size_t length, struct endpoint *ret_endpoint)
{
    if (length > LIMIT_SCHEME_CHARS)
        return "has too long a scheme: at most " QUOTE_MACRO(LIMIT_SCHEME_CHARS) " characters";
    if (!length || !is_letter(text[0]))
        return "has no scheme: write scheme://host:port, the scheme beginning with a letter";
    for (size_t i = 0; i < length; i++) {
        if (!is_letter(text[i]) && !is_digit(text[i]) && !strchr("+-.", text[i]))
            return "has a scheme with other characters than letters, digits, +, - and .";
        ret_endpoint->scheme[i] = to_lower(text[i]);
    }
    ret_endpoint->scheme[length] = '\0';
    return NULL;
}

/* Whether a resolver may take the last label for a number, and so the whole for an IPv4 address
 * that this index has not judged. */
static bool ends_in_number(const char *name)
{
    const char *label = strrchr(name, '.');
    label = label ? label + 1 : name;
    if (label[0] == '0' && label[1] == 'x')
        return label[2 + strspn(label + 2, "0123456789abcdef")] == '\0';
    return label[strspn(label, "0123456789")] == '\0';
}

static const char *parse_name(const char *text, size_t length, struct endpoint *ret_endpoint)
{
    char *name = ret_endpoint->name;
    size_t label = 0; /* characters of the present label */

    if (length > 1 && text[length - 1] == '.')
        length--;
    if (length >= sizeof ret_endpoint->name)
        return "has too long a host name: at most 253 characters";
    for (size_t i = 0; i < length; i++) {
        name[i] = to_lower(text[i]);
        if (name[i] == '.') {
            if (!label || name[i - 1] == '-')
                return "has a host name with an empty label or one that ends in a hyphen";
            label = 0;
            continue;
        }
        if (!is_letter(name[i]) && !is_digit(name[i]) && name[i] != '-')
            return "has a host name with other characters than letters, digits, hyphens and dots";
        if (!label && name[i] == '-')
            return "has a host name with a label that begins with a hyphen";
        if (++label > 63)
            return "has a host name with a label of more than 63 characters";
    }
    name[length] = '\0';
    if (!label || name[length - 1] == '-')
        return "has a host name with an empty label or one that ends in a hyphen";
    if (ends_in_number(name))
        return "has a host that is neither a strict IPv4 address (as 192.0.2.1) nor a name";
    ret_endpoint->host = ENDPOINT_NAME;
    return NULL;
}

static const char *parse_host(const char *text, size_t length, struct endpoint *ret_endpoint)
{
    if (!length) {
        ret_endpoint->host = ENDPOINT_OBSERVED;
        return NULL;
    }
    if (text[0] == '[') {
        if (!memchr(text, ':', length) ||
            !parse_piece(text + 1, length - 2, &ret_endpoint->address))
            return "has no IPv6 address in its brackets: write it as [2001:db8::1]";
    } else if (memchr(text, ':', length)) {
        return "has colons in its host: put an IPv6 address in brackets";
    } else if (!parse_piece(text, length, &ret_endpoint->address)) {
        return parse_name(text, length, ret_endpoint);
    }
    static const struct address any_ipv4 = {.family = 4}, any_ipv6 = {.family = 6};
    ret_endpoint->host = ENDPOINT_ADDRESS;
    if (address_equal(&ret_endpoint->address, &any_ipv4))
        ret_endpoint->host = ENDPOINT_OBSERVED_IPV4;
    else if (address_equal(&ret_endpoint->address, &any_ipv6))
        ret_endpoint->host = ENDPOINT_OBSERVED;
    return NULL;
}

/* What is wrong with an endpoint and what to do about it, or NULL. */
static const char *parse_endpoint(const char *text, struct endpoint *ret_endpoint)
{
    unsigned port;
    const char *wrong = check_characters(text);

    if (wrong)
        return wrong;
    const char *colon = strstr(text, "://");
    if (!colon)
        return "has no scheme: write scheme://host:port";
    wrong = parse_scheme(text, (size_t)(colon - text), ret_endpoint);
    if (wrong)
        return wrong;
    const char *host = colon + 3;
    if (strpbrk(host, "/\\"))
        return "has a path: leave out all after the port, and put the path into meta";
    const char *end = host_end(host);
    if (!end && host[0] == '[')
        return "has a bracket that is not closed: write an IPv6 address as [2001:db8::1]";
    if (!end || *end == '\0')
        return "has no port: write scheme://host:port";
    if (*end != ':')
        return "has something between the bracket and the port: remove it";
    wrong = parse_host(host, (size_t)(end - host), ret_endpoint);
    if (wrong)
        return wrong;
    if (!parse_number(end + 1, 5, UINT16_MAX, &port) || port == 0)
        return "has no port from 1 to 65535: write scheme://host:port";
    ret_endpoint->port = (uint16_t)port;
    return NULL;
}

int endpoint_parse(const char *text, struct endpoint *ret_endpoint, struct fault *ret_fault)
{
    struct endpoint endpoint = {0};
    char quoted[QUOTE_SIZE];
    const char *wrong = parse_endpoint(text, &endpoint);

    if (wrong)
        return fault_set(
            ret_fault, ERROR_BAD_ENDPOINT, "the endpoint %s %s", quote_text(text, quoted), wrong);
    *ret_endpoint = endpoint;
    return 0;
}

void endpoint_format(const struct endpoint *endpoint, const struct address *address,
    char ret_text[LIMIT_ENDPOINT_CHARS + 1])
{
    char literal[ADDRESS_TEXT_SIZE];
    bool brackets = address->family == 6;

    address_format(address, literal);
    snprintf(ret_text, LIMIT_ENDPOINT_CHARS + 1, "%s://%s%s%s:%u", endpoint->scheme,
        brackets ? "[" : "", literal, brackets ? "]" : "", (unsigned)endpoint->port);
}
