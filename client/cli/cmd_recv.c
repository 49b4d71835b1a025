#include "args.h"
#include "cli.h"
#include "json.h"
#include "out.h"
#include "run.h"

#include <stdio.h>

/* What comes within this time of each other is one batch. Meanwhile the client's next poll has told
 * the index that the messages have arrived, so that none comes again. */
#define BATCH_MS 250

struct receiving {
    const struct settings *settings;
    bool has_come; /* something */
};

static void put_member(const char *name, const char *text)
{
    printf(", \"%s\": ", name);
    if (*text)
        json_put_text(stdout, text);
    else
        fputs("null", stdout);
}

static void came(struct run *run, struct receiving *receiving)
{
    receiving->has_come = true;
    run_flush(run);
    if (!receiving->settings->follow)
        run_after(run, BATCH_MS);
}

static void on_message(struct run *run, const signpost_message_t *message, void *state)
{
    fputs("{\"id\": ", stdout);
    json_put_text(stdout, message->id);
    put_member("from", message->from);
    put_member("from_address", message->from_address);
    put_member("session", message->session);
    put_member("type", message->type);
    fputs(", \"body\": ", stdout);
    json_put_json(stdout, message->body);
    puts("}");
    came(run, state);
}

/* As the index writes it, but for its id. */
static void on_undeliverable(struct run *run, const char *id, const char *to, const char *session,
    const char *type, int reason, void *state)
{
    fputs("{\"id\": null, \"from\": null, \"from_address\": null, \"session\": null, "
          "\"type\": \"undeliverable\", \"body\": {\"id\": ",
        stdout);
    json_put_text(stdout, id);
    put_member("to", to);
    put_member("session", session);
    put_member("type", type);
    put_member("reason", reason == SIGNPOST_ERROR_EXPIRED ? "expired" : "gone");
    puts("}}");
    came(run, state);
}

static void on_timer(struct run *run, void *state)
{
    (void)state;
    run_end(run, CLI_OK);
}

static void on_ready(struct run *run, void *state)
{
    const struct receiving *receiving = state;

    if (!receiving->settings->follow)
        out_progress("waiting for a message for %s ...", signpost_id(run_signpost(run)));
}

static int on_late(struct run *run, void *state)
{
    const struct receiving *receiving = state;

    (void)run;
    if (receiving->has_come)
        return CLI_OK;
    if (!receiving->settings->quiet)
        out_error("no message came within %g s", receiving->settings->timeout_ms / 1000.0);
    return CLI_LATER;
}

static int run_recv(const struct settings *settings)
{
    static const struct task once = {
        .ends = true,
        .has_identity = true,
        .ready = on_ready,
        .message = on_message,
        .undeliverable = on_undeliverable,
        .timer = on_timer,
        .late = on_late,
    };
    static const struct task always = {
        .has_identity = true,
        .message = on_message,
        .undeliverable = on_undeliverable,
    };
    signpost_config_t config = {.shared = true};
    struct receiving receiving = {.settings = settings};

    return run_client(settings, &config, settings->follow ? &always : &once, &receiving);
}

static const struct option options[] = {
    {"follow", ARGS_FLAG, ARGS_FIELD(follow),
        .help = "Go on until Ctrl-C, instead of ending after the first messages."},
    {0},
};

const struct command cmd_recv = {
    .name = "recv",
    .usage = "[--follow]",
    .summary = "Receive the messages for this node.",
    .help =
        "A line of JSON for each message: id, from, from_address, session, type, body. A message\n"
        "of this node's that nobody took comes back as one of type \"undeliverable\". Ends with\n"
        "75 where none came within --timeout.",
    .options = options,
    .run = run_recv,
};
