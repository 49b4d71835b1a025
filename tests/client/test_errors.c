#include "signpost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    int error;
    const char *name;
} errors[] = {
#define X(name, value, text) {SIGNPOST_ERROR_##name, #name},
    SIGNPOST_ERRORS(X)
#undef X
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void test_errors_version_is_that_of_the_header(void **state)
{
    char expected[32];

    (void)state;
    snprintf(expected, sizeof expected, "%d.%d.%d", SIGNPOST_VERSION_MAJOR, SIGNPOST_VERSION_MINOR,
        SIGNPOST_VERSION_PATCH);
    assert_string_equal(signpost_version(), expected);
}

static void test_errors_known_have_their_name_and_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(errors); i++)
        assert_string_equal(signpost_error_name(errors[i].error), errors[i].name);
    assert_string_equal(signpost_error_name(-10), "UNKNOWN_PEER");
    assert_string_equal(signpost_strerror(-10), "no index knows that peer now");
    assert_string_equal(signpost_strerror(SIGNPOST_ERROR_NO_MEMORY), "out of memory");
}

static void test_errors_texts_and_values_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(errors); i++) {
        assert_true(errors[i].error < 0);
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(errors[i].error, errors[k].error);
            assert_string_not_equal(
                signpost_strerror(errors[i].error), signpost_strerror(errors[k].error));
        }
    }
}

static void test_errors_ok_has_a_text(void **state)
{
    (void)state;
    assert_string_equal(signpost_error_name(SIGNPOST_OK), "OK");
    assert_string_equal(signpost_strerror(SIGNPOST_OK), "no error");
}

static void test_errors_unknown_have_a_text(void **state)
{
    static const int unknown[] = {1, 7, -20, -1000, INT32_MAX, INT32_MIN};

    (void)state;
    for (size_t i = 0; i < COUNT(unknown); i++) {
        assert_string_equal(signpost_error_name(unknown[i]), "UNKNOWN");
        assert_non_null(strstr(signpost_strerror(unknown[i]), "does not know"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_version_is_that_of_the_header),
        cmocka_unit_test(test_errors_known_have_their_name_and_text),
        cmocka_unit_test(test_errors_texts_and_values_differ),
        cmocka_unit_test(test_errors_ok_has_a_text),
        cmocka_unit_test(test_errors_unknown_have_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
