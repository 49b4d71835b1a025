/* The help, made from the tables that the command works by. */
#ifndef SIGNPOST_CLI_HELP_H
#define SIGNPOST_CLI_HELP_H

#include "cli.h"

#include <stdio.h>

void help_print(FILE *stream, const struct command *command); /* NULL: of all */
void help_print_json(FILE *stream);                           /* all there is, for programs */

#endif
