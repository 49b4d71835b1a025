#include "values.h"

#include "ice/uri.h"
#include "log.h"
#include "net/address.h"
#include "options.h"
#include "quote.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyz"

bool value_read_listen(const char *text, void *ret_value)
{
    struct listen_address *listen = ret_value;
    return address_port_parse(text, &listen->address, &listen->port);
}

bool value_read_listen_http(const char *text, void *ret_value)
{
    struct listen_http *listen = ret_value;

    listen->scheme = LISTEN_AS_CAN_BE;
    if (!strncmp(text, "http://", 7)) {
        listen->scheme = LISTEN_HTTP;
        text += 7;
    } else if (!strncmp(text, "https://", 8)) {
        listen->scheme = LISTEN_HTTPS;
        text += 8;
    }
    return address_port_parse(text, &listen->address, &listen->port);
}

bool value_read_range(const char *text, void *ret_value)
{
    return address_range_parse(text, ret_value);
}

bool value_read_address(const char *text, void *ret_value)
{
    return address_parse(text, ret_value);
}

/* One to five digits that are a port other than 0, at the start of the text. */
static bool read_port(const char **text, uint16_t *ret_port)
{
    size_t digits = strspn(*text, DIGITS);
    unsigned long port = strtoul(*text, NULL, 10);

    if (!digits || digits > 5 || port < 1 || port > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)port;
    *text += digits;
    return true;
}

bool value_read_ports(const char *text, void *ret_value)
{
    struct port_range *ports = ret_value, range;

    if (!read_port(&text, &range.first))
        return false;
    range.last = range.first;
    if (*text == '-') {
        text++;
        if (!read_port(&text, &range.last))
            return false;
    }
    if (*text || range.last < range.first)
        return false;
    *ports = range;
    return true;
}

bool value_read_text(const char *text, void *ret_value)
{
    const char **value = ret_value;
    if (!*text)
        return false;
    *value = text;
    return true;
}

/* The place of the text in a NULL-ended list of words, or -1. */
static int find_word(const char *text, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (!strcmp(text, words[i]))
            return i;
    return -1;
}

/* `words`: those for false and true by turns. */
static bool read_bool(const char *text, const char *const *words, bool *ret_value)
{
    int word = find_word(text, words);
    if (word < 0)
        return false;
    *ret_value = word % 2 == 1;
    return true;
}

bool value_read_flag(const char *text, void *ret_value)
{
    static const char *const words[] = {"0", "1", "false", "true", "no", "yes", NULL};
    return read_bool(text, words, ret_value);
}

bool value_read_durability(const char *text, void *ret_value)
{
    static const char *const words[] = {"normal", "full", NULL};
    return read_bool(text, words, ret_value);
}

bool value_read_format(const char *text, void *ret_value)
{
    static const char *const words[] = {"text", "json", NULL};
    return read_bool(text, words, ret_value);
}

bool value_read_level(const char *text, void *ret_value)
{
    static const char *const words[] = {"error", "warn", "info", "debug", NULL};
    enum log_level *level = ret_value;
    int word = find_word(text, words);
    if (word < 0)
        return false;
    *level = (enum log_level)word;
    return true;
}

bool value_read_addresses(const char *text, void *ret_value)
{
    static const char *const words[] = {"full", "prefix", "none", NULL};
    enum log_addresses *addresses = ret_value;
    int word = find_word(text, words);
    if (word < 0)
        return false;
    *addresses = (enum log_addresses)word;
    return true;
}

bool value_read_count(const char *text, void *ret_value)
{
    size_t *count = ret_value;
    size_t digits = strspn(text, DIGITS);
    if (!digits || text[digits] || digits > strlen(QUOTE_MACRO(VALUE_COUNT_MAX)))
        return false;
    unsigned long number = strtoul(text, NULL, 10);
    if (number > VALUE_COUNT_MAX)
        return false;
    *count = number;
    return true;
}

bool value_read_rate(const char *text, void *ret_value)
{
    double *rate = ret_value;
    size_t whole = strspn(text, DIGITS);
    size_t length = whole;
    if (text[whole] == '.') {
        size_t fraction = strspn(text + whole + 1, DIGITS);
        if (!fraction)
            return false;
        length += 1 + fraction;
    }
    if (!whole || text[length])
        return false;
    double number = strtod(text, NULL);
    if (number > VALUE_RATE_MAX)
        return false;
    *rate = number;
    return true;
}

bool value_read_timeout(const char *text, void *ret_value)
{
    size_t digits = strspn(text, DIGITS);
    unsigned long seconds = strtoul(text, NULL, 10);

    if (!digits || digits > 4 || text[digits] || seconds < 1 || seconds > LIMIT_TIMEOUT_MAX_S)
        return false;
    *(int *)ret_value = (int)seconds;
    return true;
}

/* `:port`, without leading zeros. */
static bool is_origin_port(const char *text)
{
    if (text[0] != ':' || text[1] < '1' || text[1] > '9')
        return false;
    size_t digits = strspn(text + 1, DIGITS);
    return digits <= 5 && !text[1 + digits] && strtoul(text + 1, NULL, 10) <= UINT16_MAX;
}

/* An origin as browsers send it (RFC 6454 section 6.2): other spellings of it would never match. */
bool value_read_origin(const char *text, void *ret_value)
{
    const char **origin = ret_value;
    size_t scheme = strspn(text, LETTERS DIGITS "+-.");
    if (!scheme || text[0] < 'a' || strncmp(text + scheme, "://", 3) != 0)
        return false;
    const char *host = text + scheme + 3;
    size_t length;
    if (host[0] == '[') {
        length = strspn(host + 1, DIGITS "abcdef:.") + 2;
        if (length == 2 || host[length - 1] != ']')
            return false;
    } else {
        length = strspn(host, LETTERS DIGITS "-._");
    }
    const char *port = host + length;
    if (!length || (*port && !is_origin_port(port)))
        return false;
    if ((!strncmp(text, "http://", 7) && !strcmp(port, ":80")) ||
        (!strncmp(text, "https://", 8) && !strcmp(port, ":443")))
        return false;
    *origin = text;
    return true;
}

/* `is_one`: what the text has to be. */
static bool read_uri(const char *text, bool (*is_one)(const char *text), void *ret_value)
{
    const char **uri = ret_value;
    if (!is_one(text))
        return false;
    *uri = text;
    return true;
}

bool value_read_stun_uri(const char *text, void *ret_value)
{
    return read_uri(text, ice_uri_is_stun, ret_value);
}

bool value_read_turn_uri(const char *text, void *ret_value)
{
    return read_uri(text, ice_uri_is_turn, ret_value);
}
