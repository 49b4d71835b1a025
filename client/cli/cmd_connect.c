#include "args.h"
#include "cli.h"
#include "out.h"
#include "relay.h"
#include "run.h"

#include <string.h>

struct connecting {
    const struct settings *settings;
    struct run *run;
    const char *peer;
    int fd; /* -1: none yet */
};

static void on_connected(signpost_t *client, const char *peer, int error, const char *reason,
    const signpost_connection_t *connection, void *user)
{
    struct connecting *connecting = user;

    (void)client;
    if (error) {
        if (error != SIGNPOST_ERROR_STOPPED)
            out_error("%s: %s", peer, reason);
        run_end(connecting->run, cli_exit_of(error));
        return;
    }
    connecting->fd = connection->fd;
    relay_tell(connecting->settings, connection);
    run_end(connecting->run, CLI_OK); /* the index is not needed any more */
}

static void on_ready(struct run *run, void *state)
{
    struct connecting *connecting = state;
    const struct settings *settings = connecting->settings;
    signpost_t *client = run_signpost(run);
    int error = SIGNPOST_OK;

    connecting->run = run;
    if (!strcmp(signpost_id(client), connecting->peer)) {
        out_error("%s is this node itself: name another with --id", connecting->peer);
        run_end(run, CLI_USAGE);
        return;
    }
    out_progress("connecting to %s ...", connecting->peer);
    if (!settings->scheme) /* so that the peer can dial us, where we cannot dial it */
        error = signpost_listen(client, NULL, 0, NULL, NULL);
    if (!error)
        error = signpost_connect(
            client, connecting->peer, settings->scheme, on_connected, connecting, NULL);
    if (!error)
        return;
    out_error("%s: %s", connecting->peer, signpost_strerror(error));
    run_end(run, cli_exit_of(error));
}

static int run_connect(const struct settings *settings)
{
    /* Unless it is to be a certain node it is one of its own, so that it takes no messages from
     * another command. */
    struct task task = {
        .ends = true,
        .patient = true,
        .has_identity = settings->id || settings->secret_file,
        .ready = on_ready,
    };
    signpost_config_t config = {.unlisted = true};
    struct connecting connecting = {.settings = settings, .peer = settings->arguments[0], .fd = -1};
    const char *name;

    if (!args_read_name(connecting.peer, &name)) {
        out_error("\"%s\" is no id of a peer: 1 to 64 of A-Z a-z 0-9 . _ -", connecting.peer);
        return CLI_USAGE;
    }
    int code = run_client(settings, &config, &task, &connecting);
    if (connecting.fd < 0)
        return code;
    int relayed = relay_run(connecting.fd);
    return relayed ? relayed : code;
}

static bool read_scheme(const char *value, void *field)
{
    size_t length = strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789+.-");

    if (!length || length > 32 || value[length])
        return false;
    *(const char **)field = value;
    return true;
}

static const struct option options[] = {
    {"scheme", "SCHEME", read_scheme, ARGS_FIELD(scheme),
        .expected = "the scheme of an endpoint, as grpc",
        .help = "Connect to the peer's endpoint of that scheme, as it is. Without it, to a peer "
                "that runs \"signpost listen\" or libsignpost, which proves who it is."},
    {0},
};

const struct command cmd_connect = {
    .name = "connect",
    .usage = "PEER [--scheme SCHEME]",
    .summary = "Join stdin and stdout with a peer, directly.",
    .help =
        "Tries the peer's addresses side by side, and where none leads there asks it to dial this\n"
        "node. Tells the path that was found: \"direct\", \"lan\" or \"reversed\". Each end of\n"
        "input is passed on, while the other direction goes on. --timeout is for the index only.",
    .options = options,
    .least_arguments = 1,
    .most_arguments = 1,
    .run = run_connect,
};
