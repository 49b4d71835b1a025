#include "udp_internal.h"

#include <stdio.h>
#include <string.h>

bool udp_same_address(const struct sockaddr_storage *one, const struct sockaddr_storage *other)
{
    if (one->ss_family != other->ss_family)
        return false;
    if (one->ss_family == AF_INET)
        return ((const struct sockaddr_in *)one)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)other)->sin_addr.s_addr;
    return !memcmp(&((const struct sockaddr_in6 *)one)->sin6_addr,
        &((const struct sockaddr_in6 *)other)->sin6_addr, 16);
}

uint16_t udp_port_of(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET ? ((const struct sockaddr_in *)address)->sin_port
                                               : ((const struct sockaddr_in6 *)address)->sin6_port);
}

static void write_address(const struct sockaddr_storage *address, char ret_text[NAT_ADDRESS_SIZE])
{
    uv_ip_name((const struct sockaddr *)address, ret_text, NAT_ADDRESS_SIZE);
}

static void write_seen(const struct probe *probe, struct udp_seen *seen)
{
    char server[NAT_ADDRESS_SIZE];
    bool ipv6 = probe->to.ss_family == AF_INET6;

    write_address(&probe->to, server);
    snprintf(seen->server, sizeof seen->server, "%s%.45s%s:%u", ipv6 ? "[" : "", server,
        ipv6 ? "]" : "", (unsigned)udp_port_of(&probe->to));
    write_address(&probe->mapped, seen->address);
    seen->port = udp_port_of(&probe->mapped);
    seen->rtt_us = probe->rtt_us;
}

/* --- the mapping ----------------------------------------------------------------------------- */

/* What pairs of requests tell: both were seen as the same, or not, at two ports of one server, or
 * at two servers. */
struct pairs {
    bool port_same, port_other, address_same, address_other;
};

static bool same_mapping(const struct probe *one, const struct probe *other)
{
    return udp_same_address(&one->mapped, &other->mapped) &&
           udp_port_of(&one->mapped) == udp_port_of(&other->mapped);
}

static bool tells_mapping(const struct probe *probe)
{
    return probe->kind == PROBE_MAPPING && probe->answered && !probe->refused;
}

static void compare(const struct probe *one, const struct probe *other, struct pairs *pairs)
{
    bool same = same_mapping(one, other);

    if (!udp_same_address(&one->to, &other->to)) {
        pairs->address_same |= same;
        pairs->address_other |= !same;
    } else if (udp_port_of(&one->to) != udp_port_of(&other->to)) {
        pairs->port_same |= same;
        pairs->port_other |= !same;
    }
}

static bool is_plain(const struct discovery *discovery, const struct udp_behaviour *behaviour)
{
    for (size_t i = 0; i < behaviour->seen_count; i++)
        if (strcmp(behaviour->seen[i].address, discovery->local) != 0 ||
            behaviour->seen[i].port != discovery->udp->port)
            return false;
    return behaviour->seen_count > 0;
}

static enum nat_mapping judge_mapping(
    const struct discovery *discovery, const struct udp_behaviour *behaviour)
{
    struct pairs pairs = {0};

    if (is_plain(discovery, behaviour))
        return NAT_MAPPING_NONE;
    for (size_t i = 0; i < discovery->probe_count; i++)
        for (size_t j = i + 1; j < discovery->probe_count; j++)
            if (tells_mapping(&discovery->probes[i]) && tells_mapping(&discovery->probes[j]))
                compare(&discovery->probes[i], &discovery->probes[j], &pairs);
    if (pairs.port_other)
        return NAT_MAPPING_ADDRESS_AND_PORT;
    if (pairs.address_other)
        return pairs.port_same ? NAT_MAPPING_ADDRESS : NAT_MAPPING_VARYING;
    return pairs.address_same ? NAT_MAPPING_ENDPOINT : NAT_MAPPING_UNKNOWN;
}

/* --- the filtering --------------------------------------------------------------------------- */

static enum nat_filtering judge_filtering(const struct discovery *discovery)
{
    const struct probe *ip = NULL, *port = NULL;

    for (size_t i = 0; i < discovery->probe_count; i++) {
        const struct probe *probe = &discovery->probes[i];
        if (probe->kind == PROBE_OTHER_IP)
            ip = probe;
        if (probe->kind == PROBE_OTHER_PORT)
            port = probe;
    }
    if (!ip || !port || ip->refused || port->refused)
        return NAT_FILTERING_UNKNOWN;
    if (ip->answered)
        return NAT_FILTERING_ENDPOINT;
    return port->answered ? NAT_FILTERING_ADDRESS : NAT_FILTERING_ADDRESS_AND_PORT;
}

void udp_judge(const struct discovery *discovery, struct udp_behaviour *ret_behaviour)
{
    struct udp_behaviour behaviour = {.seen_count = 0};

    for (size_t i = 0; i < discovery->probe_count; i++) {
        const struct probe *probe = &discovery->probes[i];
        behaviour.asked += probe->kind == PROBE_MAPPING;
        if (tells_mapping(probe) && behaviour.seen_count < UDP_SERVERS_MAX)
            write_seen(probe, &behaviour.seen[behaviour.seen_count++]);
    }
    behaviour.mapping = judge_mapping(discovery, &behaviour);
    behaviour.filtering = judge_filtering(discovery);
    if (behaviour.seen_count)
        behaviour.port_preserved =
            behaviour.seen[0].port == discovery->udp->port ? NAT_YES : NAT_NO;
    snprintf(behaviour.detail, sizeof behaviour.detail, "%s", discovery->detail);
    *ret_behaviour = behaviour;
}
