/*
 * What an index answers, and what a peer sends through it. The first byte says as what the rest is
 * read. What is handed on is checked as an application would take it: ids, addresses and JSON are
 * what they are said to be, and what a peer signalled is the same when it is signalled back.
 */
#include "codec.h"
#include "want.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS (24LL * 3600 * 1000)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const char *const signals[] = {"knock", "ready", "offer", "answer", "candidates", "bye"};

static void check_sentence(const char *sentence, size_t size)
{
    size_t length = strnlen(sentence, size);

    want(length < size);
    for (size_t i = 0; i < length; i++)
        want((unsigned char)sentence[i] >= ' ' && sentence[i] != 0x7F);
}

static void check_list(const struct codec_list *list)
{
    want(strlen(list->cursor) < CODEC_CURSOR_SIZE);
    for (size_t i = 0; i < list->node_count; i++) {
        const signpost_peer_t *peer = &list->nodes[i];
        want(codec_is_id(peer->id) && codec_is_object(peer->meta) && codec_is_object(peer->reach));
        want(!peer->stale && peer->registered_at);
        for (size_t j = 0; j < peer->endpoint_count; j++)
            check_sentence(peer->endpoints[j], 513);
        for (size_t j = 0; j < peer->observed_count; j++)
            check_sentence(peer->observed[j], 64);
        codec_matches(peer->meta, (const char *const[]){"role=1", NULL});
    }
    for (size_t i = 0; i < list->gone_count; i++)
        want(codec_is_id(list->gone[i]));
}

static void check_mail(const struct codec_mail *mail)
{
    for (size_t i = 0; i < mail->message_count; i++) {
        const struct codec_message *message = &mail->messages[i];
        want(codec_is_json(message->message.body, message->message.body_size));
        want(!message->message.body[message->message.body_size]);
        want(!*message->message.from || codec_is_id(message->message.from));
        if (message->is_undeliverable)
            want(message->undeliverable.id && message->undeliverable.to &&
                 message->undeliverable.session && message->undeliverable.type);
    }
}

static void try_reply(enum codec_kind kind, const char *text, size_t size)
{
    struct codec_reply reply = {0};
    char detail[256] = "";
    int error = codec_parse(kind, text, size, &reply, detail);

    want(error || !*detail);
    want(!error || (*detail && strlen(detail) < sizeof detail));
    if (!error) {
        want(reply.ttl_ms >= 0 && reply.ttl_ms <= DAY_MS);
        want(reply.heartbeat_after_ms >= 0 && reply.heartbeat_after_ms <= DAY_MS);
        want(reply.expires_in_ms >= 0 && reply.expires_in_ms <= DAY_MS);
        if (reply.has_list)
            check_list(&reply.list);
        if (reply.has_mail)
            check_mail(&reply.mailbox);
    }
    codec_free(&reply);
}

static void try_signal(const char *type, const char *text, size_t size)
{
    struct codec_signal signal = {.payload = NULL}, again = {.payload = NULL};

    if (codec_parse_signal(type, text, size, &signal))
        return;
    char *body = codec_signal(type, &signal);
    want(body && !codec_parse_signal(type, body, strlen(body), &again));
    want(!strcmp(signal.kind, again.kind) && signal.gen == again.gen && signal.end == again.end);
    want(!strcmp(signal.payload, again.payload));
    free(body);
    codec_free_signal(&signal);
    codec_free_signal(&again);
}

static void try_others(unsigned which, const char *text, size_t size)
{
    struct codec_problem problem;
    struct codec_checked checked;
    struct codec_ice ice;
    char detail[256] = "";

    if (which == 0 && codec_parse_problem(text, size, &problem)) {
        check_sentence(problem.detail, sizeof problem.detail);
        check_sentence(problem.code, sizeof problem.code);
    } else if (which == 1 && !codec_parse_ice(text, size, &ice, detail)) {
        want(ice.stun_count <= CODEC_STUN_MAX);
        for (size_t i = 0; i < ice.stun_count; i++)
            want(*ice.stun[i] && strlen(ice.stun[i]) < CODEC_PLACE_SIZE);
    } else if (which == 2 && !codec_parse_checked(text, size, &checked, detail)) {
        check_sentence(checked.result, sizeof checked.result);
        check_sentence(checked.target, sizeof checked.target);
        check_sentence(checked.dialed_from, sizeof checked.dialed_from);
        check_sentence(checked.you, sizeof checked.you);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const unsigned kinds = CODEC_SENT + 1, signal_count = sizeof signals / sizeof signals[0];

    if (!size)
        return 0;
    unsigned which = bytes[0] % (kinds + signal_count + 4);
    /* A copy that ends with the text, so that reading behind it is seen; and one that ends with a
     * NUL. */
    char *text = malloc(size - 1 ? size - 1 : 1);
    memcpy(text, bytes + 1, size - 1);
    if (which < kinds) {
        try_reply((enum codec_kind)which, text, size - 1);
    } else if (which < kinds + signal_count) {
        try_signal(signals[which - kinds], text, size - 1);
    } else if (which < kinds + signal_count + 3) {
        try_others(which - kinds - signal_count, text, size - 1);
    } else {
        char *string = strndup(text, size - 1);
        char *line = codec_compact_object(string);
        if (line)
            want(codec_is_object(line) && !strchr(line, '\n'));
        free(line);
        free(string);
    }
    free(text);
    return 0;
}
