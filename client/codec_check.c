#include "codec.h"
#include "codec_members.h"

#include <stdio.h>
#include <string.h>

#define STUN_PREFIX "stun:"

static json_t *load(
    const char *text, size_t size, char ret_detail[CODEC_DETAIL_SIZE], int *ret_error)
{
    json_error_t syntax;
    json_t *root = json_loadb(text, size, CODEC_LOAD_FLAGS, &syntax);

    *ret_error = 0;
    if (!root)
        *ret_error = codec_refuse_syntax(&syntax, ret_detail);
    return root;
}

/* --- the servers of /ice --------------------------------------------------------------------- */

/* A host and perhaps a port, and nothing behind (RFC 7064). */
static bool is_place(const char *text)
{
    size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                 "0123456789.-:[]");
    return length > 0 && length < CODEC_PLACE_SIZE && !text[length];
}

static void add_url(struct codec_ice *ice, const json_t *url)
{
    const char *text = json_string_value(url);

    if (!text || strncmp(text, STUN_PREFIX, strlen(STUN_PREFIX)) != 0)
        return;
    text += strlen(STUN_PREFIX);
    if (is_place(text) && ice->stun_count < CODEC_STUN_MAX)
        strcpy(ice->stun[ice->stun_count++], text);
}

/* `urls` is one or a list. */
static void add_server(struct codec_ice *ice, const json_t *server)
{
    const json_t *urls = codec_get(server, "urls");

    add_url(ice, urls);
    for (size_t i = 0; i < json_array_size(urls); i++)
        add_url(ice, json_array_get(urls, i));
}

int codec_parse_ice(
    const char *text, size_t size, struct codec_ice *ret_ice, char ret_detail[CODEC_DETAIL_SIZE])
{
    struct codec_ice ice = {.stun_count = 0};
    int error;
    json_t *root = load(text, size, ret_detail, &error);

    if (error)
        return error;
    const json_t *servers = codec_get(root, "iceServers");
    for (size_t i = 0; i < json_array_size(servers); i++)
        add_server(&ice, json_array_get(servers, i));
    if (json_is_array(servers)) {
        *ret_ice = ice;
    } else {
        snprintf(ret_detail, CODEC_DETAIL_SIZE, "its reply to /ice has no iceServers");
        error = SIGNPOST_ERROR_PROTOCOL;
    }
    json_decref(root);
    return error;
}

/* --- the reply of /check --------------------------------------------------------------------- */

/* "" where it is absent, is no string, or does not fit. */
static void copy_text(const json_t *object, const char *name, char *ret_text, size_t size)
{
    const char *text = json_string_value(codec_get(object, name));
    bool fits = text && strlen(text) < size;

    for (const char *at = text; fits && *at; at++)
        fits = *at > ' ' && *at <= '~';
    snprintf(ret_text, size, "%s", fits ? text : "");
}

int codec_parse_checked(const char *text, size_t size, struct codec_checked *ret_checked,
    char ret_detail[CODEC_DETAIL_SIZE])
{
    struct codec_checked checked = {.verified = false};
    int error;
    json_t *root = load(text, size, ret_detail, &error);

    if (error)
        return error;
    const json_t *you = codec_get(root, "you");
    double port = json_number_value(codec_get(you, "port"));
    copy_text(root, "result", checked.result, sizeof checked.result);
    copy_text(root, "target", checked.target, sizeof checked.target);
    copy_text(root, "dialed_from", checked.dialed_from, sizeof checked.dialed_from);
    copy_text(you, "address", checked.you, sizeof checked.you);
    checked.you_port = port >= 1 && port <= UINT16_MAX ? (uint16_t)port : 0;
    checked.verified = json_is_true(codec_get(root, "verified"));
    checked.contacted = json_is_true(codec_get(root, "contacted"));
    checked.ms = json_number_value(codec_get(root, "ms"));
    json_decref(root);
    if (!*checked.result) {
        snprintf(ret_detail, CODEC_DETAIL_SIZE, "its reply to /check has no result");
        return SIGNPOST_ERROR_PROTOCOL;
    }
    *ret_checked = checked;
    return 0;
}

char *codec_check(
    uint16_t port, const char *protocol, const char *nonce, const char *from, unsigned timeout_s)
{
    json_t *root = json_pack("{s:i, s:s, s:s, s:s*}", "port", (int)port, "protocol", protocol,
        "nonce", nonce, "from", from);
    char *text = NULL;

    if (root && (!timeout_s || !json_object_set_new(root, "timeout", json_integer(timeout_s))))
        text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}
