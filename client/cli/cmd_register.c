#include "args.h"
#include "cli.h"
#include "json.h"
#include "out.h"
#include "peers.h"
#include "run.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void on_index(struct run *run, const signpost_index_status_t *status, void *state)
{
    const struct settings *settings = state;
    const char *id = signpost_id(run_signpost(run));

    if (status->state != SIGNPOST_INDEX_READY || (settings->quiet && !settings->json))
        return;
    if (settings->json) {
        fputs("{\"event\": \"registered\", \"id\": ", stdout);
        json_put_text(stdout, id);
        fputs(", \"index\": ", stdout);
        json_put_text(stdout, status->url);
        fputs(", \"observed\": ", stdout);
        json_put_text(stdout, status->observed);
        puts("}");
    } else {
        out_style(stdout, OUT_GREEN);
        fputs("registered", stdout);
        out_style(stdout, OUT_PLAIN);
        printf(" %s at %s", id, status->url);
        if (*status->observed) {
            fputs(", seen as ", stdout);
            out_text(stdout, status->observed, SIZE_MAX);
        }
        putchar('\n');
    }
    run_flush(run);
}

static void on_peer(
    struct run *run, signpost_peer_event_t event, const signpost_peer_t *peer, void *state)
{
    static const enum out_style styles[] = {
        [SIGNPOST_PEER_UP] = OUT_GREEN,
        [SIGNPOST_PEER_CHANGED] = OUT_YELLOW,
        [SIGNPOST_PEER_DOWN] = OUT_RED,
    };
    const struct settings *settings = state;

    if (!settings->verbose)
        return;
    if (settings->json) {
        printf("{\"event\": \"%s\", ", peers_event_name(event));
        json_put_peer(stdout, peer);
        puts("}");
    } else {
        out_style(stdout, styles[event]);
        printf("%-7s", peers_event_name(event));
        out_style(stdout, OUT_PLAIN);
        putchar(' ');
        out_text(stdout, peer->id, SIZE_MAX);
        for (size_t i = 0; i < peer->endpoint_count; i++) {
            putchar(' ');
            out_text(stdout, peer->endpoints[i], SIZE_MAX);
        }
        puts(peer->stale ? " (stale)" : "");
    }
    run_flush(run);
}

/* What the index would refuse only after a round trip, with less to say about it. */
static int check_meta(const char *meta)
{
    char reason[JSON_REASON_SIZE];

    if (!meta)
        return CLI_OK;
    if (strlen(meta) > CLI_META_BYTES) {
        out_error("--meta: more than %d bytes", CLI_META_BYTES);
        return CLI_USAGE;
    }
    if (!json_check(meta, strlen(meta), true, reason)) {
        out_error("--meta is not a JSON object: %s", reason);
        return CLI_USAGE;
    }
    return CLI_OK;
}

static int run_register(const struct settings *settings)
{
    static const struct task task = {.has_identity = true, .index = on_index, .peer = on_peer};
    struct settings copy = *settings;
    signpost_config_t config = {
        .endpoints = settings->endpoint.items,
        .meta = settings->meta,
        .ttl_s = settings->ttl_s,
        .unlisted = settings->unlisted,
        .no_mailbox = true,
    };
    int code = check_meta(settings->meta);

    return code ? code : run_client(settings, &config, &task, &copy);
}

static bool read_endpoint(const char *value, void *field)
{
    const char *host = strstr(value, "://");

    if (!host || host == value || !strchr(host + 3, ':') || strpbrk(value, " \t\r\n"))
        return false;
    *(const char **)field = value;
    return true;
}

static bool read_ttl(const char *value, void *field)
{
    return args_read_number(value, 5, 7200, field);
}

static const struct option options[] = {
    {"endpoint", "URL", read_endpoint, ARGS_FIELD(endpoint), .most = CLI_ENDPOINTS_MAX,
        .expected = "scheme://host:port, as grpc://:50051",
        .help = "Where this node takes connections, as scheme://host:port. An empty host is the "
                "address that the index sees. Repeatable."},
    {"meta", "JSON", args_read_text, ARGS_FIELD(meta), .expected = "a JSON object",
        .help = "An object for people and filters, of at most 4096 bytes."},
    {"ttl", "SECONDS", read_ttl, ARGS_FIELD(ttl_s), .standard = "30",
        .expected = "a whole number of seconds from 5 to 7200",
        .help = "How long the node stays listed without a sign of life."},
    {"unlisted", ARGS_FLAG, ARGS_FIELD(unlisted),
        .help = "Be in no list: only who knows the id can send to this node."},
    {0},
};

const struct command cmd_register = {
    .name = "register",
    .usage = "[--endpoint URL]... [--meta JSON] [--ttl SECONDS] [--unlisted]",
    .summary = "Keep a node registered until Ctrl-C, then leave.",
    .help = "While an index is away it goes on trying. The messages for the node are left to\n"
            "\"signpost recv\". With --verbose it also tells of the peers that come and go.",
    .options = options,
    .run = run_register,
};
