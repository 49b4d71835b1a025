/* What the tests of the codec share: bodies, ways to read them, and what a refusal looks like. */
#ifndef SIGNPOST_TESTS_CODEC_FIXTURE_H
#define SIGNPOST_TESTS_CODEC_FIXTURE_H

#include "codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define SINCE "9f2c000000000001.17"

enum reader { REGISTER, HEARTBEAT, MESSAGE, EVENTS };

union request {
    struct register_request registering;
    struct heartbeat_request heartbeat;
    struct send_request message;
    struct poll_request events;
};

/* One good body of each kind, with everything in it. */
extern const char codec_fixture_register[], codec_fixture_heartbeat[], codec_fixture_message[],
    codec_fixture_events[];

/* A copy of just that size, so that the address sanitizer sees any byte read past the end. */
char *codec_fixture_copy(const char *text, size_t size);

/* `head`, `count` times `fill`, `tail`; to be freed. */
char *codec_fixture_repeat(const char *head, const char *fill, size_t count, const char *tail);

/* Parses what must be good. */
struct json *codec_fixture_parse(const char *text);

/* Reads a body that may be refused at either step; the error, and on success the json to free. */
int codec_fixture_read(enum reader reader, const char *body, size_t size, struct json **ret_json,
    union request *ret_request, struct fault *ret_fault);

/* The body is refused with that error, a sentence that has `part` in it, and nothing written to
 * the request. */
void assert_refused_bytes(
    enum reader reader, const char *body, size_t size, int error, const char *part);
void assert_refused(enum reader reader, const char *body, int error, const char *part);

#endif
