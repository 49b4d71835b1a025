#include "direct_help.h"

#include "direct/direct_internal.h"
#include "session/sessions.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SKIP_MS 10100 /* more than a caller waits for anything but a link or a whole attempt */

static int64_t ahead_ms; /* of the real clock */

static int64_t clock_ms(void)
{
    return client_clock_ms() + ahead_ms;
}

/* --- the arena ------------------------------------------------------------------------------- */

int arena_setup(void **state)
{
    struct arena *arena = calloc(1, sizeof *arena);
    void *sockets;

    assert_non_null(arena);
    assert_int_equal(sockets_setup(&sockets), 0);
    arena->sockets = sockets;
    arena->loop = &arena->sockets->loop;
    index_begin(&arena->index, true);
    *state = arena;
    return 0;
}

int arena_teardown(void **state)
{
    struct arena *arena = *state;
    void *sockets = arena->sockets;
    unsigned late = 0;

    for (size_t i = 0; i < arena->count; i++)
        end_stop(arena->ends[i]);
    index_forget(&arena->index);
    for (size_t i = 0; i < arena->count; i++) {
        struct end *end = arena->ends[i];
        late += end->calls_after_stop;
        for (unsigned j = 0; j < end->count; j++)
            if (end->came[j].fd >= 0)
                close(end->came[j].fd);
    }
    int failed = sockets_teardown(&sockets);
    for (size_t i = 0; i < arena->count; i++)
        free(arena->ends[i]);
    free(arena);
    assert_int_equal(late, 0);
    return failed;
}

/* --- what a client is told ------------------------------------------------------------------- */

void copy_link(struct link_copy *ret_copy, const signpost_connection_t *connection)
{
    *ret_copy = (struct link_copy){
        .fd = connection->fd,
        .path = connection->path,
        .called = connection->called,
        .rtt_us = connection->rtt_us,
        .took_ms = connection->took_ms,
    };
    snprintf(ret_copy->peer, sizeof ret_copy->peer, "%s", connection->peer);
    snprintf(ret_copy->local, sizeof ret_copy->local, "%s", connection->local);
    snprintf(ret_copy->remote, sizeof ret_copy->remote, "%s", connection->remote);
}

static void on_came(signpost_t *client, const signpost_connection_t *connection, void *user)
{
    struct end *end = user;

    assert_ptr_equal(client, end->client);
    assert_true(end->count < LINKS_MAX);
    end->calls_after_stop += end->stopped;
    copy_link(&end->came[end->count++], connection);
    if (end->on_came)
        end->on_came(end, connection);
}

static void on_index(signpost_t *client, const signpost_index_status_t *status, void *user)
{
    (void)client;
    ((struct end *)user)->ready += status->state == SIGNPOST_INDEX_READY;
}

static void on_message(signpost_t *client, const signpost_message_t *message, void *user)
{
    struct end *end = user;

    (void)client;
    end->messages++;
    snprintf(end->last.type, sizeof end->last.type, "%s", message->type);
    snprintf(end->last.session, sizeof end->last.session, "%s", message->session);
    snprintf(end->last.from, sizeof end->last.from, "%s", message->from);
    snprintf(end->last.body, sizeof end->last.body, "%s", message->body);
    if (end->on_message)
        end->on_message(end, message);
}

static void on_log(signpost_log_level_t level, const char *text, void *user)
{
    struct end *end = user;
    size_t length = strlen(end->log);

    (void)level;
    end->calls_after_stop += end->stopped;
    snprintf(end->log + length, sizeof end->log - length, "%s\n", text);
    if (end->on_log)
        end->on_log(end, text);
}

/* --- ends ------------------------------------------------------------------------------------ */

static bool is_ready(void *user)
{
    return ((struct end *)user)->ready > 0;
}

static struct end *start(struct arena *arena, const char *id, const char *const *endpoints)
{
    const char *const indexes[] = {arena->index.url, NULL};
    struct end *end = calloc(1, sizeof *end);
    signpost_config_t config = {
        .indexes = indexes,
        .id = id,
        .endpoints = endpoints,
        .log_level = SIGNPOST_LOG_DEBUG,
        .on_index = on_index,
        .on_message = on_message,
        .on_log = on_log,
        .user = end,
    };

    assert_non_null(end);
    assert_true(arena->count < ENDS_MAX);
    arena->ends[arena->count++] = end;
    end->arena = arena;
    snprintf(end->id, sizeof end->id, "%s", id);
    assert_int_equal(signpost_start(arena->loop, &config, &end->client), 0);
    end->client->clock_ms = clock_ms;
    return end;
}

struct end *arena_add_with(struct arena *arena, const char *id, const char *const *endpoints)
{
    struct end *end = start(arena, id, endpoints);

    help_run_until(arena->loop, is_ready, end);
    return end;
}

struct end *arena_add(struct arena *arena, const char *id)
{
    return arena_add_with(arena, id, NULL);
}

void end_listen(struct end *end, const char *host, bool refuses)
{
    assert_int_equal(signpost_port(end->client), 0);
    assert_int_equal(signpost_listen(end->client, host, 0, refuses ? NULL : on_came, end), 0);
    assert_true(signpost_port(end->client) > 0);
}

struct end *arena_add_listener(struct arena *arena, const char *id, const char *host)
{
    struct end *end = start(arena, id, NULL);

    end_listen(end, host, false);
    help_run_until(arena->loop, is_ready, end);
    return end;
}

struct wanted {
    struct end *end;
    const char *text;
    size_t count;
};

static bool knows(void *user)
{
    const struct wanted *wanted = user;
    signpost_peer_t peer;

    return !signpost_find(wanted->end->client, wanted->text, &peer) &&
           peer.endpoint_count >= wanted->count;
}

void end_knows(struct end *end, const char *peer, size_t endpoints)
{
    help_run_until(end->arena->loop, knows, &(struct wanted){end, peer, endpoints});
}

static void on_stopped(void *user)
{
    ((struct end *)user)->stopped = true;
}

static bool is_stopped(void *user)
{
    return ((struct end *)user)->stopped;
}

void end_stop(struct end *end)
{
    signpost_t *client = end->client;

    end->client = NULL;
    if (client)
        signpost_stop(client, on_stopped, end);
    if (client)
        help_run_until(end->arena->loop, is_stopped, end);
}

unsigned end_count_log(const struct end *end, const char *text)
{
    unsigned count = 0;

    for (const char *at = end->log; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

static bool has_logged(void *user)
{
    const struct wanted *wanted = user;
    return end_count_log(wanted->end, wanted->text) >= wanted->count;
}

void end_wait_for_log(struct end *end, const char *text)
{
    help_run_until(end->arena->loop, has_logged, &(struct wanted){end, text, 1});
}

static bool has_message(void *user)
{
    const struct wanted *wanted = user;
    return !strcmp(wanted->end->last.type, wanted->text);
}

void end_wait_for_message(struct end *end, const char *type)
{
    help_run_until(end->arena->loop, has_message, &(struct wanted){end, type, 0});
}

static bool has_come(void *user)
{
    const struct wanted *wanted = user;
    return wanted->end->count >= wanted->count;
}

void end_wait_for_came(struct end *end, unsigned count)
{
    help_run_until(end->arena->loop, has_come, &(struct wanted){end, NULL, count});
}

static void on_sent(
    signpost_t *client, const char *id, signpost_delivery_t delivery, int error, void *user)
{
    (void)client, (void)id;
    assert_int_not_equal(delivery, SIGNPOST_FAILED);
    assert_int_equal(error, 0);
    *(bool *)user = true;
}

static bool is_true(void *user)
{
    return *(bool *)user;
}

void end_send(
    struct end *end, const char *to, const char *session, const char *type, const char *body)
{
    bool sent = false;

    assert_int_equal(
        signpost_send(end->client, to, session, type, body, strlen(body), 30, NULL, on_sent, &sent),
        0);
    help_run_until(end->arena->loop, is_true, &sent);
}

/* --- wishes ---------------------------------------------------------------------------------- */

static void on_connected(signpost_t *client, const char *peer, int error, const char *reason,
    const signpost_connection_t *connection, void *user)
{
    struct wish *wish = user;

    (void)client;
    assert_false(wish->inside);
    assert_non_null(reason);
    assert_string_equal(peer, wish->peer);
    assert_int_equal(error == 0, connection != NULL);
    assert_int_equal(error == 0, !*reason);
    wish->end->calls_after_stop += wish->end->stopped;
    wish->calls++;
    wish->error = error;
    snprintf(wish->reason, sizeof wish->reason, "%s", reason);
    if (connection)
        copy_link(&wish->link, connection);
    if (wish->then)
        wish->then(wish);
}

void wish_begin(struct wish *wish, struct end *end, const char *peer, const char *scheme)
{
    wish->end = end;
    wish->link.fd = -1;
    wish->inside = true;
    if (peer != wish->peer)
        snprintf(wish->peer, sizeof wish->peer, "%s", peer);
    assert_int_equal(
        signpost_connect(end->client, peer, scheme, on_connected, wish, &wish->request), 0);
    wish->inside = false;
}

static bool is_done(void *user)
{
    return ((struct wish *)user)->calls > 0;
}

void wish_wait(struct wish *wish)
{
    help_run_until(wish->end->arena->loop, is_done, wish);
    assert_int_equal(wish->calls, 1);
}

static void on_nothing(signpost_t *client, const char *peer, int error, const char *reason,
    const signpost_connection_t *connection, void *user)
{
    (void)client, (void)peer, (void)reason, (void)connection, (void)user;
    assert_int_equal(error, SIGNPOST_ERROR_CANCELLED);
}

/* The end looks at the clock again. */
static void wake(struct end *end)
{
    uint64_t request;

    sessions_follow(end->client->sessions);
    assert_int_equal(signpost_connect(end->client, "-wake", "wake", on_nothing, NULL, &request), 0);
    signpost_connect_cancel(end->client, request);
}

struct hurry {
    struct wish *wish;
    unsigned turns;
};

#define PATIENCE 50 /* turns of the loop, in which a peer that is there answers */

/* How many turns the clock is left alone. A link that is being made has all the time it wants. */
static unsigned patience(const struct end *end, uint64_t id)
{
    const struct request *request = end->client->direct->requests;
    const struct signpost_session *session;

    while (request && request->id != id)
        request = request->next;
    if (!request)
        return UINT_MAX;
    if (strcmp(request->scheme, DIRECT_SCHEME) != 0)
        return request->approach || request->due_ms <= clock_ms() ? UINT_MAX : 0;
    session = sessions_find(end->client->sessions, request->peer, "direct");
    if (!session)
        return UINT_MAX;
    switch (session_get_state(session->machine)) {
    case SESSION_RETRYING: return 0;
    case SESSION_WAITING_READY: return PATIENCE;
    case SESSION_REQUESTING: return end->arena->index.pid ? UINT_MAX : 0;
    default: return UINT_MAX;
    }
}

static bool is_done_in_a_hurry(void *user)
{
    struct hurry *hurry = user;
    struct end *end = hurry->wish->end;

    if (hurry->wish->calls)
        return true;
    if (hurry->turns++ < patience(end, hurry->wish->request))
        return false;
    hurry->turns = 0;
    ahead_ms += SKIP_MS;
    wake(end);
    return false;
}

void wish_wait_hurried(struct wish *wish)
{
    help_run_until(wish->end->arena->loop, is_done_in_a_hurry, &(struct hurry){wish, 0});
    assert_int_equal(wish->calls, 1);
}

void wish_assert_linked(struct wish *wish, signpost_path_t path)
{
    assert_int_equal(wish->calls, 1);
    assert_string_equal(wish->reason, "");
    assert_int_equal(wish->error, 0);
    assert_string_equal(wish->link.peer, wish->peer);
    assert_int_equal(wish->link.path, path);
    sockets_assert_handed_over(wish->link.fd);
}

void wish_assert_failed(struct wish *wish, int error, const char *reason)
{
    assert_int_equal(wish->calls, 1);
    assert_string_equal(wish->reason, reason);
    assert_int_equal(wish->error, error);
    assert_int_equal(wish->link.fd, -1);
}

void wish_drop(struct wish *wish)
{
    if (wish->link.fd >= 0)
        close(wish->link.fd);
    wish->link.fd = -1;
}

void links_assert_one(
    struct arena *arena, const struct link_copy *one, const struct link_copy *other)
{
    assert_string_equal(one->local, other->remote);
    assert_string_equal(one->remote, other->local);
    sockets_assert_handed_over(one->fd);
    sockets_assert_handed_over(other->fd);
    sockets_assert_joined(arena->loop, one->fd, other->fd);
}
