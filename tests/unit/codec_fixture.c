#include "codec_fixture.h"

#include <stdlib.h>
#include <string.h>

const char codec_fixture_register[] =
    "{\"id\": \"master-a\", \"network\": \"lab\", \"endpoints\": [\"grpc://:50051\", "
    "\"udp://203.0.113.7:4000\"], \"meta\": { \"role\":\t\"master\" }, \"reach\": {\"nat\": []}, "
    "\"ttl\": 45.5, \"listed\": false, \"token\": \"t0ken\", \"unknown\": {\"id\": 7}}";

const char codec_fixture_heartbeat[] = "{\"id\": \"master-a\", \"endpoints\": [\"grpc://:1\"], "
                                       "\"meta\": {\"a\" : 1}, \"reach\": { }, \"ttl\": \"any\"}";

const char codec_fixture_message[] =
    "{\"id\": \"0a5e\", \"session\": \"b7\", \"type\": \"offer\", "
    "\"body\": {\"type\": \"offer\", \"sdp\": \"v=0\\r\\n}\\\"\"} , \"ttl\": 10}";

const char codec_fixture_events[] =
    "{\"since\": \"" SINCE "\", \"after\": \"0000000000000001.2\", \"wait\": 25, \"limit\": 200}";

char *codec_fixture_copy(const char *text, size_t size)
{
    char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    return copy;
}

struct json *codec_fixture_parse(const char *text)
{
    struct json *json = NULL;
    struct fault fault = {0};

    if (codec_parse(text, strlen(text), &json, &fault))
        fail_msg("%s: %s", fault.detail, text);
    return json;
}

int codec_fixture_read(enum reader reader, const char *body, size_t size, struct json **ret_json,
    union request *ret_request, struct fault *ret_fault)
{
    struct json *json = NULL;
    int error = codec_parse(body, size, &json, ret_fault);

    if (error) {
        assert_null(json);
        return error;
    }
    switch (reader) {
    case REGISTER: error = codec_read_register(json, &ret_request->registering, ret_fault); break;
    case HEARTBEAT: error = codec_read_heartbeat(json, &ret_request->heartbeat, ret_fault); break;
    case MESSAGE: error = codec_read_message(json, &ret_request->message, ret_fault); break;
    case EVENTS: error = codec_read_events(json, &ret_request->events, ret_fault); break;
    }
    if (error)
        codec_free(json);
    else
        *ret_json = json;
    return error;
}

void assert_refused_bytes(
    enum reader reader, const char *body, size_t size, int error, const char *part)
{
    union request request, before;
    struct fault fault = {0};
    struct json *json = NULL;
    char *copy = codec_fixture_copy(body, size);

    memset(&request, 0x5A, sizeof request);
    before = request;
    int got = codec_fixture_read(reader, copy, size, &json, &request, &fault);
    if (got != error)
        fail_msg("got %d (%s), not %d, for %.*s", got, fault.detail, error, (int)size, body);
    assert_int_equal(fault.error, error);
    assert_null(json);
    if (!strstr(fault.detail, part))
        fail_msg("\"%s\" has no \"%s\"", fault.detail, part);
    assert_memory_equal(&request, &before, sizeof request);
    free(copy);
}

void assert_refused(enum reader reader, const char *body, int error, const char *part)
{
    assert_refused_bytes(reader, body, strlen(body), error, part);
}

char *codec_fixture_repeat(const char *head, const char *fill, size_t count, const char *tail)
{
    struct text text = {0};
    size_t length;

    text_puts(&text, head);
    for (size_t i = 0; i < count; i++)
        text_puts(&text, fill);
    text_puts(&text, tail);
    assert_false(text_failed(&text));
    return text_take(&text, &length);
}
