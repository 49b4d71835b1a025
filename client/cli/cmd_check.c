#include "args.h"
#include "cli.h"
#include "identity.h"
#include "json.h"
#include "out.h"
#include "signpost.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#define MAPPED_MORE_MS 15000 /* so much longer a check takes that makes a mapping first */

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};
#define SIGNALS (sizeof ending_signals / sizeof *ending_signals)

struct checking {
    const struct settings *settings;
    uv_loop_t loop;
    uv_signal_t signals[SIGNALS];
    uv_timer_t deadline;
    signpost_check_t *check;
    uint64_t began_ms;
    bool reported;
    bool ending;
    int code;
};

/* --- the end --------------------------------------------------------------------------------- */

static void closed(void *user)
{
    struct checking *checking = user;

    for (size_t i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&checking->signals[i], NULL);
    uv_close((uv_handle_t *)&checking->deadline, NULL);
}

static void end(struct checking *checking, int code)
{
    if (checking->ending)
        return;
    checking->ending = true;
    checking->code = code;
    out_progress_end();
    /* Without its handle a signal has its usual effect again: a second Ctrl-C does not wait. */
    for (size_t i = 0; i < SIGNALS; i++)
        uv_signal_stop(&checking->signals[i]);
    uv_timer_stop(&checking->deadline);
    signpost_check_close(checking->check, closed, checking);
}

/* Once there is a verdict, what ends is the mapping that was kept. */
static void on_signal(uv_signal_t *handle, int number)
{
    struct checking *checking = handle->data;
    end(checking, checking->reported ? checking->code : 128 + number);
}

static void on_deadline(uv_timer_t *timer)
{
    struct checking *checking = timer->data;

    out_error("the check did not end in time: give it more with --timeout");
    end(checking, CLI_LATER);
}

/* --- what is told ---------------------------------------------------------------------------- */

static void on_line(signpost_check_t *check, const char *line, void *user)
{
    struct checking *checking = user;

    (void)check;
    if (checking->settings->json || checking->settings->quiet)
        return;
    if (checking->settings->verbose)
        printf("%5.2f s  ", (double)(uv_now(&checking->loop) - checking->began_ms) / 1000);
    else
        fputs("  ", stdout);
    out_text(stdout, line, strlen(line));
    putchar('\n');
    fflush(stdout);
}

static enum out_style style_of(int verdict)
{
    switch (verdict) {
    case SIGNPOST_VERDICT_OPEN:
    case SIGNPOST_VERDICT_OTHER_PORT: return OUT_GREEN;
    case SIGNPOST_VERDICT_NOTHING_LISTENS:
    case SIGNPOST_VERDICT_RESTRICTED:
    case SIGNPOST_VERDICT_PUNCHABLE:
    case SIGNPOST_VERDICT_INCONCLUSIVE: return OUT_YELLOW;
    default: return OUT_RED;
    }
}

static void print_sentence(const char *before, const char *sentence)
{
    if (!*sentence)
        return;
    fputs(before, stdout);
    out_text(stdout, sentence, strlen(sentence));
    putchar('\n');
}

static void print_verdict(const struct checking *checking, const signpost_report_t *report)
{
    if (!checking->settings->quiet)
        putchar('\n');
    out_style(stdout, OUT_BOLD);
    out_style(stdout, style_of(report->verdict));
    fputs(signpost_verdict_name(report->verdict), stdout);
    out_style(stdout, OUT_PLAIN);
    putchar('\n');
    print_sentence("  ", report->why);
    print_sentence("  ", report->advice);
    if (*report->also && !checking->settings->quiet)
        puts("Besides:");
    for (size_t i = 0; report->also[i] && !checking->settings->quiet; i++)
        print_sentence("  ", report->also[i]);
}

static int code_of(const signpost_report_t *report)
{
    if (report->error)
        return cli_exit_of(report->error);
    return report->verdict;
}

static bool keeps(const struct checking *checking, const signpost_report_t *report)
{
    return checking->settings->map && !report->error &&
           (report->verdict == SIGNPOST_VERDICT_OPEN ||
               report->verdict == SIGNPOST_VERDICT_OTHER_PORT);
}

static void on_report(signpost_check_t *check, const signpost_report_t *report, void *user)
{
    struct checking *checking = user;
    int code = code_of(report);

    (void)check;
    uv_timer_stop(&checking->deadline);
    out_progress_end();
    if (checking->settings->json)
        puts(report->json);
    else if (!report->error)
        print_verdict(checking, report);
    if (report->error)
        out_error("nothing can be said of port %u: %s%s%s", checking->settings->port,
            signpost_strerror(report->error), *report->why ? ": " : "", report->why);
    if (report->publish_error) {
        out_error("not published: %s", report->publish_detail);
        code = code ? code : cli_exit_of(report->publish_error);
    } else if (checking->settings->publish && !report->error) {
        out_note("published in the node's record: %s", report->reach);
    }
    int flushed = out_flush();
    checking->reported = true;
    checking->code = code;
    if (flushed || !keeps(checking, report))
        end(checking, code ? code : flushed);
    else
        out_note("the mapping is kept until Ctrl-C");
}

/* --- the beginning --------------------------------------------------------------------------- */

static void start_handles(struct checking *checking)
{
    const struct settings *settings = checking->settings;
    uint64_t timeout_ms = settings->timeout_ms + (settings->map ? MAPPED_MORE_MS : 0u);

    for (size_t i = 0; i < SIGNALS; i++) {
        uv_signal_init(&checking->loop, &checking->signals[i]);
        checking->signals[i].data = checking;
        uv_signal_start(&checking->signals[i], on_signal, ending_signals[i]);
    }
    uv_timer_init(&checking->loop, &checking->deadline);
    checking->deadline.data = checking;
    uv_timer_start(&checking->deadline, on_deadline, timeout_ms, 0);
    checking->began_ms = uv_now(&checking->loop);
}

static int start_check(struct checking *checking, const char *key, const uint8_t *secret)
{
    const struct settings *settings = checking->settings;
    signpost_check_config_t config = {
        .indexes = settings->index.items,
        .key = *key ? key : NULL,
        .ca_file = settings->ca_file,
        .port = (uint16_t)settings->port,
        .tcp = settings->all || !settings->udp,
        .udp = settings->all || settings->udp,
        .no_listen = settings->no_listen,
        .thorough = settings->all,
        .map = settings->map,
        .stun_servers = settings->stun_server.items,
        .publish = settings->publish,
        .secret = settings->publish ? secret : NULL,
        .on_line = on_line,
        .on_report = on_report,
        .user = checking,
    };
    int error = signpost_check(&checking->loop, &config, &checking->check);

    if (error)
        out_error("the check does not start: %s", signpost_strerror(error));
    return cli_exit_of(error);
}

static int run_check(const struct settings *settings)
{
    struct checking checking = {.settings = settings};
    uint8_t secret[SIGNPOST_SECRET_SIZE] = {0};
    char key[IDENTITY_KEY_SIZE];

    if (!settings->port) {
        out_error("check: which port? Name it with --port, as --port 50051");
        return CLI_USAGE;
    }
    int code = identity_read_key(settings, key);
    if (!code && settings->publish)
        code = identity_read_secret(settings, secret);
    if (code)
        return code;
    if (uv_loop_init(&checking.loop)) {
        out_error("no event loop");
        return CLI_SYSTEM;
    }
    start_handles(&checking);
    if (!settings->json && !settings->quiet)
        printf("Checking port %u with %s\n", settings->port, settings->index.items[0]);
    fflush(stdout);
    code = start_check(&checking, key, secret);
    if (code)
        closed(&checking);
    else
        out_progress("asking the index ...");
    uv_run(&checking.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&checking.loop); /* every handle is closed: that is how uv_run() ended */
    return code ? code : checking.code;
}

static bool read_port(const char *value, void *field)
{
    return args_read_number(value, 1, 65535, field);
}

static bool read_protocol(const char *value, void *field)
{
    *(bool *)field = !strcmp(value, "udp");
    return *(bool *)field || !strcmp(value, "tcp");
}

static const struct option options[] = {
    {"port", "PORT", read_port, ARGS_FIELD(port), .expected = "a port from 1 to 65535",
        .help = "The port to check."},
    {"protocol", "tcp|udp", read_protocol, ARGS_FIELD(udp), .standard = "tcp",
        .expected = "tcp or udp", .help = "What is spoken there."},
    {"no-listen", ARGS_FLAG, ARGS_FIELD(no_listen),
        .help = "Do not listen on the port: the program that is to be reached holds it."},
    {"map", ARGS_FLAG, ARGS_FIELD(map),
        .help = "Ask the router for a port mapping first (PCP, NAT-PMP, UPnP), and keep it until "
                "Ctrl-C."},
    {"all", ARGS_FLAG, ARGS_FIELD(all),
        .help = "TCP and UDP, and to the end of every test, also where the port is open."},
    {"publish", ARGS_FLAG, ARGS_FIELD(publish),
        .help = "Write what is proved into the record (reach) of this identity's node, which is "
                "registered."},
    {"stun-server", "HOST:PORT", args_read_text, ARGS_FIELD(stun_server), .most = 4,
        .expected = "a STUN server, as stun.example.org:3478",
        .help = "Ask this STUN server too; one of RFC 5780 tells of the NAT's filtering. "
                "Repeatable."},
    {0},
};

const struct command cmd_check = {
    .name = "check",
    .usage = "--port PORT [--protocol tcp|udp] [--no-listen] [--map] [--all]",
    .summary = "Tell whether others can reach a port of this machine, and if not, why.",
    .help = "The index dials back, while this command listens on the port. A line for each\n"
            "test, then the verdict, why, and what to do. The exit status is the verdict's:\n"
            "  0   open                    16  double NAT (a second router)\n"
            "  10  nothing listening       17  address mismatch (a VPN, another uplink)\n"
            "  11  rejected                18  restricted (only whom you contacted gets in)\n"
            "  12  filtered (no answer)    20  punchable (UDP between peers should work)\n"
            "  13  mapped elsewhere        21  symmetric (UDP between peers hardly works)\n"
            "  14  other external port     22  UDP blocked\n"
            "  15  CGNAT                   30  inconclusive\n"
            "Where nothing can be tested it is one of every command: 69 no index, 75 too\n"
            "often, ...",
    .options = options,
    .run = run_check,
};
