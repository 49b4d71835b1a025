/* The heap of due times: its behaviour case by case, then random steps against a naive model. */
#include "heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NODES 200

static void test_heap_empty_has_no_first(void **state)
{
    (void)state;
    struct heap heap = {0};
    struct heap_node node = {0};

    assert_null(heap_first(&heap));
    heap_remove(&heap, &node);
    assert_null(heap_first(&heap));
    heap_free(&heap);
}

static void test_heap_gives_in_order_of_due_time(void **state)
{
    (void)state;
    static const int64_t times_ms[] = {5, -3, 9, 0, INT64_MAX, 7, INT64_MIN, 5};
    static const int64_t sorted_ms[] = {INT64_MIN, -3, 0, 5, 5, 7, 9, INT64_MAX};
    struct heap_node nodes[8] = {0};
    struct heap heap = {0};

    for (size_t i = 0; i < 8; i++)
        assert_int_equal(heap_set(&heap, &nodes[i], times_ms[i]), 0);
    for (size_t i = 0; i < 8; i++) {
        struct heap_node *first = heap_first(&heap);
        assert_non_null(first);
        assert_true(first->due_ms == sorted_ms[i]);
        heap_remove(&heap, first);
        assert_int_equal(first->place, 0);
    }
    assert_null(heap_first(&heap));
    heap_free(&heap);
}

static void test_heap_set_again_moves(void **state)
{
    (void)state;
    struct heap_node a = {0}, b = {0}, c = {0};
    struct heap heap = {0};

    assert_int_equal(heap_set(&heap, &a, 10), 0);
    assert_int_equal(heap_set(&heap, &b, 20), 0);
    assert_int_equal(heap_set(&heap, &c, 30), 0);
    assert_ptr_equal(heap_first(&heap), &a);
    assert_int_equal(heap_set(&heap, &a, 40), 0); /* later */
    assert_ptr_equal(heap_first(&heap), &b);
    assert_int_equal(heap_set(&heap, &c, 5), 0); /* earlier */
    assert_ptr_equal(heap_first(&heap), &c);
    assert_int_equal(heap_set(&heap, &c, 5), 0); /* the same */
    assert_ptr_equal(heap_first(&heap), &c);
    assert_int_equal(heap.count, 3);
    heap_free(&heap);
}

static void test_heap_removed_node_may_come_back(void **state)
{
    (void)state;
    struct heap_node a = {0}, b = {0};
    struct heap heap = {0};

    assert_int_equal(heap_set(&heap, &a, 1), 0);
    assert_int_equal(heap_set(&heap, &b, 2), 0);
    heap_remove(&heap, &a);
    heap_remove(&heap, &a);
    assert_int_equal(heap.count, 1);
    assert_ptr_equal(heap_first(&heap), &b);
    assert_int_equal(heap_set(&heap, &a, 0), 0);
    assert_ptr_equal(heap_first(&heap), &a);
    heap_free(&heap);
}

static void test_heap_random_steps_agree_with_model(void **state)
{
    (void)state;
    static struct heap_node nodes[NODES];
    static bool in[NODES];
    static int64_t due_ms[NODES];
    struct heap heap = {0};

    srandom(20260105);
    for (int step = 0; step < 40000; step++) {
        long i = random() % NODES;
        if (random() % 10 < (step / 4000 % 2 ? 3 : 6)) {
            due_ms[i] = random() % 500;
            in[i] = true;
            assert_int_equal(heap_set(&heap, &nodes[i], due_ms[i]), 0);
        } else {
            in[i] = false;
            heap_remove(&heap, &nodes[i]);
        }
        size_t count = 0;
        int64_t least_ms = INT64_MAX;
        for (int j = 0; j < NODES; j++) {
            assert_int_equal(nodes[j].place != 0, in[j]);
            if (!in[j])
                continue;
            count++;
            assert_int_equal(nodes[j].due_ms, due_ms[j]);
            if (due_ms[j] < least_ms)
                least_ms = due_ms[j];
        }
        assert_int_equal(heap.count, count);
        for (size_t j = 1; j < heap.count; j++)
            assert_true(heap.nodes[(j - 1) / 2]->due_ms <= heap.nodes[j]->due_ms);
        if (!count) {
            assert_null(heap_first(&heap));
            continue;
        }
        assert_int_equal(heap_first(&heap)->due_ms, least_ms);
    }
    heap_free(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_empty_has_no_first),
        cmocka_unit_test(test_heap_gives_in_order_of_due_time),
        cmocka_unit_test(test_heap_set_again_moves),
        cmocka_unit_test(test_heap_removed_node_may_come_back),
        cmocka_unit_test(test_heap_random_steps_agree_with_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
