/* Randomness, and what is derived from a client's one secret. */
#ifndef SIGNPOST_CLIENT_SECRET_H
#define SIGNPOST_CLIENT_SECRET_H

#include "signpost.h"

#define SECRET_TOKEN_SIZE 44 /* 43 base64url characters and NUL */
#define SECRET_UUID_SIZE 37

int secret_random(void *ret_bytes, size_t size); /* SIGNPOST_ERROR_NO_MEMORY where there is none */
void secret_uuid(char ret_uuid[SECRET_UUID_SIZE]); /* version 4 */

/* 32 bytes as 43 characters of base64url (RFC 4648), and back; `length` is that of the text. */
void secret_encode(const uint8_t bytes[SIGNPOST_SECRET_SIZE], char ret_text[SECRET_TOKEN_SIZE]);
bool secret_decode(const char *text, size_t length, uint8_t ret_bytes[SIGNPOST_SECRET_SIZE]);

/* The token at one index: HMAC-SHA256 of the secret over "signpost-token:" and the index's origin
 * (scheme://host:port in lower case, the default port written out), so that no index learns the
 * token that we use at another. SIGNPOST_ERROR_INVALID where the URL is not http or https with a
 * host. */
int secret_token(
    const uint8_t secret[SIGNPOST_SECRET_SIZE], const char *url, char ret_token[SECRET_TOKEN_SIZE]);

/* The id of a node that names none: a UUID (version 8, RFC 9562) from HMAC-SHA256 over
 * "signpost-id". */
void secret_id(const uint8_t secret[SIGNPOST_SECRET_SIZE], char ret_id[SECRET_UUID_SIZE]);

#endif
