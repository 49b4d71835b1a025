/*
 * Takes the connections of a dial-back at the port that is checked, and proves that they came to
 * us: who connects is told a hash of the nonce that only the index and we know. What they say is
 * thrown away.
 */
#ifndef SIGNPOST_CLIENT_NAT_ANSWER_H
#define SIGNPOST_CLIENT_NAT_ANSWER_H

#include "nat.h"

#include <uv.h>

#define ANSWER_NONCE_BYTES 16
#define ANSWER_PROOF_SIZE 65 /* 64 hex characters and NUL */

struct answer;

/* Lower-case hex of HMAC-SHA256, key: the nonce, message: "signpost-check:PORT". */
void answer_prove(
    const uint8_t nonce[ANSWER_NONCE_BYTES], uint16_t port, char ret_proof[ANSWER_PROOF_SIZE]);

/* At all addresses of the family. SIGNPOST_ERROR_ADDRESS: the port is held by another;
 * SIGNPOST_ERROR_INVALID: this user may not listen there; SIGNPOST_ERROR_NO_MEMORY. */
int answer_open(uv_loop_t *loop, enum nat_family family, uint16_t port, struct answer **ret_answer);

/* From now on those who connect get this proof, and are counted from 0. */
void answer_expect(struct answer *answer, const char proof[ANSWER_PROOF_SIZE]);
unsigned answer_count(const struct answer *answer);

/* Frees it once its handles are closed on the loop. NULL is fine. */
void answer_close(struct answer *answer);

#endif
