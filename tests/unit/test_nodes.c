/* Registration, heartbeats, one node by id, removal, and who may do which. */
#include "index_fixture.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define HOME "203.0.113.7"
#define ELSEWHERE "198.51.100.4"

static struct registration join_keyed(
    struct fixture *fixture, const struct caller *caller, const char *id, unsigned number)
{
    char token[FIXTURE_TOKEN_SIZE];
    struct register_request request = {
        .id = id, .listed = true, .token = fixture_token(number, token)};
    return fixture_register(fixture, caller, &request);
}

/* --- tokens ---------------------------------------------------------------------------------- */

static void test_token_of_43_base64url_characters_is_well_formed(void **state)
{
    (void)state;
    assert_true(token_is_well_formed("0123456789abcdefghijklmnopqrstuvwxyzABC-_1A"));
    assert_false(token_is_well_formed(""));
    assert_false(token_is_well_formed("0123456789abcdefghijklmnopqrstuvwxyzABC-_A"));
    assert_false(token_is_well_formed("0123456789abcdefghijklmnopqrstuvwxyzABC-_11A"));
    assert_false(token_is_well_formed("0123456789abcdefghijklmnopqrstuvwxyzABC+_1A"));
    assert_false(token_is_well_formed("0123456789abcdefghijklmnopqrstuvwxyzABC/_1A"));
    assert_false(token_is_well_formed("0123456789abcdefghijklmnopqrstuvwxyzABC-_1="));
}

static void test_token_hash_is_sha256(void **state)
{
    (void)state;
    static const uint8_t of_abc[STORE_HASH_SIZE] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
        0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a,
        0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    uint8_t hash[STORE_HASH_SIZE];
    token_hash("abcd", 3, hash);
    assert_memory_equal(hash, of_abc, sizeof(hash));
}

/* --- registration ---------------------------------------------------------------------------- */

static void test_register_new_node_creates_it(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = fixture_stranger(HOME);
    const char *endpoints[] = {"grpc://:50051"};
    struct register_request request = {.id = "master-a",
        .endpoints = endpoints,
        .endpoint_count = 1,
        .meta = "{\"role\":\"master\"}",
        .reach = "{\"tcp\":\"open\"}",
        .listed = true};
    struct registration result = fixture_register(fixture, &caller, &request);
    assert_fault(result.fault, 0);
    assert_true(result.created);
    assert_string_equal(result.id, "master-a");
    assert_string_equal(result.network, "default");
    assert_int_equal(result.ttl_s, 30);
    assert_between(result.heartbeat_after_s, 9.0, 11.0);
    assert_string_equal(result.endpoints, "grpc://203.0.113.7:50051");
    assert_int_equal(index_node_count(fixture->index), 1);

    struct watch *watch = fixture_get_node(fixture, &caller, NULL, "master-a");
    assert_fault(watch->fault, 0);
    assert_string_equal(watch->nodes[0].id, "master-a");
    assert_string_equal(watch->nodes[0].endpoints, "grpc://203.0.113.7:50051");
    assert_string_equal(watch->nodes[0].meta, "{\"role\":\"master\"}");
    assert_string_equal(watch->nodes[0].reach, "{\"tcp\":\"open\"}");
    assert_true(watch->nodes[0].registered_wall_ms == fixture->wall_ms);
    assert_true(address_equal(&watch->nodes[0].observed_ipv4, &caller.address));
    assert_int_equal(watch->nodes[0].observed_ipv6.family, 0);
}

static void test_register_without_token_makes_one_that_owns_the_node(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = fixture_stranger(HOME);
    struct register_request request = {.id = "a", .listed = true};
    struct registration first = fixture_register(fixture, &caller, &request);
    request.id = "b";
    struct registration second = fixture_register(fixture, &caller, &request);
    assert_true(first.has_token);
    assert_true(second.has_token);
    assert_true(token_is_well_formed(first.token));
    assert_string_not_equal(first.token, second.token);

    caller.kind = CREDENTIAL_TOKEN;
    token_hash(first.token, strlen(first.token), caller.hash);
    struct heartbeat_request heartbeat = {.id = "a"};
    assert_fault(fixture_heartbeat(fixture, &caller, &heartbeat).fault, 0);
}

static void test_register_with_token_in_body_adopts_it(void **state)
{
    struct fixture *fixture = *state;
    struct caller stranger = fixture_stranger(HOME);
    struct registration result = join_keyed(fixture, &stranger, "a", 1);
    assert_fault(result.fault, 0);
    assert_true(result.created);
    assert_false(result.has_token);
    struct caller owner = fixture_owner(HOME, 1);
    struct heartbeat_request heartbeat = {.id = "a"};
    assert_fault(fixture_heartbeat(fixture, &owner, &heartbeat).fault, 0);
}

static void test_register_with_token_of_caller_adopts_it(void **state)
{
    struct fixture *fixture = *state;
    struct registration result = fixture_join(fixture, "a", 1);
    assert_true(result.created);
    assert_false(result.has_token);
    struct caller owner = fixture_node(1);
    struct heartbeat_request heartbeat = {.id = "a"};
    assert_fault(fixture_heartbeat(fixture, &owner, &heartbeat).fault, 0);
}

static void test_register_token_in_body_wins_over_that_of_caller(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    struct caller caller = fixture_node(1);
    struct registration result = join_keyed(fixture, &caller, "b", 2);
    assert_fault(result.fault, 0);
    assert_true(result.created);
    struct caller owner = fixture_node(2);
    struct heartbeat_request heartbeat = {.id = "b"};
    assert_fault(fixture_heartbeat(fixture, &owner, &heartbeat).fault, 0);
}

static void test_register_malformed_token_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = fixture_stranger(HOME);
    struct register_request request = {.id = "a", .listed = true, .token = "short"};
    assert_fault(fixture_register(fixture, &caller, &request).fault, ERROR_BAD_TOKEN);
    assert_int_equal(index_node_count(fixture->index), 0);
}

static void test_register_owner_back_is_not_created_again(void **state)
{
    struct fixture *fixture = *state;
    assert_true(fixture_join(fixture, "a", 1).created);
    struct registration again = fixture_join(fixture, "a", 1);
    assert_false(again.created);
    assert_false(again.has_token);
    assert_string_equal(again.id, "a");
    assert_int_equal(index_node_count(fixture->index), 1);
}

static void test_register_owner_back_replaces_everything(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = fixture_node(1);
    const char *endpoints[] = {"grpc://:1", "udp://:2"};
    struct register_request request = {.id = "a",
        .endpoints = endpoints,
        .endpoint_count = 2,
        .meta = "{\"x\":1}",
        .reach = "{\"y\":2}",
        .ttl_s = 100,
        .listed = true};
    fixture_register(fixture, &caller, &request);
    const char *other[] = {"quic://:3"};
    request = (struct register_request){
        .id = "a", .endpoints = other, .endpoint_count = 1, .listed = true};
    struct registration again = fixture_register(fixture, &caller, &request);
    assert_string_equal(again.endpoints, "quic://203.0.113.1:3");
    assert_int_equal(again.ttl_s, 30);
    struct watch *watch = fixture_get_node(fixture, &caller, NULL, "a");
    assert_string_equal(watch->nodes[0].endpoints, "quic://203.0.113.1:3");
    assert_string_equal(watch->nodes[0].meta, "{}");
    assert_string_equal(watch->nodes[0].reach, "{}");

    request = (struct register_request){.id = "a", .listed = true};
    assert_string_equal(fixture_register(fixture, &caller, &request).endpoints, "");
}

static void test_register_live_id_of_another_is_taken(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    struct caller other = fixture_node(2);
    struct register_request request = {.id = "a", .listed = true};
    struct registration result = fixture_register(fixture, &other, &request);
    assert_fault(result.fault, ERROR_ID_TAKEN);
    assert_true(result.fault.retry_after_s > 0);

    struct caller stranger = fixture_stranger(HOME);
    result = fixture_register(fixture, &stranger, &request);
    assert_fault(result.fault, ERROR_ID_TAKEN);
    assert_true(result.fault.retry_after_s > 0);
    assert_int_equal(index_node_count(fixture->index), 1);
}

static void test_register_expired_id_of_another_is_free(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_advance(fixture, 31000);
    assert_true(fixture_join(fixture, "a", 2).created);
}

static void test_register_token_of_another_node_is_in_use(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    struct caller caller = fixture_node(1);
    struct register_request request = {.id = "b", .listed = true};
    assert_fault(fixture_register(fixture, &caller, &request).fault, ERROR_TOKEN_IN_USE);
    struct caller stranger = fixture_stranger(HOME);
    assert_fault(join_keyed(fixture, &stranger, "b", 1).fault, ERROR_TOKEN_IN_USE);
    assert_false(fixture_has_node(fixture, "b"));

    fixture_leave(fixture, "a", 1);
    assert_fault(fixture_register(fixture, &caller, &request).fault, 0);
}

static void test_register_without_id_brings_back_node_of_token(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    struct caller caller = fixture_node(1);
    struct register_request request = {.listed = true};
    struct registration result = fixture_register(fixture, &caller, &request);
    assert_fault(result.fault, 0);
    assert_false(result.created);
    assert_string_equal(result.id, "a");
    assert_int_equal(index_node_count(fixture->index), 1);
}

static void test_register_without_id_makes_uuid(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = fixture_owner(HOME, 1);
    struct register_request request = {.listed = true};
    struct registration first = fixture_register(fixture, &caller, &request);
    assert_fault(first.fault, 0);
    assert_true(first.created);
    assert_int_equal(strlen(first.id), 36);
    for (size_t i = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23)
            assert_int_equal(first.id[i], '-');
        else
            assert_true(isxdigit((unsigned char)first.id[i]));
    }
    assert_int_equal(first.id[14], '4');

    struct caller other = fixture_stranger(HOME);
    struct registration second = fixture_register(fixture, &other, &request);
    assert_fault(second.fault, 0);
    assert_string_not_equal(first.id, second.id);
    assert_true(second.has_token);
}

static void test_register_bad_id_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = fixture_node(1);
    char longest[LIMIT_ID_CHARS + 2] = {0};
    memset(longest, 'x', LIMIT_ID_CHARS + 1);
    const char *bad[] = {"", "a b", "a/b", "\xc3\xa4", "a\n", "a:b", longest};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct register_request request = {.id = bad[i], .listed = true};
        assert_fault(fixture_register(fixture, &caller, &request).fault, ERROR_BAD_ID);
    }
    assert_int_equal(index_node_count(fixture->index), 0);

    longest[LIMIT_ID_CHARS] = '\0';
    assert_fault(fixture_join(fixture, longest, 1).fault, 0);
    assert_fault(fixture_join(fixture, "AZaz09._-", 2).fault, 0);
}

static void test_register_bad_network_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = fixture_node(1);
    struct register_request request = {.id = "a", .network = "no spaces", .listed = true};
    int error = fixture_register(fixture, &caller, &request).fault.error;
    assert_int_not_equal(error, 0);
    assert_int_equal(error_http_status(error), 400);
}

static void test_register_ttl_is_clamped(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(fixture_join_for(fixture, "a", 1, 1).ttl_s, 5);
    assert_int_equal(fixture_join_for(fixture, "a", 1, 5).ttl_s, 5);
    assert_int_equal(fixture_join_for(fixture, "a", 1, 60).ttl_s, 60);
    assert_int_equal(fixture_join_for(fixture, "a", 1, 7200).ttl_s, 7200);
    assert_int_equal(fixture_join_for(fixture, "a", 1, 1e12).ttl_s, 7200);
    assert_int_equal(fixture_join_for(fixture, "a", 1, -3).ttl_s, 5);
    struct registration result = fixture_join_for(fixture, "a", 1, 0);
    assert_int_equal(result.ttl_s, 30);
    result = fixture_join_for(fixture, "a", 1, 600);
    assert_between(result.heartbeat_after_s, 180.0, 220.0);
}

/* --- keys ------------------------------------------------------------------------------------ */

static void close_to_strangers(struct fixture *fixture)
{
    fixture->config.open = false;
    fixture_restart(fixture);
}

static void test_register_with_key_joins_its_network(void **state)
{
    struct fixture *fixture = *state;
    close_to_strangers(fixture);
    struct caller member = fixture_keyed(HOME, "blue", false);
    struct registration result = join_keyed(fixture, &member, "a", 1);
    assert_fault(result.fault, 0);
    assert_string_equal(result.network, "blue");

    struct register_request request = {.id = "b", .network = "red", .listed = true};
    assert_fault(fixture_register(fixture, &member, &request).fault, ERROR_OTHER_NETWORK);
    request.network = "blue";
    assert_fault(fixture_register(fixture, &member, &request).fault, 0);
}

static void test_register_at_keyed_index_needs_credential(void **state)
{
    struct fixture *fixture = *state;
    close_to_strangers(fixture);
    struct caller stranger = fixture_stranger(HOME);
    struct register_request request = {.id = "a", .listed = true};
    assert_fault(fixture_register(fixture, &stranger, &request).fault, ERROR_NO_CREDENTIAL);

    struct caller unknown = fixture_owner(HOME, 9);
    struct registration result = fixture_register(fixture, &unknown, &request);
    assert_int_not_equal(result.fault.error, 0);
    assert_int_equal(index_node_count(fixture->index), 0);
}

static void test_register_node_token_admits_to_its_network(void **state)
{
    struct fixture *fixture = *state;
    close_to_strangers(fixture);
    struct caller member = fixture_keyed(HOME, "blue", false);
    assert_fault(join_keyed(fixture, &member, "a", 1).fault, 0);
    struct caller owner = fixture_owner(HOME, 1);
    struct register_request request = {.id = "a", .listed = true};
    struct registration result = fixture_register(fixture, &owner, &request);
    assert_fault(result.fault, 0);
    assert_false(result.created);
    assert_string_equal(result.network, "blue");
}

/* --- caps ------------------------------------------------------------------------------------ */

static void test_register_past_cap_of_address_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.max_nodes_per_address = 2;
    fixture_restart(fixture);
    struct caller caller = fixture_stranger(HOME);
    assert_fault(join_keyed(fixture, &caller, "a", 1).fault, 0);
    assert_fault(join_keyed(fixture, &caller, "b", 2).fault, 0);
    struct registration third = join_keyed(fixture, &caller, "c", 3);
    assert_fault(third.fault, ERROR_TOO_MANY_NODES);
    assert_true(third.fault.retry_after_s > 0);

    struct caller other = fixture_stranger(ELSEWHERE);
    assert_fault(join_keyed(fixture, &other, "d", 4).fault, 0);
    assert_fault(join_keyed(fixture, &caller, "a", 1).fault, 0);
    struct caller exempt = caller;
    exempt.exempt = true;
    assert_fault(join_keyed(fixture, &exempt, "e", 5).fault, 0);

    struct caller owner = fixture_owner(HOME, 1);
    assert_fault(fixture_remove(fixture, &owner, NULL, "a").fault, 0);
    assert_fault(join_keyed(fixture, &caller, "c", 3).fault, 0);
    fixture_advance(fixture, 31000);
    assert_fault(join_keyed(fixture, &caller, "f", 6).fault, 0);
    assert_fault(join_keyed(fixture, &caller, "g", 7).fault, 0);
}

static void test_register_cap_of_address_counts_ipv6_by_56_bits(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.max_nodes_per_address = 2;
    fixture_restart(fixture);
    struct caller one = fixture_stranger("2001:db8:0:1::1");
    struct caller two = fixture_stranger("2001:db8:0:2::1");
    struct caller far = fixture_stranger("2001:db8:0:100::1");
    assert_fault(join_keyed(fixture, &one, "a", 1).fault, 0);
    assert_fault(join_keyed(fixture, &two, "b", 2).fault, 0);
    assert_fault(join_keyed(fixture, &one, "c", 3).fault, ERROR_TOO_MANY_NODES);
    assert_fault(join_keyed(fixture, &far, "c", 3).fault, 0);
}

static void test_register_past_cap_in_all_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.max_nodes = 2;
    fixture_restart(fixture);
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    struct caller caller = fixture_node(3);
    struct register_request request = {.id = "c", .listed = true};
    struct registration third = fixture_register(fixture, &caller, &request);
    assert_fault(third.fault, ERROR_INDEX_FULL);
    assert_true(third.fault.retry_after_s > 0);
    assert_false(fixture_join(fixture, "a", 1).created);
    fixture_leave(fixture, "a", 1);
    assert_fault(fixture_register(fixture, &caller, &request).fault, 0);
}

/* --- heartbeats ------------------------------------------------------------------------------ */

static void test_heartbeat_tells_lease_and_mail(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "a", 1, 60);
    fixture_join_for(fixture, "b", 2, 60);
    struct caller caller = fixture_node(1);
    struct heartbeat_request request = {0};
    struct beat beat = fixture_heartbeat(fixture, &caller, &request);
    assert_fault(beat.fault, 0);
    assert_int_equal(beat.result.ttl_s, 60);
    assert_between(beat.result.heartbeat_after_s, 18.0, 22.0);
    assert_int_equal(beat.result.mail, 0);
    assert_true(cursor_equal(beat.result.cursor, fixture_cursor(fixture, NULL)));

    fixture_offer(fixture, 2, "a", "m1");
    fixture_offer(fixture, 2, "a", "m2");
    assert_int_equal(fixture_heartbeat(fixture, &caller, &request).result.mail, 2);
    struct watch *watch = fixture_read(fixture, 1);
    fixture_acknowledge(fixture, 1, watch->result.next);
    assert_int_equal(fixture_heartbeat(fixture, &caller, &request).result.mail, 0);
}

static void test_heartbeat_changes_what_it_gives(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = fixture_node(1);
    const char *endpoints[] = {"grpc://:1"};
    struct register_request request = {.id = "a",
        .endpoints = endpoints,
        .endpoint_count = 1,
        .meta = "{\"x\":1}",
        .reach = "{\"y\":1}",
        .listed = true};
    fixture_register(fixture, &caller, &request);
    struct heartbeat_request heartbeat = {.meta = "{\"x\":2}"};
    assert_fault(fixture_heartbeat(fixture, &caller, &heartbeat).fault, 0);
    struct watch *watch = fixture_get_node(fixture, &caller, NULL, "a");
    assert_string_equal(watch->nodes[0].meta, "{\"x\":2}");
    assert_string_equal(watch->nodes[0].reach, "{\"y\":1}");
    assert_string_equal(watch->nodes[0].endpoints, "grpc://203.0.113.1:1");

    heartbeat = (struct heartbeat_request){.has_endpoints = true, .reach = "{\"y\":2}"};
    assert_fault(fixture_heartbeat(fixture, &caller, &heartbeat).fault, 0);
    watch = fixture_get_node(fixture, &caller, NULL, "a");
    assert_string_equal(watch->nodes[0].meta, "{\"x\":2}");
    assert_string_equal(watch->nodes[0].reach, "{\"y\":2}");
    assert_string_equal(watch->nodes[0].endpoints, "");
}

static void test_heartbeat_with_bad_endpoint_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    struct cursor before = fixture_cursor(fixture, NULL);
    struct caller caller = fixture_node(1);
    const char *endpoints[] = {"grpc://224.0.0.1:1"};
    struct heartbeat_request heartbeat = {
        .has_endpoints = true, .endpoints = endpoints, .endpoint_count = 1, .meta = "{\"x\":2}"};
    assert_fault(fixture_heartbeat(fixture, &caller, &heartbeat).fault, ERROR_BAD_ENDPOINT);
    struct watch *watch = fixture_get_node(fixture, &caller, NULL, "a");
    assert_string_equal(watch->nodes[0].meta, "{}");
    assert_string_equal(watch->nodes[0].endpoints, "");
    assert_true(cursor_equal(before, fixture_cursor(fixture, NULL)));
}

static void test_heartbeat_without_token_needs_credential(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    struct caller stranger = fixture_stranger(HOME);
    struct heartbeat_request request = {.id = "a"};
    struct beat beat = fixture_heartbeat(fixture, &stranger, &request);
    assert_fault(beat.fault, ERROR_NO_CREDENTIAL);
}

static void test_heartbeat_of_unknown_token_asks_to_register(void **state)
{
    struct fixture *fixture = *state;
    struct caller unknown = fixture_node(9);
    struct heartbeat_request request = {0};
    struct beat beat = fixture_heartbeat(fixture, &unknown, &request);
    assert_fault(beat.fault, ERROR_UNKNOWN_NODE);
    assert_action(beat.fault, "register");

    fixture_join(fixture, "a", 1);
    fixture_advance(fixture, 31000);
    struct caller late = fixture_node(1);
    beat = fixture_heartbeat(fixture, &late, &request);
    assert_fault(beat.fault, ERROR_UNKNOWN_NODE);
    assert_action(beat.fault, "register");
}

static void test_heartbeat_with_id_of_another_is_not_yours(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    struct caller caller = fixture_node(1);
    struct heartbeat_request request = {.id = "b"};
    assert_fault(fixture_heartbeat(fixture, &caller, &request).fault, ERROR_NOT_YOURS);
    request.id = "nobody";
    struct beat beat = fixture_heartbeat(fixture, &caller, &request);
    assert_int_not_equal(beat.fault.error, 0);
    assert_between(error_http_status(beat.fault.error), 400, 404);
    assert_null(beat.fault.action);
}

/* --- one node by id, removal ----------------------------------------------------------------- */

static void test_get_node_unknown_id_has_no_action(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    struct caller callers[] = {fixture_stranger(HOME), fixture_node(1)};
    for (size_t i = 0; i < 2; i++) {
        assert_fault(fixture_get_node(fixture, &callers[i], NULL, "a")->fault, 0);
        struct watch *watch = fixture_get_node(fixture, &callers[i], NULL, "b");
        assert_fault(watch->fault, ERROR_UNKNOWN_NODE);
        assert_null(watch->fault.action);
    }
}

static void test_get_node_unknown_token_asks_to_register(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    struct caller unknown = fixture_node(9);
    struct watch *watch = fixture_get_node(fixture, &unknown, NULL, "a");
    assert_fault(watch->fault, ERROR_UNKNOWN_NODE);
    assert_action(watch->fault, "register");
}

static void test_get_node_tells_age_and_expiry(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_advance(fixture, 3000);
    struct caller caller = fixture_stranger(HOME);
    struct watch *watch = fixture_get_node(fixture, &caller, NULL, "a");
    assert_between(watch->nodes[0].age_s, 2.99, 3.01);
    assert_between(watch->nodes[0].expires_in_s, 26.99, 27.01);
}

static void test_get_node_at_keyed_index_needs_credential(void **state)
{
    struct fixture *fixture = *state;
    close_to_strangers(fixture);
    struct caller member = fixture_keyed(HOME, "blue", false);
    assert_fault(join_keyed(fixture, &member, "a", 1).fault, 0);
    struct caller stranger = fixture_stranger(HOME);
    struct watch *watch = fixture_get_node(fixture, &stranger, "blue", "a");
    assert_fault(watch->fault, ERROR_NO_CREDENTIAL);
    assert_fault(fixture_get_node(fixture, &member, NULL, "a")->fault, 0);
    struct caller other = fixture_keyed(HOME, "red", false);
    assert_fault(fixture_get_node(fixture, &other, NULL, "a")->fault, ERROR_UNKNOWN_NODE);
    assert_fault(fixture_get_node(fixture, &other, "blue", "a")->fault, ERROR_OTHER_NETWORK);
}

static void test_remove_node_by_owner_removes_it(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_leave(fixture, "a", 1);
    assert_false(fixture_has_node(fixture, "a"));
    assert_int_equal(index_node_count(fixture->index), 0);
    struct caller caller = fixture_node(1);
    struct outcome outcome = fixture_remove(fixture, &caller, NULL, "a");
    assert_fault(outcome.fault, ERROR_UNKNOWN_NODE);
    assert_action(outcome.fault, "register");
}

static void test_remove_node_of_another_is_not_yours(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    fixture_join(fixture, "b", 2);
    struct caller other = fixture_node(2);
    assert_fault(fixture_remove(fixture, &other, NULL, "a").fault, ERROR_NOT_YOURS);
    struct caller stranger = fixture_stranger(HOME);
    assert_fault(fixture_remove(fixture, &stranger, NULL, "a").fault, ERROR_NO_CREDENTIAL);
    assert_true(fixture_has_node(fixture, "a"));

    struct outcome outcome = fixture_remove(fixture, &other, NULL, "nobody");
    assert_fault(outcome.fault, ERROR_UNKNOWN_NODE);
    assert_null(outcome.fault.action);
}

static void test_remove_node_by_key_needs_operator(void **state)
{
    struct fixture *fixture = *state;
    close_to_strangers(fixture);
    struct caller member = fixture_keyed(HOME, "blue", false);
    struct caller operator_ = fixture_keyed(HOME, "blue", true);
    struct caller foreign = fixture_keyed(HOME, "red", true);
    assert_fault(join_keyed(fixture, &member, "a", 1).fault, 0);
    assert_fault(fixture_remove(fixture, &member, NULL, "a").fault, ERROR_NOT_YOURS);
    assert_fault(fixture_remove(fixture, &foreign, NULL, "a").fault, ERROR_UNKNOWN_NODE);
    assert_fault(fixture_remove(fixture, &foreign, "blue", "a").fault, ERROR_OTHER_NETWORK);
    assert_int_equal(index_node_count(fixture->index), 1);
    assert_fault(fixture_remove(fixture, &operator_, NULL, "a").fault, 0);
    assert_int_equal(index_node_count(fixture->index), 0);
    struct outcome outcome = fixture_remove(fixture, &operator_, NULL, "a");
    assert_fault(outcome.fault, ERROR_UNKNOWN_NODE);
    assert_null(outcome.fault.action);
}

static void test_index_loaded_is_ready(void **state)
{
    struct fixture *fixture = *state;
    struct outcome outcome = {0};
    index_check_ready(fixture->index, fixture_on_done, &outcome);
    fixture_flush(fixture);
    assert_int_equal(outcome.calls, 1);
    assert_fault(outcome.fault, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_of_43_base64url_characters_is_well_formed),
        cmocka_unit_test(test_token_hash_is_sha256),
        FIXTURE_TEST(test_register_new_node_creates_it),
        FIXTURE_TEST(test_register_without_token_makes_one_that_owns_the_node),
        FIXTURE_TEST(test_register_with_token_in_body_adopts_it),
        FIXTURE_TEST(test_register_with_token_of_caller_adopts_it),
        FIXTURE_TEST(test_register_token_in_body_wins_over_that_of_caller),
        FIXTURE_TEST(test_register_malformed_token_is_refused),
        FIXTURE_TEST(test_register_owner_back_is_not_created_again),
        FIXTURE_TEST(test_register_owner_back_replaces_everything),
        FIXTURE_TEST(test_register_live_id_of_another_is_taken),
        FIXTURE_TEST(test_register_expired_id_of_another_is_free),
        FIXTURE_TEST(test_register_token_of_another_node_is_in_use),
        FIXTURE_TEST(test_register_without_id_brings_back_node_of_token),
        FIXTURE_TEST(test_register_without_id_makes_uuid),
        FIXTURE_TEST(test_register_bad_id_is_refused),
        FIXTURE_TEST(test_register_bad_network_is_refused),
        FIXTURE_TEST(test_register_ttl_is_clamped),
        FIXTURE_TEST(test_register_with_key_joins_its_network),
        FIXTURE_TEST(test_register_at_keyed_index_needs_credential),
        FIXTURE_TEST(test_register_node_token_admits_to_its_network),
        FIXTURE_TEST(test_register_past_cap_of_address_is_refused),
        FIXTURE_TEST(test_register_cap_of_address_counts_ipv6_by_56_bits),
        FIXTURE_TEST(test_register_past_cap_in_all_is_refused),
        FIXTURE_TEST(test_heartbeat_tells_lease_and_mail),
        FIXTURE_TEST(test_heartbeat_changes_what_it_gives),
        FIXTURE_TEST(test_heartbeat_with_bad_endpoint_changes_nothing),
        FIXTURE_TEST(test_heartbeat_without_token_needs_credential),
        FIXTURE_TEST(test_heartbeat_of_unknown_token_asks_to_register),
        FIXTURE_TEST(test_heartbeat_with_id_of_another_is_not_yours),
        FIXTURE_TEST(test_get_node_unknown_id_has_no_action),
        FIXTURE_TEST(test_get_node_unknown_token_asks_to_register),
        FIXTURE_TEST(test_get_node_tells_age_and_expiry),
        FIXTURE_TEST(test_get_node_at_keyed_index_needs_credential),
        FIXTURE_TEST(test_remove_node_by_owner_removes_it),
        FIXTURE_TEST(test_remove_node_of_another_is_not_yours),
        FIXTURE_TEST(test_remove_node_by_key_needs_operator),
        FIXTURE_TEST(test_index_loaded_is_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
