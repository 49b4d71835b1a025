/*
 * The join keys of an index: a file with a line each, `network role sha256-hex  # comment`. The
 * index knows the SHA-256 of a key only. A network may have several, so that one is replaced while
 * the other still admits.
 */
#ifndef SIGNPOST_KEYS_H
#define SIGNPOST_KEYS_H

#include "error.h"
#include "net/bucket.h"
#include "server_limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_HASH_SIZE 32

struct key {
    uint8_t hash[KEY_HASH_SIZE]; /* SHA-256 of all its characters, `spk_` included */
    char network[LIMIT_ID_CHARS + 1];
    bool is_operator;     /* may remove the nodes of others */
    struct bucket bucket; /* of the requests that bear it */
    size_t line;
};

struct keys;

/* At least one key; comments begin with # at the start of a line or after white space. The sentence
 * of the fault says which line is wrong, and nothing of what may be a secret. */
int keys_parse(const char *text, size_t size, struct keys **ret_keys, struct fault *ret_fault);

/* Those of a file, which may have LIMIT_KEYS_FILE_BYTES. `ret_exposed`: everyone on this machine
 * may read or write it. */
int keys_read(const char *path, struct keys **ret_keys, bool *ret_exposed, struct fault *ret_fault);
void keys_free(struct keys *keys); /* NULL is fine */

size_t keys_count(const struct keys *keys);

/* The key with that hash, compared in constant time, or NULL. */
struct key *keys_find(const struct keys *keys, const uint8_t hash[KEY_HASH_SIZE]);

/* Whether a node in that network may be there by the key with that hash: zeros are no key's. */
bool keys_admit(const struct keys *keys, const uint8_t hash[KEY_HASH_SIZE], const char *network);

#endif
