/* How many checks one stranger, and all of them, get; on a clock of the test. */
#include "net/quota.h"
#include "server_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define START_MS 5000

static struct quota *quota;
static int64_t now_ms;
static uint32_t nonces;
static uint64_t ticket;
static struct fault fault;

static int setup(void **state)
{
    (void)state;
    quota = quota_new();
    now_ms = START_MS;
    nonces = 0;
    return quota ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    quota_free(quota);
    return 0;
}

static struct quota_request a_request(const char *address, uint16_t port)
{
    struct quota_request request = {.port = port};

    assert_true(address_parse(address, &request.address));
    nonces++;
    memcpy(request.nonce, &nonces, sizeof nonces);
    return request;
}

static int begin(const char *address, uint16_t port)
{
    struct quota_request request = a_request(address, port);
    return quota_begin(quota, &request, now_ms, &ticket, &fault);
}

/* One that is over at once. */
static int pass(const char *address, uint16_t port)
{
    int error = begin(address, port);
    if (!error)
        quota_end(quota, ticket);
    return error;
}

static void assert_limited(int error, const char *words, int retry_after_s)
{
    assert_int_equal(error, ERROR_CHECK_LIMITED);
    assert_non_null(strstr(fault.detail, words));
    assert_int_equal(fault.retry_after_s, retry_after_s);
}

static void test_quota_twenty_a_minute_of_one_address(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(pass("8.8.8.8", 5000), 0);
        now_ms += 1000;
    }
    assert_limited(pass("8.8.8.8", 5000), "20 checks a minute", 40);
    assert_int_equal(pass("8.8.8.9", 5000), 0);
    now_ms += 39999;
    assert_limited(pass("8.8.8.8", 5000), "20 checks a minute", 1);
    now_ms += 1;
    assert_int_equal(pass("8.8.8.8", 5000), 0);
    assert_limited(pass("8.8.8.8", 5000), "20 checks a minute", 1);
}

static void test_quota_sixty_an_hour_of_one_address(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++) {
        assert_int_equal(pass("8.8.8.8", 5000), 0);
        now_ms += 10000;
    }
    assert_limited(pass("8.8.8.8", 5000), "60 checks an hour", 3000);
    now_ms += 3000 * 1000 - 1;
    assert_limited(pass("8.8.8.8", 5000), "60 checks an hour", 1);
    now_ms += 1;
    assert_int_equal(pass("8.8.8.8", 5000), 0);
}

static void test_quota_eight_ports_an_hour_of_one_address(void **state)
{
    (void)state;
    for (uint16_t port = 5000; port < 5008; port++) {
        assert_int_equal(pass("8.8.8.8", port), 0);
        now_ms += 10000;
    }
    assert_limited(pass("8.8.8.8", 5008), "8 different ports", 3520);
    assert_int_equal(pass("8.8.8.8", 5000), 0);
    /* Now another port is the one that is forgotten first. */
    assert_limited(pass("8.8.8.8", 5008), "8 different ports", 3530);
    now_ms += 3530 * 1000;
    assert_int_equal(pass("8.8.8.8", 5008), 0);
    assert_int_equal(pass("8.8.8.9", 5009), 0);
}

static void test_quota_says_the_limit_that_lasts_longest(void **state)
{
    (void)state;
    for (uint16_t i = 0; i < 20; i++)
        assert_int_equal(pass("8.8.8.8", (uint16_t)(5000 + i % 8)), 0);
    assert_limited(pass("8.8.8.8", 5000), "20 checks a minute", 60);
    assert_limited(pass("8.8.8.8", 6000), "8 different ports", 3600);
}

static void test_quota_one_of_a_protocol_at_a_time(void **state)
{
    struct quota_request udp = a_request("8.8.8.8", 5000);
    uint64_t first, second;
    (void)state;

    udp.udp = true;
    assert_int_equal(begin("8.8.8.8", 5000), 0);
    first = ticket;
    assert_int_equal(quota_begin(quota, &udp, now_ms, &second, &fault), 0);
    assert_limited(begin("8.8.8.8", 5000), "at a time", LIMIT_CHECK_MS / 1000);
    now_ms += 2500;
    assert_limited(begin("8.8.8.8", 5001), "at a time", 6);
    quota_end(quota, second);
    assert_limited(begin("8.8.8.8", 5000), "at a time", 6);
    assert_int_equal(begin("8.8.8.9", 5000), 0);
    quota_end(quota, first);
    assert_int_equal(begin("8.8.8.8", 5000), 0);
    /* What ended long ago, or never was, does not matter. */
    quota_end(quota, first);
    quota_end(quota, UINT64_MAX);
    assert_int_equal(begin("8.8.8.8", 5000), ERROR_CHECK_LIMITED);
}

static void test_quota_ipv6_counts_by_56(void **state)
{
    (void)state;
    assert_int_equal(begin("2a00:0:0:1200::1", 5000), 0);
    assert_int_equal(begin("2a00:0:0:12ff::2", 5000), ERROR_CHECK_LIMITED);
    assert_int_equal(begin("2a00:0:0:1300::1", 5000), 0);
}

static void test_quota_nonce_is_taken_once_of_anyone(void **state)
{
    struct quota_request request = a_request("8.8.8.8", 5000);
    (void)state;

    assert_int_equal(quota_begin(quota, &request, now_ms, &ticket, &fault), 0);
    quota_end(quota, ticket);
    assert_int_equal(quota_begin(quota, &request, now_ms, &ticket, &fault), ERROR_NONCE_USED);
    request.port = 6000;
    request.udp = true;
    assert_true(address_parse("8.8.4.4", &request.address));
    assert_int_equal(quota_begin(quota, &request, now_ms, &ticket, &fault), ERROR_NONCE_USED);
}

static void test_quota_nonce_is_remembered_for_an_hour(void **state)
{
    struct quota_request request = a_request("8.8.8.8", 5000);
    (void)state;

    assert_int_equal(quota_begin(quota, &request, now_ms, &ticket, &fault), 0);
    quota_end(quota, ticket);
    now_ms += 3600000 - 1;
    assert_int_equal(quota_begin(quota, &request, now_ms, &ticket, &fault), ERROR_NONCE_USED);
    now_ms += 1;
    assert_int_equal(quota_begin(quota, &request, now_ms, &ticket, &fault), 0);
}

static void test_quota_refused_counts_for_nothing(void **state)
{
    struct quota_request request = a_request("8.8.8.8", 5000);
    (void)state;

    assert_int_equal(begin("8.8.8.8", 5000), 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(
            quota_begin(quota, &request, now_ms, &ticket, &fault), ERROR_CHECK_LIMITED);
    quota_end(quota, 0);
    assert_int_equal(quota_begin(quota, &request, now_ms, &ticket, &fault), 0);
}

/* For hours, by as many strangers as there may be: everyone is counted, and nothing grows. */
static void test_quota_hundred_and_twenty_a_minute_of_all(void **state)
{
    struct address stranger = {4, {9}};
    char text[ADDRESS_TEXT_SIZE];
    (void)state;

    for (int minute = 0; minute < 150; minute++) {
        for (int i = 0; i < 120; i++) {
            stranger.bytes[1] = (uint8_t)minute;
            stranger.bytes[2] = (uint8_t)i;
            assert_int_equal(pass(address_format(&stranger, text), 5000), 0);
        }
        assert_limited(pass("8.8.8.8", 5000), "120 checks a minute in all", 60);
        now_ms += 59999;
        assert_limited(pass("8.8.8.8", 5000), "120 checks a minute in all", 1);
        now_ms += 1;
    }
}

/* --- against a plain count ------------------------------------------------------------------- */

#define STEPS 20000
#define STRANGERS 12

struct past {
    int64_t at_ms;
    uint64_t ticket;
    uint32_t stranger;
    uint16_t port;
    bool udp, active;
};

static struct past history[STEPS];
static size_t history_count;

/* xorshift32: the same at each run. */
static uint32_t chance(uint32_t below)
{
    static uint32_t seed = 11;

    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % below;
}

/* May this one begin at that time, as the limits are written down? */
static bool may_begin(const struct past *one, int64_t at_ms)
{
    size_t minute = 0, hour = 0, all = 0, ports = 0;
    bool seen[256] = {false};

    for (size_t i = history_count; i-- > 0 && history[i].at_ms > at_ms - 3600000;) {
        const struct past *past = &history[i];
        bool in_minute = past->at_ms > at_ms - 60000;
        all += in_minute;
        if (past->stranger != one->stranger)
            continue;
        if (past->active && past->udp == one->udp)
            return false;
        minute += in_minute;
        hour++;
        ports += !seen[past->port % 256];
        seen[past->port % 256] = true;
    }
    return minute < 20 && hour < 60 && all < 120 && (seen[one->port % 256] || ports < 8);
}

static bool is_busy(const struct past *one)
{
    for (size_t i = 0; i < history_count; i++)
        if (history[i].active && history[i].stranger == one->stranger && history[i].udp == one->udp)
            return true;
    return false;
}

static void end_some(bool all)
{
    for (size_t i = history_count; i-- > 0;)
        if (history[i].active &&
            (all || history[i].at_ms + LIMIT_CHECK_MS <= now_ms || chance(2))) {
            quota_end(quota, history[i].ticket);
            history[i].active = false;
        }
}

/* One in ten is of a home that has many addresses of a /56. */
static struct quota_request a_request_of(const struct past *one)
{
    char text[ADDRESS_TEXT_SIZE];

    if (one->stranger)
        snprintf(text, sizeof text, "9.0.0.%u", one->stranger);
    else
        snprintf(text, sizeof text, "2a00:0:0:12%02x::%x", chance(256), chance(65536));
    struct quota_request request = a_request(text, one->port);
    request.udp = one->udp;
    return request;
}

static void test_quota_agrees_with_a_plain_count(void **state)
{
    int admitted = 0, refused = 0;
    (void)state;

    history_count = 0;
    for (int step = 0; step < STEPS; step++) {
        struct past one = {.stranger = chance(chance(3) ? 3 : STRANGERS),
            .port = (uint16_t)(5000 + chance(chance(4) ? 6 : 12)),
            .udp = chance(2)};
        now_ms += chance(40) ? chance(900) : chance(1200000);
        end_some(chance(3) > 0);
        bool expected = may_begin(&one, now_ms);
        struct quota_request request = a_request_of(&one);
        int error = quota_begin(quota, &request, now_ms, &one.ticket, &fault);
        assert_int_equal(error, expected ? 0 : ERROR_CHECK_LIMITED);
        if (!error) {
            one.at_ms = now_ms;
            one.active = true;
            history[history_count++] = one;
            admitted++;
            continue;
        }
        refused++;
        int64_t wait_ms = fault.retry_after_s * INT64_C(1000);
        assert_true(wait_ms > 0);
        /* So long is enough, and a second less is not. */
        if (is_busy(&one))
            continue;
        assert_true(may_begin(&one, now_ms + wait_ms));
        assert_false(may_begin(&one, now_ms + wait_ms - 1000));
    }
    assert_true(admitted > STEPS / 20);
    assert_true(refused > STEPS / 20);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_quota_twenty_a_minute_of_one_address),
        TEST(test_quota_sixty_an_hour_of_one_address),
        TEST(test_quota_eight_ports_an_hour_of_one_address),
        TEST(test_quota_says_the_limit_that_lasts_longest),
        TEST(test_quota_one_of_a_protocol_at_a_time),
        TEST(test_quota_ipv6_counts_by_56),
        TEST(test_quota_nonce_is_taken_once_of_anyone),
        TEST(test_quota_nonce_is_remembered_for_an_hour),
        TEST(test_quota_refused_counts_for_nothing),
        TEST(test_quota_hundred_and_twenty_a_minute_of_all),
        TEST(test_quota_agrees_with_a_plain_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
