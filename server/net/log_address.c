#include "net/log_address.h"

#include <string.h>

#define IPV4_PREFIX_BYTES 3
#define IPV6_PREFIX_BYTES 6

static enum log_addresses log_addresses;

void log_address_set(enum log_addresses which)
{
    log_addresses = which;
}

const char *log_address(const struct address *address, char ret_text[LOG_ADDRESS_SIZE])
{
    if (log_addresses == LOG_ADDRESSES_NONE || !address->family)
        return strcpy(ret_text, "-");
    if (log_addresses == LOG_ADDRESSES_FULL)
        return address_format(address, ret_text);
    struct address network = {.family = address->family};
    memcpy(network.bytes, address->bytes,
        address->family == 4 ? IPV4_PREFIX_BYTES : IPV6_PREFIX_BYTES);
    address_format(&network, ret_text);
    return strcat(ret_text, address->family == 4 ? "/24" : "/48");
}
