#include "relay.h"

#include "json.h"
#include "out.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_SIZE 65536
/* Where poll() says that a pipe can be written to, so much does not block; its flags are those of
 * every process that has it, and so are left alone. */
#define PIPE_BYTES 4096

/* One direction. */
struct flow {
    int from, to;
    char buffer[BUFFER_SIZE];
    size_t start, end; /* what was read and is not written yet */
    bool ended;        /* nothing more comes */
    bool done;         /* and all of it has left, or nobody takes it */
};

void relay_tell(const struct settings *settings, const signpost_connection_t *connection)
{
    const char *path = signpost_path_name(connection->path);

    if (!settings->json) {
        out_note("%s %s at %s (%s) after %u ms, round trip %.2f ms",
            connection->called ? "connection from" : "connected to", connection->peer,
            connection->remote, path, connection->took_ms, connection->rtt_us / 1000.0);
        return;
    }
    fputs("{\"event\": \"connected\", \"peer\": ", stderr);
    json_put_text(stderr, connection->peer);
    fprintf(stderr,
        ", \"called\": %s, \"path\": \"%s\", \"local\": \"%s\", \"remote\": \"%s\", "
        "\"took_ms\": %u, \"rtt_ms\": %.3f}\n",
        connection->called ? "true" : "false", path, connection->local, connection->remote,
        connection->took_ms, connection->rtt_us / 1000.0);
}

static bool is_passing(int error)
{
    return error == EAGAIN || error == EINTR;
}

static int take_in(struct flow *flow)
{
    ssize_t got = read(flow->from, flow->buffer, sizeof flow->buffer);

    if (got > 0) {
        flow->start = 0;
        flow->end = (size_t)got;
    } else if (got == 0) {
        flow->ended = true;
    } else if (!is_passing(errno)) {
        flow->ended = true;
        return errno == EBADF ? 0 : errno; /* of a stdin that is closed nothing comes */
    }
    return 0;
}

static int put_out(struct flow *flow, size_t most)
{
    size_t size = flow->end - flow->start;
    ssize_t put = write(flow->to, flow->buffer + flow->start, size < most ? size : most);

    if (put >= 0) {
        flow->start += (size_t)put;
    } else if (!is_passing(errno)) {
        flow->done = true;
        return errno;
    }
    return 0;
}

/* What poll() is to wait for: to read, or where something was read, to write. */
static struct pollfd interest(const struct flow *flow)
{
    bool full = flow->start < flow->end;

    return (struct pollfd){
        .fd = flow->done ? -1
              : full     ? flow->to
                         : flow->from,
        .events = full ? POLLOUT : POLLIN,
    };
}

/* An errno; 0: it goes on. */
static int advance(struct flow *flow, short happened, size_t most)
{
    int error = 0;

    if (!happened)
        return 0;
    if (flow->start < flow->end)
        error = put_out(flow, most);
    else
        error = take_in(flow);
    if (flow->ended && flow->start == flow->end)
        flow->done = true;
    return error;
}

int relay_run(int fd)
{
    static struct flow out, in;
    int code = CLI_OK, on = 1;
    bool broken = false; /* the connection is, and what has come of it may still be read */

    out = (struct flow){.from = STDIN_FILENO, .to = fd};
    in = (struct flow){.from = fd, .to = STDOUT_FILENO};
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    while (!code && !(out.done && in.done)) {
        struct pollfd polls[] = {interest(&out), interest(&in)};
        if (poll(polls, 2, -1) < 0)
            continue;
        bool was_said = out.done, was_heard = in.done;
        int sent = advance(&out, polls[0].revents, BUFFER_SIZE);
        if (out.done && !was_said)
            shutdown(fd, SHUT_WR);
        int got = advance(&in, polls[1].revents, PIPE_BYTES);
        if (in.done && !was_heard)
            close(STDOUT_FILENO);
        bool unwritten = in.done && in.start < in.end;
        /* A peer that takes nothing more ends it, whether it said so before or not. */
        broken |= sent == EPIPE || sent == ECONNRESET;
        if (broken)
            sent = 0;
        if (broken && !unwritten)
            got = 0;
        if (unwritten && got == EPIPE)
            break;
        if (unwritten)
            code = CLI_OUTPUT;
        else if (sent || got)
            code = CLI_FAILURE;
        if (code)
            out_error(
                "%s: %s", unwritten ? "stdout" : "the connection", strerror(sent ? sent : got));
    }
    close(fd);
    return code;
}
