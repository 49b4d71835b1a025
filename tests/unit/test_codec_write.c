#include "codec.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define EPOCH 0x9f2c000000000001
#define EPOCH_TEXT "9f2c000000000001"

static const struct address none;
static const struct address ipv4 = {4, {203, 0, 113, 7}};
static const struct address ipv6 = {6, {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};

/* The whole output, byte for byte, and readable by a strict parser. */
static void assert_written(struct text *out, const char *expected)
{
    json_error_t error;

    assert_false(text_failed(out));
    assert_string_equal(out->bytes, expected);
    assert_int_equal(out->length, strlen(expected));
    json_t *parsed = json_loadb(out->bytes, out->length,
        JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error);
    if (!parsed)
        fail_msg("%s in %s", error.text, out->bytes);
    json_decref(parsed);
    text_clear(out);
}

/* --- strings --------------------------------------------------------------------------------- */

static void test_codec_write_string_special_is_escaped(void **state)
{
    static const struct {
        const char *string, *expected;
    } cases[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"\"", "\"\\\"\""},
        {"a\"b\\c/d", "\"a\\\"b\\\\c/d\""},
        {"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
        {"\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x9A\x80", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x9A\x80\""},
        {"\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF",
            "\"\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text out = {0};
        codec_write_string(&out, cases[i].string);
        assert_written(&out, cases[i].expected);
    }
}

static void test_codec_write_string_not_utf8_is_replaced(void **state)
{
#define R "\xEF\xBF\xBD"
    static const struct {
        const char *string, *expected;
    } cases[] = {
        {"a\xFFz", "\"a" R "z\""},
        {"\x80", "\"" R "\""},
        {"cut \xC3", "\"cut " R "\""},
        {"cut \xE2\x82", "\"cut " R R "\""},
        {"\xC3\"", "\"" R "\\\"\""},
        {"\xC0\xAF", "\"" R R "\""},             /* overlong, two bytes */
        {"\xE0\x80\xAF", "\"" R R R "\""},       /* overlong, three */
        {"\xF0\x80\x80\xAF", "\"" R R R R "\""}, /* overlong, four */
        {"\xED\xA0\x80", "\"" R R R "\""},       /* a surrogate */
        {"\xF4\x90\x80\x80", "\"" R R R R "\""}, /* above U+10FFFF */
        {"\xF5\x80\x80\x80", "\"" R R R R "\""},
    };
#undef R

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text out = {0};
        codec_write_string(&out, cases[i].string);
        assert_written(&out, cases[i].expected);
    }
}

static void test_codec_write_string_all_bytes_read_back_equal(void **state)
{
    char all[128];
    struct text out = {0};

    (void)state;
    for (int i = 1; i < 128; i++)
        all[i - 1] = (char)i;
    all[127] = '\0';
    codec_write_string(&out, all);
    json_t *parsed = json_loadb(out.bytes, out.length, JSON_DECODE_ANY, NULL);
    assert_non_null(parsed);
    assert_string_equal(json_string_value(parsed), all);
    json_decref(parsed);
    text_clear(&out);
}

/* --- replies --------------------------------------------------------------------------------- */

static void test_codec_write_you_both_families_are_named(void **state)
{
    struct text out = {0};

    (void)state;
    codec_write_you(&out, &ipv4, 41234);
    assert_written(&out, "{\"address\":\"203.0.113.7\",\"port\":41234,\"family\":\"ipv4\"}");
    codec_write_you(&out, &ipv6, 0);
    assert_written(&out, "{\"address\":\"2001:db8::1\",\"port\":0,\"family\":\"ipv6\"}");
}

#define YOU "{\"address\":\"203.0.113.7\",\"port\":41234,\"family\":\"ipv4\"}"

static void test_codec_write_registered_is_as_in_the_contract(void **state)
{
    struct registered registered = {
        .created = true,
        .id = "master-a",
        .network = "default",
        .token = "t0ken",
        .ttl_s = 30,
        .heartbeat_after_s = 9.7,
        .endpoints = "grpc://203.0.113.7:50051\nudp://203.0.113.7:4000",
        .cursor = {EPOCH, 17},
    };
    struct text out = {0};

    (void)state;
    codec_write_registered(&out, &registered, &ipv4, 41234);
    assert_written(&out,
        "{\"id\":\"master-a\",\"network\":\"default\",\"token\":\"t0ken\",\"ttl\":30,"
        "\"heartbeat_after\":9.7,\"you\":" YOU ",\"endpoints\":[\"grpc://203.0.113.7:50051\","
        "\"udp://203.0.113.7:4000\"],\"cursor\":\"" EPOCH_TEXT ".17\"}\n");
    registered.token = NULL;
    registered.endpoints = "";
    codec_write_registered(&out, &registered, &ipv4, 41234);
    assert_written(&out,
        "{\"id\":\"master-a\",\"network\":\"default\",\"ttl\":30,\"heartbeat_after\":9.7,"
        "\"you\":" YOU ",\"endpoints\":[],\"cursor\":\"" EPOCH_TEXT ".17\"}\n");
}

static void test_codec_write_heartbeat_is_as_in_the_contract(void **state)
{
    struct heartbeat heartbeat = {30, 10.25, {EPOCH, 0}, 3};
    struct text out = {0};

    (void)state;
    codec_write_heartbeat(&out, &heartbeat, &ipv4, 41234);
    assert_written(&out, "{\"ttl\":30,\"heartbeat_after\":10.25,\"you\":" YOU
                         ",\"cursor\":\"" EPOCH_TEXT ".0\",\"mail\":3}\n");
}

/* Seconds are written by one helper, seen through a reply that has little else. */
static void test_codec_write_seconds_are_short_and_finite(void **state)
{
    static const struct {
        double seconds;
        const char *expected;
    } cases[] = {
        {0, "0"},
        {-0.0, "0"},
        {10, "10"},
        {0.1, "0.1"},
        {0.05, "0.05"},
        {0.001, "0.001"},
        {0.0004, "0"},
        {-0.0004, "0"},
        {8.2, "8.2"},
        {26.8999, "26.9"},
        {1.9996, "2"},
        {0.1 + 0.2, "0.3"},
        {123456.789, "123456.789"},
        {-1.5, "-1.5"},
        {1e300, "0"},
        {INFINITY, "0"},
        {-INFINITY, "0"},
        {NAN, "0"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text out = {0};
        char expected[100];
        codec_write_sent(&out, &(struct sent){1, false, cases[i].seconds});
        snprintf(expected, sizeof expected, "{\"seq\":1,\"state\":\"queued\",\"expires_in\":%s}\n",
            cases[i].expected);
        assert_written(&out, expected);
    }
}

static void test_codec_write_sent_handed_and_largest_seq(void **state)
{
    struct text out = {0};

    (void)state;
    codec_write_sent(&out, &(struct sent){UINT64_MAX, true, 10});
    assert_written(&out, "{\"seq\":18446744073709551615,\"state\":\"handed\",\"expires_in\":10}\n");
}

static struct node_view make_node(void)
{
    return (struct node_view){
        .id = "master-a",
        .endpoints = "grpc://203.0.113.7:50051",
        .observed_ipv4 = ipv4,
        .meta = "{ \"role\" : \"master\" }",
        .reach = "{}",
        .registered_wall_ms = 1767609000123,
        .age_s = 3.1,
        .expires_in_s = 26.9,
    };
}

#define NODE                                                                                       \
    "{\"id\":\"master-a\",\"endpoints\":[\"grpc://203.0.113.7:50051\"],"                           \
    "\"observed\":[\"203.0.113.7\"],\"meta\":{ \"role\" : \"master\" },\"reach\":{},"              \
    "\"registered_at\":\"2026-01-05T10:30:00Z\",\"age\":3.1,\"expires_in\":26.9}"

static void test_codec_write_node_is_as_in_the_contract(void **state)
{
    struct node_view node = make_node();
    struct text out = {0};

    (void)state;
    codec_write_node(&out, &node);
    assert_written(&out, NODE);
}

static void test_codec_write_node_observed_lists_what_was_seen(void **state)
{
    static const struct {
        const struct address *ipv4, *ipv6;
        const char *expected;
    } cases[] = {
        {&none, &none, "\"observed\":[],"},
        {&none, &ipv6, "\"observed\":[\"2001:db8::1\"],"},
        {&ipv4, &none, "\"observed\":[\"203.0.113.7\"],"},
        {&ipv4, &ipv6, "\"observed\":[\"203.0.113.7\",\"2001:db8::1\"],"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct node_view node = make_node();
        struct text out = {0};
        node.observed_ipv4 = *cases[i].ipv4;
        node.observed_ipv6 = *cases[i].ipv6;
        codec_write_node(&out, &node);
        assert_non_null(strstr(out.bytes, cases[i].expected));
        text_clear(&out);
    }
}

static void test_codec_write_node_endpoints_are_one_a_line(void **state)
{
    static const struct {
        const char *lines, *expected;
    } cases[] = {
        {"", "\"endpoints\":[],"},
        {"\n", "\"endpoints\":[],"},
        {"a://h:1", "\"endpoints\":[\"a://h:1\"],"},
        {"a://h:1\n", "\"endpoints\":[\"a://h:1\"],"},
        {"a://h:1\nb://h:2\nc://h:3", "\"endpoints\":[\"a://h:1\",\"b://h:2\",\"c://h:3\"],"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct node_view node = make_node();
        struct text out = {0};
        node.endpoints = cases[i].lines;
        codec_write_node(&out, &node);
        assert_non_null(strstr(out.bytes, cases[i].expected));
        text_clear(&out);
    }
}

static void test_codec_write_time_is_rfc3339_utc(void **state)
{
    static const struct {
        int64_t wall_ms;
        const char *expected;
    } cases[] = {
        {0, "\"1970-01-01T00:00:00Z\""},
        {999, "\"1970-01-01T00:00:00Z\""},
        {951827696000, "\"2000-02-29T12:34:56Z\""},
        {4102444799999, "\"2099-12-31T23:59:59Z\""},
        {253402300799999, "\"9999-12-31T23:59:59Z\""},
        {INT64_MAX, "\"9999-12-31T23:59:59Z\""},
        {INT64_MIN, "\"1970-01-01T00:00:00Z\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct node_view node = make_node();
        struct text out = {0};
        node.registered_wall_ms = cases[i].wall_ms;
        codec_write_node(&out, &node);
        const char *at = strstr(out.bytes, "\"registered_at\":");
        assert_non_null(at);
        at += strlen("\"registered_at\":");
        assert_memory_equal(at, cases[i].expected, strlen(cases[i].expected));
        text_clear(&out);
    }
}

/* --- polls ----------------------------------------------------------------------------------- */

static void clear_pieces(struct poll_pieces *pieces)
{
    text_clear(&pieces->nodes);
    text_clear(&pieces->gone);
    text_clear(&pieces->messages);
}

static const struct poll_result quiet = {
    .network = "default",
    .cursor = {EPOCH, 18},
    .next = {1, 12},
    .heartbeat_after_s = 10.1,
};

#define NEXT_TEXT "0000000000000001.12"

static void test_codec_write_list_nothing_has_empty_arrays(void **state)
{
    struct poll_pieces pieces = {0};
    struct text out = {0};

    (void)state;
    codec_write_list(&out, &pieces, &quiet);
    assert_written(&out,
        "{\"network\":\"default\",\"cursor\":\"" EPOCH_TEXT ".18\",\"reset\":false,"
        "\"more\":false,\"nodes\":[],\"gone\":[]}\n");
}

static void test_codec_write_list_pieces_are_separated(void **state)
{
    struct poll_pieces pieces = {0};
    struct poll_result result = quiet;
    struct node_view node = make_node();
    struct text out = {0};

    (void)state;
    result.reset = true;
    result.more = true;
    result.mail_reset = false;
    codec_add_node(&pieces.nodes, &node);
    codec_add_node(&pieces.nodes, &node);
    codec_add_gone(&pieces.gone, "master-b");
    codec_add_gone(&pieces.gone, "master-c");
    codec_write_list(&out, &pieces, &result);
    assert_written(&out,
        "{\"network\":\"default\",\"cursor\":\"" EPOCH_TEXT ".18\",\"reset\":true,"
        "\"more\":true,\"nodes\":[" NODE "," NODE "],\"gone\":[\"master-b\",\"master-c\"]}\n");
    clear_pieces(&pieces);
}

static struct message_view make_message(void)
{
    static const char body[] = "{\"type\": \"offer\",\n \"n\": 1e2}, and what follows it";
    return (struct message_view){
        .seq = 12,
        .id = "0a5e",
        .from = "master-b",
        .from_address = {4, {198, 51, 100, 4}},
        .session = "b7",
        .type = "offer",
        .body = body,
        .body_size = strlen("{\"type\": \"offer\",\n \"n\": 1e2}"),
        .sent_wall_ms = 1767609000000,
        .expires_in_s = 8.2,
    };
}

#define MESSAGE                                                                                    \
    "{\"seq\":12,\"id\":\"0a5e\",\"from\":\"master-b\",\"from_address\":\"198.51.100.4\","         \
    "\"session\":\"b7\",\"type\":\"offer\",\"body\":{\"type\": \"offer\",\n \"n\": 1e2},"          \
    "\"sent_at\":\"2026-01-05T10:30:00Z\",\"expires_in\":8.2}"

static void test_codec_write_mail_is_as_in_the_contract(void **state)
{
    struct poll_pieces pieces = {0};
    struct poll_result result = quiet;
    struct message_view message = make_message();
    struct text out = {0};

    (void)state;
    codec_write_mail(&out, &pieces, &result);
    assert_written(&out, "{\"next\":\"" NEXT_TEXT "\",\"reset\":false,\"messages\":[]}\n");
    result.mail_reset = true;
    codec_add_message(&pieces.messages, &message);
    codec_add_message(&pieces.messages, &message);
    codec_write_mail(&out, &pieces, &result);
    assert_written(&out,
        "{\"next\":\"" NEXT_TEXT "\",\"reset\":true,\"messages\":[" MESSAGE "," MESSAGE "]}\n");
    clear_pieces(&pieces);
}

static void test_codec_add_message_of_the_index_has_nulls(void **state)
{
    struct message_view message = make_message();
    struct text out = {0};

    (void)state;
    message.from = NULL;
    message.from_address = none;
    message.session = NULL;
    message.type = "undeliverable";
    message.body = "null";
    message.body_size = 4;
    codec_add_message(&out, &message);
    assert_written(&out,
        "{\"seq\":12,\"id\":\"0a5e\",\"from\":null,\"from_address\":null,\"session\":null,"
        "\"type\":\"undeliverable\",\"body\":null,\"sent_at\":\"2026-01-05T10:30:00Z\","
        "\"expires_in\":8.2}");
}

static void test_codec_write_events_has_both_and_the_heartbeat(void **state)
{
    struct poll_pieces pieces = {0};
    struct poll_result result = quiet;
    struct message_view message = make_message();
    struct node_view node = make_node();
    struct text out = {0};

    (void)state;
    result.mail_reset = true;
    codec_add_node(&pieces.nodes, &node);
    codec_add_message(&pieces.messages, &message);
    codec_write_events(&out, &pieces, &result);
    assert_written(&out,
        "{\"list\":{\"network\":\"default\",\"cursor\":\"" EPOCH_TEXT ".18\",\"reset\":false,"
        "\"more\":false,\"nodes\":[" NODE "],\"gone\":[]},\"mail\":{\"next\":\"" NEXT_TEXT
        "\",\"reset\":true,\"messages\":[" MESSAGE "]},\"heartbeat_after\":10.1}\n");
    clear_pieces(&pieces);
}

static void test_codec_write_failed_piece_fails_the_whole(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct poll_pieces pieces = {0};
        struct text out = {0};
        (i == 0 ? &pieces.nodes : i == 1 ? &pieces.gone : &pieces.messages)->failed = true;
        codec_write_events(&out, &pieces, &quiet);
        assert_true(text_failed(&out));
        text_clear(&out);
    }
}

/* --- problems and undeliverables ------------------------------------------------------------- */

static void test_codec_write_problem_is_rfc9457(void **state)
{
    struct fault fault;
    struct text out = {0};

    (void)state;
    fault_set(&fault, ERROR_ID_TAKEN, "the id \"%s\" is\ntaken", "a\\b");
    codec_write_problem(&out, &fault);
    assert_written(&out,
        "{\"type\":\"urn:signpost:problem:id_taken\",\"title\":\"Another node holds this id\","
        "\"status\":409,\"detail\":\"the id \\\"a\\\\b\\\" is\\ntaken\",\"code\":\"id_taken\"}\n");
    fault_set(&fault, ERROR_UNKNOWN_NODE, "register again");
    fault.action = "register";
    codec_write_problem(&out, &fault);
    assert_written(&out,
        "{\"type\":\"urn:signpost:problem:unknown_node\",\"title\":\"No such node\","
        "\"status\":404,\"detail\":\"register again\",\"code\":\"unknown_node\","
        "\"action\":\"register\"}\n");
}

static void test_codec_write_problem_every_error_is_json(void **state)
{
    static const int errors[] = {
#define X(name, code, status, title) ERROR_##name,
        ERROR_LIST(X)
#undef X
    };

    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct fault fault;
        struct text out = {0};
        fault_set(&fault, errors[i], "why");
        codec_write_problem(&out, &fault);
        json_t *parsed = json_loadb(out.bytes, out.length, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(parsed);
        assert_string_equal(
            json_string_value(json_object_get(parsed, "code")), error_code(errors[i]));
        assert_int_equal(
            json_integer_value(json_object_get(parsed, "status")), error_http_status(errors[i]));
        json_decref(parsed);
        text_clear(&out);
    }
}

/* A sentence that is cut in the middle of a character must not break the reply. */
static void test_codec_write_problem_cut_detail_is_still_json(void **state)
{
    struct fault fault;
    struct text out = {0};
    char quoted[400] = "x";

    (void)state;
    for (size_t i = 1; i + 2 < sizeof quoted; i += 2)
        memcpy(quoted + i, "\xC3\xA9", 3);
    fault_set(&fault, ERROR_BAD_ID, "%s%s", sizeof fault.detail % 2 ? "y" : "", quoted);
    assert_int_equal((unsigned char)fault.detail[sizeof fault.detail - 2], 0xA9);
    fault_set(&fault, ERROR_BAD_ID, "%s", quoted + 1);
    assert_int_equal((unsigned char)fault.detail[sizeof fault.detail - 2], 0xC3);
    codec_write_problem(&out, &fault);
    json_t *parsed = json_loadb(out.bytes, out.length, 0, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
    text_clear(&out);
}

static void test_codec_undeliverable_body_is_as_in_the_contract(void **state)
{
    struct index_undeliverable about = {"0a5e", "master-b", "b7", "offer", "expired"};
    static const char expected[] = "{\"id\":\"0a5e\",\"to\":\"master-b\",\"session\":\"b7\","
                                   "\"type\":\"offer\",\"reason\":\"expired\"}";
    char body[512];

    (void)state;
    assert_int_equal(codec_undeliverable_body(&about, body, sizeof body), strlen(expected));
    assert_string_equal(body, expected);
    about.session = "";
    about.reason = "gone";
    size_t length = codec_undeliverable_body(&about, body, sizeof body);
    assert_int_equal(length, strlen(body));
    assert_string_equal(body, "{\"id\":\"0a5e\",\"to\":\"master-b\",\"session\":null,"
                              "\"type\":\"offer\",\"reason\":\"gone\"}");
}

static void test_codec_undeliverable_body_without_room_is_an_empty_object(void **state)
{
    struct index_undeliverable about = {"0a5e", "master-b", "", "offer", "gone"};
    char body[128], whole[128];

    (void)state;
    size_t length = codec_undeliverable_body(&about, whole, sizeof whole);
    assert_int_equal(codec_undeliverable_body(&about, body, length + 1), length);
    assert_string_equal(body, whole);
    assert_int_equal(codec_undeliverable_body(&about, body, length), 2);
    assert_string_equal(body, "{}");
    body[0] = '#';
    assert_int_equal(codec_undeliverable_body(&about, body, 2), 0);
    assert_int_equal(body[0], '#');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_write_string_special_is_escaped),
        cmocka_unit_test(test_codec_write_string_not_utf8_is_replaced),
        cmocka_unit_test(test_codec_write_string_all_bytes_read_back_equal),
        cmocka_unit_test(test_codec_write_you_both_families_are_named),
        cmocka_unit_test(test_codec_write_registered_is_as_in_the_contract),
        cmocka_unit_test(test_codec_write_heartbeat_is_as_in_the_contract),
        cmocka_unit_test(test_codec_write_seconds_are_short_and_finite),
        cmocka_unit_test(test_codec_write_sent_handed_and_largest_seq),
        cmocka_unit_test(test_codec_write_node_is_as_in_the_contract),
        cmocka_unit_test(test_codec_write_node_observed_lists_what_was_seen),
        cmocka_unit_test(test_codec_write_node_endpoints_are_one_a_line),
        cmocka_unit_test(test_codec_write_time_is_rfc3339_utc),
        cmocka_unit_test(test_codec_write_list_nothing_has_empty_arrays),
        cmocka_unit_test(test_codec_write_list_pieces_are_separated),
        cmocka_unit_test(test_codec_write_mail_is_as_in_the_contract),
        cmocka_unit_test(test_codec_add_message_of_the_index_has_nulls),
        cmocka_unit_test(test_codec_write_events_has_both_and_the_heartbeat),
        cmocka_unit_test(test_codec_write_failed_piece_fails_the_whole),
        cmocka_unit_test(test_codec_write_problem_is_rfc9457),
        cmocka_unit_test(test_codec_write_problem_every_error_is_json),
        cmocka_unit_test(test_codec_write_problem_cut_detail_is_still_json),
        cmocka_unit_test(test_codec_undeliverable_body_is_as_in_the_contract),
        cmocka_unit_test(test_codec_undeliverable_body_without_room_is_an_empty_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
