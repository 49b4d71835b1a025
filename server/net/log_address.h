/* How the addresses of clients are written in the log: whole, as the network they are in, or not.
 */
#ifndef SIGNPOST_NET_LOG_ADDRESS_H
#define SIGNPOST_NET_LOG_ADDRESS_H

#include "net/address.h"

#define LOG_ADDRESS_SIZE (ADDRESS_TEXT_SIZE + 4) /* with a prefix's length */

enum log_addresses { LOG_ADDRESSES_FULL, LOG_ADDRESSES_PREFIX, LOG_ADDRESSES_NONE };

/* A process-wide setting, as the log is. */
void log_address_set(enum log_addresses which);

/* For every line that has a client's address; `-` where it may not be said, or is not known. */
const char *log_address(const struct address *address, char ret_text[LOG_ADDRESS_SIZE]);

#endif
