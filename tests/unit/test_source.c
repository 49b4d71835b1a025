/* Counts and token buckets by address, with the time given. */
#include "net/source.h"
#include "server_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct address address_of(const char *text)
{
    struct address address;
    assert_true(address_parse(text, &address));
    return address;
}

static struct source *hold(struct sources *sources, const char *text, int64_t now_ms)
{
    struct address address = address_of(text);
    struct source *source = source_hold(sources, &address, now_ms);
    assert_non_null(source);
    return source;
}

/* Another address for each number, the first 10.0.0.0. */
static struct address stranger(uint32_t number)
{
    number += 10u << 24;
    return (struct address){.family = 4,
        .bytes = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
            (uint8_t)number}};
}

static struct source *hold_stranger(struct sources *sources, uint32_t number, int64_t now_ms)
{
    struct address address = stranger(number);
    struct source *source = source_hold(sources, &address, now_ms);
    assert_non_null(source);
    return source;
}

/* How many requests it gives before it refuses; more than `most` are not tried. */
static int take_all(struct sources *sources, struct source *source, int64_t now_ms, int most)
{
    int64_t wait_ms;
    int taken = 0;
    while (taken < most && source_take(sources, source, now_ms, &wait_ms))
        taken++;
    return taken;
}

static void test_source_of_one_address_is_one(void **state)
{
    (void)state;
    struct sources *sources = sources_new(10);
    struct source *a = hold(sources, "192.0.2.1", 0);
    struct source *again = hold(sources, "::ffff:192.0.2.1", 5);
    struct source *neighbour = hold(sources, "192.0.2.2", 5);

    assert_ptr_equal(a, again);
    assert_ptr_not_equal(a, neighbour);
    source_release(sources, a);
    a->waiters = 3;
    assert_ptr_equal(hold(sources, "192.0.2.1", 6), again);
    assert_int_equal(again->waiters, 3);
    source_release(sources, again);
    source_release(sources, again);
    source_release(sources, neighbour);
    sources_free(sources);
}

static void test_source_of_one_ipv6_56_is_one(void **state)
{
    (void)state;
    struct sources *sources = sources_new(10);
    struct source *a = hold(sources, "2001:db8:0:1200::1", 0);
    struct source *same = hold(sources, "2001:db8:0:12ff:1:2:3:4", 0);
    struct source *other = hold(sources, "2001:db8:0:1300::1", 0);

    assert_ptr_equal(a, same);
    assert_ptr_not_equal(a, other);
    source_release(sources, a);
    source_release(sources, same);
    source_release(sources, other);
    sources_free(sources);
}

static void test_source_null_is_released_and_freed(void **state)
{
    (void)state;
    struct sources *sources = sources_new(1);
    source_release(sources, NULL);
    sources_free(sources);
    sources_free(NULL);
}

static void test_source_new_has_a_burst_of_twice_the_rate(void **state)
{
    (void)state;
    struct sources *sources = sources_new(50);
    struct source *source = hold(sources, "192.0.2.1", 1000);

    assert_int_equal(take_all(sources, source, 1000, 1000), 100);
    source_release(sources, source);
    sources_free(sources);
}

static void test_source_bucket_refills_with_time(void **state)
{
    (void)state;
    struct sources *sources = sources_new(50);
    struct source *source = hold(sources, "192.0.2.1", 1000);
    int64_t wait_ms = -1;

    assert_int_equal(take_all(sources, source, 1000, 1000), 100);
    assert_false(source_take(sources, source, 1000, &wait_ms));
    assert_int_equal(wait_ms, 20);
    assert_false(source_take(sources, source, 1015, &wait_ms));
    assert_int_equal(wait_ms, 5);
    assert_int_equal(take_all(sources, source, 1020, 1000), 1);
    assert_int_equal(take_all(sources, source, 1120, 1000), 5);
    /* Never more than the burst. */
    assert_int_equal(take_all(sources, source, 100000000, 1000), 100);
    source_release(sources, source);
    sources_free(sources);
}

static void test_source_time_going_back_gives_nothing(void **state)
{
    (void)state;
    struct sources *sources = sources_new(1);
    struct source *source = hold(sources, "192.0.2.1", 5000);

    assert_int_equal(take_all(sources, source, 5000, 10), 2);
    assert_int_equal(take_all(sources, source, 4000, 10), 0);
    assert_int_equal(take_all(sources, source, 5999, 10), 0);
    assert_int_equal(take_all(sources, source, 6000, 10), 1);
    source_release(sources, source);
    sources_free(sources);
}

static void test_source_waiting_as_told_is_enough(void **state)
{
    (void)state;
    static const double rates[] = {0.1, 0.3, 0.7, 1, 3, 7, 33, 50, 333, 1000, 5000, 1000000};

    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct sources *sources = sources_new(rates[i]);
        struct source *source = hold(sources, "192.0.2.1", 0);
        int64_t now_ms = 0;
        for (int turn = 0; turn < 50; turn++) {
            int64_t wait_ms = 0;
            while (source_take(sources, source, now_ms, &wait_ms))
                continue;
            assert_true(wait_ms > 0);
            /* A moment earlier there is none. */
            if (wait_ms > 1)
                assert_false(source_take(sources, source, now_ms + wait_ms - 1, &(int64_t){0}));
            now_ms += wait_ms;
            assert_true(source_take(sources, source, now_ms, &wait_ms));
        }
        source_release(sources, source);
        sources_free(sources);
    }
}

static void test_source_slow_rate_gives_one_at_once(void **state)
{
    (void)state;
    struct sources *sources = sources_new(0.1);
    struct source *source = hold(sources, "192.0.2.1", 0);
    int64_t wait_ms = 0;

    assert_int_equal(take_all(sources, source, 0, 10), 1);
    assert_false(source_take(sources, source, 0, &wait_ms));
    assert_int_equal(wait_ms, 10000);
    source_release(sources, source);
    sources_free(sources);
}

static void test_source_rate_zero_never_refuses(void **state)
{
    (void)state;
    struct sources *sources = sources_new(0);
    struct source *source = hold(sources, "192.0.2.1", 0);

    assert_int_equal(take_all(sources, source, 0, 100000), 100000);
    source_release(sources, source);
    sources_free(sources);
}

static void test_source_empty_bucket_outlives_its_holder(void **state)
{
    (void)state;
    struct sources *sources = sources_new(5);
    struct source *source = hold(sources, "192.0.2.1", 0);

    assert_int_equal(take_all(sources, source, 0, 100), 10);
    source_release(sources, source);
    /* Others come and go; who comes back still has nothing. */
    for (uint32_t i = 0; i < 1000; i++)
        source_release(sources, hold_stranger(sources, i, 1));
    source = hold(sources, "192.0.2.1", 1);
    assert_int_equal(take_all(sources, source, 1, 100), 0);
    source_release(sources, source);
    /* When it is full again it may be dropped, which its owner cannot tell. */
    for (uint32_t i = 0; i < 1000; i++)
        source_release(sources, hold_stranger(sources, 5000 + i, 2001));
    source = hold(sources, "192.0.2.1", 2001);
    assert_int_equal(take_all(sources, source, 2001, 100), 10);
    source_release(sources, source);
    sources_free(sources);
}

static void test_source_past_limit_is_shared(void **state)
{
    (void)state;
    static struct source *held[LIMIT_SOURCES];
    struct sources *sources = sources_new(2);

    for (uint32_t i = 0; i < LIMIT_SOURCES; i++) {
        held[i] = hold_stranger(sources, i, 0);
        assert_int_equal(held[i]->prefix.family, 4);
    }
    struct source *shared = hold_stranger(sources, LIMIT_SOURCES, 0);
    assert_int_equal(shared->prefix.family, 0);
    assert_ptr_equal(hold_stranger(sources, LIMIT_SOURCES + 1, 0), shared);
    assert_int_equal(take_all(sources, shared, 0, 100), 4);
    /* The known ones are not touched by that. */
    assert_ptr_equal(hold_stranger(sources, 7, 0), held[7]);
    assert_int_equal(take_all(sources, held[7], 0, 100), 4);
    source_release(sources, held[7]);
    source_release(sources, shared);
    source_release(sources, shared);
    /* When one goes there is room for one, and only one. */
    source_release(sources, held[9]);
    held[9] = hold_stranger(sources, LIMIT_SOURCES + 2, 0);
    assert_int_equal(held[9]->prefix.family, 4);
    assert_ptr_equal(hold_stranger(sources, LIMIT_SOURCES + 3, 0), shared);
    source_release(sources, shared);
    for (uint32_t i = 0; i < LIMIT_SOURCES; i++)
        source_release(sources, held[i]);
    sources_free(sources);
}

static void test_source_idle_and_full_makes_room(void **state)
{
    (void)state;
    struct sources *sources = sources_new(2);

    for (uint32_t i = 0; i < 3 * LIMIT_SOURCES; i++) {
        struct source *source = hold_stranger(sources, i, 0);
        assert_int_equal(source->prefix.family, 4);
        source_release(sources, source);
    }
    sources_free(sources);
}

static void test_source_idle_but_not_full_keeps_its_room(void **state)
{
    (void)state;
    struct sources *sources = sources_new(2);
    int64_t wait_ms;

    for (uint32_t i = 0; i < LIMIT_SOURCES; i++) {
        struct source *source = hold_stranger(sources, i, 0);
        assert_true(source_take(sources, source, 0, &wait_ms));
        source_release(sources, source);
    }
    struct source *source = hold_stranger(sources, LIMIT_SOURCES, 499);
    assert_int_equal(source->prefix.family, 0);
    source_release(sources, source);
    source = hold_stranger(sources, LIMIT_SOURCES, 500);
    assert_int_equal(source->prefix.family, 4);
    source_release(sources, source);
    sources_free(sources);
}

static void test_source_handshakes_have_a_bucket_of_their_own(void **state)
{
    (void)state;
    struct sources *sources = sources_new(2);
    struct source *source = hold(sources, "192.0.2.1", 1000);

    for (int i = 0; i < 4; i++)
        assert_true(source_take_handshake(sources, source, 1000));
    assert_false(source_take_handshake(sources, source, 1000));
    assert_int_equal(take_all(sources, source, 1000, 10), 4);
    assert_true(source_take_handshake(sources, source, 1500));
    assert_false(source_take_handshake(sources, source, 1500));
    source_release(sources, source);
    sources_free(sources);
}

static void test_source_idle_with_handshakes_missing_is_kept(void **state)
{
    (void)state;
    struct sources *sources = sources_new(2);
    struct source *hasty = hold_stranger(sources, 0, 0);

    while (source_take_handshake(sources, hasty, 0))
        continue;
    source_release(sources, hasty);
    for (uint32_t i = 1; i < 20; i++)
        source_release(sources, hold_stranger(sources, i, 0));
    hasty = hold_stranger(sources, 0, 0);
    assert_false(source_take_handshake(sources, hasty, 0));
    source_release(sources, hasty);
    sources_free(sources);
}

static void test_source_one_empty_bucket_does_not_keep_others(void **state)
{
    (void)state;
    struct sources *sources = sources_new(2);
    struct source *slow = hold_stranger(sources, 0, 0);

    assert_int_equal(take_all(sources, slow, 0, 10), 4);
    source_release(sources, slow); /* the oldest of the idle ones */
    for (uint32_t i = 1; i < 2 * LIMIT_SOURCES; i++) {
        struct source *source = hold_stranger(sources, i, 0);
        assert_int_equal(source->prefix.family, 4);
        source_release(sources, source);
    }
    assert_ptr_equal(hold_stranger(sources, 0, 0), slow);
    assert_int_equal(take_all(sources, slow, 0, 10), 0);
    source_release(sources, slow);
    sources_free(sources);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_of_one_address_is_one),
        cmocka_unit_test(test_source_of_one_ipv6_56_is_one),
        cmocka_unit_test(test_source_null_is_released_and_freed),
        cmocka_unit_test(test_source_new_has_a_burst_of_twice_the_rate),
        cmocka_unit_test(test_source_bucket_refills_with_time),
        cmocka_unit_test(test_source_time_going_back_gives_nothing),
        cmocka_unit_test(test_source_waiting_as_told_is_enough),
        cmocka_unit_test(test_source_slow_rate_gives_one_at_once),
        cmocka_unit_test(test_source_rate_zero_never_refuses),
        cmocka_unit_test(test_source_empty_bucket_outlives_its_holder),
        cmocka_unit_test(test_source_past_limit_is_shared),
        cmocka_unit_test(test_source_idle_and_full_makes_room),
        cmocka_unit_test(test_source_idle_but_not_full_keeps_its_room),
        cmocka_unit_test(test_source_handshakes_have_a_bucket_of_their_own),
        cmocka_unit_test(test_source_idle_with_handshakes_missing_is_kept),
        cmocka_unit_test(test_source_one_empty_bucket_does_not_keep_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
