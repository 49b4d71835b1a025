/* Values of options: the first byte says as what the rest is read. What is taken is within bounds,
 * and what is refused changes nothing. */
#include "ice/uri.h"
#include "log.h"
#include "options.h"
#include "values.h"
#include "want.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

union value {
    struct listen_address listen;
    struct address_range range;
    struct address address;
    struct port_range ports;
    const char *text;
    size_t count;
    double rate;
    bool flag;
    enum log_level level;
    char bytes[64];
};

static const value_read readers[] = {value_read_listen, value_read_range, value_read_address,
    value_read_ports, value_read_text, value_read_origin, value_read_stun_uri, value_read_turn_uri,
    value_read_count, value_read_rate, value_read_flag, value_read_durability, value_read_format,
    value_read_level};

static void check(value_read read, const union value *value, const char *text)
{
    if (read == value_read_ports)
        want(value->ports.first && value->ports.first <= value->ports.last);
    else if (read == value_read_count)
        want(value->count <= VALUE_COUNT_MAX);
    else if (read == value_read_rate)
        want(isfinite(value->rate) && value->rate >= 0 && value->rate <= VALUE_RATE_MAX);
    else if (read == value_read_level)
        want(value->level <= LOG_DEBUG);
    else if (read == value_read_stun_uri)
        want(!strncmp(text, "stun", 4) && !strpbrk(text, " \"\\/@"));
    else if (read == value_read_turn_uri)
        want(!strncmp(text, "turn", 4) && !strpbrk(text, " \"\\/@"));
    else if (read == value_read_origin)
        want(!strpbrk(text, " \"\\,;"));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    union value value, before;

    if (!size)
        return 0;
    char *text = strndup((const char *)bytes + 1, size - 1);
    value_read read = readers[bytes[0] % (sizeof readers / sizeof readers[0])];
    memset(&value, 0x5A, sizeof value);
    before = value;
    if (read(text, &value))
        check(read, &value, text);
    else
        want(!memcmp(value.bytes, before.bytes, sizeof value.bytes));
    free(text);
    return 0;
}
