/* How many lines of one kind the log takes; on a clock of the test. */
#include "log_limit.h"
#include "server_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LEVEL 2
#define LINES LIMIT_LOG_LINES_A_SECOND

static struct log_limit limit;
static struct log_kind kind;
static uint64_t count;
static int64_t passed_ms;

static const struct log_kind heartbeats = {LEVEL, "request", "/heartbeat", 2};
static const struct log_kind refusals = {LEVEL, "request", "/heartbeat", 4};
static const struct log_kind lists = {LEVEL, "request", "/list", 2};

static int setup(void **state)
{
    (void)state;
    memset(&limit, 0, sizeof limit);
    return 0;
}

/* How many of `asked` are taken. */
static unsigned take(const struct log_kind *of, unsigned asked, int64_t now_ms)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < asked; i++)
        taken += log_limit_take(&limit, of, now_ms);
    return taken;
}

static bool next(int64_t now_ms, bool at_once)
{
    return log_limit_next(&limit, now_ms, at_once, &kind, &count, &passed_ms);
}

static void test_take_within_a_second_stops_at_the_limit(void **state)
{
    (void)state;
    assert_int_equal(take(&heartbeats, LINES, 0), LINES);
    assert_int_equal(take(&heartbeats, 5, 999), 0);
    assert_int_equal(take(&heartbeats, LINES + 1, 1000), LINES);
}

static void test_take_of_other_kinds_is_not_held_back(void **state)
{
    (void)state;
    take(&heartbeats, LINES * 2, 0);
    assert_int_equal(take(&refusals, 1, 0), 1);
    assert_int_equal(take(&lists, 1, 0), 1);
}

static void test_next_after_a_second_tells_each_kind_once(void **state)
{
    (void)state;
    take(&heartbeats, LINES + 3, 100);
    take(&lists, LINES + 4, 100);
    take(&refusals, LINES, 100);
    assert_false(next(1099, false));
    assert_true(next(1100, false));
    assert_ptr_equal(kind.about, heartbeats.about);
    assert_int_equal(kind.level, LEVEL);
    assert_int_equal(count, 3);
    assert_int_equal(passed_ms, 1000);
    assert_true(next(1100, false));
    assert_ptr_equal(kind.about, lists.about);
    assert_int_equal(count, 4);
    assert_false(next(1100, false));
    assert_false(next(9999, true));
}

static void test_next_of_a_long_flood_counts_every_line(void **state)
{
    (void)state;
    unsigned taken = 0;
    for (int64_t now_ms = 0; now_ms < 5000; now_ms += 10)
        taken += take(&heartbeats, 10, now_ms);
    assert_int_equal(taken, 5 * LINES);
    assert_true(next(5000, false));
    assert_int_equal(count, 5000 - taken);
    assert_false(next(9000, true));
}

static void test_next_at_once_does_not_wait(void **state)
{
    (void)state;
    take(&heartbeats, LINES + 1, 0);
    assert_false(next(1, false));
    assert_true(next(1, true));
    assert_int_equal(count, 1);
}

static void test_take_of_more_kinds_than_fit_shares_the_last(void **state)
{
    (void)state;
    static char names[LOG_LIMIT_KINDS + 10];
    unsigned taken = 0;

    for (size_t i = 0; i < sizeof names; i++) {
        struct log_kind one = {LEVEL, &names[i], NULL, 0};
        unsigned of_this = take(&one, LINES, 0);
        if (i < LOG_LIMIT_KINDS)
            assert_int_equal(of_this, LINES);
        taken += of_this;
    }
    assert_int_equal(taken, LOG_LIMIT_KINDS * LINES);
    assert_int_equal(limit.count, LOG_LIMIT_KINDS);
    assert_true(next(1000, false));
    assert_string_equal(kind.event, "others");
    assert_int_equal(count, 10 * LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_take_within_a_second_stops_at_the_limit, setup),
        cmocka_unit_test_setup(test_take_of_other_kinds_is_not_held_back, setup),
        cmocka_unit_test_setup(test_next_after_a_second_tells_each_kind_once, setup),
        cmocka_unit_test_setup(test_next_of_a_long_flood_counts_every_line, setup),
        cmocka_unit_test_setup(test_next_at_once_does_not_wait, setup),
        cmocka_unit_test_setup(test_take_of_more_kinds_than_fit_shares_the_last, setup),
    };
    return cmocka_run_group_tests_name("log_limit", tests, NULL, NULL);
}
