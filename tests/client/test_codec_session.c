#include "codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

/* It is written so, and read as what it was. */
static void assert_both_ways(const char *type, struct codec_signal signal, const char *expected)
{
    struct codec_signal read;
    char *written = codec_signal(type, &signal);

    assert_non_null(written);
    assert_string_equal(written, expected);
    assert_int_equal(codec_parse_signal(type, written, strlen(written), &read), 0);
    assert_string_equal(read.kind, signal.kind);
    assert_int_equal(read.gen, signal.gen);
    assert_int_equal(read.end, signal.end);
    assert_string_equal(read.payload, signal.payload);
    codec_free_signal(&read);
    free(written);
}

static void test_codec_knock_and_ready_go_both_ways(void **state)
{
    (void)state;
    assert_both_ways(
        "knock", (struct codec_signal){.kind = "webrtc", .payload = ""}, "{\"kind\":\"webrtc\"}");
    assert_both_ways("knock", (struct codec_signal){.kind = "direct", .payload = "dial"},
        "{\"kind\":\"direct\",\"want\":\"dial\"}");
    assert_both_ways(
        "ready", (struct codec_signal){.kind = "webrtc", .payload = ""}, "{\"kind\":\"webrtc\"}");
    assert_both_ways("ready", (struct codec_signal){.kind = "direct", .payload = SECRET "\n"},
        "{\"kind\":\"direct\",\"secret\":\"" SECRET "\"}");
    assert_both_ways("ready",
        (struct codec_signal){
            .kind = "direct", .payload = SECRET "\nsignpost://73.0.0.1:1\nsignpost://[::1]:2\n"},
        "{\"kind\":\"direct\",\"secret\":\"" SECRET
        "\",\"endpoints\":[\"signpost://73.0.0.1:1\",\"signpost://[::1]:2\"]}");
}

static void test_codec_descriptions_and_candidates_go_both_ways(void **state)
{
    (void)state;
    assert_both_ways("offer", (struct codec_signal){.gen = 1, .payload = "v=0"},
        "{\"type\":\"offer\",\"sdp\":\"v=0\",\"gen\":1}");
    assert_both_ways("answer", (struct codec_signal){.payload = "v=0"},
        "{\"type\":\"answer\",\"sdp\":\"v=0\",\"gen\":0}");
    assert_both_ways("candidates",
        (struct codec_signal){
            .gen = 2, .end = true, .payload = "{\"candidate\":\"a\"}\n{\"candidate\":\"b\"}\n"},
        "{\"gen\":2,\"candidates\":[{\"candidate\":\"a\"},{\"candidate\":\"b\"}],\"end\":true}");
    assert_both_ways("bye", (struct codec_signal){.payload = "busy"}, "{\"reason\":\"busy\"}");
}

/* --- what makes no sense --------------------------------------------------------------------- */

static int parse(const char *type, const char *body, size_t size)
{
    struct codec_signal signal = {.payload = NULL};
    int error = codec_parse_signal(type, body, size, &signal);

    if (error)
        assert_null(signal.payload); /* it was left alone */
    else
        codec_free_signal(&signal);
    return error;
}

static void assert_refused(const char *type, const char *const *bodies)
{
    for (size_t i = 0; bodies[i]; i++)
        if (parse(type, bodies[i], strlen(bodies[i])) != SIGNPOST_ERROR_PROTOCOL)
            fail_msg("%s was taken: %s", type, bodies[i]);
}

static void assert_taken(const char *type, const char *const *bodies)
{
    for (size_t i = 0; bodies[i]; i++)
        if (parse(type, bodies[i], strlen(bodies[i])) != 0)
            fail_msg("%s was refused: %s", type, bodies[i]);
}

static const char *const types[] = {"knock", "ready", "offer", "answer", "candidates", "bye"};

static void test_codec_what_is_no_object_is_refused(void **state)
{
    static const char *const bodies[] = {"", " ", "1", "null", "true", "\"kind\"", "[]",
        "[{\"kind\":\"webrtc\"}]", "{", "{}}", "{} {}", "{\"a\":1,\"a\":2}", "{\"a\":}",
        "{\"a\":\"\\u0000\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\\ud800\"}", "{\"a\":1e999}", NULL};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        assert_refused(types[i], bodies);
    assert_refused("knocks", (const char *const[]){"{\"kind\":\"webrtc\"}", NULL});
    assert_refused("", (const char *const[]){"{\"kind\":\"webrtc\"}", NULL});
}

static void test_codec_knock_with_a_wrong_member_is_refused(void **state)
{
    static const char *const wrong[] = {"{}", "{\"kind\":1}", "{\"kind\":null}", "{\"kind\":\"\"}",
        "{\"kind\":\"A\"}", "{\"kind\":\"a b\"}", "{\"kind\":\"a\\n\"}", "{\"kind\":\"\xc3\xa4\"}",
        "{\"kind\":\"abcdefghijklmnopqrstuvwxyz._-0123\"}", "{\"kind\":\"direct\"}",
        "{\"kind\":\"direct\",\"want\":1}", "{\"kind\":\"direct\",\"want\":\"\"}",
        "{\"kind\":\"direct\",\"want\":\"dials\"}", "{\"kind\":\"direct\",\"want\":\"Accept\"}",
        "{\"kind\":\"direct\",\"want\":[\"dial\"]}", NULL};
    static const char *const right[] = {"{\"kind\":\"a\"}",
        "{\"kind\":\"abcdefghijklmnopqrstuvwxyz._-012\"}", "{\"kind\":\"webrtc\",\"want\":\"tea\"}",
        "{\"more\":[],\"kind\":\"webrtc\"}", " {\"kind\":\"direct\" , \"want\":\"accept\"}\n",
        NULL};

    (void)state;
    assert_refused("knock", wrong);
    assert_taken("knock", right);
}

#define READY(more) "{\"kind\":\"direct\"," more "}"
#define GOOD "\"secret\":\"" SECRET "\""
#define E "\"s://1.2.3.4:5\""
#define E5 E "," E "," E "," E "," E

static void test_codec_ready_with_a_wrong_member_is_refused(void **state)
{
    static const char *const wrong[] = {"{\"kind\":\"direct\"}", "{" GOOD "}",
        READY("\"secret\":1"), READY("\"secret\":\"\""), READY("\"secret\":\"" SECRET "A\""),
        READY("\"secret\":\"" SECRET "=\""),
        READY("\"secret\":\"+"
              "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""),
        READY(GOOD ",\"endpoints\":[1]"), READY(GOOD ",\"endpoints\":[\"\"]"),
        READY(GOOD ",\"endpoints\":[null]"), READY(GOOD ",\"endpoints\":[\"s://1.2.3.4:5\\n\"]"),
        READY(GOOD ",\"endpoints\":\"s://1.2.3.4:5\""), READY(GOOD ",\"endpoints\":{}"),
        READY(GOOD ",\"endpoints\":[" E5 "," E5 "," E "]"), NULL};
    static const char *const right[] = {"{\"kind\":\"webrtc\"}",
        "{\"kind\":\"webrtc\",\"secret\":1,\"endpoints\":1}", READY(GOOD),
        READY(GOOD ",\"endpoints\":[]"), READY(GOOD ",\"endpoints\":[" E5 "," E5 "]"), NULL};

    (void)state;
    assert_refused("ready", wrong);
    assert_taken("ready", right);
}

static void test_codec_description_with_a_wrong_member_is_refused(void **state)
{
    static const char *const wrong[] = {"{}", "{\"type\":\"offer\"}", "{\"sdp\":\"v=0\"}",
        "{\"type\":\"answer\",\"sdp\":\"v=0\"}", "{\"type\":\"pranswer\",\"sdp\":\"v=0\"}",
        "{\"type\":1,\"sdp\":\"v=0\"}", "{\"type\":\"offer\",\"sdp\":1}",
        "{\"type\":\"offer\",\"sdp\":null}", "{\"type\":\"offer\",\"sdp\":\"v=0\",\"gen\":-1}",
        "{\"type\":\"offer\",\"sdp\":\"v=0\",\"gen\":1000001}",
        "{\"type\":\"offer\",\"sdp\":\"v=0\",\"gen\":4294967297}",
        "{\"type\":\"offer\",\"sdp\":\"v=0\",\"gen\":1e300}",
        "{\"type\":\"offer\",\"sdp\":\"v=0\",\"gen\":\"1\"}",
        "{\"type\":\"offer\",\"sdp\":\"v=0\",\"gen\":[]}", NULL};
    static const char *const right[] = {"{\"type\":\"offer\",\"sdp\":\"\"}",
        "{\"type\":\"offer\",\"sdp\":\"v=0\",\"gen\":1000000}",
        "{\"type\":\"offer\",\"sdp\":\"v=0\",\"gen\":1.0}", NULL};

    (void)state;
    assert_refused("offer", wrong);
    assert_taken("offer", right);
    assert_refused("answer", right);
}

static void test_codec_candidates_with_a_wrong_member_are_refused(void **state)
{
    static const char *const wrong[] = {"{\"candidates\":1}", "{\"candidates\":{}}",
        "{\"candidates\":[1]}", "{\"candidates\":[\"{}\"]}", "{\"candidates\":[[]]}",
        "{\"candidates\":[null]}", "{\"candidates\":[{},1]}", "{\"gen\":-1}",
        "{\"candidates\":[{}],\"gen\":true}", NULL};
    static const char *const right[] = {
        "{}", "{\"candidates\":[]}", "{\"candidates\":[{}]}", "{\"end\":true}", NULL};

    (void)state;
    assert_refused("candidates", wrong);
    assert_taken("candidates", right);
}

/* --- sizes ----------------------------------------------------------------------------------- */

/* `count` times `piece`, between the others. The caller frees it. */
static char *many(const char *head, const char *piece, size_t count, const char *tail)
{
    char *text = malloc(strlen(head) + strlen(piece) * count + strlen(tail) + 1), *at = text;

    assert_non_null(text);
    at = stpcpy(at, head);
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, piece);
    strcpy(at, tail);
    return text;
}

static int parse_many(
    const char *type, const char *head, const char *piece, size_t count, const char *tail)
{
    char *body = many(head, piece, count, tail);
    int error = parse(type, body, strlen(body));

    free(body);
    return error;
}

static void test_codec_sizes_have_an_end(void **state)
{
    (void)state;
    assert_int_equal(parse_many("candidates", "{\"candidates\":[", "{},", 255, "{}]}"), 0);
    assert_int_equal(
        parse_many("candidates", "{\"candidates\":[", "{},", 256, "{}]}"), SIGNPOST_ERROR_PROTOCOL);
    assert_int_equal(
        parse_many("offer", "{\"type\":\"offer\",\"sdp\":\"", "a=b\\r\\n", 8000, "\"}"), 0);
    /* However deep: neither is the stack of any use to who sends it. */
    assert_int_equal(parse_many("knock", "{\"kind\":", "[", 60000, "1"), SIGNPOST_ERROR_PROTOCOL);
    assert_int_equal(parse_many("candidates", "{\"candidates\":[", "{\"a\":", 12000, "1"),
        SIGNPOST_ERROR_PROTOCOL);
    char *open = many("", "[", 1000, ""), *closed = many("", "]", 1000, "");
    char *deep = many("{\"kind\":\"webrtc\",\"a\":", open, 1, closed);
    char *body = many(deep, "}", 1, "");
    assert_int_equal(parse("knock", body, strlen(body)), 0);
    free(open);
    free(closed);
    free(deep);
    free(body);
}

static void test_codec_size_is_that_of_the_body(void **state)
{
    static const char body[] = "{\"kind\":\"webrtc\"}\0{}", inside[] = "{\"kind\":\"web\0rtc\"}";

    (void)state;
    assert_int_equal(parse("knock", body, strlen(body)), 0);
    assert_int_equal(parse("knock", body, strlen(body) - 1), SIGNPOST_ERROR_PROTOCOL);
    assert_int_equal(parse("knock", body, sizeof body - 1), SIGNPOST_ERROR_PROTOCOL);
    assert_int_equal(parse("knock", inside, sizeof inside - 1), SIGNPOST_ERROR_PROTOCOL);
    assert_int_equal(parse("knock", body, 0), SIGNPOST_ERROR_PROTOCOL);
}

/* --- what a line is -------------------------------------------------------------------------- */

static void assert_payload(const char *type, const char *body, const char *expected)
{
    struct codec_signal signal;

    assert_int_equal(codec_parse_signal(type, body, strlen(body), &signal), 0);
    assert_string_equal(signal.payload, expected);
    codec_free_signal(&signal);
}

static void test_codec_candidate_is_one_line_whatever_is_in_it(void **state)
{
    (void)state;
    assert_payload("candidates",
        "{\"candidates\":[\n {\n  \"candidate\": \"a\\nb\\r\\n\\\"c\\\\\",\n \"x\": [ 1, {} ]\n "
        "},\n"
        " {\"\\n\": \"\\u000a\\u2028\"} ]}",
        "{\"candidate\":\"a\\nb\\r\\n\\\"c\\\\\",\"x\":[1,{}]}\n{\"\\n\":\"\\n\xe2\x80\xa8\"}\n");
    assert_both_ways("candidates",
        (struct codec_signal){.payload = "{\"candidate\":\"a\\n}\\n{\"}\n{\"b\":\"\\\"\"}\n"},
        "{\"gen\":0,\"candidates\":[{\"candidate\":\"a\\n}\\n{\"},{\"b\":\"\\\"\"}],\"end\":"
        "false}");
    assert_both_ways("candidates", (struct codec_signal){.payload = "", .end = true},
        "{\"gen\":0,\"candidates\":[],\"end\":true}");
    assert_both_ways("offer",
        (struct codec_signal){.payload = "v=0\r\ns=\"\\\t\xc3\xa4\r\n", .gen = 1000000},
        "{\"type\":\"offer\",\"sdp\":\"v=0\\r\\ns=\\\"\\\\\\t\xc3\xa4\\r\\n\",\"gen\":1000000}");
}

static void test_codec_object_becomes_one_line_or_nothing(void **state)
{
    char *line = codec_compact_object(" {\n \"a\" : \"\\n\" }\n");

    (void)state;
    assert_string_equal(line, "{\"a\":\"\\n\"}");
    free(line);
    assert_null(codec_compact_object("[1]"));
    assert_null(codec_compact_object("{\"a\":1,\"a\":1}"));
    assert_null(codec_compact_object("{} {}"));
    assert_null(codec_compact_object(""));
}

static void test_codec_reason_is_a_line_for_people(void **state)
{
    struct codec_signal signal;
    static const char control[] = "{\"reason\":\"a\\nb\\u001b[1m\"}";
    char *body = many("{\"reason\":\"", "\xc3\xa4", 300, "\"}");

    (void)state;
    assert_payload("bye", "{}", "");
    assert_payload("bye", "{\"reason\":7}", "");
    assert_payload("bye", "{\"reason\":\"busy\"}", "busy");
    assert_int_equal(codec_parse_signal("bye", control, strlen(control), &signal), 0);
    for (const char *at = signal.payload; *at; at++)
        assert_true((unsigned char)*at >= ' ' && *at != 0x7f);
    codec_free_signal(&signal);
    assert_int_equal(codec_parse_signal("bye", body, strlen(body), &signal), 0);
    assert_in_range(strlen(signal.payload), 1, 127);
    assert_int_equal(strspn(signal.payload, "\xc3\xa4."), strlen(signal.payload));
    codec_free_signal(&signal);
    free(body);
}

static void test_codec_payload_that_is_no_json_is_not_written(void **state)
{
    (void)state;
    assert_null(codec_signal("candidates", &(struct codec_signal){.payload = "{\n}\n"}));
    assert_null(codec_signal("offer", &(struct codec_signal){.payload = "\xff"}));
    assert_null(codec_signal("nothing", &(struct codec_signal){.kind = "a", .payload = ""}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_knock_and_ready_go_both_ways),
        cmocka_unit_test(test_codec_descriptions_and_candidates_go_both_ways),
        cmocka_unit_test(test_codec_what_is_no_object_is_refused),
        cmocka_unit_test(test_codec_knock_with_a_wrong_member_is_refused),
        cmocka_unit_test(test_codec_ready_with_a_wrong_member_is_refused),
        cmocka_unit_test(test_codec_description_with_a_wrong_member_is_refused),
        cmocka_unit_test(test_codec_candidates_with_a_wrong_member_are_refused),
        cmocka_unit_test(test_codec_sizes_have_an_end),
        cmocka_unit_test(test_codec_size_is_that_of_the_body),
        cmocka_unit_test(test_codec_candidate_is_one_line_whatever_is_in_it),
        cmocka_unit_test(test_codec_object_becomes_one_line_or_nothing),
        cmocka_unit_test(test_codec_reason_is_a_line_for_people),
        cmocka_unit_test(test_codec_payload_that_is_no_json_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
