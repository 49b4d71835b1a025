/*
 * The text of an option's value, read into the field of struct options that it is for. Each returns
 * false, and leaves the field alone, where the text is none that the option takes.
 */
#ifndef SIGNPOST_VALUES_H
#define SIGNPOST_VALUES_H

#include <stdbool.h>

#define VALUE_COUNT_MAX 1000000000
#define VALUE_RATE_MAX 1000000

typedef bool (*value_read)(const char *text, void *ret_value);

bool value_read_listen(const char *text, void *ret_value);      /* struct listen_address */
bool value_read_listen_http(const char *text, void *ret_value); /* struct listen_http */
bool value_read_range(const char *text, void *ret_value);       /* struct address_range */
bool value_read_address(const char *text, void *ret_value);     /* struct address */
bool value_read_ports(const char *text, void *ret_value);       /* struct port_range */
bool value_read_text(const char *text, void *ret_value);       /* const char *: `text`, not empty */
bool value_read_origin(const char *text, void *ret_value);     /* const char *: `text` */
bool value_read_stun_uri(const char *text, void *ret_value);   /* const char *: `text` */
bool value_read_turn_uri(const char *text, void *ret_value);   /* const char *: `text` */
bool value_read_count(const char *text, void *ret_value);      /* size_t */
bool value_read_rate(const char *text, void *ret_value);       /* double, of digits and a point */
bool value_read_timeout(const char *text, void *ret_value);    /* int: seconds, from 1 */
bool value_read_flag(const char *text, void *ret_value);       /* bool */
bool value_read_durability(const char *text, void *ret_value); /* bool: full */
bool value_read_format(const char *text, void *ret_value);     /* bool: JSON */
bool value_read_level(const char *text, void *ret_value);      /* enum log_level */
bool value_read_addresses(const char *text, void *ret_value);  /* enum log_addresses */

#endif
