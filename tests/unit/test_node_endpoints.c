/* Endpoints as announced and as resolved: observed hosts, what is refused, changed addresses. */
#include "index_fixture.h"

#include <stdio.h>
#include <string.h>

#define HOME "203.0.113.7"
#define HOME6 "2001:db8::7"

/* Registers node "a" of token 1 with one endpoint from that address. */
static struct registration announce(
    struct fixture *fixture, const char *address, const char *endpoint)
{
    struct caller caller = fixture_owner(address, 1);
    struct register_request request = {
        .id = "a", .endpoints = &endpoint, .endpoint_count = 1, .listed = true};
    return fixture_register(fixture, &caller, &request);
}

static void expect_taken(
    struct fixture *fixture, const char *address, const char *endpoint, const char *resolved)
{
    struct registration result = announce(fixture, address, endpoint);
    assert_fault(result.fault, 0);
    assert_string_equal(result.endpoints, resolved);
}

static void expect_refused(struct fixture *fixture, const char *address, const char *endpoint)
{
    struct registration result = announce(fixture, address, endpoint);
    assert_fault(result.fault, ERROR_BAD_ENDPOINT);
}

static struct beat beat_from(struct fixture *fixture, const char *address)
{
    struct caller caller = fixture_owner(address, 1);
    struct heartbeat_request request = {0};
    struct beat beat = fixture_heartbeat(fixture, &caller, &request);
    assert_fault(beat.fault, 0);
    return beat;
}

static const struct seen_node *look_up(struct fixture *fixture)
{
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct watch *watch = fixture_get_node(fixture, &stranger, NULL, "a");
    assert_fault(watch->fault, 0);
    return &watch->nodes[0];
}

static void test_endpoint_of_empty_host_is_observed_address(void **state)
{
    struct fixture *fixture = *state;
    expect_taken(fixture, HOME, "grpc://:50051", "grpc://203.0.113.7:50051");
    expect_taken(fixture, HOME, "grpc://0.0.0.0:50051", "grpc://203.0.113.7:50051");
    expect_taken(fixture, HOME, "grpc://[::]:50051", "grpc://203.0.113.7:50051");
}

static void test_endpoint_of_ipv6_caller_is_bracketed(void **state)
{
    struct fixture *fixture = *state;
    expect_taken(fixture, HOME6, "grpc://:50051", "grpc://[2001:db8::7]:50051");
    expect_taken(fixture, HOME6, "grpc://[::]:50051", "grpc://[2001:db8::7]:50051");
    expect_taken(fixture, HOME6, "grpc://0.0.0.0:50051", "grpc://[2001:db8::7]:50051");
}

static void test_endpoint_loopback_is_for_loopback_callers(void **state)
{
    struct fixture *fixture = *state;
    expect_refused(fixture, HOME, "grpc://127.0.0.1:5000");
    expect_refused(fixture, HOME, "grpc://127.1.2.3:5000");
    expect_refused(fixture, HOME, "grpc://[::1]:5000");
    expect_refused(fixture, HOME, "grpc://[::ffff:127.0.0.1]:5000");
    expect_refused(fixture, "10.0.0.5", "grpc://127.0.0.1:5000");
    expect_taken(fixture, "127.0.0.1", "grpc://127.0.0.1:5000", "grpc://127.0.0.1:5000");
    expect_taken(fixture, "127.0.0.1", "grpc://:5000", "grpc://127.0.0.1:5000");
    expect_taken(fixture, "::1", "grpc://[::1]:5000", "grpc://[::1]:5000");
}

static void test_endpoint_that_is_no_unicast_address_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const char *refused[] = {"udp://224.0.0.1:1", "udp://239.255.255.250:1", "udp://[ff02::1]:1",
        "udp://255.255.255.255:1", "udp://240.0.0.1:1", "udp://0.0.0.1:1", "udp://169.254.1.1:1",
        "udp://[fe80::1]:1"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        expect_refused(fixture, HOME, refused[i]);
        expect_refused(fixture, "127.0.0.1", refused[i]);
    }
    fixture->config.open = false;
    fixture_restart(fixture);
    struct caller member = fixture_keyed(HOME, "blue", false);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct register_request request = {
            .id = "a", .endpoints = &refused[i], .endpoint_count = 1, .listed = true};
        assert_fault(fixture_register(fixture, &member, &request).fault, ERROR_BAD_ENDPOINT);
    }
}

static void test_endpoint_malformed_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const char *refused[] = {"", "grpc", "grpc://", "://:1", "grpc://:0", "grpc://:65536",
        "grpc://203.0.113.7", "grpc://203.0.113.7:1/x", "grpc://user@203.0.113.7:1"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        expect_refused(fixture, HOME, refused[i]);
    assert_int_equal(index_node_count(fixture->index), 0);
}

static void test_endpoint_private_is_taken(void **state)
{
    struct fixture *fixture = *state;
    expect_taken(fixture, HOME, "grpc://10.0.0.5:1", "grpc://10.0.0.5:1");
    expect_taken(fixture, HOME, "grpc://172.16.0.5:1", "grpc://172.16.0.5:1");
    expect_taken(fixture, HOME, "grpc://192.168.1.5:1", "grpc://192.168.1.5:1");
    expect_taken(fixture, HOME, "grpc://100.64.0.5:1", "grpc://100.64.0.5:1");
    expect_taken(fixture, HOME, "grpc://[fd00::5]:1", "grpc://[fd00::5]:1");
}

static void test_endpoint_public_on_open_index_must_be_observed(void **state)
{
    struct fixture *fixture = *state;
    expect_taken(fixture, HOME, "udp://203.0.113.7:4000", "udp://203.0.113.7:4000");
    expect_taken(fixture, HOME6, "udp://[2001:db8::7]:4000", "udp://[2001:db8::7]:4000");
    expect_refused(fixture, HOME, "udp://198.51.100.4:4000");
    expect_refused(fixture, HOME, "udp://[2001:db8::8]:4000");
    expect_refused(fixture, "127.0.0.1", "udp://198.51.100.4:4000");
    expect_refused(fixture, "10.0.0.5", "udp://198.51.100.4:4000");
}

static void test_endpoint_public_may_be_that_of_the_other_family(void **state)
{
    struct fixture *fixture = *state;
    announce(fixture, HOME, "udp://:4000");
    beat_from(fixture, HOME6);
    expect_taken(fixture, HOME6, "udp://203.0.113.7:4000", "udp://203.0.113.7:4000");
}

static void test_endpoint_name_on_open_index_is_refused(void **state)
{
    struct fixture *fixture = *state;
    expect_refused(fixture, HOME, "grpc://peer.example.org:1");
    expect_refused(fixture, HOME, "grpc://localhost:1");
}

static void test_endpoint_on_keyed_index_may_be_public_or_name(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.open = false;
    fixture_restart(fixture);
    const char *endpoints[] = {"grpc://peer.example.org:1", "udp://198.51.100.4:4000"};
    struct caller member = fixture_keyed(HOME, "blue", false);
    struct register_request request = {
        .id = "a", .endpoints = endpoints, .endpoint_count = 2, .listed = true};
    struct registration result = fixture_register(fixture, &member, &request);
    assert_fault(result.fault, 0);
    assert_string_equal(result.endpoints, "grpc://peer.example.org:1\nudp://198.51.100.4:4000");
}

static void test_endpoints_past_ten_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const char *endpoints[11];
    char texts[11][32];
    for (size_t i = 0; i < 11; i++) {
        snprintf(texts[i], sizeof(texts[i]), "grpc://:%zu", i + 1);
        endpoints[i] = texts[i];
    }
    struct caller caller = fixture_owner(HOME, 1);
    struct register_request request = {
        .id = "a", .endpoints = endpoints, .endpoint_count = 11, .listed = true};
    int error = fixture_register(fixture, &caller, &request).fault.error;
    assert_int_not_equal(error, 0);
    assert_int_equal(error_http_status(error), 400);
    request.endpoint_count = 10;
    struct registration result = fixture_register(fixture, &caller, &request);
    assert_fault(result.fault, 0);
    assert_non_null(strstr(result.endpoints, "grpc://203.0.113.7:10"));
}

static void test_endpoints_keep_their_order(void **state)
{
    struct fixture *fixture = *state;
    const char *endpoints[] = {"z://:3", "a://10.0.0.1:2", "m://:1"};
    struct caller caller = fixture_owner(HOME, 1);
    struct register_request request = {
        .id = "a", .endpoints = endpoints, .endpoint_count = 3, .listed = true};
    struct registration result = fixture_register(fixture, &caller, &request);
    assert_string_equal(result.endpoints, "z://203.0.113.7:3\na://10.0.0.1:2\nm://203.0.113.7:1");
}

static void test_heartbeat_from_changed_address_resolves_again(void **state)
{
    struct fixture *fixture = *state;
    const char *endpoints[] = {"grpc://:1", "grpc://10.0.0.1:2", "grpc://0.0.0.0:3"};
    struct caller caller = fixture_owner(HOME, 1);
    struct register_request request = {
        .id = "a", .endpoints = endpoints, .endpoint_count = 3, .listed = true};
    struct registration first = fixture_register(fixture, &caller, &request);
    struct beat beat = beat_from(fixture, "198.51.100.4");
    assert_true(beat.result.cursor.seq > first.cursor.seq);
    assert_string_equal(look_up(fixture)->endpoints,
        "grpc://198.51.100.4:1\ngrpc://10.0.0.1:2\ngrpc://198.51.100.4:3");
    struct watch *changes = fixture_changes(fixture, NULL, first.cursor, 10);
    assert_string_equal(watch_told(changes), "+a ");
}

static void test_heartbeat_of_other_family_keeps_both_observations(void **state)
{
    struct fixture *fixture = *state;
    struct registration first = announce(fixture, HOME, "grpc://:1");
    struct beat beat = beat_from(fixture, HOME6);
    assert_true(beat.result.cursor.seq > first.cursor.seq);
    struct caller v4 = fixture_stranger(HOME);
    struct caller v6 = fixture_stranger(HOME6);
    const struct seen_node *node = look_up(fixture);
    assert_true(address_equal(&node->observed_ipv4, &v4.address));
    assert_true(address_equal(&node->observed_ipv6, &v6.address));
    assert_non_null(strstr(node->endpoints, "grpc://203.0.113.7:1"));
    assert_non_null(strstr(node->endpoints, "grpc://[2001:db8::7]:1"));
    assert_int_equal(
        strlen(node->endpoints), strlen("grpc://203.0.113.7:1\ngrpc://[2001:db8::7]:1"));

    /* The two take turns from here on without anything visible changing. */
    struct cursor settled = beat.result.cursor;
    assert_true(cursor_equal(beat_from(fixture, HOME).result.cursor, settled));
    assert_true(cursor_equal(beat_from(fixture, HOME6).result.cursor, settled));
    assert_non_null(strstr(look_up(fixture)->endpoints, "grpc://203.0.113.7:1"));
}

static void test_endpoint_of_ipv4_wildcard_is_ipv4_where_both_are_known(void **state)
{
    struct fixture *fixture = *state;
    announce(fixture, HOME, "grpc://0.0.0.0:1");
    beat_from(fixture, HOME6);
    assert_string_equal(look_up(fixture)->endpoints, "grpc://203.0.113.7:1");
}

static void test_register_from_other_family_keeps_both_observations(void **state)
{
    struct fixture *fixture = *state;
    announce(fixture, HOME, "grpc://:1");
    struct registration result = announce(fixture, HOME6, "grpc://:1");
    assert_false(result.created);
    assert_non_null(strstr(result.endpoints, "grpc://203.0.113.7:1"));
    assert_non_null(strstr(result.endpoints, "grpc://[2001:db8::7]:1"));
}

static void test_poll_that_renews_from_changed_address_resolves_again(void **state)
{
    struct fixture *fixture = *state;
    struct registration first = announce(fixture, HOME, "grpc://:1");
    struct caller caller = fixture_owner("198.51.100.4", 1);
    struct poll_request request = poll_events(first.cursor, 0);
    struct watch *watch = fixture_poll(fixture, &caller, &request);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, 0);
    assert_string_equal(look_up(fixture)->endpoints, "grpc://198.51.100.4:1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_endpoint_of_empty_host_is_observed_address),
        FIXTURE_TEST(test_endpoint_of_ipv6_caller_is_bracketed),
        FIXTURE_TEST(test_endpoint_loopback_is_for_loopback_callers),
        FIXTURE_TEST(test_endpoint_that_is_no_unicast_address_is_refused),
        FIXTURE_TEST(test_endpoint_malformed_is_refused),
        FIXTURE_TEST(test_endpoint_private_is_taken),
        FIXTURE_TEST(test_endpoint_public_on_open_index_must_be_observed),
        FIXTURE_TEST(test_endpoint_public_may_be_that_of_the_other_family),
        FIXTURE_TEST(test_endpoint_name_on_open_index_is_refused),
        FIXTURE_TEST(test_endpoint_on_keyed_index_may_be_public_or_name),
        FIXTURE_TEST(test_endpoints_past_ten_are_refused),
        FIXTURE_TEST(test_endpoints_keep_their_order),
        FIXTURE_TEST(test_heartbeat_from_changed_address_resolves_again),
        FIXTURE_TEST(test_heartbeat_of_other_family_keeps_both_observations),
        FIXTURE_TEST(test_endpoint_of_ipv4_wildcard_is_ipv4_where_both_are_known),
        FIXTURE_TEST(test_register_from_other_family_keeps_both_observations),
        FIXTURE_TEST(test_poll_that_renews_from_changed_address_resolves_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
