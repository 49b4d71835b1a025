#include "net/target.h"

#include <string.h>

/* What is not dialled (IANA special-purpose registries). A row above goes before one below. */
struct forbidden {
    struct address_range range;
    bool home; /* lifted by --check-private */
    const char *name;
};

#define IPV4(bits, ...)                                                                            \
    {                                                                                              \
        {4, {__VA_ARGS__}}, bits                                                                   \
    }
#define IPV6(bits, ...)                                                                            \
    {                                                                                              \
        {6, {__VA_ARGS__}}, bits                                                                   \
    }

static const struct forbidden forbidden[] = {
    {IPV4(8, 0), false, "unspecified (0.0.0.0/8)"},
    {IPV4(8, 127), true, "a loopback address"},
    {IPV4(8, 10), true, "a private address"},
    {IPV4(12, 172, 16), true, "a private address"},
    {IPV4(16, 192, 168), true, "a private address"},
    {IPV4(10, 100, 64), true, "an address that a carrier's NAT shares (100.64.0.0/10)"},
    {IPV4(16, 169, 254), false, "a link-local address"},
    {IPV4(24, 192, 0, 0), false, "an address for protocols (192.0.0.0/24)"},
    {IPV4(24, 192, 0, 2), false, "an address for documentation"},
    {IPV4(24, 198, 51, 100), false, "an address for documentation"},
    {IPV4(24, 203, 0, 113), false, "an address for documentation"},
    {IPV4(24, 192, 88, 99), false, "a 6to4 relay (192.88.99.0/24)"},
    {IPV4(15, 198, 18), false, "an address for benchmarks (198.18.0.0/15)"},
    {IPV4(4, 224), false, "a multicast address"},
    {IPV4(4, 240), false, "a reserved address"},
    {IPV6(128, 0), false, "unspecified (::)"},
    {IPV6(128, [15] = 1), true, "a loopback address"},
    {IPV6(7, 0xfc), true, "a private address"},
    {IPV6(10, 0xfe, 0x80), false, "a link-local address"},
    {IPV6(8, 0xff), false, "a multicast address"},
    {IPV6(96, 0, 0x64, 0xff, 0x9b), false, "a NAT64 address (64:ff9b::/96)"},
    {IPV6(48, 0, 0x64, 0xff, 0x9b, 0, 1), false, "a NAT64 address (64:ff9b:1::/48)"},
    {IPV6(16, 0x20, 0x02), false, "a 6to4 address (2002::/16)"},
    {IPV6(32, 0x20, 0x01), false, "a Teredo address (2001::/32)"},
    {IPV6(48, 0x20, 0x01, 0, 2), false, "an address for benchmarks (2001:2::/48)"},
    {IPV6(23, 0x20, 0x01), false, "an address for protocols (2001::/23)"},
    {IPV6(32, 0x20, 0x01, 0x0d, 0xb8), false, "an address for documentation"},
    {IPV6(20, 0x3f, 0xff), false, "an address for documentation"},
};

/* All of IPv6 that is given out for use (RFC 4291, IANA's registry). */
static const struct address_range global_ipv6 = IPV6(3, 0x20);

static int refuse(struct fault *ret_fault, const struct address *address, const char *what)
{
    char text[ADDRESS_TEXT_SIZE];

    return fault_set(ret_fault, ERROR_TARGET_REFUSED,
        "you were seen as %s, %s, which this index does not dial: ask over the internet, or an "
        "index of your own network that runs with --check-private",
        address_format(address, text), what);
}

/* What the index has made of an address is never IPv4-mapped; what a caller of ours has made of it
 * could be, and would get past every row for IPv4. */
static struct address unwrap(const struct address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct address ipv4 = {.family = 4};

    if (address->family != 6 || memcmp(address->bytes, mapped, sizeof mapped) != 0)
        return *address;
    memcpy(ipv4.bytes, address->bytes + sizeof mapped, 4);
    return ipv4;
}

static int check_address(
    const struct target_rules *rules, const struct address *address, struct fault *ret_fault)
{
    char text[ADDRESS_TEXT_SIZE];
    bool home = false;

    if (address->family != 4 && address->family != 6)
        return fault_set(ret_fault, ERROR_TARGET_REFUSED,
            "your address is not known here, so there is nothing to dial: connect over TCP/IP");
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden && !home; i++) {
        if (!address_range_has(&forbidden[i].range, address))
            continue;
        if (!forbidden[i].home || !rules->allow_private)
            return refuse(ret_fault, address, forbidden[i].name);
        home = true;
    }
    if (address->family == 6 && !home && !address_range_has(&global_ipv6, address))
        return refuse(ret_fault, address, "outside of 2000::/3");
    if (home && address_classify(address) == ADDRESS_LOOPBACK)
        return 0;
    for (size_t i = 0; i < rules->own_count; i++)
        if (address_equal(&rules->own[i], address))
            return fault_set(ret_fault, ERROR_TARGET_REFUSED,
                "you were seen as %s, which is this index's own address, and it does not dial "
                "itself: ask from another machine",
                address_format(address, text));
    return 0;
}

int target_check(const struct target_rules *rules, const struct address *address, uint16_t port,
    struct fault *ret_fault)
{
    struct address target = unwrap(address);

    if (check_address(rules, &target, ret_fault))
        return ret_fault->error;
    for (size_t i = 0; i < rules->port_count; i++)
        if (port && port >= rules->ports[i].first && port <= rules->ports[i].last)
            return 0;
    return fault_set(ret_fault, ERROR_TARGET_REFUSED,
        "port %u is not one that this index dials (first %u to %u): choose another, or ask its "
        "operator for --check-ports",
        (unsigned)port, rules->port_count ? (unsigned)rules->ports[0].first : 0,
        rules->port_count ? (unsigned)rules->ports[0].last : 0);
}
