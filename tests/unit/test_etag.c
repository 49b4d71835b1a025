/* If-None-Match against one tag: lists, weak comparison, and what is no list. */
#include "http/etag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void test_etag_in_a_list_is_found(void **state)
{
    static const char *const lists[] = {"\"x\"", "W/\"x\"", " \"x\" ", "\t\"x\"", "\"a\", \"x\"",
        "\"a\",\"x\"", "\"x\", \"a\"", "W/\"a\" , W/\"x\"", "\"a\", W/\"b\", \"x\", \"c\"",
        ", ,\"x\"", "\"a\",,\"x\"", "\"\", \"x\"", "\"a,b\", \"x\"", "\"a, W/\", \"x\"", "*", " * ",
        "\"x\" what follows is nobody's", "\"x\","};
    (void)state;
    for (size_t i = 0; i < COUNT(lists); i++)
        if (!etag_is_listed(lists[i], "\"x\"") || !etag_is_listed(lists[i], "W/\"x\""))
            fail_msg("not found in %s", lists[i]);
}

static void test_etag_in_no_list_is_not_found(void **state)
{
    static const char *const lists[] = {"", " ", ",", "x", "\"", "\"x", "x\"", "\"y\"", "\"X\"",
        "\"xx\"", "\"\"", "W/x", "w/\"x\"", "W /\"x\"", "W/ \"x\"", "'x'", "**", "* , \"x\"",
        "\"a\", *", "\"a, \"x\"\"", "\"a\" \"x\"", "a, \"x\"", "\"a\"; \"x\"", "\\\"x\\\"",
        "\"a\", W/", "W/", "W/W/\"x\"", "\"W/\"x\"\""};
    (void)state;
    for (size_t i = 0; i < COUNT(lists); i++)
        if (etag_is_listed(lists[i], "\"x\"") || etag_is_listed(lists[i], "W/\"x\""))
            fail_msg("found in %s", lists[i]);
}

static void test_etag_with_a_comma_is_one_tag(void **state)
{
    (void)state;
    assert_true(etag_is_listed("\"a,b\"", "\"a,b\""));
    assert_false(etag_is_listed("\"a\",\"b\"", "\"a,b\""));
    assert_false(etag_is_listed("\"a,b\"", "\"b\""));
}

/* Every text of up to six of these is read to its end and not past it. */
static void test_etag_of_any_text_ends_well(void **state)
{
    static const char letters[] = "\"W/,* x";
    size_t found = 0;
    (void)state;
    for (unsigned number = 0; number < 7 * 7 * 7 * 7 * 7 * 7; number++) {
        char *text = calloc(1, 7);
        assert_non_null(text);
        for (unsigned i = 0, rest = number; i < 6; i++, rest /= 7)
            text[i] = letters[rest % 7];
        found += etag_is_listed(text, "\"x\"");
        free(text);
    }
    assert_true(found > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_etag_in_a_list_is_found),
        cmocka_unit_test(test_etag_in_no_list_is_not_found),
        cmocka_unit_test(test_etag_with_a_comma_is_one_tag),
        cmocka_unit_test(test_etag_of_any_text_ends_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
