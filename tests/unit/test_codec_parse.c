#include "codec_fixture.h"
#include "codec_internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void test_codec_parse_bad_syntax_is_refused(void **state)
{
    static const struct {
        const char *body, *part;
    } cases[] = {
        {"", "the body is empty; send a JSON object such as {}"},
        {" \n\t", "line 2, column"},
        {"{", "line 1, column 1: "},
        {"}", "line 1, column 1: "},
        {"{\"id\"", "line 1, column 5: ':' expected"},
        {"{\"id\":", "line 1, column 6: "},
        {"{\"id\":\"a\"", "'}' expected near end of file"},
        {"{\"id\":\"a", "premature end of input"},
        {"{\"id\":\"a\",}", "line 1, column 11"},
        {"{'id':\"a\"}", "line 1, column 2"},
        {"{id:1}", "line 1, column "},
        {"{\n \"id\": tru\n}", "line 2, column 10: "},
        {"{\"id\":\"a\"} x", "end of file expected near 'x'"},
        {"{}{}", "end of file expected"},
        {"{} ,", "end of file expected"},
        {"{\"a\":01}", "line 1, column "},
        {"{\"a\":+1}", "line 1, column "},
        {"{\"a\":.5}", "line 1, column "},
        {"{\"a\":1.}", "line 1, column "},
        {"{\"a\":NaN}", "line 1, column "},
        {"{\"a\":1e400}", "real number overflow near '1e400'"},
        {"{\"a\":\"\x01\"}", "control character"},
        {"{\"a\":\"tab\there\"}", "control character"},
        {"{\"a\":\"\\x\"}", "invalid escape"},
        {"{\"a\":\"\\u12\"}", "invalid escape"},
        {"{\"a\":\"\\ud800\"}", "invalid Unicode"},
        {"{\"a\":\"\\u0000\"}", "u0000) is not taken"},
        {"{\"a\\u0000b\":1}", "NUL byte in object key"},
        {"/* hello */{}", "line 1, column 1: "},
        {"\xEF\xBB\xBF{}", "line 1, column "},
        {"{\"a\":1,\"a\":1}", "duplicate object key near '\"a\"'"},
        {"{\"a\":1,\"\\u0061\":1}", "duplicate object key"},
        {"{\"a\":{\"b\":1,\"b\":2}}", "duplicate object key"},
        {"[]", "the body is an array; send a JSON object"},
        {"\"x\"", "the body is a string; send a JSON object"},
        {"7", "the body is a number; send a JSON object"},
        {"true", "the body is true; send a JSON object"},
        {"null", "the body is null; send a JSON object"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_refused(REGISTER, cases[i].body, ERROR_BAD_JSON, cases[i].part);
}

static void test_codec_parse_bad_utf8_is_refused_and_not_quoted(void **state)
{
    static const char *const bodies[] = {
        "{\"a\":\"\xFF\"}",
        "{\"a\":\"\xC3\"}",
        "{\"a\":\"\xC0\xAF\"}",
        "{\"a\":\"\xED\xA0\x80\"}",
        "{\"a\":\"\xF4\x90\x80\x80\"}",
        "{\"\x80\":1}",
        "{\"a\":\xFF}",
        "{\"a\":\xC3\xA9}",
        "{\"a\":\x7F}",
        "{\"a\":\x1B[31m}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct json *json = NULL;
        struct fault fault = {0};
        assert_int_equal(codec_parse(bodies[i], strlen(bodies[i]), &json, &fault), ERROR_BAD_JSON);
        assert_null(json);
        assert_non_null(strstr(fault.detail, "line 1, column "));
        for (const char *at = fault.detail; *at; at++)
            assert_in_range(*at, ' ', '~');
    }
}

static void test_codec_parse_nul_bytes_are_refused(void **state)
{
    (void)state;
    assert_refused_bytes(REGISTER, "\0", 1, ERROR_BAD_JSON, "has a NUL byte");
    assert_refused_bytes(REGISTER, "{}\0", 3, ERROR_BAD_JSON, "has a NUL byte");
    assert_refused_bytes(REGISTER, "{\0}", 3, ERROR_BAD_JSON, "has a NUL byte");
    /* jansson passes over it behind a number. */
    assert_refused_bytes(
        REGISTER, "{\"meta\":{\"x\":[7\0]}}", 18, ERROR_BAD_JSON, "has a NUL byte");
    assert_refused_bytes(REGISTER, "{\"i\0d\":1}", 9, ERROR_BAD_JSON, "has a NUL byte");
    assert_refused_bytes(REGISTER, "{\"id\":\"a\0b\"}", 12, ERROR_BAD_JSON, "has a NUL byte");
}

static void test_codec_parse_too_deep_is_refused(void **state)
{
    static const char *const brackets[][2] = {{"[", "{\"a\":"}, {"]", "}"}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *open = codec_fixture_repeat("{\"body\":", brackets[0][i], 5000, "1");
        char *whole = codec_fixture_repeat(open, brackets[1][i], 5000, "}");
        assert_refused(MESSAGE, open, ERROR_BAD_JSON, "maximum parsing depth reached");
        assert_refused(MESSAGE, whole, ERROR_BAD_JSON, "maximum parsing depth reached");
        free(open);
        free(whole);
    }
}

static void test_codec_read_truncated_is_bad_json(void **state)
{
    static const struct {
        enum reader reader;
        const char *body;
    } cases[] = {{REGISTER, codec_fixture_register}, {HEARTBEAT, codec_fixture_heartbeat},
        {MESSAGE, codec_fixture_message}, {EVENTS, codec_fixture_events}};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t size = 0; size < strlen(cases[i].body); size++)
            assert_refused_bytes(cases[i].reader, cases[i].body, size, ERROR_BAD_JSON, "");
}

/* Every byte changed to each of some that mean something in JSON: any answer will do, as long as
 * it is one of those there are and strings that come out end within memory. */
static void test_codec_read_damaged_is_answered(void **state)
{
    static const char *const bodies[] = {codec_fixture_register, codec_fixture_heartbeat,
        codec_fixture_message, codec_fixture_events};
    static const char damage[] = "\"\\{}[],: 0x\xFF";
    size_t refused = 0, taken = 0;

    (void)state;
    for (size_t reader = 0; reader < COUNT(bodies); reader++) {
        size_t size = strlen(bodies[reader]);
        char *body = codec_fixture_copy(bodies[reader], size);
        for (size_t at = 0; at < size; at++) {
            for (size_t i = 0; i < sizeof damage; i++) {
                union request request = {0};
                struct fault fault = {0};
                struct json *json = NULL;
                body[at] = damage[i];
                int error =
                    codec_fixture_read((enum reader)reader, body, size, &json, &request, &fault);
                if (error) {
                    refused++;
                    assert_true(error == ERROR_BAD_JSON || error == ERROR_BAD_REQUEST ||
                                error == ERROR_BAD_CURSOR);
                    assert_true(strlen(fault.detail) > 0);
                } else {
                    taken++;
                    assert_non_null(json);
                }
                codec_free(json);
            }
            body[at] = bodies[reader][at];
        }
        free(body);
    }
    assert_true(refused > 1000);
    assert_true(taken > 100);
}

/* --- jansson's allocations fail, one after the other ----------------------------------------- */

static size_t allocations_before, allocations_that_fail;

static void *allocate_some(size_t size)
{
    if (allocations_before > 0)
        allocations_before--;
    else if (allocations_that_fail > 0) {
        allocations_that_fail--;
        return NULL;
    }
    return malloc(size);
}

static int use_all_memory(void **state)
{
    (void)state;
    json_set_alloc_funcs(malloc, free);
    return 0;
}

/* jansson takes some of these failures for a string that it cannot read, and leaves characters out
 * of others; the answer is the right one, and nothing is left behind. */
static void assert_refused_at_each(size_t failing)
{
    size_t failures = 0;
    int error;

    json_set_alloc_funcs(allocate_some, free);
    do {
        struct json *json = NULL;
        struct fault fault = {0};
        allocations_before = failures;
        allocations_that_fail = failing;
        error = codec_parse(codec_fixture_register, strlen(codec_fixture_register), &json, &fault);
        if (error) {
            assert_null(json);
            assert_int_equal(fault.error, error);
            assert_int_equal(error, ERROR_NO_MEMORY);
            failures++;
        }
        codec_free(json);
        assert_true(error || allocations_that_fail == failing); /* none failed unseen */
    } while (error && failures < 1000);
    assert_in_range(failures, 20, 999);
}

static void test_codec_parse_out_of_memory_is_refused(void **state)
{
    (void)state;
    assert_refused_at_each(SIZE_MAX);
}

static void test_codec_parse_one_allocation_that_fails_is_refused(void **state)
{
    (void)state;
    assert_refused_at_each(1);
}

/* --- a body that needs no parser ------------------------------------------------------------- */

static const char *const plain_values[] = {"0", "-7", "123456789012345", "true", "false", "null",
    "\"\"", "\"a b~\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "[]", "{}", "[1,[ ] , {\"a\" : \n null}]",
    "{\"type\":\"offer\",\"sdp\":\"v=0\\r\\n\"}", "{\"a\": {\"a\":1}, \"b\":[true,false,\"x\"]}",
    "[[[[[[[1]]]]]]]"};

static bool is_json(const char *text, size_t size)
{
    json_t *value = json_loadb(
        text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, NULL);

    json_decref(value);
    return value;
}

static bool is_plain(const char *text, size_t size)
{
    char *copy = codec_fixture_copy(text, size);
    bool plain = codec_is_plain(&(struct span){copy, size, 0});

    free(copy);
    return plain;
}

static void test_codec_plain_is_what_programs_write(void **state)
{
    static const char many[] =
        "{\"1\":0,\"2\":0,\"3\":0,\"4\":0,\"5\":0,\"6\":0,\"7\":0,\"8\":0,\"9\":0,\"a\":0,\"b\":0,"
        "\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0}";
    static const char *const others[] = {"", " ", "-", "01", "1.5", "1e3", "1234567890123456",
        "tru", "nul", "\"", "\"\\u0041\"", "\"\\x\"", "\"\xc3\xbc\"", "\"\t\"", "\"\\", "[", "[1",
        "[1,]", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "{a:1}", "{\"a\":1,\"a\":2}",
        "{\"b\":{\"a\":1,\"a\":2}}", "{\"\\n\":1}", "1 2", "[]]", "[[[[[[[[1]]]]]]]]", many};

    (void)state;
    for (size_t i = 0; i < COUNT(plain_values); i++)
        if (!is_plain(plain_values[i], strlen(plain_values[i])))
            fail_msg("not plain: %s", plain_values[i]);
    for (size_t i = 0; i < COUNT(others); i++)
        if (is_plain(others[i], strlen(others[i])))
            fail_msg("plain: %s", others[i]);
}

/* Whatever byte stands in the place of another, or is the last: jansson takes all that is plain. */
static void test_codec_plain_is_always_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(plain_values); i++) {
        size_t size = strlen(plain_values[i]), plain = 0;
        char text[64];
        assert_true(size < sizeof text);
        for (size_t at = 0; at < size; at++) {
            for (int byte = 0; byte < 256; byte++) {
                memcpy(text, plain_values[i], size);
                text[at] = (char)byte;
                if (is_plain(text, size) && ++plain && !is_json(text, size))
                    fail_msg("byte %zu of %s as %d", at, plain_values[i], byte);
            }
            if (is_plain(text, at) && !is_json(text, at))
                fail_msg("%zu bytes of %s", at, plain_values[i]);
        }
        assert_true(plain >= size);
    }
}

/* The rest is looked at all the same, and a fault has its own place in the text. */
static void test_codec_parse_around_a_plain_body(void **state)
{
    (void)state;
    assert_refused(MESSAGE, "{\"body\": {\"a\": 1}, \"id\": }", ERROR_BAD_JSON, "column 26");
    assert_refused(MESSAGE, "{\"body\": 1, \"body\": 2}", ERROR_BAD_JSON, "duplicate");
    assert_refused(MESSAGE, "{\"body\": 1, \"b\\u006fdy\": 2}", ERROR_BAD_JSON, "duplicate");
    assert_refused(MESSAGE, "{\"body\": 1", ERROR_BAD_JSON, "column 10");
    assert_refused(MESSAGE, "{\"body\": {\"a\": 1}} {}", ERROR_BAD_JSON, "end of file");
    assert_refused(MESSAGE, "{\"id\": \"\\\", \"body\": 1", ERROR_BAD_JSON, "column");
    struct json *json = codec_fixture_parse("{\"b\\u006fdy\":[ 1 ],\"type\":\"t\",\"id\":\"i\"}");
    struct send_request request;
    struct fault fault;
    assert_int_equal(codec_read_message(json, &request, &fault), 0);
    assert_int_equal(request.body_size, 5);
    assert_memory_equal(request.body, "[ 1 ]", 5);
    codec_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_parse_bad_syntax_is_refused),
        cmocka_unit_test(test_codec_parse_bad_utf8_is_refused_and_not_quoted),
        cmocka_unit_test(test_codec_parse_nul_bytes_are_refused),
        cmocka_unit_test(test_codec_parse_too_deep_is_refused),
        cmocka_unit_test(test_codec_plain_is_what_programs_write),
        cmocka_unit_test(test_codec_plain_is_always_json),
        cmocka_unit_test(test_codec_parse_around_a_plain_body),
        cmocka_unit_test(test_codec_read_truncated_is_bad_json),
        cmocka_unit_test(test_codec_read_damaged_is_answered),
        cmocka_unit_test_teardown(test_codec_parse_out_of_memory_is_refused, use_all_memory),
        cmocka_unit_test_teardown(
            test_codec_parse_one_allocation_that_fails_is_refused, use_all_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
