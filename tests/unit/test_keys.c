/* The file of join keys: what a line may be, what the sentence of one that is not says, and that
 * nothing of a secret is ever in it. */
#include "keys.h"

#include "index/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "00112233445566778899aabbccddeeffffeeddccbbaa99887766554433221100"
#define B_UPPER "00112233445566778899AABBCCDDEEFFFFEEDDCCBBAA99887766554433221100"

static struct keys *keys;
static struct fault fault;

static int free_keys(void **state)
{
    (void)state;
    keys_free(keys);
    keys = NULL;
    return 0;
}

/* Of a copy of just that size, so that the address sanitizer sees any byte read past the end. */
static int parse_bytes(const char *text, size_t size)
{
    char *copy = malloc(size ? size : 1);

    assert_non_null(copy);
    memcpy(copy, text, size);
    free_keys(NULL);
    memset(&fault, 0, sizeof fault);
    int error = keys_parse(copy, size, &keys, &fault);
    free(copy);
    return error;
}

static void assert_parses(const char *text, size_t count)
{
    if (parse_bytes(text, strlen(text)))
        fail_msg("%s: %s", text, fault.detail);
    assert_int_equal(keys_count(keys), count);
}

static void assert_wrong(const char *text, const char *sentence)
{
    assert_int_equal(parse_bytes(text, strlen(text)), ERROR_BAD_REQUEST);
    assert_string_equal(fault.detail, sentence);
    assert_null(keys);
}

static const struct key *find(const char *hex)
{
    uint8_t hash[KEY_HASH_SIZE];

    for (size_t i = 0; i < sizeof hash; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        hash[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return keys_find(keys, hash);
}

static void test_keys_line_is_network_role_and_hash(void **state)
{
    (void)state;
    assert_parses("prod member " A "\nprod operator " B, 2);
    assert_string_equal(find(A)->network, "prod");
    assert_false(find(A)->is_operator);
    assert_true(find(B)->is_operator);
    assert_null(find("bb" A));
}

static void test_keys_blanks_and_comments_count_for_nothing(void **state)
{
    (void)state;
    assert_parses("# who may come in\n\n \t\r\n\tprod\t member  " A " # made 2026-01-05\r\n"
                  "  # the old one: x y z\nother member " B "\t#\n",
        2);
    assert_int_equal(find(A)->line, 4);
    assert_string_equal(find(B)->network, "other");
    assert_parses("prod member " B_UPPER, 1);
    assert_non_null(find(B));
    /* A # inside a word is part of it. */
    assert_wrong(
        "prod#1 member " A, "line 1: the network is none: use 1 to 64 of A-Z a-z 0-9 . _ -");
}

static void test_keys_of_no_key_are_wrong(void **state)
{
    (void)state;
#define EMPTY "there is no key in it: add the line that `signpost key new NETWORK` prints"
    assert_wrong("", EMPTY);
    assert_wrong("\n\n", EMPTY);
    assert_wrong("# prod member " A "\n", EMPTY);
}

static void test_keys_wrong_line_is_named(void **state)
{
    (void)state;
#define WORDS                                                                                      \
    " words than a network, a role and a SHA-256: `signpost key new NETWORK` prints one as it "    \
    "has "                                                                                         \
    "to be"
#define DIGITS ": the SHA-256 is not 64 hexadecimal digits, or only zeros"
    assert_wrong("prod member", "line 1 has fewer" WORDS);
    assert_wrong("prod member " A "\n\nx", "line 3 has fewer" WORDS);
    assert_wrong("prod member # " A, "line 1 has fewer" WORDS);
    assert_wrong("prod member " A " 2026", "line 1 has more" WORDS);
    assert_wrong("prod owner " A, "line 1: the role is neither member nor operator");
    assert_wrong("prod Member " A, "line 1: the role is neither member nor operator");
    assert_wrong("prod members " A, "line 1: the role is neither member nor operator");
    assert_wrong("pr*d member " A, "line 1: the network is none: use 1 to 64 of A-Z a-z 0-9 . _ -");
    assert_wrong(
        "pr\303\266d member " A, "line 1: the network is none: use 1 to 64 of A-Z a-z 0-9 . _ -");
    assert_wrong(A "0 member " A, "line 1: the network is none: use 1 to 64 of A-Z a-z 0-9 . _ -");
    assert_parses(A " member " A, 1);
    assert_wrong("prod member " A "a", "line 1" DIGITS);
    assert_wrong("# one\nprod member " A "\nprod member 0", "line 3" DIGITS);
    assert_wrong("prod member g" B, "line 1" DIGITS);
    assert_wrong("prod member 0000000000000000000000000000000000000000000000000000000000000000",
        "line 1" DIGITS);
    assert_wrong("prod member +0112233445566778899aabbccddeeffffeeddccbbaa99887766554433221100",
        "line 1" DIGITS);
    assert_wrong("prod member " A "\nother operator " A,
        "line 2 has the key of line 1 once more: remove one of them");
    assert_int_equal(parse_bytes("prod\0 member " A, 13 + 64), ERROR_BAD_REQUEST);
}

static void test_keys_key_itself_is_wrong_and_never_told(void **state)
{
    (void)state;
    static const char *lines[] = {"prod member spk_secret", "spk_secret", "spk_secret prod member",
        "prod spk_secret " A, "prod member " A " spk_secret"};

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_wrong(lines[i],
            "line 1 has a join key itself: make a new one, and put the second line that `signpost "
            "key new` prints here");
        assert_null(strstr(fault.detail, "secret"));
    }
    assert_parses("prod member " A " # not spk_x: that is a secret", 1);
}

static void test_keys_admit_to_their_own_network(void **state)
{
    (void)state;
    static const uint8_t nobody[KEY_HASH_SIZE];

    assert_parses("prod member " A "\nother member " B, 2);
    assert_true(keys_admit(keys, find(A)->hash, "prod"));
    assert_false(keys_admit(keys, find(A)->hash, "other"));
    assert_false(keys_admit(keys, find(A)->hash, "pro"));
    assert_false(keys_admit(keys, nobody, "prod"));
    /* That of `signpost key new`, with the digest of sha256sum(1). */
    static const char key[] = "spk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    uint8_t hash[KEY_HASH_SIZE];
    token_hash(key, strlen(key), hash);
    assert_parses(
        "prod member 9cc3fec13853b530102d610fd057e5073977cb47a7357530ae838ee094ece692 # zeros", 1);
    assert_true(keys_admit(keys, hash, "prod"));
}

static void test_keys_have_a_limit(void **state)
{
    (void)state;
    size_t room = (LIMIT_KEYS + 1) * 80, size = 0;
    char *text = malloc(room);

    assert_non_null(text);
    for (unsigned i = 1; i <= LIMIT_KEYS; i++)
        size += (size_t)snprintf(text + size, room - size, "n member %064x\n", i);
    assert_parses(text, LIMIT_KEYS);
    snprintf(text + size, room - size, "n member %064x\n", LIMIT_KEYS + 1);
    assert_wrong(text, "it has more than 10000 keys");
    free(text);
}

static void test_keys_file_is_named_in_the_sentence(void **state)
{
    (void)state;
    char path[] = "/tmp/signpost-keys-XXXXXX";
    int fd = mkstemp(path);
    bool exposed = true;
    char sentence[256];

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "prod member " A "\n", 77), 77);
    assert_int_equal(keys_read(path, &keys, &exposed, &fault), 0);
    assert_false(exposed);
    free_keys(NULL);
    assert_int_equal(fchmod(fd, 0604), 0);
    assert_int_equal(keys_read(path, &keys, &exposed, &fault), 0);
    assert_true(exposed);
    free_keys(NULL);
    assert_int_equal(ftruncate(fd, LIMIT_KEYS_FILE_BYTES + 1), 0);
    assert_int_equal(keys_read(path, &keys, &exposed, &fault), ERROR_BAD_REQUEST);
    snprintf(sentence, sizeof sentence,
        "--keys \"%s\": it has more than 2097152 bytes: is it the right file?", path);
    assert_string_equal(fault.detail, sentence);
    close(fd);
    unlink(path);
    assert_int_equal(keys_read(path, &keys, &exposed, &fault), ERROR_BAD_REQUEST);
    snprintf(sentence, sizeof sentence, "--keys \"%s\": No such file or directory", path);
    assert_string_equal(fault.detail, sentence);
    assert_int_equal(keys_read("/", &keys, &exposed, &fault), ERROR_BAD_REQUEST);
    assert_string_equal(fault.detail, "--keys \"/\": Is a directory");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, free_keys)
    const struct CMUnitTest tests[] = {
        TEST(test_keys_line_is_network_role_and_hash),
        TEST(test_keys_blanks_and_comments_count_for_nothing),
        TEST(test_keys_of_no_key_are_wrong),
        TEST(test_keys_wrong_line_is_named),
        TEST(test_keys_key_itself_is_wrong_and_never_told),
        TEST(test_keys_admit_to_their_own_network),
        TEST(test_keys_have_a_limit),
        TEST(test_keys_file_is_named_in_the_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
