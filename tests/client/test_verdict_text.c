/* The sentences: what is in them, and that they fit. */
#include "nat/verdict.h"

#include "nat/words.h"
#include "nat_fixture.h"

#include <math.h>
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
static struct family_evidence *const ipv4 = &evidence.families[NAT_IPV4];

static int start(void **state)
{
    (void)state;
    nat_home(&evidence);
    return 0;
}

static const struct finding *judge(void)
{
    char detail[NAT_DETAIL_SIZE];

    assert_int_equal(verdict_reach(&evidence, &verdict, detail), 0);
    return &verdict.first;
}

static const struct finding *judge_as(
    enum nat_protocol protocol, enum signpost_verdict what, enum nat_family family)
{
    nat_situation(protocol, what)->set(&evidence, family);
    const struct finding *finding = judge();
    assert_int_equal(finding->verdict, what);
    return finding;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void assert_has_not(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" is in: %s", part, text);
}

static void local_is(const char *address)
{
    (void)snprintf(ipv4->local, sizeof ipv4->local, "%s", address);
}

/* --- all of them ----------------------------------------------------------------------------- */

static void assert_well_written(const char *text)
{
    static const char *const wrong[] = {
        "  ", " .", " ,", " ;", " )", "( ", "..", ".,", ",.", ":.", ",,", "?", "()", "%"};
    size_t length = strlen(text);

    assert_in_range(length, 20, VERDICT_TEXT_SIZE - 1);
    if (text[length - 1] != '.' || !strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789[", text[0]))
        fail_msg("no whole sentence: %s", text);
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_has_not(text, wrong[i]);
    /* Every full stop that ends a sentence is followed by a capital, or an address. */
    for (const char *at = strstr(text, ". "); at; at = strstr(at + 1, ". "))
        if (at[2] >= 'a' && at[2] <= 'z')
            fail_msg("a sentence begins small: %s", text);
}

static void test_text_has_the_addresses_and_the_port(void **state)
{
    static char both[2 * VERDICT_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < nat_situation_count; i++)
        for (enum nat_family family = 0; family < NAT_FAMILIES; family++) {
            if (nat_situations[i].ipv4_only && family != NAT_IPV4)
                continue;
            nat_home(&evidence);
            nat_situations[i].set(&evidence, family);
            judge();
            for (size_t k = 0; k <= verdict.also_count; k++) {
                const struct finding *one = k == 0 ? &verdict.first : &verdict.also[k - 1];
                (void)snprintf(both, sizeof both, "%s %s", one->why, one->advice);
                assert_has(both, evidence.families[family].observed);
                assert_has(both, evidence.families[family].local);
                assert_has(both, "50051");
                assert_well_written(one->why);
                assert_well_written(one->advice);
            }
        }
}

/* --- some of them ---------------------------------------------------------------------------- */

static void test_text_filtered_says_what_to_set_up(void **state)
{
    (void)state;
    const struct finding *finding = judge_as(NAT_TCP, SIGNPOST_VERDICT_FILTERED, NAT_IPV4);
    assert_has(finding->why,
        "203.0.113.7:50051 did not answer by TCP (tried from 198.51.100.2, and "
        "from 198.51.100.1, which this machine had contacted; 5.0 s)");
    assert_has(finding->advice,
        "Add a port forward on the router at 192.168.1.1: TCP port 50051 to "
        "192.168.1.20 port 50051");
    nat_dial(&evidence, NAT_IPV4, &ipv4->by[NAT_TCP].again, DIAL_FAILED);
    (void)snprintf(ipv4->by[NAT_TCP].again.from, NAT_ADDRESS_SIZE, NAT_CONTACTED);
    assert_has(judge()->why, "(tried from 198.51.100.2; 5.0 s)");
    ipv4->gateway[0] = '\0';
    assert_has(judge()->advice, "on the router: TCP port 50051 to 192.168.1.20");
    nat_outer(&evidence, GATEWAY_UPNP, NAT_OBSERVED);
    assert_has(judge()->advice, "on the router at 192.168.1.1: TCP port 50051 to 192.168.1.20");
}

static void test_text_without_a_nat_speaks_of_no_router(void **state)
{
    (void)state;
    local_is(NAT_OBSERVED);
    const struct finding *finding = judge_as(NAT_TCP, SIGNPOST_VERDICT_FILTERED, NAT_IPV4);
    assert_has(finding->advice, "No router has to be set up, since 203.0.113.7 is this machine's "
                                "own address");
    assert_has(finding->advice, "security group");
    assert_has_not(finding->advice, "port forward");
}

static void test_text_ipv6_speaks_of_its_firewall(void **state)
{
    (void)state;
    const struct finding *finding = judge_as(NAT_TCP, SIGNPOST_VERDICT_FILTERED, NAT_IPV6);
    assert_has(finding->advice, "allow TCP port 50051 to 2001:db8::20 in the IPv6 firewall of the "
                                "router at fe80::1 (often called a pinhole)");
    assert_has_not(finding->advice, "Add a port forward");
}

static void test_text_container(void **state)
{
    (void)state;
    local_is("172.17.0.2");
    assert_has(judge_as(NAT_TCP, SIGNPOST_VERDICT_FILTERED, NAT_IPV4)->advice,
        "172.17.0.2 looks like the address of a Docker container: publish the port from it as well "
        "(-p 50051:50051)");
    local_is("172.17.0.2");
    nat_hops(&evidence, "172.17.0.1", "192.168.1.1", "198.51.100.7");
    assert_has(judge()->advice, "container");
    nat_home(&evidence);
    local_is("172.17.0.2");
    assert_has(
        judge_as(NAT_UDP, SIGNPOST_VERDICT_PUNCHABLE, NAT_IPV4)->advice, "(-p 50051:50051/udp)");
    local_is("172.18.0.2");
    assert_has_not(judge()->advice, "container");
}

static void test_text_cloud(void **state)
{
    static const char *const cloud = "On a server in a cloud, allow it in the provider's firewall";

    (void)state;
    local_is("10.128.0.7");
    assert_has(judge_as(NAT_TCP, SIGNPOST_VERDICT_FILTERED, NAT_IPV4)->advice, cloud);
    nat_outer(&evidence, GATEWAY_UPNP, NAT_OBSERVED); /* no cloud has such a router */
    assert_has_not(judge()->advice, cloud);
    evidence.has_gateway = false;
    local_is(NAT_LOCAL);
    assert_has_not(judge()->advice, cloud);
}

static void test_text_router_can_be_asked(void **state)
{
    struct map_evidence *map = &evidence.map[NAT_TCP];

    (void)state;
    nat_outer(&evidence, GATEWAY_NATPMP, NAT_OBSERVED);
    assert_has(judge_as(NAT_TCP, SIGNPOST_VERDICT_FILTERED, NAT_IPV4)->advice,
        "It may also do so when it is asked (by NAT-PMP): check with --map.");
    *map = (struct map_evidence){.asked = true};
    assert_has_not(judge()->advice, "--map");
    *map = (struct map_evidence){.asked = true, .detail = "It refuses: mappings are switched off."};
    assert_has(judge()->advice,
        "Asked to do so by itself, the router did not: It refuses: mappings are switched off.");
    assert_has_not(judge()->advice, "--map");
    *map = (struct map_evidence){.asked = true, .made = true, .by = GATEWAY_UPNP, .port = NAT_PORT};
    assert_has(judge()->advice, "says (by UPnP) that it leads TCP port 50051 to port 50051 of this "
                                "machine already");
    assert_has(judge()->advice, "the firewall of 192.168.1.20");
    assert_has_not(judge()->advice, "Add a port forward");
}

static void test_text_open_says_who_can_connect(void **state)
{
    (void)state;
    assert_string_equal(judge_as(NAT_TCP, SIGNPOST_VERDICT_OPEN, NAT_IPV4)->advice,
        "Anyone on the internet can connect to 203.0.113.7:50051 by TCP.");
    (void)snprintf(ipv4->observed, sizeof ipv4->observed, "192.168.1.20");
    assert_has(judge()->advice, "Whoever shares a network with the index can connect to");
}

static void test_text_of_a_program_that_holds_the_port(void **state)
{
    struct protocol_evidence *tcp = &ipv4->by[NAT_TCP];

    (void)state;
    judge_as(NAT_TCP, SIGNPOST_VERDICT_REJECTED, NAT_IPV4);
    tcp->held = true;
    tcp->first.listened = tcp->again.listened = false;
    assert_has(judge()->why, "although a program on this machine (192.168.1.20) holds port 50051");
    assert_has(judge()->advice, "listens on all addresses (0.0.0.0 and not 127.0.0.1)");
    tcp->first.result = DIAL_CONNECTED;
    assert_int_equal(judge()->verdict, SIGNPOST_VERDICT_OPEN);
    assert_has(judge()->why, "A program on this machine (192.168.1.20) holds the port");
    assert_has(judge()->advice, "check again without --no-listen");
}

static void test_text_symmetric_shows_two_that_differ(void **state)
{
    (void)state;
    judge_as(NAT_UDP, SIGNPOST_VERDICT_SYMMETRIC, NAT_IPV4);
    nat_stun(&evidence, NAT_IPV4, NAT_MAPPING_VARYING, 3);
    ipv4->stun.seen[1].port = NAT_PORT;
    assert_has(judge()->why, "it was seen as 203.0.113.7:50051 and as 203.0.113.7:50053");
    ipv4->stun.seen[2].port = NAT_PORT;
    assert_has_not(judge()->why, "it was seen");
}

static void test_text_double_nat_names_both_ends(void **state)
{
    (void)state;
    nat_outer(&evidence, GATEWAY_UPNP, "192.168.0.2");
    const struct finding *finding = NULL;
    nat_situation(NAT_TCP, SIGNPOST_VERDICT_REJECTED)->set(&evidence, NAT_IPV4);
    finding = judge();
    assert_int_equal(finding->verdict, SIGNPOST_VERDICT_DOUBLE_NAT);
    assert_has(finding->advice, "on the outer one to 192.168.0.2, and on the inner one at "
                                "192.168.1.1 to 192.168.1.20 port 50051");
    /* And what came of the port itself is told beneath. */
    assert_int_equal(verdict.also_count, 1);
    assert_int_equal(verdict.also[0].verdict, SIGNPOST_VERDICT_REJECTED);
}

/* --- texts from outside ---------------------------------------------------------------------- */

static void test_text_from_outside_is_made_harmless(void **state)
{
    (void)state;
    judge_as(NAT_TCP, SIGNPOST_VERDICT_FILTERED, NAT_IPV4);
    evidence.map[NAT_TCP] =
        (struct map_evidence){.asked = true, .detail = "\033]0;owned\007 \xc3\xa4\xff\n. . ."};
    (void)snprintf(ipv4->by[NAT_TCP].first.from, NAT_ADDRESS_SIZE, "\r1.2.3.4\n");
    assert_has(judge()->advice, "the router did not: ?]0;owned? ????.");
    assert_has(judge()->why, "(tried from ?1.2.3.4?, and");
}

static void test_words_are_cut_where_they_do_not_fit(void **state)
{
    char text[16], longest[NAT_DETAIL_SIZE];
    struct words words;

    (void)state;
    words_begin(&words, text, sizeof text);
    words_add(&words, "%s", "0123456789");
    words_add(&words, "%s", "abcdefghij");
    words_add(&words, "%s", "more");
    assert_string_equal(text, "0123456789abcde");
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    char room[NAT_DETAIL_SIZE];
    words_begin(&words, room, sizeof room);
    words_add_detail(&words, longest);
    assert_int_equal(strlen(room), WORDS_DETAIL_MAX);
    assert_string_equal(room + WORDS_DETAIL_MAX - 4, "x...");
    words_begin(&words, room, sizeof room);
    words_add_detail(&words, " . ");
    assert_string_equal(room, "");
}

static void test_words_of_a_time(void **state)
{
    static const struct {
        double ms;
        const char *text;
    } cases[] = {{0, "0 ms"}, {41.6, "42 ms"}, {999, "999 ms"}, {1000, "1.0 s"}, {5000.7, "5.0 s"},
        {-1, "a time not known"}, {1e300, "a time not known"}, {NAN, "a time not known"}};
    char text[32];
    struct words words;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        words_begin(&words, text, sizeof text);
        words_add_time(&words, cases[i].ms);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_text_has_the_addresses_and_the_port, start),
        cmocka_unit_test_setup(test_text_filtered_says_what_to_set_up, start),
        cmocka_unit_test_setup(test_text_without_a_nat_speaks_of_no_router, start),
        cmocka_unit_test_setup(test_text_ipv6_speaks_of_its_firewall, start),
        cmocka_unit_test_setup(test_text_container, start),
        cmocka_unit_test_setup(test_text_cloud, start),
        cmocka_unit_test_setup(test_text_router_can_be_asked, start),
        cmocka_unit_test_setup(test_text_open_says_who_can_connect, start),
        cmocka_unit_test_setup(test_text_of_a_program_that_holds_the_port, start),
        cmocka_unit_test_setup(test_text_symmetric_shows_two_that_differ, start),
        cmocka_unit_test_setup(test_text_double_nat_names_both_ends, start),
        cmocka_unit_test_setup(test_text_from_outside_is_made_harmless, start),
        cmocka_unit_test(test_words_are_cut_where_they_do_not_fit),
        cmocka_unit_test(test_words_of_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
