#include "json.h"

#include <jansson.h>
#include <stdint.h>
#include <string.h>

/* DEL, and C1 in UTF-8: JSON allows them in strings, and terminals obey them. Gives the number of
 * the character, or 0. */
static unsigned hidden_control(const char *at)
{
    unsigned char first = (unsigned char)at[0], second = (unsigned char)at[1];

    if (first == 0x7F)
        return first;
    return first == 0xC2 && second >= 0x80 && second < 0xA0 ? second : 0;
}

void json_put_text(FILE *stream, const char *text)
{
    fputc('"', stream);
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        unsigned control = byte < 0x20 ? byte : hidden_control(text);
        if (control) {
            fprintf(stream, "\\u%04x", control);
            text += byte == 0xC2;
        } else {
            if (byte == '"' || byte == '\\')
                fputc('\\', stream);
            fputc(byte, stream);
        }
    }
    fputc('"', stream);
}

void json_put_json(FILE *stream, const char *json)
{
    for (; *json; json++) {
        unsigned control = hidden_control(json);
        if (control) {
            fprintf(stream, "\\u%04x", control);
            json += control != 0x7F;
        } else {
            /* In valid JSON a raw line end or tab is between two values, never in a string. */
            fputc((unsigned char)*json < 0x20 ? ' ' : *json, stream);
        }
    }
}

void json_put_texts(FILE *stream, const char *const *texts, size_t count)
{
    fputc('[', stream);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            fputs(", ", stream);
        json_put_text(stream, texts[i]);
    }
    fputc(']', stream);
}

void json_put_peer(FILE *stream, const signpost_peer_t *peer)
{
    fputs("\"id\": ", stream);
    json_put_text(stream, peer->id);
    fputs(", \"endpoints\": ", stream);
    json_put_texts(stream, peer->endpoints, peer->endpoint_count);
    fputs(", \"observed\": ", stream);
    json_put_texts(stream, peer->observed, peer->observed_count);
    fputs(", \"meta\": ", stream);
    json_put_json(stream, peer->meta);
    fputs(", \"reach\": ", stream);
    json_put_json(stream, peer->reach);
    fputs(", \"registered_at\": ", stream);
    if (*peer->registered_at)
        json_put_text(stream, peer->registered_at);
    else
        fputs("null", stream);
    fprintf(stream, ", \"stale\": %s", peer->stale ? "true" : "false");
}

bool json_check(const char *text, size_t size, bool object, char ret_reason[JSON_REASON_SIZE])
{
    json_error_t error;
    /* As the index reads it: whole numbers of any size are fine. */
    size_t flags = JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES;
    json_t *value = json_loadb(text, size, flags, &error);

    if (!value) {
        snprintf(ret_reason, JSON_REASON_SIZE, "%s", error.text);
        return false;
    }
    if (memchr(text, '\0', size)) { /* jansson passes over one behind a number */
        snprintf(ret_reason, JSON_REASON_SIZE, "there is a NUL in it");
        json_decref(value);
        return false;
    }
    bool fits = !object || json_is_object(value);
    if (!fits)
        snprintf(ret_reason, JSON_REASON_SIZE, "it is no object, as {\"role\": \"master\"}");
    json_decref(value);
    return fits;
}
