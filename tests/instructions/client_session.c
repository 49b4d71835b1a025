/*
 * Two clients of one index that come to a session, for client.py:
 *
 *   client_session URL
 *
 * Says "ready" when each lists the other. Then, for each "c" on stdin, a calls b, which accepts;
 * "connected" when both ends are. For each "x" a hangs up; "ended" when both ends have.
 */
#include "signpost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct party {
    signpost_t *client;
    signpost_session_t *session;
    const char *peer;
    bool lists, connected;
};

static struct party a = {.peer = "b"}, b = {.peer = "a"};

static void check(int error, const char *what)
{
    if (!error)
        return;
    fprintf(stderr, "%s: %s\n", what, signpost_strerror(error));
    exit(1);
}

static void on_peer(
    signpost_t *client, signpost_peer_event_t event, const signpost_peer_t *peer, void *user)
{
    struct party *party = user;

    (void)client;
    if (event != SIGNPOST_PEER_UP || strcmp(peer->id, party->peer) != 0)
        return;
    party->lists = true;
    if (a.lists && b.lists)
        puts("ready");
}

static void on_call(signpost_session_t *session, void *user)
{
    (void)user;
    signpost_session_accept(session);
}

/* As long as a browser's with one data channel is, and one candidate. */
static void on_describe(
    signpost_session_t *session, unsigned generation, const char *offer, void *user)
{
    static char sdp[500];

    (void)generation, (void)offer, (void)user;
    memset(sdp, 'v', sizeof sdp - 1);
    check(signpost_session_describe(session, sdp), "describe");
    check(signpost_session_candidate(session,
              "{\"candidate\":\"candidate:1 1 udp 2122260223 192.168.1.4 50051 typ host\"}"),
        "candidate");
    check(signpost_session_candidate(session, NULL), "candidate");
}

static void on_answer(
    signpost_session_t *session, unsigned generation, const char *answer, void *user)
{
    (void)session, (void)generation, (void)answer, (void)user;
}

/* With the last candidate the connection is there. */
static void on_candidate(signpost_session_t *session, const char *candidate, void *user)
{
    (void)user;
    if (!candidate)
        signpost_session_link(session, SIGNPOST_LINK_CONNECTED);
}

static void on_drop(signpost_session_t *session, void *user)
{
    (void)session, (void)user;
}

static void on_state(
    signpost_session_t *session, const char *state, const char *reason, bool ended, void *user)
{
    struct party *party = user;

    (void)session, (void)reason;
    if (!strcmp(state, "connected")) {
        party->connected = true;
        if (a.connected && b.connected)
            puts("connected");
    } else if (ended && party->connected) {
        party->connected = false;
        if (!a.connected && !b.connected)
            puts("ended");
    }
}

static const signpost_session_events_t events = {
    .on_call = on_call,
    .on_describe = on_describe,
    .on_answer = on_answer,
    .on_candidate = on_candidate,
    .on_drop = on_drop,
    .on_state = on_state,
};

static void on_command(uv_poll_t *input, int status, int readable)
{
    char command;

    (void)readable;
    if (status || read(STDIN_FILENO, &command, 1) != 1)
        uv_poll_stop(input);
    else if (command == 'c')
        check(signpost_call(a.client, a.peer, NULL, &a.session), "call");
    else if (command == 'x')
        signpost_session_close(a.session);
}

static void start(struct party *party, const char *id, const char *url)
{
    signpost_config_t config = {
        .indexes = (const char *const[]){url, NULL},
        .id = id,
        .ttl_s = 3600,
        .on_peer = on_peer,
        .sessions = &events,
        .user = party,
    };
    check(signpost_start(uv_default_loop(), &config, &party->client), "signpost_start");
}

int main(int argc, char **argv)
{
    uv_poll_t input;

    if (argc != 2) {
        fprintf(stderr, "usage: client_session URL\n");
        return 64;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    start(&a, "a", argv[1]);
    start(&b, "b", argv[1]);
    uv_poll_init(uv_default_loop(), &input, STDIN_FILENO);
    uv_poll_start(&input, UV_READABLE, on_command);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
