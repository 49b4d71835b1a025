#include "args.h"
#include "cli.h"
#include "help.h"
#include "out.h"
#include "signpost.h"

#include <stdio.h>

static int run_help(const struct settings *settings)
{
    const struct command *command = NULL;

    if (settings->argument_count) {
        command = cli_find_command(settings->arguments[0]);
        if (!command) {
            const struct command *meant = args_nearest_command(settings->arguments[0]);
            out_error("there is no command \"%s\"%s%s%s", settings->arguments[0],
                meant ? ": did you mean " : "", meant ? meant->name : "", meant ? "?" : "");
            return CLI_USAGE;
        }
    }
    if (settings->json)
        help_print_json(stdout);
    else
        help_print(stdout, command);
    return CLI_OK;
}

const struct command cmd_help = {
    .name = "help",
    .usage = "[COMMAND]",
    .summary = "Print what there is, or the help of a command.",
    .help = "",
    .most_arguments = 1,
    .run = run_help,
};

static int run_version(const struct settings *settings)
{
    printf(settings->json ? "{\"name\": \"signpost\", \"version\": \"%s\"}\n" : "signpost %s\n",
        signpost_version());
    return CLI_OK;
}

const struct command cmd_version = {
    .name = "version",
    .usage = "",
    .summary = "Print the version.",
    .help = "",
    .run = run_version,
};
