#include "codec_members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_CHARS_MAX 64
#define ENDPOINT_CHARS_MAX 512
#define ADDRESS_CHARS_MAX 63
#define OBJECT_BYTES_MAX 16384 /* of meta, and of reach */
#define MAIL_MAX 1e9           /* messages that are said to wait */
#define DAY_S 86400.0

/* --- the memory of a reply ------------------------------------------------------------------- */

struct codec_block {
    struct codec_block *next;
    max_align_t bytes[];
};

void codec_free_memory(struct codec_memory *memory)
{
    if (!memory)
        return;
    while (memory->blocks) {
        struct codec_block *block = memory->blocks;
        memory->blocks = block->next;
        free(block);
    }
    json_decref(memory->root);
    free(memory->copy);
    free(memory);
}

void *codec_take(struct codec_reader *reader, size_t count, size_t size)
{
    struct codec_block *block = calloc(1, sizeof *block + count * size);

    if (!block)
        return NULL;
    block->next = reader->memory->blocks;
    reader->memory->blocks = block;
    return block->bytes;
}

/* --- errors ---------------------------------------------------------------------------------- */

int codec_refuse(const struct codec_reader *reader, const char *name, const char *what)
{
    snprintf(reader->detail, CODEC_DETAIL_SIZE, "the reply's `%s%s` %s", reader->where, name, what);
    return SIGNPOST_ERROR_PROTOCOL;
}

int codec_refuse_memory(char *ret_detail)
{
    snprintf(ret_detail, CODEC_DETAIL_SIZE, "%s", signpost_strerror(SIGNPOST_ERROR_NO_MEMORY));
    return SIGNPOST_ERROR_NO_MEMORY;
}

/* jansson quotes some of the text in its message; what is not printable is hidden. It gives no
 * message where an allocation failed (one that failed within a string it takes for bad syntax). */
int codec_refuse_syntax(const json_error_t *syntax, char *ret_detail)
{
    char message[JSON_ERROR_TEXT_LENGTH];

    if (!syntax->text[0] || json_error_code(syntax) == json_error_out_of_memory)
        return codec_refuse_memory(ret_detail);
    snprintf(message, sizeof message, "%s", syntax->text);
    for (char *at = message; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    snprintf(ret_detail, CODEC_DETAIL_SIZE, "the reply is not JSON: line %d, column %d: %s",
        syntax->line, syntax->column, message);
    return SIGNPOST_ERROR_PROTOCOL;
}

/* --- strings --------------------------------------------------------------------------------- */

size_t codec_measure_control(const char *at)
{
    unsigned char first = (unsigned char)at[0];

    if (first == 0xC2 && (unsigned char)at[1] >= 0x80 && (unsigned char)at[1] <= 0x9F)
        return 2;
    return first < 0x20 || first == 0x7F ? 1 : 0;
}

static bool is_printable(const char *string, size_t max)
{
    size_t length = strlen(string);

    for (const char *at = string; *at; at++)
        if (codec_measure_control(at))
            return false;
    return length > 0 && length <= max;
}

bool codec_is_id(const char *string)
{
    size_t length = strspn(string, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789._-");
    return length > 0 && length <= ID_CHARS_MAX && !string[length];
}

static bool is_cursor(const char *string)
{
    return codec_is_id(string) && strlen(string) < CODEC_CURSOR_SIZE;
}

static bool is_endpoint(const char *string)
{
    return is_printable(string, ENDPOINT_CHARS_MAX);
}

static bool is_address(const char *string)
{
    return is_printable(string, ADDRESS_CHARS_MAX);
}

static bool is_time(const char *string)
{
    static const char form[] = "0000-00-00T00:00:00Z";
    size_t i = 0;

    while (
        form[i] && (form[i] == '0' ? string[i] >= '0' && string[i] <= '9' : string[i] == form[i]))
        i++;
    return !form[i] && !string[i];
}

const struct codec_rule codec_time_rule = {is_time, "a time such as 2026-01-05T10:30:00Z"};
const struct codec_rule codec_id_rule = {codec_is_id, "1 to 64 of A-Z a-z 0-9 . _ -"};
static const struct codec_rule cursor_rule = {is_cursor, "a cursor, 1 to 63 of A-Z a-z 0-9 . _ -"};
const struct codec_rule codec_endpoint_rule = {
    is_endpoint, "an endpoint, 1 to 512 bytes without control characters"};
const struct codec_rule codec_address_rule = {
    is_address, "an address, 1 to 63 bytes without control characters"};

/* --- members --------------------------------------------------------------------------------- */

const json_t *codec_get(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

int codec_read_string(const struct codec_reader *reader, const json_t *object, const char *name,
    const struct codec_rule *rule, bool needed, const char **ret_string)
{
    const json_t *value = codec_get(object, name);
    const char *string = json_string_value(value);

    if (!value && needed)
        return codec_refuse(reader, name, "is missing");
    if (value && (!string || !rule->holds(string))) {
        char what[96];
        snprintf(what, sizeof what, "is not %s", rule->wanted);
        return codec_refuse(reader, name, what);
    }
    *ret_string = string ? string : "";
    return 0;
}

int codec_read_cursor(const struct codec_reader *reader, const json_t *object, const char *name,
    char ret_cursor[CODEC_CURSOR_SIZE])
{
    const char *cursor;
    int error = codec_read_string(reader, object, name, &cursor_rule, true, &cursor);

    if (error)
        return error;
    snprintf(ret_cursor, CODEC_CURSOR_SIZE, "%s", cursor);
    return 0;
}

int codec_read_bool(
    const struct codec_reader *reader, const json_t *object, const char *name, bool *ret_bool)
{
    const json_t *value = codec_get(object, name);

    if (!json_is_boolean(value))
        return codec_refuse(reader, name, value ? "is not true or false" : "is missing");
    *ret_bool = json_is_true(value);
    return 0;
}

int codec_read_seconds(
    const struct codec_reader *reader, const json_t *object, const char *name, int64_t *ret_ms)
{
    const json_t *value = codec_get(object, name);
    double seconds = json_number_value(value);

    if (!value)
        return codec_refuse(reader, name, "is missing");
    /* So written, it refuses what is no number too. */
    if (!json_is_number(value) || !(seconds >= 0 && seconds <= DAY_S))
        return codec_refuse(reader, name, "is not a number of seconds from 0 to 86400");
    *ret_ms = (int64_t)(seconds * 1000 + 0.5);
    return 0;
}

int codec_read_count(
    const struct codec_reader *reader, const json_t *object, const char *name, uint64_t *ret_count)
{
    const json_t *value = codec_get(object, name);
    double count = json_number_value(value);

    if (!value)
        return codec_refuse(reader, name, "is missing");
    if (!json_is_number(value) || !(count >= 0 && count <= MAIL_MAX) ||
        count != (double)(uint64_t)count)
        return codec_refuse(reader, name, "is not a whole number from 0 to 1000000000");
    *ret_count = (uint64_t)count;
    return 0;
}

int codec_read_array(const struct codec_reader *reader, const json_t *object, const char *name,
    size_t max, bool needed, const json_t **ret_array)
{
    const json_t *value = codec_get(object, name);

    if (!value && needed)
        return codec_refuse(reader, name, "is missing");
    if (value && !json_is_array(value))
        return codec_refuse(reader, name, "is not an array");
    if (json_array_size(value) > max)
        return codec_refuse(reader, name, "has too many items");
    *ret_array = value;
    return 0;
}

int codec_read_strings(struct codec_reader *reader, const json_t *object, const char *name,
    const struct codec_rule *rule, size_t max, bool needed, const char *const **ret_strings,
    size_t *ret_count)
{
    const json_t *array;
    int error = codec_read_array(reader, object, name, max, needed, &array);

    if (error)
        return error;
    size_t count = json_array_size(array);
    const char **strings = codec_take(reader, count, sizeof *strings);
    if (!strings)
        return codec_refuse_memory(reader->detail);
    for (size_t i = 0; i < count; i++) {
        strings[i] = json_string_value(json_array_get(array, i));
        if (!strings[i] || !rule->holds(strings[i])) {
            char what[96];
            snprintf(what, sizeof what, "has an item that is not %s", rule->wanted);
            return codec_refuse(reader, name, what);
        }
    }
    *ret_strings = strings;
    *ret_count = count;
    return 0;
}

int codec_read_text(const struct codec_reader *reader, struct codec_span span, const char *name,
    size_t max, const char **ret_text, size_t *ret_size)
{
    struct codec_span value;

    if (!codec_find_member(span, name, &value))
        return codec_refuse(reader, name, "is missing");
    if (value.size > max)
        return codec_refuse(reader, name, "is too large");
    char *text = reader->memory->copy + (value.bytes - reader->text);
    text[value.size] = '\0';
    *ret_text = text;
    *ret_size = value.size;
    return 0;
}

int codec_read_object(const struct codec_reader *reader, const json_t *object,
    struct codec_span span, const char *name, const char **ret_text)
{
    const json_t *value = codec_get(object, name);
    size_t size;

    if (value && !json_is_object(value))
        return codec_refuse(reader, name, "is not an object");
    if (value)
        return codec_read_text(reader, span, name, OBJECT_BYTES_MAX, ret_text, &size);
    *ret_text = "{}";
    return 0;
}
