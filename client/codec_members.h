/*
 * Reads members of a reply, each with its check. Functions return 0 or an enum signpost_error, with
 * a sentence in the reader's `detail`. "Absent" is also what is null.
 */
#ifndef SIGNPOST_CLIENT_CODEC_MEMBERS_H
#define SIGNPOST_CLIENT_CODEC_MEMBERS_H

#include "codec.h"
#include "codec_span.h"

#include <jansson.h>

#define CODEC_DETAIL_SIZE 256

/* Integers as reals: a huge one in a body that is none of our business is not an error. */
#define CODEC_LOAD_FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL)

struct codec_block;

/* What a reply owns. */
struct codec_memory {
    json_t *root; /* strings of the reply are those of the tree */
    char *copy;   /* of the text; what is handed on as text is ended by a NUL in it */
    struct codec_block *blocks;
};

void codec_free_memory(struct codec_memory *memory);

/* What a reply is read with. */
struct codec_reader {
    const char *text;
    struct codec_memory *memory;
    char *detail;
    const char *part; /* "list.", "mail." or "" */
    char where[48];   /* the part and the item in it, in front of a member's name */
};

/* Zeroed; NULL where memory is out. `count` is capped by who asks. */
void *codec_take(struct codec_reader *reader, size_t count, size_t size);

int codec_refuse(const struct codec_reader *reader, const char *name, const char *what);
int codec_refuse_memory(char *ret_detail);
int codec_refuse_syntax(const json_error_t *syntax, char *ret_detail);

/* The bytes of the control character that starts there (C0, DEL, or C1 in UTF-8); 0: it is none. */
size_t codec_measure_control(const char *at);

/* Control characters become spaces; what is cut is cut between two characters. */
void codec_copy_sentence(const char *string, char *ret_sentence, size_t size);

struct codec_rule {
    bool (*holds)(const char *string);
    const char *wanted; /* what comes after "is not" */
};

extern const struct codec_rule codec_id_rule, codec_endpoint_rule, codec_address_rule,
    codec_time_rule;

const json_t *codec_get(const json_t *object, const char *name); /* NULL: absent */

/* "" where it is absent and not `needed`. */
int codec_read_string(const struct codec_reader *reader, const json_t *object, const char *name,
    const struct codec_rule *rule, bool needed, const char **ret_string);

int codec_read_cursor(const struct codec_reader *reader, const json_t *object, const char *name,
    char ret_cursor[CODEC_CURSOR_SIZE]);
int codec_read_bool(
    const struct codec_reader *reader, const json_t *object, const char *name, bool *ret_bool);
int codec_read_seconds(
    const struct codec_reader *reader, const json_t *object, const char *name, int64_t *ret_ms);
int codec_read_count(
    const struct codec_reader *reader, const json_t *object, const char *name, uint64_t *ret_count);

/* NULL where it is absent and not `needed`; that is an empty one to jansson. */
int codec_read_array(const struct codec_reader *reader, const json_t *object, const char *name,
    size_t max, bool needed, const json_t **ret_array);
int codec_read_strings(struct codec_reader *reader, const json_t *object, const char *name,
    const struct codec_rule *rule, size_t max, bool needed, const char *const **ret_strings,
    size_t *ret_count);

/* These hand on the member's text. `span` is where the object stands. */
int codec_read_text(const struct codec_reader *reader, struct codec_span span, const char *name,
    size_t max, const char **ret_text, size_t *ret_size);

/* "{}" where it is absent. */
int codec_read_object(const struct codec_reader *reader, const json_t *object,
    struct codec_span span, const char *name, const char **ret_text);

#endif
