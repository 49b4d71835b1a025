#include "codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TTL_DEFAULT_S 30 /* what signpost_config promises for 0 */

/* A growing text. Running out of memory is remembered, and told at the end. */
struct writer {
    char *bytes;
    size_t length, room;
    bool failed;
};

static bool reserve(struct writer *out, size_t more)
{
    if (out->failed || more > SIZE_MAX / 4) {
        out->failed = true;
        return false;
    }
    size_t needed = out->length + more + 1, room = out->room ? out->room : 256;
    if (needed <= out->room)
        return true;
    while (room < needed)
        room *= 2;
    char *bytes = realloc(out->bytes, room);
    if (!bytes) {
        out->failed = true;
        return false;
    }
    out->bytes = bytes;
    out->room = room;
    return true;
}

static void append(struct writer *out, const char *bytes, size_t length)
{
    if (!reserve(out, length))
        return;
    memcpy(out->bytes + out->length, bytes, length);
    out->length += length;
    out->bytes[out->length] = '\0';
}

static void put(struct writer *out, const char *text)
{
    append(out, text, strlen(text));
}

/* Bytes that are no UTF-8 go out as they are: the index says of them what is wrong. */
static void write_string(struct writer *out, const char *string)
{
    put(out, "\"");
    while (*string) {
        size_t plain = 0;
        while (
            (unsigned char)string[plain] >= 0x20 && string[plain] != '"' && string[plain] != '\\')
            plain++;
        append(out, string, plain);
        string += plain;
        if (*string) {
            char escape[7];
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(unsigned char)*string++);
            put(out, escape);
        }
    }
    put(out, "\"");
}

/* --- members --------------------------------------------------------------------------------- */

/* Where the value is NULL, each of these leaves the member out. */

static void begin_member(struct writer *out, const char *name)
{
    if (!out->failed && out->bytes[out->length - 1] != '{')
        put(out, ",");
    put(out, "\"");
    put(out, name);
    put(out, "\":");
}

static void write_member(struct writer *out, const char *name, const char *string)
{
    if (!string)
        return;
    begin_member(out, name);
    write_string(out, string);
}

/* A JSON value, as its text is. */
static void write_text(struct writer *out, const char *name, const char *text, size_t size)
{
    if (!text)
        return;
    begin_member(out, name);
    append(out, text, size);
}

static void write_object(struct writer *out, const char *name, const char *text)
{
    write_text(out, name, text, text ? strlen(text) : 0);
}

static void write_number(struct writer *out, const char *name, unsigned number)
{
    char digits[16];
    int length = snprintf(digits, sizeof digits, "%u", number);

    write_text(out, name, digits, (size_t)length);
}

static void write_strings(struct writer *out, const char *name, const char *const *strings)
{
    if (!strings)
        return;
    begin_member(out, name);
    put(out, "[");
    for (size_t i = 0; strings[i]; i++) {
        if (i > 0)
            put(out, ",");
        write_string(out, strings[i]);
    }
    put(out, "]");
}

static char *finish(struct writer *out)
{
    put(out, "}");
    if (!out->failed)
        return out->bytes;
    free(out->bytes);
    return NULL;
}

/* --- bodies ---------------------------------------------------------------------------------- */

char *codec_register(const signpost_config_t *config, const char *id, const char *token)
{
    struct writer out = {0};

    put(&out, "{");
    write_member(&out, "id", id);
    write_member(&out, "network", config->network);
    write_strings(&out, "endpoints", config->endpoints);
    write_object(&out, "meta", config->meta);
    write_object(&out, "reach", config->reach);
    write_number(&out, "ttl", config->ttl_s ? config->ttl_s : TTL_DEFAULT_S);
    if (config->unlisted)
        write_text(&out, "listed", "false", 5);
    write_member(&out, "token", token);
    return finish(&out);
}

char *codec_heartbeat(const char *const *endpoints, const char *meta, const char *reach)
{
    struct writer out = {0};

    put(&out, "{");
    write_strings(&out, "endpoints", endpoints);
    write_object(&out, "meta", meta);
    write_object(&out, "reach", reach);
    return finish(&out);
}

char *codec_message(const char *id, const char *session, const char *type, const char *body,
    size_t body_size, unsigned ttl_s)
{
    struct writer out = {0};

    put(&out, "{");
    write_member(&out, "id", id);
    if (session && *session)
        write_member(&out, "session", session);
    write_member(&out, "type", type);
    write_text(&out, "body", body, body_size);
    if (ttl_s)
        write_number(&out, "ttl", ttl_s);
    return finish(&out);
}

char *codec_events(const char *since, const char *after, unsigned wait_s, unsigned limit)
{
    struct writer out = {0};

    put(&out, "{");
    if (since && *since)
        write_member(&out, "since", since);
    if (after && *after)
        write_member(&out, "after", after);
    write_number(&out, "wait", wait_s);
    if (limit)
        write_number(&out, "limit", limit);
    return finish(&out);
}
