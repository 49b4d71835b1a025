#include "nat/verdict.h"

#include "nat_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct evidence evidence;
static struct verdict verdict;
static char detail[NAT_DETAIL_SIZE];

static struct family_evidence *const ipv4 = &evidence.families[NAT_IPV4];
static struct protocol_evidence *const tcp = &evidence.families[NAT_IPV4].by[NAT_TCP];
static struct protocol_evidence *const udp = &evidence.families[NAT_IPV4].by[NAT_UDP];

static int start(void **state)
{
    (void)state;
    nat_home(&evidence);
    return 0;
}

/* That is at IPv4. */
static void set(enum nat_protocol protocol, enum signpost_verdict what)
{
    nat_situation(protocol, what)->set(&evidence, NAT_IPV4);
}

static void judge(void)
{
    memset(&verdict, 0xa5, sizeof verdict);
    if (verdict_reach(&evidence, &verdict, detail))
        fail_msg("an error instead of a verdict: %s", detail);
    assert_in_range(verdict.also_count, 0, VERDICT_ALSO_MAX);
}

/* The verdict is this one, and is not listed again; returns what is listed. */
static size_t assert_verdict(enum signpost_verdict expected)
{
    judge();
    if (verdict.first.verdict != expected)
        fail_msg(
            "%d instead of %d: %s", (int)verdict.first.verdict, (int)expected, verdict.first.why);
    return verdict.also_count;
}

static bool is_listed(enum signpost_verdict what)
{
    for (size_t i = 0; i < verdict.also_count; i++)
        if (verdict.also[i].verdict == what)
            return true;
    return false;
}

/* --- the table ------------------------------------------------------------------------------- */

static void test_verdict_each_situation_has_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < nat_situation_count; i++)
        for (enum nat_family family = 0; family < NAT_FAMILIES; family++) {
            const struct situation *situation = &nat_situations[i];
            if (situation->ipv4_only && family != NAT_IPV4)
                continue;
            nat_home(&evidence);
            situation->set(&evidence, family);
            judge();
            if (verdict.first.verdict != situation->verdict || verdict.first.family != family ||
                verdict.first.protocol != situation->protocol)
                fail_msg("%s/%d: %d", situation->name, (int)family, (int)verdict.first.verdict);
        }
}

static void test_verdict_every_one_is_there(void **state)
{
    static const enum signpost_verdict all[] = {
#define X(name, number, text) SIGNPOST_VERDICT_##name,
        SIGNPOST_VERDICTS(X)
#undef X
    };

    (void)state;
    for (size_t i = 0; i < COUNT(all); i++) {
        bool found = false;
        for (size_t k = 0; k < nat_situation_count; k++)
            found = found || nat_situations[k].verdict == all[i];
        if (!found)
            fail_msg("no situation has the verdict %d", (int)all[i]);
    }
}

static void test_verdict_names(void **state)
{
    (void)state;
    assert_string_equal(signpost_verdict_name(SIGNPOST_VERDICT_OPEN), "open");
    assert_string_equal(signpost_verdict_name(12), "filtered");
    assert_string_equal(signpost_verdict_name(15), "CGNAT");
    assert_string_equal(signpost_verdict_name(30), "inconclusive");
    assert_non_null(strstr(signpost_verdict_name(19), "does not know"));
    assert_non_null(strstr(signpost_verdict_name(-1), "does not know"));
}

/* --- the order ------------------------------------------------------------------------------- */

static const enum signpost_verdict tcp_order[] = {SIGNPOST_VERDICT_CGNAT,
    SIGNPOST_VERDICT_DOUBLE_NAT, SIGNPOST_VERDICT_MISMATCH, SIGNPOST_VERDICT_OTHER_PORT,
    SIGNPOST_VERDICT_ELSEWHERE, SIGNPOST_VERDICT_NOTHING_LISTENS, SIGNPOST_VERDICT_REJECTED,
    SIGNPOST_VERDICT_RESTRICTED, SIGNPOST_VERDICT_FILTERED};
static const enum signpost_verdict udp_order[] = {SIGNPOST_VERDICT_CGNAT,
    SIGNPOST_VERDICT_DOUBLE_NAT, SIGNPOST_VERDICT_MISMATCH, SIGNPOST_VERDICT_OTHER_PORT,
    SIGNPOST_VERDICT_RESTRICTED, SIGNPOST_VERDICT_UDP_BLOCKED, SIGNPOST_VERDICT_SYMMETRIC,
    SIGNPOST_VERDICT_PUNCHABLE};

/* Both hold, each at a family or protocol of its own; the first is the verdict, the second listed.
 */
static void assert_before(const struct situation *first, enum nat_family first_family,
    const struct situation *second, enum nat_family second_family)
{
    if ((first->ipv4_only && first_family != NAT_IPV4) ||
        (second->ipv4_only && second_family != NAT_IPV4))
        return;
    nat_home(&evidence);
    first->set(&evidence, first_family);
    second->set(&evidence, second_family);
    evidence.no_listen = false;
    judge();
    if (verdict.first.verdict != first->verdict || !is_listed(second->verdict))
        fail_msg("%s/%d and %s/%d: the verdict is %d", first->name, (int)first_family, second->name,
            (int)second_family, (int)verdict.first.verdict);
}

static void assert_order(
    enum nat_protocol protocol, const enum signpost_verdict *order, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++) {
            const struct situation *first = nat_situation(protocol, order[i]);
            const struct situation *second = nat_situation(protocol, order[k]);
            assert_before(first, NAT_IPV4, second, NAT_IPV6);
            assert_before(first, NAT_IPV6, second, NAT_IPV4);
        }
}

static void test_verdict_order_of_tcp(void **state)
{
    (void)state;
    assert_order(NAT_TCP, tcp_order, COUNT(tcp_order));
}

static void test_verdict_order_of_udp(void **state)
{
    (void)state;
    assert_order(NAT_UDP, udp_order, COUNT(udp_order));
}

/* Within one family: what the router is like comes before what came of the port. */
static void test_verdict_order_within_a_family(void **state)
{
    static const enum nat_protocol protocols[] = {NAT_TCP, NAT_UDP};

    (void)state;
    for (size_t p = 0; p < COUNT(protocols); p++)
        for (size_t i = 0; i < 3; i++)
            for (size_t k = 3; k < (p == 0 ? COUNT(tcp_order) : COUNT(udp_order)); k++) {
                const enum signpost_verdict last = (p == 0 ? tcp_order : udp_order)[k];
                nat_home(&evidence);
                set(protocols[p], tcp_order[i]);
                memset(ipv4->by, 0, sizeof ipv4->by);
                set(protocols[p], last);
                assert_verdict(tcp_order[i]);
                assert_true(is_listed(last));
            }
}

static void test_verdict_cgnat_comes_before_double_nat(void **state)
{
    (void)state;
    set(NAT_TCP, SIGNPOST_VERDICT_FILTERED);
    nat_hops(&evidence, NAT_ROUTER, "192.168.0.1", "100.64.0.1");
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_CGNAT), 2);
    assert_int_equal(verdict.also[0].verdict, SIGNPOST_VERDICT_DOUBLE_NAT);
    nat_outer(&evidence, GATEWAY_UPNP, "192.168.0.2");
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_CGNAT), 2);
    assert_int_equal(verdict.also[0].verdict, SIGNPOST_VERDICT_DOUBLE_NAT);
}

static void test_verdict_tcp_comes_before_udp(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(tcp_order); i++)
        for (size_t k = 3; k < COUNT(udp_order); k++)
            assert_before(nat_situation(NAT_TCP, tcp_order[i]), NAT_IPV4,
                nat_situation(NAT_UDP, udp_order[k]), NAT_IPV4);
}

static void test_verdict_open_comes_before_all(void **state)
{
    static const enum nat_protocol protocols[] = {NAT_TCP, NAT_UDP};

    (void)state;
    for (size_t i = 0; i < nat_situation_count; i++)
        for (size_t k = 0; k < COUNT(protocols); k++) {
            const struct situation *open = nat_situation(protocols[k], SIGNPOST_VERDICT_OPEN);
            const struct situation *other = &nat_situations[i];
            bool tried = strcmp(other->name, "udp-not-tried") != 0;
            if (other->verdict != SIGNPOST_VERDICT_OPEN && tried)
                assert_before(open, NAT_IPV6, other, NAT_IPV4);
        }
}

static void test_verdict_inconclusive_comes_last(void **state)
{
    const struct situation *last = nat_situation(NAT_TCP, SIGNPOST_VERDICT_INCONCLUSIVE);

    (void)state;
    for (size_t i = 0; i < COUNT(tcp_order); i++)
        assert_before(nat_situation(NAT_TCP, tcp_order[i]), NAT_IPV4, last, NAT_IPV6);
    for (size_t i = 3; i < COUNT(udp_order); i++)
        assert_before(nat_situation(NAT_UDP, udp_order[i]), NAT_IPV4, last, NAT_IPV4);
}

static void test_verdict_ipv4_comes_first_where_all_else_is_equal(void **state)
{
    const struct situation *filtered = nat_situation(NAT_TCP, SIGNPOST_VERDICT_FILTERED);

    (void)state;
    filtered->set(&evidence, NAT_IPV6);
    filtered->set(&evidence, NAT_IPV4);
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_FILTERED), 1);
    assert_int_equal(verdict.first.family, NAT_IPV4);
    assert_int_equal(verdict.also[0].family, NAT_IPV6);
}

/* --- near misses: TCP ------------------------------------------------------------------------ */

static void test_verdict_tcp_two_tries(void **state)
{
    static const struct {
        enum dial_result first, again;
        enum signpost_verdict verdict;
    } cases[] = {
        {DIAL_TIMEOUT, DIAL_NONE, SIGNPOST_VERDICT_FILTERED},
        {DIAL_TIMEOUT, DIAL_FAILED, SIGNPOST_VERDICT_FILTERED},
        {DIAL_TIMEOUT, DIAL_LIMITED, SIGNPOST_VERDICT_FILTERED},
        {DIAL_REFUSED, DIAL_NONE, SIGNPOST_VERDICT_REJECTED},
        {DIAL_REFUSED, DIAL_UNREACHABLE, SIGNPOST_VERDICT_REJECTED},
        /* A router tells only once in a while that a machine is gone. */
        {DIAL_UNREACHABLE, DIAL_TIMEOUT, SIGNPOST_VERDICT_REJECTED},
        {DIAL_UNREACHABLE, DIAL_REFUSED, SIGNPOST_VERDICT_REJECTED},
        {DIAL_TIMEOUT, DIAL_UNREACHABLE, SIGNPOST_VERDICT_REJECTED},
        {DIAL_REFUSED, DIAL_TIMEOUT, SIGNPOST_VERDICT_INCONCLUSIVE},
        {DIAL_TIMEOUT, DIAL_REFUSED, SIGNPOST_VERDICT_INCONCLUSIVE},
        {DIAL_TIMEOUT, DIAL_CONNECTED, SIGNPOST_VERDICT_INCONCLUSIVE},
        {DIAL_REFUSED, DIAL_OPEN, SIGNPOST_VERDICT_RESTRICTED},
        {DIAL_UNREACHABLE, DIAL_OPEN, SIGNPOST_VERDICT_RESTRICTED},
        {DIAL_CONNECTED, DIAL_TIMEOUT, SIGNPOST_VERDICT_ELSEWHERE},
        {DIAL_CONNECTED, DIAL_OPEN, SIGNPOST_VERDICT_INCONCLUSIVE},
        /* The first could not be made: then the second one counts. */
        {DIAL_FAILED, DIAL_OPEN, SIGNPOST_VERDICT_OPEN},
        {DIAL_LIMITED, DIAL_TIMEOUT, SIGNPOST_VERDICT_FILTERED},
    };

    (void)state;
    nat_ask(&evidence, NAT_IPV4, NAT_TCP);
    for (size_t i = 0; i < COUNT(cases); i++) {
        nat_dial(&evidence, NAT_IPV4, &tcp->first, cases[i].first);
        nat_dial(&evidence, NAT_IPV4, &tcp->again, cases[i].again);
        tcp->again.contacted = true;
        judge();
        if (verdict.first.verdict != cases[i].verdict)
            fail_msg("case %zu: %d: %s", i, (int)verdict.first.verdict, verdict.first.why);
    }
}

/* Where the index has one address only, the same address got through once and once not. */
static void test_verdict_reached_once_from_one_address_is_inconclusive(void **state)
{
    (void)state;
    set(NAT_TCP, SIGNPOST_VERDICT_RESTRICTED);
    tcp->first.contacted = true;
    assert_verdict(SIGNPOST_VERDICT_INCONCLUSIVE);
    tcp->first.contacted = tcp->again.contacted = false;
    assert_verdict(SIGNPOST_VERDICT_INCONCLUSIVE);
}

static void test_verdict_refused_without_a_listener(void **state)
{
    static const struct {
        enum dial_result listening;
        bool heard;
        enum signpost_verdict verdict;
    } cases[] = {
        {DIAL_OPEN, true, SIGNPOST_VERDICT_NOTHING_LISTENS},
        {DIAL_CONNECTED, true, SIGNPOST_VERDICT_NOTHING_LISTENS},
        {DIAL_CONNECTED, false, SIGNPOST_VERDICT_ELSEWHERE},
        {DIAL_REFUSED, false, SIGNPOST_VERDICT_REJECTED},
        {DIAL_UNREACHABLE, false, SIGNPOST_VERDICT_REJECTED},
        {DIAL_TIMEOUT, false, SIGNPOST_VERDICT_INCONCLUSIVE},
        {DIAL_NONE, false, SIGNPOST_VERDICT_INCONCLUSIVE},
        {DIAL_FAILED, false, SIGNPOST_VERDICT_INCONCLUSIVE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        set(NAT_TCP, SIGNPOST_VERDICT_NOTHING_LISTENS);
        nat_dial(&evidence, NAT_IPV4, &tcp->listening, cases[i].listening);
        tcp->listening.heard = cases[i].heard;
        judge();
        if (verdict.first.verdict != cases[i].verdict)
            fail_msg("case %zu: %d: %s", i, (int)verdict.first.verdict, verdict.first.why);
    }
}

static void test_verdict_another_port_only_where_the_asked_one_is_not_open(void **state)
{
    (void)state;
    set(NAT_TCP, SIGNPOST_VERDICT_OTHER_PORT);
    tcp->mapped.result = DIAL_TIMEOUT;
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_FILTERED), 0);
    tcp->mapped.result = DIAL_CONNECTED;
    tcp->mapped.heard = false;
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_FILTERED), 0);
    tcp->mapped.listened = false;
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_OTHER_PORT), 1);
    nat_dial(&evidence, NAT_IPV4, &tcp->first, DIAL_OPEN);
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_OPEN), 0);
    /* That the asked port could not be tried takes nothing from the one that works. */
    nat_dial(&evidence, NAT_IPV4, &tcp->first, DIAL_LIMITED);
    memset(&tcp->again, 0, sizeof tcp->again);
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_OTHER_PORT), 1);
    assert_true(is_listed(SIGNPOST_VERDICT_INCONCLUSIVE));
}

/* --- near misses: UDP ------------------------------------------------------------------------ */

static void test_verdict_udp_restricted_needs_both_addresses(void **state)
{
    (void)state;
    set(NAT_UDP, SIGNPOST_VERDICT_RESTRICTED);
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_RESTRICTED), 1);
    assert_true(is_listed(SIGNPOST_VERDICT_PUNCHABLE));
    udp->other_in.result = DIAL_NONE;
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_PUNCHABLE), 0);
    udp->other_in.result = DIAL_SENT;
    udp->other_in.heard = true;
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_PUNCHABLE), 0);
    udp->other_in.heard = udp->contacted_in.heard = false;
    ipv4->stun.filtering = NAT_FILTERING_ADDRESS_AND_PORT;
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_PUNCHABLE), 0);
    ipv4->stun.filtering = NAT_FILTERING_ADDRESS;
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_RESTRICTED), 1);
    ipv4->stun.mapping = NAT_MAPPING_VARYING;
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_RESTRICTED), 1);
    assert_true(is_listed(SIGNPOST_VERDICT_SYMMETRIC));
    ipv4->stun.mapping = NAT_MAPPING_UNKNOWN;
    assert_int_equal(assert_verdict(SIGNPOST_VERDICT_RESTRICTED), 0);
}

static void test_verdict_udp_blocked_needs_servers_and_silence(void **state)
{
    (void)state;
    set(NAT_UDP, SIGNPOST_VERDICT_UDP_BLOCKED);
    ipv4->stun.asked = 0;
    assert_verdict(SIGNPOST_VERDICT_INCONCLUSIVE);
    ipv4->stun.asked = 1;
    assert_verdict(SIGNPOST_VERDICT_UDP_BLOCKED);
    udp->contacted_in.heard = true;
    udp->other_in.result = DIAL_NONE;
    assert_verdict(SIGNPOST_VERDICT_INCONCLUSIVE);
    ipv4->has_stun = false;
    assert_verdict(SIGNPOST_VERDICT_INCONCLUSIVE);
}

static void test_verdict_udp_open_needs_the_datagram_before_stun(void **state)
{
    (void)state;
    set(NAT_UDP, SIGNPOST_VERDICT_OPEN);
    udp->first.heard = false;
    assert_verdict(SIGNPOST_VERDICT_PUNCHABLE);
    udp->other_in.heard = udp->contacted_in.heard = true;
    assert_verdict(SIGNPOST_VERDICT_PUNCHABLE);
}

/* What STUN says holds also where the index would not send. */
static void test_verdict_udp_by_stun_alone(void **state)
{
    (void)state;
    nat_ask(&evidence, NAT_IPV4, NAT_UDP);
    nat_dial(&evidence, NAT_IPV4, &udp->first, DIAL_LIMITED);
    nat_stun(&evidence, NAT_IPV4, NAT_MAPPING_VARYING, 2);
    assert_verdict(SIGNPOST_VERDICT_SYMMETRIC);
    nat_stun(&evidence, NAT_IPV4, NAT_MAPPING_UNKNOWN, 1);
    assert_int_equal(verdict_reach(&evidence, &verdict, detail), SIGNPOST_ERROR_BUSY);
    evidence.no_listen = true;
    udp->first.result = DIAL_NONE;
    assert_verdict(SIGNPOST_VERDICT_INCONCLUSIVE);
    nat_outer(&evidence, GATEWAY_UPNP, "100.64.0.7");
    assert_verdict(SIGNPOST_VERDICT_CGNAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_verdict_each_situation_has_its_own, start),
        cmocka_unit_test(test_verdict_every_one_is_there),
        cmocka_unit_test(test_verdict_names),
        cmocka_unit_test_setup(test_verdict_order_of_tcp, start),
        cmocka_unit_test_setup(test_verdict_order_of_udp, start),
        cmocka_unit_test_setup(test_verdict_order_within_a_family, start),
        cmocka_unit_test_setup(test_verdict_cgnat_comes_before_double_nat, start),
        cmocka_unit_test_setup(test_verdict_tcp_comes_before_udp, start),
        cmocka_unit_test_setup(test_verdict_open_comes_before_all, start),
        cmocka_unit_test_setup(test_verdict_inconclusive_comes_last, start),
        cmocka_unit_test_setup(test_verdict_ipv4_comes_first_where_all_else_is_equal, start),
        cmocka_unit_test_setup(test_verdict_tcp_two_tries, start),
        cmocka_unit_test_setup(test_verdict_reached_once_from_one_address_is_inconclusive, start),
        cmocka_unit_test_setup(test_verdict_refused_without_a_listener, start),
        cmocka_unit_test_setup(
            test_verdict_another_port_only_where_the_asked_one_is_not_open, start),
        cmocka_unit_test_setup(test_verdict_udp_restricted_needs_both_addresses, start),
        cmocka_unit_test_setup(test_verdict_udp_blocked_needs_servers_and_silence, start),
        cmocka_unit_test_setup(test_verdict_udp_open_needs_the_datagram_before_stun, start),
        cmocka_unit_test_setup(test_verdict_udp_by_stun_alone, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
