/* What lies between this machine and the internet, and what happens where nothing was tested. */
#include "nat/verdict.h"

#include "nat/facts.h"
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
static struct family_evidence *const ipv6 = &evidence.families[NAT_IPV6];
static struct protocol_evidence *const tcp = &evidence.families[NAT_IPV4].by[NAT_TCP];

static void set(enum nat_protocol protocol, enum signpost_verdict what)
{
    nat_situation(protocol, what)->set(&evidence, NAT_IPV4);
}

/* IPv4 by TCP gets no answer: what more there is has to be told from the way. */
static int start(void **state)
{
    (void)state;
    nat_home(&evidence);
    set(NAT_TCP, SIGNPOST_VERDICT_FILTERED);
    return 0;
}

static void assert_verdict(enum signpost_verdict expected, size_t also)
{
    if (verdict_reach(&evidence, &verdict, detail))
        fail_msg("an error instead of a verdict: %s", detail);
    if (verdict.first.verdict != expected || verdict.also_count != also)
        fail_msg("%d and %zu more: %s", (int)verdict.first.verdict, verdict.also_count,
            verdict.first.why);
}

static void local_is(const char *address)
{
    (void)snprintf(ipv4->local, sizeof ipv4->local, "%s", address);
}

static void observed_is(const char *address)
{
    (void)snprintf(ipv4->observed, sizeof ipv4->observed, "%s", address);
}

/* --- addresses ------------------------------------------------------------------------------- */

static void test_facts_address_knows_the_ranges(void **state)
{
    static const struct {
        const char *address;
        enum address_kind kind;
    } cases[] = {
        {"", ADDRESS_NONE},
        {"router", ADDRESS_NONE},
        {"192.168.1", ADDRESS_NONE},
        {"192.168.1.1 ", ADDRESS_NONE},
        {"0.0.0.0", ADDRESS_NONE},
        {"0.255.255.255", ADDRESS_NONE},
        {"1.0.0.0", ADDRESS_PUBLIC},
        {"9.255.255.255", ADDRESS_PUBLIC},
        {"10.0.0.0", ADDRESS_PRIVATE},
        {"10.255.255.255", ADDRESS_PRIVATE},
        {"11.0.0.0", ADDRESS_PUBLIC},
        {"100.63.255.255", ADDRESS_PUBLIC},
        {"100.64.0.0", ADDRESS_SHARED},
        {"100.127.255.255", ADDRESS_SHARED},
        {"100.128.0.0", ADDRESS_PUBLIC},
        {"126.255.255.255", ADDRESS_PUBLIC},
        {"127.0.0.1", ADDRESS_PRIVATE},
        {"169.253.255.255", ADDRESS_PUBLIC},
        {"169.254.0.0", ADDRESS_PRIVATE},
        {"169.255.0.0", ADDRESS_PUBLIC},
        {"172.15.255.255", ADDRESS_PUBLIC},
        {"172.16.0.0", ADDRESS_PRIVATE},
        {"172.31.255.255", ADDRESS_PRIVATE},
        {"172.32.0.0", ADDRESS_PUBLIC},
        {"191.255.255.255", ADDRESS_PUBLIC},
        {"192.0.0.0", ADDRESS_SHARED},
        {"192.0.0.7", ADDRESS_SHARED},
        {"192.0.0.8", ADDRESS_PUBLIC},
        {"192.167.255.255", ADDRESS_PUBLIC},
        {"192.168.0.0", ADDRESS_PRIVATE},
        {"192.168.255.255", ADDRESS_PRIVATE},
        {"192.169.0.0", ADDRESS_PUBLIC},
        {"223.255.255.255", ADDRESS_PUBLIC},
        {"224.0.0.1", ADDRESS_NONE},
        {"255.255.255.255", ADDRESS_NONE},
        {"::ffff:10.1.1.1", ADDRESS_PRIVATE},
        {"::ffff:100.64.1.1", ADDRESS_SHARED},
        {"::", ADDRESS_NONE},
        {"::1", ADDRESS_PRIVATE},
        {"::2", ADDRESS_PUBLIC},
        {"fe80::1", ADDRESS_PRIVATE},
        {"febf::1", ADDRESS_PRIVATE},
        {"fec0::1", ADDRESS_PUBLIC},
        {"fbff::1", ADDRESS_PUBLIC},
        {"fc00::1", ADDRESS_PRIVATE},
        {"fdff::1", ADDRESS_PRIVATE},
        {"ff02::1", ADDRESS_NONE},
        {"2001:db8::7", ADDRESS_PUBLIC},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (facts_address(cases[i].address) != cases[i].kind)
            fail_msg("%s is %d", cases[i].address, (int)facts_address(cases[i].address));
    assert_true(facts_same_address("203.0.113.7", "::ffff:203.0.113.7"));
    assert_true(facts_same_address("2001:db8:0::7", "2001:db8::7"));
    assert_false(facts_same_address("203.0.113.7", "203.0.113.8"));
    assert_false(facts_same_address("", ""));
    assert_false(facts_same_address("203.0.113.7", "cb00:7107::"));
}

/* --- what the router says -------------------------------------------------------------------- */

static void test_way_router_that_has_the_observed_address_is_the_only_one(void **state)
{
    (void)state;
    nat_outer(&evidence, GATEWAY_UPNP, NAT_OBSERVED);
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
    /* What the way looks like is of no account then. */
    nat_hops(&evidence, NAT_ROUTER, "100.64.0.1", "100.64.0.2");
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
    nat_hops(&evidence, NAT_ROUTER, "10.0.0.1", "100.64.0.2");
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
    local_is("100.64.3.3");
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
}

/* An index inside the provider's network, or between two routers. */
static void test_way_index_may_see_an_address_that_is_not_public(void **state)
{
    (void)state;
    observed_is("100.64.0.9");
    nat_outer(&evidence, GATEWAY_UPNP, "100.64.0.9");
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
    observed_is("10.0.0.2");
    nat_outer(&evidence, GATEWAY_UPNP, "10.0.0.2");
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
    /* It does not know what the world sees. */
    nat_outer(&evidence, GATEWAY_UPNP, NAT_OBSERVED);
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
    evidence.has_gateway = false;
    nat_hops(&evidence, NAT_ROUTER, "10.0.0.1", "");
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
    nat_hops(&evidence, NAT_ROUTER, "100.64.0.1", "");
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
    observed_is("198.51.100.33");
    assert_verdict(SIGNPOST_VERDICT_CGNAT, 1);
}

static void test_way_edges_of_the_shared_range(void **state)
{
    static const struct {
        const char *address;
        enum signpost_verdict verdict;
    } cases[] = {
        {"100.63.255.255", SIGNPOST_VERDICT_MISMATCH},
        {"100.64.0.0", SIGNPOST_VERDICT_CGNAT},
        {"100.127.255.255", SIGNPOST_VERDICT_CGNAT},
        {"100.128.0.0", SIGNPOST_VERDICT_MISMATCH},
        {"172.31.255.255", SIGNPOST_VERDICT_DOUBLE_NAT},
        {"172.32.0.0", SIGNPOST_VERDICT_MISMATCH},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        nat_outer(&evidence, GATEWAY_NATPMP, cases[i].address);
        assert_verdict(cases[i].verdict, 1);
    }
    /* Not an address: as if nothing had been said. */
    nat_outer(&evidence, GATEWAY_NATPMP, "0.0.0.0");
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
    nat_outer(&evidence, GATEWAY_NATPMP, "of course");
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
    nat_outer(&evidence, GATEWAY_NATPMP, "2001:db8::1");
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
}

static void test_way_claims_that_disagree(void **state)
{
    (void)state;
    nat_outer(&evidence, GATEWAY_UPNP, "192.168.0.2");
    nat_outer(&evidence, GATEWAY_NATPMP, NAT_OBSERVED);
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
    nat_outer(&evidence, GATEWAY_UPNP, NAT_OBSERVED);
    nat_outer(&evidence, GATEWAY_NATPMP, "192.168.0.2");
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
    nat_outer(&evidence, GATEWAY_UPNP, "100.64.0.2");
    assert_verdict(SIGNPOST_VERDICT_DOUBLE_NAT, 1);
    assert_non_null(strstr(verdict.first.why, "192.168.0.2 (by NAT-PMP; by UPnP it says "));
    assert_non_null(strstr(verdict.first.why, "100.64.0.2"));
    nat_outer(&evidence, GATEWAY_PCP, "198.51.100.50");
    assert_verdict(SIGNPOST_VERDICT_MISMATCH, 1);
    nat_outer(&evidence, GATEWAY_PCP, NULL); /* one that knows counts more than one that does not */
    assert_verdict(SIGNPOST_VERDICT_DOUBLE_NAT, 1);
}

/* A mapping that the router has made tells its address too. */
static void test_way_address_of_a_mapping_counts(void **state)
{
    struct map_evidence *map = &evidence.map[NAT_TCP];

    (void)state;
    *map = (struct map_evidence){
        .asked = true, .made = true, .by = GATEWAY_PCP, .address = "100.64.0.2", .port = NAT_PORT};
    assert_verdict(SIGNPOST_VERDICT_CGNAT, 1);
    map->made = false;
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
    map->made = true;
    nat_outer(&evidence, GATEWAY_NATPMP, NAT_OBSERVED);
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
}

static void test_way_gateway_that_was_not_asked_says_nothing(void **state)
{
    (void)state;
    nat_outer(&evidence, GATEWAY_UPNP, "100.64.0.2");
    evidence.has_gateway = false;
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
}

/* --- the first routers ----------------------------------------------------------------------- */

static void test_way_hops(void **state)
{
    static const struct {
        const char *local, *one, *two, *three;
        enum signpost_verdict verdict;
        size_t also;
    } cases[] = {
        {NAT_LOCAL, NAT_ROUTER, "198.51.100.7", "100.64.0.1", SIGNPOST_VERDICT_FILTERED, 0},
        {NAT_LOCAL, NAT_ROUTER, "198.51.100.7", "10.0.0.1", SIGNPOST_VERDICT_FILTERED, 0},
        {NAT_LOCAL, NAT_ROUTER, "", "", SIGNPOST_VERDICT_FILTERED, 0},
        {NAT_LOCAL, NAT_ROUTER, "", "100.64.0.1", SIGNPOST_VERDICT_FILTERED, 0},
        {NAT_LOCAL, NAT_ROUTER, "100.64.0.1", "", SIGNPOST_VERDICT_CGNAT, 1},
        {NAT_LOCAL, NAT_ROUTER, "10.0.0.1", "100.64.0.1", SIGNPOST_VERDICT_CGNAT, 2},
        {NAT_LOCAL, NAT_ROUTER, "192.168.178.1", "", SIGNPOST_VERDICT_DOUBLE_NAT, 1},
        {NAT_LOCAL, "", "192.168.178.1", "", SIGNPOST_VERDICT_FILTERED, 0},
        {NAT_LOCAL, "", "100.64.0.1", "", SIGNPOST_VERDICT_CGNAT, 1},
        {NAT_LOCAL, "100.64.0.1", "100.64.0.2", "", SIGNPOST_VERDICT_FILTERED, 0},
        /* Inside a cloud such addresses are everywhere, and no router of ours comes first. */
        {"172.31.5.5", "", "100.66.8.1", "100.66.11.1", SIGNPOST_VERDICT_FILTERED, 0},
        {"10.0.0.5", "244.5.0.1", "100.66.8.1", "", SIGNPOST_VERDICT_FILTERED, 0},
        /* This machine is itself where a provider puts its customers. */
        {"100.64.7.7", "100.64.0.1", "198.51.100.7", "", SIGNPOST_VERDICT_CGNAT, 1},
        {"100.64.7.7", "", "", "", SIGNPOST_VERDICT_CGNAT, 1},
        {"192.0.0.4", "", "", "", SIGNPOST_VERDICT_CGNAT, 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        local_is(cases[i].local);
        nat_hops(&evidence, cases[i].one, cases[i].two, cases[i].three);
        assert_verdict(cases[i].verdict, cases[i].also);
    }
    local_is(NAT_LOCAL);
    nat_hops(&evidence, NAT_ROUTER, "100.64.0.1", "");
    ipv4->has_hops = false;
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
}

static void test_way_router_without_an_outer_address(void **state)
{
    (void)state;
    nat_outer(&evidence, GATEWAY_UPNP, NULL);
    assert_verdict(SIGNPOST_VERDICT_DOUBLE_NAT, 1);
    /* Right behind it comes the provider's NAT: no second router. */
    nat_hops(&evidence, NAT_ROUTER, "100.64.0.1", "");
    assert_verdict(SIGNPOST_VERDICT_CGNAT, 1);
    nat_hops(&evidence, NAT_ROUTER, "192.168.0.1", "100.64.0.1");
    assert_verdict(SIGNPOST_VERDICT_CGNAT, 2);
}

/* --- where it is of no account --------------------------------------------------------------- */

static void test_way_no_nat_no_router(void **state)
{
    (void)state;
    local_is(NAT_OBSERVED);
    nat_outer(&evidence, GATEWAY_UPNP, "192.168.0.2");
    nat_hops(&evidence, NAT_ROUTER, "100.64.0.1", "");
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
}

static void test_way_is_not_told_where_a_port_is_open(void **state)
{
    (void)state;
    nat_outer(&evidence, GATEWAY_UPNP, "100.64.0.2");
    set(NAT_TCP, SIGNPOST_VERDICT_OPEN);
    set(NAT_UDP, SIGNPOST_VERDICT_PUNCHABLE);
    assert_verdict(SIGNPOST_VERDICT_OPEN, 1);
    /* What IPv6 is like says nothing of IPv4. */
    memset(tcp, 0, sizeof *tcp);
    nat_situation(NAT_TCP, SIGNPOST_VERDICT_OPEN)->set(&evidence, NAT_IPV6);
    assert_verdict(SIGNPOST_VERDICT_OPEN, 2);
    assert_int_equal(verdict.also[0].verdict, SIGNPOST_VERDICT_CGNAT);
    assert_int_equal(verdict.also[0].protocol, NAT_UDP);
}

static void test_way_is_told_once_for_both_protocols(void **state)
{
    (void)state;
    nat_outer(&evidence, GATEWAY_UPNP, "100.64.0.2");
    set(NAT_UDP, SIGNPOST_VERDICT_PUNCHABLE);
    assert_verdict(SIGNPOST_VERDICT_CGNAT, 2);
    assert_int_equal(verdict.first.protocol, NAT_TCP);
    assert_int_equal(verdict.also[0].verdict, SIGNPOST_VERDICT_FILTERED);
    assert_int_equal(verdict.also[1].verdict, SIGNPOST_VERDICT_PUNCHABLE);
}

static void test_way_is_not_told_where_only_ipv6_was_tested(void **state)
{
    (void)state;
    memset(tcp, 0, sizeof *tcp);
    ipv4->error = SIGNPOST_ERROR_UNREACHABLE;
    nat_outer(&evidence, GATEWAY_UPNP, "100.64.0.2");
    nat_situation(NAT_TCP, SIGNPOST_VERDICT_FILTERED)->set(&evidence, NAT_IPV6);
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 0);
    ipv4->error = 0; /* and where the index would not dial, that is no "closed" */
    tcp->asked = true;
    nat_dial(&evidence, NAT_IPV4, &tcp->first, DIAL_LIMITED);
    assert_verdict(SIGNPOST_VERDICT_FILTERED, 1);
    assert_int_equal(verdict.also[0].verdict, SIGNPOST_VERDICT_INCONCLUSIVE);
}

/* --- nothing could be tested ----------------------------------------------------------------- */

static void refuse(struct protocol_evidence *protocol, enum dial_result result, const char *why)
{
    protocol->asked = true;
    nat_dial(&evidence, NAT_IPV4, &protocol->first, result);
    (void)snprintf(protocol->first.detail, sizeof protocol->first.detail, "%s", why);
}

static void assert_error(int error, const char *why)
{
    struct verdict before;

    memset(&verdict, 0x5a, sizeof verdict);
    before = verdict;
    assert_int_equal(verdict_reach(&evidence, &verdict, detail), error);
    assert_string_equal(detail, why);
    assert_memory_equal(&verdict, &before, sizeof verdict);
}

static int start_untested(void **state)
{
    (void)state;
    nat_home(&evidence);
    ipv4->asked = ipv6->asked = true;
    ipv6->error = SIGNPOST_ERROR_UNREACHABLE;
    (void)snprintf(ipv6->detail, sizeof ipv6->detail, "No IPv6 here.");
    return 0;
}

static void test_untested_says_what_the_index_said(void **state)
{
    (void)state;
    refuse(tcp, DIAL_LIMITED, "Too many checks: wait 20 s.");
    assert_error(SIGNPOST_ERROR_BUSY, "Too many checks: wait 20 s.");
    refuse(tcp, DIAL_FORBIDDEN, "This index dials no port below 1024.");
    assert_error(SIGNPOST_ERROR_REFUSED, "This index dials no port below 1024.");
    refuse(tcp, DIAL_FAILED, "The index has hung up.");
    assert_error(SIGNPOST_ERROR_UNREACHABLE, "The index has hung up.");
    refuse(tcp, DIAL_FAILED, "");
    assert_error(SIGNPOST_ERROR_UNREACHABLE, "the index cannot be reached");
    refuse(tcp, DIAL_FAILED, "\033[2J\r\nno\x9b");
    assert_error(SIGNPOST_ERROR_UNREACHABLE, "?[2J??no?");
}

static void test_untested_tells_what_passes_first(void **state)
{
    struct protocol_evidence *udp = &ipv4->by[NAT_UDP];

    (void)state;
    refuse(tcp, DIAL_FORBIDDEN, "forbidden");
    refuse(udp, DIAL_LIMITED, "limited");
    assert_error(SIGNPOST_ERROR_BUSY, "limited");
    refuse(udp, DIAL_FAILED, "failed");
    assert_error(SIGNPOST_ERROR_REFUSED, "forbidden");
}

static void test_untested_families(void **state)
{
    (void)state;
    tcp->asked = ipv6->by[NAT_TCP].asked = true;
    ipv4->error = SIGNPOST_ERROR_TIMEOUT;
    (void)snprintf(ipv4->detail, sizeof ipv4->detail, "No answer within 5 s.");
    assert_error(SIGNPOST_ERROR_TIMEOUT, "No answer within 5 s.");
    ipv4->error = SIGNPOST_ERROR_UNREACHABLE;
    assert_error(SIGNPOST_ERROR_UNREACHABLE, "No answer within 5 s.");
    ipv6->error = SIGNPOST_ERROR_TLS;
    assert_error(SIGNPOST_ERROR_TLS, "No IPv6 here.");
    ipv4->asked = false;
    assert_error(SIGNPOST_ERROR_TLS, "No IPv6 here.");
    ipv6->asked = false;
    assert_error(SIGNPOST_ERROR_INVALID, "Neither a family nor a protocol was to be tested.");
    /* One that was reached counts, and the other one does not. */
    ipv6->asked = true;
    set(NAT_TCP, SIGNPOST_VERDICT_REJECTED);
    ipv4->error = 0;
    assert_verdict(SIGNPOST_VERDICT_REJECTED, 0);
}

static void test_untested_is_listed_where_something_else_was(void **state)
{
    (void)state;
    set(NAT_UDP, SIGNPOST_VERDICT_PUNCHABLE);
    refuse(tcp, DIAL_LIMITED, "Too many checks: wait 20 s.");
    assert_verdict(SIGNPOST_VERDICT_PUNCHABLE, 1);
    assert_int_equal(verdict.also[0].verdict, SIGNPOST_VERDICT_INCONCLUSIVE);
    assert_int_equal(verdict.also[0].protocol, NAT_TCP);
    assert_non_null(
        strstr(verdict.also[0].why, "could not be tested: Too many checks: wait 20 s."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts_address_knows_the_ranges),
        cmocka_unit_test_setup(
            test_way_router_that_has_the_observed_address_is_the_only_one, start),
        cmocka_unit_test_setup(test_way_index_may_see_an_address_that_is_not_public, start),
        cmocka_unit_test_setup(test_way_edges_of_the_shared_range, start),
        cmocka_unit_test_setup(test_way_claims_that_disagree, start),
        cmocka_unit_test_setup(test_way_address_of_a_mapping_counts, start),
        cmocka_unit_test_setup(test_way_gateway_that_was_not_asked_says_nothing, start),
        cmocka_unit_test_setup(test_way_hops, start),
        cmocka_unit_test_setup(test_way_router_without_an_outer_address, start),
        cmocka_unit_test_setup(test_way_no_nat_no_router, start),
        cmocka_unit_test_setup(test_way_is_not_told_where_a_port_is_open, start),
        cmocka_unit_test_setup(test_way_is_told_once_for_both_protocols, start),
        cmocka_unit_test_setup(test_way_is_not_told_where_only_ipv6_was_tested, start),
        cmocka_unit_test_setup(test_untested_says_what_the_index_said, start_untested),
        cmocka_unit_test_setup(test_untested_tells_what_passes_first, start_untested),
        cmocka_unit_test_setup(test_untested_families, start_untested),
        cmocka_unit_test_setup(test_untested_is_listed_where_something_else_was, start_untested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
