#include "codec.h"

#include "codec_members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENDPOINTS_MAX 64 /* of a node */
#define OBSERVED_MAX 64  /* addresses of a node */
#define NODES_MAX 1000   /* of a reply; so many may also be gone */
#define MESSAGES_MAX 1000
#define BODY_BYTES_MAX 65536 /* of a message */

/* --- arrays of objects ----------------------------------------------------------------------- */

/* An array that is walked in the tree and in the text at the same time. */
struct array {
    const char *name;
    const json_t *values;
    struct codec_items items;
    size_t count, next;
};

static int begin_array(const struct codec_reader *reader, const json_t *object,
    struct codec_span span, const char *name, size_t max, struct array *ret_array)
{
    struct array array = {.name = name};
    struct codec_span array_span;
    int error = codec_read_array(reader, object, name, max, true, &array.values);

    if (error)
        return error;
    if (!codec_find_member(span, name, &array_span))
        return codec_refuse(reader, name, "cannot be found");
    array.items = codec_begin_items(array_span);
    array.count = json_array_size(array.values);
    *ret_array = array;
    return 0;
}

/* From here on members are named with the item that they are of. To be called `count` times. */
static int next_item(struct codec_reader *reader, struct array *array, const json_t **ret_item,
    struct codec_span *ret_span)
{
    const json_t *item = json_array_get(array->values, array->next);

    snprintf(
        reader->where, sizeof reader->where, "%s%s[%zu]", reader->part, array->name, array->next++);
    if (!json_is_object(item) || !codec_next_item(&array->items, ret_span))
        return codec_refuse(reader, "", "is not an object");
    strcat(reader->where, ".");
    *ret_item = item;
    return 0;
}

static void name_part(struct codec_reader *reader)
{
    snprintf(reader->where, sizeof reader->where, "%s", reader->part);
}

/* --- lists ----------------------------------------------------------------------------------- */

static int read_node(struct codec_reader *reader, const json_t *node, struct codec_span span,
    signpost_peer_t *ret_peer)
{
    int error = codec_read_string(reader, node, "id", &codec_id_rule, true, &ret_peer->id);

    if (!error)
        error = codec_read_strings(reader, node, "endpoints", &codec_endpoint_rule, ENDPOINTS_MAX,
            true, &ret_peer->endpoints, &ret_peer->endpoint_count);
    if (!error)
        error = codec_read_strings(reader, node, "observed", &codec_address_rule, OBSERVED_MAX,
            false, &ret_peer->observed, &ret_peer->observed_count);
    if (!error)
        error = codec_read_object(reader, node, span, "meta", &ret_peer->meta);
    if (!error)
        error = codec_read_object(reader, node, span, "reach", &ret_peer->reach);
    if (!error)
        error = codec_read_string(
            reader, node, "registered_at", &codec_time_rule, false, &ret_peer->registered_at);
    return error;
}

static int read_nodes(struct codec_reader *reader, const json_t *list, struct codec_span span,
    struct codec_list *ret_list)
{
    struct array array;
    struct codec_span item;
    const json_t *node;
    int error = begin_array(reader, list, span, "nodes", NODES_MAX, &array);

    if (error)
        return error;
    signpost_peer_t *nodes = codec_take(reader, array.count, sizeof *nodes);
    if (!nodes)
        return codec_refuse_memory(reader->detail);
    for (size_t i = 0; i < array.count; i++) {
        error = next_item(reader, &array, &node, &item);
        if (!error)
            error = read_node(reader, node, item, &nodes[i]);
        if (error)
            return error;
    }
    name_part(reader);
    ret_list->nodes = nodes;
    ret_list->node_count = array.count;
    return 0;
}

/* The reply is the node itself. */
static int read_one(struct codec_reader *reader, const json_t *root, struct codec_span span,
    struct codec_reply *ret_reply)
{
    signpost_peer_t *node = codec_take(reader, 1, sizeof *node);

    if (!node)
        return codec_refuse_memory(reader->detail);
    ret_reply->list.nodes = node;
    ret_reply->list.node_count = 1;
    return read_node(reader, root, span, node);
}

static int read_list(struct codec_reader *reader, const json_t *list, struct codec_span span,
    struct codec_list *ret_list)
{
    int error = codec_read_cursor(reader, list, "cursor", ret_list->cursor);

    if (!error)
        error = codec_read_bool(reader, list, "reset", &ret_list->reset);
    if (!error)
        error = codec_read_bool(reader, list, "more", &ret_list->more);
    if (!error)
        error = codec_read_string(reader, list, "after", &codec_id_rule, false, &ret_list->after);
    if (!error)
        error = read_nodes(reader, list, span, ret_list);
    if (!error)
        error = codec_read_strings(reader, list, "gone", &codec_id_rule, NODES_MAX, true,
            &ret_list->gone, &ret_list->gone_count);
    return error;
}

/* --- mail ------------------------------------------------------------------------------------ */

static int read_undeliverable(
    struct codec_reader *reader, const json_t *body, struct codec_undeliverable *ret_undeliverable)
{
    const char *reason = json_string_value(codec_get(body, "reason"));

    strcat(reader->where, "body.");
    if (!reason)
        return codec_refuse(reader, "reason", "is missing");
    int error = codec_read_string(reader, body, "id", &codec_id_rule, true, &ret_undeliverable->id);
    if (!error)
        error = codec_read_string(reader, body, "to", &codec_id_rule, true, &ret_undeliverable->to);
    if (!error)
        error = codec_read_string(
            reader, body, "session", &codec_id_rule, false, &ret_undeliverable->session);
    if (!error)
        error =
            codec_read_string(reader, body, "type", &codec_id_rule, true, &ret_undeliverable->type);
    /* Of reasons still unknown it holds at least that the message was not taken. */
    ret_undeliverable->reason =
        strcmp(reason, "gone") == 0 ? SIGNPOST_ERROR_UNKNOWN_PEER : SIGNPOST_ERROR_EXPIRED;
    return error;
}

static int read_message(struct codec_reader *reader, const json_t *object, struct codec_span span,
    struct codec_message *ret_message)
{
    signpost_message_t *message = &ret_message->message;
    const json_t *body = json_object_get(object, "body");
    int error = codec_read_string(reader, object, "id", &codec_id_rule, true, &message->id);

    if (!error)
        error = codec_read_string(reader, object, "from", &codec_id_rule, false, &message->from);
    if (!error)
        error = codec_read_string(
            reader, object, "from_address", &codec_address_rule, false, &message->from_address);
    if (!error)
        error =
            codec_read_string(reader, object, "session", &codec_id_rule, false, &message->session);
    if (!error)
        error = codec_read_string(reader, object, "type", &codec_id_rule, true, &message->type);
    if (!error)
        error = codec_read_text(
            reader, span, "body", BODY_BYTES_MAX, &message->body, &message->body_size);
    if (error || strcmp(message->type, "undeliverable") != 0)
        return error;
    if (*message->from)
        return codec_refuse(reader, "type", "is the index's alone");
    /* An index that is short of memory sends an empty object, which tells of no message. */
    if (json_is_object(body) && json_object_size(body) == 0)
        return 0;
    ret_message->is_undeliverable = true;
    return read_undeliverable(reader, body, &ret_message->undeliverable);
}

/* What comes from the index itself and is no undeliverable that can be read is left out: it is of a
 * kind still unknown, and an application is only ever given what a peer has sent. */
static int read_mail(struct codec_reader *reader, const json_t *mail, struct codec_span span,
    struct codec_mail *ret_mail)
{
    struct array array;
    struct codec_span item;
    const json_t *message;
    size_t kept = 0;
    int error = codec_read_cursor(reader, mail, "next", ret_mail->next);

    if (!error)
        error = codec_read_bool(reader, mail, "reset", &ret_mail->reset);
    if (!error)
        error = begin_array(reader, mail, span, "messages", MESSAGES_MAX, &array);
    if (error)
        return error;
    struct codec_message *messages = codec_take(reader, array.count, sizeof *messages);
    if (!messages)
        return codec_refuse_memory(reader->detail);
    for (size_t i = 0; i < array.count; i++) {
        error = next_item(reader, &array, &message, &item);
        if (!error)
            error = read_message(reader, message, item, &messages[kept]);
        if (error)
            return error;
        if (*messages[kept].message.from || messages[kept].is_undeliverable)
            kept++;
    }
    name_part(reader);
    ret_mail->messages = messages;
    ret_mail->message_count = kept;
    return 0;
}

/* --- kinds ----------------------------------------------------------------------------------- */

/* What the replies to registering and to a heartbeat both tell. */
static int read_lease(
    struct codec_reader *reader, const json_t *root, struct codec_reply *ret_reply)
{
    const json_t *you = codec_get(root, "you");
    int error = codec_read_cursor(reader, root, "cursor", ret_reply->cursor);

    if (!error)
        error = codec_read_seconds(reader, root, "ttl", &ret_reply->ttl_ms);
    if (!error)
        error = codec_read_seconds(reader, root, "heartbeat_after", &ret_reply->heartbeat_after_ms);
    if (!error && you && !json_is_object(you))
        error = codec_refuse(reader, "you", "is not an object");
    if (error)
        return error;
    strcat(reader->where, "you.");
    return codec_read_string(
        reader, you, "address", &codec_address_rule, false, &ret_reply->observed);
}

static int enter_part(struct codec_reader *reader, const json_t *root, struct codec_span span,
    const char *name, const char *part, struct codec_span *ret_span, const json_t **ret_object)
{
    const json_t *object = codec_get(root, name);

    reader->part = "";
    name_part(reader);
    if (!json_is_object(object) || !codec_find_member(span, name, ret_span))
        return codec_refuse(reader, name, object ? "is not an object" : "is missing");
    reader->part = part;
    name_part(reader);
    *ret_object = object;
    return 0;
}

static int read_events(struct codec_reader *reader, const json_t *root, struct codec_span span,
    struct codec_reply *ret_reply)
{
    const json_t *object = NULL;
    struct codec_span part = span;
    int error = codec_read_seconds(reader, root, "heartbeat_after", &ret_reply->heartbeat_after_ms);

    if (!error)
        error = enter_part(reader, root, span, "list", "list.", &part, &object);
    if (!error)
        error = read_list(reader, object, part, &ret_reply->list);
    if (!error)
        error = enter_part(reader, root, span, "mail", "mail.", &part, &object);
    if (!error)
        error = read_mail(reader, object, part, &ret_reply->mailbox);
    ret_reply->has_list = ret_reply->has_mail = true;
    return error;
}

static int read_sent(
    const struct codec_reader *reader, const json_t *root, struct codec_reply *ret_reply)
{
    const char *state = json_string_value(codec_get(root, "state"));

    if (!state || (strcmp(state, "handed") != 0 && strcmp(state, "queued") != 0))
        return codec_refuse(reader, "state", "is not \"handed\" or \"queued\"");
    ret_reply->handed = *state == 'h';
    return codec_read_seconds(reader, root, "expires_in", &ret_reply->expires_in_ms);
}

static int read_reply(struct codec_reader *reader, enum codec_kind kind, const json_t *root,
    struct codec_span span, struct codec_reply *ret_reply)
{
    int error = SIGNPOST_ERROR_INVALID;

    switch (kind) {
    case CODEC_REGISTERED:
        error = codec_read_string(reader, root, "id", &codec_id_rule, true, &ret_reply->id);
        return error ? error : read_lease(reader, root, ret_reply);
    case CODEC_HEARTBEAT:
        error = codec_read_count(reader, root, "mail", &ret_reply->mail);
        return error ? error : read_lease(reader, root, ret_reply);
    case CODEC_LIST:
        ret_reply->has_list = true;
        return read_list(reader, root, span, &ret_reply->list);
    case CODEC_NODE: return read_one(reader, root, span, ret_reply);
    case CODEC_EVENTS: return read_events(reader, root, span, ret_reply);
    case CODEC_SENT: return read_sent(reader, root, ret_reply);
    }
    return error;
}

int codec_parse(enum codec_kind kind, const char *text, size_t size, struct codec_reply *ret_reply,
    char ret_detail[CODEC_DETAIL_SIZE])
{
    struct codec_reply reply = {.id = "", .observed = "", .list.after = ""};
    struct codec_memory *memory = calloc(1, sizeof *memory);
    struct codec_reader reader = {text, memory, ret_detail, "", ""};
    json_error_t syntax;
    int error = 0;

    if (!memory)
        return codec_refuse_memory(ret_detail);
    /* jansson passes over a NUL behind a number. */
    if (size > 0 && memchr(text, '\0', size)) {
        snprintf(ret_detail, CODEC_DETAIL_SIZE, "the reply is not JSON: it has a NUL in it");
        error = SIGNPOST_ERROR_PROTOCOL;
        goto cleanup;
    }
    memory->root = json_loadb(text, size, CODEC_LOAD_FLAGS, &syntax);
    if (!memory->root) {
        error = codec_refuse_syntax(&syntax, ret_detail);
        goto cleanup;
    }
    if (!json_is_object(memory->root)) {
        snprintf(ret_detail, CODEC_DETAIL_SIZE, "the reply is not a JSON object");
        error = SIGNPOST_ERROR_PROTOCOL;
        goto cleanup;
    }
    memory->copy = malloc(size + 1);
    if (!memory->copy) {
        error = codec_refuse_memory(ret_detail);
        goto cleanup;
    }
    memcpy(memory->copy, text, size);
    memory->copy[size] = '\0';
    size_t indent = strspn(memory->copy, " \t\n\r");
    struct codec_span span = {text + indent, size - indent};
    error = read_reply(&reader, kind, memory->root, span, &reply);
    if (error)
        goto cleanup;
    reply.memory = memory;
    *ret_reply = reply;
    return 0;

cleanup:
    codec_free_memory(memory);
    return error;
}
