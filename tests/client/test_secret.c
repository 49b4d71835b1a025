#include "secret.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* --- a kernel that does as it is told -------------------------------------------------------- */

static struct {
    bool fails;
    unsigned interrupts; /* so often first */
    size_t most;         /* bytes at once; 0: as many as asked for */
} kernel;

/* Stands before that of the C library. */
ssize_t getrandom(void *buffer, size_t length, unsigned flags)
{
    if (kernel.fails) {
        errno = ENOSYS;
        return -1;
    }
    if (kernel.interrupts > 0) {
        kernel.interrupts--;
        errno = EINTR;
        return -1;
    }
    if (kernel.most && length > kernel.most)
        length = kernel.most;
    return syscall(SYS_getrandom, buffer, length, flags);
}

static int reset_kernel(void **state)
{
    (void)state;
    memset(&kernel, 0, sizeof kernel);
    return 0;
}

static void fill_secret(uint8_t ret_secret[SIGNPOST_SECRET_SIZE], uint8_t first)
{
    for (size_t i = 0; i < SIGNPOST_SECRET_SIZE; i++)
        ret_secret[i] = (uint8_t)(first + i);
}

/* --- randomness ------------------------------------------------------------------------------ */

static void test_secret_random_fills_every_byte(void **state)
{
    uint8_t bytes[66];
    bool differs[sizeof bytes] = {false};

    (void)state;
    for (unsigned round = 0; round < 64; round++) {
        memset(bytes, 0, sizeof bytes);
        assert_int_equal(secret_random(bytes + 1, sizeof bytes - 2), 0);
        for (size_t i = 0; i < sizeof bytes; i++)
            differs[i] = differs[i] || bytes[i] != 0;
    }
    for (size_t i = 1; i + 1 < sizeof bytes; i++)
        assert_true(differs[i]);
    assert_false(differs[0]);
    assert_false(differs[sizeof bytes - 1]);
}

static void test_secret_random_interrupted_and_short_goes_on(void **state)
{
    uint8_t bytes[40];

    (void)state;
    memset(bytes, 0, sizeof bytes);
    kernel.interrupts = 3;
    kernel.most = 7;
    assert_int_equal(secret_random(bytes, sizeof bytes), 0);
    assert_int_equal(kernel.interrupts, 0);
    uint8_t last = 0;
    for (size_t i = 32; i < sizeof bytes; i++)
        last |= bytes[i];
    assert_int_not_equal(last, 0);
}

static void test_secret_random_without_a_source_fails(void **state)
{
    uint8_t bytes[4];

    (void)state;
    kernel.fails = true;
    assert_int_equal(secret_random(bytes, sizeof bytes), SIGNPOST_ERROR_NO_MEMORY);
}

/* --- UUIDs ----------------------------------------------------------------------------------- */

static void assert_uuid(const char *uuid, char version)
{
    assert_int_equal(strlen(uuid), 36);
    for (size_t i = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23)
            assert_int_equal(uuid[i], '-');
        else
            assert_non_null(strchr("0123456789abcdef", uuid[i]));
    }
    assert_int_equal(uuid[14], version);
    assert_non_null(strchr("89ab", uuid[19]));
}

static void test_secret_uuid_is_of_version_4_and_new_each_time(void **state)
{
    char first[SECRET_UUID_SIZE], second[SECRET_UUID_SIZE];

    (void)state;
    for (unsigned round = 0; round < 64; round++) {
        secret_uuid(first);
        secret_uuid(second);
        assert_uuid(first, '4');
        assert_string_not_equal(first, second);
    }
}

static void test_secret_uuid_without_a_source_is_still_new_each_time(void **state)
{
    char uuids[64][SECRET_UUID_SIZE];

    (void)state;
    kernel.fails = true;
    for (size_t i = 0; i < COUNT(uuids); i++) {
        secret_uuid(uuids[i]);
        assert_uuid(uuids[i], '4');
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(uuids[i], uuids[k]);
    }
}

static void test_secret_id_is_that_of_the_secret(void **state)
{
    uint8_t secret[SIGNPOST_SECRET_SIZE];
    char id[SECRET_UUID_SIZE], other[SECRET_UUID_SIZE];

    (void)state;
    fill_secret(secret, 0);
    secret_id(secret, id);
    /* From Python's hmac over "signpost-id". */
    assert_string_equal(id, "4585987e-3ca3-836f-9d81-db805208ade5");
    assert_uuid(id, '8');
    fill_secret(secret, 1);
    secret_id(secret, other);
    assert_uuid(other, '8');
    assert_string_not_equal(id, other);
}

/* --- tokens ---------------------------------------------------------------------------------- */

static void test_secret_token_is_the_hmac_of_the_origin(void **state)
{
    /* From `openssl dgst -sha256 -mac HMAC` over "signpost-token:" and the origin. */
    static const struct {
        const char *url, *token;
    } cases[] = {
        {"https://pod.example:7117", "PUqHL-w4TcVYnuTPyqRSjwPNknh6c69-T7mwCKPRfrQ"},
        {"http://127.0.0.1", "n-5JIPSHBr34IlyRnhLIhl1A75yfdPXdKdA08U9JbWM"},
        {"https://[::1]/", "FbzbU8kWnaEbk4Jm8pzTzlPDcKN9uZHVhWh05TM3U4s"},
    };
    uint8_t secret[SIGNPOST_SECRET_SIZE];
    char token[SECRET_TOKEN_SIZE];

    (void)state;
    fill_secret(secret, 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(secret_token(secret, cases[i].url, token), 0);
        assert_string_equal(token, cases[i].token);
    }
}

static void test_secret_token_same_origin_written_otherwise_is_the_same(void **state)
{
    static const struct {
        const char *url, *same;
    } cases[] = {
        {"https://pod.example", "https://pod.example:443"},
        {"https://pod.example", "https://pod.example:"},
        {"https://pod.example", "https://pod.example:0443/"},
        {"http://pod.example", "http://pod.example:80"},
        {"https://pod.example:7117", "HTTPS://Pod.EXAMPLE:7117"},
        {"https://pod.example:7117", "https://pod.example:7117/"},
        {"https://pod.example:7117", "https://pod.example:7117/a/b@c:9?d=e#f"},
        {"https://pod.example:7117", "https://pod.example:7117?q=/"},
        {"https://pod.example:7117", "https://pod.example:7117#@evil.example:1"},
        {"https://pod.example:7117", "https://user@pod.example:7117"},
        {"https://pod.example:7117", "https://user:pass@pod.example:7117"},
        {"https://pod.example:7117", "https://user:p%40ss@pod.example:7117/x"},
        {"http://[2001:db8::1]", "http://[2001:DB8:0:0:0:0:0:1]:80/x"},
        {"http://[::1]:7117", "http://me@[::0001]:7117"},
        {"http://[fe80::1%eth0]:7117", "http://[FE80::1%25eth0]:7117"},
    };
    uint8_t secret[SIGNPOST_SECRET_SIZE];
    char token[SECRET_TOKEN_SIZE], same[SECRET_TOKEN_SIZE];

    (void)state;
    fill_secret(secret, 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(secret_token(secret, cases[i].url, token), 0);
        if (secret_token(secret, cases[i].same, same))
            fail_msg("%s is not taken", cases[i].same);
        if (strcmp(token, same) != 0)
            fail_msg("%s has another token than %s", cases[i].same, cases[i].url);
    }
}

static void test_secret_token_other_origin_or_secret_is_another(void **state)
{
    static const char *const urls[] = {
        "https://pod.example:7117",
        "http://pod.example:7117",
        "https://pod.example:7118",
        "https://pod.example",
        "http://pod.example",
        "https://pod2.example:7117",
        "https://pod.example.:7117",
        "https://[2001:db8::1]:7117",
        "https://[2001:db8::2]:7117",
        "https://[fe80::1%25eth0]:7117",
        "https://[fe80::1%25eth1]:7117",
    };
    char tokens[COUNT(urls) + 1][SECRET_TOKEN_SIZE];
    uint8_t secret[SIGNPOST_SECRET_SIZE];

    (void)state;
    fill_secret(secret, 0);
    for (size_t i = 0; i < COUNT(urls); i++)
        assert_int_equal(secret_token(secret, urls[i], tokens[i]), 0);
    fill_secret(secret, 1);
    assert_int_equal(secret_token(secret, urls[0], tokens[COUNT(urls)]), 0);
    for (size_t i = 0; i < COUNT(tokens); i++) {
        assert_int_equal(strlen(tokens[i]), 43);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(tokens[i], tokens[k]);
    }
}

static void test_secret_token_bad_url_is_invalid(void **state)
{
    static const char *const urls[] = {
        "",
        "pod.example",
        "pod.example:7117",
        "//pod.example",
        "http:",
        "http:/pod.example",
        "http://",
        "https://",
        "https:///x",
        "https://:7117",
        "https://user@",
        "https://user@:7117",
        "https://?pod.example",
        "ftp://pod.example",
        "httpss://pod.example",
        " https://pod.example",
        "https://pod.example ",
        "https://pod example",
        "https://pod.example\n",
        "https://pod.example\x7f",
        "https://pod.example\\@evil.example",
        "https://user@evil.example@pod.example",
        "https://pod%2eexample",
        "https://pod.example:x",
        "https://pod.example:-1",
        "https://pod.example:+80",
        "https://pod.example:0",
        "https://pod.example:65536",
        "https://pod.example:18446744073709551696",
        "https://pod.example:80:90",
        "https://::1",
        "https://[::1",
        "https://[]",
        "https://[::1]7117",
        "https://[::1]x:7117",
        "https://[pod.example]",
        "https://[127.0.0.1]",
        "https://[::1%]",
        "https://[fe80::1%a b]",
        "https://[fe80::1%a%b]",
    };
    uint8_t secret[SIGNPOST_SECRET_SIZE];
    char token[SECRET_TOKEN_SIZE] = "untouched";

    (void)state;
    fill_secret(secret, 0);
    for (size_t i = 0; i < COUNT(urls); i++) {
        if (secret_token(secret, urls[i], token) != SIGNPOST_ERROR_INVALID)
            fail_msg("\"%s\" is taken", urls[i]);
        assert_string_equal(token, "untouched");
    }
}

static void test_secret_token_host_length_has_a_limit(void **state)
{
    static const struct {
        const char *head, *tail;
        size_t fill;
        int error;
    } cases[] = {
        {"https://", ":65535/", 255, 0},
        {"https://", "", 256, SIGNPOST_ERROR_INVALID},
        {"https://", "@pod.example", 900, 0},
        {"https://pod.example/", "", 900, 0},
        {"https://[fe80::1%25", "]:65535", 240, 0},
        {"https://[fe80::1%25", "]:65535", 245, 0},
        {"https://[fe80::1%25", "]", 255, SIGNPOST_ERROR_INVALID},
        {"https://[", "::1]", 900, SIGNPOST_ERROR_INVALID},
    };
    uint8_t secret[SIGNPOST_SECRET_SIZE];
    char url[1024], token[SECRET_TOKEN_SIZE];

    (void)state;
    fill_secret(secret, 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t length = strlen(cases[i].head);
        memcpy(url, cases[i].head, length);
        memset(url + length, 'a', cases[i].fill);
        snprintf(
            url + length + cases[i].fill, sizeof url - length - cases[i].fill, "%s", cases[i].tail);
        if (secret_token(secret, url, token) != cases[i].error)
            fail_msg("case %zu", i);
    }
}

#define WITH_KERNEL(test) cmocka_unit_test_setup(test, reset_kernel)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_KERNEL(test_secret_random_fills_every_byte),
        WITH_KERNEL(test_secret_random_interrupted_and_short_goes_on),
        WITH_KERNEL(test_secret_random_without_a_source_fails),
        WITH_KERNEL(test_secret_uuid_is_of_version_4_and_new_each_time),
        WITH_KERNEL(test_secret_uuid_without_a_source_is_still_new_each_time),
        WITH_KERNEL(test_secret_id_is_that_of_the_secret),
        WITH_KERNEL(test_secret_token_is_the_hmac_of_the_origin),
        WITH_KERNEL(test_secret_token_same_origin_written_otherwise_is_the_same),
        WITH_KERNEL(test_secret_token_other_origin_or_secret_is_another),
        WITH_KERNEL(test_secret_token_bad_url_is_invalid),
        WITH_KERNEL(test_secret_token_host_length_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
