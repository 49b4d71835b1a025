/*
 * Bodies of requests. The first byte says as what the rest is read. What was taken is written into
 * a reply as others get it, which must be JSON again and read as the same: a body that is kept byte
 * for byte must not be able to spoil the reply that it stands in.
 */
#include "codec.h"
#include "server_limits.h"
#include "want.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool same(const char *one, const char *other)
{
    return one && other ? !strcmp(one, other) : one == other;
}

/* What is not parsed whole is taken only where it could be. */
static void want_json(const char *text, size_t size)
{
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);

    want(json_is_object(root));
    json_decref(root);
}

static struct json *parse(const struct text *text)
{
    struct json *json = NULL;
    struct fault fault;

    want(!text_failed(text) && !codec_parse(text->bytes, text->length, &json, &fault));
    return json;
}

static void try_register(struct json *json, struct fault *fault)
{
    struct register_request asked = {0}, again;
    struct poll_pieces pieces = {0};
    struct poll_result result = {.network = "default"};
    struct text body = {0};

    if (codec_read_register(json, &asked, fault))
        return;
    want(asked.endpoint_count <= LIMIT_ENDPOINTS);
    want(!asked.meta || strlen(asked.meta) <= LIMIT_META_BYTES);
    want(!asked.reach || strlen(asked.reach) <= LIMIT_REACH_BYTES);
    struct node_view view = {.id = asked.id ? asked.id : "",
        .endpoints = "a://192.0.2.1:1\n",
        .meta = asked.meta ? asked.meta : "{}",
        .reach = asked.reach ? asked.reach : "{}"};
    codec_write_node(&body, &view);
    struct json *written = parse(&body);
    want(!codec_read_register(written, &again, fault));
    want(same(again.id, view.id) && same(again.meta, view.meta) && same(again.reach, view.reach));
    want(again.endpoint_count == 1);
    codec_free(written);
    text_clear(&body);
    codec_add_node(&pieces.nodes, &view);
    codec_add_gone(&pieces.gone, view.id);
    codec_write_list(&body, &pieces, &result);
    codec_free(parse(&body));
    codec_meta_matches(view.meta, &(struct meta_filter){"role", "1"}, 1);
    text_clear(&pieces.nodes);
    text_clear(&pieces.gone);
    text_clear(&body);
}

static void try_message(struct json *json, struct fault *fault)
{
    struct send_request asked, again;
    struct poll_pieces pieces = {0};
    struct poll_result result = {.network = "default"};
    struct text body = {0};

    if (codec_read_message(json, &asked, fault))
        return;
    want(asked.id && asked.type && asked.body_size && asked.body_size <= LIMIT_MESSAGE_BYTES);
    want(asked.ttl_s >= 0 && asked.ttl_s <= LIMIT_MESSAGE_TTL_MAX_S);
    codec_add_message(&pieces.messages, &(struct message_view){.id = asked.id,
                                            .from = "x",
                                            .from_address = {4, {192, 0, 2, 1}},
                                            .session = asked.session,
                                            .type = asked.type,
                                            .body = asked.body,
                                            .body_size = asked.body_size});
    struct json *written = parse(&pieces.messages);
    want(!codec_read_message(written, &again, fault));
    want(same(again.id, asked.id) && same(again.type, asked.type));
    /* The index refuses an empty session, as any that is no id; the codec writes it as none. */
    want(same(again.session, asked.session && *asked.session ? asked.session : NULL));
    want(again.body_size == asked.body_size && !memcmp(again.body, asked.body, asked.body_size));
    codec_free(written);
    codec_write_events(&body, &pieces, &result);
    codec_free(parse(&body));
    text_clear(&pieces.messages);
    text_clear(&body);
}

static void try_others(uint8_t which, struct json *json, struct fault *fault)
{
    struct heartbeat_request beat;
    struct poll_request poll = {0};
    struct check_request check;

    if (which == 0 && !codec_read_heartbeat(json, &beat, fault)) {
        want(beat.endpoint_count <= LIMIT_ENDPOINTS);
    } else if (which == 1 && !codec_read_events(json, &poll, fault)) {
        want(poll.wait_s >= 0 && poll.wait_s <= LIMIT_WAIT_MAX_S);
        want(poll.list_limit >= 1 && poll.list_limit <= LIMIT_LIST_MAX_NODES);
        want(poll.mail_limit >= 1 && poll.mail_limit <= LIMIT_MAIL_DEFAULT_MESSAGES);
    } else if (which == 2 && !codec_read_check(json, &check, fault)) {
        want(check.port && isfinite(check.timeout_s) && check.timeout_s > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct json *json = NULL;
    struct fault fault = {.detail = ""};

    if (!size)
        return 0;
    uint8_t which = bytes[0] % 5;
    if (codec_parse((const char *)bytes + 1, size - 1, &json, &fault)) {
        struct text problem = {0};
        codec_write_problem(&problem, &fault);
        codec_free(parse(&problem));
        text_clear(&problem);
        return 0;
    }
    want_json((const char *)bytes + 1, size - 1);
    if (which == 3)
        try_register(json, &fault);
    else if (which == 4)
        try_message(json, &fault);
    else
        try_others(which, json, &fault);
    codec_free(json);
    return 0;
}
