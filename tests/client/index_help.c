#include "index_help.h"

#include "client_help.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_MS 30000

/* --- the index ------------------------------------------------------------------------------- */

static void remove_database(const struct index_process *index)
{
    static const char *const names[] = {"i.db", "i.db-wal", "i.db-shm", "i.db.lock"};
    char path[96];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", index->directory, names[i]);
        unlink(path);
    }
}

void index_begin(struct index_process *index, bool fresh)
{
    const char *program = getenv("SIGNPOSTD");
    char listen[64], db[96], line[512];
    int ends[2];

    if (!index->directory[0]) {
        strcpy(index->directory, "/tmp/signpost-client-XXXXXX");
        assert_non_null(mkdtemp(index->directory));
    }
    if (fresh)
        remove_database(index);
    snprintf(listen, sizeof listen, "127.0.0.1:%u", index->port);
    snprintf(db, sizeof db, "%s/i.db", index->directory);
    assert_int_equal(pipe(ends), 0);
    index->pid = fork();
    assert_int_not_equal(index->pid, -1);
    if (index->pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(program ? program : "build/signpostd", "signpostd", "--listen", listen, "--db", db,
            "--rate", "0", "--max-nodes-per-address", "0", "--max-waiters-per-address", "0",
            "--max-connections-per-address", "0", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    FILE *log = fdopen(ends[0], "r");
    assert_non_null(log);
    bool ready = false;
    while (!ready && fgets(line, sizeof line, log)) {
        const char *port = strstr(line, " port=");
        if (strstr(line, " listening ") && port)
            index->port = (unsigned)strtoul(port + 6, NULL, 10);
        ready = strstr(line, " ready ") != NULL;
    }
    /* The pipe stays open in the child only; it writes little. */
    fclose(log);
    assert_true(ready);
    snprintf(index->url, sizeof index->url, "http://127.0.0.1:%u", index->port);
}

static void index_end(struct index_process *index, int signal_number)
{
    if (!index->pid)
        return;
    kill(index->pid, signal_number);
    waitpid(index->pid, NULL, 0);
    index->pid = 0;
}

void index_kill(struct index_process *index)
{
    index_end(index, SIGKILL);
}

void index_forget(struct index_process *index)
{
    index_end(index, SIGTERM);
    if (!index->directory[0])
        return;
    remove_database(index);
    rmdir(index->directory);
}

/* --- members --------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void add(
    char *text, size_t size, const char *format, ...)
{
    size_t length = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + length, size - length, format, arguments);
    va_end(arguments);
}

static void on_peer(
    signpost_t *client, signpost_peer_event_t event, const signpost_peer_t *peer, void *user)
{
    struct member *member = user;
    (void)client;
    add(member->told, sizeof member->told, "%c%s ",
        event == SIGNPOST_PEER_UP     ? '+'
        : event == SIGNPOST_PEER_DOWN ? '-'
        : peer->stale                 ? '?'
                                      : '~',
        peer->id);
}

static void on_message(signpost_t *client, const signpost_message_t *message, void *user)
{
    struct member *member = user;
    (void)client;
    add(member->got, sizeof member->got, "%s:%s ", message->from, message->body);
}

static void on_undeliverable(signpost_t *client, const char *id, const char *to,
    const char *session, const char *type, int reason, void *user)
{
    struct member *member = user;
    (void)client;
    (void)id;
    (void)session;
    add(member->returned, sizeof member->returned, "%s/%s/%s ", to, type,
        signpost_error_name(reason));
}

static void on_index(signpost_t *client, const signpost_index_status_t *status, void *user)
{
    struct member *member = user;

    (void)client;
    for (size_t i = 0; i < 4; i++) {
        signpost_index_status_t *kept = &member->status[i];
        if (kept->url && strcmp(kept->url, status->url) != 0)
            continue;
        member->ready -= kept->url && kept->state == SIGNPOST_INDEX_READY;
        member->ready += status->state == SIGNPOST_INDEX_READY;
        if (!kept->url)
            kept->url = status->url; /* lives as long as the client */
        kept->state = status->state;
        kept->error = status->error;
        return;
    }
}

void member_start(uv_loop_t *loop, struct member *member, const char *id,
    const char *const *indexes, const signpost_config_t *more)
{
    signpost_config_t config = more ? *more : (signpost_config_t){0};

    *member = (struct member){0};
    config.indexes = indexes;
    config.id = id;
    config.on_peer = on_peer;
    config.on_message = on_message;
    config.on_undeliverable = on_undeliverable;
    config.on_index = on_index;
    config.user = member;
    assert_int_equal(signpost_start(loop, &config, &member->client), 0);
}

static void on_stopped(void *user)
{
    ((struct member *)user)->stopped = true;
}

static bool is_stopped(void *user)
{
    return ((struct member *)user)->stopped;
}

void member_stop(uv_loop_t *loop, struct member *member)
{
    if (member->stopped || !member->client)
        return;
    signpost_stop(member->client, on_stopped, member);
    run_until(loop, is_stopped, member);
    member->client = NULL;
}

void member_forget(struct member *member)
{
    member->told[0] = member->got[0] = member->returned[0] = '\0';
}

static void on_sent(
    signpost_t *client, const char *id, signpost_delivery_t delivery, int error, void *user)
{
    struct member *member = user;
    (void)client;
    (void)id;
    member->sent++;
    member->delivery = delivery;
    member->sent_error = error;
}

void member_send(struct member *member, const char *to, const char *session, const char *type,
    const char *body, unsigned ttl_s)
{
    assert_int_equal(signpost_send(member->client, to, session, type, body, strlen(body), ttl_s,
                         NULL, on_sent, member),
        0);
}

static bool add_peer(const signpost_peer_t *peer, void *user)
{
    char *text = user;
    add(text, 4096, "%s%s ", peer->id, peer->stale ? "?" : "");
    return true;
}

const char *member_peers(const struct member *member, char *ret_text, size_t size)
{
    assert_true(size >= 4096);
    ret_text[0] = '\0';
    signpost_peers(member->client, add_peer, ret_text);
    return ret_text;
}

/* --- running --------------------------------------------------------------------------------- */

static void on_late(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void on_closed(uv_handle_t *handle)
{
    *(bool *)handle->data = true;
}

void run_until(uv_loop_t *loop, bool (*is_so)(void *user), void *user)
{
    uv_timer_t timer;
    bool late = false, closed = false;

    uv_timer_init(loop, &timer);
    timer.data = &late;
    uv_timer_start(&timer, on_late, DEADLINE_MS, 0);
    bool so = is_so(user);
    while (!so && !late) {
        uv_run(loop, UV_RUN_ONCE);
        so = is_so(user);
    }
    timer.data = &closed;
    uv_close((uv_handle_t *)&timer, on_closed);
    while (!closed)
        uv_run(loop, UV_RUN_NOWAIT);
    assert_true(so);
}

struct wanted {
    const struct member *member;
    const char *text;
    size_t count;
};

static bool is_ready(void *user)
{
    const struct wanted *wanted = user;
    return wanted->member->ready == wanted->count;
}

static bool was_told(void *user)
{
    const struct wanted *wanted = user;
    return strstr(wanted->member->told, wanted->text) != NULL;
}

static bool has_got(void *user)
{
    const struct wanted *wanted = user;
    return strstr(wanted->member->got, wanted->text) != NULL;
}

static bool has_sent(void *user)
{
    const struct wanted *wanted = user;
    return wanted->member->sent >= wanted->count;
}

void run_until_ready(uv_loop_t *loop, struct member *member, size_t indexes)
{
    run_until(loop, is_ready, &(struct wanted){member, NULL, indexes});
}

void run_until_told(uv_loop_t *loop, struct member *member, const char *what)
{
    run_until(loop, was_told, &(struct wanted){member, what, 0});
}

void run_until_got(uv_loop_t *loop, struct member *member, const char *what)
{
    run_until(loop, has_got, &(struct wanted){member, what, 0});
}

void run_until_sent(uv_loop_t *loop, struct member *member, size_t count)
{
    run_until(loop, has_sent, &(struct wanted){member, NULL, count});
}

struct growth {
    const size_t *count;
    size_t than;
};

static bool is_more(void *user)
{
    const struct growth *growth = user;
    return *growth->count > growth->than;
}

void run_until_more(uv_loop_t *loop, const size_t *count, size_t than)
{
    run_until(loop, is_more, &(struct growth){count, than});
}

static void on_time(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static bool is_true(void *user)
{
    return *(bool *)user;
}

void run_for(uv_loop_t *loop, uint64_t time_ms)
{
    uv_timer_t timer;
    bool over = false;

    uv_timer_init(loop, &timer);
    timer.data = &over;
    uv_timer_start(&timer, on_time, time_ms, 0);
    run_until(loop, is_true, &over);
    help_close((uv_handle_t *)&timer);
}
