/* Addresses, ranges and listeners: what is taken, what is refused, and each boundary. */
#include "net/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/un.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct address address_of(const char *text)
{
    struct address address = {0};
    if (!address_parse(text, &address))
        fail_msg("%s is not taken", text);
    return address;
}

static void assert_formats(const struct address *address, const char *expected)
{
    char text[ADDRESS_TEXT_SIZE];
    assert_ptr_equal(address_format(address, text), text);
    assert_string_equal(text, expected);
}

/* ---- literals ---- */

static void test_address_parse_takes_strict_literals(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"0.0.0.0", "0.0.0.0"},
        {"192.0.2.1", "192.0.2.1"},
        {"255.255.255.255", "255.255.255.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"2001:DB8::A", "2001:db8::a"},
        {"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::FFFF:c000:201", "192.0.2.1"},
        {"::fffe:192.0.2.1", "::fffe:c000:201"},
        {"::ffff:0:192.0.2.1", "::ffff:0:c000:201"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address address = address_of(cases[i][0]);
        assert_formats(&address, cases[i][1]);
        assert_int_equal(address.family, strchr(cases[i][1], ':') ? 6 : 4);
    }
}

static void test_address_parse_refuses_all_else(void **state)
{
    (void)state;
    static const char *const cases[] = {"", " ", "1", "1.2", "1.2.3", "1.2.3.4.5", "1.2.3.256",
        "01.2.3.4", "1.2.3.04", "0x7f.0.0.1", "0x7f000001", "2130706433", "1.2.3.4 ", " 1.2.3.4",
        "1.2.3.4:80", "1.2.3.-4", "+1.2.3.4", "1..3.4", "[::1]", "::1%lo", "fe80::1%1", ":",
        ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "::g", "::1/64",
        "::1.2.3", "localhost", "example.org"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address address = {.family = 99};
        if (address_parse(cases[i], &address))
            fail_msg("%s is taken", cases[i]);
        assert_int_equal(address.family, 99);
    }
}

static void test_address_format_of_none_is_empty(void **state)
{
    (void)state;
    struct address none = {0};
    assert_formats(&none, "");
}

static void test_address_equal_tells_families_apart(void **state)
{
    (void)state;
    struct address none = {0}, ipv4 = address_of("0.0.0.0"), ipv6 = address_of("::");
    struct address mapped = address_of("::ffff:0.0.0.0"), other = address_of("0.0.0.1");

    assert_true(address_equal(&ipv4, &ipv4));
    assert_true(address_equal(&ipv4, &mapped));
    assert_false(address_equal(&ipv4, &ipv6));
    assert_false(address_equal(&ipv4, &none));
    assert_false(address_equal(&ipv4, &other));
}

/* ---- sockaddrs ---- */

static void test_address_sockaddr_goes_both_ways(void **state)
{
    (void)state;
    static const char *const cases[] = {"192.0.2.1", "2001:db8::1", "::", "127.0.0.1"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address address = address_of(cases[i]), back = {0};
        struct sockaddr_storage storage;
        memset(&storage, 0xff, sizeof storage);
        socklen_t length = address_to_sockaddr(&address, 7117, &storage);
        if (address.family == 4) {
            assert_int_equal(length, sizeof(struct sockaddr_in));
            assert_int_equal(storage.ss_family, AF_INET);
            assert_int_equal(((struct sockaddr_in *)&storage)->sin_port, htons(7117));
        } else {
            struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&storage;
            assert_int_equal(length, sizeof *ipv6);
            assert_int_equal(storage.ss_family, AF_INET6);
            assert_int_equal(ipv6->sin6_port, htons(7117));
            assert_int_equal(ipv6->sin6_scope_id, 0);
        }
        assert_true(address_from_sockaddr((struct sockaddr *)&storage, &back));
        assert_true(address_equal(&address, &back));
    }
}

static void test_address_sockaddr_mapped_is_unwrapped(void **state)
{
    (void)state;
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    struct address address = {0};

    assert_int_equal(inet_pton(AF_INET6, "::ffff:10.1.2.3", &ipv6.sin6_addr), 1);
    assert_true(address_from_sockaddr((struct sockaddr *)&ipv6, &address));
    assert_int_equal(address.family, 4);
    assert_formats(&address, "10.1.2.3");
}

static void test_address_sockaddr_of_other_family_is_refused(void **state)
{
    (void)state;
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct address address = {.family = 99};

    assert_false(address_from_sockaddr((struct sockaddr *)&local, &address));
    assert_int_equal(address.family, 99);
}

/* ---- classes ---- */

static void test_address_classify_each_range_to_its_ends(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum address_class class;
    } cases[] = {
        {"0.0.0.0", ADDRESS_UNSPECIFIED},
        {"0.255.255.255", ADDRESS_UNSPECIFIED},
        {"1.0.0.0", ADDRESS_PUBLIC},
        {"9.255.255.255", ADDRESS_PUBLIC},
        {"10.0.0.0", ADDRESS_PRIVATE},
        {"10.255.255.255", ADDRESS_PRIVATE},
        {"11.0.0.0", ADDRESS_PUBLIC},
        {"100.63.255.255", ADDRESS_PUBLIC},
        {"100.64.0.0", ADDRESS_PRIVATE},
        {"100.127.255.255", ADDRESS_PRIVATE},
        {"100.128.0.0", ADDRESS_PUBLIC},
        {"126.255.255.255", ADDRESS_PUBLIC},
        {"127.0.0.0", ADDRESS_LOOPBACK},
        {"127.255.255.255", ADDRESS_LOOPBACK},
        {"128.0.0.0", ADDRESS_PUBLIC},
        {"169.253.255.255", ADDRESS_PUBLIC},
        {"169.254.0.0", ADDRESS_LINK_LOCAL},
        {"169.254.255.255", ADDRESS_LINK_LOCAL},
        {"169.255.0.0", ADDRESS_PUBLIC},
        {"172.15.255.255", ADDRESS_PUBLIC},
        {"172.16.0.0", ADDRESS_PRIVATE},
        {"172.31.255.255", ADDRESS_PRIVATE},
        {"172.32.0.0", ADDRESS_PUBLIC},
        {"192.167.255.255", ADDRESS_PUBLIC},
        {"192.168.0.0", ADDRESS_PRIVATE},
        {"192.168.255.255", ADDRESS_PRIVATE},
        {"192.169.0.0", ADDRESS_PUBLIC},
        {"223.255.255.255", ADDRESS_PUBLIC},
        {"224.0.0.0", ADDRESS_MULTICAST},
        {"239.255.255.255", ADDRESS_MULTICAST},
        {"240.0.0.0", ADDRESS_RESERVED},
        {"255.255.255.255", ADDRESS_RESERVED},
        {"::", ADDRESS_UNSPECIFIED},
        {"::1", ADDRESS_LOOPBACK},
        {"::2", ADDRESS_PUBLIC},
        {"2001:db8::1", ADDRESS_PUBLIC},
        {"fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_PUBLIC},
        {"fc00::", ADDRESS_PRIVATE},
        {"fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_PRIVATE},
        {"fe00::", ADDRESS_PUBLIC},
        {"fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_PUBLIC},
        {"fe80::", ADDRESS_LINK_LOCAL},
        {"febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_LINK_LOCAL},
        {"fec0::", ADDRESS_PUBLIC},
        {"feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_PUBLIC},
        {"ff00::", ADDRESS_MULTICAST},
        {"ff02::1", ADDRESS_MULTICAST},
        {"::ffff:127.0.0.1", ADDRESS_LOOPBACK},
        {"::ffff:10.0.0.1", ADDRESS_PRIVATE},
        {"::ffff:192.0.2.1", ADDRESS_PUBLIC},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address address = address_of(cases[i].text);
        if (address_classify(&address) != cases[i].class)
            fail_msg("%s is of class %d", cases[i].text, (int)address_classify(&address));
    }
    struct address none = {0};
    assert_int_equal(address_classify(&none), ADDRESS_UNSPECIFIED);
}

static void test_address_prefix_is_ipv4_32_and_ipv6_56(void **state)
{
    (void)state;
    struct address ipv4 = address_of("192.0.2.77"), prefix = address_prefix(&ipv4);
    assert_formats(&prefix, "192.0.2.77");
    struct address ipv6 = address_of("2001:db8:1:ffff:ffff:ffff:ffff:ffff");
    prefix = address_prefix(&ipv6);
    assert_formats(&prefix, "2001:db8:1:ff00::");
}

/* ---- ranges ---- */

static void test_address_range_parse_takes_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *text, *base;
        unsigned bits;
    } cases[] = {
        {"10.0.0.0/8", "10.0.0.0", 8},
        {"0.0.0.0/0", "0.0.0.0", 0},
        {"192.0.2.1", "192.0.2.1", 32},
        {"192.0.2.1/32", "192.0.2.1", 32},
        {"192.0.2.128/25", "192.0.2.128", 25},
        {"::/0", "::", 0},
        {"fd00::/8", "fd00::", 8},
        {"2001:db8::1", "2001:db8::1", 128},
        {"2001:db8::1/128", "2001:db8::1", 128},
        {"2001:db8::8000:0/97", "2001:db8::8000:0", 97},
        {"::ffff:10.0.0.0/104", "10.0.0.0", 8},
        {"::ffff:0.0.0.0/96", "0.0.0.0", 0},
        {"::ffff:10.0.0.1", "10.0.0.1", 32},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address_range range = {0};
        if (!address_range_parse(cases[i].text, &range))
            fail_msg("%s is not taken", cases[i].text);
        assert_formats(&range.base, cases[i].base);
        assert_int_equal(range.bits, cases[i].bits);
    }
}

static void test_address_range_parse_refuses_all_else(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
        "10.0.0.0/+8", "10.0.0.0/8 ", "10.0.0.0/ 8", "10.0.0.0/8/8", "10.0.0.0/0x8", "10.0.0.0/a",
        "10.0.0.0/255.0.0.0", "10.0.0.1/8", "10.0.0.1/31", "192.0.2.129/25", "0.0.0.1/0", "::1/127",
        "::1/0", "2001:db8::/129", "2001:db8::/1000", "2001:db8::/28", "fd00::1/8",
        "::ffff:10.0.0.1/104", "::ffff:0.0.0.0/95", "::ffff:0.0.0.0/129", "::ffff:10.0.0.0/8",
        "10/8", "010.0.0.0/8", "example.org/8", "[::1]/128", "fe80::1%lo/128",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999/128"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address_range range = {.bits = 99};
        if (address_range_parse(cases[i], &range))
            fail_msg("%s is taken", cases[i]);
        assert_int_equal(range.bits, 99);
    }
}

static void test_address_range_has_what_is_in_it(void **state)
{
    (void)state;
    static const struct {
        const char *range, *address;
        bool in;
    } cases[] = {
        {"10.0.0.0/8", "10.0.0.0", true},
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "9.255.255.255", false},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.1.1", true},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"0.0.0.0/0", "255.1.2.3", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "192.0.2.1", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"2001:db8::1", "2001:db8::1", true},
        {"2001:db8::1", "2001:db8::2", false},
        {"::ffff:10.0.0.0/104", "10.1.1.1", true},
        {"::ffff:10.0.0.0/104", "11.1.1.1", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address_range range;
        struct address address = address_of(cases[i].address);
        assert_true(address_range_parse(cases[i].range, &range));
        if (address_range_has(&range, &address) != cases[i].in)
            fail_msg("%s and %s", cases[i].range, cases[i].address);
    }
}

/* ---- listeners ---- */

static void test_address_port_parse_takes_literals_and_localhost(void **state)
{
    (void)state;
    static const struct {
        const char *text, *address;
        uint16_t port;
    } cases[] = {
        {"127.0.0.1:7117", "127.0.0.1", 7117},
        {"0.0.0.0:0", "0.0.0.0", 0},
        {"192.0.2.1:65535", "192.0.2.1", 65535},
        {"[::1]:0", "::1", 0},
        {"[::]:80", "::", 80},
        {"[2001:db8::1]:1", "2001:db8::1", 1},
        {"[::ffff:127.0.0.1]:80", "127.0.0.1", 80},
        {"[1111:2222:3333:4444:5555:6666:7777:8888]:9", "1111:2222:3333:4444:5555:6666:7777:8888",
            9},
        {"localhost:7117", "127.0.0.1", 7117},
        {"LocalHost:7117", "127.0.0.1", 7117},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address address = {0};
        uint16_t port = 99;
        if (!address_port_parse(cases[i].text, &address, &port))
            fail_msg("%s is not taken", cases[i].text);
        assert_formats(&address, cases[i].address);
        assert_int_equal(port, cases[i].port);
    }
}

static void test_address_port_parse_refuses_all_else(void **state)
{
    (void)state;
    static const char *const cases[] = {"", ":", ":80", "80", "127.0.0.1",
        "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:100000", "127.0.0.1:-1", "127.0.0.1:+1",
        "127.0.0.1: 1", "127.0.0.1:1 ", "127.0.0.1:a", "127.0.0.1:0x50", "::1:80", "::1", "[::1]",
        "[::1]:", "[::1]80", "[::1]x:80", "[::1:80", "[]:80", "[127.0.0.1]:80", "[::1%lo]:80",
        "::1]:80", "[[::1]]:80", "127.1:80", "0177.0.0.1:80", "example.org:80", "localhos:80",
        "localhostx:80", "localhost", "127.0.0.1:80/", "http://127.0.0.1:80",
        "1111111111111111111111111111111111111111111111111111:80"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address address = {.family = 99};
        uint16_t port = 99;
        if (address_port_parse(cases[i], &address, &port))
            fail_msg("%s is taken", cases[i]);
        assert_int_equal(address.family, 99);
        assert_int_equal(port, 99);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_parse_takes_strict_literals),
        cmocka_unit_test(test_address_parse_refuses_all_else),
        cmocka_unit_test(test_address_format_of_none_is_empty),
        cmocka_unit_test(test_address_equal_tells_families_apart),
        cmocka_unit_test(test_address_sockaddr_goes_both_ways),
        cmocka_unit_test(test_address_sockaddr_mapped_is_unwrapped),
        cmocka_unit_test(test_address_sockaddr_of_other_family_is_refused),
        cmocka_unit_test(test_address_classify_each_range_to_its_ends),
        cmocka_unit_test(test_address_prefix_is_ipv4_32_and_ipv6_56),
        cmocka_unit_test(test_address_range_parse_takes_ranges),
        cmocka_unit_test(test_address_range_parse_refuses_all_else),
        cmocka_unit_test(test_address_range_has_what_is_in_it),
        cmocka_unit_test(test_address_port_parse_takes_literals_and_localhost),
        cmocka_unit_test(test_address_port_parse_refuses_all_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
