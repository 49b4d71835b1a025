/*
 * Many clients in one process, for restarts.py: who of them has an index, and since when.
 *
 *   client_herd URL CLIENTS NETWORK_NODES SPREAD_MS   so many in a network each; they start one
 *                                                     after the other within that time
 *
 * A line on stdout for each time that a client got ready or ceased to be: the time in seconds of
 * the monotonic clock, the client's number, 1 or 0. It ends with its stdin.
 */
#include "signpost.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct member {
    uv_timer_t timer;
    const char *const *indexes;
    unsigned number, network;
    bool ready;
};

static uv_loop_t *loop;

static void on_index(signpost_t *client, const signpost_index_status_t *status, void *user)
{
    struct member *member = user;
    bool ready = status->state == SIGNPOST_INDEX_READY;

    (void)client;
    if (ready == member->ready)
        return;
    member->ready = ready;
    printf("%.6f %u %d\n", (double)uv_hrtime() / 1e9, member->number, ready);
}

static void on_turn(uv_timer_t *timer)
{
    struct member *member = timer->data;
    char network[32];
    signpost_config_t config = {.indexes = member->indexes, .on_index = on_index, .user = member};
    signpost_t *client;

    snprintf(network, sizeof network, "herd-%u", member->network);
    config.network = network;
    int error = signpost_start(loop, &config, &client);
    if (!error)
        return;
    fprintf(stderr, "signpost_start: %s\n", signpost_strerror(error));
    exit(1);
}

static void on_input(uv_poll_t *input, int status, int events)
{
    char byte;

    (void)input, (void)events;
    if (status || read(STDIN_FILENO, &byte, 1) <= 0)
        exit(0);
}

int main(int argc, char **argv)
{
    uv_poll_t input;

    if (argc != 5) {
        fprintf(stderr, "usage: client_herd URL CLIENTS NETWORK_NODES SPREAD_MS\n");
        return 64;
    }
    const char *const indexes[] = {argv[1], NULL};
    unsigned clients = (unsigned)strtoul(argv[2], NULL, 10);
    unsigned nodes = (unsigned)strtoul(argv[3], NULL, 10);
    uint64_t spread_ms = strtoul(argv[4], NULL, 10);
    struct member *members = nodes ? calloc(clients, sizeof *members) : NULL;

    if (!members)
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    loop = uv_default_loop();
    for (unsigned i = 0; i < clients; i++) {
        members[i].indexes = indexes;
        members[i].number = i;
        members[i].network = i / nodes;
        uv_timer_init(loop, &members[i].timer);
        members[i].timer.data = &members[i];
        uv_timer_start(&members[i].timer, on_turn, spread_ms * i / clients, 0);
    }
    uv_poll_init(loop, &input, STDIN_FILENO);
    uv_poll_start(&input, UV_READABLE, on_input);
    uv_run(loop, UV_RUN_DEFAULT);
    free(members);
    return 0;
}
