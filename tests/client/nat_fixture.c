#include "nat_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define OTHER_PORT 50777

/* Also of one part of the evidence to another. */
static void copy(char *to, size_t size, const char *text)
{
    size_t length = strlen(text);

    assert_in_range(length, 0, size - 1);
    memmove(to, text, length);
    to[length] = '\0';
}

#define COPY(to, text) copy((to), sizeof(to), (text))

/* --- pieces ---------------------------------------------------------------------------------- */

void nat_home(struct evidence *evidence)
{
    struct family_evidence *ipv4 = &evidence->families[NAT_IPV4];
    struct family_evidence *ipv6 = &evidence->families[NAT_IPV6];

    memset(evidence, 0, sizeof *evidence);
    evidence->index = "https://index.example";
    evidence->port = NAT_PORT;
    evidence->took_s = 2.5;
    COPY(ipv4->local, NAT_LOCAL);
    COPY(ipv4->observed, NAT_OBSERVED);
    COPY(ipv4->gateway, NAT_ROUTER);
    COPY(ipv6->local, NAT_LOCAL6);
    COPY(ipv6->observed, NAT_LOCAL6);
    COPY(ipv6->gateway, "fe80::1");
    ipv4->http_rtt_us = 21300;
    ipv6->http_rtt_us = 19100;
}

void nat_ask(struct evidence *evidence, enum nat_family family, enum nat_protocol protocol)
{
    evidence->families[family].asked = true;
    evidence->families[family].by[protocol].asked = true;
}

void nat_dial(
    struct evidence *evidence, enum nat_family family, struct dial *dial, enum dial_result result)
{
    const bool ipv6 = family == NAT_IPV6;

    *dial = (struct dial){.result = result, .listened = true, .port = NAT_PORT, .ms = 41.5};
    COPY(dial->from, ipv6 ? "2001:db8:f::2" : NAT_FROM);
    (void)snprintf(dial->target, sizeof dial->target, ipv6 ? "[%s]:%d" : "%s:%d",
        evidence->families[family].observed, NAT_PORT);
    dial->heard = result == DIAL_OPEN;
}

static void dial_contacted(
    struct evidence *evidence, enum nat_family family, struct dial *dial, enum dial_result result)
{
    nat_dial(evidence, family, dial, result);
    dial->contacted = true;
    COPY(dial->from, family == NAT_IPV6 ? "2001:db8:f::1" : NAT_CONTACTED);
}

void nat_outer(struct evidence *evidence, enum gateway_protocol by, const char *address)
{
    struct gateway_claim *claim = &evidence->gateway.by[by];

    evidence->has_gateway = true;
    COPY(evidence->gateway.address, NAT_ROUTER);
    COPY(evidence->gateway.local, NAT_LOCAL);
    claim->present = NAT_YES;
    claim->has_wan = address ? NAT_YES : NAT_NO;
    COPY(claim->wan, address ? address : "");
}

void nat_hops(struct evidence *evidence, const char *one, const char *two, const char *three)
{
    struct family_evidence *of = &evidence->families[NAT_IPV4];

    of->has_hops = true;
    COPY(of->hops.address[0], one);
    COPY(of->hops.address[1], two);
    COPY(of->hops.address[2], three);
}

void nat_stun(
    struct evidence *evidence, enum nat_family family, enum nat_mapping mapping, size_t count)
{
    struct family_evidence *of = &evidence->families[family];
    const bool varies = mapping >= NAT_MAPPING_ADDRESS;

    of->has_stun = true;
    of->stun.mapping = mapping;
    of->stun.asked = 3;
    of->stun.seen_count = count;
    of->stun.port_preserved = count == 0 ? NAT_UNTESTED : NAT_YES;
    for (size_t i = 0; i < count; i++) {
        struct udp_seen *seen = &of->stun.seen[i];
        (void)snprintf(seen->server, sizeof seen->server, "198.51.100.%zu:3478", i + 1);
        COPY(seen->address, of->observed);
        seen->port = (uint16_t)(NAT_PORT + (varies ? i : 0));
        seen->rtt_us = 23400;
    }
}

/* --- TCP ------------------------------------------------------------------------------------- */

static struct protocol_evidence *tcp_of(struct evidence *evidence, enum nat_family family)
{
    nat_ask(evidence, family, NAT_TCP);
    return &evidence->families[family].by[NAT_TCP];
}

static void set_tcp(struct evidence *evidence, enum nat_family family, enum dial_result first,
    enum dial_result again)
{
    struct protocol_evidence *tcp = tcp_of(evidence, family);

    nat_dial(evidence, family, &tcp->first, first);
    if (again != DIAL_NONE)
        dial_contacted(evidence, family, &tcp->again, again);
}

static void tcp_open(struct evidence *evidence, enum nat_family family)
{
    set_tcp(evidence, family, DIAL_OPEN, DIAL_NONE);
}

static void tcp_taken(struct evidence *evidence, enum nat_family family)
{
    set_tcp(evidence, family, DIAL_CONNECTED, DIAL_NONE);
    evidence->no_listen = true;
    tcp_of(evidence, family)->first.listened = false;
}

static void tcp_taken_held(struct evidence *evidence, enum nat_family family)
{
    set_tcp(evidence, family, DIAL_CONNECTED, DIAL_NONE);
    tcp_of(evidence, family)->held = true;
    tcp_of(evidence, family)->first.listened = false;
}

static void tcp_nothing_listens(struct evidence *evidence, enum nat_family family)
{
    struct protocol_evidence *tcp = tcp_of(evidence, family);

    evidence->no_listen = true;
    nat_dial(evidence, family, &tcp->first, DIAL_REFUSED);
    tcp->first.listened = false;
    nat_dial(evidence, family, &tcp->listening, DIAL_OPEN);
}

static void tcp_rejected(struct evidence *evidence, enum nat_family family)
{
    set_tcp(evidence, family, DIAL_REFUSED, DIAL_REFUSED);
}

static void tcp_rejected_held(struct evidence *evidence, enum nat_family family)
{
    tcp_rejected(evidence, family);
    tcp_of(evidence, family)->held = true;
    tcp_of(evidence, family)->first.listened = false;
    tcp_of(evidence, family)->again.listened = false;
}

static void tcp_rejected_always(struct evidence *evidence, enum nat_family family)
{
    tcp_nothing_listens(evidence, family);
    nat_dial(evidence, family, &tcp_of(evidence, family)->listening, DIAL_REFUSED);
}

static void tcp_unreachable(struct evidence *evidence, enum nat_family family)
{
    set_tcp(evidence, family, DIAL_UNREACHABLE, DIAL_UNREACHABLE);
}

static void tcp_filtered(struct evidence *evidence, enum nat_family family)
{
    set_tcp(evidence, family, DIAL_TIMEOUT, DIAL_TIMEOUT);
    tcp_of(evidence, family)->first.ms = 5000.7;
}

static void tcp_elsewhere(struct evidence *evidence, enum nat_family family)
{
    set_tcp(evidence, family, DIAL_CONNECTED, DIAL_NONE);
}

static void map_other_port(
    struct evidence *evidence, enum nat_family family, enum nat_protocol protocol)
{
    struct map_evidence *map = &evidence->map[protocol];
    struct dial *mapped = &evidence->families[family].by[protocol].mapped;

    *map = (struct map_evidence){.asked = true,
        .made = true,
        .by = GATEWAY_UPNP,
        .protocol = protocol,
        .port = OTHER_PORT,
        .lifetime_s = 3600};
    if (!evidence->has_gateway) /* or it would contradict what it has said */
        COPY(map->address, evidence->families[family].observed);
    nat_dial(evidence, family, mapped, protocol == NAT_UDP ? DIAL_SENT : DIAL_OPEN);
    mapped->heard = true;
    mapped->port = OTHER_PORT;
    (void)snprintf(mapped->target, sizeof mapped->target, family == NAT_IPV6 ? "[%s]:%d" : "%s:%d",
        evidence->families[family].observed, OTHER_PORT);
}

static void tcp_other_port(struct evidence *evidence, enum nat_family family)
{
    tcp_filtered(evidence, family);
    map_other_port(evidence, family, NAT_TCP);
}

static void tcp_restricted(struct evidence *evidence, enum nat_family family)
{
    set_tcp(evidence, family, DIAL_TIMEOUT, DIAL_OPEN);
}

static void tcp_disagree(struct evidence *evidence, enum nat_family family)
{
    set_tcp(evidence, family, DIAL_REFUSED, DIAL_TIMEOUT);
}

static void tcp_unproved(struct evidence *evidence, enum nat_family family)
{
    set_tcp(evidence, family, DIAL_CONNECTED, DIAL_NONE);
    tcp_of(evidence, family)->first.heard = true;
}

static void tcp_nobody(struct evidence *evidence, enum nat_family family)
{
    struct dial *listening = &tcp_of(evidence, family)->listening;

    tcp_nothing_listens(evidence, family);
    nat_dial(evidence, family, listening, DIAL_LIMITED);
    COPY(listening->detail, "Too many checks from this address; wait a minute.");
}

/* --- UDP ------------------------------------------------------------------------------------- */

static struct protocol_evidence *udp_of(struct evidence *evidence, enum nat_family family)
{
    nat_ask(evidence, family, NAT_UDP);
    return &evidence->families[family].by[NAT_UDP];
}

/* Nothing is heard, at first and later. */
static void set_udp(
    struct evidence *evidence, enum nat_family family, enum nat_mapping mapping, size_t servers)
{
    struct protocol_evidence *udp = udp_of(evidence, family);

    nat_dial(evidence, family, &udp->first, DIAL_SENT);
    nat_dial(evidence, family, &udp->other_in, DIAL_SENT);
    dial_contacted(evidence, family, &udp->contacted_in, DIAL_SENT);
    nat_stun(evidence, family, mapping, servers);
}

static void udp_open_(struct evidence *evidence, enum nat_family family)
{
    set_udp(evidence, family, NAT_MAPPING_ENDPOINT, 2);
    udp_of(evidence, family)->first.heard = true;
}

static void udp_other_port(struct evidence *evidence, enum nat_family family)
{
    set_udp(evidence, family, NAT_MAPPING_ENDPOINT, 2);
    map_other_port(evidence, family, NAT_UDP);
}

static void udp_restricted(struct evidence *evidence, enum nat_family family)
{
    set_udp(evidence, family, NAT_MAPPING_ENDPOINT, 2);
    udp_of(evidence, family)->contacted_in.heard = true;
}

static void udp_restricted_told(struct evidence *evidence, enum nat_family family)
{
    set_udp(evidence, family, NAT_MAPPING_ENDPOINT, 2);
    evidence->families[family].stun.filtering = NAT_FILTERING_ADDRESS;
}

static void udp_blocked(struct evidence *evidence, enum nat_family family)
{
    set_udp(evidence, family, NAT_MAPPING_UNKNOWN, 0);
}

static void udp_symmetric(struct evidence *evidence, enum nat_family family)
{
    set_udp(evidence, family, NAT_MAPPING_ADDRESS_AND_PORT, 2);
}

static void udp_symmetric_some(struct evidence *evidence, enum nat_family family)
{
    set_udp(evidence, family, NAT_MAPPING_VARYING, 2);
}

static void udp_symmetric_address(struct evidence *evidence, enum nat_family family)
{
    set_udp(evidence, family, NAT_MAPPING_ADDRESS, 2);
}

static void udp_punchable(struct evidence *evidence, enum nat_family family)
{
    set_udp(evidence, family, NAT_MAPPING_ENDPOINT, 2);
}

static void udp_punchable_bare(struct evidence *evidence, enum nat_family family)
{
    COPY(evidence->families[family].local, family == NAT_IPV6 ? NAT_LOCAL6 : NAT_OBSERVED);
    set_udp(evidence, family, NAT_MAPPING_NONE, 2);
}

static void udp_punchable_shown(struct evidence *evidence, enum nat_family family)
{
    set_udp(evidence, family, NAT_MAPPING_UNKNOWN, 1);
    udp_of(evidence, family)->other_in.heard = true;
}

static void udp_punchable_held(struct evidence *evidence, enum nat_family family)
{
    udp_of(evidence, family)->held = true;
    nat_stun(evidence, family, NAT_MAPPING_ENDPOINT, 2);
}

static void udp_one_stun(struct evidence *evidence, enum nat_family family)
{
    set_udp(evidence, family, NAT_MAPPING_UNKNOWN, 1);
}

static void udp_no_stun(struct evidence *evidence, enum nat_family family)
{
    struct protocol_evidence *udp = udp_of(evidence, family);

    nat_dial(evidence, family, &udp->first, DIAL_SENT);
}

static void udp_not_tried(struct evidence *evidence, enum nat_family family)
{
    udp_of(evidence, family)->held = true;
}

/* --- more routers ---------------------------------------------------------------------------- */

/* Of what is not open the way there is told too. */
static void closed(struct evidence *evidence, enum nat_family family, enum nat_protocol protocol)
{
    if (protocol == NAT_TCP)
        tcp_filtered(evidence, family);
    else
        udp_punchable(evidence, family);
}

#define WITH(name, statement)                                                                      \
    static void tcp_##name(struct evidence *evidence, enum nat_family family)                      \
    {                                                                                              \
        closed(evidence, family, NAT_TCP);                                                         \
        statement;                                                                                 \
    }                                                                                              \
    static void udp_##name(struct evidence *evidence, enum nat_family family)                      \
    {                                                                                              \
        closed(evidence, family, NAT_UDP);                                                         \
        statement;                                                                                 \
    }

WITH(cgnat, nat_outer(evidence, GATEWAY_UPNP, "100.72.3.4"))
WITH(cgnat_hops, nat_hops(evidence, NAT_ROUTER, "100.64.0.1", "198.51.100.77"))
WITH(cgnat_lite, nat_outer(evidence, GATEWAY_NATPMP, "192.0.0.2"))
WITH(cgnat_local, COPY(evidence->families[NAT_IPV4].local, "100.100.7.7"))
WITH(double_nat, nat_outer(evidence, GATEWAY_NATPMP, "192.168.0.2"))
WITH(double_nat_none, nat_outer(evidence, GATEWAY_UPNP, NULL))
WITH(double_nat_hops, nat_hops(evidence, NAT_ROUTER, "10.0.0.1", "198.51.100.77"))
WITH(mismatch, nat_outer(evidence, GATEWAY_UPNP, "198.51.100.99"))

const struct situation nat_situations[] = {
    {"open", SIGNPOST_VERDICT_OPEN, NAT_TCP, false, tcp_open},
    {"taken", SIGNPOST_VERDICT_OPEN, NAT_TCP, false, tcp_taken},
    {"taken-held", SIGNPOST_VERDICT_OPEN, NAT_TCP, false, tcp_taken_held},
    {"nothing-listens", SIGNPOST_VERDICT_NOTHING_LISTENS, NAT_TCP, false, tcp_nothing_listens},
    {"rejected", SIGNPOST_VERDICT_REJECTED, NAT_TCP, false, tcp_rejected},
    {"rejected-held", SIGNPOST_VERDICT_REJECTED, NAT_TCP, false, tcp_rejected_held},
    {"rejected-always", SIGNPOST_VERDICT_REJECTED, NAT_TCP, false, tcp_rejected_always},
    {"unreachable", SIGNPOST_VERDICT_REJECTED, NAT_TCP, false, tcp_unreachable},
    {"filtered", SIGNPOST_VERDICT_FILTERED, NAT_TCP, false, tcp_filtered},
    {"elsewhere", SIGNPOST_VERDICT_ELSEWHERE, NAT_TCP, false, tcp_elsewhere},
    {"other-port", SIGNPOST_VERDICT_OTHER_PORT, NAT_TCP, false, tcp_other_port},
    {"restricted", SIGNPOST_VERDICT_RESTRICTED, NAT_TCP, false, tcp_restricted},
    {"disagree", SIGNPOST_VERDICT_INCONCLUSIVE, NAT_TCP, false, tcp_disagree},
    {"unproved", SIGNPOST_VERDICT_INCONCLUSIVE, NAT_TCP, false, tcp_unproved},
    {"nobody", SIGNPOST_VERDICT_INCONCLUSIVE, NAT_TCP, false, tcp_nobody},
    {"cgnat", SIGNPOST_VERDICT_CGNAT, NAT_TCP, true, tcp_cgnat},
    {"cgnat-hops", SIGNPOST_VERDICT_CGNAT, NAT_TCP, true, tcp_cgnat_hops},
    {"cgnat-lite", SIGNPOST_VERDICT_CGNAT, NAT_TCP, true, tcp_cgnat_lite},
    {"cgnat-local", SIGNPOST_VERDICT_CGNAT, NAT_TCP, true, tcp_cgnat_local},
    {"double-nat", SIGNPOST_VERDICT_DOUBLE_NAT, NAT_TCP, true, tcp_double_nat},
    {"double-nat-none", SIGNPOST_VERDICT_DOUBLE_NAT, NAT_TCP, true, tcp_double_nat_none},
    {"double-nat-hops", SIGNPOST_VERDICT_DOUBLE_NAT, NAT_TCP, true, tcp_double_nat_hops},
    {"mismatch", SIGNPOST_VERDICT_MISMATCH, NAT_TCP, true, tcp_mismatch},
    {"udp-open", SIGNPOST_VERDICT_OPEN, NAT_UDP, false, udp_open_},
    {"udp-other-port", SIGNPOST_VERDICT_OTHER_PORT, NAT_UDP, false, udp_other_port},
    {"udp-restricted", SIGNPOST_VERDICT_RESTRICTED, NAT_UDP, false, udp_restricted},
    {"udp-restricted-told", SIGNPOST_VERDICT_RESTRICTED, NAT_UDP, false, udp_restricted_told},
    {"udp-blocked", SIGNPOST_VERDICT_UDP_BLOCKED, NAT_UDP, false, udp_blocked},
    {"udp-symmetric", SIGNPOST_VERDICT_SYMMETRIC, NAT_UDP, false, udp_symmetric},
    {"udp-symmetric-some", SIGNPOST_VERDICT_SYMMETRIC, NAT_UDP, false, udp_symmetric_some},
    {"udp-symmetric-address", SIGNPOST_VERDICT_SYMMETRIC, NAT_UDP, false, udp_symmetric_address},
    {"udp-punchable", SIGNPOST_VERDICT_PUNCHABLE, NAT_UDP, false, udp_punchable},
    {"udp-punchable-bare", SIGNPOST_VERDICT_PUNCHABLE, NAT_UDP, false, udp_punchable_bare},
    {"udp-punchable-shown", SIGNPOST_VERDICT_PUNCHABLE, NAT_UDP, false, udp_punchable_shown},
    {"udp-punchable-held", SIGNPOST_VERDICT_PUNCHABLE, NAT_UDP, false, udp_punchable_held},
    {"udp-one-stun", SIGNPOST_VERDICT_INCONCLUSIVE, NAT_UDP, false, udp_one_stun},
    {"udp-no-stun", SIGNPOST_VERDICT_INCONCLUSIVE, NAT_UDP, false, udp_no_stun},
    {"udp-not-tried", SIGNPOST_VERDICT_INCONCLUSIVE, NAT_UDP, false, udp_not_tried},
    {"udp-cgnat", SIGNPOST_VERDICT_CGNAT, NAT_UDP, true, udp_cgnat},
    {"udp-cgnat-hops", SIGNPOST_VERDICT_CGNAT, NAT_UDP, true, udp_cgnat_hops},
    {"udp-cgnat-lite", SIGNPOST_VERDICT_CGNAT, NAT_UDP, true, udp_cgnat_lite},
    {"udp-cgnat-local", SIGNPOST_VERDICT_CGNAT, NAT_UDP, true, udp_cgnat_local},
    {"udp-double-nat", SIGNPOST_VERDICT_DOUBLE_NAT, NAT_UDP, true, udp_double_nat},
    {"udp-double-nat-none", SIGNPOST_VERDICT_DOUBLE_NAT, NAT_UDP, true, udp_double_nat_none},
    {"udp-double-nat-hops", SIGNPOST_VERDICT_DOUBLE_NAT, NAT_UDP, true, udp_double_nat_hops},
    {"udp-mismatch", SIGNPOST_VERDICT_MISMATCH, NAT_UDP, true, udp_mismatch},
};

const size_t nat_situation_count = sizeof nat_situations / sizeof nat_situations[0];

const struct situation *nat_situation(enum nat_protocol protocol, enum signpost_verdict verdict)
{
    for (size_t i = 0; i < nat_situation_count; i++)
        if (nat_situations[i].protocol == protocol && nat_situations[i].verdict == verdict)
            return &nat_situations[i];
    fail_msg("no situation of protocol %d has the verdict %d", (int)protocol, (int)verdict);
    return NULL;
}
