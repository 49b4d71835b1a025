/* Which URIs of STUN and TURN servers are taken: those that browsers take too. */
#include "ice/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* What may stand behind any of the schemes. */
static const char *const hosts[] = {"stun.example.org", "stun.example.org:3478", "localhost", "a:1",
    "a:65535", "xn--bcher-kva.example", "example.org.", "192.0.2.1", "192.0.2.1:19302",
    "[2001:db8::1]", "[2001:db8::1]:3478", "[::1]"};

static const char *const wrong_hosts[] = {"", "//stun.example.org", "//stun.example.org:3478", "/",
    ":3478", "stun.example.org:", "stun.example.org:0", "stun.example.org:65536",
    "stun.example.org:3478:1", "stun.example.org:port", "stun.example.org/", "stun.example.org#a",
    "stun.example.org?", "stun.example.org?transport=sctp", "stun.example.org?transport=UDP",
    "stun.example.org?transport=udp&a=b", "stun.example.org?transport=udp?transport=udp",
    "stun.example.org?Transport=udp", "stun.example.org?a=b", "me@stun.example.org",
    "stun example.org", " stun.example.org", "stun.example.org ", "stun.example.org\n",
    "stun..example.org", ".example.org", "-a.example.org", "a-.example.org", "under_score.example",
    "192.0.2", "192.0.2.256", "192.0.2.01", "0x7f.1", "0.0.0.0", "[::]", "2001:db8::1", "[", "[]",
    "[2001:db8::1", "[2001:db8::1]3478", "[2001:db8::1]:", "[192.0.2.1]", "[fe80::1%25eth0]",
    "stun%2eexample.org", "b\xc3\xbc.example"};

static const char *join(const char *scheme, const char *rest, const char *query)
{
    static char text[512];
    strcat(strcat(strcpy(text, scheme), rest), query);
    return text;
}

static void test_uri_stun_with_every_host_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(hosts); i++) {
        if (!ice_uri_is_stun(join("stun:", hosts[i], "")) ||
            !ice_uri_is_stun(join("stuns:", hosts[i], "")))
            fail_msg("%s is refused", hosts[i]);
        assert_false(ice_uri_is_turn(join("stun:", hosts[i], "")));
    }
}

static void test_uri_turn_with_every_host_and_transport_is_taken(void **state)
{
    static const char *const queries[] = {"", "?transport=udp", "?transport=tcp"};
    (void)state;
    for (size_t i = 0; i < COUNT(hosts) * COUNT(queries); i++) {
        const char *host = hosts[i / COUNT(queries)], *query = queries[i % COUNT(queries)];
        if (!ice_uri_is_turn(join("turn:", host, query)) ||
            !ice_uri_is_turn(join("turns:", host, query)))
            fail_msg("%s%s is refused", host, query);
        assert_false(ice_uri_is_stun(join("turn:", host, query)));
    }
}

static void test_uri_stun_with_a_transport_is_refused(void **state)
{
    (void)state;
    assert_false(ice_uri_is_stun("stun:stun.example.org?transport=udp"));
    assert_false(ice_uri_is_stun("stuns:stun.example.org:5349?transport=tcp"));
}

static void test_uri_with_a_wrong_host_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong_hosts); i++)
        if (ice_uri_is_stun(join("stun:", wrong_hosts[i], "")) ||
            ice_uri_is_turn(join("turn:", wrong_hosts[i], "")))
            fail_msg("%s is taken", wrong_hosts[i]);
}

static void test_uri_with_another_scheme_is_refused(void **state)
{
    static const char *const texts[] = {"", "stun", "stuns", "stun.example.org", "stunss:a.example",
        "STUN:a.example", "Turn:a.example", "http:a.example", "stun :a.example", "sturn:a.example",
        ":a.example", "turnstun:a.example"};
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        if (ice_uri_is_stun(texts[i]) || ice_uri_is_turn(texts[i]))
            fail_msg("%s is taken", texts[i]);
}

static void test_uri_of_any_length_ends_well(void **state)
{
    static char text[100000];
    (void)state;
    for (size_t length = 1; length < sizeof text - 1; length += length < 400 ? 1 : 9973) {
        memset(text, 'a', length);
        memcpy(text, "turn:", 5);
        text[length < 5 ? 5 : length] = '\0';
        /* One label, so at most 63 characters. */
        assert_int_equal(ice_uri_is_turn(text), length > 5 && length <= 5 + 63);
        for (size_t dot = 5 + 60; dot < length; dot += 60)
            text[dot] = '.';
        if (length > 5 + 253)
            assert_false(ice_uri_is_turn(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uri_stun_with_every_host_is_taken),
        cmocka_unit_test(test_uri_turn_with_every_host_and_transport_is_taken),
        cmocka_unit_test(test_uri_stun_with_a_transport_is_refused),
        cmocka_unit_test(test_uri_with_a_wrong_host_is_refused),
        cmocka_unit_test(test_uri_with_another_scheme_is_refused),
        cmocka_unit_test(test_uri_of_any_length_ends_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
