/* The command: libsignpost with a keyboard. Its table drives dispatch and help. */
#include "signpost.h"

#include "args.h"
#include "cli.h"
#include "help.h"
#include "out.h"

#include <signal.h>
#include <string.h>

const struct command *const cli_commands[] = {
    &cmd_register,
    &cmd_list,
    &cmd_watch,
    &cmd_send,
    &cmd_recv,
    &cmd_listen,
    &cmd_connect,
    &cmd_check,
    &cmd_key,
    &cmd_help,
    &cmd_version,
    NULL,
};

const struct command *cli_find_command(const char *name)
{
    for (size_t i = 0; cli_commands[i]; i++)
        if (!strcmp(cli_commands[i]->name, name))
            return cli_commands[i];
    return NULL;
}

int cli_exit_of(int error)
{
    switch ((enum signpost_error)error) {
    case SIGNPOST_OK: return CLI_OK;
    case SIGNPOST_ERROR_INVALID: return CLI_USAGE;
    case SIGNPOST_ERROR_NO_MEMORY:
    case SIGNPOST_ERROR_ADDRESS: return CLI_SYSTEM;
    case SIGNPOST_ERROR_NO_GATEWAY:
    case SIGNPOST_ERROR_NO_MAPPING: return CLI_FAILURE;
    case SIGNPOST_ERROR_STOPPED:
    case SIGNPOST_ERROR_CANCELLED: return CLI_FAILURE;
    case SIGNPOST_ERROR_UNREACHABLE:
    case SIGNPOST_ERROR_TIMEOUT:
    case SIGNPOST_ERROR_TLS: return CLI_UNREACHABLE;
    case SIGNPOST_ERROR_PROTOCOL: return CLI_PROTOCOL;
    case SIGNPOST_ERROR_REFUSED: return CLI_REFUSED;
    case SIGNPOST_ERROR_BUSY:
    case SIGNPOST_ERROR_EXPIRED:
    case SIGNPOST_ERROR_FULL: return CLI_LATER;
    case SIGNPOST_ERROR_UNKNOWN_PEER: return CLI_UNKNOWN_PEER;
    case SIGNPOST_ERROR_REPLACED: return CLI_REPLACED;
    case SIGNPOST_ERROR_NO_PATH: return CLI_NO_PATH;
    case SIGNPOST_ERROR_PEER_REFUSED: return CLI_PEER_REFUSED;
    }
    return CLI_FAILURE;
}

int main(int argc, char **argv)
{
    struct settings settings;
    const struct command *command = NULL;

    /* A reader that goes away is seen when its line is written, so that the node can still leave.
     */
    signal(SIGPIPE, SIG_IGN);
    int code = args_parse(argc, argv, &settings, &command);
    if (code)
        return code;
    out_set_quiet(settings.quiet);
    if (settings.version) {
        code = cmd_version.run(&settings);
    } else if (settings.help) {
        help_print(stdout, command);
    } else if (!command) {
        help_print(stderr, NULL);
        code = CLI_USAGE;
    } else {
        code = command->run(&settings);
    }
    int flushed = out_flush();
    return code ? code : flushed;
}
