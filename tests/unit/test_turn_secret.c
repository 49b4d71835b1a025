/* The file of TURN secrets: the first one counts, all are looked at, and none is ever told. */
#include "ice/turn.h"

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

static char secret[TURN_SECRET_SIZE];
static struct fault fault;

/* Of a copy of just that size, so that the address sanitizer sees any byte read past the end. */
static int parse_bytes(const char *text, size_t size)
{
    char *copy = malloc(size ? size : 1);

    assert_non_null(copy);
    memcpy(copy, text, size);
    memset(secret, 'u', sizeof secret);
    memset(&fault, 0, sizeof fault);
    int error = turn_secret_parse(copy, size, secret, &fault);
    free(copy);
    return error;
}

static int parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

/* Refused with that sentence, and nothing of the result touched. */
static void assert_wrong_bytes(const char *text, size_t size, const char *sentence)
{
    char untouched[TURN_SECRET_SIZE];

    memset(untouched, 'u', sizeof untouched);
    assert_int_equal(parse_bytes(text, size), ERROR_BAD_REQUEST);
    assert_string_equal(fault.detail, sentence);
    assert_memory_equal(secret, untouched, sizeof secret);
}

static void assert_wrong(const char *text, const char *sentence)
{
    assert_wrong_bytes(text, strlen(text), sentence);
}

#define NOT_ASCII                                                                                  \
    " has a character that is not printable ASCII: a secret is printable ASCII without spaces, "   \
    "one a line"
#define SPACE " has a space in it: a secret is printable ASCII without spaces, one a line"
#define NONE "there is no secret in it"

static void test_secret_first_one_counts(void **state)
{
    static const char *const texts[] = {"north", "north\n", "north\nsouth\n", "north\r\nsouth\r\n",
        "\n\n north \t\nsouth", "# new\nnorth\n# old\nsouth\n", "  # indented\n\tnorth\r\n",
        "#\n#north\nnorth", "\r\n\r\nnorth"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (parse(texts[i]))
            fail_msg("text %zu: %s", i, fault.detail);
        assert_string_equal(secret, "north");
    }
}

static void test_secret_of_any_printable_character_is_taken(void **state)
{
    static const char all[] = "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
                              "abcdefghijklmnopqrstuvwxyz{|}~";
    (void)state;
    assert_int_equal(parse(all), 0);
    assert_string_equal(secret, all);
}

static void test_secret_missing_is_wrong(void **state)
{
    static const char *const texts[] = {"", "\n", " \t \r\n\r\n", "# only a comment", "#north\n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_wrong(texts[i], NONE);
}

static void test_secret_that_is_none_is_wrong_in_any_line(void **state)
{
    (void)state;
    assert_wrong("no rth\n", "line 1" SPACE);
    assert_wrong("north # the new one\n", "line 1" SPACE);
    assert_wrong("north\n\nso\tuth\n", "line 3" SPACE);
    assert_wrong("n\xc3\xb6rth\n", "line 1" NOT_ASCII);
    assert_wrong("\xef\xbb\xbfnorth\n", "line 1" NOT_ASCII);
    assert_wrong("north\nsou\x7fth", "line 2" NOT_ASCII);
    assert_wrong("nor\rth\n", "line 1" NOT_ASCII);
    assert_wrong("north\n\x1b[31m\n", "line 2" NOT_ASCII);
}

static void test_secret_with_nul_is_wrong(void **state)
{
    static const char *const texts[] = {"nor\0th", "north\0\n", "\0north", "north\n\0", "\0\0\0\0"};
    static const size_t sizes[] = {6, 7, 6, 7, 4};
    static const char *const lines[] = {"line 1" NOT_ASCII, "line 1" NOT_ASCII, "line 1" NOT_ASCII,
        "line 2" NOT_ASCII, "line 1" NOT_ASCII};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_wrong_bytes(texts[i], sizes[i], lines[i]);
}

static void test_secret_of_the_longest_is_taken_and_no_longer(void **state)
{
    char text[LIMIT_TURN_SECRET_CHARS + 2] = "";
    (void)state;
    memset(text, 's', LIMIT_TURN_SECRET_CHARS);
    assert_int_equal(parse(text), 0);
    assert_string_equal(secret, text);
    text[LIMIT_TURN_SECRET_CHARS] = 's';
    assert_wrong(text, "line 1 has 257 characters: a secret has at most 256");
}

static void test_secret_sentences_tell_nothing_of_it(void **state)
{
    (void)state;
    assert_int_not_equal(parse("visible-part hidden\n"), 0);
    assert_null(strstr(fault.detail, "visible-part"));
    assert_null(strstr(fault.detail, "hidden"));
}

/* Whatever the bytes are: a secret that is one, or a refusal. */
static void test_secret_of_random_bytes_ends_well(void **state)
{
    static const char alphabet[] = "ab #\t\r\n\n\n\0\xff";
    uint32_t random = 12345;
    char text[80] = "";
    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t size = (size_t)round % sizeof text;
        for (size_t i = 0; i < size; i++) {
            random = random * 1664525 + 1013904223;
            text[i] = alphabet[(random >> 16) % (sizeof alphabet - 1)];
        }
        if (parse_bytes(text, size) == 0) {
            assert_in_range(strlen(secret), 1, LIMIT_TURN_SECRET_CHARS);
            assert_int_equal(strspn(secret, "ab#"), strlen(secret));
        }
    }
}

/* --- files ----------------------------------------------------------------------------------- */

static char path[] = "/tmp/signpost-turn-XXXXXX";

static int make_file(void **state)
{
    (void)state;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_file(const char *text, size_t times, mode_t mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < times; i++)
        fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_secret_file_is_read(void **state)
{
    static const struct {
        mode_t mode;
        bool exposed;
    } cases[] = {
        {0600, false}, {0400, false}, {0640, false}, {0660, false}, {0644, true}, {0602, true}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool exposed = !cases[i].exposed;
        chmod(path, 0600);
        write_file("north\nsouth\n", 1, cases[i].mode);
        assert_int_equal(turn_secret_read(path, secret, &exposed, &fault), 0);
        assert_string_equal(secret, "north");
        assert_int_equal(exposed, cases[i].exposed);
    }
}

static void assert_file_wrong(const char *name, const char *reason)
{
    char sentence[256];
    bool exposed = false;

    snprintf(sentence, sizeof sentence, "--turn-secret-file \"%s\": %s", name, reason);
    assert_int_not_equal(turn_secret_read(name, secret, &exposed, &fault), 0);
    assert_string_equal(fault.detail, sentence);
}

static void test_secret_file_that_is_none_is_wrong(void **state)
{
    (void)state;
    write_file("", 1, 0600);
    assert_file_wrong(path, NONE);
    write_file("north\nso uth\n", 1, 0600);
    assert_file_wrong(path, "line 2" SPACE);
    assert_file_wrong("/nowhere/secret", "No such file or directory");
    assert_file_wrong("/tmp", "Is a directory");
}

static void test_secret_file_of_the_largest_is_read_and_no_larger(void **state)
{
    bool exposed;
    (void)state;
    write_file("abcdefg\n", LIMIT_TURN_FILE_BYTES / 8, 0600);
    assert_int_equal(turn_secret_read(path, secret, &exposed, &fault), 0);
    write_file("abcdefg\n", LIMIT_TURN_FILE_BYTES / 8 + 1, 0600);
    assert_file_wrong(path, "it has more than 65536 bytes: is it the right file?");
    assert_file_wrong("/dev/zero", "it has more than 65536 bytes: is it the right file?");
}

#define FILE_TEST(test) cmocka_unit_test_setup_teardown(test, make_file, remove_file)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_first_one_counts),
        cmocka_unit_test(test_secret_of_any_printable_character_is_taken),
        cmocka_unit_test(test_secret_missing_is_wrong),
        cmocka_unit_test(test_secret_that_is_none_is_wrong_in_any_line),
        cmocka_unit_test(test_secret_with_nul_is_wrong),
        cmocka_unit_test(test_secret_of_the_longest_is_taken_and_no_longer),
        cmocka_unit_test(test_secret_sentences_tell_nothing_of_it),
        cmocka_unit_test(test_secret_of_random_bytes_ends_well),
        FILE_TEST(test_secret_file_is_read),
        FILE_TEST(test_secret_file_that_is_none_is_wrong),
        FILE_TEST(test_secret_file_of_the_largest_is_read_and_no_larger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
