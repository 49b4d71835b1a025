/* STUN as the index answers it: the request of RFC 5769, sizes, and everything that is no request.
 */
#include "net/stun.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* RFC 5769, 2.1: with SOFTWARE, PRIORITY, ICE-CONTROLLED, USERNAME, MESSAGE-INTEGRITY, FINGERPRINT
 */
static const uint8_t vector[] = {0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7,
    0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55,
    0x4e, 0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00,
    0x04, 0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b,
    0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20,
    0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2,
    0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b,
    0xcf};

/* RFC 5769, 2.4: with USERNAME, NONCE, REALM, MESSAGE-INTEGRITY and no FINGERPRINT */
static const uint8_t long_term[] = {0x00, 0x01, 0x00, 0x60, 0x21, 0x12, 0xa4, 0x42, 0x78, 0xad,
    0x34, 0x33, 0xc6, 0xad, 0x72, 0xc0, 0x29, 0xda, 0x41, 0x2e, 0x00, 0x06, 0x00, 0x12, 0xe3, 0x83,
    0x9e, 0xe3, 0x83, 0x88, 0xe3, 0x83, 0xaa, 0xe3, 0x83, 0x83, 0xe3, 0x82, 0xaf, 0xe3, 0x82, 0xb9,
    0x00, 0x00, 0x00, 0x15, 0x00, 0x1c, 0x66, 0x2f, 0x2f, 0x34, 0x39, 0x39, 0x6b, 0x39, 0x35, 0x34,
    0x64, 0x36, 0x4f, 0x4c, 0x33, 0x34, 0x6f, 0x4c, 0x39, 0x46, 0x53, 0x54, 0x76, 0x79, 0x36, 0x34,
    0x73, 0x41, 0x00, 0x14, 0x00, 0x0b, 0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x2e, 0x6f, 0x72,
    0x67, 0x00, 0x00, 0x08, 0x00, 0x14, 0xf6, 0x70, 0x24, 0x65, 0x6d, 0xd6, 0x4a, 0x3e, 0x02, 0xb8,
    0xe0, 0x71, 0x2e, 0x85, 0xc9, 0xa2, 0x8c, 0xa8, 0x96, 0x66};

static const struct address ipv4 = {.family = 4, .bytes = {192, 0, 2, 1}};
static const struct address ipv6 = {.family = 6,
    .bytes = {0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34, 0x56, 0x78, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55,
        0x66, 0x77}};
#define PORT 32853

struct request {
    uint8_t bytes[256];
    size_t size;
};

/* A bare request with the transaction id of the vectors. */
static struct request bare(void)
{
    struct request request = {.size = 20};

    memcpy(request.bytes, vector, 20);
    request.bytes[3] = 0;
    return request;
}

static void add(struct request *request, unsigned type, size_t size)
{
    uint8_t *at = request->bytes + request->size;

    at[0] = (uint8_t)(type >> 8);
    at[1] = (uint8_t)type;
    at[2] = 0;
    at[3] = (uint8_t)size;
    request->size += 4 + ((size + 3) & ~(size_t)3);
    request->bytes[2] = (uint8_t)((request->size - 20) >> 8);
    request->bytes[3] = (uint8_t)(request->size - 20);
}

static size_t answer(const struct request *request, uint8_t ret_reply[STUN_REPLY_MAX])
{
    return stun_answer(request->bytes, request->size, &ipv4, PORT, ret_reply);
}

/* The XOR-MAPPED-ADDRESS of RFC 5769, 2.2 and 2.3: the same id, address and port. */
static void test_stun_bare_request_is_answered_as_in_the_rfc(void **state)
{
    static const uint8_t mapped4[] = {
        0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43};
    static const uint8_t mapped6[] = {0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13,
        0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9};
    struct request request = bare();
    uint8_t reply[STUN_REPLY_MAX];

    (void)state;
    assert_int_equal(stun_answer(request.bytes, 20, &ipv4, PORT, reply), 32);
    assert_memory_equal(reply, "\x01\x01\0\x0c", 4);
    assert_memory_equal(reply + 4, request.bytes + 4, 16);
    assert_memory_equal(reply + 20, mapped4, sizeof mapped4);
    assert_int_equal(stun_answer(request.bytes, 20, &ipv6, PORT, reply), 44);
    assert_memory_equal(reply, "\x01\x01\0\x18", 4);
    assert_memory_equal(reply + 20, mapped6, sizeof mapped6);
}

static void test_stun_request_of_the_rfc_is_told_what_is_not_understood(void **state)
{
    uint8_t reply[STUN_REPLY_MAX];

    (void)state;
    /* PRIORITY is of ICE; credentials, SOFTWARE and ICE-CONTROLLED are none of the unknown. */
    assert_int_equal(stun_answer(vector, sizeof vector, &ipv4, PORT, reply), 36);
    assert_memory_equal(reply, "\x01\x11\0\x10", 4);
    assert_memory_equal(reply + 20, "\0\x09\0\x04\0\0\x04\x14\0\x0a\0\x02\0\x24\0\0", 16);
}

/* Its credentials count for nothing here. */
static void test_stun_request_with_long_term_credentials_is_answered(void **state)
{
    uint8_t reply[STUN_REPLY_MAX];

    (void)state;
    assert_int_equal(stun_answer(long_term, sizeof long_term, &ipv4, PORT, reply), 32);
    assert_memory_equal(reply, "\x01\x01\0\x0c", 4);
    assert_memory_equal(reply + 4, long_term + 4, 16);
}

/* Type and length of an attribute: if they change, there may be no fingerprint left. */
static bool is_head(size_t at)
{
    static const size_t heads[] = {20, 40, 48, 60, 76, 100};

    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (at >= heads[i] && at < heads[i] + 4)
            return true;
    return false;
}

static void test_stun_request_changed_on_its_way_is_not_answered(void **state)
{
    uint8_t bytes[sizeof vector], reply[STUN_REPLY_MAX];

    (void)state;
    for (size_t bit = 0; bit < 8 * sizeof vector; bit++) {
        memcpy(bytes, vector, sizeof bytes);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        size_t length = stun_answer(bytes, sizeof bytes, &ipv4, PORT, reply);
        if (!is_head(bit / 8))
            assert_int_equal(length, 0);
        else
            assert_true(!length || (reply[0] == 1 && reply[1] == 0x11));
    }
}

/* FINGERPRINT of all that stands before it (RFC 8489, 14.7), in a message that goes on after it. */
static void add_fingerprint(struct request *request, size_t behind_it)
{
    size_t covered = request->size;
    uint32_t crc = 0xFFFFFFFF;

    add(request, 0x8028, 4);
    request->bytes[3] = (uint8_t)(request->bytes[3] + behind_it);
    for (size_t bit = 0; bit < 8 * covered; bit++) {
        crc ^= (uint32_t)(request->bytes[bit / 8] >> bit % 8 & 1);
        crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    crc = ~crc ^ 0x5354554E;
    for (size_t i = 0; i < 4; i++)
        request->bytes[covered + 4 + i] = (uint8_t)(crc >> 8 * (3 - i));
}

static void test_stun_fingerprint_is_right_and_comes_last(void **state)
{
    struct request request = bare();
    uint8_t reply[STUN_REPLY_MAX];

    (void)state;
    add_fingerprint(&request, 0);
    assert_int_equal(answer(&request, reply), 32);
    request.bytes[27] ^= 1;
    assert_int_equal(answer(&request, reply), 0);

    request = bare();
    add_fingerprint(&request, 8);
    add(&request, 0x8022, 4);
    assert_int_equal(request.bytes[3], 16);
    assert_int_equal(answer(&request, reply), 0);
}

/* Without a fingerprint only the head of the message tells; what comes back is of this request. */
static void test_stun_request_without_fingerprint_is_known_by_its_head(void **state)
{
    uint8_t bytes[sizeof long_term], reply[STUN_REPLY_MAX];

    (void)state;
    for (size_t bit = 0; bit < 8 * sizeof long_term; bit++) {
        memcpy(bytes, long_term, sizeof bytes);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        size_t length = stun_answer(bytes, sizeof bytes, &ipv4, PORT, reply);
        if (bit / 8 < 8)
            assert_int_equal(length, 0);
        else if (bit / 8 < 20)
            assert_int_equal(length, 32);
        if (length)
            assert_memory_equal(reply + 4, bytes + 4, 16);
    }
}

/* Nothing is written behind the reply that is announced, nor read behind what came. */
static void test_stun_reply_keeps_to_its_size(void **state)
{
    const struct address *const sources[] = {&ipv4, &ipv6};

    (void)state;
    for (unsigned unknown = 0; unknown < 8; unknown++)
        for (size_t i = 0; i < 2; i++) {
            struct request request = bare();
            uint8_t reply[2 * STUN_REPLY_MAX];
            size_t named = unknown < 4 ? unknown : 4;
            size_t expected = unknown ? 32 + (2 * named + 3) / 4 * 4 : i ? 44 : 32;
            for (unsigned n = 0; n < unknown; n++)
                add(&request, 0x0030 + n, n);
            uint8_t *sent = malloc(request.size);
            memcpy(sent, request.bytes, request.size);
            memset(reply, 0x5a, sizeof reply);
            size_t length = stun_answer(sent, request.size, sources[i], PORT, reply);
            assert_int_equal(length, expected);
            assert_int_equal(reply[3], length - 20);
            for (size_t at = STUN_REPLY_MAX; at < sizeof reply; at++)
                assert_int_equal(reply[at], 0x5a);
            free(sent);
        }
}

static void test_stun_credentials_are_passed_over(void **state)
{
    static const unsigned known[] = {
        0x0006, 0x0008, 0x0014, 0x0015, 0x001C, 0x001D, 0x001E, 0x8022};
    struct request request = bare();
    uint8_t reply[STUN_REPLY_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        add(&request, known[i], 20);
    assert_int_equal(answer(&request, reply), 32);
}

static void test_stun_error_stays_small_however_much_is_unknown(void **state)
{
    struct request request = bare();
    uint8_t reply[STUN_REPLY_MAX];

    (void)state;
    for (unsigned i = 0; i < 20; i++)
        add(&request, 0x0030 + i, 0);
    assert_int_equal(answer(&request, reply), 40);
    assert_memory_equal(reply + 28, "\0\x0a\0\x08\0\x30\0\x31\0\x32\0\x33", 12);
}

static void test_stun_everything_else_is_silence(void **state)
{
    uint8_t reply[STUN_REPLY_MAX];
    struct request request;

    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {{0, 0x01}, {0, 0x41}, {0, 0x80}, {1, 0x11}, {1, 0x03}, {1, 0x00}, {2, 1}, {3, 4},
        {3, 1}, {4, 0}, {7, 0x43}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        request = bare();
        request.bytes[wrong[i].at] = wrong[i].value;
        assert_int_equal(answer(&request, reply), 0);
    }
    request = bare();
    for (request.size = 0; request.size < 20; request.size++)
        assert_int_equal(answer(&request, reply), 0);
    request = bare();
    add(&request, 0x8022, 8);
    request.bytes[23] = 9; /* longer than the message */
    assert_int_equal(answer(&request, reply), 0);
    request = bare();
    add(&request, 0x8028, 4); /* a fingerprint of zeros */
    assert_int_equal(answer(&request, reply), 0);
    request = bare();
    add(&request, 0x8028, 0); /* none at all */
    assert_int_equal(answer(&request, reply), 0);
}

/* xorshift32: the same at each run. */
static uint32_t chance(uint32_t *state, uint32_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % below;
}

static void test_stun_bytes_by_chance_are_read_within_their_bounds(void **state)
{
    uint8_t reply[STUN_REPLY_MAX];

    (void)state;
    uint32_t seed = 7;
    for (int i = 0; i < 20000; i++) {
        size_t size = 20 + 4 * (size_t)chance(&seed, 12);
        uint8_t *bytes = malloc(size); /* so that a sanitizer sees what is read behind it */
        for (size_t at = 0; at < size; at++)
            bytes[at] = (uint8_t)chance(&seed, chance(&seed, 8) ? 4 : 256);
        memcpy(bytes, vector, 20);
        bytes[3] = (uint8_t)(size - 20);
        size_t length = stun_answer(bytes, size, &ipv6, PORT, reply);
        assert_true(length == 0 || (length >= 32 && length <= STUN_REPLY_MAX));
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stun_bare_request_is_answered_as_in_the_rfc),
        cmocka_unit_test(test_stun_request_of_the_rfc_is_told_what_is_not_understood),
        cmocka_unit_test(test_stun_request_with_long_term_credentials_is_answered),
        cmocka_unit_test(test_stun_request_changed_on_its_way_is_not_answered),
        cmocka_unit_test(test_stun_fingerprint_is_right_and_comes_last),
        cmocka_unit_test(test_stun_request_without_fingerprint_is_known_by_its_head),
        cmocka_unit_test(test_stun_reply_keeps_to_its_size),
        cmocka_unit_test(test_stun_credentials_are_passed_over),
        cmocka_unit_test(test_stun_error_stays_small_however_much_is_unknown),
        cmocka_unit_test(test_stun_everything_else_is_silence),
        cmocka_unit_test(test_stun_bytes_by_chance_are_read_within_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
