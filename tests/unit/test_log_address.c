/* How the log writes the address of a client. */
#include "net/log_address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *written(enum log_addresses which, const char *text)
{
    static char shown[LOG_ADDRESS_SIZE];
    struct address address;

    assert_true(address_parse(text, &address));
    log_address_set(which);
    const char *result = log_address(&address, shown);
    assert_ptr_equal(result, shown);
    return result;
}

static int teardown(void **state)
{
    (void)state;
    log_address_set(LOG_ADDRESSES_FULL);
    return 0;
}

static void test_log_address_full_is_the_address(void **state)
{
    (void)state;
    assert_string_equal(written(LOG_ADDRESSES_FULL, "203.0.113.77"), "203.0.113.77");
    assert_string_equal(written(LOG_ADDRESSES_FULL, "2001:db8:1:2::3"), "2001:db8:1:2::3");
}

static void test_log_address_prefix_is_the_network(void **state)
{
    (void)state;
    assert_string_equal(written(LOG_ADDRESSES_PREFIX, "203.0.113.77"), "203.0.113.0/24");
    assert_string_equal(written(LOG_ADDRESSES_PREFIX, "2001:db8:1:2::3"), "2001:db8:1::/48");
    assert_string_equal(written(LOG_ADDRESSES_PREFIX, "::ffff:203.0.113.77"), "203.0.113.0/24");
    assert_string_equal(written(LOG_ADDRESSES_PREFIX, "1111:2222:3333:4444:5555:6666:7777:8888"),
        "1111:2222:3333::/48");
}

static void test_log_address_none_is_a_dash(void **state)
{
    (void)state;
    assert_string_equal(written(LOG_ADDRESSES_NONE, "203.0.113.77"), "-");
}

static void test_log_address_that_is_not_known_is_a_dash(void **state)
{
    (void)state;
    char shown[LOG_ADDRESS_SIZE];
    log_address_set(LOG_ADDRESSES_FULL);
    assert_string_equal(log_address(&(struct address){0}, shown), "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_log_address_full_is_the_address, teardown),
        cmocka_unit_test_teardown(test_log_address_prefix_is_the_network, teardown),
        cmocka_unit_test_teardown(test_log_address_none_is_a_dash, teardown),
        cmocka_unit_test_teardown(test_log_address_that_is_not_known_is_a_dash, teardown),
    };
    return cmocka_run_group_tests_name("log_address", tests, NULL, NULL);
}
