/*
 * Help with connecting: which STUN and TURN servers a client is told, and the credentials for the
 * TURN servers. These are made from a secret that the index shares with them, by the scheme of
 * coturn's `use-auth-secret` (draft-uberti-behave-turn-rest-00): the index asks nobody, and a
 * credential ends by itself.
 */
#ifndef SIGNPOST_ICE_TURN_H
#define SIGNPOST_ICE_TURN_H

#include "clock.h"
#include "error.h"
#include "net/address.h"
#include "server_limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TURN_SECRET_SIZE (LIMIT_TURN_SECRET_CHARS + 1)
#define TURN_USERNAME_SIZE (20 + 1 + LIMIT_ID_CHARS + 1) /* `expiry:node` */
#define TURN_PASSWORD_SIZE 29                            /* base64 of 20 bytes */

/* Where the index itself answers STUN. */
struct ice_place {
    struct address address;
    uint16_t port;
};

struct ice {
    const struct clock *clock;
    const struct ice_place *own;
    size_t own_count;
    const char *const *stun_uris;
    size_t stun_count;
    const char *const *turn_uris;
    size_t turn_count;
    const char *secret; /* "": none, and so no TURN servers */
};

struct turn_credential {
    char username[TURN_USERNAME_SIZE];
    char password[TURN_PASSWORD_SIZE];
};

/* May a caller have TURN servers? Their traffic is paid by whoever runs the index, so only nodes
 * that it has let in may: with a node token (`node`: its id, else NULL), and not where the index is
 * open and anyone makes nodes. */
bool turn_may_have(const char *node, bool open);

/* A credential that is good for LIMIT_TURN_TTL_S from now. False, where the caller may have none or
 * there are no TURN servers. */
bool turn_issue(
    const struct ice *ice, const char *node, bool open, struct turn_credential *ret_credential);

/* base64(HMAC-SHA1(secret, username)) */
void turn_password(const char *secret, const char *username, char ret_password[TURN_PASSWORD_SIZE]);

/* --- the secret ------------------------------------------------------------------------------ */

/* The first secret of a text with one a line: that issues, the others are for the TURN servers,
 * which take either while a secret is changed. White space around one, empty lines and lines that
 * begin with # count for nothing. Every line is checked: a secret is 1 to LIMIT_TURN_SECRET_CHARS
 * of printable ASCII without spaces. The sentence of the fault says which line is wrong, and
 * nothing of what it has. */
int turn_secret_parse(
    const char *text, size_t size, char ret_secret[TURN_SECRET_SIZE], struct fault *ret_fault);

/* That of a file, which may have LIMIT_TURN_FILE_BYTES. `ret_exposed`: everyone on this machine may
 * read or write it. */
int turn_secret_read(const char *path, char ret_secret[TURN_SECRET_SIZE], bool *ret_exposed,
    struct fault *ret_fault);

#endif
