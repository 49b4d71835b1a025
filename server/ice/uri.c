#include "ice/uri.h"

#include "net/address.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* What follows the scheme of that name, or NULL: `turn:` or `turns:`. */
static const char *skip_scheme(const char *text, const char *scheme)
{
    size_t length = strlen(scheme);

    if (strncmp(text, scheme, length) != 0)
        return NULL;
    text += length;
    text += *text == 's';
    return *text == ':' ? text + 1 : NULL;
}

/* A host and perhaps a port: what an endpoint has behind its scheme, where the port is a must. */
static bool is_authority(const char *text, size_t length)
{
    char written[LIMIT_ENDPOINT_CHARS + 1];
    struct endpoint endpoint;
    struct fault ignored;

    if (!length || length > LIMIT_ENDPOINT_CHARS)
        return false;
    const char *bracket = text[0] == '[' ? memchr(text, ']', length) : NULL;
    const char *name = bracket ? bracket : text;
    bool has_port = memchr(name, ':', length - (size_t)(name - text)) != NULL;
    int size = snprintf(
        written, sizeof written, "ice://%.*s%s", (int)length, text, has_port ? "" : ":3478");
    if (size >= (int)sizeof written || endpoint_parse(written, &endpoint, &ignored))
        return false;
    return endpoint.host == ENDPOINT_ADDRESS || endpoint.host == ENDPOINT_NAME;
}

bool ice_uri_is_stun(const char *text)
{
    const char *authority = skip_scheme(text, "stun");
    return authority && is_authority(authority, strlen(authority));
}

bool ice_uri_is_turn(const char *text)
{
    const char *authority = skip_scheme(text, "turn");

    if (!authority)
        return false;
    size_t length = strcspn(authority, "?");
    const char *query = authority + length;
    return is_authority(authority, length) &&
           (!*query || !strcmp(query, "?transport=udp") || !strcmp(query, "?transport=tcp"));
}
