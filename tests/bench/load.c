/*
 * A load generator for what wrk cannot do: replies that come when something happens, by as many
 * connections as a server has room for. It checks that each reply is a success, and prints one
 * object of JSON: times in microseconds, a list has a value for each round or sample. PID is the
 * server's, whose CPU time is taken.
 */
#include "load/loop.h"
#include "load/modes.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static const struct mode {
    const char *name, *words, *help;
    void (*run)(char **words);
} modes[] = {
    {"watchers", "PORT PID COUNT ROUNDS",
        "a change, heard by polls of the list; they stay parked until the input ends",
        mode_watchers},
    {"served", "PORT PID COUNT ROUNDS", "the yardstick: a request by each at once", mode_served},
    {"messages", "PORT PARKED SAMPLES", "an offer, heard by one of the mailboxes' readers",
        mode_messages},
    {"relay", "PORT PARKED SAMPLES", "likewise by PeerJS server, over its sockets", mode_relay},
    {"trips", "PORT SAMPLES TRIPS", "the yardstick: so many requests, one after the other",
        mode_trips},
    {"nodes", "PORT PID COUNT INTERVAL_S SECONDS",
        "heartbeats, each once in an interval; they stay until the input ends", mode_nodes},
    {"sockets", "PORT PID COUNT INTERVAL_S SECONDS", "likewise at PeerJS server", mode_sockets},
    {"beats", "PORT PID COUNT EACH SECONDS",
        "heartbeats to PeerJS server without a pause, every EACH followed by an offer to oneself",
        mode_beats},
};

#define MODES (sizeof modes / sizeof modes[0])

static size_t words_in(const char *text)
{
    size_t count = 1;

    for (; *text; text++)
        count += *text == ' ';
    return count;
}

int main(int argc, char **argv)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (const struct mode *mode = modes; argc > 1 && mode < modes + MODES; mode++) {
        if (strcmp(argv[1], mode->name) != 0 || (size_t)argc != 2 + words_in(mode->words))
            continue;
        loop_open();
        mode->run(argv + 2);
        return 0;
    }
    for (const struct mode *mode = modes; mode < modes + MODES; mode++)
        fprintf(stderr, "load %s %s\n    %s\n", mode->name, mode->words, mode->help);
    return 2;
}
