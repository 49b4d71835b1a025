#include "verdict.h"

#include "facts.h"
#include "verdict_text.h"
#include "words.h"

#include <string.h>

/* More than can come together: of a family 15 and 16; of each of its protocols 14 and one of 13,
 * 10, 11, 18, 12, 30 (TCP) or 18 and one of 22, 21, 20, 30 (UDP). */
#define REASONS_MAX (1 + VERDICT_ALSO_MAX)

struct judgement {
    const struct evidence *evidence;
    struct reason reasons[REASONS_MAX];
    size_t count;
};

static void add(struct judgement *judgement, struct reason reason)
{
    if (judgement->count < REASONS_MAX)
        judgement->reasons[judgement->count++] = reason;
}

/* --- TCP ------------------------------------------------------------------------------------- */

/* One try came to nothing and the other was reached. Where it was the address that had been
 * contacted which got in, this is what a filter does; else it is chance. */
static void rule_reached_once(
    const struct dial *first, const struct dial *again, struct reason *reason)
{
    bool explained = !first->contacted && again->contacted;

    reason->verdict = explained ? SIGNPOST_VERDICT_RESTRICTED : SIGNPOST_VERDICT_INCONCLUSIVE;
    reason->ground = explained ? GROUND_NONE : GROUND_DISAGREE;
    reason->other = again;
}

/* Refused. Whether that was for want of a listener shows once there is one. */
static void rule_refused(
    const struct protocol_evidence *tcp, const struct dial *again, struct reason *reason)
{
    const struct dial *listening = &tcp->listening;

    if (reason->dial->listened || tcp->held || (again && again->listened)) {
        reason->verdict = SIGNPOST_VERDICT_REJECTED;
        if (!reason->dial->listened && again && again->listened)
            reason->dial = again;
        return;
    }
    reason->other = listening;
    switch (facts_reached(listening)) {
    case REACHED_US:
    case REACHED_UNPROVED: reason->verdict = SIGNPOST_VERDICT_NOTHING_LISTENS; break;
    case REACHED_REFUSAL:
    case REACHED_UNREACHABLE:
        reason->verdict = SIGNPOST_VERDICT_REJECTED;
        reason->dial = listening;
        break;
    case REACHED_ANOTHER:
        reason->verdict = SIGNPOST_VERDICT_ELSEWHERE;
        reason->dial = listening;
        break;
    case REACHED_NOBODY:
        reason->verdict = SIGNPOST_VERDICT_INCONCLUSIVE;
        reason->ground = GROUND_DISAGREE;
        break;
    case REACHED_UNTESTED:
        reason->verdict = SIGNPOST_VERDICT_INCONCLUSIVE;
        reason->ground = GROUND_NOBODY;
        break;
    }
}

/* Two tries from different addresses, neither of which got through: do they say the same? That a
 * router says so once and keeps silent once is usual: it limits how often it does, and to find out
 * that a machine is gone takes it as long as the second try may last. */
static bool agree(enum reached first, enum reached again)
{
    bool negative = again == REACHED_REFUSAL || again == REACHED_NOBODY;

    if (again == REACHED_UNTESTED || again == REACHED_UNREACHABLE || again == first)
        return true;
    return first == REACHED_UNREACHABLE && negative;
}

static void judge_tcp(struct judgement *judgement, enum nat_family family)
{
    const struct protocol_evidence *tcp = &judgement->evidence->families[family].by[NAT_TCP];
    const struct dial *dial = facts_main_dial(tcp);
    const struct dial *again = dial == &tcp->again ? NULL : &tcp->again;
    enum reached reached = facts_reached(dial);
    enum reached reached_again = again ? facts_reached(again) : REACHED_UNTESTED;
    struct reason reason = {.family = family, .protocol = NAT_TCP, .dial = dial};

    if (reached == REACHED_US) {
        reason.verdict = SIGNPOST_VERDICT_OPEN;
    } else if (reached == REACHED_UNTESTED) {
        if (!facts_is_refusal(dial))
            return;
        reason.verdict = SIGNPOST_VERDICT_INCONCLUSIVE;
        reason.ground = GROUND_REFUSED;
    } else if (reached == REACHED_UNPROVED) {
        reason.verdict = SIGNPOST_VERDICT_INCONCLUSIVE;
        reason.ground = GROUND_UNPROVED;
    } else if (reached_again == REACHED_US) {
        rule_reached_once(dial, again, &reason);
        if (reached == REACHED_ANOTHER) {
            reason.verdict = SIGNPOST_VERDICT_INCONCLUSIVE;
            reason.ground = GROUND_DISAGREE;
        }
    } else if (reached == REACHED_ANOTHER) {
        reason.verdict = SIGNPOST_VERDICT_ELSEWHERE;
    } else if (!agree(reached, reached_again)) {
        reason.verdict = SIGNPOST_VERDICT_INCONCLUSIVE;
        reason.ground = GROUND_DISAGREE;
        reason.other = again;
    } else if (reached == REACHED_REFUSAL) {
        rule_refused(tcp, again, &reason);
    } else if (reached == REACHED_UNREACHABLE || reached_again == REACHED_UNREACHABLE) {
        reason.verdict = SIGNPOST_VERDICT_REJECTED;
        reason.dial = reached == REACHED_UNREACHABLE ? dial : again;
    } else {
        reason.verdict = SIGNPOST_VERDICT_FILTERED;
        reason.other = again;
    }
    add(judgement, reason);
}

/* --- UDP ------------------------------------------------------------------------------------- */

static bool is_heard(const struct dial *dial)
{
    return facts_reached(dial) == REACHED_US;
}

/* A socket that has sent hears those that it has sent to, and no others. */
static bool is_restricted(const struct protocol_evidence *udp, const struct udp_behaviour *stun)
{
    bool told = stun->filtering == NAT_FILTERING_ADDRESS;
    bool seen = is_heard(&udp->contacted_in) && facts_reached(&udp->other_in) == REACHED_NOBODY;

    return facts_open(udp) == NAT_NO && !is_heard(&udp->other_in) && (told || seen);
}

/* How far hole punching can go. False where that is not known. */
static bool rule_mapping(const struct family_evidence *evidence, struct reason *reason)
{
    const struct protocol_evidence *udp = &evidence->by[NAT_UDP];
    const struct udp_behaviour *stun = &evidence->stun;
    bool heard = is_heard(&udp->other_in) || is_heard(&udp->contacted_in);

    if (evidence->has_stun && stun->asked > 0 && stun->seen_count == 0 && !heard) {
        reason->verdict = SIGNPOST_VERDICT_UDP_BLOCKED;
        return true;
    }
    switch (evidence->has_stun ? stun->mapping : NAT_MAPPING_UNKNOWN) {
    case NAT_MAPPING_ADDRESS:
    case NAT_MAPPING_ADDRESS_AND_PORT:
    case NAT_MAPPING_VARYING: reason->verdict = SIGNPOST_VERDICT_SYMMETRIC; return true;
    case NAT_MAPPING_NONE:
    case NAT_MAPPING_ENDPOINT: reason->verdict = SIGNPOST_VERDICT_PUNCHABLE; return true;
    case NAT_MAPPING_UNKNOWN: break;
    }
    /* A stranger got in at the port that STUN saw: so can any peer. */
    reason->verdict = SIGNPOST_VERDICT_PUNCHABLE;
    return is_heard(&udp->other_in);
}

static void judge_udp(struct judgement *judgement, enum nat_family family)
{
    const struct family_evidence *evidence = &judgement->evidence->families[family];
    const struct protocol_evidence *udp = &evidence->by[NAT_UDP];
    const struct dial *dial = facts_main_dial(udp);
    struct reason reason = {.family = family, .protocol = NAT_UDP, .dial = dial};
    bool tried = facts_open(udp) == NAT_NO ||
                 facts_reached(&udp->contacted_in) != REACHED_UNTESTED ||
                 facts_reached(&udp->other_in) != REACHED_UNTESTED;
    bool no_listen = udp->held || judgement->evidence->no_listen;

    if (facts_open(udp) == NAT_YES) {
        reason.verdict = SIGNPOST_VERDICT_OPEN;
        add(judgement, reason);
        return;
    }
    bool restricted = is_restricted(udp, &evidence->stun);
    if (restricted) {
        reason.verdict = SIGNPOST_VERDICT_RESTRICTED;
        add(judgement, reason);
    }
    if (!rule_mapping(evidence, &reason)) {
        if (restricted)
            return;
        reason.verdict = SIGNPOST_VERDICT_INCONCLUSIVE;
        if (tried || (no_listen && evidence->has_stun && !facts_is_refusal(dial)))
            reason.ground = evidence->has_stun && evidence->stun.seen_count > 0 ? GROUND_ONE_STUN
                                                                                : GROUND_NO_STUN;
        else if (facts_is_refusal(dial))
            reason.ground = GROUND_REFUSED;
        else
            return;
    }
    add(judgement, reason);
}

/* --- the way to the router ------------------------------------------------------------------- */

/* Which of the first routers on the way shows a provider's NAT; HOPS_MAX: none. Addresses of this
 * kind are also used inside clouds, where no router of ours comes first. */
static size_t find_shared_hop(const struct family_evidence *evidence)
{
    const char(*hops)[NAT_ADDRESS_SIZE] = evidence->hops.address;
    bool at_home = facts_address(hops[0]) == ADDRESS_PRIVATE ||
                   (hops[0][0] == '\0' && strncmp(evidence->local, "192.168.", 8) == 0);

    if (!evidence->has_hops || !at_home || facts_address(evidence->observed) != ADDRESS_PUBLIC)
        return HOPS_MAX;
    if (facts_address(hops[1]) == ADDRESS_SHARED)
        return 1;
    bool two_at_home = facts_address(hops[1]) == ADDRESS_PRIVATE;
    return two_at_home && facts_address(hops[2]) == ADDRESS_SHARED ? 2 : HOPS_MAX;
}

/* The router has said what its outer address is. */
static void judge_outer(
    struct judgement *judgement, const struct outer *outer, struct reason reason)
{
    const struct family_evidence *evidence = &judgement->evidence->families[NAT_IPV4];
    size_t hop = find_shared_hop(evidence);

    reason.ground = GROUND_ROUTER;
    switch (facts_address(outer->address)) {
    case ADDRESS_SHARED:
        reason.verdict = SIGNPOST_VERDICT_CGNAT;
        add(judgement, reason);
        break;
    case ADDRESS_PRIVATE:
        reason.verdict = SIGNPOST_VERDICT_DOUBLE_NAT;
        add(judgement, reason);
        if (hop == HOPS_MAX)
            break;
        reason = (struct reason){.verdict = SIGNPOST_VERDICT_CGNAT,
            .protocol = reason.protocol,
            .ground = GROUND_HOPS,
            .hop = hop};
        add(judgement, reason);
        break;
    case ADDRESS_PUBLIC:
        if (facts_address(evidence->observed) != ADDRESS_PUBLIC)
            break;
        reason.verdict = SIGNPOST_VERDICT_MISMATCH;
        add(judgement, reason);
        break;
    case ADDRESS_NONE: break;
    }
}

/* It has not: the addresses on the way may show it. */
static void judge_hops(struct judgement *judgement, const struct outer *outer, struct reason reason)
{
    const struct family_evidence *evidence = &judgement->evidence->families[NAT_IPV4];
    bool outside = facts_address(evidence->observed) == ADDRESS_PUBLIC;
    size_t hop = find_shared_hop(evidence);
    bool two = outside && evidence->has_hops &&
               facts_address(evidence->hops.address[0]) == ADDRESS_PRIVATE &&
               facts_address(evidence->hops.address[1]) == ADDRESS_PRIVATE;

    if (outside && facts_address(evidence->local) == ADDRESS_SHARED) {
        reason.verdict = SIGNPOST_VERDICT_CGNAT;
        reason.ground = GROUND_LOCAL;
        add(judgement, reason);
    } else if (hop < HOPS_MAX) {
        reason.verdict = SIGNPOST_VERDICT_CGNAT;
        reason.ground = GROUND_HOPS;
        reason.hop = hop;
        add(judgement, reason);
    }
    reason.verdict = SIGNPOST_VERDICT_DOUBLE_NAT;
    reason.ground = outer->none ? GROUND_ROUTER_NONE : GROUND_HOPS;
    reason.hop = 1;
    /* A router right behind a provider's NAT may have no IPv4 address at all. */
    if ((outer->none && hop != 1) || two)
        add(judgement, reason);
}

/* Is there more than our own router in between? Asked only where IPv4 was tested and nothing of it
 * is open, and told once for both protocols. */
static void judge_way(struct judgement *judgement)
{
    const struct family_evidence *evidence = &judgement->evidence->families[NAT_IPV4];
    struct outer outer = facts_outer(judgement->evidence);
    struct reason reason = {.family = NAT_IPV4};
    bool tested = false;

    for (size_t i = 0; i < judgement->count; i++) {
        const struct reason *found = &judgement->reasons[i];
        if (found->family != NAT_IPV4 || found->ground == GROUND_REFUSED)
            continue;
        if (found->verdict == SIGNPOST_VERDICT_OPEN)
            return;
        if (!tested || found->protocol < reason.protocol)
            reason.protocol = found->protocol;
        tested = true;
    }
    if (!tested || facts_nat(evidence) == NAT_NO)
        return;
    if (!outer.address)
        judge_hops(judgement, &outer, reason);
    else if (!facts_same_address(outer.address, evidence->observed))
        judge_outer(judgement, &outer, reason);
}

/* --- all together ---------------------------------------------------------------------------- */

static void judge_family(struct judgement *judgement, enum nat_family family)
{
    const struct family_evidence *evidence = &judgement->evidence->families[family];

    for (enum nat_protocol protocol = 0; protocol < NAT_PROTOCOLS; protocol++) {
        const struct protocol_evidence *of = &evidence->by[protocol];
        if (!evidence->asked || evidence->error || !of->asked)
            continue;
        if (facts_reached(&of->mapped) == REACHED_US && facts_open(of) != NAT_YES)
            add(judgement, (struct reason){.verdict = SIGNPOST_VERDICT_OTHER_PORT,
                               .family = family,
                               .protocol = protocol,
                               .dial = &of->mapped});
        if (protocol == NAT_TCP)
            judge_tcp(judgement, family);
        else
            judge_udp(judgement, family);
    }
}

/* Where it stands among the others; lower comes first. */
static unsigned rank(const struct reason *reason)
{
    static const enum signpost_verdict orders[NAT_PROTOCOLS][11] = {
        [NAT_TCP] = {SIGNPOST_VERDICT_CGNAT, SIGNPOST_VERDICT_DOUBLE_NAT, SIGNPOST_VERDICT_MISMATCH,
            SIGNPOST_VERDICT_OTHER_PORT, SIGNPOST_VERDICT_ELSEWHERE,
            SIGNPOST_VERDICT_NOTHING_LISTENS, SIGNPOST_VERDICT_REJECTED,
            SIGNPOST_VERDICT_RESTRICTED, SIGNPOST_VERDICT_FILTERED},
        [NAT_UDP] = {SIGNPOST_VERDICT_CGNAT, SIGNPOST_VERDICT_DOUBLE_NAT, SIGNPOST_VERDICT_MISMATCH,
            SIGNPOST_VERDICT_OTHER_PORT, SIGNPOST_VERDICT_RESTRICTED, SIGNPOST_VERDICT_UDP_BLOCKED,
            SIGNPOST_VERDICT_SYMMETRIC, SIGNPOST_VERDICT_PUNCHABLE},
    };
    const unsigned protocol = (unsigned)reason->protocol, family = (unsigned)reason->family;
    const unsigned tie = protocol * NAT_FAMILIES + family;

    if (reason->verdict == SIGNPOST_VERDICT_OPEN)
        return tie;
    if (reason->verdict == SIGNPOST_VERDICT_INCONCLUSIVE)
        return 1000 + tie; /* what says something comes before what says nothing */
    unsigned place = 0;
    while (orders[protocol][place] != reason->verdict)
        place++;
    return 100 + protocol * 100 + place * NAT_FAMILIES + family;
}

static void sort(struct judgement *judgement)
{
    for (size_t i = 1; i < judgement->count; i++) {
        struct reason reason = judgement->reasons[i];
        size_t at = i;
        for (; at > 0 && rank(&judgement->reasons[at - 1]) > rank(&reason); at--)
            judgement->reasons[at] = judgement->reasons[at - 1];
        judgement->reasons[at] = reason;
    }
}

/* --- nothing could be tested ----------------------------------------------------------------- */

static int error_of(const struct dial *dial)
{
    switch (dial->result) {
    case DIAL_LIMITED: return SIGNPOST_ERROR_BUSY;
    case DIAL_FORBIDDEN: return SIGNPOST_ERROR_REFUSED;
    default: return SIGNPOST_ERROR_UNREACHABLE;
    }
}

static int fail(int error, const char *detail, char ret_detail[NAT_DETAIL_SIZE])
{
    struct words words;

    words_begin(&words, ret_detail, NAT_DETAIL_SIZE);
    words_add(&words, "%s", detail[0] ? detail : signpost_strerror(error));
    return error;
}

/* The index would not dial. That it was asked too often is told first, because it passes. */
static int fail_refused(const struct judgement *judgement, char ret_detail[NAT_DETAIL_SIZE])
{
    static const enum dial_result order[] = {DIAL_LIMITED, DIAL_FORBIDDEN, DIAL_FAILED};

    for (size_t k = 0; k < sizeof order / sizeof order[0]; k++)
        for (size_t i = 0; i < judgement->count; i++) {
            const struct dial *dial = judgement->reasons[i].dial;
            if (dial->result == order[k])
                return fail(error_of(dial), dial->detail, ret_detail);
        }
    return fail(SIGNPOST_ERROR_UNREACHABLE, "", ret_detail);
}

/* The index was not reached by either family. Where one of them is just not there, the other tells
 * more. */
static int fail_unreached(const struct evidence *evidence, char ret_detail[NAT_DETAIL_SIZE])
{
    const struct family_evidence *ipv4 = &evidence->families[NAT_IPV4];
    const struct family_evidence *ipv6 = &evidence->families[NAT_IPV6];
    bool has_ipv4 = ipv4->asked && ipv4->error, has_ipv6 = ipv6->asked && ipv6->error;
    bool ipv6_tells_more = !has_ipv4 || (ipv4->error == SIGNPOST_ERROR_UNREACHABLE &&
                                            ipv6->error != SIGNPOST_ERROR_UNREACHABLE);

    if (!has_ipv4 && !has_ipv6)
        return fail(SIGNPOST_ERROR_INVALID, "Neither a family nor a protocol was to be tested.",
            ret_detail);
    const struct family_evidence *chosen = has_ipv6 && ipv6_tells_more ? ipv6 : ipv4;
    return fail(chosen->error, chosen->detail, ret_detail);
}

/* The index was reached, and then nothing was tried: a port that another program holds, and no STUN
 * server. */
static bool add_not_tried(struct judgement *judgement)
{
    for (enum nat_family family = 0; family < NAT_FAMILIES; family++)
        for (enum nat_protocol protocol = 0; protocol < NAT_PROTOCOLS; protocol++) {
            const struct family_evidence *evidence = &judgement->evidence->families[family];
            if (!evidence->asked || evidence->error || !evidence->by[protocol].asked)
                continue;
            add(judgement, (struct reason){.verdict = SIGNPOST_VERDICT_INCONCLUSIVE,
                               .family = family,
                               .protocol = protocol,
                               .ground = GROUND_NOT_TRIED});
            return true;
        }
    return false;
}

int verdict_reach(
    const struct evidence *evidence, struct verdict *ret_verdict, char ret_detail[NAT_DETAIL_SIZE])
{
    struct judgement judgement = {.evidence = evidence};
    bool decisive = false;

    for (enum nat_family family = 0; family < NAT_FAMILIES; family++)
        judge_family(&judgement, family);
    judge_way(&judgement);
    for (size_t i = 0; i < judgement.count; i++)
        decisive = decisive || judgement.reasons[i].ground != GROUND_REFUSED;
    if (judgement.count > 0 && !decisive)
        return fail_refused(&judgement, ret_detail);
    if (judgement.count == 0 && !add_not_tried(&judgement))
        return fail_unreached(evidence, ret_detail);
    sort(&judgement);
    ret_verdict->also_count = judgement.count - 1;
    for (size_t i = 0; i < judgement.count; i++)
        verdict_tell(evidence, &judgement.reasons[i],
            i == 0 ? &ret_verdict->first : &ret_verdict->also[i - 1]);
    return 0;
}

const char *signpost_verdict_name(int verdict)
{
    switch (verdict) {
#define X(name, number, text)                                                                      \
    case SIGNPOST_VERDICT_##name: return text;
        SIGNPOST_VERDICTS(X)
#undef X
    default: return "a verdict that this version of libsignpost does not know";
    }
}
