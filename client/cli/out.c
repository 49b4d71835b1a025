#include "out.h"

#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINE_BYTES 1024 /* of an error or note; the rest is cut off */
#define COLUMNS_DEFAULT 80
#define ROWS_DEFAULT 24

static bool is_quiet;
static bool has_progress;
static bool has_failed; /* and has said so */

void out_set_quiet(bool quiet)
{
    is_quiet = quiet;
}

/* --- characters ------------------------------------------------------------------------------ */

/* The bytes of the character at `at`, which is taken to be UTF-8. */
static size_t character_size(const char *at)
{
    size_t size = 1;

    while (((unsigned char)at[size] & 0xC0) == 0x80)
        size++;
    return size;
}

/* C0, DEL, and C1 in UTF-8, which terminals obey as well. */
static bool is_control(const char *at)
{
    unsigned char first = (unsigned char)at[0];

    return first < 0x20 || first == 0x7F || (first == 0xC2 && (unsigned char)at[1] < 0xA0);
}

size_t out_width(const char *text)
{
    size_t width = 0;

    for (; *text; text += character_size(text))
        width++;
    return width;
}

size_t out_text(FILE *stream, const char *text, size_t most)
{
    size_t width = out_width(text);
    size_t shown = width > most ? most : width;

    for (size_t i = 0; i < shown; i++) {
        size_t size = character_size(text);
        if (width > most && i + 1 == shown)
            fputs("…", stream);
        else if (is_control(text))
            fputc('?', stream);
        else
            fwrite(text, 1, size, stream);
        text += size;
    }
    return shown;
}

/* --- stderr ---------------------------------------------------------------------------------- */

void out_progress_end(void)
{
    if (has_progress)
        fputs("\r\033[K", stderr);
    has_progress = false;
}

static void write_line(const char *before, const char *format, va_list arguments)
{
    char line[LINE_BYTES];

    vsnprintf(line, sizeof line, format, arguments);
    fputs(before, stderr);
    out_text(stderr, line, sizeof line);
}

void out_error(const char *format, ...)
{
    va_list arguments;

    out_progress_end();
    va_start(arguments, format);
    write_line("signpost: ", format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void out_note(const char *format, ...)
{
    va_list arguments;

    if (is_quiet)
        return;
    out_progress_end();
    va_start(arguments, format);
    write_line("signpost: ", format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void out_progress(const char *format, ...)
{
    va_list arguments;

    if (is_quiet || !out_is_terminal(stderr))
        return;
    out_progress_end();
    va_start(arguments, format);
    write_line("", format, arguments);
    va_end(arguments);
    fflush(stderr);
    has_progress = true;
}

/* --- the terminal ---------------------------------------------------------------------------- */

bool out_is_terminal(FILE *stream)
{
    return isatty(fileno(stream));
}

void out_terminal_size(size_t *ret_columns, size_t *ret_rows)
{
    struct winsize size = {0};

    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    *ret_columns = size.ws_col ? size.ws_col : COLUMNS_DEFAULT;
    *ret_rows = size.ws_row ? size.ws_row : ROWS_DEFAULT;
}

void out_style(FILE *stream, enum out_style style)
{
    static const char *const sequences[] = {
        [OUT_PLAIN] = "\033[0m",
        [OUT_BOLD] = "\033[1m",
        [OUT_DIM] = "\033[2m",
        [OUT_GREEN] = "\033[32m",
        [OUT_YELLOW] = "\033[33m",
        [OUT_RED] = "\033[31m",
    };
    const char *no_color = getenv("NO_COLOR"); /* https://no-color.org */
    const char *term = getenv("TERM");

    if ((no_color && *no_color) || !term || !strcmp(term, "dumb") || !out_is_terminal(stream))
        return;
    fputs(sequences[style], stream);
}

int out_flush(void)
{
    if (!fflush(stdout) && !ferror(stdout))
        return CLI_OK;
    if (errno != EPIPE && !has_failed)
        out_error("stdout: %s", strerror(errno));
    has_failed = true;
    return CLI_OUTPUT;
}
