#include "greet.h"

#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

#define MAGIC "SIGNPST1"
#define MAGIC_SIZE (sizeof MAGIC - 1)
#define NAME_TEXT "signpost-ticket"
#define PROOF_TEXT "signpost-proof"
#define ROLE_DIALER "dial"
#define ROLE_ACCEPTOR "accept"

_Static_assert(GREET_HELLO_SIZE == MAGIC_SIZE + GREET_NAME_SIZE + GREET_NONCE_SIZE, "hello");
_Static_assert(GREET_PROOF_SIZE == SHA256_DIGEST_SIZE, "proof");

void greet_make_ticket(const uint8_t secret[GREET_SECRET_SIZE], struct greet_ticket *ret_ticket)
{
    struct hmac_sha256_ctx context;

    memcpy(ret_ticket->secret, secret, GREET_SECRET_SIZE);
    hmac_sha256_set_key(&context, GREET_SECRET_SIZE, secret);
    hmac_sha256_update(&context, sizeof NAME_TEXT - 1, (const uint8_t *)NAME_TEXT);
    hmac_sha256_digest(&context, GREET_NAME_SIZE, ret_ticket->name);
}

bool greet_is_ticket(const struct greet_ticket *ticket, const uint8_t name[GREET_NAME_SIZE])
{
    return memeql_sec(ticket->name, name, GREET_NAME_SIZE);
}

static void remember(struct greeting *greeting, const struct greet_ticket *ticket,
    const char *dialer, const char *acceptor)
{
    memset(greeting, 0, sizeof *greeting);
    greeting->ticket = *ticket;
    snprintf(greeting->dialer, sizeof greeting->dialer, "%s", dialer);
    snprintf(greeting->acceptor, sizeof greeting->acceptor, "%s", acceptor);
}

/* Each text ends with its NUL, so that no two sets of them are the same bytes. */
static void put_text(struct hmac_sha256_ctx *context, const char *text)
{
    hmac_sha256_update(context, strlen(text) + 1, (const uint8_t *)text);
}

static void prove(
    const struct greeting *greeting, const char *role, uint8_t ret_proof[GREET_PROOF_SIZE])
{
    struct hmac_sha256_ctx context;

    hmac_sha256_set_key(&context, GREET_SECRET_SIZE, greeting->ticket.secret);
    put_text(&context, PROOF_TEXT);
    put_text(&context, role);
    put_text(&context, greeting->dialer);
    put_text(&context, greeting->acceptor);
    hmac_sha256_update(&context, GREET_NONCE_SIZE, greeting->dialer_nonce);
    hmac_sha256_update(&context, GREET_NONCE_SIZE, greeting->acceptor_nonce);
    hmac_sha256_digest(&context, GREET_PROOF_SIZE, ret_proof);
}

static bool is_proved(
    const struct greeting *greeting, const char *role, const uint8_t proof[GREET_PROOF_SIZE])
{
    uint8_t right[GREET_PROOF_SIZE];

    prove(greeting, role, right);
    return memeql_sec(proof, right, sizeof right);
}

/* --- the dialer ------------------------------------------------------------------------------ */

void greet_begin(const struct greet_ticket *ticket, const char *dialer, const char *acceptor,
    const uint8_t nonce[GREET_NONCE_SIZE], struct greeting *ret_greeting,
    uint8_t ret_hello[GREET_HELLO_SIZE])
{
    remember(ret_greeting, ticket, dialer, acceptor);
    memcpy(ret_greeting->dialer_nonce, nonce, GREET_NONCE_SIZE);
    memcpy(ret_hello, MAGIC, MAGIC_SIZE);
    memcpy(ret_hello + MAGIC_SIZE, ticket->name, GREET_NAME_SIZE);
    memcpy(ret_hello + MAGIC_SIZE + GREET_NAME_SIZE, nonce, GREET_NONCE_SIZE);
}

bool greet_take_reply(struct greeting *greeting, const uint8_t reply[GREET_REPLY_SIZE],
    uint8_t ret_proof[GREET_PROOF_SIZE])
{
    memcpy(greeting->acceptor_nonce, reply, GREET_NONCE_SIZE);
    if (!is_proved(greeting, ROLE_ACCEPTOR, reply + GREET_NONCE_SIZE))
        return false;
    prove(greeting, ROLE_DIALER, ret_proof);
    return true;
}

/* --- the acceptor ---------------------------------------------------------------------------- */

bool greet_read_hello(const uint8_t hello[GREET_HELLO_SIZE], uint8_t ret_name[GREET_NAME_SIZE])
{
    if (memcmp(hello, MAGIC, MAGIC_SIZE) != 0)
        return false;
    memcpy(ret_name, hello + MAGIC_SIZE, GREET_NAME_SIZE);
    return true;
}

void greet_answer(const struct greet_ticket *ticket, const char *dialer, const char *acceptor,
    const uint8_t hello[GREET_HELLO_SIZE], const uint8_t nonce[GREET_NONCE_SIZE],
    struct greeting *ret_greeting, uint8_t ret_reply[GREET_REPLY_SIZE])
{
    remember(ret_greeting, ticket, dialer, acceptor);
    memcpy(ret_greeting->dialer_nonce, hello + MAGIC_SIZE + GREET_NAME_SIZE, GREET_NONCE_SIZE);
    memcpy(ret_greeting->acceptor_nonce, nonce, GREET_NONCE_SIZE);
    memcpy(ret_reply, nonce, GREET_NONCE_SIZE);
    prove(ret_greeting, ROLE_ACCEPTOR, ret_reply + GREET_NONCE_SIZE);
}

bool greet_take_proof(const struct greeting *greeting, const uint8_t proof[GREET_PROOF_SIZE])
{
    return is_proved(greeting, ROLE_DIALER, proof);
}
