/* STUN as a client reads it: the vectors of RFC 5769, and replies that are wrong in every way. */
#include "nat/stun.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t vector_id[STUN_ID_SIZE] = {
    0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae};

/* RFC 5769, 2.2 */
static const uint8_t ipv4_reply[] = {0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7,
    0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65,
    0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x08, 0x00, 0x01,
    0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43, 0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e,
    0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7, 0x80, 0x28,
    0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96};

/* RFC 5769, 2.3 */
static const uint8_t ipv6_reply[] = {0x01, 0x01, 0x00, 0x48, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7,
    0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65,
    0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x14, 0x00, 0x02,
    0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2,
    0xb9, 0xd9, 0x00, 0x08, 0x00, 0x14, 0xa3, 0x82, 0x95, 0x4e, 0x4b, 0xe6, 0x7b, 0xf1, 0x17, 0x84,
    0xc9, 0x7c, 0x82, 0x92, 0xc2, 0x75, 0xbf, 0xe3, 0xed, 0x41, 0x80, 0x28, 0x00, 0x04, 0xc8, 0xfb,
    0x0b, 0x4c};

static void test_stun_reply_over_ipv4_tells_the_vectors_address(void **state)
{
    struct stun_reply reply;
    char address[INET_ADDRSTRLEN];

    (void)state;
    assert_true(stun_read_reply(ipv4_reply, sizeof ipv4_reply, vector_id, &reply));
    const struct sockaddr_in *mapped = (const struct sockaddr_in *)&reply.mapped;
    assert_int_equal(mapped->sin_family, AF_INET);
    assert_int_equal(ntohs(mapped->sin_port), 32853);
    assert_string_equal(
        inet_ntop(AF_INET, &mapped->sin_addr, address, sizeof address), "192.0.2.1");
    assert_int_equal(reply.other.ss_family, 0);
}

static void test_stun_reply_over_ipv6_tells_the_vectors_address(void **state)
{
    struct stun_reply reply;
    char address[INET6_ADDRSTRLEN];

    (void)state;
    assert_true(stun_read_reply(ipv6_reply, sizeof ipv6_reply, vector_id, &reply));
    const struct sockaddr_in6 *mapped = (const struct sockaddr_in6 *)&reply.mapped;
    assert_int_equal(mapped->sin6_family, AF_INET6);
    assert_int_equal(ntohs(mapped->sin6_port), 32853);
    assert_string_equal(inet_ntop(AF_INET6, &mapped->sin6_addr, address, sizeof address),
        "2001:db8:1234:5678:11:2233:4455:6677");
}

/* The fingerprint sees each bit that changed, wherever it is. */
static void test_stun_reply_with_any_bit_flipped_is_none(void **state)
{
    uint8_t bytes[sizeof ipv4_reply];
    struct stun_reply reply;

    (void)state;
    for (size_t i = 0; i < 8 * sizeof bytes; i++) {
        memcpy(bytes, ipv4_reply, sizeof bytes);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        /* Those of attributes' types and lengths may leave a message without a fingerprint. */
        size_t at = i / 8;
        if ((at >= 20 && at < 24) || (at >= 36 && at < 40) || (at >= 48 && at < 52) ||
            (at >= 72 && at < 76))
            continue;
        assert_false(stun_read_reply(bytes, sizeof bytes, vector_id, &reply));
    }
}

static void test_stun_reply_cut_anywhere_is_none(void **state)
{
    struct stun_reply reply;

    (void)state;
    for (size_t size = 0; size < sizeof ipv4_reply; size++) {
        uint8_t *bytes = malloc(size + 1); /* so that a sanitizer sees what is read behind it */
        memcpy(bytes, ipv4_reply, size);
        assert_false(stun_read_reply(bytes, size, vector_id, &reply));
        free(bytes);
    }
}

/* --- replies that are put together ----------------------------------------------------------- */

struct message {
    uint8_t bytes[256];
    size_t size;
};

static struct message begin(unsigned type)
{
    struct message message = {.size = 20};

    message.bytes[0] = (uint8_t)(type >> 8);
    message.bytes[1] = (uint8_t)type;
    memcpy(message.bytes + 4, "\x21\x12\xa4\x42", 4);
    memcpy(message.bytes + 8, vector_id, STUN_ID_SIZE);
    return message;
}

static void add(struct message *message, unsigned type, const void *value, size_t size)
{
    uint8_t *at = message->bytes + message->size;

    at[0] = (uint8_t)(type >> 8);
    at[1] = (uint8_t)type;
    at[2] = (uint8_t)(size >> 8);
    at[3] = (uint8_t)size;
    memcpy(at + 4, value, size);
    message->size += 4 + ((size + 3) & ~(size_t)3);
    message->bytes[3] = (uint8_t)(message->size - 20);
}

static bool reads(const struct message *message, struct stun_reply *ret_reply)
{
    return stun_read_reply(message->bytes, message->size, vector_id, ret_reply);
}

#define MAPPED "\0\x01\x12\x34\xc0\0\x02\x07" /* 192.0.2.7:4660 */

static void test_stun_reply_of_an_old_server_is_read(void **state)
{
    struct message message = begin(0x0101);
    struct stun_reply reply;

    (void)state;
    add(&message, 0x0001, MAPPED, 8);
    add(&message, 0x802C, "\0\x01\x0d\x97\xc0\0\x02\x08", 8);
    assert_true(reads(&message, &reply));
    assert_int_equal(ntohs(((struct sockaddr_in *)&reply.mapped)->sin_port), 0x1234);
    assert_int_equal(ntohs(((struct sockaddr_in *)&reply.other)->sin_port), 3479);
}

static void test_stun_error_tells_its_code(void **state)
{
    struct message message = begin(0x0111);
    struct stun_reply reply;

    (void)state;
    add(&message, 0x0009, "\0\0\x04\x14what", 8);
    assert_true(reads(&message, &reply));
    assert_int_equal(reply.error, 420);
    message = begin(0x0111);
    assert_false(reads(&message, &reply)); /* without a code */
    add(&message, 0x0009, "\0\0\x07\x14", 4);
    assert_false(reads(&message, &reply)); /* 720 is none */
}

static void test_stun_reply_without_an_address_is_none(void **state)
{
    static const struct {
        const char *value;
        size_t size;
    } wrong[] = {{"", 0}, {MAPPED, 4}, {MAPPED, 7}, {"\0\x03\x12\x34\xc0\0\x02\x07", 8},
        {"\0\x02\x12\x34\xc0\0\x02\x07", 8}};
    struct stun_reply reply;

    (void)state;
    struct message message = begin(0x0101);
    assert_false(reads(&message, &reply));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        message = begin(0x0101);
        add(&message, 0x0020, wrong[i].value, wrong[i].size);
        assert_false(reads(&message, &reply));
    }
}

static void test_stun_attribute_that_lies_about_its_length_is_refused(void **state)
{
    struct message message = begin(0x0101);
    struct stun_reply reply;

    (void)state;
    add(&message, 0x0020, MAPPED, 8);
    assert_true(reads(&message, &reply));
    message.bytes[23] = 12;
    assert_false(reads(&message, &reply));
    message.bytes[22] = 0xFF;
    message.bytes[23] = 0xFF;
    assert_false(reads(&message, &reply));
}

static void test_stun_request_or_other_transaction_is_no_reply(void **state)
{
    struct message message = begin(0x0001);
    struct stun_reply reply;
    uint8_t other[STUN_ID_SIZE] = {1};

    (void)state;
    add(&message, 0x0020, MAPPED, 8);
    assert_false(reads(&message, &reply));
    message.bytes[0] = 0x01;
    assert_true(reads(&message, &reply));
    assert_false(stun_read_reply(message.bytes, message.size, other, &reply));
}

static void test_stun_request_has_the_bytes_of_the_rfc(void **state)
{
    uint8_t bytes[STUN_REQUEST_SIZE];

    (void)state;
    assert_int_equal(stun_write_request(vector_id, 0, bytes), 20);
    assert_memory_equal(bytes, "\0\x01\0\0\x21\x12\xa4\x42", 8);
    assert_memory_equal(bytes + 8, vector_id, STUN_ID_SIZE);
    assert_int_equal(stun_write_request(vector_id, STUN_CHANGE_IP | STUN_CHANGE_PORT, bytes), 28);
    assert_memory_equal(bytes, "\0\x01\0\x08", 4);
    assert_memory_equal(bytes + 20, "\0\x03\0\x04\0\0\0\x06", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stun_reply_over_ipv4_tells_the_vectors_address),
        cmocka_unit_test(test_stun_reply_over_ipv6_tells_the_vectors_address),
        cmocka_unit_test(test_stun_reply_with_any_bit_flipped_is_none),
        cmocka_unit_test(test_stun_reply_cut_anywhere_is_none),
        cmocka_unit_test(test_stun_reply_of_an_old_server_is_read),
        cmocka_unit_test(test_stun_error_tells_its_code),
        cmocka_unit_test(test_stun_reply_without_an_address_is_none),
        cmocka_unit_test(test_stun_attribute_that_lies_about_its_length_is_refused),
        cmocka_unit_test(test_stun_request_or_other_transaction_is_no_reply),
        cmocka_unit_test(test_stun_request_has_the_bytes_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
