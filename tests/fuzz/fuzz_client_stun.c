/* Whatever a STUN server sends to the checker. The first bytes are the transaction's id, so that
 * what is behind it is reached. */
#include "nat/stun.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct stun_reply reply;

    if (size < 20)
        return 0;
    if (stun_read_reply(bytes, size, bytes + 8, &reply) && !reply.error && !reply.mapped.ss_family)
        abort();
    return 0;
}
