#include "log.h"
#include "options_internal.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

/* Of the command `signpost` (client/cli/args.c), which may share the environment. */
static const char *const client_variables[] = {"INDEX", "NETWORK", "KEY", "KEY_FILE", "ID",
    "SECRET_FILE", "CA_FILE", "TIMEOUT", "JSON", "QUIET", "VERBOSE"};

static bool is_clients(const char *name)
{
    for (size_t i = 0; i < sizeof client_variables / sizeof *client_variables; i++)
        if (!strcmp(name, client_variables[i]))
            return true;
    return false;
}

static bool is_options(const struct option *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        char variable[OPTION_VARIABLE_SIZE];
        option_variable(&table[i], variable);
        if (table[i].read && !strcmp(name, variable + strlen(OPTION_VARIABLE_PREFIX)))
            return true;
    }
    return false;
}

/* `_TCP`, `_UDP` or `_SCTP`, perhaps with `_PROTO`, `_PORT` or `_ADDR` behind it. */
static bool is_protocol(const char *rest)
{
    static const char *const protocols[] = {"_TCP", "_UDP", "_SCTP"};

    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        size_t length = strlen(protocols[i]);
        if (strncmp(rest, protocols[i], length) != 0)
            continue;
        const char *end = rest + length;
        return !*end || !strcmp(end, "_PROTO") || !strcmp(end, "_PORT") || !strcmp(end, "_ADDR");
    }
    return false;
}

/* Kubernetes gives each pod such variables for a Service called signpost, or signpost-something:
 * _SERVICE_HOST, _SERVICE_PORT, _SERVICE_PORT_name, _PORT (a URL), and those of
 * _PORT_number_protocol. `tail` is the name behind SIGNPOST. */
static bool is_service_link(const char *tail, const char *value)
{
    for (const char *at = tail; at; at = strchr(at + 1, '_')) {
        if (!strcmp(at, "_SERVICE_HOST") || !strcmp(at, "_SERVICE_PORT") ||
            !strncmp(at, "_SERVICE_PORT_", strlen("_SERVICE_PORT_")) ||
            (!strcmp(at, "_PORT") && strstr(value, "://")))
            return true;
        if (strncmp(at, "_PORT_", strlen("_PORT_")) != 0)
            continue;
        const char *digits = at + strlen("_PORT_"), *rest = digits;
        while (isdigit((unsigned char)*rest))
            rest++;
        if (rest > digits && is_protocol(rest))
            return true;
    }
    return false;
}

static void warn_of(
    const struct option *table, size_t count, const char *variable, const char *name)
{
    char option[OPTION_NAME_CHARS + 1], meant[OPTION_VARIABLE_SIZE] = "-";
    size_t length = strnlen(name, sizeof option);

    if (length < sizeof option) {
        for (size_t i = 0; i <= length; i++)
            option[i] = name[i] == '_' ? '-' : (char)tolower((unsigned char)name[i]);
        const struct option *nearest = options_nearest(table, count, option);
        if (nearest && nearest->read)
            option_variable(nearest, meant);
    }
    log_event(LOG_WARN, "unknown_environment", "name", variable, "nearest", meant, NULL);
}

void environment_warn(const struct option *table, size_t count)
{
    const size_t prefix = strlen(OPTION_VARIABLE_PREFIX);

    for (char **at = environ; at && *at; at++) {
        size_t whole = strcspn(*at, "="), length = whole;
        char variable[LIMIT_VARIABLE_CHARS + 1];
        if (strncmp(*at, OPTION_VARIABLE_PREFIX, prefix) != 0)
            continue;
        if (length >= sizeof variable)
            length = sizeof variable - 1;
        memcpy(variable, *at, length);
        variable[length] = '\0';
        const char *name = variable + prefix;
        if (!is_options(table, count, name) && !is_clients(name) &&
            !is_service_link(name - 1, *at + whole))
            warn_of(table, count, variable, name);
    }
}
