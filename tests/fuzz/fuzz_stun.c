/* Whatever a stranger sends to the index's STUN: the reply is small, and nothing is read behind the
 * datagram. */
#include "net/stun.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct address source = {.family = 6, .bytes = {0x20, 1}};
    uint8_t reply[STUN_REPLY_MAX];
    size_t length = stun_answer(bytes, size, &source, 4660, reply);

    if (length > STUN_REPLY_MAX || (length && (length < 32 || size < 20)))
        abort();
    return 0;
}
