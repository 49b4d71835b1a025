/* The file with the join keys: what is taken is a line of it each, found again by its hash and by
 * that alone; what is refused has a sentence, which tells nothing of the file but a line's number.
 */
#include "keys.h"
#include "want.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool tells(const char *detail, const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at + 43 <= size; at++)
        if (memmem(detail, strlen(detail), bytes + at, 43))
            return true;
    return false;
}

static int hex_digit(uint8_t byte)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = byte ? strchr(digits, byte) : NULL;
    return at ? (int)((at - digits) % 16) : -1;
}

/* Every place of the text that may be a hash. */
static size_t find_all(const struct keys *keys, const uint8_t *bytes, size_t size)
{
    size_t found = 0;

    for (size_t at = 0; at + 2 * KEY_HASH_SIZE <= size; at++) {
        uint8_t hash[KEY_HASH_SIZE];
        size_t i = 0;
        for (; i < sizeof hash; i++) {
            int high = hex_digit(bytes[at + 2 * i]), low = hex_digit(bytes[at + 2 * i + 1]);
            if (high < 0 || low < 0)
                break;
            hash[i] = (uint8_t)(high << 4 | low);
        }
        const struct key *key = i == sizeof hash ? keys_find(keys, hash) : NULL;
        if (!key)
            continue;
        found++;
        want(key->line && !memcmp(key->hash, hash, sizeof hash));
        want(*key->network && strlen(key->network) <= LIMIT_ID_CHARS);
        want(keys_admit(keys, hash, key->network) && !keys_admit(keys, hash, ""));
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const uint8_t none[KEY_HASH_SIZE];
    struct keys *keys = NULL;
    struct fault fault = {.detail = ""};

    if (keys_parse((const char *)bytes, size, &keys, &fault)) {
        want(!keys && fault.error && *fault.detail && !tells(fault.detail, bytes, size));
        return 0;
    }
    want(keys_count(keys) > 0 && find_all(keys, bytes, size) >= keys_count(keys));
    want(!keys_find(keys, none));
    keys_free(keys);
    return 0;
}
