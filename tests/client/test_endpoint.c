#include "direct/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};

    if (!endpoint_parse_address(text, &address))
        fail_msg("%s is no address", text);
    return address;
}

/* As a socket that takes both families has it. */
static struct sockaddr_storage mapped(const char *text, uint16_t port)
{
    struct sockaddr_storage address = {.ss_family = AF_INET6};
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&address;

    assert_int_equal(inet_pton(AF_INET6, text, &ipv6->sin6_addr), 1);
    ipv6->sin6_port = htons(port);
    return address;
}

static void test_endpoint_parse_takes_address_literals(void **state)
{
    static const struct {
        const char *text, *scheme, *address;
    } cases[] = {
        {"signpost://192.0.2.7:50051", "signpost", "192.0.2.7:50051"},
        {"grpc://127.0.0.1:1", "grpc", "127.0.0.1:1"},
        {"GRPC+tls-1.0://10.1.2.3:65535", "grpc+tls-1.0", "10.1.2.3:65535"},
        {"signpost://[2001:db8::7]:50051", "signpost", "[2001:db8::7]:50051"},
        {"signpost://[2001:DB8:0:0:0:0:0:7]:050", "signpost", "[2001:db8::7]:50"},
        {"signpost://[::1]:7", "signpost", "[::1]:7"},
        {"signpost://[fd00::1]:7", "signpost", "[fd00::1]:7"},
        {"signpost://[::ffff:192.0.2.7]:9", "signpost", "192.0.2.7:9"},
        {"a2345678901234567890123456789012://1.2.3.4:5", "a2345678901234567890123456789012",
            "1.2.3.4:5"},
        {"signpost://223.255.255.255:5", "signpost", "223.255.255.255:5"},
        {"signpost://1.0.0.0:5", "signpost", "1.0.0.0:5"},
        {"signpost://169.253.0.1:5", "signpost", "169.253.0.1:5"},
        {"signpost://[fec0::1]:5", "signpost", "[fec0::1]:5"},
        {"signpost://[::2]:5", "signpost", "[::2]:5"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct endpoint endpoint;
        char text[ENDPOINT_TEXT_SIZE];
        if (!endpoint_parse(cases[i].text, &endpoint))
            fail_msg("%s is not taken", cases[i].text);
        assert_string_equal(endpoint.scheme, cases[i].scheme);
        endpoint_text(&endpoint.address, text);
        assert_string_equal(text, cases[i].address);
    }
}

static void test_endpoint_parse_refuses_all_else(void **state)
{
    static const char *const texts[] = {
        "",
        "://",
        "signpost",
        "signpost://",
        "signpost://:50051",
        "signpost://192.0.2.7",
        "signpost://192.0.2.7:",
        "signpost://192.0.2.7:0",
        "signpost://192.0.2.7:00000",
        "signpost://192.0.2.7:65536",
        "signpost://192.0.2.7:000080",
        "signpost://192.0.2.7:4294967376",
        "signpost://192.0.2.7:-1",
        "signpost://192.0.2.7:+1",
        "signpost://192.0.2.7: 1",
        "signpost://192.0.2.7:1 ",
        "signpost://192.0.2.7:1/",
        "signpost://192.0.2.7:1/a:2",
        "signpost://me@192.0.2.7:1",
        "signpost://192.0.2.7 :1",
        "signpost://192.0.2:1",
        "signpost://0300.0.2.7:1",
        "signpost://3221225991:1",
        "signpost://peer.example:1",
        "signpost://localhost:1",
        "signpost://2001:db8::7:1",
        "signpost://[2001:db8::7:1",
        "signpost://2001:db8::7]:1",
        "signpost://[2001:db8::7]",
        "signpost://[2001:db8::7]1",
        "signpost://[2001:db8::7%eth0]:1",
        "signpost://[192.0.2.7]:1",
        "signpost://[]:1",
        "signpost://[[::1]]:1",
        "192.0.2.7:50051",
        "//192.0.2.7:50051",
        ":192.0.2.7:50051",
        "signpost:192.0.2.7:50051",
        "signpost:/192.0.2.7:50051",
        "1grpc://192.0.2.7:50051",
        "-://192.0.2.7:50051",
        "gr pc://192.0.2.7:50051",
        "gr_pc://192.0.2.7:50051",
        "a23456789012345678901234567890123://192.0.2.7:50051",
        "signpost://0.0.0.0:1",
        "signpost://0.1.2.3:1",
        "signpost://169.254.1.1:1",
        "signpost://224.0.0.1:1",
        "signpost://239.255.255.255:1",
        "signpost://240.0.0.1:1",
        "signpost://255.255.255.255:1",
        "signpost://[::]:1",
        "signpost://[::ffff:0.0.0.0]:1",
        "signpost://[::ffff:224.0.0.1]:1",
        "signpost://[fe80::1]:1",
        "signpost://[febf::1]:1",
        "signpost://[ff02::1]:1",
        "signpost://[2001:0db8:0000:0000:0000:0000:0000:0000:0000:0007]:1",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct endpoint endpoint = {.scheme = "untouched"};
        if (endpoint_parse(texts[i], &endpoint))
            fail_msg("\"%s\" is taken", texts[i]);
        assert_string_equal(endpoint.scheme, "untouched");
    }
}

static void test_endpoint_is_private_knows_the_ranges(void **state)
{
    static const char *const inside[] = {
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.168.0.0",
        "192.168.255.255",
        "::1",
        "fc00::",
        "fdff:ffff::1",
        "::ffff:10.0.0.1",
    };
    static const char *const outside[] = {
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "192.0.2.7",
        "::2",
        "fbff::1",
        "fe00::1",
        "a00::1", /* begins with the byte 10, and is no IPv4 */
        "2001:db8::7",
        "::ffff:192.0.2.7",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(inside); i++) {
        struct sockaddr_storage address = address_of(inside[i]);
        if (!endpoint_is_private(&address))
            fail_msg("%s is private", inside[i]);
    }
    for (size_t i = 0; i < COUNT(outside); i++) {
        struct sockaddr_storage address = address_of(outside[i]);
        if (endpoint_is_private(&address))
            fail_msg("%s is not private", outside[i]);
    }
    struct sockaddr_storage address = mapped("::ffff:192.168.1.1", 1);
    assert_true(endpoint_is_private(&address));
}

static void test_endpoint_parse_address_takes_a_bare_literal(void **state)
{
    static const char *const wrong[] = {
        "", "localhost", "[::1]", "::1%lo", "127.0.0.1:80", "127.1", "127.0.0.1 ", "1.2.3.256"};
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_false(endpoint_parse_address(wrong[i], &address));
        assert_int_equal(address.ss_family, AF_UNSPEC);
    }
    assert_true(endpoint_parse_address("0.0.0.0", &address));
    assert_int_equal(address.ss_family, AF_INET);
    assert_true(endpoint_parse_address("::", &address));
    assert_int_equal(address.ss_family, AF_INET6);
    assert_true(endpoint_parse_address("::ffff:127.0.0.1", &address));
    assert_int_equal(address.ss_family, AF_INET);
}

static void test_endpoint_same_compares_what_is_meant(void **state)
{
    struct sockaddr_storage one = mapped("::ffff:192.0.2.7", 80), other = address_of("192.0.2.7");
    struct sockaddr_storage ipv6 = address_of("2001:db8::7"), unknown = {.ss_family = AF_UNIX};
    struct sockaddr_storage lookalike = address_of("c000:207::"); /* begins with the same bytes */

    (void)state;
    assert_true(endpoint_same_address(&one, &other));
    assert_false(endpoint_same(&one, &other));
    ((struct sockaddr_in *)&other)->sin_port = htons(80);
    assert_true(endpoint_same(&one, &other));
    assert_false(endpoint_same_address(&one, &ipv6));
    assert_false(endpoint_same_address(&one, &lookalike));
    assert_false(endpoint_same_address(&one, &unknown));
    /* A flow label or a scope is no part of an address here. */
    struct sockaddr_storage labelled = ipv6;
    ((struct sockaddr_in6 *)&labelled)->sin6_flowinfo = htonl(5);
    assert_true(endpoint_same(&ipv6, &labelled));
}

static void test_endpoint_text_of_any_family(void **state)
{
    struct sockaddr_storage one = mapped("::ffff:192.0.2.7", 80), unknown = {.ss_family = AF_UNIX};
    struct sockaddr_storage longest = mapped("2001:2db8:2001:2db8:2001:2db8:2001:2db8", 65535);
    char text[ENDPOINT_TEXT_SIZE];

    (void)state;
    endpoint_text(&one, text);
    assert_string_equal(text, "192.0.2.7:80");
    endpoint_text(&longest, text);
    assert_string_equal(text, "[2001:2db8:2001:2db8:2001:2db8:2001:2db8]:65535");
    endpoint_text(&unknown, text);
    assert_string_equal(text, "?:0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoint_parse_takes_address_literals),
        cmocka_unit_test(test_endpoint_parse_refuses_all_else),
        cmocka_unit_test(test_endpoint_is_private_knows_the_ranges),
        cmocka_unit_test(test_endpoint_parse_address_takes_a_bare_literal),
        cmocka_unit_test(test_endpoint_same_compares_what_is_meant),
        cmocka_unit_test(test_endpoint_text_of_any_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
