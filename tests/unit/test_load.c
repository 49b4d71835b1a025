/* What a busy loop turns away, and when it stops to. */
#include "http/load.h"

#include "server_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Passes of that length, one after the other. */
static void run(struct load *load, int64_t *now_ms, int passes, int64_t pass_ms)
{
    for (int i = 0; i < passes; i++) {
        load_begin_pass(load, *now_ms);
        *now_ms += pass_ms;
        load_end_pass(load, *now_ms);
    }
}

static void test_load_of_short_passes_turns_nothing_away(void **state)
{
    struct load load = {0};
    int64_t now_ms = 1000;

    (void)state;
    assert_int_equal(load_least(&load), IMPORTANCE_LIST);
    run(&load, &now_ms, 1000, LIMIT_SHED_LISTS_MS - 1);
    assert_int_equal(load_least(&load), IMPORTANCE_LIST);
}

static void test_load_of_one_long_pass_turns_nothing_away(void **state)
{
    struct load load = {0};
    int64_t now_ms = 1000;

    (void)state;
    run(&load, &now_ms, 10, 1);
    run(&load, &now_ms, 1, 60000);
    assert_int_equal(load_least(&load), IMPORTANCE_LIST);
}

static void test_load_turns_away_the_least_important_first(void **state)
{
    static const struct {
        int64_t pass_ms;
        enum importance least;
    } cases[] = {
        {LIMIT_SHED_LISTS_MS + 1, IMPORTANCE_CHANGE},
        {LIMIT_SHED_CHANGES_MS + 1, IMPORTANCE_MAIL},
        {LIMIT_SHED_MAIL_MS + 1, IMPORTANCE_LIFE},
        {LIMIT_SHED_LIFE_MS + 1, IMPORTANCE_HEALTH},
        {100000, IMPORTANCE_HEALTH},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct load load = {0};
        enum importance before = IMPORTANCE_LIST;
        int64_t now_ms = 1000;
        for (int pass = 0; pass < 200; pass++) {
            run(&load, &now_ms, 1, cases[i].pass_ms);
            assert_true(load_least(&load) >= before);
            before = load_least(&load);
        }
        assert_int_equal(before, cases[i].least);
    }
}

static void test_load_ends_with_short_passes(void **state)
{
    struct load load = {0};
    int64_t now_ms = 1000;

    (void)state;
    run(&load, &now_ms, 100, 1000);
    assert_int_equal(load_least(&load), IMPORTANCE_HEALTH);
    run(&load, &now_ms, 20, 1);
    assert_int_equal(load_least(&load), IMPORTANCE_LIST);
}

static void test_load_ends_at_once_where_the_loop_slept(void **state)
{
    struct load load = {0};
    int64_t now_ms = 1000;

    (void)state;
    run(&load, &now_ms, 100, 1000);
    now_ms += 49;
    load_begin_pass(&load, now_ms);
    assert_int_equal(load_least(&load), IMPORTANCE_HEALTH);
    load_end_pass(&load, now_ms + 1000);
    now_ms += 1050;
    load_begin_pass(&load, now_ms);
    assert_int_equal(load_least(&load), IMPORTANCE_LIST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_of_short_passes_turns_nothing_away),
        cmocka_unit_test(test_load_of_one_long_pass_turns_nothing_away),
        cmocka_unit_test(test_load_turns_away_the_least_important_first),
        cmocka_unit_test(test_load_ends_with_short_passes),
        cmocka_unit_test(test_load_ends_at_once_where_the_loop_slept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
