#include "net/target.h"

#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>

bool port_range_parse(const char *text, struct port_range *ret_range)
{
    unsigned long ports[2];
    char *end = NULL;

    for (size_t i = 0; i < 2; i++) {
        size_t digits = strspn(text, "0123456789");
        if (!digits || digits > 5)
            return false;
        ports[i] = strtoul(text, &end, 10);
        if (!ports[i] || ports[i] > UINT16_MAX)
            return false;
        if (i == 0 && *end == '\0')
            ports[++i] = ports[0];
        else if (*end != (i == 0 ? '-' : '\0'))
            return false;
        text = end + 1;
    }
    if (ports[0] > ports[1])
        return false;
    *ret_range = (struct port_range){(uint16_t)ports[0], (uint16_t)ports[1]};
    return true;
}

/* --- addresses ------------------------------------------------------------------------------- */

/* Ranges that are public to address_classify(), but where nobody's own port is (IANA's registries
 * of special-purpose addresses). Of IPv6 only 2000::/3 was ever given to anyone. */
struct refused_range {
    const char *range, *name;
};

static const struct refused_range refused_ranges[] = {
    {"192.0.0.0/24", "kept for protocols"},        /* RFC 6890 */
    {"192.0.2.0/24", "for documentation"},         /* RFC 5737 */
    {"198.51.100.0/24", "for documentation"},      /* RFC 5737 */
    {"203.0.113.0/24", "for documentation"},       /* RFC 5737 */
    {"192.88.99.0/24", "a relay's"},               /* RFC 7526 */
    {"198.18.0.0/15", "for benchmarks"},           /* RFC 2544 */
    {"2001::/32", "a Teredo tunnel's"},            /* RFC 4380 */
    {"2001:2::/48", "for benchmarks"},             /* RFC 5180 */
    {"2001:10::/28", "no address of the network"}, /* RFC 4843: ORCHID */
    {"2001:20::/28", "no address of the network"}, /* RFC 7343: ORCHIDv2 */
    {"2001:db8::/32", "for documentation"},        /* RFC 3849 */
    {"2002::/16", "a 6to4 tunnel's"},              /* RFC 3056 */
    {"3fff::/20", "for documentation"},            /* RFC 9637 */
    {"64:ff9b::/96", "a translator's (NAT64)"},    /* RFC 6052 */
    {"64:ff9b:1::/48", "a translator's (NAT64)"},  /* RFC 8215 */
};

static const char *find_refused(const struct address *target)
{
    struct address_range range;

    for (size_t i = 0; i < sizeof refused_ranges / sizeof *refused_ranges; i++)
        if (address_range_parse(refused_ranges[i].range, &range) &&
            address_range_has(&range, target))
            return refused_ranges[i].name;
    if (target->family == 6 && (target->bytes[0] & 0xE0) != 0x20)
        return "not one of the internet";
    return NULL;
}

static bool is_interface(const struct address *target)
{
    struct ifaddrs *list = NULL;
    struct address address;
    bool found = false;

    /* Where they cannot be had, nothing is dialled. */
    if (getifaddrs(&list))
        return true;
    for (const struct ifaddrs *at = list; at && !found; at = at->ifa_next)
        found = at->ifa_addr && address_from_sockaddr(at->ifa_addr, &address) &&
                address_equal(&address, target);
    freeifaddrs(list);
    return found;
}

static bool is_own(const struct target_policy *policy, const struct address *target)
{
    for (size_t i = 0; i < policy->own_count; i++)
        if (address_equal(&policy->own[i], target))
            return true;
    return is_interface(target);
}

static bool has_port(const struct target_policy *policy, uint16_t port)
{
    for (size_t i = 0; i < policy->port_count; i++)
        if (port >= policy->ports[i].first && port <= policy->ports[i].last)
            return true;
    return false;
}

/* What kind of address is not dialled, or NULL. `ret_mend`: what would allow it. */
static const char *name_class(
    const struct target_policy *policy, const struct address *target, const char **ret_mend)
{
    *ret_mend = "check from a network with an address of the internet";
    switch (address_classify(target)) {
    case ADDRESS_LOOPBACK:
    case ADDRESS_PRIVATE:
        if (policy->allow_private)
            return NULL;
        *ret_mend =
            "an index on the internet can tell, or one with --check-private in this network";
        return address_classify(target) == ADDRESS_LOOPBACK ? "this machine's loopback" : "private";
    case ADDRESS_LINK_LOCAL: return "link-local";
    case ADDRESS_MULTICAST: return "multicast";
    case ADDRESS_RESERVED: return "reserved";
    case ADDRESS_UNSPECIFIED: return "no address of a machine";
    case ADDRESS_PUBLIC: break;
    }
    return find_refused(target);
}

int target_check(const struct target_policy *policy, const struct address *target, uint16_t port,
    struct fault *ret_fault)
{
    char text[ADDRESS_TEXT_SIZE];
    const char *mend;
    const char *name = name_class(policy, target, &mend);

    address_format(target, text);
    if (name)
        return fault_set(ret_fault, ERROR_TARGET_REFUSED,
            "the index sees you at %s, and does not dial it: the address is %s; %s", text, name,
            mend);
    if (!has_port(policy, port))
        return fault_set(ret_fault, ERROR_TARGET_REFUSED,
            "this index does not dial port %u: choose another, from 1024 up unless its operator "
            "says otherwise (--check-ports)",
            (unsigned)port);
    /* On loopback every address is this machine's own: there that is what is asked for. */
    if (address_classify(target) != ADDRESS_LOOPBACK && is_own(policy, target))
        return fault_set(ret_fault, ERROR_TARGET_REFUSED,
            "%s is an address of the index itself: check from the machine whose port it is", text);
    return 0;
}
