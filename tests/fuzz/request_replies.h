/* Are these replies of the index in good form, and do they keep its secrets? */
#ifndef SIGNPOST_FUZZ_REQUEST_REPLIES_H
#define SIGNPOST_FUZZ_REQUEST_REPLIES_H

#include <stdbool.h>
#include <stddef.h>

/* All that came over one connection: whole replies, one after the other (RFC 9112), each with a
 * status that the index has, a body of the length that is said, and JSON that is JSON. `heads`:
 * there may have been requests whose replies have no body. Aborts where something is wrong. */
void replies_check(const char *bytes, size_t size, bool heads);

/* Is a token or a join key told there, or the hash of one? */
bool replies_tell_secrets(const char *bytes, size_t size);

#endif
