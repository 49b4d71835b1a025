/* What the parts of the command share: its settings, its subcommands, its exit codes. */
#ifndef SIGNPOST_CLI_CLI_H
#define SIGNPOST_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

/* X(NAME, code, text): numbers of sysexits.h where one fits. Scripts rely on them: none changes. */
#define CLI_EXITS(X)                                                                               \
    X(OK, 0, "it went well")                                                                       \
    X(FAILURE, 1, "another failure")                                                               \
    X(USAGE, 64, "the command was used wrongly")                                                   \
    X(UNKNOWN_PEER, 66, "no index knows that peer now")                                            \
    X(PEER_REFUSED, 67, "the peer does not want the connection")                                   \
    X(NO_PATH, 68, "no way to the peer was found")                                                 \
    X(UNREACHABLE, 69, "no index could be reached, or none in time")                               \
    X(REPLACED, 70, "another process runs under this identity")                                    \
    X(SYSTEM, 71, "the system has no memory, no random numbers, or not that port")                 \
    X(OUTPUT, 74, "the output could not be written")                                               \
    X(LATER, 75, "busy, limited, or nothing came in time: try again later")                        \
    X(PROTOCOL, 76, "what answered is not a Signpost index")                                       \
    X(REFUSED, 77, "the index refused: the key is wrong, or the id is someone else's")             \
    X(CONFIG, 78, "a key, secret or CA file cannot be used")

enum cli_exit {
#define X(name, code, text) CLI_##name = code,
    CLI_EXITS(X)
#undef X
};

/* The code for an enum signpost_error. */
int cli_exit_of(int error);

#define CLI_LIST_MAX 16      /* values of a repeatable option; the library takes as many indexes */
#define CLI_ARGUMENTS_MAX 4  /* that are no options */
#define CLI_META_BYTES 4096  /* the index takes no more */
#define CLI_BODY_BYTES 65536 /* nor of a message */
#define CLI_ID_CHARS 64      /* also of a network and a session */
#define CLI_TYPE_CHARS 32    /* of a message's type */
#define CLI_URL_BYTES 255
#define CLI_ENDPOINTS_MAX 10
#define CLI_FILTERS_MAX 8

struct cli_list {
    const char *items[CLI_LIST_MAX + 1]; /* ended by NULL */
    size_t count;
};

/* Strings point into argv and the environment, or are static. NULL: not given. */
struct settings {
    /* of every command */
    struct cli_list index; /* never empty */
    const char *network;
    const char *key_file;
    const char *key; /* the environment's; NULL where there is a key file on the command line */
    const char *id;
    const char *secret_file;
    const char *ca_file;
    unsigned timeout_ms;
    bool json, quiet, verbose, help, version;
    /* of some */
    struct cli_list endpoint, filter, stun_server;
    const char *meta, *type, *session, *scheme;
    unsigned ttl_s, port; /* 0: not given */
    bool unlisted, watch, follow, operator_role;
    bool udp, no_listen, map, all, publish;
    /* what is no option, without the command's name */
    const char *arguments[CLI_ARGUMENTS_MAX];
    size_t argument_count;
};

struct option;

struct command {
    const char *name;
    const char *usage;   /* what follows the name */
    const char *summary; /* a line */
    const char *help;    /* what more there is to say, in lines of 80 columns; "" for nothing */
    const struct option *options; /* ended by one without a name */
    size_t least_arguments, most_arguments;
    int (*run)(const struct settings *settings); /* an enum cli_exit, or 128 + a signal */
};

extern const struct command cmd_register, cmd_list, cmd_watch, cmd_send, cmd_recv, cmd_listen,
    cmd_connect, cmd_check, cmd_key, cmd_help, cmd_version;

extern const struct command *const cli_commands[]; /* ended by NULL */
const struct command *cli_find_command(const char *name);

#endif
