#include "args.h"
#include "cli.h"
#include "json.h"
#include "out.h"
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHITE_SPACE " \t\r\n"

struct sending {
    const struct settings *settings;
    struct run *run;
    const char *peer, *body;
    size_t body_size;
};

static void print_sent(const struct sending *sending, const char *id, const char *how)
{
    if (!sending->settings->json) {
        puts(how);
        return;
    }
    fputs("{\"id\": ", stdout);
    json_put_text(stdout, id);
    fputs(", \"to\": ", stdout);
    json_put_text(stdout, sending->peer);
    printf(", \"state\": \"%s\"}\n", how);
}

/* Also comes when the run ends, with STOPPED; the reason for the end was told by then. */
static void on_sent(
    signpost_t *client, const char *id, signpost_delivery_t delivery, int error, void *user)
{
    const struct sending *sending = user;

    (void)client;
    switch (delivery) {
    case SIGNPOST_HANDED: print_sent(sending, id, "handed"); break;
    case SIGNPOST_QUEUED: print_sent(sending, id, "queued"); break;
    case SIGNPOST_FAILED:
        if (error != SIGNPOST_ERROR_STOPPED)
            out_error("%s: %s", sending->peer, signpost_strerror(error));
        break;
    }
    run_flush(sending->run);
    run_end(sending->run, cli_exit_of(delivery == SIGNPOST_FAILED ? error : SIGNPOST_OK));
}

static void on_ready(struct run *run, void *state)
{
    struct sending *sending = state;
    const struct settings *settings = sending->settings;

    sending->run = run;
    int error = signpost_send(run_signpost(run), sending->peer, settings->session, settings->type,
        sending->body, sending->body_size, settings->ttl_s, NULL, on_sent, sending);
    if (!error)
        return;
    out_error("%s: %s", sending->peer, signpost_strerror(error));
    run_end(run, cli_exit_of(error));
}

static int on_late(struct run *run, void *state)
{
    const struct sending *sending = state;

    (void)run;
    out_error("%s: no index took the message within %g s", sending->peer,
        sending->settings->timeout_ms / 1000.0);
    return CLI_UNREACHABLE;
}

/* --- the body -------------------------------------------------------------------------------- */

/* Up to the end of stdin, or until it is too large in any case. */
static int read_stdin(char ret_text[CLI_BODY_BYTES + 2], size_t *ret_size)
{
    size_t size = 0;

    if (isatty(STDIN_FILENO))
        out_progress("the JSON body, ended by Ctrl-D:\n");
    while (size <= CLI_BODY_BYTES) {
        ssize_t got = read(STDIN_FILENO, ret_text + size, CLI_BODY_BYTES + 1 - size);
        if (got < 0 && errno != EINTR) {
            out_error("stdin: %s", strerror(errno));
            return CLI_FAILURE;
        }
        if (got == 0)
            break;
        size += got > 0 ? (size_t)got : 0;
    }
    *ret_size = size;
    return CLI_OK;
}

static int check_body(struct sending *sending)
{
    char reason[JSON_REASON_SIZE];

    while (sending->body_size && memchr(WHITE_SPACE, *sending->body, sizeof WHITE_SPACE - 1)) {
        sending->body++;
        sending->body_size--;
    }
    while (sending->body_size &&
           memchr(WHITE_SPACE, sending->body[sending->body_size - 1], sizeof WHITE_SPACE - 1))
        sending->body_size--;
    if (sending->body_size > CLI_BODY_BYTES) {
        out_error("the body is larger than %d bytes", CLI_BODY_BYTES);
        return CLI_USAGE;
    }
    if (!json_check(sending->body, sending->body_size, false, reason)) {
        out_error("the body is not JSON (%s); a string needs its quotes, as '\"hello\"'", reason);
        return CLI_USAGE;
    }
    return CLI_OK;
}

static int run_send(const struct settings *settings)
{
    static const struct task task = {
        .ends = true, .has_identity = true, .ready = on_ready, .late = on_late};
    static char text[CLI_BODY_BYTES + 2];
    signpost_config_t config = {.no_mailbox = true, .shared = true, .unlisted = true};
    struct sending sending = {.settings = settings, .peer = settings->arguments[0], .body = text};
    const char *name;
    int code = CLI_OK;

    if (!args_read_name(sending.peer, &name)) {
        out_error("\"%s\" is no id of a peer: 1 to 64 of A-Z a-z 0-9 . _ -", sending.peer);
        return CLI_USAGE;
    }
    if (settings->argument_count > 1 && strcmp(settings->arguments[1], "-") != 0) {
        sending.body = settings->arguments[1];
        sending.body_size = strlen(sending.body);
    } else {
        code = read_stdin(text, &sending.body_size);
    }
    if (!code)
        code = check_body(&sending);
    return code ? code : run_client(settings, &config, &task, &sending);
}

static bool read_type(const char *value, void *field)
{
    size_t length = strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789._-");

    if (!length || length > CLI_TYPE_CHARS || value[length] || !strcmp(value, "undeliverable"))
        return false;
    *(const char **)field = value;
    return true;
}

static bool read_ttl(const char *value, void *field)
{
    return args_read_number(value, 1, 600, field);
}

static const struct option options[] = {
    {"type", "TYPE", read_type, ARGS_FIELD(type), .standard = "message",
        .expected = "1 to 32 of a-z 0-9 . _ -, and not \"undeliverable\"",
        .help = "What kind of message it is: a word of the application's."},
    {"session", "ID", args_read_name, ARGS_FIELD(session),
        .expected = "1 to 64 of A-Z a-z 0-9 . _ -",
        .help = "The session that it belongs to. Without it, none."},
    {"ttl", "SECONDS", read_ttl, ARGS_FIELD(ttl_s),
        .expected = "a whole number of seconds from 1 to 600",
        .help = "How long the message may wait for its reader. Without it, 5 for the types knock "
                "and ready, 10 for offer and answer, 30 for others."},
    {0},
};

const struct command cmd_send = {
    .name = "send",
    .usage = "PEER [--type TYPE] [--session ID] [--ttl SECONDS] [BODY|-]",
    .summary = "Send a message to a peer.",
    .help =
        "The body is JSON, of at most 64 KiB: an argument, or from stdin. Prints \"handed\" where\n"
        "the peer was waiting for it, and \"queued\" where it is in the peer's mailbox now.",
    .options = options,
    .least_arguments = 1,
    .most_arguments = 2,
    .run = run_send,
};
