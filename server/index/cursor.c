#include "index/index.h"

#include "digits.h"

#include <string.h>

#define CURSOR_EPOCH_DIGITS 16

static int hex_digit(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    return -1;
}

bool cursor_parse(const char *text, struct cursor *ret_cursor)
{
    struct cursor cursor = {0, 0};

    for (int i = 0; i < CURSOR_EPOCH_DIGITS; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0)
            return false;
        cursor.epoch = cursor.epoch << 4 | (uint64_t)digit;
    }
    const char *at = text + CURSOR_EPOCH_DIGITS;
    if (at[0] != '.' || !at[1] || strlen(at + 1) > 19 || (at[1] == '0' && at[2]))
        return false;
    for (at++; *at; at++) {
        if (*at < '0' || *at > '9')
            return false;
        cursor.seq = cursor.seq * 10 + (uint64_t)(*at - '0');
    }
    if (cursor.seq > INT64_MAX)
        return false;
    *ret_cursor = cursor;
    return true;
}

bool cursor_equal(struct cursor one, struct cursor other)
{
    return one.epoch == other.epoch && one.seq == other.seq;
}

const char *cursor_format(const struct cursor *cursor, char ret_text[CURSOR_TEXT_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    char *at = ret_text;

    for (int shift = 4 * (CURSOR_EPOCH_DIGITS - 1); shift >= 0; shift -= 4)
        *at++ = hex[cursor->epoch >> shift & 15];
    *at++ = '.';
    *digits_write(at, cursor->seq, 1) = '\0';
    return ret_text;
}
