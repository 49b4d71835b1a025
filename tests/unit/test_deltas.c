/* What many are told alike: which polls keep it, who takes it, and what is never shared. */
#include "index_fixture.h"

#include "http/delta.h"

#include <string.h>

/* The one place where it is kept; each poll comes with its watch, which takes nothing of it. */
static struct {
    struct kept_delta kept;
    size_t keeps, asks, takes;
} shared;

static void keep(const struct poll_delta *delta, void *user)
{
    const struct watch *watch = user;
    struct poll_pieces pieces = {0};
    shared.keeps++;
    text_puts(&pieces.nodes, watch_told(watch));
    delta_keep(&shared.kept, delta, &pieces);
    text_clear(&pieces.nodes);
}

static bool take(const struct poll_delta *delta, void *user)
{
    struct watch *watch = user;
    shared.asks++;
    if (!delta_is_kept(&shared.kept, delta))
        return false;
    struct poll_pieces pieces = {0};
    delta_copy(&shared.kept, &pieces);
    text_puts(&watch->told, pieces.nodes.bytes);
    text_clear(&pieces.nodes);
    shared.takes++;
    return true;
}

static void begin(void)
{
    delta_forget(&shared.kept);
    memset(&shared, 0, sizeof(shared));
}

static int setup(void **state)
{
    begin();
    return fixture_setup(state);
}

static int teardown(void **state)
{
    delta_forget(&shared.kept);
    return fixture_teardown(state);
}

static struct poll_request sharing(struct cursor since, double wait_s)
{
    struct poll_request request = poll_changes(since, wait_s);
    request.keep_delta = keep;
    request.take_delta = take;
    return request;
}

static struct watch *ask(struct fixture *fixture, const struct poll_request *request)
{
    struct caller caller = fixture_stranger("198.51.100.99");
    return fixture_poll(fixture, &caller, request);
}

static void expect(const struct watch *watch, const char *told, struct cursor cursor)
{
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, 0);
    assert_string_equal(watch_told(watch), told);
    assert_true(cursor_equal(watch->result.cursor, cursor));
    assert_true(watch->result.list_changed);
    assert_false(watch->result.more || watch->result.reset);
}

static void test_delta_is_read_by_the_first_of_many(void **state)
{
    struct fixture *fixture = *state;
    struct cursor since = fixture_join(fixture, "a", 1).cursor;
    struct poll_request request = sharing(since, 50);
    struct watch *watches[5];
    for (size_t i = 0; i < 5; i++)
        watches[i] = ask(fixture, &request);
    struct cursor now = fixture_join(fixture, "b", 2).cursor;
    fixture_settle(fixture);
    for (size_t i = 0; i < 5; i++)
        expect(watches[i], "+b ", now);
    assert_int_equal(shared.keeps, 1);
    assert_int_equal(shared.takes, 4);
}

static void test_delta_goes_with_the_mailbox(void **state)
{
    struct fixture *fixture = *state;
    fixture_join(fixture, "a", 1);
    struct cursor since = fixture_join(fixture, "b", 2).cursor;
    struct poll_request request = sharing(since, 50);
    struct watch *list = ask(fixture, &request);
    struct caller reader = fixture_node(2), sender = fixture_node(1);
    request.renew = request.mail = true;
    request.mail_limit = 10;
    struct watch *events = fixture_poll(fixture, &reader, &request);
    struct send_request message = {
        .to = "b", .id = "m1", .type = "offer", .body = "1", .body_size = 1, .ttl_s = 600};
    struct delivery sent = {0};
    index_send(fixture->index, &sender, &message, fixture_on_sent, &sent);
    struct cursor now = fixture_join(fixture, "c", 3).cursor;
    fixture_settle(fixture);
    expect(events, "+c *m1 ", now);
    expect(list, "+c ", now);
    assert_int_equal(shared.keeps + shared.takes, 2);
}

static void test_delta_of_another_kind_is_not_taken(void **state)
{
    struct fixture *fixture = *state;
    struct cursor first = fixture_join(fixture, "a", 1).cursor;
    struct cursor second = fixture_join(fixture, "b", 2).cursor;
    struct cursor now = fixture_join(fixture, "c", 3).cursor;
    struct poll_request request = sharing(first, 50);
    expect(ask(fixture, &request), "+b +c ", now);
    assert_int_equal(shared.keeps, 1);
    request = sharing(second, 50);
    expect(ask(fixture, &request), "+c ", now);
    request.list_limit = 2;
    expect(ask(fixture, &request), "+c ", now);
    assert_int_equal(shared.keeps, 3);
    assert_int_equal(shared.takes, 0);
    expect(ask(fixture, &request), "+c ", now);
    assert_int_equal(shared.takes, 1);

    fixture_leave(fixture, "a", 1);
    now = fixture_cursor(fixture, NULL);
    expect(ask(fixture, &request), "+c -a ", now);
    assert_int_equal(shared.takes, 1);
}

static void test_delta_of_a_filter_or_no_wait_or_a_part_is_not_shared(void **state)
{
    struct fixture *fixture = *state;
    struct cursor since = fixture_join(fixture, "a", 1).cursor;
    fixture_join(fixture, "b", 2);
    struct cursor now = fixture_join(fixture, "c", 3).cursor;
    struct caller caller = fixture_stranger("198.51.100.99");
    struct poll_request request = sharing(since, 50);
    struct watch *watch = fixture_poll_matching(fixture, &caller, &request, "nobody", 0);
    expect(watch, "-b -c ", now);
    request = sharing(since, 0);
    expect(ask(fixture, &request), "+b +c ", now);
    assert_int_equal(shared.asks + shared.keeps, 0);

    request = sharing(since, 50);
    request.list_limit = 1;
    watch = ask(fixture, &request);
    assert_string_equal(watch_told(watch), "+b ");
    assert_true(watch->result.more);
    assert_int_equal(shared.asks, 1);
    request.since.epoch++;
    request.list_limit = 10;
    watch = ask(fixture, &request);
    assert_string_equal(watch_told(watch), "+a +b +c ");
    assert_true(watch->result.reset);
    assert_int_equal(shared.asks, 1);
    assert_int_equal(shared.keeps, 0);
}

static void test_delta_that_was_lost_is_not_kept(void **state)
{
    struct fixture *fixture = *state;
    struct cursor since = fixture_join(fixture, "a", 1).cursor;
    struct caller ghost = fixture_node(2);
    struct register_request join = {.id = "ghost", .listed = true};
    struct registration joined = {0};
    struct poll_request request = sharing(since, 50);
    index_register(fixture->index, &ghost, &join, fixture_on_registered, &joined);
    store_memory_fail_next_flush(fixture->store);
    struct watch *watch = ask(fixture, &request);
    assert_fault(joined.fault, ERROR_STORE_FAILED);
    assert_string_equal(watch_told(watch), "+ghost ");
    assert_fault(watch->fault, ERROR_STORE_FAILED);
    assert_int_equal(shared.asks, 1);
    assert_int_equal(shared.keeps, 0);
}

/* --- where it is kept ------------------------------------------------------------------------ */

static void test_kept_delta_is_found_by_all_of_it(void **state)
{
    const struct poll_delta delta = {"default", {1, 2}, {1, 4}, 200};
    struct poll_delta others[] = {delta, delta, delta, delta, delta, delta};
    struct poll_pieces pieces = {0}, copy = {0};
    struct kept_delta kept = {0};
    (void)state;
    others[0].network = "red";
    others[1].since.epoch++;
    others[2].since.seq++;
    others[3].cursor.epoch++;
    others[4].cursor.seq++;
    others[5].limit++;
    assert_false(delta_is_kept(&kept, &delta));
    text_puts(&pieces.nodes, "{\"id\":\"a\"}");
    text_puts(&pieces.gone, "\"b\"");
    delta_keep(&kept, &delta, &pieces);
    assert_true(delta_is_kept(&kept, &delta));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(delta_is_kept(&kept, &others[i]));
    delta_copy(&kept, &copy);
    assert_string_equal(copy.nodes.bytes, pieces.nodes.bytes);
    assert_string_equal(copy.gone.bytes, pieces.gone.bytes);
    delta_forget(&kept);
    assert_false(delta_is_kept(&kept, &delta));

    /* One without a row, as where all that changed has left again, unseen. */
    struct poll_pieces none = {0};
    delta_keep(&kept, &delta, &none);
    assert_true(delta_is_kept(&kept, &delta));
    delta_copy(&kept, &none);
    assert_null(none.nodes.bytes);
    delta_forget(&kept);
    text_clear(&pieces.nodes);
    text_clear(&pieces.gone);
    text_clear(&copy.nodes);
    text_clear(&copy.gone);
}

static void test_kept_delta_is_none_that_memory_has_cut(void **state)
{
    const struct poll_delta delta = {"default", {1, 2}, {1, 4}, 200};
    struct poll_pieces pieces = {.gone = {.failed = true}};
    struct kept_delta kept = {0};
    (void)state;
    text_puts(&pieces.nodes, "{}");
    delta_keep(&kept, &delta, &pieces);
    assert_false(delta_is_kept(&kept, &delta));
    assert_null(kept.nodes.bytes);
    text_clear(&pieces.nodes);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_delta_is_read_by_the_first_of_many),
        TEST(test_delta_goes_with_the_mailbox),
        TEST(test_delta_of_another_kind_is_not_taken),
        TEST(test_delta_of_a_filter_or_no_wait_or_a_part_is_not_shared),
        TEST(test_delta_that_was_lost_is_not_kept),
        cmocka_unit_test(test_kept_delta_is_found_by_all_of_it),
        cmocka_unit_test(test_kept_delta_is_none_that_memory_has_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
