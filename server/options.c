#include "options_internal.h"

#include "quote.h"
#include "server_limits.h"
#include "values.h"
#include "version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The environment variable of a list is taken apart here; its pieces last until the next call of
 * options_parse(). */
#define LISTS_BYTES 16384
static char lists[LISTS_BYTES];
static size_t lists_length;

#define FIELD(name) .field = offsetof(struct options, name)
#define LIST(name)                                                                                 \
    FIELD(name), .count = offsetof(struct options, name##_count),                                  \
                 .size = sizeof((struct options *)NULL)->name[0]
#define FLAG .read = value_read_flag, .expected = "1, true, yes, 0, false or no"
#define TIMEOUT                                                                                    \
    "SECONDS", value_read_timeout,                                                                 \
        .expected = "a whole number of seconds from 1 to " QUOTE_MACRO(LIMIT_TIMEOUT_MAX_S)
#define COUNT                                                                                      \
    .metavar = "N", .read = value_read_count,                                                      \
    .expected = "a whole number from 0 (no limit) to " QUOTE_MACRO(VALUE_COUNT_MAX)

static const struct option options_table[] = {
    {"listen", "ADDR:PORT", value_read_listen_http, LIST(listen), .standard = "127.0.0.1:7117",
        .expected = "an address and a port, as 127.0.0.1:7117 or https://[::1]:7117",
        .help = "Listen on this address and TCP port; port 0 is any free one. It speaks HTTPS "
                "where there is --tls-cert, else HTTP; http:// or https:// before it says which. "
                "Repeatable."},
    {"tls-cert", "FILE", value_read_text, FIELD(tls_cert), .expected = "a file name",
        .help = "The certificate for HTTPS in PEM, followed by those that it is signed by. Read "
                "again on SIGHUP."},
    {"tls-key", "FILE", value_read_text, FIELD(tls_key), .expected = "a file name",
        .help = "The private key of the certificate, in PEM."},
    {"ops-listen", "ADDR:PORT", value_read_listen, LIST(ops_listen),
        .expected = "an address of this machine and a port, as 127.0.0.1:7118",
        .help = "Serve /metrics, /healthz and /readyz there and nothing else, in plain HTTP and to "
                "whoever reaches it. Where others reach the index, /metrics is there only, by "
                "default at 127.0.0.1:7118. Repeatable."},
    {"db", "FILE", value_read_text, FIELD(db), .standard = "signpost.db", .expected = "a file name",
        .help = "The database; it is made where there is none."},
    {"keys", "FILE", value_read_text, FIELD(keys), .expected = "a file name",
        .help = "Let in only who has a join key that is in this file: a line for each, as "
                "`signpost key new NETWORK` prints it. Read again on SIGHUP."},
    {"open", FLAG, FIELD(open),
        .help = "Let anyone register, also when listening on other addresses than loopback."},
    {"durability", "normal|full", value_read_durability, FIELD(full_durability),
        .standard = "normal", .expected = "normal or full",
        .help =
            "What a power cut may take: normal, the last moment of what was acknowledged; full, "
            "nothing, at the price of a disk flush for each commit."},
    {"trust-proxy", "CIDR", value_read_range, LIST(trust_proxy),
        .expected = "an address or a range with no bits below its prefix, as 10.0.0.0/8",
        .help = "Believe Forwarded and X-Forwarded-For from these addresses. Repeatable."},
    {"cors-origin", "ORIGIN", value_read_origin, LIST(cors_origin),
        .expected =
            "scheme://host[:port] as browsers send it: lower case, no path, no default port",
        .help = "Let only web pages of this origin use the index; without it, of any. Repeatable."},
    {"stun", "ADDR:PORT", value_read_listen, LIST(stun),
        .expected = "an address of this machine and a port, as 203.0.113.1:3478",
        .help = "Answer STUN at this address, on the UDP port and the one after it. Repeatable: a "
                "second address lets others see whether their NAT varies."},
    {"stun-uri", "URI", value_read_stun_uri, LIST(stun_uri),
        .expected = "stun:host[:port] or stuns:host[:port], as stun:stun.example.org:3478",
        .help = "Name this STUN server to those who ask with /ice. Repeatable."},
    {"turn-uri", "URI", value_read_turn_uri, LIST(turn_uri),
        .expected = "turn:host[:port] or turns:host[:port], perhaps with ?transport=udp or "
                    "?transport=tcp",
        .help = "Name this TURN server, with a credential, to nodes that ask with /ice; never on "
                "an open index. Repeatable."},
    {"turn-secret-file", "FILE", value_read_text, FIELD(turn_secret_file),
        .expected = "a file name",
        .help = "The secret that the TURN servers share with this index (coturn's "
                "static-auth-secret): the first line of this file that is no # comment."},
    {"check-private", FLAG, FIELD(check_private),
        .help = "Let /check dial private and loopback addresses too: for an index inside one "
                "network."},
    {"check-from", "ADDR", value_read_address, LIST(check_from),
        .expected = "an address of this machine, without a port",
        .help = "Dial for /check from this address those who have contacted another. Repeatable."},
    {"check-ports", "RANGE", value_read_ports, LIST(check_ports), .standard = "1024-65535",
        .expected = "a port or a range of ports from 1 to 65535, as 443 or 1024-65535",
        .help = "Ports that /check may dial. Repeatable."},
    {"demo", FLAG, FIELD(demo), .help = "Serve the demonstration page, /demo."},
    {"rate", "N", value_read_rate, FIELD(rate), .standard = QUOTE_MACRO(LIMIT_DEFAULT_RATE),
        .expected = "a number from 0 (no limit) to " QUOTE_MACRO(VALUE_RATE_MAX),
        .help = "Requests a second of one address (IPv4 /32, IPv6 /56), with bursts of twice that; "
                "0: no limit."},
    {"rate-per-credential", "N", value_read_rate, FIELD(rate_per_credential),
        .standard = QUOTE_MACRO(LIMIT_DEFAULT_RATE_PER_CREDENTIAL),
        .expected = "a number from 0 (no limit) to " QUOTE_MACRO(VALUE_RATE_MAX),
        .help = "Requests a second of one join key or node token, wherever they come from, with "
                "bursts of twice that; 0: no limit."},
    {"max-nodes", COUNT, FIELD(max_nodes), .standard = QUOTE_MACRO(LIMIT_DEFAULT_NODES),
        .help = "Registered nodes in all; 0: no limit."},
    {"max-nodes-per-network", COUNT, FIELD(max_nodes_per_network),
        .standard = QUOTE_MACRO(LIMIT_DEFAULT_NODES_PER_NETWORK),
        .help = "Registered nodes of one network; 0: no limit."},
    {"max-nodes-per-address", COUNT, FIELD(max_nodes_per_address),
        .standard = QUOTE_MACRO(LIMIT_DEFAULT_NODES_PER_ADDRESS),
        .help = "Registered nodes of one address; 0: no limit."},
    {"max-waiters", COUNT, FIELD(max_waiters), .standard = QUOTE_MACRO(LIMIT_DEFAULT_WAITERS),
        .help = "Waiting long polls in all; 0: no limit."},
    {"max-waiters-per-address", COUNT, FIELD(max_waiters_per_address),
        .standard = QUOTE_MACRO(LIMIT_DEFAULT_WAITERS_PER_ADDRESS),
        .help = "Waiting long polls of one address; 0: no limit."},
    {"max-connections", COUNT, FIELD(max_connections),
        .standard = QUOTE_MACRO(LIMIT_DEFAULT_CONNECTIONS),
        .help = "TCP connections in all; 0: no limit."},
    {"max-connections-per-address", COUNT, FIELD(max_connections_per_address),
        .standard = QUOTE_MACRO(LIMIT_DEFAULT_CONNECTIONS_PER_ADDRESS),
        .help = "TCP connections of one address; 0: no limit."},
    {"headers-timeout", TIMEOUT, FIELD(headers_timeout_s),
        .standard = QUOTE_MACRO(LIMIT_DEFAULT_HEADERS_TIMEOUT_S),
        .help = "From connecting to the end of a request's headers, however they trickle."},
    {"body-timeout", TIMEOUT, FIELD(body_timeout_s),
        .standard = QUOTE_MACRO(LIMIT_DEFAULT_BODY_TIMEOUT_S),
        .help = "From the end of the headers to the end of the body."},
    {"log-addresses", "HOW", value_read_addresses, FIELD(log_addresses), .standard = "full",
        .expected = "full, prefix or none",
        .help = "How the log writes the addresses of clients: full, prefix (the IPv4 /24 or the "
                "IPv6 /48 that they are in) or none."},
    {"log-format", "text|json", value_read_format, FIELD(log_json), .standard = "text",
        .expected = "text or json", .help = "How a line of the log on stderr is written."},
    {"log-level", "LEVEL", value_read_level, FIELD(log_level), .standard = "info",
        .expected = "error, warn, info or debug",
        .help = "What is logged: error, warn, info or debug, each with those before it."},
    {"check-config", FLAG, FIELD(check_config),
        .help = "Check the options, their files and the database, say what is wrong, and exit."},
    {"healthcheck", FLAG, FIELD(healthcheck),
        .help = "Ask the index that runs here with the same options whether it is ready, and exit: "
                "0, or 1 and why not. For containers."},
    {"version", .help = "Print the version and exit."},
    {"help", .help = "Print this and exit; also -h."},
};

#define OPTIONS_COUNT (sizeof options_table / sizeof *options_table)

/* ---- values ---- */

/* What is being parsed: the values so far, and which options have them. */
struct parse {
    struct options options;
    bool given[OPTIONS_COUNT];
    bool backup; /* the command was given */
    struct fault *fault;
};

static bool wrong_value(
    struct parse *parse, const char *where, const char *value, const char *expected)
{
    char quoted[QUOTE_SIZE];
    fault_set(parse->fault, ERROR_BAD_REQUEST, "%s: %s is not %s", where, quote_text(value, quoted),
        expected);
    return false;
}

/* `where`: the option or the environment variable, as the user wrote it. */
static bool take_value(
    struct parse *parse, const struct option *option, const char *where, const char *value)
{
    char *base = (char *)&parse->options;
    char *field = base + option->field;

    if (!option->count) {
        if (!option->read(value, field))
            return wrong_value(parse, where, value, option->expected);
        return true;
    }
    size_t *count = (size_t *)(void *)(base + option->count);
    if (*count == OPTIONS_LIST_MAX) {
        fault_set(
            parse->fault, ERROR_BAD_REQUEST, "%s: more than %d values", where, OPTIONS_LIST_MAX);
        return false;
    }
    if (!option->read(value, field + *count * option->size))
        return wrong_value(parse, where, value, option->expected);
    ++*count;
    return true;
}

/* The values of a list, separated by commas with or without spaces around. */
static bool take_list(
    struct parse *parse, const struct option *option, const char *where, const char *value)
{
    size_t size = strlen(value) + 1;

    if (size > sizeof lists - lists_length) {
        fault_set(parse->fault, ERROR_BAD_REQUEST, "%s: the list is too long, shorten it", where);
        return false;
    }
    char *piece = memcpy(lists + lists_length, value, size);
    lists_length += size;
    for (;;) {
        char *comma = strchr(piece, ',');
        if (comma)
            *comma = '\0';
        piece += strspn(piece, " ");
        for (size_t i = strlen(piece); i > 0 && piece[i - 1] == ' '; i--)
            piece[i - 1] = '\0';
        if (!take_value(parse, option, where, piece))
            return false;
        if (!comma)
            return true;
        piece = comma + 1;
    }
}

static bool take_environment(struct parse *parse)
{
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        const struct option *option = &options_table[i];
        char name[OPTION_VARIABLE_SIZE];
        if (parse->given[i] || !option->read)
            continue;
        option_variable(option, name);
        const char *value = getenv(name);
        if (!value || !*value)
            continue;
        if (!(option->count ? take_list : take_value)(parse, option, name, value))
            return false;
        parse->given[i] = true;
    }
    return true;
}

static bool take_defaults(struct parse *parse)
{
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        const struct option *option = &options_table[i];
        if (!parse->given[i] && option->standard &&
            !take_value(parse, option, option->name, option->standard))
            return false;
    }
    return true;
}

/* ---- the command line ---- */

static enum options_verdict print_and_leave(
    const struct option *option, const char *value, struct fault *ret_fault)
{
    if (value) {
        fault_set(ret_fault, ERROR_BAD_REQUEST, "--%s takes no value", option->name);
        return OPTIONS_WRONG;
    }
    if (!strcmp(option->name, "help"))
        options_print_help(options_table, OPTIONS_COUNT);
    else
        puts("signpostd " SIGNPOST_VERSION);
    return OPTIONS_DONE;
}

#define STRAY_ARGUMENT                                                                             \
    "stray argument %s: signpostd takes options, or the command backup FILE; see --help"

static const struct option *find_option(const char *argument, struct fault *ret_fault)
{
    char quoted[QUOTE_SIZE];
    char name[OPTION_NAME_CHARS + 2] = "";
    size_t dashes = strspn(argument, "-");
    size_t length = strcspn(argument + dashes, "=");

    memcpy(name, argument + dashes, length < sizeof name ? length : sizeof name - 1);
    for (size_t i = 0; i < OPTIONS_COUNT && dashes == 2; i++)
        if (!strcmp(name, options_table[i].name))
            return &options_table[i];
    quote_text(argument, quoted);
    const struct option *meant = options_nearest(options_table, OPTIONS_COUNT, name);
    if (!length)
        fault_set(ret_fault, ERROR_BAD_REQUEST, STRAY_ARGUMENT, quoted);
    else if (meant)
        fault_set(ret_fault, ERROR_BAD_REQUEST, "unknown option %s: did you mean --%s?", quoted,
            meant->name);
    else
        fault_set(ret_fault, ERROR_BAD_REQUEST, "unknown option %s: see --help", quoted);
    return NULL;
}

/* What is no option: the one command that there is, and what it takes. */
static bool take_word(struct parse *parse, const char *word)
{
    char quoted[QUOTE_SIZE];

    if (!parse->backup && !strcmp(word, "backup")) {
        parse->backup = true;
    } else if (parse->backup && !parse->options.backup_to && *word) {
        parse->options.backup_to = word;
    } else {
        fault_set(parse->fault, ERROR_BAD_REQUEST, STRAY_ARGUMENT, quote_text(word, quoted));
        return false;
    }
    return true;
}

static enum options_verdict take_arguments(struct parse *parse, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *argument = strcmp(argv[i], "-h") != 0 ? argv[i] : "--help";
        if (argument[0] != '-') {
            if (!take_word(parse, argument))
                return OPTIONS_WRONG;
            continue;
        }
        const struct option *option = find_option(argument, parse->fault);
        if (!option)
            return OPTIONS_WRONG;
        char where[OPTION_NAME_CHARS + 3];
        snprintf(where, sizeof where, "--%s", option->name);
        const char *value = strchr(argument, '=');
        value = value ? value + 1 : NULL;
        if (!option->read)
            return print_and_leave(option, value, parse->fault);
        if (!value && !option->metavar)
            value = "yes";
        if (!value && (i + 1 == argc || !strncmp(argv[i + 1], "--", 2))) {
            fault_set(
                parse->fault, ERROR_BAD_REQUEST, "%s needs a value: %s", where, option->expected);
            return OPTIONS_WRONG;
        }
        if (!value)
            value = argv[++i];
        if (!take_value(parse, option, where, value))
            return OPTIONS_WRONG;
        parse->given[option - options_table] = true;
    }
    if (parse->backup && !parse->options.backup_to) {
        fault_set(parse->fault, ERROR_BAD_REQUEST,
            "backup needs the name of the file to make: signpostd backup FILE");
        return OPTIONS_WRONG;
    }
    return OPTIONS_RUN;
}

/* Without join keys whoever reaches the index may use it; that has to be said aloud. */
static bool check_open(struct parse *parse)
{
    const struct options *options = &parse->options;

    if (options->keys && options->open) {
        fault_set(parse->fault, ERROR_BAD_REQUEST,
            "--keys lets in only who has a key, --open lets in everyone: give one of the two");
        return false;
    }
    if (options->open || options->keys || options->healthcheck) /* which lets nobody in */
        return true;
    for (size_t i = 0; i < options->listen_count; i++) {
        const struct address *address = &options->listen[i].address;
        char text[ADDRESS_TEXT_SIZE];
        bool ipv6 = address->family == 6;
        if (address_classify(address) == ADDRESS_LOOPBACK)
            continue;
        fault_set(parse->fault, ERROR_BAD_REQUEST,
            "%s%s%s:%u is not loopback: without join keys the index is open to anyone, so it "
            "listens on loopback only; give --keys, or --open to allow it",
            ipv6 ? "[" : "", address_format(address, text), ipv6 ? "]" : "",
            (unsigned)options->listen[i].port);
        return false;
    }
    return true;
}

/* A certificate is of no use without its key, nor HTTPS without both. */
static bool check_tls(struct parse *parse)
{
    struct options *options = &parse->options;

    if (!options->tls_cert != !options->tls_key) {
        fault_set(parse->fault, ERROR_BAD_REQUEST, "--tls-%s needs --tls-%s: HTTPS takes both",
            options->tls_cert ? "cert" : "key", options->tls_cert ? "key" : "cert");
        return false;
    }
    for (size_t i = 0; i < options->listen_count; i++) {
        struct listen_http *listen = &options->listen[i];
        if (listen->scheme == LISTEN_HTTPS && !options->tls_cert) {
            fault_set(parse->fault, ERROR_BAD_REQUEST,
                "--listen https://... needs --tls-cert and --tls-key");
            return false;
        }
        if (listen->scheme == LISTEN_AS_CAN_BE)
            listen->scheme = options->tls_cert ? LISTEN_HTTPS : LISTEN_HTTP;
    }
    return true;
}

/* TURN servers and the secret for them are of no use without each other. */
static bool check_turn(struct parse *parse)
{
    const struct options *options = &parse->options;

    if (!options->turn_uri_count == !options->turn_secret_file)
        return true;
    if (options->turn_uri_count)
        fault_set(parse->fault, ERROR_BAD_REQUEST,
            "--turn-uri needs --turn-secret-file: the file with the secret that the TURN servers "
            "share with this index");
    else
        fault_set(parse->fault, ERROR_BAD_REQUEST,
            "--turn-secret-file needs --turn-uri: the TURN servers that the secret is for");
    return false;
}

enum options_verdict options_parse(
    int argc, char **argv, struct options *ret_options, struct fault *ret_fault)
{
    struct parse parse = {.fault = ret_fault};

    lists_length = 0;
    enum options_verdict verdict = take_arguments(&parse, argc, argv);
    if (verdict != OPTIONS_RUN)
        return verdict;
    if (!take_environment(&parse) || !take_defaults(&parse))
        return OPTIONS_WRONG;
    /* A backup takes the database alone. */
    if (!parse.backup && (!check_open(&parse) || !check_tls(&parse) || !check_turn(&parse)))
        return OPTIONS_WRONG;
    *ret_options = parse.options;
    return OPTIONS_RUN;
}

void options_warn_environment(void)
{
    environment_warn(options_table, OPTIONS_COUNT);
}
