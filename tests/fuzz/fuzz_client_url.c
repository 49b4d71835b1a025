/* The URL of an index: its path changes no token, a token is 43 characters, and neither user nor
 * password is told. */
#include "http.h"
#include "secret.h"
#include "want.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_secrets(const char *text)
{
    uint8_t bytes[SIGNPOST_SECRET_SIZE];
    char again[SECRET_TOKEN_SIZE];

    if (!secret_decode(text, strlen(text), bytes))
        return;
    secret_encode(bytes, again);
    want(strlen(again) == SECRET_TOKEN_SIZE - 1);
    /* The last character has two bits that count for nothing. */
    want(!strncmp(again, text, SECRET_TOKEN_SIZE - 2));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const uint8_t secret[SIGNPOST_SECRET_SIZE] = {7};
    char token[SECRET_TOKEN_SIZE], other[SECRET_TOKEN_SIZE];
    char *url = strndup((const char *)bytes, size), *longer = malloc(size + 8);

    check_secrets(url);
    snprintf(longer, size + 8, "%s/x", url);
    if (!secret_token(secret, url, token)) {
        want(strlen(token) == SECRET_TOKEN_SIZE - 1);
        if (http_is_base_url(url))
            want(!secret_token(secret, longer, other) && !strcmp(token, other));
    }
    if (http_is_base_url(url)) {
        const char *name = http_log_name(url);
        const char *authority = name == url ? strstr(url, "://") + 3 : name;
        want(!memchr(authority, '@', strcspn(authority, "/")));
    }
    free(longer);
    free(url);
    return 0;
}
