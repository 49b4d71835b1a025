#include "codec.h"
#include "codec_members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_CHARS 43
#define ENDPOINTS_MAX 10
#define CANDIDATES_MAX 256 /* in one message */
#define REASON_SIZE 128
#define GEN_MOST 1e6

/* --- small things ---------------------------------------------------------------------------- */

bool codec_is_kind(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    return length > 0 && length < CODEC_KIND_SIZE && !text[length];
}

static bool is_secret(const char *text)
{
    return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
               SECRET_CHARS &&
           !text[SECRET_CHARS];
}

static char *compact(const json_t *object)
{
    return json_is_object(object) ? json_dumps(object, JSON_COMPACT) : NULL;
}

char *codec_compact_object(const char *text)
{
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    char *line = compact(root);

    json_decref(root);
    return line;
}

/* Puts a line behind the text; false where memory is out. */
static bool add_line(char **text, const char *line)
{
    size_t length = strlen(*text), size = strlen(line);
    char *longer = realloc(*text, length + size + 2);

    if (!longer)
        return false;
    memcpy(longer + length, line, size);
    strcpy(longer + length + size, "\n");
    *text = longer;
    return true;
}

/* --- what a body says ------------------------------------------------------------------------ */

static const char *string_of(const json_t *body, const char *name)
{
    return json_string_value(codec_get(body, name));
}

static int read_kind(const json_t *body, struct codec_signal *signal)
{
    const char *kind = string_of(body, "kind");

    if (!kind || !codec_is_kind(kind))
        return SIGNPOST_ERROR_PROTOCOL;
    strcpy(signal->kind, kind);
    return 0;
}

static int read_gen(const json_t *body, struct codec_signal *signal)
{
    const json_t *gen = codec_get(body, "gen");
    double value = json_number_value(gen);

    if (gen && (!json_is_number(gen) || !(value >= 0 && value <= GEN_MOST)))
        return SIGNPOST_ERROR_PROTOCOL;
    signal->gen = (unsigned)value;
    return 0;
}

static int keep(struct codec_signal *signal, const char *text)
{
    free(signal->payload);
    signal->payload = strdup(text);
    return signal->payload ? 0 : SIGNPOST_ERROR_NO_MEMORY;
}

static int read_knock(const json_t *body, struct codec_signal *signal)
{
    const char *want = string_of(body, "want");
    int error = read_kind(body, signal);

    if (error || strcmp(signal->kind, "direct") != 0)
        return error;
    if (!want || (strcmp(want, "accept") != 0 && strcmp(want, "dial") != 0))
        return SIGNPOST_ERROR_PROTOCOL;
    return keep(signal, want);
}

static int read_ready(const json_t *body, struct codec_signal *signal)
{
    const json_t *endpoints = codec_get(body, "endpoints");
    const char *secret = string_of(body, "secret");
    int error = read_kind(body, signal);

    if (error || strcmp(signal->kind, "direct") != 0)
        return error;
    if (!secret || !is_secret(secret) || (endpoints && !json_is_array(endpoints)) ||
        json_array_size(endpoints) > ENDPOINTS_MAX)
        return SIGNPOST_ERROR_PROTOCOL;
    if (!add_line(&signal->payload, secret))
        return SIGNPOST_ERROR_NO_MEMORY;
    for (size_t i = 0; i < json_array_size(endpoints); i++) {
        const char *endpoint = json_string_value(json_array_get(endpoints, i));
        if (!endpoint || !codec_endpoint_rule.holds(endpoint))
            return SIGNPOST_ERROR_PROTOCOL;
        if (!add_line(&signal->payload, endpoint))
            return SIGNPOST_ERROR_NO_MEMORY;
    }
    return 0;
}

static int read_description(const char *type, const json_t *body, struct codec_signal *signal)
{
    const char *said = string_of(body, "type"), *sdp = string_of(body, "sdp");

    if (!said || strcmp(said, type) != 0 || !sdp)
        return SIGNPOST_ERROR_PROTOCOL;
    int error = read_gen(body, signal);
    return error ? error : keep(signal, sdp);
}

static int read_candidates(const json_t *body, struct codec_signal *signal)
{
    const json_t *candidates = codec_get(body, "candidates");
    int error = read_gen(body, signal);

    if (candidates && (!json_is_array(candidates) || json_array_size(candidates) > CANDIDATES_MAX))
        error = SIGNPOST_ERROR_PROTOCOL;
    for (size_t i = 0; !error && i < json_array_size(candidates); i++) {
        const json_t *candidate = json_array_get(candidates, i);
        char *line = compact(candidate);
        if (!json_is_object(candidate))
            error = SIGNPOST_ERROR_PROTOCOL;
        else if (!line || !add_line(&signal->payload, line))
            error = SIGNPOST_ERROR_NO_MEMORY;
        free(line);
    }
    signal->end = json_is_true(codec_get(body, "end"));
    return error;
}

/* Shown to people: one line, without control characters. */
static int read_reason(const json_t *body, struct codec_signal *signal)
{
    const char *reason = string_of(body, "reason");
    char line[REASON_SIZE];

    codec_copy_sentence(reason ? reason : "", line, sizeof line);
    return keep(signal, line);
}

int codec_parse_signal(
    const char *type, const char *body, size_t size, struct codec_signal *ret_signal)
{
    struct codec_signal signal = {.payload = strdup("")};
    json_t *root = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
    int error = SIGNPOST_ERROR_PROTOCOL;

    if (!signal.payload)
        error = SIGNPOST_ERROR_NO_MEMORY;
    else if (!json_is_object(root))
        error = SIGNPOST_ERROR_PROTOCOL;
    else if (!strcmp(type, "knock"))
        error = read_knock(root, &signal);
    else if (!strcmp(type, "ready"))
        error = read_ready(root, &signal);
    else if (!strcmp(type, "offer") || !strcmp(type, "answer"))
        error = read_description(type, root, &signal);
    else if (!strcmp(type, "candidates"))
        error = read_candidates(root, &signal);
    else if (!strcmp(type, "bye"))
        error = read_reason(root, &signal);
    json_decref(root);
    if (error)
        codec_free_signal(&signal);
    else
        *ret_signal = signal;
    return error;
}

void codec_free_signal(struct codec_signal *signal)
{
    free(signal->payload);
    signal->payload = NULL;
}

/* --- the way back ---------------------------------------------------------------------------- */

/* The lines of the payload; with `parsed` each is JSON. NULL: one is none, or memory is out. */
static json_t *lines_to_array(const char *lines, bool parsed)
{
    json_t *array = json_array();

    for (const char *end; (end = strchr(lines, '\n')) != NULL; lines = end + 1) {
        size_t length = (size_t)(end - lines);
        json_t *item = parsed ? json_loadb(lines, length, JSON_REJECT_DUPLICATES, NULL)
                              : json_stringn(lines, length);
        if (json_array_append_new(array, item)) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *ready_body(const struct codec_signal *signal)
{
    size_t secret = strcspn(signal->payload, "\n");

    if (!secret)
        return json_pack("{ss}", "kind", signal->kind);
    const char *endpoints = signal->payload + secret + (signal->payload[secret] == '\n');
    return json_pack("{ssss%so*}", "kind", signal->kind, "secret", signal->payload, secret,
        "endpoints", *endpoints ? lines_to_array(endpoints, false) : NULL);
}

char *codec_signal(const char *type, const struct codec_signal *signal)
{
    json_t *body = NULL;
    char *text;

    if (!strcmp(type, "knock"))
        body = json_pack(
            "{ssss*}", "kind", signal->kind, "want", *signal->payload ? signal->payload : NULL);
    else if (!strcmp(type, "ready"))
        body = ready_body(signal);
    else if (!strcmp(type, "offer") || !strcmp(type, "answer"))
        body = json_pack("{sssssi}", "type", type, "sdp", signal->payload, "gen", (int)signal->gen);
    else if (!strcmp(type, "candidates"))
        body = json_pack("{sisosb}", "gen", (int)signal->gen, "candidates",
            lines_to_array(signal->payload, true), "end", signal->end);
    else if (!strcmp(type, "bye"))
        body = json_pack("{ss}", "reason", signal->payload);
    text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return text;
}
