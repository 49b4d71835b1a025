/*
 * The greeting of a direct connection, with someone in between who changes bytes on the way: those
 * of the input, by exclusive or. Both ends believe each other where nothing was changed, and else
 * not both of them do. What is left of the input is a hello by itself.
 */
#include "direct/greet.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const uint8_t secret[GREET_SECRET_SIZE] = {1, 2, 3};
static const uint8_t nonces[2][GREET_NONCE_SIZE] = {{4, 5}, {6, 7}};

struct between {
    const uint8_t *bytes;
    size_t size;
    bool changed;
};

static void pass(struct between *between, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size && between->size; i++, between->bytes++, between->size--) {
        bytes[i] ^= *between->bytes;
        between->changed = between->changed || *between->bytes;
    }
}

/* Do both ends believe that they speak with the other? */
static bool greet(struct between *between)
{
    uint8_t hello[GREET_HELLO_SIZE], reply[GREET_REPLY_SIZE], proof[GREET_PROOF_SIZE];
    uint8_t name[GREET_NAME_SIZE];
    struct greet_ticket ticket;
    struct greeting dialer, acceptor;

    greet_make_ticket(secret, &ticket);
    greet_begin(&ticket, "a", "b", nonces[0], &dialer, hello);
    pass(between, hello, sizeof hello);
    if (!greet_read_hello(hello, name) || !greet_is_ticket(&ticket, name))
        return false;
    greet_answer(&ticket, "a", "b", hello, nonces[1], &acceptor, reply);
    pass(between, reply, sizeof reply);
    if (!greet_take_reply(&dialer, reply, proof))
        return false;
    pass(between, proof, sizeof proof);
    return greet_take_proof(&acceptor, proof);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct between between = {.bytes = bytes, .size = size};
    uint8_t name[GREET_NAME_SIZE];
    bool believed = greet(&between);

    if (believed == between.changed)
        abort();
    if (between.size >= GREET_HELLO_SIZE && greet_read_hello(between.bytes, name) &&
        memcmp(name, between.bytes + GREET_HELLO_SIZE - GREET_NONCE_SIZE - sizeof name,
            sizeof name) != 0)
        abort();
    return 0;
}
