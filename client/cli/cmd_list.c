#include "args.h"
#include "cli.h"
#include "out.h"
#include "peers.h"
#include "run.h"

#include <stdio.h>

#define REDRAW_MS 100 /* changes that come together are drawn together */
#define OTHER_ROWS 4  /* of the screen: headings, what is left out, and two to spare */

struct list {
    const struct settings *settings;
    bool on_terminal;
    bool is_drawn;
    bool is_due;
    size_t peers;
};

static bool count(const signpost_peer_t *peer, void *user)
{
    (void)peer;
    ++*(size_t *)user;
    return true;
}

static void draw(struct run *run, struct list *list)
{
    size_t columns, rows, most_rows = 0, peers = 0;
    bool redraws = list->settings->watch && list->on_terminal && !list->settings->json;

    signpost_peers(run_signpost(run), count, &peers);
    if (redraws) {
        out_terminal_size(&columns, &rows);
        most_rows = rows > OTHER_ROWS ? rows - OTHER_ROWS : 1;
        fputs("\033[H\033[J", stdout);
    } else if (list->is_drawn && !list->settings->json) {
        putchar('\n');
    }
    if (list->settings->json)
        peers_print_json(run_signpost(run));
    else
        peers_print(run_signpost(run), list->on_terminal, most_rows);
    list->is_drawn = true;
    run_flush(run);
    if (!peers && out_is_terminal(stderr) && !list->settings->json)
        out_note("no peers%s", list->settings->filter.count ? " that fit" : "");
}

static void on_ready(struct run *run, void *state)
{
    struct list *list = state;

    draw(run, list);
    if (!list->settings->watch)
        run_end(run, CLI_OK);
}

static void on_peer(
    struct run *run, signpost_peer_event_t event, const signpost_peer_t *peer, void *state)
{
    struct list *list = state;

    (void)event;
    (void)peer;
    if (!list->is_drawn || list->is_due)
        return;
    list->is_due = true;
    run_after(run, REDRAW_MS);
}

static void on_timer(struct run *run, void *state)
{
    struct list *list = state;

    list->is_due = false;
    draw(run, list);
}

static int run_list(const struct settings *settings)
{
    static const struct task once = {.ends = true, .ready = on_ready};
    static const struct task again = {.ready = on_ready, .peer = on_peer, .timer = on_timer};
    signpost_config_t config = {.watch_only = true, .filters = settings->filter.items};
    struct list list = {.settings = settings, .on_terminal = out_is_terminal(stdout)};

    return run_client(settings, &config, settings->watch ? &again : &once, &list);
}

static const struct option options[] = {
    PEERS_FILTER_OPTION,
    {"watch", ARGS_FLAG, ARGS_FIELD(watch),
        .help = "Go on, and show the list anew whenever it changes, until Ctrl-C."},
    {0},
};

const struct command cmd_list = {
    .name = "list",
    .usage = "[--filter KEY=VALUE]... [--watch]",
    .summary = "Show the peers: id, age, endpoints, observed addresses, meta.",
    .help = "A table on a terminal; AGE is since it registered. Else a line for each peer: id,\n"
            "endpoints, observed addresses and meta, separated by tabs, several values in one by\n"
            "commas. With --json an array. Of several indexes it waits\n"
            "for all, but not longer than a second once the first has answered.",
    .options = options,
    .run = run_list,
};
