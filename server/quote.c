#include "quote.h"

#include <string.h>

const char *quote_text(const char *text, char ret_quoted[QUOTE_SIZE])
{
    char *end = ret_quoted;

    *end++ = '"';
    for (size_t i = 0; i < QUOTE_CHARS && text[i]; i++) {
        if (text[i] == '"')
            *end++ = '\'';
        else
            *end++ = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    }
    if (strnlen(text, QUOTE_CHARS + 1) > QUOTE_CHARS)
        end = stpcpy(end, "...");
    *end++ = '"';
    *end = '\0';
    return ret_quoted;
}
