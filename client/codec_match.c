#include "codec.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static bool value_is(const json_t *value, const char *text)
{
    if (json_is_string(value))
        return !strcmp(json_string_value(value), text);
    if (json_is_object(value) || json_is_array(value))
        return false;
    char *dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    bool same = dumped && !strcmp(dumped, text);
    free(dumped);
    return same;
}

bool codec_matches(const char *object, const char *const *filters)
{
    json_t *root;
    bool matches = true;

    if (!filters || !filters[0])
        return true;
    root = json_loads(object, 0, NULL);
    for (size_t i = 0; root && matches && filters[i]; i++) {
        const char *equals = strchr(filters[i], '=');
        char *key = equals ? strndup(filters[i], (size_t)(equals - filters[i])) : NULL;
        const json_t *value = key ? json_object_get(root, key) : NULL;
        matches = value && value_is(value, equals + 1);
        free(key);
    }
    matches = matches && root;
    json_decref(root);
    return matches;
}
