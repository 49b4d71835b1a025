/* Credentials for TURN servers: what is made, for whom, and what /ice says of it. */
#include "codec.h"
#include "ice/turn.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_S 1764000000

static int64_t wall_ms(void *user)
{
    return *(int64_t *)user;
}

static int64_t now_ms = NOW_S * 1000LL + 999;
static const struct clock the_clock = {.wall_ms = wall_ms, .user = &now_ms};

static const char *const stun_uris[] = {"stun:a.example", "stuns:b.example:5349"};
static const char *const turn_uris[] = {"turn:c.example?transport=udp", "turns:c.example:443"};

static struct ice an_ice(size_t stun_count, size_t turn_count, const char *secret)
{
    return (struct ice){
        .clock = &the_clock,
        .stun_uris = stun_uris,
        .stun_count = stun_count,
        .turn_uris = turn_uris,
        .turn_count = turn_count,
        .secret = secret,
    };
}

/* --- the password ---------------------------------------------------------------------------- */

static void test_turn_password_is_that_of_the_scheme(void **state)
{
    static const struct {
        const char *secret, *username, *password;
    } cases[] = {
        /* The first is the contract's; the others by openssl dgst -sha1 -hmac. */
        {"north", "12334939:mbzrxpgjys", "Iq7YXkRon8YXJfdN1Ke9EZOw1UE="},
        {"n", "1:a", "sXVo4Yl5bPoFD889N7wPAuARbAc="},
        {"0123456789012345678901234567890123456789012345678901234567890123456789", "1764003600:x",
            "RonatBofELkyN7GF93p9xiBqKxE="},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char password[TURN_PASSWORD_SIZE];
        memset(password, 'x', sizeof password);
        turn_password(cases[i].secret, cases[i].username, password);
        assert_string_equal(password, cases[i].password);
    }
}

/* --- for whom -------------------------------------------------------------------------------- */

static void test_turn_is_for_nodes_of_an_index_with_keys_alone(void **state)
{
    (void)state;
    assert_true(turn_may_have("node", false));
    assert_false(turn_may_have("node", true));
    assert_false(turn_may_have(NULL, false));
    assert_false(turn_may_have(NULL, true));
}

static void test_turn_issued_is_good_for_its_time(void **state)
{
    struct ice ice = an_ice(0, 1, "north");
    struct turn_credential issued;
    char expected[64], password[TURN_PASSWORD_SIZE];

    (void)state;
    assert_true(turn_issue(&ice, "master-a", false, &issued));
    snprintf(expected, sizeof expected, "%d:master-a", NOW_S + LIMIT_TURN_TTL_S);
    assert_string_equal(issued.username, expected);
    turn_password("north", expected, password);
    assert_string_equal(issued.password, password);
}

static void test_turn_issued_follows_the_clock(void **state)
{
    struct ice ice = an_ice(0, 1, "north");
    struct turn_credential before, after;
    int64_t kept_ms = now_ms;

    (void)state;
    assert_true(turn_issue(&ice, "a", false, &before));
    now_ms += 60 * 1000;
    assert_true(turn_issue(&ice, "a", false, &after));
    assert_int_equal(strtol(after.username, NULL, 10) - strtol(before.username, NULL, 10), 60);
    assert_string_not_equal(before.password, after.password);
    now_ms = kept_ms;
}

static void test_turn_issued_for_the_longest_id_is_whole(void **state)
{
    struct ice ice = an_ice(0, 1, "north");
    struct turn_credential issued;
    char id[LIMIT_ID_CHARS + 1] = "";
    int64_t kept_ms = now_ms;

    (void)state;
    memset(id, 'i', LIMIT_ID_CHARS);
    now_ms = INT64_MAX / 2;
    assert_true(turn_issue(&ice, id, false, &issued));
    assert_string_equal(strchr(issued.username, ':') + 1, id);
    now_ms = kept_ms;
}

static void test_turn_is_not_issued_where_it_must_not_be(void **state)
{
    struct ice ice = an_ice(1, 1, "north"), no_uri = an_ice(1, 0, "north"),
               no_secret = an_ice(1, 1, "");
    struct turn_credential issued, untouched;

    (void)state;
    memset(&issued, 0x5a, sizeof issued);
    memset(&untouched, 0x5a, sizeof untouched);
    assert_false(turn_issue(&ice, "node", true, &issued));
    assert_false(turn_issue(&ice, NULL, true, &issued));
    assert_false(turn_issue(&ice, NULL, false, &issued));
    assert_false(turn_issue(&no_uri, "node", false, &issued));
    assert_false(turn_issue(&no_secret, "node", false, &issued));
    assert_memory_equal(&issued, &untouched, sizeof issued);
}

/* --- what is said of it ---------------------------------------------------------------------- */

static void assert_says(
    const struct ice *ice, const struct turn_credential *turn, const char *expected)
{
    struct text out = {0};
    json_error_t error;

    codec_write_ice(&out, ice, NULL, turn);
    assert_false(text_failed(&out));
    assert_string_equal(out.bytes, expected);
    json_t *parsed = json_loadb(out.bytes, out.length, JSON_REJECT_DUPLICATES, &error);
    if (!parsed)
        fail_msg("%s in %s", error.text, out.bytes);
    json_decref(parsed);
    text_clear(&out);
}

static void test_ice_is_an_rtc_configuration(void **state)
{
    struct turn_credential turn = {"1764003600:a", "Iq7YXkRon8YXJfdN1Ke9EZOw1UE="};
    struct ice none = an_ice(0, 0, ""), stun = an_ice(2, 0, ""), both = an_ice(1, 2, "north"),
               relay = an_ice(0, 1, "north");

    (void)state;
    assert_says(&none, NULL, "{\"iceServers\":[],\"ttl\":3600}\n");
    assert_says(&stun, NULL,
        "{\"iceServers\":[{\"urls\":[\"stun:a.example\",\"stuns:b.example:5349\"]}],"
        "\"ttl\":3600}\n");
    assert_says(&both, NULL, "{\"iceServers\":[{\"urls\":[\"stun:a.example\"]}],\"ttl\":3600}\n");
    assert_says(&both, &turn,
        "{\"iceServers\":[{\"urls\":[\"stun:a.example\"]},"
        "{\"urls\":[\"turn:c.example?transport=udp\",\"turns:c.example:443\"],"
        "\"username\":\"1764003600:a\",\"credential\":\"Iq7YXkRon8YXJfdN1Ke9EZOw1UE=\"}],"
        "\"ttl\":3600}\n");
    assert_says(&relay, &turn,
        "{\"iceServers\":[{\"urls\":[\"turn:c.example?transport=udp\"],"
        "\"username\":\"1764003600:a\",\"credential\":\"Iq7YXkRon8YXJfdN1Ke9EZOw1UE=\"}],"
        "\"ttl\":3600}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn_password_is_that_of_the_scheme),
        cmocka_unit_test(test_turn_is_for_nodes_of_an_index_with_keys_alone),
        cmocka_unit_test(test_turn_issued_is_good_for_its_time),
        cmocka_unit_test(test_turn_issued_follows_the_clock),
        cmocka_unit_test(test_turn_issued_for_the_longest_id_is_whole),
        cmocka_unit_test(test_turn_is_not_issued_where_it_must_not_be),
        cmocka_unit_test(test_ice_is_an_rtc_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
