/* Cursors: what is one is written just as it was read, and so is any number. */
#include "index/index.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void write_and_read(const struct cursor *cursor)
{
    char text[CURSOR_TEXT_SIZE];
    struct cursor again;

    cursor_format(cursor, text);
    if (!cursor_parse(text, &again) || again.epoch != cursor->epoch || again.seq != cursor->seq)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = strndup((const char *)bytes, size);
    char again[CURSOR_TEXT_SIZE];
    struct cursor cursor;

    if (!text)
        return 0;
    if (cursor_parse(text, &cursor) && strcmp(cursor_format(&cursor, again), text) != 0)
        abort();
    if (size >= sizeof cursor) {
        memcpy(&cursor, bytes, sizeof cursor);
        cursor.seq &= INT64_MAX;
        write_and_read(&cursor);
    }
    free(text);
    return 0;
}
