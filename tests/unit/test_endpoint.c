/* Endpoints: what is taken, what is refused and with which words, and how they are written. */
#include "net/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

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

/* Sixty-three letters, and names of four labels with 253 and 254. */
#define LABEL_63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define LABEL_61 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi"
#define NAME_253 LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_61
#define SCHEME_32 "abcdefghijklmnopqrstuvwxyz+-.012"

static void test_endpoint_parse_takes_each_form_of_host(void **state)
{
    (void)state;
    static const struct {
        const char *text, *scheme;
        enum endpoint_host host;
        const char *where; /* the address, or the name */
        uint16_t port;
    } cases[] = {
        {"grpc://:50051", "grpc", ENDPOINT_OBSERVED, "", 50051},
        {"grpc://[::]:50051", "grpc", ENDPOINT_OBSERVED, "", 50051},
        {"grpc://[0:0:0:0:0:0:0:0]:50051", "grpc", ENDPOINT_OBSERVED, "", 50051},
        {"grpc://0.0.0.0:50051", "grpc", ENDPOINT_OBSERVED_IPV4, "", 50051},
        {"grpc://[::ffff:0.0.0.0]:50051", "grpc", ENDPOINT_OBSERVED_IPV4, "", 50051},
        {"udp://203.0.113.7:1", "udp", ENDPOINT_ADDRESS, "203.0.113.7", 1},
        {"udp://0.0.0.1:1", "udp", ENDPOINT_ADDRESS, "0.0.0.1", 1},
        {"udp://[2001:DB8::7]:65535", "udp", ENDPOINT_ADDRESS, "2001:db8::7", 65535},
        {"udp://[::ffff:203.0.113.7]:9", "udp", ENDPOINT_ADDRESS, "203.0.113.7", 9},
        {"HTTP+Unix.X-1://Example.ORG:80", "http+unix.x-1", ENDPOINT_NAME, "example.org", 80},
        {"a://b:00080", "a", ENDPOINT_NAME, "b", 80},
        {"tcp://example.org.:80", "tcp", ENDPOINT_NAME, "example.org", 80},
        {"tcp://xn--bcher-kva.example:80", "tcp", ENDPOINT_NAME, "xn--bcher-kva.example", 80},
        {"tcp://1.2.3.4x:80", "tcp", ENDPOINT_NAME, "1.2.3.4x", 80},
        {"tcp://4.example:80", "tcp", ENDPOINT_NAME, "4.example", 80},
        {"tcp://256.256.256.256.example:80", "tcp", ENDPOINT_NAME, "256.256.256.256.example", 80},
        {"tcp://0x7g:80", "tcp", ENDPOINT_NAME, "0x7g", 80},
        {"tcp://a-b.c--d:80", "tcp", ENDPOINT_NAME, "a-b.c--d", 80},
        {"tcp://" LABEL_63 ":80", "tcp", ENDPOINT_NAME, LABEL_63, 80},
        {SCHEME_32 "://" NAME_253 ".:65535", SCHEME_32, ENDPOINT_NAME, NAME_253, 65535},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct endpoint endpoint;
        struct fault fault = {0};
        memset(&endpoint, 0x5a, sizeof endpoint);
        if (endpoint_parse(cases[i].text, &endpoint, &fault))
            fail_msg("%s: %s", cases[i].text, fault.detail);
        assert_string_equal(endpoint.scheme, cases[i].scheme);
        assert_int_equal(endpoint.host, cases[i].host);
        assert_int_equal(endpoint.port, cases[i].port);
        if (endpoint.host == ENDPOINT_ADDRESS)
            assert_formats(&endpoint.address, cases[i].where);
        if (endpoint.host == ENDPOINT_NAME)
            assert_string_equal(endpoint.name, cases[i].where);
    }
}

/* Refused, with a sentence that has these words. */
struct refusal {
    const char *text, *words;
};

static void assert_refused(const char *text, const char *words)
{
    struct endpoint endpoint, before;
    struct fault fault = {0};

    memset(&endpoint, 0x5a, sizeof endpoint);
    memset(&before, 0x5a, sizeof before);
    if (endpoint_parse(text, &endpoint, &fault) != ERROR_BAD_ENDPOINT)
        fail_msg("%s is not refused", text);
    assert_int_equal(fault.error, ERROR_BAD_ENDPOINT);
    assert_int_equal(fault.retry_after_s, 0);
    assert_null(fault.action);
    if (!strstr(fault.detail, words))
        fail_msg("%s: %s, not: %s", text, fault.detail, words);
    /* Whole, printable, and of the right thing. */
    assert_true(strlen(fault.detail) < sizeof fault.detail - 1);
    for (const char *at = fault.detail; *at; at++)
        assert_in_range(*at, ' ', '~');
    assert_ptr_equal(strstr(fault.detail, "the endpoint \""), fault.detail);
    assert_memory_equal(&endpoint, &before, sizeof endpoint);
}

static void assert_all_refused(const struct refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_refused(refusals[i].text, refusals[i].words);
}

static void test_endpoint_parse_bad_characters_are_refused(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"tcp://h :1", "whitespace"},
        {" tcp://h:1", "whitespace"},
        {"tcp://h:1\n", "whitespace"},
        {"tcp://h\t:1", "whitespace"},
        {"tcp://h\v:1", "whitespace"},
        {"tcp://h\x01:1", "control"},
        {"tcp://h\x7f:1", "control"},
        {"tcp://h\x1b[31m:1", "control"},
        {"tcp://b\xc3\xbc"
         "cher:1",
            "xn--"},
        {"tcp://h\xff:1", "non-ASCII"},
        {"tcp://h%41:1", "percent"},
        {"tcp://[fe80::1%25eth0]:1", "percent"},
        {"tcp://[fe80::1%eth0]:1", "percent"},
        {"tcp://me@h:1", "user"},
        {"tcp://me:secret@h:1", "user"},
        {"tcp://@h:1", "user"},
        {"tcp://h:1/", "path"},
        {"tcp://h/:1", "path"},
        {"tcp:///x:1", "path"},
        {"tcp://h\\x:1", "path"},
        {"tcp://h:1?a=b", "query"},
        {"tcp://h:1#a", "fragment"},
    };
    assert_all_refused(refusals, COUNT(refusals));
}

static void test_endpoint_parse_bad_scheme_is_refused(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"", "no scheme"},
        {"h:1", "no scheme"},
        {"tcp:h:1", "no scheme"},
        {"tcp:/h:1", "no scheme"},
        {"//h:1", "no scheme"},
        {"://h:1", "no scheme"},
        {"1tcp://h:1", "beginning with a letter"},
        {"+tcp://h:1", "beginning with a letter"},
        {"t_p://h:1", "other characters"},
        {"t/p://h:1", "other characters"},
        {"t\"p://h:1", "other characters"},
        {SCHEME_32 "3://h:1", "at most 32"},
    };
    assert_all_refused(refusals, COUNT(refusals));
}

static void test_endpoint_parse_bad_host_is_refused(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"tcp://1:1", "strict IPv4"},
        {"tcp://1.2.3:1", "strict IPv4"},
        {"tcp://1.2.3.4.5:1", "strict IPv4"},
        {"tcp://010.1.1.1:1", "strict IPv4"},
        {"tcp://256.1.1.1:1", "strict IPv4"},
        {"tcp://1.2.3.4.:1", "strict IPv4"},
        {"tcp://2130706433:1", "strict IPv4"},
        {"tcp://0x7f000001:1", "strict IPv4"},
        {"tcp://0x7F.1:1", "strict IPv4"},
        {"tcp://1.0X1:1", "strict IPv4"},
        {"tcp://0x:1", "strict IPv4"},
        {"tcp://example.1:1", "strict IPv4"},
        {"tcp://::1:1", "brackets"},
        {"tcp://2001:db8::1:1", "brackets"},
        {"tcp://h:1:1", "brackets"},
        {"tcp://[203.0.113.7]:1", "in its brackets"},
        {"tcp://[]:1", "in its brackets"},
        {"tcp://[h]:1", "in its brackets"},
        {"tcp://[:::]:1", "in its brackets"},
        {"tcp://[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]:1", "in its brackets"},
        {"tcp://[::1:1", "not closed"},
        {"tcp://[::1]x:1", "between"},
        {"tcp://::1]:1", "brackets"},
        {"tcp://.:1", "empty label"},
        {"tcp://..:1", "empty label"},
        {"tcp://.h:1", "empty label"},
        {"tcp://a..b:1", "empty label"},
        {"tcp://a..:1", "empty label"},
        {"tcp://-a:1", "begins with a hyphen"},
        {"tcp://a.-b:1", "begins with a hyphen"},
        {"tcp://a-:1", "ends in a hyphen"},
        {"tcp://a-.b:1", "ends in a hyphen"},
        {"tcp://a_b:1", "other characters"},
        {"tcp://a*b:1", "other characters"},
        {"tcp://a[b:1", "other characters"},
        {"tcp://a" LABEL_63 ":1", "63"},
        {"tcp://" NAME_253 "x:1", "253"},
    };
    assert_all_refused(refusals, COUNT(refusals));
}

static void test_endpoint_parse_bad_port_is_refused(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"tcp://h", "no port"},
        {"tcp://", "no port"},
        {"tcp://[::1]", "no port"},
        {"tcp://h:", "1 to 65535"},
        {"tcp://:", "1 to 65535"},
        {"tcp://h:0", "1 to 65535"},
        {"tcp://h:00000", "1 to 65535"},
        {"tcp://h:65536", "1 to 65535"},
        {"tcp://h:99999", "1 to 65535"},
        {"tcp://h:000080", "1 to 65535"},
        {"tcp://h:4294967376", "1 to 65535"},
        {"tcp://h:18446744073709551696", "1 to 65535"},
        {"tcp://h:+1", "1 to 65535"},
        {"tcp://h:-1", "1 to 65535"},
        {"tcp://h:1a", "1 to 65535"},
        {"tcp://h:0x50", "1 to 65535"},
        {"tcp://h:http", "1 to 65535"},
    };
    assert_all_refused(refusals, COUNT(refusals));
}

static void test_endpoint_parse_overlong_is_refused_and_cut(void **state)
{
    (void)state;
    char text[LIMIT_ENDPOINT_CHARS + 2];
    struct endpoint endpoint;
    struct fault fault;

    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_refused(text, "shorten it to 300");
    assert_int_equal(endpoint_parse(text, &endpoint, &fault), ERROR_BAD_ENDPOINT);
    assert_non_null(strstr(fault.detail, "aaa...\""));
    /* One less is refused for another reason. */
    text[LIMIT_ENDPOINT_CHARS] = '\0';
    assert_refused(text, "no scheme");
}

static void test_endpoint_parse_quotes_only_printable(void **state)
{
    (void)state;
    struct endpoint endpoint;
    struct fault fault;

    assert_int_equal(endpoint_parse("t\x1b\xc3\"p\r\n", &endpoint, &fault), ERROR_BAD_ENDPOINT);
    assert_ptr_equal(strstr(fault.detail, "the endpoint \"t\?\?'p\?\?\" "), fault.detail);
}

static void test_endpoint_format_brackets_ipv6_only(void **state)
{
    (void)state;
    struct endpoint endpoint;
    struct fault fault;
    struct address ipv4 = address_of("203.0.113.7"), ipv6 = address_of("2001:db8::7");
    char text[LIMIT_ENDPOINT_CHARS + 1];

    assert_int_equal(endpoint_parse("gRPC://:50051", &endpoint, &fault), 0);
    endpoint_format(&endpoint, &ipv4, text);
    assert_string_equal(text, "grpc://203.0.113.7:50051");
    endpoint_format(&endpoint, &ipv6, text);
    assert_string_equal(text, "grpc://[2001:db8::7]:50051");
    /* The longest there is comes back as it went. */
    ipv6 = address_of("1111:2222:3333:4444:5555:6666:7777:8888");
    assert_int_equal(endpoint_parse(SCHEME_32 "://:65535", &endpoint, &fault), 0);
    endpoint_format(&endpoint, &ipv6, text);
    assert_string_equal(text, SCHEME_32 "://[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
    assert_int_equal(endpoint_parse(text, &endpoint, &fault), 0);
    assert_true(address_equal(&endpoint.address, &ipv6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoint_parse_takes_each_form_of_host),
        cmocka_unit_test(test_endpoint_parse_bad_characters_are_refused),
        cmocka_unit_test(test_endpoint_parse_bad_scheme_is_refused),
        cmocka_unit_test(test_endpoint_parse_bad_host_is_refused),
        cmocka_unit_test(test_endpoint_parse_bad_port_is_refused),
        cmocka_unit_test(test_endpoint_parse_overlong_is_refused_and_cut),
        cmocka_unit_test(test_endpoint_parse_quotes_only_printable),
        cmocka_unit_test(test_endpoint_format_brackets_ipv6_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
