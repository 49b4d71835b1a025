#include "codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* An allocation that cannot be had must fail under the address sanitizer too, not abort. */
const char *__asan_default_options(void); /* NOLINT(bugprone-reserved-identifier,cert-*) */
const char *__asan_default_options(void)  /* NOLINT(bugprone-reserved-identifier,cert-*) */
{
    return "allocator_may_return_null=1";
}

/* Frees `written`. */
static void assert_written(char *written, const char *expected)
{
    assert_non_null(written);
    assert_string_equal(written, expected);
    assert_true(codec_is_object(written));
    free(written);
}

static void test_codec_register_bare_has_what_must_be(void **state)
{
    const signpost_config_t config = {0};

    (void)state;
    assert_written(codec_register(&config, "a", NULL), "{\"id\":\"a\",\"ttl\":30}");
}

static void test_codec_register_full_has_everything(void **state)
{
    const char *const endpoints[] = {"grpc://:50051", "udp://203.0.113.7:4000", NULL};
    const signpost_config_t config = {
        .network = "lab",
        .endpoints = endpoints,
        .meta = "{ \"role\":\t1.50 }",
        .reach = "{}",
        .ttl_s = 4000000000,
        .unlisted = true,
    };

    (void)state;
    assert_written(codec_register(&config, "master-a", "t0ken"),
        "{\"id\":\"master-a\",\"network\":\"lab\",\"endpoints\":[\"grpc://:50051\","
        "\"udp://203.0.113.7:4000\"],\"meta\":{ \"role\":\t1.50 },\"reach\":{},"
        "\"ttl\":4000000000,\"listed\":false,\"token\":\"t0ken\"}");
}

static void test_codec_heartbeat_has_what_is_given(void **state)
{
    const char *const none[] = {NULL}, *const one[] = {"x://y:1", NULL};

    (void)state;
    assert_written(codec_heartbeat(NULL, NULL, NULL), "{}");
    assert_written(codec_heartbeat(none, NULL, NULL), "{\"endpoints\":[]}");
    assert_written(codec_heartbeat(NULL, NULL, "{\"a\":[]}"), "{\"reach\":{\"a\":[]}}");
    assert_written(codec_heartbeat(one, "{ }", "{}"),
        "{\"endpoints\":[\"x://y:1\"],\"meta\":{ },\"reach\":{}}");
}

static void test_codec_message_body_is_embedded_as_it_is(void **state)
{
    static const char *const bodies[] = {"null", "-0.0", "[1 , 2]", "{\"a\\u0062\":\"\\/\"}",
        "123456789012345678901234567890", "\"\xF0\x9F\x98\x80\""};

    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        char *text = codec_message("m1", NULL, "offer", bodies[i], strlen(bodies[i]), 0);
        assert_non_null(text);
        const char *head = "{\"id\":\"m1\",\"type\":\"offer\",\"body\":";
        assert_memory_equal(text, head, strlen(head));
        assert_memory_equal(text + strlen(head), bodies[i], strlen(bodies[i]));
        assert_string_equal(text + strlen(head) + strlen(bodies[i]), "}");
        free(text);
    }
}

static void test_codec_message_optional_members_are_there_where_given(void **state)
{
    (void)state;
    assert_written(codec_message("m1", "s1", "offer", "{}XX", 2, 600),
        "{\"id\":\"m1\",\"session\":\"s1\",\"type\":\"offer\",\"body\":{},\"ttl\":600}");
    assert_written(
        codec_message("m1", "", "x", "7", 1, 0), "{\"id\":\"m1\",\"type\":\"x\",\"body\":7}");
}

static void test_codec_events_has_what_is_given(void **state)
{
    (void)state;
    assert_written(codec_events(NULL, NULL, 0, 0), "{\"wait\":0}");
    assert_written(codec_events("", "", 25, 0), "{\"wait\":25}");
    assert_written(codec_events("c.1", "n.2", 25, 200),
        "{\"since\":\"c.1\",\"after\":\"n.2\",\"wait\":25,\"limit\":200}");
}

static void test_codec_strings_are_escaped(void **state)
{
    const char *const endpoints[] = {"a\"b\\c\n\x1f\x7f/", "\xC3\xA4", "", NULL};

    (void)state;
    assert_written(codec_heartbeat(endpoints, NULL, NULL),
        "{\"endpoints\":[\"a\\u0022b\\u005cc\\u000a\\u001f\x7f/\",\"\xC3\xA4\",\"\"]}");
}

static void test_codec_long_text_loses_nothing(void **state)
{
    size_t size = 65536;
    char *body = malloc(size);

    (void)state;
    assert_non_null(body);
    memset(body, 'x', size);
    body[0] = body[size - 1] = '"';
    char *text = codec_message("m", NULL, "t", body, size, 9);
    assert_non_null(text);
    assert_int_equal(
        strlen(text), size + strlen("{\"id\":\"m\",\"type\":\"t\",\"body\":,\"ttl\":9}"));
    assert_memory_equal(strstr(text, "\"xx"), body, size);
    assert_string_equal(strrchr(text, ','), ",\"ttl\":9}");
    free(text);
    free(body);
}

static void test_codec_out_of_memory_is_null(void **state)
{
    volatile size_t sizes[] = {(size_t)1 << 60, SIZE_MAX - 1, SIZE_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++)
        assert_null(codec_message("m", NULL, "t", "never read", sizes[i], 9));
}

static void test_codec_is_object_tells(void **state)
{
    static const char *const objects[] = {"{}", " {\"a\":123456789012345678901234567890}\n"};
    static const char *const others[] = {"", "[]", "null", "7", "\"{}\"", "{", "{}{}", "{a:1}",
        "{\"a\":1,\"a\":2}", "{\"a\":1e999}"};

    (void)state;
    for (size_t i = 0; i < COUNT(objects); i++)
        assert_true(codec_is_object(objects[i]));
    for (size_t i = 0; i < COUNT(others); i++)
        assert_false(codec_is_object(others[i]));
    assert_false(codec_is_object(NULL));
}

static void test_codec_is_json_tells(void **state)
{
    static const struct {
        const char *text;
        size_t size;
        bool is_json;
    } cases[] = {
        {"null", 4, true},
        {"7 ", 2, true},
        {"\"x\"", 3, true},
        {"[1]XX", 3, true},
        {"{}", 2, true},
        {"{}", 1, false},
        {"", 0, false},
        {"nul", 3, false},
        {"7 8", 3, false},
        {"7\0", 2, false},
        {"7,\"ttl\":1", 9, false},
        {"'x'", 3, false},
        {"\"\xFF\"", 3, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (codec_is_json(cases[i].text, cases[i].size) != cases[i].is_json)
            fail_msg("case %zu: %s", i, cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_register_bare_has_what_must_be),
        cmocka_unit_test(test_codec_register_full_has_everything),
        cmocka_unit_test(test_codec_heartbeat_has_what_is_given),
        cmocka_unit_test(test_codec_message_body_is_embedded_as_it_is),
        cmocka_unit_test(test_codec_message_optional_members_are_there_where_given),
        cmocka_unit_test(test_codec_events_has_what_is_given),
        cmocka_unit_test(test_codec_strings_are_escaped),
        cmocka_unit_test(test_codec_long_text_loses_nothing),
        cmocka_unit_test(test_codec_out_of_memory_is_null),
        cmocka_unit_test(test_codec_is_object_tells),
        cmocka_unit_test(test_codec_is_json_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
