/*
 * What is written: errors and notes on stderr, a line each; colours and progress on a terminal
 * only. What peers chose (ids, meta, messages) cannot steer the terminal: control characters are
 * shown as
 * "?" in text, and escaped in JSON.
 */
#ifndef SIGNPOST_CLI_OUT_H
#define SIGNPOST_CLI_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum out_style { OUT_PLAIN, OUT_BOLD, OUT_DIM, OUT_GREEN, OUT_YELLOW, OUT_RED };

void out_set_quiet(bool quiet); /* no notes, no progress */

void out_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void out_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What is waited for; on a terminal, and until the next line on stderr or out_progress_end(). */
void out_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void out_progress_end(void);

bool out_is_terminal(FILE *stream);
void out_terminal_size(size_t *ret_columns, size_t *ret_rows); /* of stdout */

/* Begins a style, or with OUT_PLAIN ends it; nothing where there are no colours. */
void out_style(FILE *stream, enum out_style style);

/* Writes at most `most` characters, the last one an ellipsis where there are more; returns how many
 * were written. */
size_t out_text(FILE *stream, const char *text, size_t most);
size_t out_width(const char *text); /* in characters */

/* What is in stdout's buffer goes out. CLI_OUTPUT where it cannot, with a line on stderr unless who
 * read it has just gone away. */
int out_flush(void);

#endif
