/*
 * Where the values of a JSON text stand, so that they can be handed on byte for byte. For text that
 * a JSON parser has accepted; the grammar is not checked again. Positions stay within the text
 * whatever it is. Nothing is allocated.
 */
#ifndef SIGNPOST_CLIENT_CODEC_SPAN_H
#define SIGNPOST_CLIENT_CODEC_SPAN_H

#include <stdbool.h>
#include <stddef.h>

/* A part of a text: one JSON value, without the space around it. */
struct codec_span {
    const char *bytes;
    size_t size;
};

/* The first member of that name (ASCII, without quotes) of an object. False where there is none, or
 * the value is no object. */
bool codec_find_member(struct codec_span object, const char *name, struct codec_span *ret_value);

/* The items of an array one after the other. */
struct codec_items {
    const char *at, *end;
};

struct codec_items codec_begin_items(struct codec_span array); /* of no array: none */
bool codec_next_item(struct codec_items *items, struct codec_span *ret_item);

#endif
