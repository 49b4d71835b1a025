#include "codec.h"

#include "codec_members.h"

#include <stdio.h>
#include <string.h>

void codec_free(struct codec_reply *reply)
{
    codec_free_memory(reply->memory);
    *reply = (struct codec_reply){0};
}

/* --- problems -------------------------------------------------------------------------------- */

void codec_copy_sentence(const char *string, char *ret_sentence, size_t size)
{
    size_t length = 0;

    while (*string && length + 1 < size) {
        size_t control = codec_measure_control(string);
        ret_sentence[length++] = control ? ' ' : *string;
        string += control ? control : 1;
    }
    if (((unsigned char)*string & 0xC0) == 0x80)
        while (length > 0 && ((unsigned char)ret_sentence[--length] & 0xC0) == 0x80)
            continue;
    ret_sentence[length] = '\0';
}

bool codec_parse_problem(const char *text, size_t size, struct codec_problem *ret_problem)
{
    json_t *root = json_loadb(text, size, CODEC_LOAD_FLAGS, NULL);
    const char *code = json_string_value(codec_get(root, "code"));
    const char *detail = json_string_value(codec_get(root, "detail"));
    const char *action = json_string_value(codec_get(root, "action"));
    bool is_problem = code && codec_is_id(code) && strlen(code) < sizeof ret_problem->code;

    if (!detail)
        detail = json_string_value(codec_get(root, "title"));
    if (is_problem) {
        snprintf(ret_problem->code, sizeof ret_problem->code, "%s", code);
        codec_copy_sentence(detail ? detail : "", ret_problem->detail, sizeof ret_problem->detail);
        ret_problem->register_again = action && strcmp(action, "register") == 0;
    }
    json_decref(root);
    return is_problem;
}

/* --- what the application gives -------------------------------------------------------------- */

bool codec_is_object(const char *text)
{
    json_t *root = json_loads(text, CODEC_LOAD_FLAGS, NULL);
    bool is_object = json_is_object(root);

    json_decref(root);
    return is_object;
}

bool codec_is_json(const char *text, size_t size)
{
    json_t *root = json_loadb(text, size, CODEC_LOAD_FLAGS | JSON_DECODE_ANY, NULL);
    /* jansson passes over a NUL behind a number. */
    bool is_json = root && !memchr(text, '\0', size);

    json_decref(root);
    return is_json;
}

bool codec_is_text(const char *text, size_t most)
{
    json_t *string = strlen(text) <= most ? json_string(text) : NULL;
    bool is_text = string != NULL;

    json_decref(string);
    return is_text;
}
