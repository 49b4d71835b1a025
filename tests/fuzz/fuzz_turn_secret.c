/* The file with the secret of the TURN servers: what is taken is a secret of one line of it, and
 * what is refused is refused with a sentence that tells nothing of it. */
#include "ice/turn.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char secret[TURN_SECRET_SIZE], again[TURN_SECRET_SIZE];
    struct fault fault = {.detail = ""};

    if (turn_secret_parse((const char *)bytes, size, secret, &fault)) {
        if (!fault.error || !*fault.detail)
            abort();
        return 0;
    }
    size_t length = strnlen(secret, sizeof secret);
    if (!length || length == sizeof secret || !memmem(bytes, size, secret, length) ||
        secret[0] == '#')
        abort();
    for (size_t i = 0; i < length; i++)
        if (secret[i] <= ' ' || secret[i] > '~')
            abort();
    if (turn_secret_parse(secret, length, again, &fault) || strcmp(again, secret) != 0)
        abort();
    return 0;
}
