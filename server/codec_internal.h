/*
 * What the files of the codec share: finding the exact bytes of a member's value in JSON text, and
 * writing values.
 *
 *   codec_read.c  bodies in      codec_write.c   replies out, that of the status page in
 *   codec_span.c  the bytes between                               codec_status.c
 *                                codec_plain.c   bytes that need no parser
 */
#ifndef SIGNPOST_CODEC_INTERNAL_H
#define SIGNPOST_CODEC_INTERNAL_H

#include "codec.h"

/* One JSON value as it stands in a text that someone else owns. */
struct span {
    const char *bytes; /* not NUL-terminated; without the white space around it */
    size_t size;
    unsigned depth; /* of nested brackets: 0 for a scalar, 1 for {} */
};

/* Finds a top-level member of an object. The text is one that jansson has accepted; any other gives
 * false or some part of it, never more. False also where memory is out. */
bool codec_find_member(const char *text, size_t size, const char *name, struct span *ret_value);

/* Is the value a string with that content? */
bool codec_span_is_string(const struct span *value, const char *content);

/* Is it for sure a JSON value that jansson takes too? Only such as programs write mostly, in ASCII,
 * not nested deeply: of any other, false says nothing. Its members' names differ. */
bool codec_is_plain(const struct span *value);

void codec_write_integer(struct text *out, uint64_t number);
void codec_write_seconds(struct text *out, double seconds); /* at most three decimals */
void codec_write_time(struct text *out, int64_t wall_ms);   /* RFC 3339, in UTC */
void codec_write_cursor(struct text *out, const struct cursor *cursor);

#endif
