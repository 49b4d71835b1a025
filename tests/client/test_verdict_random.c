/* Evidence by chance, however little it makes sense: what is promised of a verdict and its telling
 * holds all the same. */
#include "nat/report.h"
#include "nat/verdict.h"

#include "nat_fixture.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define ROUNDS 2000
#define REACH_MAX 1024

static struct evidence evidence;
static struct verdict verdict;
static uint64_t seed;

/* xorshift64: the same everywhere. */
static unsigned pick(unsigned below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 32) % below);
}

static bool chance(void)
{
    return pick(2) == 1;
}

/* --- by chance ------------------------------------------------------------------------------- */

/* Any bytes up to the longest that fits, a full stop at the end of some. */
static void fill_text(char *text, size_t size)
{
    size_t length = pick(4) == 0 ? size - 1 : pick((unsigned)size);

    for (size_t i = 0; i < length; i++)
        text[i] = (char)(pick(20) == 0 ? 1 + pick(255) : 'a' + pick(26));
    if (length > 0 && chance())
        text[length - 1] = '.';
    text[length] = '\0';
}

static void fill_address(char text[NAT_ADDRESS_SIZE])
{
    static const char *const addresses[] = {"", "", NAT_LOCAL, NAT_LOCAL, NAT_OBSERVED,
        NAT_OBSERVED, NAT_ROUTER, NAT_FROM, NAT_CONTACTED, "100.64.0.1", "100.72.3.4",
        "192.168.0.2", "10.0.0.1", "172.17.0.2", "0.0.0.0", "192.0.0.2", NAT_LOCAL6,
        "2001:db8:ffff:ffff:ffff:ffff:255.255.255.255", "fe80::1", "::ffff:203.0.113.7"};

    if (pick(10) == 0) {
        fill_text(text, NAT_ADDRESS_SIZE);
        return;
    }
    memset(text, 0, NAT_ADDRESS_SIZE);
    (void)snprintf(text, NAT_ADDRESS_SIZE, "%s", addresses[pick(COUNT(addresses))]);
}

static void fill_dial(struct dial *dial)
{
    if (pick(3) == 0)
        return;
    *dial = (struct dial){.result = (enum dial_result)pick(DIAL_FAILED + 1),
        .listened = chance(),
        .heard = chance(),
        .contacted = chance(),
        .port = (uint16_t)pick(65536),
        .ms = pick(4) == 0 ? 1e300 : pick(10000) / 3.0};
    fill_address(dial->from);
    if (chance())
        fill_text(dial->target, sizeof dial->target);
    if (chance())
        fill_text(dial->detail, sizeof dial->detail);
}

static void fill_stun(struct udp_behaviour *stun)
{
    stun->mapping = (enum nat_mapping)pick(NAT_MAPPING_VARYING + 1);
    stun->filtering = (enum nat_filtering)pick(NAT_FILTERING_ADDRESS_AND_PORT + 1);
    stun->port_preserved = (enum nat_answer)pick(3);
    stun->asked = pick(UDP_SERVERS_MAX + 1);
    stun->seen_count = pick(UDP_SERVERS_MAX + 1);
    for (size_t i = 0; i < stun->seen_count; i++) {
        fill_text(stun->seen[i].server, sizeof stun->seen[i].server);
        fill_address(stun->seen[i].address);
        stun->seen[i].port = (uint16_t)pick(65536);
        stun->seen[i].rtt_us = pick(3) * 4000000000U;
    }
    fill_text(stun->detail, sizeof stun->detail);
}

static void fill_family(struct family_evidence *family)
{
    family->asked = pick(5) > 0;
    family->error = pick(5) == 0 ? -1 - (int)pick(25) : 0;
    family->tcp_port_preserved = (enum nat_answer)pick(3);
    family->http_rtt_us = pick(100000);
    fill_text(family->detail, sizeof family->detail);
    fill_address(family->local);
    fill_address(family->observed);
    fill_address(family->gateway);
    family->has_hops = chance();
    family->hops.reached = chance();
    for (size_t i = 0; i < HOPS_MAX; i++)
        fill_address(family->hops.address[i]);
    family->has_stun = chance();
    fill_stun(&family->stun);
    for (size_t i = 0; i < NAT_PROTOCOLS; i++) {
        struct protocol_evidence *of = &family->by[i];
        struct dial *const dials[] = {
            &of->first, &of->again, &of->listening, &of->other_in, &of->contacted_in, &of->mapped};
        of->asked = pick(4) > 0;
        of->held = pick(4) == 0;
        for (size_t k = 0; k < COUNT(dials); k++)
            fill_dial(dials[k]);
    }
}

static void fill_evidence(void)
{
    memset(&evidence, 0, sizeof evidence);
    evidence.index = "https://index.example";
    evidence.port = (uint16_t)(1 + pick(65535));
    evidence.no_listen = pick(3) == 0;
    evidence.has_gateway = chance();
    evidence.took_s = pick(100) / 7.0;
    fill_address(evidence.gateway.address);
    fill_address(evidence.gateway.local);
    fill_text(evidence.gateway.model, sizeof evidence.gateway.model);
    for (size_t i = 0; i < GATEWAY_PROTOCOLS; i++) {
        struct gateway_claim *claim = &evidence.gateway.by[i];
        claim->present = (enum nat_answer)pick(3);
        claim->has_wan = (enum nat_answer)pick(3);
        fill_address(claim->wan);
        fill_text(claim->detail, sizeof claim->detail);
    }
    for (size_t i = 0; i < NAT_PROTOCOLS; i++) {
        struct map_evidence *map = &evidence.map[i];
        map->asked = pick(3) == 0;
        map->made = map->asked && chance();
        map->by = (enum gateway_protocol)pick(GATEWAY_PROTOCOLS);
        map->port = (uint16_t)pick(65536);
        map->lifetime_s = pick(2) * 4294967295U;
        fill_address(map->address);
        fill_text(map->detail, sizeof map->detail);
    }
    for (size_t i = 0; i < NAT_FAMILIES; i++)
        fill_family(&evidence.families[i]);
}

/* --- what is promised ------------------------------------------------------------------------ */

static void assert_printable(const char *text, size_t size)
{
    size_t length = strnlen(text, size);

    assert_in_range(length, 1, size - 1);
    for (size_t i = 0; i < length; i++)
        if (text[i] < ' ' || text[i] > '~')
            fail_msg("the byte %d is in: %s", text[i], text);
}

/* Written down once more, in other words than the code under test. */
static bool is_reached(const struct dial *dial)
{
    return dial->result == DIAL_OPEN || (dial->result == DIAL_CONNECTED && !dial->listened) ||
           (dial->result == DIAL_SENT && dial->listened && dial->heard);
}

static bool says_nothing(const struct dial *dial)
{
    switch (dial->result) {
    case DIAL_NONE:
    case DIAL_FORBIDDEN:
    case DIAL_LIMITED:
    case DIAL_FAILED: return true;
    case DIAL_SENT: return !dial->listened;
    default: return false;
    }
}

static bool is_anything_open(void)
{
    for (size_t i = 0; i < NAT_FAMILIES; i++)
        for (size_t k = 0; k < NAT_PROTOCOLS; k++) {
            const struct family_evidence *family = &evidence.families[i];
            const struct protocol_evidence *of = &family->by[k];
            bool open =
                is_reached(&of->first) || (says_nothing(&of->first) && is_reached(&of->again));
            if (family->asked && !family->error && of->asked && open)
                return true;
        }
    return false;
}

static void check_finding(const struct finding *finding)
{
    const struct family_evidence *family = &evidence.families[finding->family];

    assert_printable(finding->why, sizeof finding->why);
    assert_printable(finding->advice, sizeof finding->advice);
    /* A sentence that was cut short has no full stop. */
    if (finding->why[strlen(finding->why) - 1] != '.' ||
        finding->advice[strlen(finding->advice) - 1] != '.')
        fail_msg("does not fit: %s %s", finding->why, finding->advice);
    assert_true(family->asked && !family->error && family->by[finding->protocol].asked);
}

static void check_verdict(void)
{
    assert_in_range(verdict.also_count, 0, VERDICT_ALSO_MAX);
    assert_int_equal(verdict.first.verdict == SIGNPOST_VERDICT_OPEN, is_anything_open());
    check_finding(&verdict.first);
    for (size_t i = 0; i < verdict.also_count; i++) {
        check_finding(&verdict.also[i]);
        for (size_t k = 0; k < i; k++)
            if (verdict.also[i].verdict == verdict.also[k].verdict &&
                verdict.also[i].family == verdict.also[k].family &&
                verdict.also[i].protocol == verdict.also[k].protocol)
                fail_msg("told twice: %s", verdict.also[i].why);
    }
}

static void check_json(char *text, size_t most)
{
    assert_non_null(text);
    assert_in_range(strlen(text), 2, most);
    json_t *json = json_loads(text, 0, NULL);
    if (!json)
        fail_msg("no JSON: %s", text);
    json_decref(json);
    free(text);
}

static void check_lines(void)
{
    char line[REPORT_LINE_SIZE];

    report_gateway_line(&evidence, line);
    assert_printable(line, sizeof line);
    for (enum nat_protocol protocol = 0; protocol < NAT_PROTOCOLS; protocol++) {
        report_map_line(&evidence, protocol, line);
        assert_printable(line, sizeof line);
    }
    for (enum nat_family family = 0; family < NAT_FAMILIES; family++) {
        const struct protocol_evidence *tcp = &evidence.families[family].by[NAT_TCP];
        report_index_line(&evidence, family, line);
        assert_printable(line, sizeof line);
        report_stun_line(&evidence, family, line);
        assert_printable(line, sizeof line);
        report_hops_line(&evidence, family, line);
        assert_printable(line, sizeof line);
        report_dial_line(&evidence, family, NAT_TCP, &tcp->first, line);
        assert_printable(line, sizeof line);
        report_dial_line(&evidence, family, NAT_TCP, &tcp->listening, line);
        assert_printable(line, sizeof line);
    }
}

static void test_random_evidence_keeps_all_promises(void **state)
{
    size_t verdicts = 0;

    (void)state;
    seed = 0x5167616e706f7374U;
    for (size_t i = 0; i < ROUNDS; i++) {
        char detail[NAT_DETAIL_SIZE];

        fill_evidence();
        int error = verdict_reach(&evidence, &verdict, detail);
        if (error) {
            assert_true(error < 0);
            assert_printable(detail, sizeof detail);
            assert_false(is_anything_open());
            check_json(report_json(&evidence, NULL, error, detail), SIZE_MAX);
        } else {
            check_verdict();
            check_json(report_json(&evidence, &verdict, 0, NULL), SIZE_MAX);
            check_json(report_reach(&evidence, &verdict), REACH_MAX);
            verdicts++;
        }
        check_lines();
    }
    assert_in_range(verdicts, ROUNDS / 2, ROUNDS - 1); /* both have been seen, and often */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_evidence_keeps_all_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
