#include "http/link.h"

#include <string.h>

static void write_encoded(struct text *out, const char *string)
{
    for (; *string; string++) {
        unsigned char character = (unsigned char)*string;
        bool plain = strchr("-._~", character) || (character >= '0' && character <= '9') ||
                     ((character | 0x20) >= 'a' && (character | 0x20) <= 'z');
        text_printf(out, plain ? "%c" : "%%%02X", character);
    }
}

void link_write(struct text *out, const char *path, const char *after, const char *limit,
    const char *network, const struct meta_filter *filters, size_t filter_count)
{
    text_printf(out, "%s?after=%s", path, after);
    if (limit)
        text_printf(out, "&limit=%s", limit);
    if (network)
        text_printf(out, "&network=%s", network);
    for (size_t i = 0; i < filter_count; i++) {
        text_puts(out, "&meta.");
        write_encoded(out, filters[i].key);
        text_puts(out, "=");
        write_encoded(out, filters[i].value);
    }
}
