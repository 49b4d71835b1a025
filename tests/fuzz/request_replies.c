#include "request_replies.h"

#include "codec.h"
#include "request_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VERSION "HTTP/1.1 "

struct reply {
    unsigned status;
    const char *head; /* its header lines */
    size_t head_size;
};

static void fail(const char *what, const char *at, const char *end)
{
    fprintf(stderr, "reply: %s\n%.*s\n", what, (int)(end - at), at);
    abort();
}

/* The index's own statuses, and those of libmicrohttpd before the index is asked; never 500. */
static bool is_status(unsigned status)
{
    static const unsigned others[] = {100, 200, 201, 202, 204, 304, 400, 405, 501, 505};

    if (status == 500)
        return false;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (status == others[i])
            return true;
#define X(name, code, http, title)                                                                 \
    if (status == (http))                                                                          \
        return true;
    ERROR_LIST(X)
#undef X
    return false;
}

static bool starts(const char *at, const char *end, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(end - at) >= length && !memcmp(at, text, length);
}

/* The value of a header, or NULL; there may be one of it. */
static const char *find(const struct reply *reply, const char *name)
{
    const char *end = reply->head + reply->head_size, *found = NULL;
    size_t length = strlen(name);

    for (const char *at = reply->head; at < end; at = strchr(at, '\n') + 1)
        if (!strncasecmp(at, name, length) && at[length] == ':') {
            if (found)
                fail("a header twice", reply->head, end);
            found = at + length + 1 + (at[length + 1] == ' ');
        }
    return found;
}

/* The status line and the headers; the place behind them. */
static const char *read_head(const char *at, const char *end, struct reply *ret_reply)
{
    const char *close = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);

    if (!close || !starts(at, end, VERSION))
        fail("no head", at, end);
    const char *line = memmem(at, (size_t)(end - at), "\r\n", 2);
    ret_reply->status = (unsigned)strtoul(at + strlen(VERSION), NULL, 10);
    if (!is_status(ret_reply->status) || at[strlen(VERSION) + 3] != ' ')
        fail("no status of ours", at, end);
    ret_reply->head = line + 2;
    ret_reply->head_size = close > line ? (size_t)(close - line) : 0;
    for (const char *byte = at; byte < close; byte++) {
        bool ends = byte[0] == '\r' && byte[1] == '\n';
        if (ends && byte[2] != '\r' && !memchr(byte + 2, ':', strcspn(byte + 2, "\r")))
            fail("a header without a colon", at, end);
        byte += ends;
        if (!ends && ((unsigned char)*byte < ' ' || *byte == 0x7f))
            fail("a control character in the head", at, end);
    }
    return close + 4;
}

static void check_body(const struct reply *reply, const char *body, size_t size)
{
    const char *type = find(reply, "Content-Type");
    struct json *json = NULL;
    struct fault fault;

    if (!type)
        return;
    bool is_problem = !strncmp(type, "application/problem+json", 24);
    if (!is_problem && strncmp(type, "application/json", 16) != 0)
        return;
    if (is_problem != (reply->status >= 400))
        fail("a problem is no success, and an error is one", reply->head, body + size);
    if (codec_parse(body, size, &json, &fault))
        fail(fault.detail, body, body + size);
    codec_free(json);
}

/* libmicrohttpd 0.9.75 sends the head of its own refusals twice (docs/http.md). */
static const char *pass_twin(
    const struct reply *reply, const char *start, const char *at, const char *end)
{
    size_t size = (size_t)(at - start);
    bool own = (reply->status == 400 || reply->status == 413 || reply->status == 431) &&
               !find(reply, "Content-Type");
    return own && (size_t)(end - at) >= size && !memcmp(start, at, size) ? at + size : at;
}

void replies_check(const char *bytes, size_t size, bool heads)
{
    const char *end = bytes + size;

    for (const char *at = bytes; at < end;) {
        struct reply reply;
        const char *start = at;
        at = read_head(at, end, &reply);
        at = pass_twin(&reply, start, at, end);
        const char *length_text = find(&reply, "Content-Length");
        size_t length = length_text ? strtoul(length_text, NULL, 10) : 0;
        if (find(&reply, "Transfer-Encoding"))
            fail("a body of unknown length", start, end);
        if (reply.status == 100 || reply.status == 204 || reply.status == 304)
            continue;
        if (!length_text)
            fail("no length", start, end);
        if (heads && length && (at == end || starts(at, end, VERSION)))
            continue;
        if ((size_t)(end - at) < length)
            fail("a body that is cut", start, end);
        check_body(&reply, at, length);
        at += length;
    }
}

/* --- secrets --------------------------------------------------------------------------------- */

/* By itself and unseen: memmem() would tell the fuzzer what is looked for, which then would send
 * it. */
__attribute__((no_sanitize("coverage"))) static bool has(
    const char *bytes, size_t size, const void *wanted, size_t length)
{
    for (size_t at = 0; at + length <= size; at++) {
        size_t same = 0;
        while (same < length && bytes[at + same] == ((const char *)wanted)[same])
            same++;
        if (same == length)
            return true;
    }
    return false;
}

struct secret {
    uint8_t hash[STORE_HASH_SIZE];
    char hex[2 * STORE_HASH_SIZE + 1];
};

static void hash_secrets(struct secret ret_secrets[WORLD_SECRETS])
{
    for (size_t i = 0; i < WORLD_SECRETS; i++) {
        struct secret *secret = &ret_secrets[i];
        token_hash(world_secrets[i], strlen(world_secrets[i]), secret->hash);
        for (size_t j = 0; j < sizeof secret->hash; j++)
            snprintf(secret->hex + 2 * j, 3, "%02x", secret->hash[j]);
    }
}

bool replies_tell_secrets(const char *bytes, size_t size)
{
    static struct secret secrets[WORLD_SECRETS];

    if (!secrets[0].hex[0])
        hash_secrets(secrets);
    for (size_t i = 0; i < WORLD_SECRETS; i++)
        if (has(bytes, size, world_secrets[i], strlen(world_secrets[i])) ||
            has(bytes, size, secrets[i].hash, sizeof secrets[i].hash) ||
            has(bytes, size, secrets[i].hex, 2 * sizeof secrets[i].hash))
            return true;
    return false;
}
