#include "codec.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define CURSOR "9b61938dc7602e9e.3"

static const char registered[] =
    "{\"id\":\"master-a\",\"network\":\"default\",\"ttl\":30,\"heartbeat_after\":9.4535,\n"
    " \"you\":{\"address\":\"127.0.0.1\",\"port\":49002,\"family\":\"ipv4\"},\n"
    " \"endpoints\":[\"grpc://127.0.0.1:50051\"],\"cursor\":\"" CURSOR "\"}\n";

static const char heartbeat[] =
    "{\"ttl\":30,\"heartbeat_after\":10.33,\"you\":{\"address\":\"2001:db8::7\",\"port\":0},\n"
    " \"cursor\":\"" CURSOR "\",\"mail\":7}\n";

#define NODE_A                                                                                     \
    "{\"id\":\"master-a\",\"endpoints\":[\"grpc://127.0.0.1:50051\",\"udp://192.168.1.4:4000\"],"  \
    "\"observed\":[\"127.0.0.1\"],\"meta\":{\"role\": \"master\", \"load\":\t12345678901234567890" \
    ",\n\"}\": \"\\\"]\\\\\"} ,\"reach\":{ },\"age\":0.017,"                                       \
    "\"registered_at\":\"2026-11-21T03:24:56Z\",\"expires_in\":29.983}"
#define META_A "{\"role\": \"master\", \"load\":\t12345678901234567890,\n\"}\": \"\\\"]\\\\\"}"
#define NODE_B "{\"id\":\"master-b\",\"endpoints\":[],\"new\":[1,{\"meta\":7}]}"
#define LIST                                                                                       \
    "{\"network\":\"default\",\"cursor\":\"" CURSOR "\",\"reset\":false,\"more\":true,"            \
    "\"after\":\"master-b\",\"nodes\":[ " NODE_A ",\n " NODE_B " ],\"gone\":[\"x\", \"y.z\"]}"

static const char list[] = LIST "\n";

#define MESSAGE_1                                                                                  \
    "{\"seq\":1,\"id\":\"m1\",\"from\":\"master-a\",\"from_address\":\"127.0.0.1\","               \
    "\"session\":\"s1\",\"type\":\"offer\","                                                       \
    "\"body\": {\"type\": \"offer\", \"body\":1e2 ,\"sdp\": \"v=0 \\u0022}\\n\"} "                 \
    ",\"sent_at\":\"2026-11-21T03:24:56Z\",\"expires_in\":-0.5}"
#define BODY_1 "{\"type\": \"offer\", \"body\":1e2 ,\"sdp\": \"v=0 \\u0022}\\n\"}"
#define MESSAGE_2                                                                                  \
    "{\"seq\":2,\"id\":\"m2\",\"from\":\"master-b\",\"from_address\":null,\"session\":null,"       \
    "\"type\":\"x\",\"body\":null,\"expires_in\":9}"
#define MESSAGE_3                                                                                  \
    "{\"seq\":3,\"id\":\"7a73be31\",\"from\":null,\"from_address\":null,\"session\":null,"         \
    "\"type\":\"undeliverable\",\"body\":{\"id\":\"m9\",\"to\":\"master-c\",\"session\":\"s9\","   \
    "\"type\":\"knock\",\"reason\":\"gone\"},\"expires_in\":59.99}"
#define MAIL                                                                                       \
    "{\"next\":\"70b1991df30984c4.1\",\"reset\":true,\"messages\":[" MESSAGE_1 " , " MESSAGE_2     \
    "," MESSAGE_3 "]}"

static const char events[] =
    " \n{\"list\":" LIST ",\"mail\": " MAIL " ,\"heartbeat_after\":9.724}\n";

static const char sent[] = "{\"seq\":12,\"state\":\"handed\",\"expires_in\":9.9996}";

static const struct {
    enum codec_kind kind;
    const char *text;
} good[] = {
    {CODEC_REGISTERED, registered},
    {CODEC_HEARTBEAT, heartbeat},
    {CODEC_LIST, list},
    {CODEC_EVENTS, events},
    {CODEC_SENT, sent},
};

/* --- help ------------------------------------------------------------------------------------ */

/* Parses a copy of just that size which is gone when this returns, so that the address sanitizer
 * sees who reads behind its end or later. */
static int parse_bytes(enum codec_kind kind, const char *text, size_t size,
    struct codec_reply *ret_reply, char ret_detail[256])
{
    char *copy = malloc(size ? size : 1);

    assert_non_null(copy);
    memcpy(copy, text, size);
    int error = codec_parse(kind, copy, size, ret_reply, ret_detail);
    free(copy);
    return error;
}

static struct codec_reply parse(enum codec_kind kind, const char *text)
{
    struct codec_reply reply = {0};
    char detail[256] = "";

    if (parse_bytes(kind, text, strlen(text), &reply, detail))
        fail_msg("%s: %s", detail, text);
    return reply;
}

static void assert_refused_bytes(
    enum codec_kind kind, const char *text, size_t size, const char *part)
{
    struct codec_reply reply, before;
    char detail[256] = "";

    memset(&reply, 0x5A, sizeof reply);
    before = reply;
    int error = parse_bytes(kind, text, size, &reply, detail);
    if (error != SIGNPOST_ERROR_PROTOCOL)
        fail_msg("got %d for %.*s", error, (int)size, text);
    assert_memory_equal(&reply, &before, sizeof reply);
    if (!strstr(detail, part))
        fail_msg("\"%s\" has no \"%s\"", detail, part);
    for (const char *at = detail; *at; at++)
        assert_in_range(*at, ' ', '~');
}

static void assert_refused(enum codec_kind kind, const char *text, const char *part)
{
    assert_refused_bytes(kind, text, strlen(text), part);
}

/* A text with the first `old` replaced; free() it. */
static char *replace(const char *text, const char *old, const char *by)
{
    const char *found = strstr(text, old);
    char *replaced = NULL;

    if (!found)
        fail_msg("there is no %s", old);
    size_t size = strlen(text) + strlen(by) + 1;
    replaced = malloc(size);
    assert_non_null(replaced);
    snprintf(replaced, size, "%.*s%s%s", (int)(found - text), text, by, found + strlen(old));
    return replaced;
}

/* `head`, `item` so often with commas between, `tail`; free() it. */
static char *repeat(const char *head, const char *item, size_t count, const char *tail)
{
    char *text = malloc(strlen(head) + (strlen(item) + 1) * count + strlen(tail) + 1);

    assert_non_null(text);
    char *at = stpcpy(text, head);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && *item != 'x')
            *at++ = ',';
        at = stpcpy(at, item);
    }
    stpcpy(at, tail);
    return text;
}

/* --- good replies ---------------------------------------------------------------------------- */

static void test_codec_registered_good_is_read(void **state)
{
    struct codec_reply reply = parse(CODEC_REGISTERED, registered);

    (void)state;
    assert_string_equal(reply.id, "master-a");
    assert_string_equal(reply.observed, "127.0.0.1");
    assert_string_equal(reply.cursor, CURSOR);
    assert_int_equal(reply.ttl_ms, 30000);
    assert_int_equal(reply.heartbeat_after_ms, 9454);
    assert_false(reply.has_list);
    assert_false(reply.has_mail);
    codec_free(&reply);
    assert_null(reply.id);
    assert_null(reply.memory);
}

static void test_codec_heartbeat_good_is_read(void **state)
{
    struct codec_reply reply = parse(CODEC_HEARTBEAT, heartbeat);

    (void)state;
    assert_string_equal(reply.id, "");
    assert_string_equal(reply.observed, "2001:db8::7");
    assert_string_equal(reply.cursor, CURSOR);
    assert_int_equal(reply.ttl_ms, 30000);
    assert_int_equal(reply.heartbeat_after_ms, 10330);
    assert_int_equal(reply.mail, 7);
    codec_free(&reply);
}

static void assert_list(const struct codec_list *read)
{
    assert_string_equal(read->cursor, CURSOR);
    assert_false(read->reset);
    assert_true(read->more);
    assert_string_equal(read->after, "master-b");
    assert_int_equal(read->node_count, 2);
    const signpost_peer_t *peer = &read->nodes[0];
    assert_string_equal(peer->id, "master-a");
    assert_int_equal(peer->endpoint_count, 2);
    assert_string_equal(peer->endpoints[0], "grpc://127.0.0.1:50051");
    assert_string_equal(peer->endpoints[1], "udp://192.168.1.4:4000");
    assert_int_equal(peer->observed_count, 1);
    assert_string_equal(peer->observed[0], "127.0.0.1");
    assert_string_equal(peer->meta, META_A);
    assert_string_equal(peer->reach, "{ }");
    assert_string_equal(peer->registered_at, "2026-11-21T03:24:56Z");
    assert_false(peer->stale);
    peer = &read->nodes[1];
    assert_string_equal(peer->id, "master-b");
    assert_int_equal(peer->endpoint_count, 0);
    assert_int_equal(peer->observed_count, 0);
    assert_string_equal(peer->meta, "{}");
    assert_string_equal(peer->reach, "{}");
    assert_int_equal(read->gone_count, 2);
    assert_string_equal(read->gone[0], "x");
    assert_string_equal(read->gone[1], "y.z");
}

static void test_codec_list_good_is_read(void **state)
{
    struct codec_reply reply = parse(CODEC_LIST, list);

    (void)state;
    assert_true(reply.has_list);
    assert_false(reply.has_mail);
    assert_list(&reply.list);
    codec_free(&reply);
}

static void test_codec_list_empty_is_read(void **state)
{
    struct codec_reply reply = parse(CODEC_LIST,
        "{\"cursor\":\"a\",\"reset\":true,\"more\":false,\"after\":null,\"nodes\":[],\"gone\":[]}");

    (void)state;
    assert_true(reply.list.reset);
    assert_false(reply.list.more);
    assert_string_equal(reply.list.after, "");
    assert_int_equal(reply.list.node_count, 0);
    assert_int_equal(reply.list.gone_count, 0);
    codec_free(&reply);
}

static void test_codec_events_good_is_read(void **state)
{
    struct codec_reply reply = parse(CODEC_EVENTS, events);
    const struct codec_message *messages = reply.mailbox.messages;

    (void)state;
    assert_true(reply.has_list);
    assert_true(reply.has_mail);
    assert_int_equal(reply.heartbeat_after_ms, 9724);
    assert_list(&reply.list);
    assert_string_equal(reply.mailbox.next, "70b1991df30984c4.1");
    assert_true(reply.mailbox.reset);
    assert_int_equal(reply.mailbox.message_count, 3);
    assert_string_equal(messages[0].message.id, "m1");
    assert_string_equal(messages[0].message.from, "master-a");
    assert_string_equal(messages[0].message.from_address, "127.0.0.1");
    assert_string_equal(messages[0].message.session, "s1");
    assert_string_equal(messages[0].message.type, "offer");
    assert_string_equal(messages[0].message.body, BODY_1);
    assert_int_equal(messages[0].message.body_size, strlen(BODY_1));
    assert_false(messages[0].is_undeliverable);
    assert_string_equal(messages[1].message.from, "master-b");
    assert_string_equal(messages[1].message.from_address, "");
    assert_string_equal(messages[1].message.session, "");
    assert_string_equal(messages[1].message.body, "null");
    assert_int_equal(messages[1].message.body_size, 4);
    assert_true(messages[2].is_undeliverable);
    assert_string_equal(messages[2].message.from, "");
    assert_string_equal(messages[2].undeliverable.id, "m9");
    assert_string_equal(messages[2].undeliverable.to, "master-c");
    assert_string_equal(messages[2].undeliverable.session, "s9");
    assert_string_equal(messages[2].undeliverable.type, "knock");
    assert_int_equal(messages[2].undeliverable.reason, SIGNPOST_ERROR_UNKNOWN_PEER);
    codec_free(&reply);
}

static void test_codec_sent_good_is_read(void **state)
{
    struct codec_reply reply = parse(CODEC_SENT, sent);

    (void)state;
    assert_true(reply.handed);
    assert_int_equal(reply.expires_in_ms, 10000);
    codec_free(&reply);
    reply = parse(CODEC_SENT, "{\"state\":\"queued\",\"expires_in\":0}");
    assert_false(reply.handed);
    assert_int_equal(reply.expires_in_ms, 0);
    codec_free(&reply);
}

static void test_codec_free_zeroed_or_twice_is_fine(void **state)
{
    struct codec_reply reply = {0}, zero = {0};

    (void)state;
    codec_free(&reply);
    reply = parse(CODEC_EVENTS, events);
    codec_free(&reply);
    codec_free(&reply);
    assert_memory_equal(&reply, &zero, sizeof reply);
}

/* --- bodies byte for byte -------------------------------------------------------------------- */

static void test_codec_body_is_handed_on_as_it_stands(void **state)
{
    static const char *const bodies[] = {
        "null",
        "true",
        "-0",
        "1.50",
        "1E+2",
        "123456789012345678901234567890",
        "\"\"",
        "\"a\\\"b\"",
        "\"\\\\\"",
        "\"\\ud83d\\ude00 \xF0\x9F\x98\x80 \\/ \x7F\"",
        "[]",
        "[ 1 , [2,[3]] ]",
        "{}",
        "{ \"body\" : { \"body\" : \"}\" } }",
        "[\"]\",\"[\",\"{\"]",
        "{\"\\\\\":\"\\\\\\\"\"}",
        "{\n\t\"b\": 1,\r\n\t\"a\": 2\n}",
    };
    static const char *const spaces[] = {"", " ", "\n\t\r "};

    (void)state;
    for (size_t i = 0; i < COUNT(bodies) * COUNT(spaces); i++) {
        char text[512];
        const char *body = bodies[i / COUNT(spaces)], *space = spaces[i % COUNT(spaces)];
        snprintf(text, sizeof text,
            "{\"mail\":{\"messages\":[{\"x\":\"\\\"body\\\":\",\"\\u0062o\\u0064y\"%s:%s%s%s,"
            "\"id\":\"m\",\"from\":\"f\",\"type\":\"t\"}],\"next\":\"n\",\"reset\":false},"
            "\"list\":{\"cursor\":\"c\",\"reset\":false,\"more\":false,\"nodes\":[],\"gone\":[]},"
            "\"heartbeat_after\":1}",
            space, space, body, space);
        struct codec_reply reply = parse(CODEC_EVENTS, text);
        assert_int_equal(reply.mailbox.message_count, 1);
        assert_string_equal(reply.mailbox.messages[0].message.body, body);
        assert_int_equal(reply.mailbox.messages[0].message.body_size, strlen(body));
        codec_free(&reply);
    }
}

/* --- bad replies ----------------------------------------------------------------------------- */

static void test_codec_truncated_at_each_byte_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        size_t end = (size_t)(strrchr(good[i].text, '}') - good[i].text);
        for (size_t size = 0; size <= end; size++)
            assert_refused_bytes(good[i].kind, good[i].text, size, "the reply is not JSON");
    }
}

/* Whatever a byte is replaced with, the reply is read or refused, and nothing leaks or is overrun.
 */
static void test_codec_damaged_at_each_byte_is_read_or_refused(void **state)
{
    static const char damage[] = "\"\\{}[]:, 0-nx\x01\xC2\xFF";
    char detail[256], text[sizeof events];

    (void)state;
    for (size_t at = 0; at + 1 < sizeof events; at++)
        for (size_t i = 0; i < sizeof damage; i++) {
            struct codec_reply reply = {0};
            memcpy(text, events, sizeof events);
            text[at] = damage[i];
            int error = parse_bytes(CODEC_EVENTS, text, sizeof events - 1, &reply, detail);
            assert_true(!error || error == SIGNPOST_ERROR_PROTOCOL);
            assert_true(error || reply.mailbox.message_count <= 3);
            codec_free(&reply);
        }
}

static void test_codec_no_json_object_is_refused(void **state)
{
    static const char number_and_nul[] = "{\"state\":\"queued\",\"expires_in\":7\0}";
    static const char *const texts[] = {"", " ", "null", "7", "\"{}\"", "<html>", "{}x", "{}{}",
        "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "{\"a\":{\"b\":1,\"b\":2}}",
        "{\"a\":1e400}", "{\"a\":\"\\u0000\"}", "{\"a\":\"\xFF\"}", "{\"\x1b[31m\":1}",
        "\xEF\xBB\xBF{}"};

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        for (size_t kind = 0; kind < COUNT(good); kind++)
            assert_refused(good[kind].kind, texts[i], "the reply is not JSON");
    assert_refused(CODEC_LIST, "[]", "the reply is not a JSON object");
    assert_refused_bytes(CODEC_SENT, sent, sizeof sent, "the reply is not JSON"); /* with its NUL */
    assert_refused_bytes(CODEC_SENT, number_and_nul, sizeof number_and_nul - 1, "has a NUL in it");
}

static void test_codec_nesting_beyond_measure_is_refused(void **state)
{
    char *text = repeat("{\"a\":", "x", 100000, "");

    (void)state;
    memset(strchr(text, 'x'), '[', 100000);
    assert_refused(CODEC_LIST, text, "the reply is not JSON");
    free(text);
}

static void test_codec_bad_member_is_refused_by_name(void **state)
{
    static const struct {
        size_t good;
        const char *old, *by, *part;
    } cases[] = {
        {0, "\"id\"", "\"di\"", "`id` is missing"},
        {0, "\"master-a\"", "null", "`id` is missing"},
        {0, "\"master-a\"", "7", "`id` is not 1 to 64"},
        {0, "\"master-a\"", "\"\"", "`id` is not 1 to 64"},
        {0, "\"master-a\"", "\"a b\"", "`id` is not 1 to 64"},
        {0, "\"master-a\"", "\"a/b\"", "`id` is not 1 to 64"},
        {0, "\"master-a\"", "\"\xC3\xA4\"", "`id` is not 1 to 64"},
        {0, ":30", ":\"30\"", "`ttl` is not a number of seconds"},
        {0, ":30", ":-0.001", "`ttl` is not a number of seconds"},
        {0, ":30", ":86400.001", "`ttl` is not a number of seconds"},
        {0, ":30", ":1e300", "`ttl` is not a number of seconds"},
        {0, ":30", ":null", "`ttl` is missing"},
        {0, ":30", ":true", "`ttl` is not a number of seconds"},
        {0, "9.4535", "[]", "`heartbeat_after` is not a number of seconds"},
        {0, "\"heartbeat_after\"", "\"x\"", "`heartbeat_after` is missing"},
        {0, "\"127.0.0.1\"", "\"127.0.0.1\\u001b\"", "`you.address` is not an address"},
        {0, "\"127.0.0.1\"", "4", "`you.address` is not an address"},
        {0, "{\"address\":\"127.0.0.1\",\"port\":49002,\"family\":\"ipv4\"}", "[]", "`you`"},
        {0, "\"" CURSOR "\"", "3", "`cursor` is not a cursor"},
        {0, "\"" CURSOR "\"", "\"a&b\"", "`cursor` is not a cursor"},
        {1, "\"cursor\"", "\"x\"", "`cursor` is missing"},
        {1, ":7}", ":-1}", "`mail` is not a whole number"},
        {1, ":7}", ":7.5}", "`mail` is not a whole number"},
        {1, ":7}", ":1000000001}", "`mail` is not a whole number"},
        {1, ":7}", ":\"7\"}", "`mail` is not a whole number"},
        {1, "\"mail\"", "\"x\"", "`mail` is missing"},
        {2, "\"cursor\"", "\"x\"", "`cursor` is missing"},
        {2, "\"reset\":false", "\"reset\":0", "`reset` is not true or false"},
        {2, "\"reset\"", "\"x\"", "`reset` is missing"},
        {2, "\"more\":true", "\"more\":\"\"", "`more` is not true or false"},
        {2, "\"after\":\"master-b\"", "\"after\":\"\"", "`after` is not 1 to 64"},
        {2, "\"nodes\"", "\"x\"", "`nodes` is missing"},
        {2, NODE_A, "7", "`nodes[0]` is not an object"},
        {2, NODE_B, "null", "`nodes[1]` is not an object"},
        {2, "\"id\":\"master-b\"", "\"x\":1", "`nodes[1].id` is missing"},
        {2, "\"id\":\"master-b\"", "\"id\":\"\\n\"", "`nodes[1].id` is not 1 to 64"},
        {2, "\"endpoints\":[]", "\"x\":[]", "`nodes[1].endpoints` is missing"},
        {2, "\"endpoints\":[]", "\"endpoints\":{}", "`nodes[1].endpoints` is not an array"},
        {2, "\"endpoints\":[]", "\"endpoints\":[\"\"]", "`nodes[1].endpoints` has an item"},
        {2, "\"endpoints\":[]", "\"endpoints\":[null]", "`nodes[1].endpoints` has an item"},
        {2, "udp:", "\\u0007:", "`nodes[0].endpoints` has an item that is not an endpoint"},
        {2, "udp:", "\\u007f:", "`nodes[0].endpoints` has an item that is not an endpoint"},
        {2, "udp:", "\xC2\x9B:", "`nodes[0].endpoints` has an item that is not an endpoint"},
        {2, "[\"127.0.0.1\"]", "[7]", "`nodes[0].observed` has an item that is not an address"},
        {2, "[\"127.0.0.1\"]", "\"\"", "`nodes[0].observed` is not an array"},
        {2, META_A, "[]", "`nodes[0].meta` is not an object"},
        {2, META_A, "\"{}\"", "`nodes[0].meta` is not an object"},
        {2, "\"reach\":{ }", "\"reach\":1", "`nodes[0].reach` is not an object"},
        {2, "2026-11-21T03:24:56Z", "yesterday",
            "`nodes[0].registered_at` is not a time such as 2026-01-05T10:30:00Z"},
        {2, "[\"x\", \"y.z\"]", "null", "`gone` is missing"},
        {2, "[\"x\", \"y.z\"]", "[\"x\",{}]", "`gone` has an item that is not 1 to 64"},
        {3, "\"heartbeat_after\"", "\"x\"", "`heartbeat_after` is missing"},
        {3, "\"list\"", "\"x\"", "`list` is missing"},
        {3, LIST, "[]", "`list` is not an object"},
        {3, "\"more\":true", "\"x\":true", "`list.more` is missing"},
        {3, "\"endpoints\":[]", "\"endpoints\":7", "`list.nodes[1].endpoints` is not an array"},
        {3, "\"gone\"", "\"x\"", "`list.gone` is missing"},
        {3, "\"mail\"", "\"x\"", "`mail` is missing"},
        {3, MAIL, "true", "`mail` is not an object"},
        {3, "\"next\"", "\"x\"", "`mail.next` is missing"},
        {3, "\"messages\"", "\"x\"", "`mail.messages` is missing"},
        {3, MESSAGE_2, "[]", "`mail.messages[1]` is not an object"},
        {3, "\"id\":\"m1\"", "\"x\":1", "`mail.messages[0].id` is missing"},
        {3, "\"from\":\"master-a\"", "\"from\":\"\"", "`mail.messages[0].from` is not 1 to 64"},
        {3, "\"from_address\":null", "\"from_address\":\"\\t\"", "`mail.messages[1].from_address`"},
        {3, "\"session\":\"s1\"", "\"session\":\"\"", "`mail.messages[0].session` is not 1"},
        {3, "\"type\":\"offer\"", "\"type\":\"of fer\"", "`mail.messages[0].type` is not 1"},
        {3, "\"type\":\"x\"", "\"x\":\"x\"", "`mail.messages[1].type` is missing"},
        {3, "\"body\": {", "\"x\": {", "`mail.messages[0].body` is missing"},
        {3, "\"type\":\"x\"", "\"type\":\"undeliverable\"", "`mail.messages[1].type` is the index"},
        {3, "\"reason\":", "\"x\":", "`mail.messages[2].body.reason` is missing"},
        {3, "\"to\":", "\"x\":", "`mail.messages[2].body.to` is missing"},
        {3, "\"s9\"", "\"s 9\"", "`mail.messages[2].body.session` is not 1 to 64"},
        {4, "\"handed\"", "\"lost\"", "`state` is not"},
        {4, "\"handed\"", "true", "`state` is not"},
        {4, "\"state\"", "\"x\"", "`state` is not"},
        {4, "9.9996", "-1", "`expires_in` is not a number of seconds"},
        {4, "\"expires_in\"", "\"x\"", "`expires_in` is missing"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = replace(good[cases[i].good].text, cases[i].old, cases[i].by);
        assert_refused(good[cases[i].good].kind, text, cases[i].part);
        free(text);
    }
}

static void test_codec_unknown_or_unused_member_is_ignored(void **state)
{
    static const struct {
        size_t good;
        const char *old, *by;
    } cases[] = {
        {0, "\"network\":\"default\"", "\"network\":{\"a\":[\"\\u001b\"]}"},
        {0, "\"port\":49002", "\"port\":\"none\""},
        {0, "{\"address\":\"127.0.0.1\",\"port\":49002,\"family\":\"ipv4\"}", "null"},
        {0, "\"you\"", "\"me\""},
        {1, "{\"ttl\":30", "{\"ttl\":86400,\"list\":7"},
        {2, "\"network\":\"default\"", "\"\":\"\xC2\x85\""},
        {2, "\"age\":0.017", "\"age\":-1e300"},
        {2, "\"after\":\"master-b\"", "\"x\":0"},
        {2, "\"observed\":[\"127.0.0.1\"]", "\"observed\":null"},
        {3, "\"seq\":1", "\"seq\":-1"},
        {3, "\"from_address\":null", "\"x\":null"},
        {3, "\"reason\":\"gone\"", "\"reason\":\"moved to \\u001b\""},
        {4, "\"seq\":12", "\"body\":\"x\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = replace(good[cases[i].good].text, cases[i].old, cases[i].by);
        struct codec_reply reply = parse(good[cases[i].good].kind, text);
        assert_non_null(reply.memory);
        codec_free(&reply);
        free(text);
    }
}

/* --- messages of the index itself ------------------------------------------------------------ */

static void test_codec_undeliverable_reason_is_an_error(void **state)
{
    static const struct {
        const char *reason;
        int error;
    } cases[] = {
        {"\"expired\"", SIGNPOST_ERROR_EXPIRED},
        {"\"gone\"", SIGNPOST_ERROR_UNKNOWN_PEER},
        {"\"a reason to come\"", SIGNPOST_ERROR_EXPIRED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = replace(events, "\"gone\"}", "@}");
        char *with_reason = replace(text, "@", cases[i].reason);
        struct codec_reply reply = parse(CODEC_EVENTS, with_reason);
        assert_int_equal(reply.mailbox.messages[2].undeliverable.reason, cases[i].error);
        codec_free(&reply);
        free(with_reason);
        free(text);
    }
}

static void test_codec_message_of_the_index_that_tells_nothing_is_left_out(void **state)
{
    static const char *const told[] = {
        "\"type\":\"undeliverable\",\"body\":{}",
        "\"type\":\"notice\",\"body\":{\"id\":\"m9\"}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(told); i++) {
        char message[128];
        snprintf(message, sizeof message, "{\"id\":\"i1\",\"from\":null,%s}", told[i]);
        char *text = replace(events, MESSAGE_2, message);
        struct codec_reply reply = parse(CODEC_EVENTS, text);
        assert_int_equal(reply.mailbox.message_count, 2);
        assert_string_equal(reply.mailbox.messages[0].message.id, "m1");
        assert_string_equal(reply.mailbox.messages[1].message.id, "7a73be31");
        assert_true(reply.mailbox.messages[1].is_undeliverable);
        assert_string_equal(reply.mailbox.messages[1].undeliverable.id, "m9");
        codec_free(&reply);
        free(text);
    }
}

/* --- caps ------------------------------------------------------------------------------------ */

static void assert_fits_or_not(enum codec_kind kind, const char *head, const char *item,
    size_t most, const char *tail, const char *part)
{
    char *fits = repeat(head, item, most, tail), *does_not = repeat(head, item, most + 1, tail);
    struct codec_reply reply = parse(kind, fits);

    assert_non_null(reply.memory);
    codec_free(&reply);
    assert_refused(kind, does_not, part);
    free(does_not);
    free(fits);
}

#define LIST_HEAD "{\"cursor\":\"c\",\"reset\":false,\"more\":false,"
#define LIST_WITH_NODE LIST_HEAD "\"gone\":[],\"nodes\":[{\"id\":\"a\","
#define EVENTS_WITH_MAIL                                                                           \
    "{\"heartbeat_after\":1,\"list\":" LIST_HEAD "\"nodes\":[],\"gone\":[]},"                      \
    "\"mail\":{\"next\":\"n\",\"reset\":false,\"messages\":["

static void test_codec_sizes_have_their_limits(void **state)
{
    static const struct {
        enum codec_kind kind;
        size_t most;
        const char *head, *item, *tail, *part;
    } cases[] = {
        {CODEC_LIST, 1000, LIST_HEAD "\"gone\":[],\"nodes\":[", "{\"id\":\"a\",\"endpoints\":[]}",
            "]}", "`nodes` has too many items"},
        {CODEC_LIST, 1000, LIST_HEAD "\"nodes\":[],\"gone\":[", "\"a\"", "]}",
            "`gone` has too many items"},
        {CODEC_LIST, 64, LIST_WITH_NODE "\"endpoints\":[", "\"x://y\"", "]}]}",
            "`nodes[0].endpoints` has too many items"},
        {CODEC_LIST, 512, LIST_WITH_NODE "\"endpoints\":[\"", "x", "\"]}]}",
            "`nodes[0].endpoints` has an item"},
        {CODEC_LIST, 64, LIST_WITH_NODE "\"endpoints\":[],\"observed\":[", "\"::1\"", "]}]}",
            "`nodes[0].observed` has too many items"},
        {CODEC_LIST, 63, LIST_WITH_NODE "\"endpoints\":[],\"observed\":[\"", "x", "\"]}]}",
            "`nodes[0].observed` has an item"},
        {CODEC_LIST, 16376, LIST_WITH_NODE "\"endpoints\":[],\"meta\":{\"a\":\"", "x", "\"}}]}",
            "`nodes[0].meta` is too large"},
        {CODEC_LIST, 16376, LIST_WITH_NODE "\"endpoints\":[],\"reach\":{\"a\":\"", "x", "\"}}]}",
            "`nodes[0].reach` is too large"},
        {CODEC_LIST, 63, "{\"reset\":false,\"more\":false,\"nodes\":[],\"gone\":[],\"cursor\":\"",
            "x", "\"}", "`cursor` is not a cursor"},
        {CODEC_LIST, 64, LIST_HEAD "\"nodes\":[],\"gone\":[],\"after\":\"", "x", "\"}",
            "`after` is not 1 to 64"},
        {CODEC_EVENTS, 1000, EVENTS_WITH_MAIL,
            "{\"id\":\"m\",\"from\":\"a\",\"type\":\"t\",\"body\":0}", "]}}",
            "`mail.messages` has too many items"},
        {CODEC_EVENTS, 65534,
            EVENTS_WITH_MAIL "{\"id\":\"m\",\"from\":\"a\",\"type\":\"t\",\"body\":\"", "x",
            "\"}]}}", "`mail.messages[0].body` is too large"},
        {CODEC_EVENTS, 64, EVENTS_WITH_MAIL "{\"id\":\"m\",\"from\":\"a\",\"body\":0,\"type\":\"",
            "x", "\"}]}}", "`mail.messages[0].type` is not 1 to 64"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_fits_or_not(cases[i].kind, cases[i].head, cases[i].item, cases[i].most,
            cases[i].tail, cases[i].part);
}

/* --- memory that runs out -------------------------------------------------------------------- */

static size_t allocations_left;

static void *allocate_until_none_are_left(size_t size)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left--;
    return malloc(size);
}

static int restore_allocator(void **state)
{
    (void)state;
    json_set_alloc_funcs(malloc, free);
    return 0;
}

/* jansson cannot always tell memory that ran out from bad syntax; such a reply is never used. */
static void test_codec_parse_out_of_memory_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        int error = SIGNPOST_ERROR_NO_MEMORY;
        for (size_t count = 0; error; count++) {
            struct codec_reply reply = {0};
            char detail[256] = "";
            assert_in_range(count, 0, 2000);
            json_set_alloc_funcs(allocate_until_none_are_left, free);
            allocations_left = count;
            error = parse_bytes(good[i].kind, good[i].text, strlen(good[i].text), &reply, detail);
            json_set_alloc_funcs(malloc, free);
            if (count == 0)
                assert_int_equal(error, SIGNPOST_ERROR_NO_MEMORY);
            assert_true(!error || detail[0]);
            assert_true(
                !error || error == SIGNPOST_ERROR_NO_MEMORY || error == SIGNPOST_ERROR_PROTOCOL);
            assert_true(!error == !!reply.memory);
            codec_free(&reply);
        }
    }
}

/* --- problems -------------------------------------------------------------------------------- */

static void test_codec_problem_good_is_read(void **state)
{
    static const char text[] =
        "{\"type\":\"urn:signpost:problem:unknown_node\",\"title\":\"No such node\",\"status\":404,"
        "\"detail\":\"nobody is \\\"here\\\"\",\"code\":\"unknown_node\",\"action\":\"register\"}";
    struct codec_problem problem;

    (void)state;
    assert_true(codec_parse_problem(text, strlen(text), &problem));
    assert_string_equal(problem.code, "unknown_node");
    assert_string_equal(problem.detail, "nobody is \"here\"");
    assert_true(problem.register_again);
}

static void test_codec_problem_details_are_cleaned(void **state)
{
    static const struct {
        const char *text, *detail;
    } cases[] = {
        {"{\"code\":\"x\",\"detail\":\"a\\u001b[2J\\nb\\u007f\\u009bc\xC2\xA0\"}",
            "a [2J b  c\xC2\xA0"},
        {"{\"code\":\"x\",\"title\":\"the\\ttitle\",\"action\":\"retry\"}", "the title"},
        {"{\"code\":\"x\",\"title\":\"the title\",\"detail\":7,\"action\":1}", "the title"},
        {"{\"code\":\"x\"}", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct codec_problem problem;
        assert_true(codec_parse_problem(cases[i].text, strlen(cases[i].text), &problem));
        assert_string_equal(problem.detail, cases[i].detail);
        assert_false(problem.register_again);
    }
}

/* Whatever stands at the end, a character is there as a whole or not at all. */
static void test_codec_problem_long_detail_is_cut_between_characters(void **state)
{
    (void)state;
    for (size_t fill = 250; fill <= 258; fill++) {
        struct codec_problem problem;
        char *text = repeat("{\"code\":\"x\",\"detail\":\"", "x", fill, "\xE2\x82\xAC\"}");
        assert_true(codec_parse_problem(text, strlen(text), &problem));
        size_t plain = fill < 255 ? fill : 255;
        assert_int_equal(strspn(problem.detail, "x"), plain);
        assert_string_equal(problem.detail + plain, fill <= 252 ? "\xE2\x82\xAC" : "");
        free(text);
    }
}

static void test_codec_problem_none_is_none(void **state)
{
    static const char *const texts[] = {
        "",
        "<html><h1>502 Bad Gateway</h1></html>",
        "{",
        "[]",
        "\"code\"",
        "{}",
        "{\"message\":\"no\"}",
        "{\"title\":\"x\",\"detail\":\"y\"}",
        "{\"code\":7}",
        "{\"code\":\"\"}",
        "{\"code\":\"a\\nb\"}",
        "{\"code\":\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234\"}",
        "{\"code\":\"x\",\"code\":\"x\"}",
    };
    struct codec_problem problem, before;

    (void)state;
    memset(&problem, 0x5A, sizeof problem);
    before = problem;
    for (size_t i = 0; i < COUNT(texts); i++) {
        if (codec_parse_problem(texts[i], strlen(texts[i]), &problem))
            fail_msg("%s is taken", texts[i]);
        assert_memory_equal(&problem, &before, sizeof problem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_registered_good_is_read),
        cmocka_unit_test(test_codec_heartbeat_good_is_read),
        cmocka_unit_test(test_codec_list_good_is_read),
        cmocka_unit_test(test_codec_list_empty_is_read),
        cmocka_unit_test(test_codec_events_good_is_read),
        cmocka_unit_test(test_codec_sent_good_is_read),
        cmocka_unit_test(test_codec_free_zeroed_or_twice_is_fine),
        cmocka_unit_test(test_codec_body_is_handed_on_as_it_stands),
        cmocka_unit_test(test_codec_truncated_at_each_byte_is_refused),
        cmocka_unit_test(test_codec_damaged_at_each_byte_is_read_or_refused),
        cmocka_unit_test(test_codec_no_json_object_is_refused),
        cmocka_unit_test(test_codec_nesting_beyond_measure_is_refused),
        cmocka_unit_test(test_codec_bad_member_is_refused_by_name),
        cmocka_unit_test(test_codec_unknown_or_unused_member_is_ignored),
        cmocka_unit_test(test_codec_undeliverable_reason_is_an_error),
        cmocka_unit_test(test_codec_message_of_the_index_that_tells_nothing_is_left_out),
        cmocka_unit_test(test_codec_sizes_have_their_limits),
        cmocka_unit_test_teardown(test_codec_parse_out_of_memory_fails, restore_allocator),
        cmocka_unit_test(test_codec_problem_good_is_read),
        cmocka_unit_test(test_codec_problem_details_are_cleaned),
        cmocka_unit_test(test_codec_problem_long_detail_is_cut_between_characters),
        cmocka_unit_test(test_codec_problem_none_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
