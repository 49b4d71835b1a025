/* Cursors: their text, what moves them, and that of a network that has never had a node. */
#include "index_fixture.h"

#include <stdio.h>
#include <string.h>

/* --- text ------------------------------------------------------------------------------------ */

static void test_cursor_format_gives_16_digits_and_number(void **state)
{
    (void)state;
    char text[CURSOR_TEXT_SIZE];
    struct cursor cursor = {.epoch = 0x9f2c0000000000abULL, .seq = 17};
    assert_string_equal(cursor_format(&cursor, text), "9f2c0000000000ab.17");
    cursor = (struct cursor){.epoch = 1, .seq = 0};
    assert_string_equal(cursor_format(&cursor, text), "0000000000000001.0");
    cursor = (struct cursor){.epoch = UINT64_MAX, .seq = UINT64_MAX};
    assert_string_equal(cursor_format(&cursor, text), "ffffffffffffffff.18446744073709551615");
}

static void test_cursor_parse_reads_what_format_writes(void **state)
{
    (void)state;
    const struct cursor cursors[] = {
        {0, 0}, {1, 1}, {0x9f2c0000000000abULL, 17}, {UINT64_MAX, UINT64_MAX >> 1}};
    for (size_t i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
        char text[CURSOR_TEXT_SIZE];
        struct cursor parsed = {.epoch = 42, .seq = 42};
        assert_true(cursor_parse(cursor_format(&cursors[i], text), &parsed));
        assert_true(cursor_equal(parsed, cursors[i]));
    }
}

static void test_cursor_parse_refuses_all_else(void **state)
{
    (void)state;
    const char *bad[] = {"", ".", "17", "9f2c0000000000ab", "9f2c0000000000ab.", ".17",
        "9f2c0000000000ab.-1", "9f2c0000000000ab.+1", "9f2c0000000000ab. 1", "9f2c0000000000ab.1 ",
        "9f2c0000000000ab.1x", "9f2c0000000000ab.1.2", "9f2c0000000000abc.1", " 9f2c0000000000ab.1",
        "xf2c0000000000ab.1", "0x2c0000000000ab.1", "-f2c0000000000ab.1",
        "9f2c0000000000ab.18446744073709551616", "9f2c0000000000ab.99999999999999999999",
        "9f2c0000000000ab.100000000000000000000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct cursor cursor = {.epoch = 42, .seq = 42};
        assert_false(cursor_parse(bad[i], &cursor));
        assert_true(cursor.epoch == 42 && cursor.seq == 42);
    }
}

/* --- what moves it --------------------------------------------------------------------------- */

static struct registration register_with_meta(
    struct fixture *fixture, const char *meta, double ttl_s)
{
    const char *endpoints[] = {"grpc://:1", "udp://:2"};
    struct caller caller = fixture_node(1);
    struct register_request request = {.id = "a",
        .endpoints = endpoints,
        .endpoint_count = 2,
        .meta = meta,
        .ttl_s = ttl_s,
        .listed = true};
    struct registration result = fixture_register(fixture, &caller, &request);
    assert_fault(result.fault, 0);
    return result;
}

static void test_cursor_heartbeat_without_change_leaves_it(void **state)
{
    struct fixture *fixture = *state;
    struct cursor first = register_with_meta(fixture, "{\"x\":1}", 0).cursor;
    struct caller caller = fixture_node(1);
    struct heartbeat_request request = {0};
    for (int i = 0; i < 5; i++) {
        fixture_advance(fixture, 10000);
        struct beat beat = fixture_heartbeat(fixture, &caller, &request);
        assert_fault(beat.fault, 0);
        assert_true(cursor_equal(beat.result.cursor, first));
    }
    const char *endpoints[] = {"grpc://:1", "udp://:2"};
    request = (struct heartbeat_request){.has_endpoints = true,
        .endpoints = endpoints,
        .endpoint_count = 2,
        .meta = "{\"x\":1}",
        .reach = "{}"};
    assert_true(cursor_equal(fixture_heartbeat(fixture, &caller, &request).result.cursor, first));
    assert_true(cursor_equal(fixture_cursor(fixture, NULL), first));
}

static void test_cursor_heartbeat_with_change_moves_it(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = register_with_meta(fixture, "{\"x\":1}", 0).cursor;
    struct caller caller = fixture_node(1);
    const char *endpoints[] = {"grpc://:1"};
    const struct heartbeat_request requests[] = {{.meta = "{\"x\":2}"}, {.reach = "{\"y\":1}"},
        {.has_endpoints = true, .endpoints = endpoints, .endpoint_count = 1},
        {.has_endpoints = true}};
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct beat beat = fixture_heartbeat(fixture, &caller, &requests[i]);
        assert_fault(beat.fault, 0);
        assert_true(beat.result.cursor.epoch == before.epoch);
        assert_true(beat.result.cursor.seq > before.seq);
        assert_true(cursor_equal(fixture_cursor(fixture, NULL), beat.result.cursor));
        before = beat.result.cursor;
    }
}

static void test_cursor_identical_registration_leaves_it(void **state)
{
    struct fixture *fixture = *state;
    struct cursor first = register_with_meta(fixture, "{\"x\":1}", 0).cursor;
    fixture_advance(fixture, 2000);
    assert_true(cursor_equal(register_with_meta(fixture, "{\"x\":1}", 0).cursor, first));
    assert_true(cursor_equal(fixture_cursor(fixture, NULL), first));
    /* How long its lease is, others do not see as a change. */
    assert_true(cursor_equal(register_with_meta(fixture, "{\"x\":1}", 100).cursor, first));

    struct cursor moved = register_with_meta(fixture, "{\"x\":2}", 0).cursor;
    assert_true(moved.seq > first.seq);
    assert_true(cursor_equal(fixture_cursor(fixture, NULL), moved));
}

static void test_cursor_coming_and_going_move_it(void **state)
{
    struct fixture *fixture = *state;
    struct cursor first = fixture_join(fixture, "a", 1).cursor;
    struct cursor second = fixture_join(fixture, "b", 2).cursor;
    assert_true(second.epoch == first.epoch);
    assert_true(second.seq > first.seq);
    fixture_leave(fixture, "a", 1);
    struct cursor third = fixture_cursor(fixture, NULL);
    assert_true(third.epoch == first.epoch);
    assert_true(third.seq > second.seq);
    fixture_advance(fixture, 31000);
    assert_true(fixture_cursor(fixture, NULL).seq > third.seq);
}

static void test_cursor_mail_leaves_it(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    struct cursor before = fixture_join(fixture, "b", 2).cursor;
    fixture_offer(fixture, 1, "b", "m1");
    fixture_acknowledge(fixture, 2, fixture_read(fixture, 2)->result.next);
    assert_true(cursor_equal(fixture_cursor(fixture, NULL), before));
}

static void test_cursor_of_one_network_ignores_another(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = fixture_join(fixture, "a", 1).cursor;
    struct caller caller = fixture_node(2);
    struct register_request request = {.id = "a", .network = "red", .listed = true};
    struct registration red = fixture_register(fixture, &caller, &request);
    assert_fault(red.fault, 0);
    assert_true(cursor_equal(fixture_cursor(fixture, NULL), before));
    assert_true(red.cursor.epoch != before.epoch);
}

/* --- a network that has never had a node ----------------------------------------------------- */

static void test_cursor_of_empty_network_is_stable(void **state)
{
    struct fixture *fixture = *state;
    struct watch *watch = fixture_list(fixture, "empty");
    assert_string_equal(watch->network, "empty");
    assert_string_equal(watch_told(watch), "");
    struct cursor first = watch->result.cursor;
    fixture_advance(fixture, 5000);
    fixture_join(fixture, "a", 1);
    assert_true(cursor_equal(fixture_cursor(fixture, "empty"), first));
    watch = fixture_changes(fixture, "empty", first, 10);
    assert_false(watch->result.reset);
    assert_string_equal(watch_told(watch), "");
    assert_true(cursor_equal(watch->result.cursor, first));
    fixture_restart(fixture);
    assert_true(cursor_equal(fixture_cursor(fixture, "empty"), first));
}

static void test_cursor_of_empty_network_is_valid_when_first_node_comes(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = fixture_cursor(fixture, "empty");
    struct caller caller = fixture_node(1);
    struct register_request request = {.id = "a", .network = "empty", .listed = true};
    struct registration result = fixture_register(fixture, &caller, &request);
    assert_true(result.cursor.epoch == before.epoch);
    struct watch *watch = fixture_changes(fixture, "empty", before, 10);
    assert_false(watch->result.reset);
    assert_string_equal(watch_told(watch), "+a ");
    assert_true(cursor_equal(watch->result.cursor, result.cursor));
}

static void test_cursor_of_empty_network_is_waited_on(void **state)
{
    struct fixture *fixture = *state;
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct poll_request poll = poll_changes(fixture_cursor(fixture, "empty"), 30);
    poll.network = "empty";
    struct watch *watch = fixture_poll(fixture, &stranger, &poll);
    assert_int_equal(watch->calls, 0);
    struct caller caller = fixture_node(1);
    struct register_request request = {.id = "a", .network = "empty", .listed = true};
    fixture_register(fixture, &caller, &request);
    fixture_settle(fixture);
    assert_int_equal(watch->calls, 1);
    assert_false(watch->result.reset);
    assert_string_equal(watch_told(watch), "+a ");
}

static void test_cursor_of_empty_network_does_not_fit_another(void **state)
{
    struct fixture *fixture = *state;
    struct cursor one = fixture_cursor(fixture, "one");
    struct cursor two = fixture_cursor(fixture, "two");
    assert_true(one.epoch != two.epoch);
    assert_true(fixture_changes(fixture, "two", one, 10)->result.reset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursor_format_gives_16_digits_and_number),
        cmocka_unit_test(test_cursor_parse_reads_what_format_writes),
        cmocka_unit_test(test_cursor_parse_refuses_all_else),
        FIXTURE_TEST(test_cursor_heartbeat_without_change_leaves_it),
        FIXTURE_TEST(test_cursor_heartbeat_with_change_moves_it),
        FIXTURE_TEST(test_cursor_identical_registration_leaves_it),
        FIXTURE_TEST(test_cursor_coming_and_going_move_it),
        FIXTURE_TEST(test_cursor_mail_leaves_it),
        FIXTURE_TEST(test_cursor_of_one_network_ignores_another),
        FIXTURE_TEST(test_cursor_of_empty_network_is_stable),
        FIXTURE_TEST(test_cursor_of_empty_network_is_valid_when_first_node_comes),
        FIXTURE_TEST(test_cursor_of_empty_network_is_waited_on),
        FIXTURE_TEST(test_cursor_of_empty_network_does_not_fit_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
