#include "log.h"

#include "clock.h"
#include "log_limit.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_BYTES 2048
#define LOG_TAIL_BYTES 8 /* kept free for what ends a line: dots, a quote, a brace, a newline */

static enum log_level log_level = LOG_INFO;
static bool log_json;
static struct log_limit log_limit;
static unsigned long long lost; /* lines, since the last that was written */

static const char *const level_names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

struct line {
    char bytes[LOG_LINE_BYTES];
    size_t length;
    bool full; /* something did not fit, and nothing more is taken */
};

void log_set(enum log_level level, bool json)
{
    log_level = level;
    log_json = json;
}

static size_t line_room(const struct line *line)
{
    size_t end = sizeof line->bytes - LOG_TAIL_BYTES;
    /* A closing quote may already stand in the tail. */
    return line->length < end ? end - line->length : 0;
}

/* All of it or nothing, so that a cut never goes through an escape or a character. */
static void line_put(struct line *line, const char *bytes, size_t length)
{
    if (line->full || length > line_room(line)) {
        line->full = true;
        return;
    }
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
}

/* Into the bytes kept for the tail. */
static void line_end(struct line *line, const char *tail)
{
    size_t length = strlen(tail);
    memcpy(line->bytes + line->length, tail, length);
    line->length += length;
}

/* The bytes of the well-formed UTF-8 character (RFC 3629) of two or more bytes that stands here,
 * or 0: none, or one of the control characters U+0080 to U+009F. */
static size_t utf8_length(const unsigned char *at)
{
    size_t length = 4;

    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    if (at[0] < 0xe0)
        length = 2;
    else if (at[0] < 0xf0)
        length = 3;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool control = at[0] == 0xc2 && at[1] < 0xa0;
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xed && at[1] > 0x9f;
    bool beyond = at[0] == 0xf4 && at[1] > 0x8f;
    return control || overlong || surrogate || beyond ? 0 : length;
}

/* Escaped for within quotes, as JSON has it; the text form says \xHH of a single odd byte. */
static void line_put_escaped(struct line *line, const char *value)
{
    static const char plain[] = "\"\\\n\r\t", letters[] = "\"\\nrt";
    const unsigned char *at = (const unsigned char *)value;

    while (*at && !line->full) {
        char escape[8];
        const char *special = strchr(plain, *at);
        size_t length = utf8_length(at);
        if (special) {
            escape[0] = '\\';
            escape[1] = letters[special - plain];
            line_put(line, escape, 2);
        } else if (length || (*at >= ' ' && *at < 0x7f)) {
            line_put(line, (const char *)at, length ? length : 1);
        } else if (!log_json) {
            snprintf(escape, sizeof escape, "\\x%02x", *at);
            line_put(line, escape, 4);
        } else {
            /* JSON has no bytes, only characters: what is none becomes U+FFFD. */
            snprintf(escape, sizeof escape, "\\u%04x", *at < 0x80 ? *at : 0xfffd);
            line_put(line, escape, 6);
        }
        at += length ? length : 1;
    }
    if (line->full)
        line_end(line, "...");
    line_end(line, "\"");
}

static bool needs_quotes(const char *value)
{
    for (const unsigned char *at = (const unsigned char *)value; *at; at++)
        if (*at <= ' ' || *at == '"' || *at == '\\' || *at == '=' || *at >= 0x7f)
            return true;
    return !*value;
}

/* ` key=value`, ` key="va lue"` or `,"key":"value"`. A value that does not fit is quoted, since
 * only a quoted one can be cut visibly; a pair of which not even the key fits is left out. */
static void line_put_pair(struct line *line, const char *key, const char *value)
{
    size_t before = line->length, value_length = strlen(value);

    line_put(line, log_json ? ",\"" : " ", log_json ? 2 : 1);
    line_put(line, key, strlen(key));
    line_put(line, log_json ? "\":" : "=", log_json ? 2 : 1);
    bool quotes = log_json || needs_quotes(value) || value_length > line_room(line);
    line_put(line, "\"", quotes ? 1 : 0);
    if (line->full)
        line->length = before;
    else if (quotes)
        line_put_escaped(line, value);
    else
        line_put(line, value, value_length);
}

static void line_put_start(struct line *line, enum log_level level, const char *event)
{
    char start[160], second[32];
    struct tm parts;
    int64_t now_ms = clock_wall_ms(&clock_system);
    time_t now_s = (time_t)(now_ms / 1000);

    gmtime_r(&now_s, &parts);
    strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &parts);
    int ms = (int)(now_ms % 1000);
    int length = log_json ? snprintf(start, sizeof start,
                                "{\"ts\":\"%s.%03dZ\",\"level\":\"%s\",\"event\":\"%.64s\"", second,
                                ms, level_names[level], event)
                          : snprintf(start, sizeof start, "%s.%03dZ %s %.64s", second, ms,
                                level_names[level], event);
    line_put(line, start, (size_t)length);
}

/* Would a write of one line be taken without waiting? A log that is not read must not stop the
 * index. */
static bool has_reader(void)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) != 0;
}

/* One write a line: lines of several processes on one pipe do not mix. There is nobody to tell of a
 * log that cannot be written. */
static void line_write(struct line *line)
{
    ssize_t written;

    line_end(line, log_json ? "}\n" : "\n");
    do
        written = write(STDERR_FILENO, line->bytes, line->length);
    while (written < 0 && errno == EINTR);
}

static void tell_lost(void)
{
    struct line line = {.length = 0};
    char count[24];

    snprintf(count, sizeof count, "%llu", lost);
    lost = 0;
    line_put_start(&line, LOG_WARN, "log_lost");
    line_put_pair(&line, "count", count);
    line_write(&line);
}

void log_event(enum log_level level, const char *event, ...)
{
    struct line line;
    va_list pairs;

    if (level > log_level)
        return;
    int saved_errno = errno;
    line.length = 0;
    line.full = false;
    line_put_start(&line, level, event);
    va_start(pairs, event);
    for (;;) {
        const char *key = va_arg(pairs, const char *);
        const char *value = key ? va_arg(pairs, const char *) : NULL;
        if (!value)
            break;
        line_put_pair(&line, key, value);
    }
    va_end(pairs);
    if (lost && has_reader())
        tell_lost();
    if (has_reader())
        line_write(&line);
    else
        lost++;
    errno = saved_errno;
}

bool log_takes(enum log_level level, const char *event, const char *about, unsigned status_class)
{
    if (level > log_level)
        return false;
    return level == LOG_ERROR ||
           log_limit_take(&log_limit, &(struct log_kind){(int)level, event, about, status_class},
               clock_now_ms(&clock_system));
}

void log_sum_up(bool at_once)
{
    int64_t now_ms = clock_now_ms(&clock_system), passed_ms;
    struct log_kind kind;
    uint64_t count;

    while (log_limit_next(&log_limit, now_ms, at_once, &kind, &count, &passed_ms)) {
        char counted[24], seconds[24], class[8] = "-";
        snprintf(counted, sizeof counted, "%llu", (unsigned long long)count);
        snprintf(seconds, sizeof seconds, "%lld", (long long)(passed_ms + 999) / 1000);
        if (kind.status_class)
            snprintf(class, sizeof class, "%uxx", kind.status_class % 10);
        log_event((enum log_level)kind.level, "suppressed", "of", kind.event, "route",
            kind.about ? kind.about : "-", "status", class, "count", counted, "seconds", seconds,
            NULL);
    }
}
