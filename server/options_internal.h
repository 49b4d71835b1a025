/* What options.c (the table, and values by it), options_help.c (--help, the nearest name) and
 * environment.c (variables that nobody knows) share. */
#ifndef SIGNPOST_OPTIONS_INTERNAL_H
#define SIGNPOST_OPTIONS_INTERNAL_H

#include "options.h"
#include "values.h"

#define OPTION_NAME_CHARS 40 /* of an option's name, without the dashes */
#define OPTION_VARIABLE_PREFIX "SIGNPOST_"
#define OPTION_VARIABLE_SIZE (OPTION_NAME_CHARS + 16)

struct option {
    const char *name;
    const char *metavar;  /* NULL: a flag */
    value_read read;      /* NULL: prints something, and has no environment variable */
    size_t field;         /* where in struct options; of a list, the array */
    size_t count;         /* of a list, where its count is; else 0 */
    size_t size;          /* of a list, of one element */
    const char *standard; /* the default, as one would give it; NULL: none */
    const char *expected; /* what a value has to be */
    const char *help;
};

/* The name of the option's environment variable. */
void option_variable(const struct option *option, char ret_name[OPTION_VARIABLE_SIZE]);

void options_print_help(const struct option *table, size_t count);

/* The option that was meant, or NULL: one of which the name is the beginning, or one that differs
 * in no more than a third of its letters. */
const struct option *options_nearest(const struct option *table, size_t count, const char *name);

/* A line in the log for each variable that begins as those of the options do and is none. */
void environment_warn(const struct option *table, size_t count);

#endif
