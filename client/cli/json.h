/* JSON, written a piece at a time, and looked at. */
#ifndef SIGNPOST_CLI_JSON_H
#define SIGNPOST_CLI_JSON_H

#include "signpost.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

void json_put_text(FILE *stream, const char *text); /* as a string, in quotes */

/* Valid JSON text as it is, but on one line. */
void json_put_json(FILE *stream, const char *json);

/* As an array of strings. */
void json_put_texts(FILE *stream, const char *const *texts, size_t count);

/* The members of an object that tell of a peer, without the braces. */
void json_put_peer(FILE *stream, const signpost_peer_t *peer);

#define JSON_REASON_SIZE 200

/* Is it one JSON value, and where `object` an object? Else the reason says why not. */
bool json_check(const char *text, size_t size, bool object, char ret_reason[JSON_REASON_SIZE]);

#endif
