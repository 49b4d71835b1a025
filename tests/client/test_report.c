/* The report as JSON. With SIGNPOST_REPORTS the reports of all situations are written into that
 * folder too, for tests/cli/test_report.py, which holds them against the schema. */
#include "nat/report.h"

#include "nat_fixture.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define REACH_MAX 1024

static struct evidence evidence;
static struct verdict verdict;
static struct family_evidence *const ipv4 = &evidence.families[NAT_IPV4];

static int start(void **state)
{
    (void)state;
    nat_home(&evidence);
    return 0;
}

static void judge(void)
{
    char detail[NAT_DETAIL_SIZE];

    assert_int_equal(verdict_reach(&evidence, &verdict, detail), 0);
}

static void set(enum nat_protocol protocol, enum signpost_verdict what, enum nat_family family)
{
    nat_situation(protocol, what)->set(&evidence, family);
}

/* New; NULL is a failure. Takes the text over. */
static json_t *parse(char *text)
{
    assert_non_null(text);
    assert_null(strchr(text, '\n'));
    json_t *json = json_loads(text, 0, NULL);
    if (!json)
        fail_msg("no JSON: %s", text);
    free(text);
    return json;
}

static json_t *report(void)
{
    judge();
    return parse(report_json(&evidence, &verdict, 0, NULL));
}

/* The member at "ipv4.tcp.open", borrowed; NULL: not there. */
static json_t *at(json_t *json, const char *path)
{
    char name[64];

    for (size_t length; *path && json; path += length + (path[length] == '.')) {
        length = strcspn(path, ".");
        (void)snprintf(name, sizeof name, "%.*s", (int)length, path);
        json = json_is_array(json) ? json_array_get(json, strtoul(name, NULL, 10))
                                   : json_object_get(json, name);
    }
    return json;
}

/* As compact JSON: "true", "\"timeout\"", "null". */
static void assert_at(json_t *json, const char *path, const char *expected)
{
    json_t *value = at(json, path);

    if (!value)
        fail_msg("%s is not there", path);
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
    if (strcmp(text, expected) != 0)
        fail_msg("%s is %s and not %s", path, text, expected);
    free(text);
}

static void assert_null_at(json_t *json, const char *const *paths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_at(json, paths[i], "null");
}

/* --- what is in it --------------------------------------------------------------------------- */

static void test_report_of_a_filtered_port(void **state)
{
    (void)state;
    set(NAT_TCP, SIGNPOST_VERDICT_FILTERED, NAT_IPV4);
    nat_outer(&evidence, GATEWAY_UPNP, NAT_OBSERVED);
    evidence.gateway.by[GATEWAY_PCP].present = NAT_NO;
    nat_hops(&evidence, NAT_ROUTER, "", "198.51.100.77");
    json_t *json = report();
    assert_at(json, "schema", "1");
    assert_at(json, "verdict.code", "12");
    assert_at(json, "verdict.name", "\"filtered\"");
    assert_at(json, "verdict.family", "\"ipv4\"");
    assert_at(json, "verdict.protocol", "\"tcp\"");
    assert_string_equal(json_string_value(at(json, "verdict.why")), verdict.first.why);
    assert_string_equal(json_string_value(at(json, "verdict.advice")), verdict.first.advice);
    assert_at(json, "also", "[]");
    assert_at(json, "error", "null");
    assert_at(json, "index", "\"https://index.example\"");
    assert_at(json, "port", "50051");
    assert_at(json, "no_listen", "false");
    assert_at(json, "took_s", "2.5");
    assert_at(json, "ipv4.public_address", "\"203.0.113.7\"");
    assert_at(json, "ipv4.local_address", "\"192.168.1.20\"");
    assert_at(json, "ipv4.gateway", "\"192.168.1.1\"");
    assert_at(json, "ipv4.nat", "true");
    assert_at(json, "ipv4.hops", "[\"192.168.1.1\",null,\"198.51.100.77\"]");
    assert_at(json, "ipv4.round_trip_ms", "{\"http\":21.3,\"stun\":null}");
    assert_at(json, "ipv4.seen_by",
        "[{\"who\":\"index\",\"address\":\"203.0.113.7\",\"port\":null,\"rtt_ms\":21.3},"
        "{\"who\":\"gateway (upnp)\",\"address\":\"203.0.113.7\",\"port\":null,\"rtt_ms\":null}]");
    assert_at(json, "ipv4.tcp.open", "false");
    assert_at(json, "ipv4.tcp.dials.0",
        "{\"try\":\"first\",\"result\":\"timeout\",\"target\":\"203.0.113.7:50051\","
        "\"port\":50051,\"from\":\"198.51.100.2\",\"contacted\":false,\"listened\":true,"
        "\"heard\":false,\"ms\":5000.7,\"detail\":null}");
    assert_at(json, "ipv4.tcp.dials.1.try", "\"again\"");
    assert_at(json, "ipv4.tcp.dials.1.contacted", "true");
    assert_at(json, "gateway.upnp",
        "{\"present\":true,\"has_wan_address\":true,"
        "\"wan_address\":\"203.0.113.7\",\"detail\":null}");
    assert_at(json, "gateway.pcp.present", "false");
    json_decref(json);
}

static void test_report_says_null_and_not_false_of_what_was_not_tested(void **state)
{
    static const char *const paths[] = {"ipv6", "gateway", "port_mapping", "ipv4.udp", "ipv4.nat",
        "ipv4.mapping", "ipv4.filtering", "ipv4.hops", "ipv4.stun", "ipv4.gateway",
        "ipv4.public_address", "ipv4.local_address", "ipv4.port_preserved.tcp",
        "ipv4.port_preserved.udp", "ipv4.round_trip_ms.http", "ipv4.round_trip_ms.stun",
        "ipv4.tcp.open", "ipv4.tcp.verified", "ipv4.tcp.reached_at", "ipv4.tcp.dials.0.heard",
        "ipv4.tcp.dials.0.contacted"};

    (void)state;
    memset(ipv4, 0, sizeof *ipv4);
    nat_ask(&evidence, NAT_IPV4, NAT_TCP);
    nat_dial(&evidence, NAT_IPV4, &ipv4->by[NAT_TCP].first, DIAL_LIMITED);
    json_t *json = parse(report_json(&evidence, NULL, SIGNPOST_ERROR_BUSY, "Wait 20 s."));
    assert_null_at(json, paths, COUNT(paths));
    assert_at(json, "verdict", "null");
    assert_at(json, "also", "[]");
    assert_at(json, "error", "{\"name\":\"BUSY\",\"detail\":\"Wait 20 s.\"}");
    assert_at(json, "ipv4.seen_by", "[]");
    json_decref(json);
    /* What STUN did not find out is not known either. */
    nat_stun(&evidence, NAT_IPV4, NAT_MAPPING_UNKNOWN, 0);
    json = parse(report_json(&evidence, NULL, SIGNPOST_ERROR_BUSY, NULL));
    assert_at(json, "ipv4.mapping", "null");
    assert_at(json, "ipv4.port_preserved.udp", "null");
    assert_at(json, "ipv4.stun", "{\"asked\":3,\"answered\":0,\"detail\":null}");
    assert_string_equal(
        json_string_value(at(json, "error.detail")), signpost_strerror(SIGNPOST_ERROR_BUSY));
    json_decref(json);
}

static void test_report_of_an_open_port(void **state)
{
    (void)state;
    set(NAT_TCP, SIGNPOST_VERDICT_OPEN, NAT_IPV4);
    json_t *json = report();
    assert_at(json, "ipv4.tcp.open", "true");
    assert_at(json, "ipv4.tcp.verified", "true");
    assert_at(json, "ipv4.tcp.reached_at", "\"203.0.113.7:50051\"");
    assert_at(json, "ipv4.tcp.dials.0.heard", "true");
    json_decref(json);
    struct dial *first = &ipv4->by[NAT_TCP].first;
    first->result = DIAL_CONNECTED;
    first->listened = false;
    first->target[0] = '\0';
    json = report();
    assert_at(json, "ipv4.tcp.open", "true");
    assert_at(json, "ipv4.tcp.verified", "false");
    assert_at(json, "ipv4.tcp.reached_at", "\"203.0.113.7:50051\"");
    assert_at(json, "ipv4.tcp.dials.0.heard", "null");
    json_decref(json);
}

static void test_report_of_another_port(void **state)
{
    (void)state;
    set(NAT_TCP, SIGNPOST_VERDICT_OTHER_PORT, NAT_IPV4);
    json_t *json = report();
    assert_at(json, "ipv4.tcp.open", "false");
    assert_at(json, "ipv4.tcp.verified", "null");
    assert_at(json, "ipv4.tcp.reached_at", "\"203.0.113.7:50777\"");
    assert_at(json, "ipv4.tcp.dials.2.try", "\"mapped\"");
    assert_at(json, "also.0.code", "12");
    assert_at(json, "port_mapping.tcp",
        "{\"made\":true,\"by\":\"upnp\",\"address\":\"203.0.113.7\",\"port\":50777,"
        "\"lifetime_s\":3600,\"detail\":null}");
    assert_at(json, "port_mapping.udp", "null");
    json_decref(json);
    evidence.map[NAT_TCP].made = false;
    json = report();
    assert_at(json, "port_mapping.tcp",
        "{\"made\":false,\"by\":null,\"address\":null,"
        "\"port\":null,\"lifetime_s\":null,\"detail\":null}");
    json_decref(json);
}

static void test_report_of_udp(void **state)
{
    (void)state;
    set(NAT_UDP, SIGNPOST_VERDICT_RESTRICTED, NAT_IPV4);
    ipv4->stun.filtering = NAT_FILTERING_ADDRESS;
    ipv4->tcp_port_preserved = NAT_NO;
    json_t *json = report();
    assert_at(json, "ipv4.mapping", "\"endpoint-independent\"");
    assert_at(json, "ipv4.filtering", "\"address-dependent\"");
    assert_at(json, "ipv4.port_preserved", "{\"tcp\":false,\"udp\":true}");
    assert_at(json, "ipv4.round_trip_ms.stun", "23.4");
    assert_at(json, "ipv4.seen_by.1",
        "{\"who\":\"198.51.100.1:3478\","
        "\"address\":\"203.0.113.7\",\"port\":50051,\"rtt_ms\":23.4}");
    assert_at(json, "ipv4.tcp", "null");
    assert_at(json, "ipv4.udp.open", "false");
    assert_at(json, "ipv4.udp.dials.0.try", "\"first\"");
    assert_at(json, "ipv4.udp.dials.1.try", "\"after_stun_other\"");
    assert_at(json, "ipv4.udp.dials.2.try", "\"after_stun\"");
    assert_at(json, "ipv4.udp.dials.2.heard", "true");
    json_decref(json);
    ipv4->by[NAT_UDP].first.heard = true;
    json = report();
    assert_at(json, "ipv4.udp.open", "true");
    assert_at(json, "ipv4.udp.verified", "true");
    json_decref(json);
}

static void test_report_of_a_family_that_was_not_reached(void **state)
{
    (void)state;
    set(NAT_TCP, SIGNPOST_VERDICT_FILTERED, NAT_IPV4);
    evidence.families[NAT_IPV6].asked = true;
    evidence.families[NAT_IPV6].error = SIGNPOST_ERROR_UNREACHABLE;
    json_t *json = report();
    assert_at(json, "ipv6.error",
        "{\"name\":\"UNREACHABLE\",\"detail\":\"the index cannot be reached\"}");
    assert_at(json, "ipv4.error", "null");
    json_decref(json);
}

static void test_report_hops_behind_the_target_are_none(void **state)
{
    (void)state;
    set(NAT_TCP, SIGNPOST_VERDICT_FILTERED, NAT_IPV4);
    nat_hops(&evidence, "", "", "");
    json_t *json = report();
    assert_at(json, "ipv4.hops", "[null,null,null]");
    json_decref(json);
    nat_hops(&evidence, "192.168.1.1", "", "");
    ipv4->hops.reached = true;
    json = report();
    assert_at(json, "ipv4.hops", "[\"192.168.1.1\"]");
    json_decref(json);
}

/* --- what does not belong in it -------------------------------------------------------------- */

static void test_report_texts_from_outside_are_made_harmless(void **state)
{
    (void)state;
    set(NAT_TCP, SIGNPOST_VERDICT_FILTERED, NAT_IPV4);
    nat_outer(&evidence, GATEWAY_UPNP, NAT_OBSERVED);
    memcpy(evidence.gateway.model, "\xff\033[2J\"}\\", 9);
    memcpy(ipv4->by[NAT_TCP].first.detail, "a\r\nb\xc3", 6);
    json_t *json = report();
    assert_string_equal(json_string_value(at(json, "gateway.model")), "??[2J\"}\\");
    assert_string_equal(json_string_value(at(json, "ipv4.tcp.dials.0.detail")), "a??b?");
    json_decref(json);
}

static void test_report_times_that_make_no_sense_are_null(void **state)
{
    static const double times[] = {-1, 1e9, INFINITY, -INFINITY, NAN};

    (void)state;
    set(NAT_TCP, SIGNPOST_VERDICT_FILTERED, NAT_IPV4);
    for (size_t i = 0; i < COUNT(times); i++) {
        evidence.took_s = times[i];
        json_t *json = report();
        assert_at(json, "took_s", "null");
        json_decref(json);
    }
    evidence.took_s = 1.23456;
    json_t *json = report();
    assert_at(json, "took_s", "1.235");
    json_decref(json);
}

/* --- the node's record ----------------------------------------------------------------------- */

static json_t *reach(void)
{
    judge();
    char *text = report_reach(&evidence, &verdict);
    assert_non_null(text);
    assert_in_range(strlen(text), 2, REACH_MAX);
    return parse(text);
}

static void test_reach_says_where_and_how(void **state)
{
    (void)state;
    set(NAT_TCP, SIGNPOST_VERDICT_OPEN, NAT_IPV4);
    set(NAT_TCP, SIGNPOST_VERDICT_FILTERED, NAT_IPV6);
    set(NAT_UDP, SIGNPOST_VERDICT_PUNCHABLE, NAT_IPV4);
    json_t *json = reach();
    assert_at(json, "port", "50051");
    assert_at(json, "tcp",
        "{\"ipv4\":{\"verdict\":\"open\",\"at\":\"203.0.113.7:50051\"},"
        "\"ipv6\":{\"verdict\":\"filtered\",\"at\":null}}");
    assert_at(json, "udp",
        "{\"ipv4\":{\"verdict\":\"punchable\",\"at\":null,"
        "\"mapping\":\"endpoint-independent\",\"filtering\":null}}");
    const char *when = json_string_value(at(json, "checked_at"));
    assert_non_null(when);
    assert_int_equal(strlen(when), strlen("2026-11-21T03:24:56Z"));
    assert_int_equal(when[10], 'T');
    assert_int_equal(when[19], 'Z');
    json_decref(json);
}

static void test_reach_says_nothing_of_what_is_not_proved(void **state)
{
    (void)state;
    set(NAT_TCP, SIGNPOST_VERDICT_INCONCLUSIVE, NAT_IPV4);
    json_t *json = reach();
    assert_int_equal(json_object_size(json), 0);
    json_decref(json);
    char *text = report_reach(&evidence, NULL);
    assert_string_equal(text, "{}");
    free(text);
    set(NAT_UDP, SIGNPOST_VERDICT_SYMMETRIC, NAT_IPV4);
    json = reach();
    assert_null(at(json, "tcp"));
    assert_at(json, "udp.ipv4.verdict", "\"symmetric\"");
    json_decref(json);
}

static void test_reach_takes_the_gravest_of_each(void **state)
{
    (void)state;
    set(NAT_TCP, SIGNPOST_VERDICT_OTHER_PORT, NAT_IPV4);
    set(NAT_UDP, SIGNPOST_VERDICT_RESTRICTED, NAT_IPV4);
    json_t *json = reach();
    assert_at(json, "tcp.ipv4.verdict", "\"other external port\"");
    assert_at(json, "tcp.ipv4.at", "\"203.0.113.7:50777\"");
    assert_at(json, "udp.ipv4.verdict", "\"restricted\"");
    json_decref(json);
}

/* --- memory ---------------------------------------------------------------------------------- */

static size_t allocations, failing; /* so many were made; the one with this number fails */

static void *allocate_all_but_one(size_t size)
{
    return allocations++ == failing ? NULL : malloc(size);
}

static char *write_one(int kind)
{
    allocations = 0;
    return kind == 0 ? report_json(&evidence, &verdict, 0, NULL)
                     : report_reach(&evidence, &verdict);
}

/* Each allocation of the JSON library fails in turn: NULL or the whole, and nothing is left over
 * (which the sanitizer watches). */
static void test_report_without_memory_is_null_or_whole(void **state)
{
    (void)state;
    set(NAT_TCP, SIGNPOST_VERDICT_OTHER_PORT, NAT_IPV4);
    set(NAT_UDP, SIGNPOST_VERDICT_RESTRICTED, NAT_IPV4);
    nat_outer(&evidence, GATEWAY_UPNP, NAT_OBSERVED);
    nat_hops(&evidence, NAT_ROUTER, "", "198.51.100.77");
    judge();
    json_set_alloc_funcs(allocate_all_but_one, free);
    for (int kind = 0; kind < 2; kind++) {
        size_t missing = 0;
        failing = SIZE_MAX;
        char *whole = write_one(kind);
        assert_non_null(whole);
        const size_t needed = allocations;
        for (failing = 0; failing < needed; failing++) {
            char *text = write_one(kind);
            if (text && strlen(text) != strlen(whole))
                fail_msg("allocation %zu: %s", failing, text);
            missing += !text;
            free(text);
        }
        assert_in_range(missing, 10, needed);
        free(whole);
    }
    json_set_alloc_funcs(malloc, free);
}

/* --- all of them ----------------------------------------------------------------------------- */

static void write_report(const char *folder, const char *name, const char *text)
{
    char path[512];

    (void)snprintf(path, sizeof path, "%s/%s.json", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void test_report_of_every_situation(void **state)
{
    const char *folder = getenv("SIGNPOST_REPORTS");
    char name[64];

    (void)state;
    for (size_t i = 0; i < nat_situation_count; i++)
        for (enum nat_family family = 0; family < NAT_FAMILIES; family++) {
            if (nat_situations[i].ipv4_only && family != NAT_IPV4)
                continue;
            nat_home(&evidence);
            nat_situations[i].set(&evidence, family);
            judge();
            char *text = report_json(&evidence, &verdict, 0, NULL);
            assert_non_null(text);
            (void)snprintf(name, sizeof name, "%s-%d", nat_situations[i].name, (int)family);
            if (folder)
                write_report(folder, name, text);
            json_decref(parse(text));
            json_decref(reach());
        }
    nat_home(&evidence);
    char *text = report_json(&evidence, NULL, SIGNPOST_ERROR_BUSY, "Wait 20 s.");
    if (folder)
        write_report(folder, "error", text);
    json_decref(parse(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_report_of_a_filtered_port, start),
        cmocka_unit_test_setup(test_report_says_null_and_not_false_of_what_was_not_tested, start),
        cmocka_unit_test_setup(test_report_of_an_open_port, start),
        cmocka_unit_test_setup(test_report_of_another_port, start),
        cmocka_unit_test_setup(test_report_of_udp, start),
        cmocka_unit_test_setup(test_report_of_a_family_that_was_not_reached, start),
        cmocka_unit_test_setup(test_report_hops_behind_the_target_are_none, start),
        cmocka_unit_test_setup(test_report_texts_from_outside_are_made_harmless, start),
        cmocka_unit_test_setup(test_report_times_that_make_no_sense_are_null, start),
        cmocka_unit_test_setup(test_reach_says_where_and_how, start),
        cmocka_unit_test_setup(test_reach_says_nothing_of_what_is_not_proved, start),
        cmocka_unit_test_setup(test_reach_takes_the_gravest_of_each, start),
        cmocka_unit_test_setup(test_report_without_memory_is_null_or_whole, start),
        cmocka_unit_test_setup(test_report_of_every_situation, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
