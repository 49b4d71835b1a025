#include "text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* An allocation that cannot be had must fail under the address sanitizer too, not abort. */
const char *__asan_default_options(void); /* NOLINT(bugprone-reserved-identifier,cert-*) */
const char *__asan_default_options(void)  /* NOLINT(bugprone-reserved-identifier,cert-*) */
{
    return "allocator_may_return_null=1";
}

static void test_text_empty_has_no_bytes(void **state)
{
    struct text text = {0};
    size_t length = 7;

    (void)state;
    assert_false(text_failed(&text));
    assert_null(text_take(&text, &length));
    assert_int_equal(length, 0);
    text_clear(&text);
}

static void test_text_appended_is_joined_and_terminated(void **state)
{
    struct text text = {0};

    (void)state;
    text_puts(&text, "one");
    text_append(&text, ", twoXXX", 5);
    text_printf(&text, " and %d%s", 3, "!");
    assert_string_equal(text.bytes, "one, two and 3!");
    assert_int_equal(text.length, 15);
    assert_false(text_failed(&text));
    text_clear(&text);
}

static void test_text_append_nothing_is_an_empty_string(void **state)
{
    struct text text = {0};

    (void)state;
    text_append(&text, NULL, 0);
    text_puts(&text, "");
    text_printf(&text, "%s", "");
    assert_int_equal(text.length, 0);
    assert_string_equal(text.bytes, "");
    text_clear(&text);
}

static void test_text_nul_inside_is_kept(void **state)
{
    struct text text = {0};

    (void)state;
    text_append(&text, "a\0b", 3);
    text_puts(&text, "c");
    assert_int_equal(text.length, 4);
    assert_memory_equal(text.bytes, "a\0bc", 5);
    text_clear(&text);
}

/* Pieces of every size across many growths, compared with what was put in. */
static void test_text_grown_often_loses_nothing(void **state)
{
    struct text text = {0};
    char piece[300];
    size_t expected = 0;

    (void)state;
    for (size_t size = 0; size < sizeof piece; size++) {
        memset(piece, (int)('a' + size % 26), size);
        text_append(&text, piece, size);
        expected += size;
        assert_int_equal(text.length, expected);
        assert_int_equal(text.bytes[expected], '\0');
        assert_true(text.room > text.length);
    }
    size_t at = 0;
    for (size_t size = 0; size < sizeof piece; size++)
        for (size_t i = 0; i < size; i++)
            assert_int_equal(text.bytes[at++], 'a' + size % 26);
    text_clear(&text);
}

static void test_text_printf_longer_than_room_is_whole(void **state)
{
    struct text text = {0};
    char word[1001];

    (void)state;
    memset(word, 'w', 1000);
    word[1000] = '\0';
    text_puts(&text, "<");
    text_printf(&text, "%s>", word);
    assert_int_equal(text.length, 1002);
    assert_memory_equal(text.bytes + 1, word, 1000);
    assert_string_equal(text.bytes + 1001, ">");
    text_clear(&text);
}

static void test_text_exactly_full_grows_for_the_nul(void **state)
{
    struct text text = {0};
    char piece[128];

    (void)state;
    memset(piece, 'x', sizeof piece);
    text_append(&text, piece, 127);
    assert_int_equal(text.bytes[127], '\0');
    text_append(&text, piece, 1);
    assert_int_equal(text.length, 128);
    assert_true(text.room >= 129);
    assert_int_equal(text.bytes[128], '\0');
    text_clear(&text);
}

static void test_text_clear_leaves_a_usable_text(void **state)
{
    struct text text = {0};

    (void)state;
    text_puts(&text, "old");
    text_clear(&text);
    assert_null(text.bytes);
    assert_int_equal(text.length, 0);
    text_puts(&text, "new");
    assert_string_equal(text.bytes, "new");
    text_clear(&text);
    text_clear(&text);
    assert_null(text.bytes);
}

static void test_text_take_gives_the_bytes_away(void **state)
{
    struct text text = {0};
    size_t length = 0;

    (void)state;
    text_puts(&text, "taken");
    char *bytes = text_take(&text, &length);
    assert_null(text.bytes);
    assert_int_equal(text.room, 0);
    text_puts(&text, "next");
    assert_int_equal(length, 5);
    assert_string_equal(bytes, "taken");
    assert_string_equal(text.bytes, "next");
    free(bytes);
    text_clear(&text);
}

static void test_text_out_of_memory_is_remembered(void **state)
{
    struct text text = {0};
    volatile size_t huge = (size_t)1 << 60;

    (void)state;
    text_puts(&text, "kept");
    text_append(&text, "never read", huge);
    assert_true(text_failed(&text));
    text_puts(&text, "dropped");
    text_printf(&text, "%d", 1);
    assert_true(text_failed(&text));
    assert_string_equal(text.bytes, "kept");
    assert_int_equal(text.length, 4);
    text_clear(&text);
    assert_false(text_failed(&text));
    text_puts(&text, "again");
    assert_string_equal(text.bytes, "again");
    text_clear(&text);
}

static void test_text_out_of_memory_at_first_has_no_bytes(void **state)
{
    struct text text = {0};
    volatile size_t huge = (size_t)1 << 60;
    size_t length = 7;

    (void)state;
    text_append(&text, "never read", huge);
    assert_true(text_failed(&text));
    assert_null(text_take(&text, &length));
    assert_int_equal(length, 0);
    assert_false(text_failed(&text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_empty_has_no_bytes),
        cmocka_unit_test(test_text_appended_is_joined_and_terminated),
        cmocka_unit_test(test_text_append_nothing_is_an_empty_string),
        cmocka_unit_test(test_text_nul_inside_is_kept),
        cmocka_unit_test(test_text_grown_often_loses_nothing),
        cmocka_unit_test(test_text_printf_longer_than_room_is_whole),
        cmocka_unit_test(test_text_exactly_full_grows_for_the_nul),
        cmocka_unit_test(test_text_clear_leaves_a_usable_text),
        cmocka_unit_test(test_text_take_gives_the_bytes_away),
        cmocka_unit_test(test_text_out_of_memory_is_remembered),
        cmocka_unit_test(test_text_out_of_memory_at_first_has_no_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
