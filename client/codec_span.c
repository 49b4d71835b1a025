#include "codec_span.h"

#include <string.h>

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && memchr(" \t\n\r", *at, 4))
        at++;
    return at;
}

static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\' && at + 1 < end)
            at++;
    return at < end ? at + 1 : end;
}

static const char *skip_nested(const char *at, const char *end)
{
    size_t depth = 0;

    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            continue;
        }
        if (*at == '{' || *at == '[')
            depth++;
        else if (*at == '}' || *at == ']')
            depth--;
        at++;
        if (depth == 0)
            break;
    }
    return at;
}

static const char *skip_scalar(const char *at, const char *end)
{
    while (at < end && !memchr(",:]} \t\n\r", *at, 8))
        at++;
    return at;
}

static struct codec_span take_value(const char *at, const char *end)
{
    const char *behind;

    if (at < end && *at == '"')
        behind = skip_string(at, end);
    else if (at < end && (*at == '{' || *at == '['))
        behind = skip_nested(at, end);
    else
        behind = skip_scalar(at, end);
    return (struct codec_span){at, (size_t)(behind - at)};
}

static int read_hex(const char *digits)
{
    int number = 0;

    for (size_t i = 0; i < 4; i++) {
        char digit = digits[i];
        int value = digit >= '0' && digit <= '9'   ? digit - '0'
                    : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                    : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                                   : -1;
        if (value < 0)
            return -1;
        number = number * 16 + value;
    }
    return number;
}

/* Of the escapes only \uXXXX can stand for a letter of a name. */
static bool is_key(struct codec_span key, const char *name)
{
    if (key.size < 2 || key.bytes[0] != '"')
        return false;
    const char *at = key.bytes + 1, *end = key.bytes + key.size - 1;
    while (at < end && *name) {
        int character = (unsigned char)*at++;
        if (character == '\\') {
            if (end - at < 5 || *at != 'u')
                return false;
            character = read_hex(at + 1);
            at += 5;
        }
        if (character != (unsigned char)*name++)
            return false;
    }
    return at == end && !*name;
}

bool codec_find_member(struct codec_span object, const char *name, struct codec_span *ret_value)
{
    const char *at = object.bytes, *end = object.bytes + object.size;

    if (object.size == 0 || *at != '{')
        return false;
    do {
        struct codec_span key = take_value(skip_space(at + 1, end), end);
        at = skip_space(key.bytes + key.size, end);
        if (at == end || *at != ':')
            return false;
        struct codec_span value = take_value(skip_space(at + 1, end), end);
        if (value.size > 0 && is_key(key, name)) {
            *ret_value = value;
            return true;
        }
        at = skip_space(value.bytes + value.size, end);
    } while (at < end && *at == ',');
    return false;
}

struct codec_items codec_begin_items(struct codec_span array)
{
    const char *end = array.bytes + array.size;

    if (array.size == 0 || array.bytes[0] != '[')
        return (struct codec_items){end, end};
    return (struct codec_items){array.bytes, end};
}

bool codec_next_item(struct codec_items *items, struct codec_span *ret_item)
{
    if (items->at == items->end || (*items->at != '[' && *items->at != ','))
        return false;
    struct codec_span item = take_value(skip_space(items->at + 1, items->end), items->end);
    items->at = skip_space(item.bytes + item.size, items->end);
    if (item.size == 0)
        return false;
    *ret_item = item;
    return true;
}
