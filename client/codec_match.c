#include "codec.h"
#include "codec_span.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static bool value_is(struct codec_span value, const char *text)
{
    if (value.bytes[0] == '{' || value.bytes[0] == '[')
        return false;
    if (value.bytes[0] != '"')
        return strlen(text) == value.size && !memcmp(value.bytes, text, value.size);
    json_t *string = json_loadb(value.bytes, value.size, JSON_DECODE_ANY, NULL);
    bool same = string && !strcmp(json_string_value(string), text);
    json_decref(string);
    return same;
}

bool codec_matches(const char *object, const char *const *filters)
{
    struct codec_span whole = {object, strlen(object)}, value;
    bool matches = true;

    for (size_t i = 0; filters && matches && filters[i]; i++) {
        const char *equals = strchr(filters[i], '=');
        char *key = strndup(filters[i], (size_t)(equals - filters[i]));
        matches = key && codec_find_member(whole, key, &value) && value_is(value, equals + 1);
        free(key);
    }
    return matches;
}
