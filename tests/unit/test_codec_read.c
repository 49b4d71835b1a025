#include "codec_fixture.h"
#include "server_limits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- register -------------------------------------------------------------------------------- */

static void test_codec_read_register_empty_object_has_defaults(void **state)
{
    static const char *const bodies[] = {"{}", " {\n} ",
        "{\"id\":null,\"network\":null,\"endpoints\":null,\"meta\":null,\"reach\":null,"
        "\"ttl\":null,\"listed\":null,\"token\":null}",
        "{\"other\":[1,{\"id\":\"x\"}]}"};

    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct json *json = codec_fixture_parse(bodies[i]);
        struct register_request request;
        struct fault fault;
        memset(&request, 0x5A, sizeof request);
        assert_int_equal(codec_read_register(json, &request, &fault), 0);
        assert_null(request.id);
        assert_null(request.network);
        assert_null(request.token);
        assert_null(request.meta);
        assert_null(request.reach);
        assert_int_equal(request.endpoint_count, 0);
        assert_true(request.ttl_s == 0);
        assert_true(request.listed);
        codec_free(json);
    }
}

static void test_codec_read_register_everything_is_taken(void **state)
{
    struct json *json = codec_fixture_parse(codec_fixture_register);
    struct register_request request;
    struct fault fault;

    (void)state;
    assert_int_equal(codec_read_register(json, &request, &fault), 0);
    assert_string_equal(request.id, "master-a");
    assert_string_equal(request.network, "lab");
    assert_int_equal(request.endpoint_count, 2);
    assert_string_equal(request.endpoints[0], "grpc://:50051");
    assert_string_equal(request.endpoints[1], "udp://203.0.113.7:4000");
    assert_string_equal(request.meta, "{ \"role\":\t\"master\" }");
    assert_string_equal(request.reach, "{\"nat\": []}");
    assert_true(request.ttl_s == 45.5);
    assert_false(request.listed);
    assert_string_equal(request.token, "t0ken");
    codec_free(json);
}

static void test_codec_read_register_twice_gives_the_same(void **state)
{
    struct json *json = codec_fixture_parse(codec_fixture_register);
    struct register_request request;
    struct fault fault;

    (void)state;
    assert_int_equal(codec_read_register(json, &request, &fault), 0);
    assert_int_equal(codec_read_register(json, &request, &fault), 0);
    assert_string_equal(request.meta, "{ \"role\":\t\"master\" }");
    codec_free(json);
}

static void test_codec_read_register_ttl_said_is_never_the_default(void **state)
{
    static const struct {
        const char *body;
        double ttl_s;
    } cases[] = {
        {"{\"ttl\":30}", 30},
        {"{\"ttl\":0}", 0.001},
        {"{\"ttl\":-0.0}", 0.001},
        {"{\"ttl\":-5}", 0.001},
        {"{\"ttl\":1e-400}", 0.001},
        {"{\"ttl\":-1e300}", 0.001},
        {"{\"ttl\":0.25}", 0.25},
        {"{\"ttl\":1e300}", 1e300},
        {"{\"ttl\":12345678901234567890}", 12345678901234567890.0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json *json = codec_fixture_parse(cases[i].body);
        struct register_request request;
        struct fault fault;
        assert_int_equal(codec_read_register(json, &request, &fault), 0);
        assert_true(request.ttl_s == cases[i].ttl_s);
        codec_free(json);
    }
}

static void test_codec_read_register_wrong_type_is_named(void **state)
{
    static const struct {
        const char *body, *detail;
    } cases[] = {
        {"{\"id\":7}", "`id` must be a string; it is a number"},
        {"{\"id\":{}}", "`id` must be a string; it is an object"},
        {"{\"network\":true}", "`network` must be a string; it is true"},
        {"{\"token\":[]}", "`token` must be a string; it is an array"},
        {"{\"endpoints\":\"a://:1\"}", "`endpoints` must be an array of strings; it is a string"},
        {"{\"endpoints\":{}}", "`endpoints` must be an array of strings; it is an object"},
        {"{\"endpoints\":[\"a://:1\",2]}",
            "`endpoints` must be an array of strings; item 2 is a number"},
        {"{\"endpoints\":[null]}", "`endpoints` must be an array of strings; item 1 is null"},
        {"{\"meta\":\"x\"}", "`meta` must be an object; it is a string"},
        {"{\"meta\":[]}", "`meta` must be an object; it is an array"},
        {"{\"reach\":false}", "`reach` must be an object; it is false"},
        {"{\"ttl\":\"30\"}", "`ttl` must be a number; it is a string"},
        {"{\"ttl\":true}", "`ttl` must be a number; it is true"},
        {"{\"listed\":0}", "`listed` must be true or false; it is a number"},
        {"{\"listed\":\"true\"}", "`listed` must be true or false; it is a string"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_refused(REGISTER, cases[i].body, ERROR_BAD_REQUEST, cases[i].detail);
}

static void test_codec_read_register_endpoints_are_capped(void **state)
{
    char *most = codec_fixture_repeat(
        "{\"endpoints\":[\"a://:1\"", ",\"b://:2\"", LIMIT_ENDPOINTS - 1, "]}");
    char *more =
        codec_fixture_repeat("{\"endpoints\":[\"a://:1\"", ",\"b://:2\"", LIMIT_ENDPOINTS, "]}");
    struct json *json = codec_fixture_parse(most);
    struct register_request request;
    struct fault fault;

    (void)state;
    assert_int_equal(codec_read_register(json, &request, &fault), 0);
    assert_int_equal(request.endpoint_count, LIMIT_ENDPOINTS);
    assert_string_equal(request.endpoints[LIMIT_ENDPOINTS - 1], "b://:2");
    codec_free(json);
    assert_refused(REGISTER, more, ERROR_BAD_REQUEST, "11 items; at most 10");
    assert_refused(HEARTBEAT, more, ERROR_BAD_REQUEST, "11 items; at most 10");
    free(most);
    free(more);
}

/* --- heartbeat ------------------------------------------------------------------------------- */

static void test_codec_read_heartbeat_absent_endpoints_differ_from_none(void **state)
{
    static const struct {
        const char *body;
        bool has_endpoints;
        size_t count;
    } cases[] = {
        {"{}", false, 0},
        {"{\"endpoints\":null}", false, 0},
        {"{\"endpoints\":[]}", true, 0},
        {"{\"endpoints\":[\"a://:1\"]}", true, 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json *json = codec_fixture_parse(cases[i].body);
        struct heartbeat_request request;
        struct fault fault;
        memset(&request, 0x5A, sizeof request);
        assert_int_equal(codec_read_heartbeat(json, &request, &fault), 0);
        assert_int_equal(request.has_endpoints, cases[i].has_endpoints);
        assert_int_equal(request.endpoint_count, cases[i].count);
        assert_null(request.id);
        assert_null(request.meta);
        assert_null(request.reach);
        codec_free(json);
    }
}

static void test_codec_read_heartbeat_everything_is_taken(void **state)
{
    struct json *json = codec_fixture_parse(codec_fixture_heartbeat);
    struct heartbeat_request request;
    struct fault fault;

    (void)state;
    assert_int_equal(codec_read_heartbeat(json, &request, &fault), 0);
    assert_string_equal(request.id, "master-a");
    assert_int_equal(request.endpoint_count, 1);
    assert_string_equal(request.endpoints[0], "grpc://:1");
    assert_string_equal(request.meta, "{\"a\" : 1}");
    assert_string_equal(request.reach, "{ }");
    codec_free(json);
}

static void test_codec_read_heartbeat_wrong_type_is_named(void **state)
{
    (void)state;
    assert_refused(HEARTBEAT, "{\"id\":[]}", ERROR_BAD_REQUEST, "`id` must be a string");
    assert_refused(HEARTBEAT, "{\"endpoints\":1}", ERROR_BAD_REQUEST, "`endpoints` must be");
    assert_refused(HEARTBEAT, "{\"meta\":1}", ERROR_BAD_REQUEST, "`meta` must be an object");
    assert_refused(HEARTBEAT, "{\"reach\":[]}", ERROR_BAD_REQUEST, "`reach` must be an object");
}

/* --- events ---------------------------------------------------------------------------------- */

static bool ignore_node(const struct node_view *node, void *user)
{
    (void)node;
    (void)user;
    return true;
}

static void test_codec_read_events_empty_object_has_defaults(void **state)
{
    struct json *json = codec_fixture_parse("{\"since\":null,\"wait\":null}");
    struct poll_request request = {.on_node = ignore_node,
        .heard_ms = 42,
        .network = "lab",
        .has_since = true,
        .has_after = true,
        .wait_s = 9};
    struct fault fault;

    (void)state;
    assert_int_equal(codec_read_events(json, &request, &fault), 0);
    assert_true(request.renew);
    assert_true(request.list);
    assert_true(request.mail);
    assert_false(request.has_since);
    assert_false(request.has_after);
    assert_true(request.wait_s == 0);
    assert_int_equal(request.list_limit, LIMIT_LIST_DEFAULT_NODES);
    assert_int_equal(request.mail_limit, LIMIT_MAIL_DEFAULT_MESSAGES);
    assert_ptr_equal(request.on_node, ignore_node);
    assert_int_equal(request.heard_ms, 42);
    assert_string_equal(request.network, "lab");
    codec_free(json);
}

static void test_codec_read_events_everything_is_taken(void **state)
{
    struct json *json = codec_fixture_parse(codec_fixture_events);
    struct poll_request request = {0};
    struct fault fault;

    (void)state;
    assert_int_equal(codec_read_events(json, &request, &fault), 0);
    assert_true(request.has_since);
    assert_true(request.since.epoch == 0x9f2c000000000001);
    assert_int_equal(request.since.seq, 17);
    assert_true(request.has_after);
    assert_int_equal(request.after.epoch, 1);
    assert_int_equal(request.after.seq, 2);
    assert_true(request.wait_s == 25);
    assert_int_equal(request.list_limit, 200);
    assert_int_equal(request.mail_limit, 100);
    codec_free(json);
}

static void test_codec_read_events_limit_holds_for_both(void **state)
{
    static const struct {
        const char *body;
        size_t list_limit, mail_limit;
    } cases[] = {
        {"{\"limit\":1}", 1, 1},
        {"{\"limit\":99}", 99, 99},
        {"{\"limit\":101}", 101, 100},
        {"{\"limit\":1000}", 1000, 100},
        {"{\"limit\":null}", 200, 100},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json *json = codec_fixture_parse(cases[i].body);
        struct poll_request request = {0};
        struct fault fault;
        assert_int_equal(codec_read_events(json, &request, &fault), 0);
        assert_int_equal(request.list_limit, cases[i].list_limit);
        assert_int_equal(request.mail_limit, cases[i].mail_limit);
        codec_free(json);
    }
}

static void test_codec_read_events_bad_member_is_named(void **state)
{
    static const struct {
        const char *body;
        int error;
        const char *part;
    } cases[] = {
        {"{\"since\":17}", ERROR_BAD_REQUEST, "`since` must be a string; it is a number"},
        {"{\"since\":\"\"}", ERROR_BAD_CURSOR, "`since` is not a cursor"},
        {"{\"since\":\"17\"}", ERROR_BAD_CURSOR, "`since` is not a cursor"},
        {"{\"after\":\"x.1\"}", ERROR_BAD_CURSOR, "`after` is not a cursor"},
        {"{\"after\":[]}", ERROR_BAD_REQUEST, "`after` must be a string"},
        {"{\"wait\":\"5\"}", ERROR_BAD_REQUEST, "`wait` must be a number; it is a string"},
        {"{\"wait\":-1}", ERROR_BAD_REQUEST, "`wait` must be a number of seconds from 0 to 55"},
        {"{\"wait\":55.1}", ERROR_BAD_REQUEST, "from 0 to 55"},
        {"{\"limit\":true}", ERROR_BAD_REQUEST, "`limit` must be a number; it is true"},
        {"{\"limit\":0}", ERROR_BAD_REQUEST, "`limit` must be a whole number from 1 to 1000"},
        {"{\"limit\":1001}", ERROR_BAD_REQUEST, "from 1 to 1000"},
        {"{\"limit\":1.5}", ERROR_BAD_REQUEST, "a whole number"},
        {"{\"limit\":-1e300}", ERROR_BAD_REQUEST, "a whole number"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_refused(EVENTS, cases[i].body, cases[i].error, cases[i].part);
}

/* --- checks ---------------------------------------------------------------------------------- */

static void test_codec_check_wait_and_limit_keep_to_their_ends(void **state)
{
    static const double good_waits[] = {0, -0.0, 0.5, 54.9, 55};
    static const double bad_waits[] = {-0.001, 55.001, INFINITY, -INFINITY, NAN};
    static const double good_limits[] = {1, 2, 999, 1000};
    static const double bad_limits[] = {0, -1, 0.5, 1.5, 1001, INFINITY, -INFINITY, NAN};
    struct fault fault;

    (void)state;
    for (size_t i = 0; i < COUNT(good_waits); i++)
        assert_int_equal(codec_check_wait(good_waits[i], &fault), 0);
    for (size_t i = 0; i < COUNT(bad_waits); i++)
        assert_int_equal(codec_check_wait(bad_waits[i], &fault), ERROR_BAD_REQUEST);
    for (size_t i = 0; i < COUNT(good_limits); i++)
        assert_int_equal(codec_check_limit(good_limits[i], 1000, &fault), 0);
    for (size_t i = 0; i < COUNT(bad_limits); i++)
        assert_int_equal(codec_check_limit(bad_limits[i], 1000, &fault), ERROR_BAD_REQUEST);
    assert_int_equal(codec_check_limit(11, 10, &fault), ERROR_BAD_REQUEST);
    assert_string_equal(fault.detail, "`limit` must be a whole number from 1 to 10");
}

static void test_codec_check_cursor_bad_leaves_the_result(void **state)
{
    struct cursor cursor = {5, 6};
    struct fault fault;

    (void)state;
    assert_int_equal(codec_check_cursor("after", "nonsense", &cursor, &fault), ERROR_BAD_CURSOR);
    assert_int_equal(fault.error, ERROR_BAD_CURSOR);
    assert_non_null(strstr(fault.detail, "`after`"));
    assert_int_equal(cursor.epoch, 5);
    assert_int_equal(cursor.seq, 6);
    assert_int_equal(codec_check_cursor("since", SINCE, &cursor, &fault), 0);
    assert_int_equal(cursor.seq, 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_read_register_empty_object_has_defaults),
        cmocka_unit_test(test_codec_read_register_everything_is_taken),
        cmocka_unit_test(test_codec_read_register_twice_gives_the_same),
        cmocka_unit_test(test_codec_read_register_ttl_said_is_never_the_default),
        cmocka_unit_test(test_codec_read_register_wrong_type_is_named),
        cmocka_unit_test(test_codec_read_register_endpoints_are_capped),
        cmocka_unit_test(test_codec_read_heartbeat_absent_endpoints_differ_from_none),
        cmocka_unit_test(test_codec_read_heartbeat_everything_is_taken),
        cmocka_unit_test(test_codec_read_heartbeat_wrong_type_is_named),
        cmocka_unit_test(test_codec_read_events_empty_object_has_defaults),
        cmocka_unit_test(test_codec_read_events_everything_is_taken),
        cmocka_unit_test(test_codec_read_events_limit_holds_for_both),
        cmocka_unit_test(test_codec_read_events_bad_member_is_named),
        cmocka_unit_test(test_codec_check_wait_and_limit_keep_to_their_ends),
        cmocka_unit_test(test_codec_check_cursor_bad_leaves_the_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
