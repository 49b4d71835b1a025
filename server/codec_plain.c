#include "codec_internal.h"

#include <string.h>

#define PLAIN_DEPTH 8    /* of nested brackets */
#define PLAIN_MEMBERS 16 /* of one object, because each name is held against all others */
#define PLAIN_DIGITS 15  /* of a number */

struct plain {
    const char *at, *end;
    unsigned depth;
};

static bool plain_value(struct plain *plain);

static bool plain_takes(struct plain *plain, const char *text)
{
    size_t length = strlen(text);

    if ((size_t)(plain->end - plain->at) < length || memcmp(plain->at, text, length) != 0)
        return false;
    plain->at += length;
    return true;
}

static void plain_space(struct plain *plain)
{
    while (plain->at < plain->end && (*plain->at == ' ' || *plain->at == '\n'))
        plain->at++;
}

/* ASCII, and the escapes of one letter. */
static bool plain_string(struct plain *plain)
{
    if (!plain_takes(plain, "\""))
        return false;
    for (; plain->at < plain->end && *plain->at != '"'; plain->at++) {
        if (*plain->at < ' ' || *plain->at > '~')
            return false;
        if (*plain->at == '\\' &&
            (++plain->at == plain->end || !memchr("\"\\/bfnrt", *plain->at, 8)))
            return false;
    }
    return plain_takes(plain, "\"");
}

/* A whole number; what is behind it is the caller's to look at. */
static bool plain_number(struct plain *plain)
{
    plain_takes(plain, "-");
    const char *first = plain->at;
    while (plain->at < plain->end && *plain->at >= '0' && *plain->at <= '9')
        plain->at++;
    size_t digits = (size_t)(plain->at - first);
    return digits == 1 || (digits > 1 && digits <= PLAIN_DIGITS && *first != '0');
}

/* The next name, which none of those before it has, and its colon. */
static bool plain_name(struct plain *plain, struct span *names, size_t count)
{
    const char *name = plain->at;

    if (!plain_string(plain))
        return false;
    size_t size = (size_t)(plain->at - name);
    if (memchr(name, '\\', size) || count == PLAIN_MEMBERS)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (names[i].size == size && !memcmp(names[i].bytes, name, size))
            return false;
    }
    names[count] = (struct span){name, size, 0};
    plain_space(plain);
    return plain_takes(plain, ":");
}

static bool plain_object(struct plain *plain)
{
    struct span names[PLAIN_MEMBERS];
    size_t count = 0;

    plain_space(plain);
    if (plain_takes(plain, "}"))
        return true;
    do {
        plain_space(plain);
        if (!plain_name(plain, names, count++))
            return false;
        if (!plain_value(plain))
            return false;
    } while (plain_takes(plain, ","));
    return plain_takes(plain, "}");
}

static bool plain_array(struct plain *plain)
{
    plain_space(plain);
    if (plain_takes(plain, "]"))
        return true;
    do {
        if (!plain_value(plain))
            return false;
    } while (plain_takes(plain, ","));
    return plain_takes(plain, "]");
}

/* A value, with the white space around it. */
static bool plain_value(struct plain *plain)
{
    bool well;

    if (plain->depth++ == PLAIN_DEPTH)
        return false;
    plain_space(plain);
    if (plain_takes(plain, "{"))
        well = plain_object(plain);
    else if (plain_takes(plain, "["))
        well = plain_array(plain);
    else if (plain->at < plain->end && *plain->at == '"')
        well = plain_string(plain);
    else
        well = plain_takes(plain, "true") || plain_takes(plain, "false") ||
               plain_takes(plain, "null") || plain_number(plain);
    plain_space(plain);
    plain->depth--;
    return well;
}

bool codec_is_plain(const struct span *value)
{
    struct plain plain = {value->bytes, value->bytes + value->size, 0};

    return plain_value(&plain) && plain.at == plain.end;
}
