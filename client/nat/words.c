#include "words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TIME_MAX_MS 1e6 /* no probe lasts so long */

void words_begin(struct words *words, char *text, size_t size)
{
    *words = (struct words){.text = text, .size = size};
    text[0] = '\0';
}

void words_add(struct words *words, const char *format, ...)
{
    size_t room = words->size - words->length;
    va_list arguments;

    va_start(arguments, format);
    int needed = vsnprintf(words->text + words->length, room, format, arguments);
    va_end(arguments);
    if (needed < 0) {
        words->text[words->length] = '\0';
        return;
    }
    size_t added = (size_t)needed < room ? (size_t)needed : room - 1;
    for (char *at = words->text + words->length; added > 0; added--, at++, words->length++)
        if (*at < ' ' || *at > '~')
            *at = '?';
}

void words_add_detail(struct words *words, const char *detail)
{
    size_t length = strlen(detail);

    while (length > 0 && (detail[length - 1] == '.' || detail[length - 1] == ' '))
        length--;
    if (length > WORDS_DETAIL_MAX)
        words_add(words, "%.*s...", WORDS_DETAIL_MAX - 3, detail);
    else
        words_add(words, "%.*s", (int)length, detail);
}

void words_add_time(struct words *words, double ms)
{
    if (!(ms >= 0 && ms < TIME_MAX_MS))
        words_add(words, "a time not known");
    else if (ms >= 1000)
        words_add(words, "%.1f s", ms / 1000);
    else
        words_add(words, "%.0f ms", ms);
}
