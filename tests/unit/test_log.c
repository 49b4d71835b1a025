/*
 * Lines of the log. Stderr is a socket that keeps each write apart, so that what is received at
 * once was written at once.
 */
#include "log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <regex.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_BYTES 2048 /* of the longest line, as the log has it */

static int writer, reader, true_stderr;
static char line[2 * LINE_BYTES];

static int set_up(void **state)
{
    (void)state;
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets) < 0)
        return -1;
    reader = sockets[0];
    writer = sockets[1];
    true_stderr = dup(STDERR_FILENO);
    return true_stderr < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(reader);
    close(writer);
    close(true_stderr);
    log_set(LOG_INFO, false);
    return 0;
}

/* One log call, with stderr as the socket. cmocka's own messages go where they always go. */
#define LOG(...)                                                                                   \
    do {                                                                                           \
        dup2(writer, STDERR_FILENO);                                                               \
        log_event(__VA_ARGS__, (const char *)NULL);                                                \
        dup2(true_stderr, STDERR_FILENO);                                                          \
    } while (0)

/* The next line without its newline, or NULL where there is none. */
static const char *next_line(void)
{
    ssize_t length = recv(reader, line, sizeof line - 1, 0);
    if (length < 0) {
        assert_int_equal(errno, EAGAIN);
        return NULL;
    }
    assert_in_range(length, 1, LINE_BYTES);
    assert_int_equal(line[length - 1], '\n');
    line[length - 1] = '\0';
    assert_int_equal(strlen(line), length - 1);
    assert_null(strchr(line, '\n'));
    return line;
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t regex;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&regex, text, 0, NULL, 0) != 0)
        fail_msg("%s does not match %s", text, pattern);
    regfree(&regex);
}

/* What follows the time and a space. */
static const char *next_tail(void)
{
    const char *text = next_line();
    assert_non_null(text);
    assert_matches(text, "^2[0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\."
                         "[0-9]{3}Z ");
    return text + strlen("2026-01-05T10:30:00.123Z ");
}

/* The value of a JSON line's member; the object lives until the next call. */
static const char *json_value(const char *text, const char *name)
{
    static json_t *object;
    json_error_t error;
    json_decref(object);
    object = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!object)
        fail_msg("%s: %s", text, error.text);
    const char *value = json_string_value(json_object_get(object, name));
    if (!value || !name[0]) {
        json_decref(object);
        object = NULL;
    }
    return value;
}

static void test_log_line_has_time_level_event_and_pairs(void **state)
{
    (void)state;
    log_set(LOG_DEBUG, false);
    LOG(LOG_ERROR, "store_failed");
    assert_string_equal(next_tail(), "error store_failed");
    LOG(LOG_WARN, "slow", "ms", "12");
    assert_string_equal(next_tail(), "warn slow ms=12");
    LOG(LOG_INFO, "listening", "address", "[::1]:7117", "open", "no");
    assert_string_equal(next_tail(), "info listening address=[::1]:7117 open=no");
    LOG(LOG_DEBUG, "turn", "a", "1", "b", "2", "c", "3");
    assert_string_equal(next_tail(), "debug turn a=1 b=2 c=3");
    assert_null(next_line());
}

static void test_log_level_above_the_set_one_is_silent(void **state)
{
    (void)state;
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        log_set((enum log_level)level, false);
        for (int each = LOG_ERROR; each <= LOG_DEBUG; each++) {
            LOG((enum log_level)each, "event");
            if (each <= level)
                assert_non_null(next_line());
            assert_null(next_line());
        }
    }
}

static void test_log_text_values_are_quoted_where_they_must_be(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"a/b:c,d;e'f-g_h.i~", "a/b:c,d;e'f-g_h.i~"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"\"", "\"\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"a=b", "\"a=b\""},
        {"line\nfeed\r\t", "\"line\\nfeed\\r\\t\""},
        {"\x01\x1b[31m\x7f", "\"\\x01\\x1b[31m\\x7f\""},
        {"b\xc3\xbc"
         "cher",
            "\"b\xc3\xbc"
            "cher\""},
        {"\xe2\x82\xac \xf0\x9f\x98\x80", "\"\xe2\x82\xac \xf0\x9f\x98\x80\""},
        {"\xff\xc3", "\"\\xff\\xc3\""},
        {"\xc2\x9b", "\"\\xc2\\x9b\""},
        {"\xc0\xaf\xed\xa0\x80", "\"\\xc0\\xaf\\xed\\xa0\\x80\""},
        {"\xe0\x80\x80\xf0\x80\x80\x80", "\"\\xe0\\x80\\x80\\xf0\\x80\\x80\\x80\""},
        {"\xf4\x90\x80\x80\xf5", "\"\\xf4\\x90\\x80\\x80\\xf5\""},
        {"\xe2\x82", "\"\\xe2\\x82\""},
    };
    log_set(LOG_INFO, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[128];
        snprintf(expected, sizeof expected, "info event before=1 value=%s after=2", cases[i][1]);
        LOG(LOG_INFO, "event", "before", "1", "value", cases[i][0], "after", "2");
        assert_string_equal(next_tail(), expected);
    }
}

static void test_log_json_line_is_an_object(void **state)
{
    (void)state;
    log_set(LOG_INFO, true);
    LOG(LOG_WARN, "slow", "ms", "12", "path", "/list");
    const char *text = next_line();
    assert_non_null(text);
    assert_matches(text, "^\\{\"ts\":\"2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\."
                         "[0-9]{3}Z\",\"level\":\"warn\",\"event\":\"slow\",\"ms\":\"12\","
                         "\"path\":\"/list\"\\}$");
    LOG(LOG_INFO, "alone");
    assert_string_equal(json_value(next_line(), "event"), "alone");
    assert_null(json_value(line, ""));
}

static void test_log_json_values_come_back_as_they_were(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"two words", "two words"},
        {"\"\\/\n\r\t", "\"\\/\n\r\t"},
        {"\x01\x1f\x7f", "\x01\x1f\x7f"},
        {"b\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80", "b\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"a\xff", "a\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };
    log_set(LOG_INFO, true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        LOG(LOG_INFO, "event", "value", cases[i][0], "after", "2");
        assert_string_equal(json_value(next_line(), "value"), cases[i][1]);
        assert_string_equal(json_value(line, "after"), "2");
    }
    assert_null(json_value("{}", ""));
}

static void test_log_overlong_text_is_cut_and_still_one_line(void **state)
{
    (void)state;
    static char value[3000];
    log_set(LOG_INFO, false);
    memset(value, 'x', sizeof value - 1);
    LOG(LOG_INFO, "event", "before", "1", "value", value, "after", "2");
    const char *tail = next_tail();
    size_t length = strlen(line);
    assert_in_range(length, LINE_BYTES - 16, LINE_BYTES);
    assert_ptr_equal(strstr(tail, "info event before=1 value=\"xxx"), tail);
    assert_string_equal(line + length - 6, "xx...\"");
    assert_null(strstr(tail, "after"));
}

static void test_log_overlong_json_is_cut_and_still_json(void **state)
{
    (void)state;
    /* Wherever the cut falls: between the characters, never in one. */
    static const char *const pieces[] = {"x", "\"", "\x01", "\xc3\xbc", "\xe2\x82\xac", "\xff"};
    log_set(LOG_INFO, true);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        for (size_t shift = 0; shift < 8; shift++) {
            char value[6600] = "";
            memset(value, 's', shift);
            for (char *at = value + shift; at < value + 2100;)
                at = stpcpy(at, pieces[i]);
            LOG(LOG_INFO, "event", "before", "1", "value", value, "after", "2");
            const char *text = next_line();
            assert_non_null(text);
            assert_true(strlen(text) > LINE_BYTES - 24);
            assert_string_equal(json_value(text, "before"), "1");
            const char *logged = json_value(text, "value");
            assert_non_null(logged);
            assert_string_equal(logged + strlen(logged) - 3, "...");
            assert_null(json_value(text, "after"));
        }
    }
}

static void test_log_value_at_any_length_gives_a_whole_line(void **state)
{
    (void)state;
    for (int json = 0; json <= 1; json++) {
        log_set(LOG_INFO, json);
        for (size_t length = 1900; length < 2100; length++) {
            char value[2200];
            memset(value, 'x', length);
            value[length] = '\0';
            LOG(LOG_INFO, "event", "value", value, "second", "2");
            const char *text = next_line();
            assert_non_null(text);
            /* Whole, or cut and marked so. */
            if (!strstr(text, value) && !strstr(text, "xx...\""))
                fail_msg("%zu: %s", length, text);
            if (json)
                assert_non_null(json_value(text, "value"));
            else if (strstr(text, "second"))
                assert_non_null(strstr(text, " second=2"));
        }
    }
    assert_null(json_value("{}", ""));
}

static void test_log_keeps_errno(void **state)
{
    (void)state;
    log_set(LOG_INFO, false);
    dup2(writer, STDERR_FILENO);
    close(STDERR_FILENO); /* so that the write fails */
    errno = EDOM;
    log_event(LOG_INFO, "event", NULL);
    int after = errno;
    dup2(true_stderr, STDERR_FILENO);
    assert_int_equal(after, EDOM);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* As many as fit; nobody reads meanwhile. */
static void fill(void)
{
    char filler[LINE_BYTES] = {0};
    while (send(writer, filler, sizeof filler, MSG_DONTWAIT) > 0)
        continue;
    while (send(writer, filler, 1, MSG_DONTWAIT) > 0)
        continue;
}

static void test_log_without_a_reader_is_counted_and_told_of(void **state)
{
    (void)state;
    char filler[LINE_BYTES];

    fill();
    LOG(LOG_ERROR, "one");
    LOG(LOG_INFO, "two");
    while (recv(reader, filler, sizeof filler, 0) > 0)
        continue;
    LOG(LOG_INFO, "three");
    assert_matches(next_line(), " warn log_lost count=2$");
    assert_matches(next_line(), " info three$");
    LOG(LOG_INFO, "four");
    assert_matches(next_line(), " info four$");
    assert_null(next_line());
}

/* As log_sum_up() says it. */
static void sum_up(void)
{
    dup2(writer, STDERR_FILENO);
    log_sum_up(true);
    dup2(true_stderr, STDERR_FILENO);
}

static void test_log_sum_names_the_kind_and_the_count(void **state)
{
    (void)state;
    static const char event[] = "flood", about[] = "/list";
    unsigned left_out = 0;

    for (int i = 0; i < 1000; i++)
        left_out += !log_takes(LOG_WARN, event, about, 4);
    sum_up();
    char expected[128];
    snprintf(expected, sizeof expected,
        " warn suppressed of=flood route=/list status=4xx count=%u seconds=[01]$", left_out);
    assert_matches(next_line(), expected);
    sum_up();
    assert_null(next_line());
}

static void test_log_takes_errors_without_end(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_true(log_takes(LOG_ERROR, "trouble", NULL, 0));
    sum_up();
    assert_null(next_line());
}

static void test_log_takes_nothing_below_the_level(void **state)
{
    (void)state;
    log_set(LOG_WARN, false);
    for (int i = 0; i < 1000; i++)
        assert_false(log_takes(LOG_INFO, "quiet", NULL, 0));
    sum_up();
    assert_null(next_line());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_log_line_has_time_level_event_and_pairs),
        LOG_TEST(test_log_level_above_the_set_one_is_silent),
        LOG_TEST(test_log_text_values_are_quoted_where_they_must_be),
        LOG_TEST(test_log_json_line_is_an_object),
        LOG_TEST(test_log_json_values_come_back_as_they_were),
        LOG_TEST(test_log_overlong_text_is_cut_and_still_one_line),
        LOG_TEST(test_log_overlong_json_is_cut_and_still_json),
        LOG_TEST(test_log_value_at_any_length_gives_a_whole_line),
        LOG_TEST(test_log_keeps_errno),
        LOG_TEST(test_log_without_a_reader_is_counted_and_told_of),
        LOG_TEST(test_log_sum_names_the_kind_and_the_count),
        LOG_TEST(test_log_takes_errors_without_end),
        LOG_TEST(test_log_takes_nothing_below_the_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
