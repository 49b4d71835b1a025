/* Which addresses and ports the index may dial. */
#include "net/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct port_range high = {1024, 65535};

static int check(bool allow_private, const char *text, uint16_t port, struct fault *ret_fault)
{
    struct target_rules rules = {
        .allow_private = allow_private,
        .ports = &high,
        .port_count = 1,
    };
    struct address address;

    assert_true(address_parse(text, &address));
    return target_check(&rules, &address, port, ret_fault);
}

static void test_target_public_is_taken(void **state)
{
    static const char *const addresses[] = {"8.8.8.8", "1.1.1.1", "9.255.255.255", "11.0.0.0",
        "73.0.0.5", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
        "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0",
        "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
        "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0",
        "223.255.255.255", "::ffff:8.8.8.8", "2000::1", "2001:200::1", "2001:db7::1", "2001:db9::1",
        "2003::1", "2606:4700::1111", "2a00::1", "3ffe::1", "3fff:1000::1"};
    struct fault fault;
    (void)state;

    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        if (check(false, addresses[i], 1024, &fault))
            fail_msg("%s: %s", addresses[i], fault.detail);
}

static void assert_refused(bool allow_private, const char *text)
{
    struct fault fault;

    if (check(allow_private, text, 50051, &fault) != ERROR_TARGET_REFUSED)
        fail_msg("%s is taken", text);
    assert_non_null(strstr(fault.detail, ": "));
    assert_true(strlen(fault.detail) < sizeof fault.detail - 1);
}

/* Also where private ones are allowed. */
static void test_target_of_no_stranger_is_refused(void **state)
{
    static const char *const addresses[] = {"0.0.0.0", "0.255.255.255", "169.254.0.0",
        "169.254.255.255", "192.0.0.0", "192.0.0.255", "192.0.2.0", "192.0.2.255", "192.88.99.0",
        "192.88.99.255", "198.18.0.0", "198.19.255.255", "198.51.100.0", "198.51.100.255",
        "203.0.113.0", "203.0.113.255", "224.0.0.0", "239.255.255.255", "240.0.0.0",
        "255.255.255.255", "::", "::2", "::8.8.8.8", "::ffff:0:8.8.8.8", "64:ff9b::8.8.8.8",
        "64:ff9b:1::8.8.8.8", "64:ff9b:2::1", "100::1", "1fff:ffff::1", "2001::1", "2001:0:1:2::3",
        "2001:2::1", "2001:10::1", "2001:1ff:ffff::1", "2001:db8::", "2001:db8:ffff:ffff::1",
        "2002::1", "2002:808:808::1", "2002:a00:1::1", "3fff::1", "3fff:fff:ffff::1", "4000::1",
        "5f00::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ffff::1"};
    (void)state;

    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        assert_refused(false, addresses[i]);
        assert_refused(true, addresses[i]);
    }
}

static void test_target_at_home_is_taken_only_where_allowed(void **state)
{
    static const char *const addresses[] = {"10.0.0.0", "10.255.255.255", "172.16.0.0",
        "172.31.255.255", "192.168.0.0", "192.168.255.255", "100.64.0.0", "100.127.255.255",
        "127.0.0.0", "127.255.255.255", "::1", "fc00::1", "fdff:ffff::1", "::ffff:10.0.0.1",
        "::ffff:127.0.0.1"};
    struct fault fault;
    (void)state;

    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        assert_refused(false, addresses[i]);
        assert_int_equal(check(true, addresses[i], 50051, &fault), 0);
    }
}

/* As a caller could make it that did not unwrap it itself. */
static void test_target_mapped_is_judged_as_ipv4(void **state)
{
    struct target_rules rules = {.ports = &high, .port_count = 1};
    struct address address = {6, {[10] = 0xff, [11] = 0xff, 10, 0, 0, 1}};
    struct fault fault;
    (void)state;

    assert_int_equal(target_check(&rules, &address, 50051, &fault), ERROR_TARGET_REFUSED);
    assert_non_null(strstr(fault.detail, "10.0.0.1, a private address"));
    memset(address.bytes + 12, 8, 4);
    assert_int_equal(target_check(&rules, &address, 50051, &fault), 0);
}

static void test_target_of_no_family_is_refused(void **state)
{
    struct target_rules rules = {.allow_private = true, .ports = &high, .port_count = 1};
    struct fault fault;
    (void)state;

    assert_int_equal(
        target_check(&rules, &(struct address){0}, 50051, &fault), ERROR_TARGET_REFUSED);
}

static void test_target_own_address_is_refused_but_loopback(void **state)
{
    struct address own[4];
    struct target_rules rules = {true, &high, 1, own, 4};
    struct fault fault;
    (void)state;

    assert_true(address_parse("127.0.0.1", &own[0]));
    assert_true(address_parse("192.168.0.7", &own[1]));
    assert_true(address_parse("8.8.4.4", &own[2]));
    assert_true(address_parse("2a00::7", &own[3]));
    assert_int_equal(target_check(&rules, &own[0], 50051, &fault), 0);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(target_check(&rules, &own[i], 50051, &fault), ERROR_TARGET_REFUSED);
        assert_non_null(strstr(fault.detail, "own address"));
    }
    rules.allow_private = false;
    assert_int_equal(target_check(&rules, &own[0], 50051, &fault), ERROR_TARGET_REFUSED);
}

static void test_target_ports_are_those_of_the_ranges(void **state)
{
    static const struct port_range ranges[] = {{443, 443}, {2000, 2002}};
    struct target_rules rules = {.ports = ranges, .port_count = 2};
    struct address address;
    struct fault fault;
    (void)state;

    assert_true(address_parse("8.8.8.8", &address));
    for (unsigned port = 0; port <= UINT16_MAX; port++) {
        int expected = port == 443 || (port >= 2000 && port <= 2002) ? 0 : ERROR_TARGET_REFUSED;
        assert_int_equal(target_check(&rules, &address, (uint16_t)port, &fault), expected);
    }
    assert_non_null(strstr(fault.detail, "port 65535"));
    rules.port_count = 0;
    assert_int_equal(target_check(&rules, &address, 443, &fault), ERROR_TARGET_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target_public_is_taken),
        cmocka_unit_test(test_target_of_no_stranger_is_refused),
        cmocka_unit_test(test_target_at_home_is_taken_only_where_allowed),
        cmocka_unit_test(test_target_mapped_is_judged_as_ipv4),
        cmocka_unit_test(test_target_of_no_family_is_refused),
        cmocka_unit_test(test_target_own_address_is_refused_but_loopback),
        cmocka_unit_test(test_target_ports_are_those_of_the_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
