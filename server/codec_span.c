#include "codec_internal.h"

#include <jansson.h>
#include <string.h>

/* A walk over text that is known to be JSON, so the grammar is not checked again. Positions stay
 * within `size` whatever the text is. */
struct walk {
    const char *text;
    size_t size;
    size_t at;
};

static char peek(const struct walk *walk)
{
    return walk->at < walk->size ? walk->text[walk->at] : '\0';
}

static void skip_space(struct walk *walk)
{
    while (walk->at < walk->size && memchr(" \t\n\r", walk->text[walk->at], 4))
        walk->at++;
}

static void skip_string(struct walk *walk)
{
    walk->at++;
    while (walk->at < walk->size && walk->text[walk->at] != '"')
        walk->at += walk->text[walk->at] == '\\' ? 2 : 1;
    walk->at = walk->at < walk->size ? walk->at + 1 : walk->size;
}

static void skip_scalar(struct walk *walk)
{
    while (walk->at < walk->size && !memchr(",:]} \t\n\r", walk->text[walk->at], 8))
        walk->at++;
}

static void skip_nested(struct walk *walk, unsigned *ret_depth)
{
    unsigned depth = 0, deepest = 0;

    do {
        char character = peek(walk);
        if (character == '"') {
            skip_string(walk);
            continue;
        }
        if (character == '{' || character == '[')
            depth++;
        else if (character == '}' || character == ']')
            depth--;
        if (depth > deepest)
            deepest = depth;
        walk->at++;
    } while (depth > 0 && walk->at < walk->size);
    *ret_depth = deepest;
}

static struct span take_value(struct walk *walk)
{
    struct span value = {walk->text + walk->at, 0, 0};
    size_t start = walk->at;
    char first = peek(walk);

    if (first == '"')
        skip_string(walk);
    else if (first == '{' || first == '[')
        skip_nested(walk, &value.depth);
    else
        skip_scalar(walk);
    value.size = walk->at - start;
    return value;
}

bool codec_span_is_string(const struct span *value, const char *content)
{
    if (value->size < 2 || value->bytes[0] != '"')
        return false;
    if (!memchr(value->bytes, '\\', value->size)) {
        size_t length = strlen(content);
        return value->size == length + 2 && memcmp(value->bytes + 1, content, length) == 0;
    }
    json_t *decoded = json_loadb(value->bytes, value->size, JSON_DECODE_ANY, NULL);
    const char *string = json_string_value(decoded);
    bool equal = string && strcmp(string, content) == 0;
    json_decref(decoded);
    return equal;
}

bool codec_find_member(const char *text, size_t size, const char *name, struct span *ret_value)
{
    struct walk walk = {text, size, 0};

    skip_space(&walk);
    if (peek(&walk) != '{')
        return false;
    do {
        walk.at++; /* the bracket or comma */
        skip_space(&walk);
        if (peek(&walk) != '"')
            return false;
        struct span key = take_value(&walk);
        skip_space(&walk);
        if (peek(&walk) != ':')
            return false;
        walk.at++;
        skip_space(&walk);
        struct span value = take_value(&walk);
        if (value.size > 0 && codec_span_is_string(&key, name)) {
            *ret_value = value;
            return true;
        }
        skip_space(&walk);
    } while (peek(&walk) == ',');
    return false;
}

static bool has_text(const struct span *value, const char *text)
{
    char first = value->bytes[0];
    size_t length = strlen(text);

    if (first == '"')
        return codec_span_is_string(value, text);
    if (first == '{' || first == '[')
        return false;
    return value->size == length && memcmp(value->bytes, text, length) == 0;
}

/* Works on the text itself, because a number's own spelling is what a filter is compared with. */
bool codec_meta_matches(const char *meta, const struct meta_filter *filters, size_t count)
{
    size_t size = strlen(meta);
    struct span value;

    for (size_t i = 0; i < count; i++)
        if (!codec_find_member(meta, size, filters[i].key, &value) ||
            !has_text(&value, filters[i].value))
            return false;
    return true;
}
