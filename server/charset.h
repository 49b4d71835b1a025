/* Sets of characters as tables: strspn() makes one at each call, which is most of what it does. */
#ifndef SIGNPOST_CHARSET_H
#define SIGNPOST_CHARSET_H

#include <stdbool.h>
#include <stddef.h>

#define CHARSET_SIZE 256
#define CHARSET_ALPHANUMERIC ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true

/* How many characters at the start of `text` are in `set`, in which NUL is not. */
static inline size_t charset_span(const char *text, const bool set[CHARSET_SIZE])
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t length = 0;

    while (set[bytes[length]])
        length++;
    return length;
}

#endif
