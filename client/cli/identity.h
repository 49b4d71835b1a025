/* Who this node is: its join key and its secret. Neither is ever written to a log or the output. */
#ifndef SIGNPOST_CLI_IDENTITY_H
#define SIGNPOST_CLI_IDENTITY_H

#include "cli.h"
#include "signpost.h"

#include <stddef.h>
#include <stdint.h>

#define IDENTITY_KEY_SIZE 48 /* "spk_", 43 base64url characters and NUL */
#define IDENTITY_KEY_BYTES 32

/* The key of random bytes. */
void identity_write_key(const uint8_t bytes[IDENTITY_KEY_BYTES], char ret_key[IDENTITY_KEY_SIZE]);

/* All of these: an enum cli_exit; where it is not CLI_OK, the reason was written to stderr. */

/* "" where there is no key. */
int identity_read_key(const struct settings *settings, char ret_key[IDENTITY_KEY_SIZE]);

/* That of the secret file, which is made where there is none. Where the settings name an id, it is
 * one of that id's own, derived from the file's: so nodes of several ids share a file. */
int identity_read_secret(const struct settings *settings, uint8_t ret_secret[SIGNPOST_SECRET_SIZE]);

int identity_random(void *ret_bytes, size_t size);

#endif
