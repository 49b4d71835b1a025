#include "nat/report.h"

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
static char line[REPORT_LINE_SIZE];
static struct family_evidence *const ipv4 = &evidence.families[NAT_IPV4];
static struct protocol_evidence *const tcp = &evidence.families[NAT_IPV4].by[NAT_TCP];
static struct protocol_evidence *const udp = &evidence.families[NAT_IPV4].by[NAT_UDP];

static int start(void **state)
{
    (void)state;
    nat_home(&evidence);
    return 0;
}

static void assert_dial_line(
    enum nat_protocol protocol, const struct dial *dial, const char *expected)
{
    report_dial_line(&evidence, NAT_IPV4, protocol, dial, line);
    assert_string_equal(line, expected);
}

static void test_line_of_the_index(void **state)
{
    (void)state;
    report_index_line(&evidence, NAT_IPV4, line);
    assert_string_equal(line,
        "ipv4: index sees you at 203.0.113.7 (this machine: 192.168.1.20), round trip 21.3 ms");
    report_index_line(&evidence, NAT_IPV6, line);
    assert_string_equal(line, "ipv6: index sees you at 2001:db8::20, which is this machine's own "
                              "address, round trip 19.1 ms");
    ipv4->http_rtt_us = 0;
    ipv4->local[0] = '\0';
    report_index_line(&evidence, NAT_IPV4, line);
    assert_string_equal(line, "ipv4: index sees you at 203.0.113.7");
    ipv4->error = SIGNPOST_ERROR_UNREACHABLE;
    report_index_line(&evidence, NAT_IPV4, line);
    assert_string_equal(line, "ipv4: not tested: the index cannot be reached");
    (void)snprintf(ipv4->detail, sizeof ipv4->detail, "This machine has no IPv4.");
    report_index_line(&evidence, NAT_IPV4, line);
    assert_string_equal(line, "ipv4: not tested: This machine has no IPv4");
}

static void test_line_of_a_tcp_dial(void **state)
{
    static const struct {
        enum dial_result result;
        bool listened, heard;
        const char *line;
    } cases[] = {
        {DIAL_OPEN, true, true,
            "is open, and it is this machine that answers (tried from 198.51.100.2, 42 ms)"},
        {DIAL_CONNECTED, false, false, "takes connections (tried from 198.51.100.2, 42 ms)"},
        {DIAL_CONNECTED, true, false,
            "takes connections, but it is another machine that does (tried from 198.51.100.2, 42 "
            "ms)"},
        {DIAL_CONNECTED, true, true,
            "takes connections; that it is this machine was not proved (tried from 198.51.100.2, "
            "42 ms)"},
        {DIAL_REFUSED, true, false, "refuses connections (tried from 198.51.100.2, 42 ms)"},
        {DIAL_REFUSED, false, false,
            "refuses connections (tried from 198.51.100.2, while we did not listen, 42 ms)"},
        {DIAL_TIMEOUT, true, false, "does not answer (tried from 198.51.100.2, 42 ms)"},
        {DIAL_UNREACHABLE, true, false,
            "cannot be reached, says a router (tried from 198.51.100.2, 42 ms)"},
        {DIAL_FORBIDDEN, true, false, "was not tested"},
        {DIAL_LIMITED, true, false, "was not tested"},
        {DIAL_FAILED, true, false, "was not tested"},
    };
    char expected[REPORT_LINE_SIZE];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        nat_dial(&evidence, NAT_IPV4, &tcp->first, cases[i].result);
        tcp->first.listened = cases[i].listened;
        tcp->first.heard = cases[i].heard;
        tcp->first.ms = 41.9;
        (void)snprintf(expected, sizeof expected, "tcp/ipv4: 203.0.113.7:50051 %s", cases[i].line);
        assert_dial_line(NAT_TCP, &tcp->first, expected);
    }
    (void)snprintf(tcp->first.detail, sizeof tcp->first.detail, "Too many checks.");
    assert_dial_line(
        NAT_TCP, &tcp->first, "tcp/ipv4: 203.0.113.7:50051 was not tested: Too many checks");
}

static void test_line_of_other_dials(void **state)
{
    (void)state;
    nat_dial(&evidence, NAT_IPV4, &tcp->again, DIAL_TIMEOUT);
    tcp->again.contacted = true;
    tcp->again.ms = 3000.4;
    assert_dial_line(NAT_TCP, &tcp->again,
        "tcp/ipv4: 203.0.113.7:50051 does not answer (tried from 198.51.100.2, an address that we "
        "had contacted, 3.0 s)");
    tcp->again.from[0] = '\0'; /* which address it was is not known: then neither is this */
    assert_dial_line(NAT_TCP, &tcp->again, "tcp/ipv4: 203.0.113.7:50051 does not answer (3.0 s)");
    nat_dial(&evidence, NAT_IPV4, &tcp->listening, DIAL_OPEN);
    tcp->listening.target[0] = tcp->listening.from[0] = '\0';
    tcp->listening.ms = 0;
    assert_dial_line(NAT_TCP, &tcp->listening,
        "tcp/ipv4: 203.0.113.7:50051 is open, and it is this machine that answers (while we "
        "listened)");
    nat_dial(&evidence, NAT_IPV4, &tcp->mapped, DIAL_TIMEOUT);
    tcp->mapped.target[0] = tcp->mapped.from[0] = '\0';
    tcp->mapped.ms = 0;
    tcp->mapped.port = 50777;
    assert_dial_line(NAT_TCP, &tcp->mapped, "tcp/ipv4: 203.0.113.7:50777 does not answer");
}

static void test_line_of_a_udp_dial(void **state)
{
    (void)state;
    nat_dial(&evidence, NAT_IPV4, &udp->first, DIAL_SENT);
    udp->first.ms = 0;
    assert_dial_line(NAT_UDP, &udp->first,
        "udp/ipv4: 203.0.113.7:50051 is not open: no datagram arrived (sent from 198.51.100.2)");
    udp->first.heard = true;
    assert_dial_line(NAT_UDP, &udp->first,
        "udp/ipv4: 203.0.113.7:50051 is open: a datagram arrived (sent from 198.51.100.2)");
}

static void test_line_of_stun(void **state)
{
    static const struct {
        enum nat_mapping mapping;
        const char *line;
    } cases[] = {
        {NAT_MAPPING_UNKNOWN, "; whether others see the same is not known"},
        {NAT_MAPPING_NONE, ", its own address: no NAT"},
        {NAT_MAPPING_ENDPOINT, ", the same for all servers"},
        {NAT_MAPPING_ADDRESS, ", and otherwise by other servers"},
        {NAT_MAPPING_VARYING, ", and otherwise by other servers"},
    };
    char expected[REPORT_LINE_SIZE];

    (void)state;
    report_stun_line(&evidence, NAT_IPV4, line);
    assert_string_equal(line, "udp/ipv4: STUN was not tried");
    for (size_t i = 0; i < COUNT(cases); i++) {
        nat_stun(&evidence, NAT_IPV4, cases[i].mapping, 2);
        report_stun_line(&evidence, NAT_IPV4, line);
        (void)snprintf(expected, sizeof expected,
            "udp/ipv4: STUN sees this machine at 203.0.113.7:50051%s, round trip 23.4 ms",
            cases[i].line);
        assert_string_equal(line, expected);
    }
    nat_stun(&evidence, NAT_IPV4, NAT_MAPPING_UNKNOWN, 0);
    report_stun_line(&evidence, NAT_IPV4, line);
    assert_string_equal(line, "udp/ipv4: no STUN server answered (3 asked)");
    ipv4->stun.asked = 0;
    (void)snprintf(ipv4->stun.detail, sizeof ipv4->stun.detail, "stun.example is not known.");
    report_stun_line(&evidence, NAT_IPV4, line);
    assert_string_equal(line, "udp/ipv4: no STUN server to ask; stun.example is not known");
}

static void test_line_of_hops(void **state)
{
    (void)state;
    report_hops_line(&evidence, NAT_IPV4, line);
    assert_string_equal(line, "ipv4: the way to the index was not looked at");
    nat_hops(&evidence, "", "", "");
    report_hops_line(&evidence, NAT_IPV4, line);
    assert_string_equal(line, "ipv4: the first routers on the way do not say who they are");
    nat_hops(&evidence, NAT_ROUTER, "", "100.64.0.1");
    report_hops_line(&evidence, NAT_IPV4, line);
    assert_string_equal(line, "ipv4: on the way to the index: 192.168.1.1, (silent), 100.64.0.1");
    nat_hops(&evidence, NAT_ROUTER, "", "");
    report_hops_line(&evidence, NAT_IPV4, line);
    assert_string_equal(line, "ipv4: on the way to the index: 192.168.1.1");
}

static void test_line_of_the_router(void **state)
{
    (void)state;
    report_gateway_line(&evidence, line);
    assert_string_equal(line, "router: not asked");
    nat_outer(&evidence, GATEWAY_UPNP, NAT_OBSERVED);
    evidence.gateway.by[GATEWAY_PCP].present = NAT_NO;
    (void)snprintf(evidence.gateway.model, sizeof evidence.gateway.model, "Box\0337 3000");
    report_gateway_line(&evidence, line);
    assert_string_equal(line, "router at 192.168.1.1 (Box?7 3000): PCP no; NAT-PMP not tried; UPnP "
                              "yes, outer address 203.0.113.7");
    nat_outer(&evidence, GATEWAY_UPNP, NULL);
    (void)snprintf(evidence.gateway.by[GATEWAY_UPNP].detail, NAT_DETAIL_SIZE, "answered nonsense");
    report_gateway_line(&evidence, line);
    assert_string_equal(line, "router at 192.168.1.1 (Box?7 3000): PCP no; NAT-PMP not tried; UPnP "
                              "yes, no outer address (answered nonsense)");
}

static void test_line_of_a_mapping(void **state)
{
    struct map_evidence *map = &evidence.map[NAT_UDP];

    (void)state;
    report_map_line(&evidence, NAT_UDP, line);
    assert_string_equal(line, "udp: the router was not asked for a port mapping");
    *map = (struct map_evidence){.asked = true, .detail = "It refuses."};
    report_map_line(&evidence, NAT_UDP, line);
    assert_string_equal(line, "udp: the router did not map port 50051: It refuses");
    *map = (struct map_evidence){.asked = true,
        .made = true,
        .by = GATEWAY_NATPMP,
        .address = NAT_OBSERVED,
        .port = 50777,
        .lifetime_s = 3600};
    report_map_line(&evidence, NAT_UDP, line);
    assert_string_equal(line, "udp: the router leads 203.0.113.7:50777 to port 50051 of this "
                              "machine (by NAT-PMP, for 3600 s)");
    map->address[0] = '\0';
    map->lifetime_s = 0;
    report_map_line(&evidence, NAT_UDP, line);
    assert_string_equal(line, "udp: the router leads port 50777 to port 50051 of this machine (by "
                              "NAT-PMP, until it is removed)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_line_of_the_index, start),
        cmocka_unit_test_setup(test_line_of_a_tcp_dial, start),
        cmocka_unit_test_setup(test_line_of_other_dials, start),
        cmocka_unit_test_setup(test_line_of_a_udp_dial, start),
        cmocka_unit_test_setup(test_line_of_stun, start),
        cmocka_unit_test_setup(test_line_of_hops, start),
        cmocka_unit_test_setup(test_line_of_the_router, start),
        cmocka_unit_test_setup(test_line_of_a_mapping, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
