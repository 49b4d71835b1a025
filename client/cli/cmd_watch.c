#include "args.h"
#include "cli.h"
#include "json.h"
#include "peers.h"
#include "run.h"

#include <stdio.h>

static void on_peer(
    struct run *run, signpost_peer_event_t event, const signpost_peer_t *peer, void *state)
{
    (void)state;
    printf("{\"event\": \"%s\", ", peers_event_name(event));
    json_put_peer(stdout, peer);
    puts("}");
    run_flush(run);
}

static int run_watch(const struct settings *settings)
{
    static const struct task task = {.peer = on_peer};
    signpost_config_t config = {.watch_only = true, .filters = settings->filter.items};

    return run_client(settings, &config, &task, NULL);
}

static const struct option options[] = {
    PEERS_FILTER_OPTION,
    {0},
};

const struct command cmd_watch = {
    .name = "watch",
    .usage = "[--filter KEY=VALUE]...",
    .summary = "Write what happens to the peers, until Ctrl-C.",
    .help =
        "A line of JSON for each event: up (at first one for each peer that is there), changed\n"
        "and down. While an index is away its peers stay, as changed with \"stale\": true.",
    .options = options,
    .run = run_watch,
};
