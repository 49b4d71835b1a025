/*
 * A growing piece of text. Appending never fails on the spot: running out of memory is remembered,
 * what follows is dropped, and text_failed() tells at the end.
 */
#ifndef SIGNPOST_TEXT_H
#define SIGNPOST_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct text {
    char *bytes; /* NULL until something is appended; then always NUL-terminated */
    size_t length;
    size_t room;
    bool failed;
};

void text_grow_and_append(struct text *text, const void *bytes, size_t length);

/* Here, because a reply is put together from many short pieces whose length the compiler knows. */
static inline void text_append(struct text *text, const void *bytes, size_t length)
{
    if (text->length + length >= text->room || text->failed) {
        text_grow_and_append(text, bytes, length);
        return;
    }
    if (length > 0) /* or `bytes` may be NULL */
        memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

static inline void text_puts(struct text *text, const char *string)
{
    text_append(text, string, strlen(string));
}

void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool text_failed(const struct text *text);
void text_clear(struct text *text); /* frees; the text may be used again */

/* Gives the bytes away (free() them; NULL where nothing was appended) and leaves an empty text. */
char *text_take(struct text *text, size_t *ret_length);

#endif
