#include "facts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* --- addresses ------------------------------------------------------------------------------- */

/* False where the text is none. IPv4 in IPv6 is unwrapped. */
static bool parse(const char *text, int *ret_family, uint8_t ret_bytes[16])
{
    struct in6_addr ipv6;

    memset(ret_bytes, 0, 16);
    if (inet_pton(AF_INET, text, ret_bytes) == 1) {
        *ret_family = AF_INET;
        return true;
    }
    if (inet_pton(AF_INET6, text, &ipv6) != 1)
        return false;
    bool mapped = IN6_IS_ADDR_V4MAPPED(&ipv6);
    *ret_family = mapped ? AF_INET : AF_INET6;
    memcpy(ret_bytes, ipv6.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
    return true;
}

static bool is_in(const uint8_t *bytes, uint32_t network, unsigned bits)
{
    uint32_t address =
        (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    return (address ^ network) >> (32 - bits) == 0;
}

static enum address_kind kind_of_ipv4(const uint8_t *bytes)
{
    static const struct {
        uint32_t network;
        unsigned bits;
        enum address_kind kind;
    } ranges[] = {
        {0x00000000, 8, ADDRESS_NONE},     /* "this network" */
        {0xe0000000, 3, ADDRESS_NONE},     /* multicast, reserved, broadcast */
        {0x0a000000, 8, ADDRESS_PRIVATE},  /* 10.0.0.0 */
        {0x7f000000, 8, ADDRESS_PRIVATE},  /* loopback */
        {0xa9fe0000, 16, ADDRESS_PRIVATE}, /* 169.254.0.0, link-local */
        {0xac100000, 12, ADDRESS_PRIVATE}, /* 172.16.0.0 */
        {0xc0a80000, 16, ADDRESS_PRIVATE}, /* 192.168.0.0 */
        {0x64400000, 10, ADDRESS_SHARED},  /* 100.64.0.0 */
        {0xc0000000, 29, ADDRESS_SHARED},  /* 192.0.0.0 */
    };

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (is_in(bytes, ranges[i].network, ranges[i].bits))
            return ranges[i].kind;
    return ADDRESS_PUBLIC;
}

static enum address_kind kind_of_ipv6(const uint8_t *bytes)
{
    static const uint8_t nothing[16], loopback[16] = {[15] = 1};

    if (memcmp(bytes, nothing, 16) == 0 || bytes[0] == 0xff)
        return ADDRESS_NONE;
    bool link_local = bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
    bool unique_local = (bytes[0] & 0xfe) == 0xfc;
    if (link_local || unique_local || memcmp(bytes, loopback, 16) == 0)
        return ADDRESS_PRIVATE;
    return ADDRESS_PUBLIC;
}

enum address_kind facts_address(const char *address)
{
    uint8_t bytes[16];
    int family;

    if (!parse(address, &family, bytes))
        return ADDRESS_NONE;
    return family == AF_INET ? kind_of_ipv4(bytes) : kind_of_ipv6(bytes);
}

bool facts_same_address(const char *one, const char *other)
{
    uint8_t bytes[16], other_bytes[16];
    int family, other_family;

    return parse(one, &family, bytes) && parse(other, &other_family, other_bytes) &&
           family == other_family && memcmp(bytes, other_bytes, sizeof bytes) == 0;
}

void facts_endpoint(const char *address, uint16_t port, char ret_endpoint[NAT_ENDPOINT_SIZE])
{
    bool ipv6 = strchr(address, ':') != NULL;

    if (!address[0]) {
        (void)snprintf(ret_endpoint, NAT_ENDPOINT_SIZE, "port %u", port);
        return;
    }
    (void)snprintf(ret_endpoint, NAT_ENDPOINT_SIZE, ipv6 ? "[%s]:%u" : "%s:%u", address, port);
}

/* --- dial-backs ------------------------------------------------------------------------------ */

enum reached facts_reached(const struct dial *dial)
{
    switch (dial->result) {
    case DIAL_OPEN: return REACHED_US;
    case DIAL_CONNECTED:
        if (!dial->listened)
            return REACHED_US;
        return dial->heard ? REACHED_UNPROVED : REACHED_ANOTHER;
    case DIAL_SENT:
        if (!dial->listened)
            return REACHED_UNTESTED;
        return dial->heard ? REACHED_US : REACHED_NOBODY;
    case DIAL_REFUSED: return REACHED_REFUSAL;
    case DIAL_UNREACHABLE: return REACHED_UNREACHABLE;
    case DIAL_TIMEOUT: return REACHED_NOBODY;
    case DIAL_NONE:
    case DIAL_FORBIDDEN:
    case DIAL_LIMITED:
    case DIAL_FAILED: break;
    }
    return REACHED_UNTESTED;
}

bool facts_is_refusal(const struct dial *dial)
{
    return dial->result == DIAL_FORBIDDEN || dial->result == DIAL_LIMITED ||
           dial->result == DIAL_FAILED;
}

const struct dial *facts_main_dial(const struct protocol_evidence *evidence)
{
    bool again = facts_reached(&evidence->first) == REACHED_UNTESTED &&
                 facts_reached(&evidence->again) != REACHED_UNTESTED;
    return again ? &evidence->again : &evidence->first;
}

enum nat_answer facts_open(const struct protocol_evidence *evidence)
{
    enum reached reached = facts_reached(facts_main_dial(evidence));

    if (reached == REACHED_UNTESTED)
        return NAT_UNTESTED;
    return reached == REACHED_US ? NAT_YES : NAT_NO;
}

/* --- the router ------------------------------------------------------------------------------ */

enum nat_answer facts_nat(const struct family_evidence *evidence)
{
    if (facts_address(evidence->local) == ADDRESS_NONE ||
        facts_address(evidence->observed) == ADDRESS_NONE)
        return evidence->stun.mapping == NAT_MAPPING_NONE ? NAT_NO : NAT_UNTESTED;
    return facts_same_address(evidence->local, evidence->observed) ? NAT_NO : NAT_YES;
}

/* Takes one more claim into account. The first stays, unless this one is what the index saw. */
static void consider(
    struct outer *outer, const char *address, enum gateway_protocol by, const char *observed)
{
    bool ipv4 = strchr(address, ':') == NULL;

    if (!ipv4 || facts_address(address) == ADDRESS_NONE)
        return;
    if (!outer->address) {
        outer->address = address;
        outer->by = by;
    } else if (!facts_same_address(outer->address, address)) {
        bool better = facts_same_address(address, observed);
        outer->other = better ? outer->address : address;
        outer->other_by = better ? outer->by : by;
        outer->address = better ? address : outer->address;
        outer->by = better ? by : outer->by;
    }
}

struct outer facts_outer(const struct evidence *evidence)
{
    const char *observed = evidence->families[NAT_IPV4].observed;
    struct outer outer = {.address = NULL};

    for (enum gateway_protocol by = 0; by < GATEWAY_PROTOCOLS; by++) {
        const struct gateway_claim *claim = &evidence->gateway.by[by];
        if (evidence->has_gateway && claim->has_wan == NAT_YES)
            consider(&outer, claim->wan, by, observed);
        for (enum nat_protocol protocol = 0; protocol < NAT_PROTOCOLS; protocol++) {
            const struct map_evidence *map = &evidence->map[protocol];
            if (map->made && map->by == by)
                consider(&outer, map->address, by, observed);
        }
    }
    for (enum gateway_protocol by = 0; by < GATEWAY_PROTOCOLS && !outer.address; by++)
        if (evidence->has_gateway && evidence->gateway.by[by].has_wan == NAT_NO && !outer.none) {
            outer.none = true;
            outer.by = by;
        }
    return outer;
}

/* --- names ----------------------------------------------------------------------------------- */

const char *facts_family_name(enum nat_family family)
{
    return family == NAT_IPV6 ? "ipv6" : "ipv4";
}

const char *facts_protocol_name(enum nat_protocol protocol)
{
    return protocol == NAT_UDP ? "udp" : "tcp";
}

const char *facts_gateway_name(enum gateway_protocol protocol)
{
    switch (protocol) {
    case GATEWAY_PCP: return "PCP";
    case GATEWAY_NATPMP: return "NAT-PMP";
    case GATEWAY_UPNP: return "UPnP";
    case GATEWAY_PROTOCOLS: break;
    }
    return "no protocol";
}

const char *facts_mapping_name(enum nat_mapping mapping)
{
    switch (mapping) {
    case NAT_MAPPING_NONE: return "none";
    case NAT_MAPPING_ENDPOINT: return "endpoint-independent";
    case NAT_MAPPING_ADDRESS: return "address-dependent";
    case NAT_MAPPING_ADDRESS_AND_PORT: return "address-and-port-dependent";
    case NAT_MAPPING_VARYING: return "varying";
    case NAT_MAPPING_UNKNOWN: break;
    }
    return NULL;
}

const char *facts_filtering_name(enum nat_filtering filtering)
{
    switch (filtering) {
    case NAT_FILTERING_ENDPOINT: return "endpoint-independent";
    case NAT_FILTERING_ADDRESS: return "address-dependent";
    case NAT_FILTERING_ADDRESS_AND_PORT: return "address-and-port-dependent";
    case NAT_FILTERING_UNKNOWN: break;
    }
    return NULL;
}
