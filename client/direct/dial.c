#include "dial.h"

#include "endpoint.h"
#include "secret.h"
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MORE_SIZE (sizeof "; and 15 more" - 1)

enum attempt_state { ATTEMPT_WAITING, ATTEMPT_CONNECTING, ATTEMPT_GREETING, ATTEMPT_OVER };

/* One target. */
struct attempt {
    struct dial *dial;
    struct dial_target target;
    enum attempt_state state;
    const char *reason; /* why it failed; else NULL */
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct greeting greeting;
    uint8_t hello[GREET_HELLO_SIZE], reply[GREET_REPLY_SIZE];
    size_t reply_size; /* that has come */
};

struct dial {
    uv_loop_t *loop;
    uv_timer_t stagger, deadline;
    unsigned handles; /* that are not closed yet */
    bool greets;
    dial_done done;
    void *user;
    char no_answer[48]; /* "no answer in 10 s" */
    char reason[DIAL_REASON_SIZE];
    size_t count, begun, alive; /* of the attempts; alive: begun, and not over */
    struct attempt attempts[DIAL_TARGETS_MAX];
};

/* --- which, and in which order --------------------------------------------------------------- */

/* The next of those that are left: a private one first. NULL: none of this family. */
static struct dial_target *first_of(
    struct dial_target *targets, const bool *taken, size_t count, bool ipv6)
{
    struct dial_target *first = NULL;

    for (size_t i = 0; i < count; i++) {
        if (taken[i] || (targets[i].address.ss_family == AF_INET6) != ipv6)
            continue;
        if (targets[i].private)
            return &targets[i];
        if (!first)
            first = &targets[i];
    }
    return first;
}

static size_t drop_repeats(
    const struct dial_target *targets, size_t count, struct dial_target ret_some[DIAL_TARGETS_MAX])
{
    size_t some = 0;

    for (size_t i = 0; i < count; i++) {
        size_t same = 0;
        while (same < some && !endpoint_same(&ret_some[same].address, &targets[i].address))
            same++;
        if (same < some)
            ret_some[same].private |= targets[i].private;
        else if (some < DIAL_TARGETS_MAX)
            ret_some[some++] = targets[i];
    }
    return some;
}

/* Families in turn, beginning with that of the first target. */
static void arrange(struct dial *dial, const struct dial_target *targets, size_t count)
{
    struct dial_target some[DIAL_TARGETS_MAX];
    bool taken[DIAL_TARGETS_MAX] = {false};

    dial->count = drop_repeats(targets, count, some);
    bool ipv6 = dial->count > 0 && some[0].address.ss_family == AF_INET6;
    for (size_t i = 0; i < dial->count; i++, ipv6 = !ipv6) {
        struct dial_target *next = first_of(some, taken, dial->count, ipv6);
        if (!next)
            next = first_of(some, taken, dial->count, !ipv6);
        taken[next - some] = true;
        dial->attempts[i].dial = dial;
        dial->attempts[i].target = *next;
    }
}

/* --- in words -------------------------------------------------------------------------------- */

static const char *explain(int error)
{
    switch (error) {
    case UV_ECONNREFUSED: return "connection refused";
    case UV_ECONNRESET: return "connection reset";
    case UV_ETIMEDOUT: return "no answer";
    case UV_ENETUNREACH:
    case UV_EHOSTUNREACH:
    case UV_ENETDOWN:
    case UV_EHOSTDOWN:
    case UV_EADDRNOTAVAIL:
    case UV_EAFNOSUPPORT: return "no route";
    case UV_EACCES:
    case UV_EPERM: return "not allowed on this machine";
    case UV_EMFILE:
    case UV_ENFILE: return "too many open files";
    default: return "could not be dialled";
    }
}

/* One line of those that failed; where it gets too long, how many more there are. */
static void sum_up(struct dial *dial)
{
    size_t left = 0, length = 0;

    for (size_t i = 0; i < dial->count; i++)
        left += dial->attempts[i].reason != NULL;
    for (size_t i = 0; i < dial->count; i++) {
        const struct attempt *attempt = &dial->attempts[i];
        char text[ENDPOINT_TEXT_SIZE], piece[ENDPOINT_TEXT_SIZE + 64];
        if (!attempt->reason)
            continue;
        endpoint_text(&attempt->target.address, text);
        snprintf(piece, sizeof piece, "%s%s: %s", length ? "; " : "", text, attempt->reason);
        size_t needed = length + strlen(piece) + (left > 1 ? MORE_SIZE : 0);
        if (needed >= sizeof dial->reason) {
            snprintf(dial->reason + length, sizeof dial->reason - length, "; and %zu more", left);
            return;
        }
        memcpy(dial->reason + length, piece, strlen(piece) + 1);
        length += strlen(piece);
        left--;
    }
    if (!dial->count)
        snprintf(dial->reason, sizeof dial->reason, "no address");
}

/* --- the end --------------------------------------------------------------------------------- */

static void handle_closed(struct dial *dial)
{
    if (--dial->handles == 0)
        free(dial);
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

static void on_attempt_closed(uv_handle_t *handle)
{
    const struct attempt *attempt = handle->data;
    handle_closed(attempt->dial);
}

static void end_attempt(struct attempt *attempt)
{
    attempt->state = ATTEMPT_OVER;
    attempt->dial->alive--;
    uv_close((uv_handle_t *)&attempt->tcp, on_attempt_closed);
}

static void fail_attempt(struct attempt *attempt, const char *reason)
{
    attempt->reason = reason;
    end_attempt(attempt);
}

void dial_cancel(struct dial *dial)
{
    if (!dial)
        return;
    for (size_t i = 0; i < dial->begun; i++)
        if (dial->attempts[i].state != ATTEMPT_OVER)
            end_attempt(&dial->attempts[i]);
    uv_close((uv_handle_t *)&dial->stagger, on_timer_closed);
    uv_close((uv_handle_t *)&dial->deadline, on_timer_closed);
}

/* `winner` NULL: there is none. */
static void finish(struct dial *dial, const struct attempt *winner, int fd)
{
    struct dial_result result = {
        .fd = fd,
        .private = winner && winner->target.private,
        .reason = dial->reason,
    };

    sum_up(dial);
    dial_cancel(dial); /* what is left is freed later, so that the reason is still there */
    dial->done(&result, dial->user);
}

/* --- one connection -------------------------------------------------------------------------- */

static void begin_next(struct dial *dial);

static void lose(struct attempt *attempt, const char *reason)
{
    fail_attempt(attempt, reason);
    begin_next(attempt->dial);
}

/* The descriptor is made before the proof is said, which uses up the ticket. */
static void win(struct attempt *attempt, const uint8_t *proof)
{
    int fd = stream_copy(&attempt->tcp);

    if (fd < 0) {
        lose(attempt, explain(UV_EMFILE));
    } else if (proof && !stream_send(&attempt->tcp, proof, GREET_PROOF_SIZE)) {
        close(fd);
        lose(attempt, explain(UV_ECONNRESET));
    } else {
        finish(attempt->dial, attempt, fd);
    }
}

/* Exactly what is needed, so that nothing of what follows is taken from the socket. */
static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct attempt *attempt = handle->data;

    (void)suggested;
    *buffer = uv_buf_init((char *)attempt->reply + attempt->reply_size,
        (unsigned)(sizeof attempt->reply - attempt->reply_size));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct attempt *attempt = stream->data;
    uint8_t proof[GREET_PROOF_SIZE];

    (void)buffer;
    if (size < 0) {
        lose(attempt, "accepted, but did not greet");
        return;
    }
    attempt->reply_size += (size_t)size;
    if (attempt->reply_size < sizeof attempt->reply)
        return;
    uv_read_stop(stream);
    if (greet_take_reply(&attempt->greeting, attempt->reply, proof))
        win(attempt, proof);
    else
        lose(attempt, "is not the peer (it does not know the secret)");
}

/* Where nobody listens on a port that is also one the system gives to those who dial, a socket may
 * happen to connect to itself. */
static bool is_own(const uv_tcp_t *tcp)
{
    struct sockaddr_storage here = {.ss_family = AF_UNSPEC}, there = here;
    int here_size = sizeof here, there_size = sizeof there;

    return !uv_tcp_getsockname(tcp, (struct sockaddr *)&here, &here_size) &&
           !uv_tcp_getpeername(tcp, (struct sockaddr *)&there, &there_size) &&
           endpoint_same(&here, &there);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct attempt *attempt = connect->data;

    if (attempt->state == ATTEMPT_OVER) /* being closed */
        return;
    if (!status && is_own(&attempt->tcp))
        status = UV_ECONNREFUSED;
    if (!status)
        status = uv_tcp_nodelay(&attempt->tcp, 1);
    if (status) {
        lose(attempt, explain(status));
        return;
    }
    if (!attempt->dial->greets) {
        win(attempt, NULL);
        return;
    }
    attempt->state = ATTEMPT_GREETING;
    if (!stream_send(&attempt->tcp, attempt->hello, sizeof attempt->hello) ||
        uv_read_start((uv_stream_t *)&attempt->tcp, on_room, on_read))
        lose(attempt, explain(UV_ECONNRESET));
}

/* False: failed at once. */
static bool begin(struct attempt *attempt)
{
    struct dial *dial = attempt->dial;

    uv_tcp_init(dial->loop, &attempt->tcp);
    attempt->tcp.data = attempt->connect.data = attempt;
    dial->handles++;
    dial->alive++;
    attempt->state = ATTEMPT_CONNECTING;
    int error = uv_tcp_connect(&attempt->connect, &attempt->tcp,
        (const struct sockaddr *)&attempt->target.address, on_connected);
    if (error)
        fail_attempt(attempt, explain(error));
    return !error;
}

/* --- all of them ----------------------------------------------------------------------------- */

static void on_stagger(uv_timer_t *timer)
{
    begin_next(timer->data);
}

/* Also the end, where nothing is left to begin or to wait for. */
static void begin_next(struct dial *dial)
{
    while (dial->begun < dial->count)
        if (begin(&dial->attempts[dial->begun++])) {
            uv_timer_start(&dial->stagger, on_stagger, DIAL_STAGGER_MS, 0);
            return;
        }
    uv_timer_stop(&dial->stagger);
    if (!dial->alive)
        finish(dial, NULL, -1);
}

static void on_deadline(uv_timer_t *timer)
{
    struct dial *dial = timer->data;

    for (size_t i = 0; i < dial->count; i++) {
        struct attempt *attempt = &dial->attempts[i];
        if (attempt->state == ATTEMPT_WAITING)
            attempt->reason = "no time was left for it";
        else if (attempt->state == ATTEMPT_CONNECTING)
            fail_attempt(attempt, dial->no_answer);
        else if (attempt->state == ATTEMPT_GREETING)
            fail_attempt(attempt, "accepted, but did not greet");
    }
    finish(dial, NULL, -1);
}

/* A nonce for each connection, so that none can use what was said on another. */
static int prepare_greetings(
    struct dial *dial, const struct greet_ticket *ticket, const char *own, const char *peer)
{
    uint8_t nonces[DIAL_TARGETS_MAX][GREET_NONCE_SIZE];
    int error = secret_random(nonces, dial->count * GREET_NONCE_SIZE);

    for (size_t i = 0; !error && i < dial->count; i++)
        greet_begin(
            ticket, own, peer, nonces[i], &dial->attempts[i].greeting, dial->attempts[i].hello);
    return error;
}

struct dial *dial_start(uv_loop_t *loop, const struct dial_target *targets, size_t count,
    const struct greet_ticket *ticket, const char *own, const char *peer, uint64_t timeout_ms,
    dial_done done, void *user)
{
    struct dial *dial = calloc(1, sizeof *dial);

    if (!dial)
        return NULL;
    arrange(dial, targets, count);
    dial->greets = ticket != NULL;
    if (ticket && prepare_greetings(dial, ticket, own, peer)) {
        free(dial);
        return NULL;
    }
    dial->loop = loop;
    dial->done = done;
    dial->user = user;
    snprintf(dial->no_answer, sizeof dial->no_answer, "no answer in %.*f s",
        timeout_ms % 1000 ? 1 : 0, (double)timeout_ms / 1000);
    uv_timer_init(loop, &dial->stagger);
    uv_timer_init(loop, &dial->deadline);
    dial->stagger.data = dial->deadline.data = dial;
    dial->handles = 2;
    uv_timer_start(&dial->stagger, on_stagger, 0, 0);
    uv_timer_start(&dial->deadline, on_deadline, timeout_ms, 0);
    return dial;
}
