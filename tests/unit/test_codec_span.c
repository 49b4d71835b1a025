#include "codec_fixture.h"
#include "server_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- messages, whose bodies are kept as they are --------------------------------------------- */

static void test_codec_read_message_everything_is_taken(void **state)
{
    static const char body[] = "{\"type\": \"offer\", \"sdp\": \"v=0\\r\\n}\\\"\"}";
    struct json *json = codec_fixture_parse(codec_fixture_message);
    struct send_request request;
    struct fault fault;

    (void)state;
    assert_int_equal(codec_read_message(json, &request, &fault), 0);
    assert_null(request.to);
    assert_string_equal(request.id, "0a5e");
    assert_string_equal(request.session, "b7");
    assert_string_equal(request.type, "offer");
    assert_int_equal(request.ttl_s, 10);
    assert_int_equal(request.body_size, strlen(body));
    assert_memory_equal(request.body, body, strlen(body));
    assert_ptr_equal(request.body, strstr(codec_fixture_message, body));
    codec_free(json);
}

/* Whatever stands there comes out as it was, with members that look like it around it. */
static void test_codec_read_message_body_is_kept_byte_for_byte(void **state)
{
    static const char *const values[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "\"\"",
        "{}",
        "[]",
        "12345678901234567890",
        "-123456789012345678901234567890",
        "1E+2",
        "1.50",
        "1e-400",
        "0.0",
        "\"a\\\"b\"",
        "\"\\\\\"",
        "\"\\\\\\\"\"",
        "\"{[}],:\"",
        "\"\\u00e9\\ud83d\\ude80\"",
        "\"\xC3\xA9\"",
        "[ 1 ,\n\t2 ]",
        "{ \"body\" : \"inner\" }",
        "[{\"body\":1},{\"body\":2}]",
        "[[],[[]],{}]",
        "{\"\\\"}\":\"]\"}",
        "[\"\\\\\",\"]\"]",
    };
    static const struct {
        const char *head, *tail;
    } frames[] = {
        {"{\"id\":\"1\",\"type\":\"t\",\"body\":", "}"},
        {"{\"body\":", ",\"id\":\"1\",\"type\":\"t\"}"},
        {" { \"body\" \t:\r\n ", " \r\n, \"type\":\"t\" , \"id\" : \"1\" } \n"},
        {"{\"id\":\"1\",\"type\":\"t\",\"b\\u006fdy\":", "}"},
        {"{\"id\":\"1\",\"type\":\"t\",\"\\u0062\\u006F\\u0064\\u0079\" : ", "}"},
        {"{\"x\":\"\\\"body\\\":1\",\"id\":\"1\",\"type\":\"t\",\"body\":", ",\"bod\":1}"},
        {"{\"x\":{\"body\":1},\"y\":[{\"body\":2}],\"id\":\"1\",\"type\":\"t\",\"body\":", "}"},
        {"{\"body \":1,\"Body\":2,\"\\\\body\":3,\"bodybody\":4,\"\":5,\"id\":\"1\","
         "\"type\":\"t\",\"body\":",
            "}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(frames); i++) {
        for (size_t j = 0; j < COUNT(values); j++) {
            char *whole = codec_fixture_repeat(frames[i].head, values[j], 1, frames[i].tail);
            size_t size = strlen(whole);
            char *body = codec_fixture_copy(whole, size);
            struct json *json = NULL;
            union request request;
            struct fault fault = {0};
            if (codec_fixture_read(MESSAGE, body, size, &json, &request, &fault))
                fail_msg("%s: %s", fault.detail, whole);
            if (request.message.body_size != strlen(values[j]))
                fail_msg("%.*s in %s", (int)request.message.body_size, request.message.body, whole);
            assert_memory_equal(request.message.body, values[j], strlen(values[j]));
            assert_ptr_equal(request.message.body, body + strlen(frames[i].head));
            assert_string_equal(request.message.id, "1");
            assert_null(request.message.session);
            assert_int_equal(request.message.ttl_s, 0);
            codec_free(json);
            free(body);
            free(whole);
        }
    }
}

static void test_codec_read_message_bad_body_is_bad_json(void **state)
{
    static const char *const values[] = {"1e400", "-1e400", "tru", "\"\\ud800\"", "\"\\u0000\"",
        "{\"a\":1,\"a\":2}", "[1,]", "'x'", ""};

    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        char *body =
            codec_fixture_repeat("{\"id\":\"1\",\"type\":\"t\",\"body\":", values[i], 1, "}");
        assert_refused(MESSAGE, body, ERROR_BAD_JSON, "line 1, column ");
        free(body);
    }
}

static void test_codec_read_message_missing_or_wrong_member_is_named(void **state)
{
    static const struct {
        const char *body, *part;
    } cases[] = {
        {"{\"type\":\"t\",\"body\":1}", "`id` is missing: "},
        {"{\"id\":null,\"type\":\"t\",\"body\":1}", "`id` is missing: "},
        {"{\"id\":1,\"type\":\"t\",\"body\":1}", "`id` must be a string; it is a number"},
        {"{\"id\":\"1\",\"body\":1}", "`type` is missing: "},
        {"{\"id\":\"1\",\"type\":null,\"body\":1}", "`type` is missing: "},
        {"{\"id\":\"1\",\"type\":{},\"body\":1}", "`type` must be a string; it is an object"},
        {"{\"id\":\"1\",\"type\":\"t\"}", "`body` is missing: "},
        {"{\"id\":\"1\",\"type\":\"t\",\"Body\":1}", "`body` is missing: "},
        {"{\"id\":\"1\",\"type\":\"t\",\"body\":1,\"session\":2}", "`session` must be a string"},
        {"{\"id\":\"1\",\"type\":\"t\",\"body\":1,\"ttl\":\"9\"}", "`ttl` must be a number"},
        {"{\"id\":\"1\",\"type\":\"t\",\"body\":1,\"ttl\":0}", "from 1 to 600"},
        {"{\"id\":\"1\",\"type\":\"t\",\"body\":1,\"ttl\":-1}", "from 1 to 600"},
        {"{\"id\":\"1\",\"type\":\"t\",\"body\":1,\"ttl\":0.5}", "from 1 to 600"},
        {"{\"id\":\"1\",\"type\":\"t\",\"body\":1,\"ttl\":9.5}", "a whole number of seconds"},
        {"{\"id\":\"1\",\"type\":\"t\",\"body\":1,\"ttl\":601}", "from 1 to 600"},
        {"{\"id\":\"1\",\"type\":\"t\",\"body\":1,\"ttl\":1e300}", "from 1 to 600"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_refused(MESSAGE, cases[i].body, ERROR_BAD_REQUEST, cases[i].part);
}

static void test_codec_read_message_ttl_at_its_ends_is_taken(void **state)
{
    static const struct {
        const char *ttl;
        int ttl_s;
    } cases[] = {{"1", 1}, {"600", 600}, {"6e2", 600}, {"10.0", 10}, {"null", 0}};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *body = codec_fixture_repeat(
            "{\"id\":\"1\",\"type\":\"t\",\"body\":1,\"ttl\":", cases[i].ttl, 1, "}");
        struct json *json = codec_fixture_parse(body);
        struct send_request request;
        struct fault fault;
        assert_int_equal(codec_read_message(json, &request, &fault), 0);
        assert_int_equal(request.ttl_s, cases[i].ttl_s);
        codec_free(json);
        free(body);
    }
}

static void test_codec_read_message_body_is_capped_by_its_bytes(void **state)
{
    static const char head[] = "{\"id\":\"1\",\"type\":\"t\",\"body\":\"";
    char *most = codec_fixture_repeat(head, "x", LIMIT_MESSAGE_BYTES - 2, "\" }");
    char *more = codec_fixture_repeat(head, "x", LIMIT_MESSAGE_BYTES - 1, "\" }");
    struct json *json = codec_fixture_parse(most);
    struct send_request request;
    struct fault fault;

    (void)state;
    assert_int_equal(codec_read_message(json, &request, &fault), 0);
    assert_int_equal(request.body_size, LIMIT_MESSAGE_BYTES);
    codec_free(json);
    assert_refused(
        MESSAGE, more, ERROR_TOO_LARGE, "`body` is 65537 bytes; at most 65536 are taken");
    free(most);
    free(more);
}

/* --- caps on what is kept -------------------------------------------------------------------- */

static void test_codec_read_kept_object_is_capped_by_its_bytes(void **state)
{
    static const struct {
        const char *name;
        size_t limit;
        const char *detail;
    } cases[] = {
        {"meta", LIMIT_META_BYTES, "`meta` is 4097 bytes; at most 4096 are taken"},
        {"reach", LIMIT_REACH_BYTES, "`reach` is 1025 bytes; at most 1024 are taken"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char head[32];
        snprintf(head, sizeof head, "{\"%s\": {", cases[i].name);
        char *most = codec_fixture_repeat(head, " ", cases[i].limit - 2, "}   }");
        char *more = codec_fixture_repeat(head, " ", cases[i].limit - 1, "}   }");
        struct json *json = codec_fixture_parse(most);
        struct heartbeat_request request;
        struct fault fault;
        assert_int_equal(codec_read_heartbeat(json, &request, &fault), 0);
        assert_int_equal(strlen(i == 0 ? request.meta : request.reach), cases[i].limit);
        codec_free(json);
        assert_refused(REGISTER, more, ERROR_TOO_LARGE, cases[i].detail);
        assert_refused(HEARTBEAT, more, ERROR_TOO_LARGE, cases[i].detail);
        free(most);
        free(more);
    }
}

/* What one stranger stores, all others must be able to parse, inside the reply that has it. */
static void test_codec_read_kept_too_deep_is_refused(void **state)
{
    static const struct {
        enum reader reader;
        const char *head;
        size_t own; /* levels that the head opens inside the member */
        const char *tail;
    } cases[] = {
        {REGISTER, "{\"meta\":{\"a\":", 1, "}}"},
        {HEARTBEAT, "{\"reach\":{\"a\":", 1, "}}"},
        {MESSAGE, "{\"id\":\"1\",\"type\":\"offer\",\"body\":", 0, "}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t excess = 0; excess < 2; excess++) {
            size_t levels = LIMIT_KEPT_DEPTH - cases[i].own + excess;
            char *open = codec_fixture_repeat(cases[i].head, "[", levels, "\"[{\"");
            char *closed = codec_fixture_repeat(open, "]", levels, cases[i].tail);
            union request request;
            struct fault fault = {0};
            struct json *json = NULL;
            if (excess) {
                assert_refused(cases[i].reader, closed, ERROR_BAD_REQUEST,
                    "is nested 101 levels deep; at most 100 are taken");
            } else {
                assert_int_equal(codec_fixture_read(cases[i].reader, closed, strlen(closed), &json,
                                     &request, &fault),
                    0);
                codec_free(json);
            }
            free(open);
            free(closed);
        }
    }
}

/* --- filters --------------------------------------------------------------------------------- */

static void test_codec_meta_matches_compares_the_top_level(void **state)
{
    static const char meta[] =
        " { \"role\" : \"master\", \"n\":1.50 ,\"big\":12345678901234567890,\"yes\":true,"
        "\"no\":false,\"nil\":null,\"\":\"empty\",\"text\":\"a\\\"b\\u00e9\\\\\",\"list\":[1],"
        "\"map\":{\"role\":\"inner\",\"deep\":\"x\"},\"esc\\u0061pe\":\"k\",\"blank\":\"\" } ";
    static const struct {
        const char *key, *value;
        bool expected;
    } cases[] = {
        {"role", "master", true},
        {"role", "\"master\"", false},
        {"role", "maste", false},
        {"role", "master ", false},
        {"role", "inner", false},
        {"Role", "master", false},
        {"deep", "x", false},
        {"absent", "", false},
        {"n", "1.50", true},
        {"n", "1.5", false},
        {"big", "12345678901234567890", true},
        {"yes", "true", true},
        {"yes", "tru", false},
        {"no", "false", true},
        {"nil", "null", true},
        {"nil", "", false},
        {"", "empty", true},
        {"text", "a\"b\xC3\xA9\\", true},
        {"text", "a\\\"b\\u00e9\\\\", false},
        {"list", "[1]", false},
        {"map", "{\"role\":\"inner\",\"deep\":\"x\"}", false},
        {"escape", "k", true},
        {"blank", "", true},
        {"blank", "x", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct meta_filter filter = {cases[i].key, cases[i].value};
        if (codec_meta_matches(meta, &filter, 1) != cases[i].expected)
            fail_msg("%s=%s", cases[i].key, cases[i].value);
    }
}

static void test_codec_meta_matches_needs_every_filter(void **state)
{
    static const struct meta_filter filters[] = {{"a", "1"}, {"b", "2"}, {"a", "x"}};

    (void)state;
    assert_true(codec_meta_matches("{}", NULL, 0));
    assert_true(codec_meta_matches("{\"a\":1,\"b\":\"2\"}", filters, 2));
    assert_false(codec_meta_matches("{\"a\":1,\"b\":\"2\"}", filters, 3));
    assert_false(codec_meta_matches("{\"a\":1}", filters, 2));
    assert_false(codec_meta_matches("{\"b\":2}", filters, 2));
    assert_false(codec_meta_matches("{}", filters, 1));
}

/* Not from a body that was checked, but whatever a store may hold: no match, and no byte past it.
 */
static void test_codec_meta_matches_nonsense_is_no_match(void **state)
{
    static const char *const metas[] = {"", " ", "{", "{\"", "{\"a", "{\"a\\", "{\"a\"",
        "{\"a\":", "{\"a\":\"", "{\"a\":\"1", "{\"a\":\"1\\", "{\"a\":[", "{\"a\":{\"", "[\"a\",1]",
        "a", "{a:1}", "{\"b\":1 \"a\":1}", "{\"b\":[[[1,\"a\":1}"};
    static const struct meta_filter filter = {"a", "1"};

    (void)state;
    for (size_t i = 0; i < COUNT(metas); i++) {
        char *meta = codec_fixture_copy(metas[i], strlen(metas[i]) + 1);
        assert_false(codec_meta_matches(meta, &filter, 1));
        free(meta);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_read_message_everything_is_taken),
        cmocka_unit_test(test_codec_read_message_body_is_kept_byte_for_byte),
        cmocka_unit_test(test_codec_read_message_bad_body_is_bad_json),
        cmocka_unit_test(test_codec_read_message_missing_or_wrong_member_is_named),
        cmocka_unit_test(test_codec_read_message_ttl_at_its_ends_is_taken),
        cmocka_unit_test(test_codec_read_message_body_is_capped_by_its_bytes),
        cmocka_unit_test(test_codec_read_kept_object_is_capped_by_its_bytes),
        cmocka_unit_test(test_codec_read_kept_too_deep_is_refused),
        cmocka_unit_test(test_codec_meta_matches_compares_the_top_level),
        cmocka_unit_test(test_codec_meta_matches_needs_every_filter),
        cmocka_unit_test(test_codec_meta_matches_nonsense_is_no_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
