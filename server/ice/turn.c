#include "ice/turn.h"

#include <inttypes.h>
#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <stdio.h>
#include <string.h>

_Static_assert(TURN_PASSWORD_SIZE == BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE) + 1,
    "a password is a whole digest");

void turn_password(const char *secret, const char *username, char ret_password[TURN_PASSWORD_SIZE])
{
    struct hmac_sha1_ctx context;
    uint8_t digest[SHA1_DIGEST_SIZE];

    hmac_sha1_set_key(&context, strlen(secret), (const uint8_t *)secret);
    hmac_sha1_update(&context, strlen(username), (const uint8_t *)username);
    hmac_sha1_digest(&context, sizeof digest, digest);
    base64_encode_raw(ret_password, sizeof digest, digest);
    ret_password[TURN_PASSWORD_SIZE - 1] = '\0';
}

bool turn_may_have(const char *node, bool open)
{
    return node && !open;
}

bool turn_issue(
    const struct ice *ice, const char *node, bool open, struct turn_credential *ret_credential)
{
    if (!ice->turn_count || !*ice->secret || !turn_may_have(node, open))
        return false;
    int64_t expires_s = clock_wall_ms(ice->clock) / 1000 + LIMIT_TURN_TTL_S;
    snprintf(ret_credential->username, sizeof ret_credential->username, "%" PRId64 ":%.*s",
        expires_s, LIMIT_ID_CHARS, node);
    turn_password(ice->secret, ret_credential->username, ret_credential->password);
    return true;
}
