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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_knock_and_ready_go_both_ways),
        cmocka_unit_test(test_codec_descriptions_and_candidates_go_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
