/*
 * The command line and the environment. One table of options for all commands and one for each
 * drive parsing, the environment's names and the help.
 */
#ifndef SIGNPOST_CLI_ARGS_H
#define SIGNPOST_CLI_ARGS_H

#include "cli.h"

#include <stdbool.h>
#include <stddef.h>

#define ARGS_NAME_CHARS 32 /* of an option or a command; a longer word is neither */
#define ARGS_VARIABLE_SIZE (sizeof "SIGNPOST_" + ARGS_NAME_CHARS)

/* Stores the value, which lasts; false where it is none. */
typedef bool (*args_read)(const char *value, void *field);

struct option {
    const char *name;     /* without the dashes; NULL ends a table */
    const char *metavar;  /* NULL: a flag */
    args_read read;       /* of a list, for one value */
    size_t field;         /* where in struct settings */
    size_t most;          /* values of a list; 0: no list */
    const char *standard; /* the default, as one would give it; NULL: none */
    const char *expected; /* what a value has to be */
    const char *help;     /* a sentence, with its unit */
};

#define ARGS_FIELD(name) .field = offsetof(struct settings, name)
#define ARGS_FLAG .read = args_read_flag, .expected = "1, true, yes, 0, false or no"

extern const struct option args_common[]; /* those of every command */

/* What options hold. */
bool args_read_flag(const char *value, void *field); /* bool */
bool args_read_text(const char *value, void *field); /* const char *, not empty */
bool args_read_name(const char *value, void *field); /* const char *: an id, network or session */
bool args_read_seconds(const char *value, void *field); /* unsigned, in ms */

/* A whole number from `least` to `most`, for an args_read of a command's own. */
bool args_read_number(const char *value, unsigned least, unsigned most, unsigned *ret_number);

/* The environment variable of an option of every command. */
void args_variable(const struct option *option, char ret_name[ARGS_VARIABLE_SIZE]);

/* An enum cli_exit; where it is not CLI_OK, the reason was written to stderr. `ret_command` is NULL
 * where none was named. */
int args_parse(
    int argc, char **argv, struct settings *ret_settings, const struct command **ret_command);

/* The command that was meant by `word`, or NULL. */
const struct command *args_nearest_command(const char *word);

#endif
