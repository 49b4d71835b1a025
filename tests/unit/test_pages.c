/* Where a page of a whole list ends, and where the next one goes on. */
#include "index_fixture.h"

#include <stdio.h>
#include <string.h>

#define MATCHING "{\"x\":1}"

static const char *number_id(unsigned number)
{
    static char id[16];
    snprintf(id, sizeof(id), "n%05u", number);
    return id;
}

static bool is_among(unsigned number, const unsigned *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (numbers[i] == number)
            return true;
    return false;
}

/* Nodes n00000, n00001 and so on, those of `matching` with a meta that the filter wants. */
static void join_many(
    struct fixture *fixture, unsigned count, const unsigned *matching, size_t matching_count)
{
    struct registration joined = {0};
    for (unsigned i = 0; i < count; i++) {
        struct caller caller = fixture_node(i);
        struct register_request request = {
            .id = number_id(i), .listed = true, .ttl_s = LIMIT_TTL_MAX_S};
        if (is_among(i, matching, matching_count))
            request.meta = MATCHING;
        index_register(fixture->index, &caller, &request, fixture_on_registered, &joined);
    }
    fixture_flush(fixture);
    assert_int_equal(joined.calls, count);
    assert_fault(joined.fault, 0);
}

static struct watch *read_page(
    struct fixture *fixture, const char *after_id, size_t limit, const char *match)
{
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct poll_request request = poll_list();
    request.after_id = after_id;
    request.list_limit = limit;
    struct watch *watch = fixture_poll_matching(fixture, &stranger, &request, match, 0);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, 0);
    assert_true(watch->result.more == (watch->result.after != NULL));
    return watch;
}

/* Follows the pages to the last one: they show just these nodes, by id. */
static unsigned expect_pages(
    struct fixture *fixture, size_t limit, const unsigned *numbers, size_t count)
{
    const char *after = NULL;
    size_t seen = 0;
    for (unsigned pages = 1;; pages++) {
        struct watch *watch = read_page(fixture, after, limit, MATCHING);
        /* One row past the page says that there is more. */
        assert_true(watch->looked_at <= LIMIT_LIST_SCAN_NODES + 1);
        assert_true(watch->node_count <= limit);
        for (size_t i = 0; i < watch->node_count; i++) {
            assert_true(seen < count);
            assert_string_equal(watch->nodes[i].id, number_id(numbers[seen++]));
        }
        if (!watch->result.more) {
            assert_int_equal(seen, count);
            return pages;
        }
        assert_true(after == NULL || strcmp(watch->result.after, after) > 0);
        after = watch->result.after;
        assert_true(pages < 100);
    }
}

/* --- a filter -------------------------------------------------------------------------------- */

static void test_page_of_filter_looks_at_no_more_than_its_cap(void **state)
{
    struct fixture *fixture = *state;
    enum { SCAN = LIMIT_LIST_SCAN_NODES };
    static const unsigned matching[] = {0, SCAN - 1, SCAN, 2 * SCAN - 1, 2 * SCAN, 2 * SCAN + 499};
    join_many(fixture, 2 * SCAN + 500, matching, 6);
    struct watch *watch = read_page(fixture, NULL, 10, MATCHING);
    assert_string_equal(watch_told(watch), "+n00000 +n01999 ");
    assert_true(watch->result.more);
    assert_string_equal(watch->result.after, number_id(SCAN - 1));
    assert_true(watch->looked_at <= SCAN + 1);

    assert_int_equal(expect_pages(fixture, 10, matching, 6), 3);
    expect_pages(fixture, 1, matching, 6);
    assert_int_equal(expect_pages(fixture, 2, matching, 6), 3);
}

static void test_page_of_filter_that_nothing_matches_goes_on_to_the_end(void **state)
{
    struct fixture *fixture = *state;
    join_many(fixture, 2 * LIMIT_LIST_SCAN_NODES + 1, NULL, 0);
    assert_int_equal(expect_pages(fixture, 1, NULL, 0), 3);
}

static void test_page_of_filter_that_ends_with_the_list_has_no_more(void **state)
{
    struct fixture *fixture = *state;
    static const unsigned matching[] = {7};
    join_many(fixture, LIMIT_LIST_SCAN_NODES, matching, 1);
    assert_int_equal(expect_pages(fixture, 10, matching, 1), 1);
    assert_int_equal(expect_pages(fixture, 1, matching, 1), 1);
}

/* A delta's page is as long as its limit: it shows who does not match as gone. */
static void test_page_of_changes_has_no_after(void **state)
{
    struct fixture *fixture = *state;
    struct cursor before = fixture_cursor(fixture, NULL);
    join_many(fixture, 5, NULL, 0);
    struct watch *watch = fixture_changes(fixture, NULL, before, 2);
    assert_true(watch->result.more);
    assert_null(watch->result.after);
}

/* --- where it goes on ------------------------------------------------------------------------ */

static void test_page_that_limit_ends_goes_on_after_its_last_node(void **state)
{
    struct fixture *fixture = *state;
    join_many(fixture, 5, NULL, 0);
    struct watch *watch = read_page(fixture, NULL, 2, NULL);
    assert_string_equal(watch_told(watch), "+n00000 +n00001 ");
    assert_string_equal(watch->result.after, number_id(1));
    watch = read_page(fixture, watch->result.after, 3, NULL);
    assert_string_equal(watch_told(watch), "+n00002 +n00003 +n00004 ");
    assert_false(watch->result.more);
}

static void test_page_that_visitor_ends_goes_on_after_its_last_node(void **state)
{
    struct fixture *fixture = *state;
    join_many(fixture, 3, NULL, 0);
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct poll_request request = poll_list();
    struct watch *watch = fixture_poll_matching(fixture, &stranger, &request, NULL, 2);
    assert_true(watch->result.more);
    assert_string_equal(watch->result.after, number_id(1));
    watch = fixture_poll_matching(fixture, &stranger, &request, NULL, 3);
    assert_false(watch->result.more);
    assert_null(watch->result.after);
}

static void test_page_of_reset_begins_with_the_first_node(void **state)
{
    struct fixture *fixture = *state;
    join_many(fixture, 4, NULL, 0);
    struct cursor now = fixture_cursor(fixture, NULL);
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct poll_request request = poll_changes((struct cursor){now.epoch ^ 1, now.seq}, 0);
    request.after_id = "n00001";
    request.list_limit = 2;
    struct watch *watch = fixture_poll(fixture, &stranger, &request);
    assert_int_equal(watch->calls, 1);
    assert_true(watch->result.reset);
    assert_string_equal(watch_told(watch), "+n00000 +n00001 ");
    assert_true(watch->result.more);
    assert_string_equal(watch->result.after, number_id(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_page_of_filter_looks_at_no_more_than_its_cap),
        FIXTURE_TEST(test_page_of_filter_that_nothing_matches_goes_on_to_the_end),
        FIXTURE_TEST(test_page_of_filter_that_ends_with_the_list_has_no_more),
        FIXTURE_TEST(test_page_of_changes_has_no_after),
        FIXTURE_TEST(test_page_that_limit_ends_goes_on_after_its_last_node),
        FIXTURE_TEST(test_page_that_visitor_ends_goes_on_after_its_last_node),
        FIXTURE_TEST(test_page_of_reset_begins_with_the_first_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
