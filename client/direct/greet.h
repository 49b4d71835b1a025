/*
 * The greeting on a direct connection: with it both ends prove that they know the secret of the
 * ticket, which the called end made and sent through the mailboxes, and never on the connection.
 * It knows no socket and no clock: bytes go in and come out. docs/sessions.md has the bytes.
 *
 *     dialer -> hello: which ticket, nonce
 *               nonce, proof  <- acceptor
 *     dialer -> proof
 *
 * The dialer proves itself last, so that a stranger at an address that was used before learns
 * nothing but two random values.
 */
#ifndef SIGNPOST_CLIENT_GREET_H
#define SIGNPOST_CLIENT_GREET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GREET_SECRET_SIZE 32
#define GREET_NAME_SIZE 16 /* of a ticket: derived from its secret, tells nothing of it */
#define GREET_NONCE_SIZE 32
#define GREET_PROOF_SIZE 32
#define GREET_HELLO_SIZE (8 + GREET_NAME_SIZE + GREET_NONCE_SIZE)
#define GREET_REPLY_SIZE (GREET_NONCE_SIZE + GREET_PROOF_SIZE)

struct greet_ticket {
    uint8_t secret[GREET_SECRET_SIZE];
    uint8_t name[GREET_NAME_SIZE];
};

void greet_make_ticket(const uint8_t secret[GREET_SECRET_SIZE], struct greet_ticket *ret_ticket);

/* What one end remembers during a greeting. */
struct greeting {
    struct greet_ticket ticket;
    char dialer[65], acceptor[65]; /* node ids */
    uint8_t dialer_nonce[GREET_NONCE_SIZE], acceptor_nonce[GREET_NONCE_SIZE];
};

/* The dialer: begins, and takes the reply. `nonce`: random bytes. False: whoever replied does not
 * know the secret, or is another node, or is ourselves; say nothing and close. */
void greet_begin(const struct greet_ticket *ticket, const char *dialer, const char *acceptor,
    const uint8_t nonce[GREET_NONCE_SIZE], struct greeting *ret_greeting,
    uint8_t ret_hello[GREET_HELLO_SIZE]);
bool greet_take_reply(struct greeting *greeting, const uint8_t reply[GREET_REPLY_SIZE],
    uint8_t ret_proof[GREET_PROOF_SIZE]);

/* The acceptor: which ticket is meant (false: it is no hello), then with that ticket the reply, and
 * whether the proof holds. */
bool greet_read_hello(const uint8_t hello[GREET_HELLO_SIZE], uint8_t ret_name[GREET_NAME_SIZE]);
void greet_answer(const struct greet_ticket *ticket, const char *dialer, const char *acceptor,
    const uint8_t hello[GREET_HELLO_SIZE], const uint8_t nonce[GREET_NONCE_SIZE],
    struct greeting *ret_greeting, uint8_t ret_reply[GREET_REPLY_SIZE]);
bool greet_take_proof(const struct greeting *greeting, const uint8_t proof[GREET_PROOF_SIZE]);

/* In constant time. */
bool greet_is_ticket(const struct greet_ticket *ticket, const uint8_t name[GREET_NAME_SIZE]);

#endif
