#include "args.h"
#include "cli.h"
#include "out.h"
#include "relay.h"
#include "run.h"

#include <unistd.h>

struct listening {
    const struct settings *settings;
    struct run *run;
    bool told; /* that it listens */
    int fd;    /* -1: nobody has connected yet */
};

static void on_connection(signpost_t *client, const signpost_connection_t *connection, void *user)
{
    struct listening *listening = user;

    (void)client;
    if (listening->fd >= 0) {
        close(connection->fd);
        return;
    }
    listening->fd = connection->fd;
    relay_tell(listening->settings, connection);
    run_end(listening->run, CLI_OK); /* it leaves the index: it takes no other */
}

static void on_start(struct run *run, void *state)
{
    struct listening *listening = state;
    unsigned port = listening->settings->port;
    int error = signpost_listen(run_signpost(run), NULL, (uint16_t)port, on_connection, listening);

    listening->run = run;
    if (!error)
        return;
    out_error("port %u: %s", port, signpost_strerror(error));
    run_end(run, cli_exit_of(error));
}

static void on_index(struct run *run, const signpost_index_status_t *status, void *state)
{
    struct listening *listening = state;
    const signpost_t *client = run_signpost(run);

    if (status->state != SIGNPOST_INDEX_READY || listening->told)
        return;
    listening->told = true;
    out_note("%s listens on port %u, seen as %s", signpost_id(client), signpost_port(client),
        *status->observed ? status->observed : "an unknown address");
}

static int run_listen(const struct settings *settings)
{
    static const struct task task = {.has_identity = true, .start = on_start, .index = on_index};
    signpost_config_t config = {.unlisted = settings->unlisted};
    struct listening listening = {.settings = settings, .fd = -1};
    int code = run_client(settings, &config, &task, &listening);

    if (listening.fd < 0)
        return code;
    int relayed = relay_run(listening.fd);
    return relayed ? relayed : code;
}

static bool read_port(const char *value, void *field)
{
    return args_read_number(value, 1, 65535, field);
}

static const struct option options[] = {
    {"port", "PORT", read_port, ARGS_FIELD(port), .expected = "a port from 1 to 65535",
        .help = "The TCP port to listen on. Without it, one that is free."},
    {"unlisted", ARGS_FLAG, ARGS_FIELD(unlisted),
        .help = "Be in no list: only who knows the id can connect to this node."},
    {0},
};

const struct command cmd_listen = {
    .name = "listen",
    .usage = "[--port PORT] [--unlisted]",
    .summary = "Wait for a peer, and join stdin and stdout with it.",
    .help = "For \"signpost connect\" of another node. Takes one connection, and ends with it.\n"
            "Behind a router without a forwarded port it can still be reached by those it can\n"
            "reach itself.",
    .options = options,
    .run = run_listen,
};
