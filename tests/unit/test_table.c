/* The hash table: its behaviour case by case, then random steps against a naive model. */
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define THINGS 300

struct thing {
    int number;
    uint64_t hash;
    bool in;
    int visits;
};

static bool same_number(const void *item, const void *key)
{
    return ((const struct thing *)item)->number == *(const int *)key;
}

static struct thing *find(const struct table *table, uint64_t hash, int number)
{
    return table_find(table, hash, same_number, &number);
}

static void count_visit(void *item, void *user)
{
    size_t *visits = user;
    ((struct thing *)item)->visits++;
    ++*visits;
}

static void test_table_empty_finds_nothing(void **state)
{
    (void)state;
    struct table table = {0};
    struct thing thing = {.number = 1};
    size_t visits = 0;

    assert_null(find(&table, 7, 1));
    table_remove(&table, 7, &thing);
    table_each(&table, count_visit, &visits);
    assert_int_equal(visits, 0);
    assert_int_equal(table.count, 0);
    table_free(&table);
}

static void test_table_same_hash_keeps_things_apart(void **state)
{
    (void)state;
    struct table table = {0};
    struct thing a = {.number = 1}, b = {.number = 2}, c = {.number = 3};

    assert_int_equal(table_add(&table, 15, &a), 0);
    assert_int_equal(table_add(&table, 15, &b), 0);
    assert_int_equal(table_add(&table, 15, &c), 0);
    assert_ptr_equal(find(&table, 15, 1), &a);
    assert_ptr_equal(find(&table, 15, 2), &b);
    assert_ptr_equal(find(&table, 15, 3), &c);
    assert_null(find(&table, 15, 4));
    assert_null(find(&table, 14, 1));
    assert_null(find(&table, 31, 1)); /* the same place in a table of sixteen */
    table_remove(&table, 15, &a);
    assert_null(find(&table, 15, 1));
    assert_ptr_equal(find(&table, 15, 2), &b);
    assert_ptr_equal(find(&table, 15, 3), &c);
    assert_int_equal(table.count, 2);
    table_free(&table);
    assert_int_equal(table.count, 0);
    assert_null(find(&table, 15, 2));
}

static void test_table_removing_a_stranger_changes_nothing(void **state)
{
    (void)state;
    struct table table = {0};
    struct thing a = {.number = 1}, stranger = {.number = 1};

    assert_int_equal(table_add(&table, 3, &a), 0);
    table_remove(&table, 3, &stranger);
    assert_int_equal(table.count, 1);
    assert_ptr_equal(find(&table, 3, 1), &a);
    table_free(&table);
}

static void test_table_random_steps_agree_with_model(void **state)
{
    (void)state;
    static struct thing things[THINGS];
    struct table table = {0};
    size_t count = 0;

    memset(things, 0, sizeof things);
    srandom(20260105);
    for (int i = 0; i < THINGS; i++) {
        things[i].number = i;
        /* Few distinct ones, some of them at the end of the room: chains that collide and wrap. */
        things[i].hash = random() % 2 ? (uint64_t)random() % 40 : UINT64_MAX - (uint64_t)i % 5;
    }
    for (int step = 0; step < 60000; step++) {
        struct thing *thing = &things[random() % THINGS];
        /* By turns mostly filling and mostly emptying. */
        bool fill = random() % 10 < (step / 5000 % 2 ? 3 : 7);
        if (fill && !thing->in) {
            assert_int_equal(table_add(&table, thing->hash, thing), 0);
            thing->in = true;
            count++;
        } else if (!fill && thing->in) {
            table_remove(&table, thing->hash, thing);
            thing->in = false;
            count--;
        }
        assert_int_equal(table.count, count);
        thing = &things[random() % THINGS];
        assert_ptr_equal(find(&table, thing->hash, thing->number), thing->in ? thing : NULL);
        if (step % 1000)
            continue;
        for (int i = 0; i < THINGS; i++)
            assert_ptr_equal(find(&table, things[i].hash, i), things[i].in ? &things[i] : NULL);
    }
    size_t visits = 0;
    table_each(&table, count_visit, &visits);
    assert_int_equal(visits, count);
    for (int i = 0; i < THINGS; i++)
        assert_int_equal(things[i].visits, things[i].in ? 1 : 0);
    table_free(&table);
}

static void test_table_hash_of_same_bytes_is_same(void **state)
{
    (void)state;
    const char text[] = "abcdefghijklmnopq", again[] = "abcdefghijklmnopq";

    for (size_t size = 0; size <= strlen(text); size++)
        assert_true(table_hash(text, size) == table_hash(again, size));
}

static void test_table_hash_of_other_bytes_differs(void **state)
{
    (void)state;
    static const char zeros[64];
    char text[] = "abcdefghijklmnopq";
    uint64_t before = table_hash(text, strlen(text));

    for (size_t i = 0; i < strlen(text); i++) {
        text[i] ^= 1;
        assert_true(table_hash(text, strlen(text)) != before);
        text[i] ^= 1;
    }
    /* The length counts too. */
    for (size_t size = 1; size < sizeof zeros; size++)
        assert_true(table_hash(zeros, size) != table_hash(zeros, size - 1));
}

static void test_table_hash_pair_is_hash_of_both(void **state)
{
    (void)state;
    struct {
        uint64_t number;
        char string[12];
    } pair = {77, "eleven char"};

    for (size_t length = 0; length <= 11; length++) {
        char string[12] = "";
        memcpy(string, pair.string, length);
        assert_true(table_hash_pair(77, string) == table_hash(&pair, 8 + length));
        assert_true(table_hash_pair(78, string) != table_hash_pair(77, string));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_empty_finds_nothing),
        cmocka_unit_test(test_table_same_hash_keeps_things_apart),
        cmocka_unit_test(test_table_removing_a_stranger_changes_nothing),
        cmocka_unit_test(test_table_random_steps_agree_with_model),
        cmocka_unit_test(test_table_hash_of_same_bytes_is_same),
        cmocka_unit_test(test_table_hash_of_other_bytes_differs),
        cmocka_unit_test(test_table_hash_pair_is_hash_of_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
