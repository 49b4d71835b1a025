/* Lists: the whole one in pages, what changed, who is gone, resets, tombstones, filters. */
#include "index_fixture.h"

#include <stdio.h>
#include <string.h>

static struct cursor join_letters(struct fixture *fixture, unsigned count)
{
    struct cursor cursor = {0};
    for (unsigned i = 0; i < count; i++) {
        const char id[] = {(char)('a' + i), '\0'};
        cursor = fixture_join_for(fixture, id, i + 1, LIMIT_TTL_MAX_S).cursor;
    }
    return cursor;
}

static void set_listed(struct fixture *fixture, const char *id, unsigned number, bool listed)
{
    struct caller caller = fixture_node(number);
    struct register_request request = {.id = id, .listed = listed};
    assert_fault(fixture_register(fixture, &caller, &request).fault, 0);
}

static void set_meta(struct fixture *fixture, unsigned number, const char *meta)
{
    struct caller caller = fixture_node(number);
    struct heartbeat_request request = {.meta = meta};
    assert_fault(fixture_heartbeat(fixture, &caller, &request).fault, 0);
}

/* --- the whole list -------------------------------------------------------------------------- */

static void test_list_whole_is_by_id(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "c", 1);
    fixture_join(fixture, "a", 2);
    struct cursor last = fixture_join(fixture, "b", 3).cursor;
    struct watch *watch = fixture_list(fixture, NULL);
    assert_string_equal(watch_told(watch), "+a +b +c ");
    assert_string_equal(watch->network, "default");
    assert_false(watch->result.reset);
    assert_false(watch->result.more);
    assert_true(cursor_equal(watch->result.cursor, last));
    struct caller owner = fixture_node(2);
    assert_true(address_equal(&watch->nodes[0].observed_ipv4, &owner.address));
    assert_true(watch->nodes[0].registered_wall_ms == fixture->wall_ms);
    assert_between(watch->nodes[0].expires_in_s, 29.0, 30.0);
}

static void test_list_whole_comes_in_pages(void **state)
{
    struct fixture *fixture = *state;
    join_letters(fixture, 5);
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct poll_request request = poll_list();
    request.list_limit = 2;
    struct watch *first = fixture_poll(fixture, &stranger, &request);
    assert_string_equal(watch_told(first), "+a +b ");
    assert_true(first->result.more);
    request.after_id = "b";
    struct watch *second = fixture_poll(fixture, &stranger, &request);
    assert_string_equal(watch_told(second), "+c +d ");
    assert_true(second->result.more);
    request.after_id = "d";
    struct watch *third = fixture_poll(fixture, &stranger, &request);
    assert_string_equal(watch_told(third), "+e ");
    assert_false(third->result.more);
    request.after_id = "e";
    struct watch *fourth = fixture_poll(fixture, &stranger, &request);
    assert_string_equal(watch_told(fourth), "");
    assert_false(fourth->result.more);
}

static void test_list_page_that_ends_with_the_list_has_no_more(void **state)
{
    struct fixture *fixture = *state;
    join_letters(fixture, 2);
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct poll_request request = poll_list();
    request.list_limit = 2;
    struct watch *watch = fixture_poll(fixture, &stranger, &request);
    assert_string_equal(watch_told(watch), "+a +b ");
    assert_false(watch->result.more);
}

static void test_list_after_id_that_left_goes_on_behind_it(void **state)
{
    struct fixture *fixture = *state;
    join_letters(fixture, 4);
    fixture_leave(fixture, "b", 2);
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct poll_request request = poll_list();
    request.after_id = "b";
    assert_string_equal(watch_told(fixture_poll(fixture, &stranger, &request)), "+c +d ");
}

static void test_list_cursor_of_first_page_misses_nothing(void **state)
{
    struct fixture *fixture = *state;
    join_letters(fixture, 4);
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct poll_request request = poll_list();
    request.list_limit = 2;
    struct cursor first = fixture_poll(fixture, &stranger, &request)->result.cursor;
    set_meta(fixture, 1, "{\"x\":1}");
    fixture_leave(fixture, "d", 4);
    fixture_join(fixture, "aa", 9);
    assert_string_equal(watch_told(fixture_changes(fixture, NULL, first, 10)), "+a -d +aa ");
}

static void test_list_page_ended_by_visitor_goes_on_behind(void **state)
{
    struct fixture *fixture = *state;
    join_letters(fixture, 3);
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct poll_request request = poll_list();
    struct watch *watch = fixture_poll_matching(fixture, &stranger, &request, NULL, 2);
    assert_string_equal(watch_told(watch), "+a +b ");
    assert_true(watch->result.more);
}

static void test_list_of_strangers_is_refused_at_keyed_index(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.open = false;
    fixture_restart(fixture);
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct poll_request request = poll_list();
    struct watch *watch = fixture_poll(fixture, &stranger, &request);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, ERROR_NO_CREDENTIAL);
    struct caller member = fixture_keyed("198.51.100.99", "blue", false);
    watch = fixture_poll(fixture, &member, &request);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, 0);
    assert_string_equal(watch->network, "blue");
    request.network = "red";
    watch = fixture_poll(fixture, &member, &request);
    assert_fault(watch->fault, ERROR_OTHER_NETWORK);
}

/* --- changes --------------------------------------------------------------------------------- */

static void test_list_changes_come_in_order_of_sequence(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = join_letters(fixture, 4);
    set_meta(fixture, 3, "{\"x\":1}");
    fixture_leave(fixture, "b", 2);
    set_meta(fixture, 1, "{\"x\":1}");
    struct cursor last = fixture_join(fixture, "e", 5).cursor;
    struct watch *watch = fixture_changes(fixture, NULL, before, 100);
    assert_string_equal(watch_told(watch), "+c -b +a +e ");
    assert_true(cursor_equal(watch->result.cursor, last));
    assert_false(watch->result.reset);
    assert_false(watch->result.more);
    assert_true(watch->result.list_changed);
}

static void test_list_changes_name_a_node_once_where_it_last_changed(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = join_letters(fixture, 2);
    set_meta(fixture, 1, "{\"x\":1}");
    set_meta(fixture, 2, "{\"x\":1}");
    set_meta(fixture, 1, "{\"x\":2}");
    struct watch *watch = fixture_changes(fixture, NULL, before, 100);
    assert_string_equal(watch_told(watch), "+b +a ");
    assert_string_equal(watch->nodes[1].meta, "{\"x\":2}");
}

static void test_list_changes_come_in_pages(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = fixture_cursor(fixture, NULL);
    struct cursor last = join_letters(fixture, 5);
    struct watch *first = fixture_changes(fixture, NULL, before, 2);
    assert_string_equal(watch_told(first), "+a +b ");
    assert_true(first->result.more);
    assert_true(first->result.cursor.seq < last.seq);
    struct watch *second = fixture_changes(fixture, NULL, first->result.cursor, 2);
    assert_string_equal(watch_told(second), "+c +d ");
    assert_true(second->result.more);
    struct watch *third = fixture_changes(fixture, NULL, second->result.cursor, 2);
    assert_string_equal(watch_told(third), "+e ");
    assert_false(third->result.more);
    assert_true(cursor_equal(third->result.cursor, last));
}

static void test_list_changes_page_ended_by_visitor_goes_on_behind(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = fixture_cursor(fixture, NULL);
    join_letters(fixture, 3);
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct poll_request request = poll_changes(before, 0);
    struct watch *watch = fixture_poll_matching(fixture, &stranger, &request, NULL, 2);
    assert_string_equal(watch_told(watch), "+a +b ");
    assert_true(watch->result.more);
    watch = fixture_changes(fixture, NULL, watch->result.cursor, 10);
    assert_string_equal(watch_told(watch), "+c ");
    assert_false(watch->result.more);
}

static void test_list_without_changes_is_empty(void **state)
{
    struct fixture *fixture = *state;
    struct cursor now = join_letters(fixture, 2);
    struct watch *watch = fixture_changes(fixture, NULL, now, 10);
    assert_string_equal(watch_told(watch), "");
    assert_true(cursor_equal(watch->result.cursor, now));
    assert_false(watch->result.list_changed);
    assert_false(watch->result.reset);
}

static void test_list_node_that_came_back_is_not_gone(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = join_letters(fixture, 2);
    fixture_leave(fixture, "a", 1);
    assert_string_equal(watch_told(fixture_changes(fixture, NULL, before, 10)), "-a ");
    fixture_join(fixture, "a", 1);
    assert_string_equal(watch_told(fixture_changes(fixture, NULL, before, 10)), "+a ");
    fixture_leave(fixture, "a", 1);
    assert_string_equal(watch_told(fixture_changes(fixture, NULL, before, 10)), "-a ");
}

static void test_list_expired_node_is_gone(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = fixture_join(fixture, "a", 1).cursor;
    fixture_advance(fixture, 31000);
    assert_string_equal(watch_told(fixture_changes(fixture, NULL, before, 10)), "-a ");
    assert_string_equal(watch_told(fixture_list(fixture, NULL)), "");
}

/* --- unlisted nodes, networks ---------------------------------------------------------------- */

static void test_list_unlisted_node_is_in_no_list(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = fixture_join(fixture, "a", 1).cursor;
    set_listed(fixture, "b", 2, false);
    assert_true(fixture_has_node(fixture, "b"));
    assert_string_equal(watch_told(fixture_list(fixture, NULL)), "+a ");
    struct watch *watch = fixture_changes(fixture, NULL, before, 10);
    assert_string_equal(watch_told(watch), "");
    assert_true(cursor_equal(watch->result.cursor, before));
    set_meta(fixture, 2, "{\"x\":1}");
    fixture_leave(fixture, "b", 2);
    watch = fixture_changes(fixture, NULL, before, 10);
    assert_string_equal(watch_told(watch), "");
    assert_true(cursor_equal(watch->result.cursor, before));
}

static void test_list_node_that_becomes_unlisted_is_gone(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = join_letters(fixture, 2);
    set_listed(fixture, "a", 1, false);
    assert_string_equal(watch_told(fixture_changes(fixture, NULL, before, 10)), "-a ");
    assert_string_equal(watch_told(fixture_list(fixture, NULL)), "+b ");
    assert_true(fixture_has_node(fixture, "a"));
    set_listed(fixture, "a", 1, true);
    assert_string_equal(watch_told(fixture_changes(fixture, NULL, before, 10)), "+a ");
    assert_string_equal(watch_told(fixture_list(fixture, NULL)), "+a +b ");
}

static void test_list_networks_are_isolated(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = fixture_join(fixture, "a", 1).cursor;
    struct caller red = fixture_node(2);
    struct register_request request = {
        .id = "a", .network = "red", .meta = "{\"in\":\"red\"}", .listed = true};
    struct registration result = fixture_register(fixture, &red, &request);
    assert_fault(result.fault, 0);
    assert_true(result.created);
    assert_string_equal(result.network, "red");
    assert_string_equal(watch_told(fixture_changes(fixture, NULL, before, 10)), "");
    struct watch *watch = fixture_list(fixture, "red");
    assert_string_equal(watch_told(watch), "+a ");
    assert_string_equal(watch->nodes[0].meta, "{\"in\":\"red\"}");
    struct caller stranger = fixture_stranger("198.51.100.99");
    watch = fixture_get_node(fixture, &stranger, "red", "a");
    assert_string_equal(watch->nodes[0].meta, "{\"in\":\"red\"}");
    watch = fixture_get_node(fixture, &stranger, NULL, "a");
    assert_string_equal(watch->nodes[0].meta, "{}");

    /* A node's token stands for its network. */
    watch = fixture_get_node(fixture, &red, NULL, "a");
    assert_string_equal(watch->nodes[0].meta, "{\"in\":\"red\"}");
    assert_fault(fixture_remove(fixture, &red, NULL, "a").fault, 0);
    assert_string_equal(watch_told(fixture_list(fixture, "red")), "");
    assert_true(fixture_has_node(fixture, "a"));
}

/* --- resets ---------------------------------------------------------------------------------- */

static void expect_reset(struct fixture *fixture, struct cursor since, const char *told)
{
    struct watch *watch = fixture_changes(fixture, NULL, since, 1000);
    assert_true(watch->result.reset);
    assert_string_equal(watch_told(watch), told);
    assert_true(cursor_equal(watch->result.cursor, fixture_cursor(fixture, NULL)));
}

static void test_list_foreign_or_future_cursor_resets(void **state)
{
    struct fixture *fixture = *state;
    struct cursor now = join_letters(fixture, 3);
    fixture_leave(fixture, "c", 3);
    expect_reset(fixture, (struct cursor){now.epoch ^ 1, now.seq}, "+a +b ");
    expect_reset(fixture, (struct cursor){now.epoch, now.seq + 2}, "+a +b ");
    expect_reset(fixture, (struct cursor){now.epoch, UINT64_MAX}, "+a +b ");
    assert_false(fixture_changes(fixture, NULL, now, 10)->result.reset);
}

static void test_list_reset_is_answered_at_once_in_pages(void **state)
{
    struct fixture *fixture = *state;
    struct cursor now = join_letters(fixture, 3);
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct poll_request request = poll_changes((struct cursor){now.epoch ^ 1, now.seq}, 30);
    request.list_limit = 2;
    struct watch *watch = fixture_poll(fixture, &stranger, &request);
    assert_int_equal(watch->calls, 1);
    assert_true(watch->result.reset);
    assert_true(watch->result.more);
    assert_string_equal(watch_told(watch), "+a +b ");
    assert_true(cursor_equal(watch->result.cursor, now));
}

static void test_list_tombstones_last_an_hour(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = join_letters(fixture, 2);
    fixture_leave(fixture, "a", 1);
    struct cursor after = fixture_cursor(fixture, NULL);
    fixture_advance(fixture, 3590 * 1000);
    struct watch *watch = fixture_changes(fixture, NULL, before, 10);
    assert_false(watch->result.reset);
    assert_string_equal(watch_told(watch), "-a ");
    fixture_advance(fixture, 130 * 1000);
    expect_reset(fixture, before, "+b ");
    watch = fixture_changes(fixture, NULL, after, 10);
    assert_false(watch->result.reset);
    assert_string_equal(watch_told(watch), "");
}

static void join_and_leave(struct fixture *fixture, unsigned first, unsigned count)
{
    static struct registration joined;
    static struct outcome left;
    joined = (struct registration){0};
    left = (struct outcome){0};
    for (unsigned i = first; i < first + count; i++) {
        char id[16];
        snprintf(id, sizeof(id), "n%05u", i);
        struct caller caller = fixture_owner("203.0.113.7", i);
        struct register_request request = {.id = id, .listed = true};
        index_register(fixture->index, &caller, &request, fixture_on_registered, &joined);
    }
    fixture_flush(fixture);
    for (unsigned i = first; i < first + count; i++) {
        char id[16];
        snprintf(id, sizeof(id), "n%05u", i);
        struct caller caller = fixture_owner("203.0.113.7", i);
        index_remove_node(fixture->index, &caller, NULL, id, fixture_on_done, &left);
    }
    fixture_flush(fixture);
    assert_int_equal(joined.calls, count);
    assert_int_equal(left.calls, count);
    assert_fault(joined.fault, 0);
    assert_fault(left.fault, 0);
}

/* Some more than the newest 10,000 may stay for a while, so that not each one costs a look. */
static void test_list_tombstones_are_the_newest_10000(void **state)
{
    struct fixture *fixture = *state;
    fixture_join_for(fixture, "keeper", 1, LIMIT_TTL_MAX_S);
    struct cursor before = fixture_cursor(fixture, NULL);
    for (unsigned i = 0; i < 8; i++)
        join_and_leave(fixture, 1000 + 250 * i, 250);
    struct cursor middle = fixture_cursor(fixture, NULL);
    for (unsigned i = 0; i < 40; i++)
        join_and_leave(fixture, 3000 + 250 * i, 250);
    fixture_advance(fixture, LIMIT_PRUNE_EVERY_MS);
    expect_reset(fixture, before, "+keeper ");
    struct watch *watch = fixture_changes(fixture, NULL, middle, 1000);
    assert_false(watch->result.reset);
    assert_int_equal(watch->gone_count, 1000);
    assert_true(watch->result.more);
}

static void test_list_of_dropped_network_resets_older_cursors(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = fixture_join(fixture, "a", 1).cursor;
    fixture_leave(fixture, "a", 1);
    fixture_advance(fixture, 3800 * 1000);
    fixture_join(fixture, "b", 2);
    fixture_join(fixture, "c", 3);
    expect_reset(fixture, before, "+b +c ");
}

/* After its last node a network is pruned, then dropped. Whichever of these is in the batch of the
 * next registration, the node is there. */
static void test_list_of_network_that_is_dropped_and_joined_shows_the_node(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller = fixture_node(2);
    struct register_request request = {.id = "b", .listed = true};
    for (int turns = 1; turns <= 4; turns++) {
        fixture_join(fixture, "a", 1);
        fixture_leave(fixture, "a", 1);
        struct cursor before = fixture_cursor(fixture, NULL);
        for (int turn = 0; turn < turns; turn++) {
            fixture_flush(fixture);
            if (index_next_due_ms(fixture->index) == INT64_MAX)
                break;
            fixture_jump(fixture, index_next_due_ms(fixture->index) - fixture->now_ms);
            index_tick(fixture->index);
        }
        struct registration joined = {0};
        index_register(fixture->index, &caller, &request, fixture_on_registered, &joined);
        fixture_flush(fixture);
        assert_int_equal(joined.calls, 1);
        assert_fault(joined.fault, 0);
        assert_string_equal(watch_told(fixture_list(fixture, NULL)), "+b ");
        struct watch *watch = fixture_changes(fixture, NULL, before, 10);
        assert_string_equal(watch_told(watch), "+b ");
        assert_true(cursor_equal(watch->result.cursor, fixture_cursor(fixture, NULL)));
        fixture_restart(fixture);
        assert_string_equal(watch_told(fixture_list(fixture, NULL)), "+b ");
        fixture_leave(fixture, "b", 2);
        fixture_advance(fixture, 2 * 3600 * 1000); /* all is forgotten, for the next turn */
    }
}

/* --- filters --------------------------------------------------------------------------------- */

static struct watch *read_matching(
    struct fixture *fixture, const struct poll_request *request, const char *match)
{
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct watch *watch = fixture_poll_matching(fixture, &stranger, request, match, 0);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, 0);
    return watch;
}

static void test_list_filter_shows_who_matches(void **state)
{
    struct fixture *fixture = *state;
    join_letters(fixture, 4);
    set_meta(fixture, 2, "{\"role\":\"master\"}");
    set_meta(fixture, 4, "{\"role\":\"master\"}");
    struct poll_request request = poll_list();
    assert_string_equal(watch_told(read_matching(fixture, &request, "master")), "+b +d ");
    request.list_limit = 1;
    struct watch *watch = read_matching(fixture, &request, "master");
    assert_string_equal(watch_told(watch), "+b ");
    assert_true(watch->result.more);
    request.after_id = "b";
    assert_string_equal(watch_told(read_matching(fixture, &request, "master")), "+d ");
}

static void test_list_filter_no_longer_matching_is_gone(void **state)
{
    struct fixture *fixture = *state;
    join_letters(fixture, 2);
    set_meta(fixture, 1, "{\"role\":\"master\"}");
    set_meta(fixture, 2, "{\"role\":\"master\"}");
    struct cursor before = fixture_cursor(fixture, NULL);
    set_meta(fixture, 1, "{\"role\":\"worker\"}");
    struct poll_request request = poll_changes(before, 0);
    assert_string_equal(watch_told(read_matching(fixture, &request, "master")), "-a ");
    set_meta(fixture, 1, "{\"role\":\"master\",\"x\":1}");
    assert_string_equal(watch_told(read_matching(fixture, &request, "master")), "+a ");
    fixture_leave(fixture, "b", 2);
    assert_string_equal(watch_told(read_matching(fixture, &request, "master")), "+a -b ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_list_whole_is_by_id),
        FIXTURE_TEST(test_list_whole_comes_in_pages),
        FIXTURE_TEST(test_list_page_that_ends_with_the_list_has_no_more),
        FIXTURE_TEST(test_list_after_id_that_left_goes_on_behind_it),
        FIXTURE_TEST(test_list_cursor_of_first_page_misses_nothing),
        FIXTURE_TEST(test_list_page_ended_by_visitor_goes_on_behind),
        FIXTURE_TEST(test_list_of_strangers_is_refused_at_keyed_index),
        FIXTURE_TEST(test_list_changes_come_in_order_of_sequence),
        FIXTURE_TEST(test_list_changes_name_a_node_once_where_it_last_changed),
        FIXTURE_TEST(test_list_changes_come_in_pages),
        FIXTURE_TEST(test_list_changes_page_ended_by_visitor_goes_on_behind),
        FIXTURE_TEST(test_list_without_changes_is_empty),
        FIXTURE_TEST(test_list_node_that_came_back_is_not_gone),
        FIXTURE_TEST(test_list_expired_node_is_gone),
        FIXTURE_TEST(test_list_unlisted_node_is_in_no_list),
        FIXTURE_TEST(test_list_node_that_becomes_unlisted_is_gone),
        FIXTURE_TEST(test_list_networks_are_isolated),
        FIXTURE_TEST(test_list_foreign_or_future_cursor_resets),
        FIXTURE_TEST(test_list_reset_is_answered_at_once_in_pages),
        FIXTURE_TEST(test_list_tombstones_last_an_hour),
        FIXTURE_TEST(test_list_tombstones_are_the_newest_10000),
        FIXTURE_TEST(test_list_of_dropped_network_resets_older_cursors),
        FIXTURE_TEST(test_list_of_network_that_is_dropped_and_joined_shows_the_node),
        FIXTURE_TEST(test_list_filter_shows_who_matches),
        FIXTURE_TEST(test_list_filter_no_longer_matching_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
