#include "run.h"

#include "identity.h"
#include "out.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GRACE_MS 1000    /* for the other indexes, once one is ready */
#define PROGRESS_MS 400  /* until it is worth telling what is waited for */
#define DETAIL_BYTES 256 /* of an index's reason */

/* What was last heard of an index. */
struct index {
    char url[CLI_URL_BYTES + 1];
    signpost_index_state_t state;
    int error;
    char detail[DETAIL_BYTES];
};

struct run {
    const struct settings *settings;
    const struct task *task;
    void *state;
    uv_loop_t loop;
    signpost_t *client;
    uv_signal_t signals[3];
    uv_timer_t deadline, grace, progress, timer;
    struct index indexes[CLI_LIST_MAX];
    size_t index_count;
    bool was_ready; /* an index was, once */
    bool is_ready;  /* the task was told */
    bool ending;
    int code;
};

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};
#define SIGNALS (sizeof ending_signals / sizeof *ending_signals)

signpost_t *run_signpost(const struct run *run)
{
    return run->client;
}

/* --- the end --------------------------------------------------------------------------------- */

/* The client's handles are its own affair, also where it did not start. */
static void stopped(void *user)
{
    struct run *run = user;
    uv_timer_t *timers[] = {&run->deadline, &run->grace, &run->progress, &run->timer};

    run->client = NULL;
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
        uv_close((uv_handle_t *)timers[i], NULL);
    for (size_t i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&run->signals[i], NULL);
}

void run_end(struct run *run, int code)
{
    if (run->ending)
        return;
    run->ending = true;
    run->code = code;
    out_progress_end();
    /* Without its handle a signal has its usual effect again: a second Ctrl-C does not wait. */
    for (size_t i = 0; i < SIGNALS; i++)
        uv_signal_stop(&run->signals[i]);
    uv_timer_stop(&run->deadline);
    uv_timer_stop(&run->grace);
    uv_timer_stop(&run->progress);
    uv_timer_stop(&run->timer);
    signpost_stop(run->client, stopped, run);
}

void run_flush(struct run *run)
{
    int code = out_flush();

    if (code)
        run_end(run, code);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct run *run = handle->data;

    run_end(run, run->task->ends ? 128 + number : CLI_OK);
}

/* --- the indexes ----------------------------------------------------------------------------- */

static bool has_given_up(const struct index *index)
{
    return index->state == SIGNPOST_INDEX_REFUSED || index->state == SIGNPOST_INDEX_REPLACED;
}

static bool has_failed(const struct index *index)
{
    return index->state == SIGNPOST_INDEX_AWAY || has_given_up(index);
}

static size_t count_indexes(const struct run *run, bool (*is)(const struct index *index))
{
    size_t count = 0;

    for (size_t i = 0; i < run->index_count; i++)
        count += is(&run->indexes[i]);
    return count;
}

static bool is_ready(const struct index *index)
{
    return index->state == SIGNPOST_INDEX_READY;
}

static bool is_replaced(const struct index *index)
{
    return index->state == SIGNPOST_INDEX_REPLACED;
}

static void describe(const struct index *index, char ret_text[2 * DETAIL_BYTES])
{
    const char *reason = index->error ? signpost_strerror(index->error) : "it is not ready";

    snprintf(
        ret_text, 2 * DETAIL_BYTES, "%s%s%s", reason, *index->detail ? ": " : "", index->detail);
}

/* The end, with a line for each index that failed, and the code of the first. */
static void give_up(struct run *run)
{
    char text[2 * DETAIL_BYTES];
    int code = CLI_OK;

    for (size_t i = 0; i < run->index_count; i++) {
        const struct index *index = &run->indexes[i];
        if (!index->error && !has_failed(index))
            continue;
        describe(index, text);
        out_error("%s: %s", index->url, text);
        if (!code)
            code = cli_exit_of(index->error);
    }
    if (!code) {
        code = CLI_UNREACHABLE;
        out_error("no index answered within %g s", run->settings->timeout_ms / 1000.0);
    }
    run_end(run, code);
}

static void become_ready(struct run *run)
{
    if (run->is_ready || run->ending)
        return;
    run->is_ready = true;
    uv_timer_stop(&run->grace);
    if (run->task->patient)
        uv_timer_stop(&run->deadline);
    out_progress_end();
    if (run->task->ready)
        run->task->ready(run, run->state);
}

static void on_grace(uv_timer_t *timer)
{
    become_ready(timer->data);
}

static void judge(struct run *run)
{
    size_t all = run->settings->index.count;
    size_t ready = count_indexes(run, is_ready);
    size_t failed = count_indexes(run, has_failed);
    size_t given_up = count_indexes(run, has_given_up);

    if (ready > 0)
        run->was_ready = true;
    if (count_indexes(run, is_replaced) == all)
        give_up(run);
    else if (ready > 0 && ready + failed == all)
        become_ready(run);
    else if (ready > 0 && !run->is_ready && !uv_is_active((uv_handle_t *)&run->grace))
        uv_timer_start(&run->grace, on_grace, GRACE_MS, 0);
    else if (!run->was_ready && (given_up == all || (run->task->ends && failed == all)))
        give_up(run);
}

static struct index *find_index(struct run *run, const char *url)
{
    for (size_t i = 0; i < run->index_count; i++)
        if (!strcmp(run->indexes[i].url, url))
            return &run->indexes[i];
    if (run->index_count == CLI_LIST_MAX)
        return NULL;
    struct index *index = &run->indexes[run->index_count++];
    snprintf(index->url, sizeof index->url, "%s", url);
    return index;
}

/* A task that goes on tells of what happens to its indexes; one that ends says it at the end. */
static void tell(const struct run *run, const struct index *before, const struct index *index)
{
    char text[2 * DETAIL_BYTES];

    if (run->task->ends ? !run->settings->verbose : index->state == before->state)
        return;
    if (has_failed(index)) {
        describe(index, text);
        out_note("%s: %s%s", index->url, text,
            index->state == SIGNPOST_INDEX_REPLACED ? "" : "; trying again");
    } else if (index->state == SIGNPOST_INDEX_READY && has_failed(before)) {
        out_note("%s: it is back", index->url);
    }
}

static void on_index(signpost_t *client, const signpost_index_status_t *status, void *user)
{
    struct run *run = user;
    struct index *index = find_index(run, status->url);

    (void)client;
    if (run->ending || !index)
        return;
    struct index before = *index;
    index->state = status->state;
    index->error = status->error;
    snprintf(index->detail, sizeof index->detail, "%s", status->detail);
    tell(run, &before, index);
    if (run->task->index)
        run->task->index(run, status, run->state);
    if (!run->ending)
        judge(run);
}

/* --- what else the client tells -------------------------------------------------------------- */

static void on_peer(
    signpost_t *client, signpost_peer_event_t event, const signpost_peer_t *peer, void *user)
{
    struct run *run = user;

    (void)client;
    if (!run->ending && run->task->peer)
        run->task->peer(run, event, peer, run->state);
}

static void on_message(signpost_t *client, const signpost_message_t *message, void *user)
{
    struct run *run = user;

    (void)client;
    if (!run->ending && run->task->message)
        run->task->message(run, message, run->state);
}

static void on_undeliverable(signpost_t *client, const char *id, const char *to,
    const char *session, const char *type, int reason, void *user)
{
    struct run *run = user;

    (void)client;
    if (!run->ending && run->task->undeliverable)
        run->task->undeliverable(run, id, to, session, type, reason, run->state);
}

static void on_log(signpost_log_level_t level, const char *text, void *user)
{
    (void)level;
    (void)user;
    out_note("%s", text);
}

/* --- timers ---------------------------------------------------------------------------------- */

static void on_deadline(uv_timer_t *timer)
{
    struct run *run = timer->data;

    if (!run->was_ready) {
        give_up(run);
    } else {
        out_progress_end();
        int code = CLI_UNREACHABLE;
        if (run->task->late)
            code = run->task->late(run, run->state);
        run_end(run, code);
    }
}

static void on_progress(uv_timer_t *timer)
{
    struct run *run = timer->data;

    if (!run->is_ready)
        out_progress("waiting for %s%s ...", run->settings->index.items[0],
            run->settings->index.count > 1 ? " and others" : "");
}

static void on_timer(uv_timer_t *timer)
{
    struct run *run = timer->data;

    if (run->task->timer)
        run->task->timer(run, run->state);
}

void run_after(struct run *run, unsigned delay_ms)
{
    if (!run->ending)
        uv_timer_start(&run->timer, on_timer, delay_ms, 0);
}

/* --- the beginning --------------------------------------------------------------------------- */

static int start_handles(struct run *run)
{
    int error = uv_loop_init(&run->loop);

    if (error) {
        out_error("no event loop: %s", uv_strerror(error));
        return CLI_SYSTEM;
    }
    uv_timer_t *timers[] = {&run->deadline, &run->grace, &run->progress, &run->timer};
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++) {
        uv_timer_init(&run->loop, timers[i]);
        timers[i]->data = run;
    }
    for (size_t i = 0; i < SIGNALS; i++) {
        uv_signal_init(&run->loop, &run->signals[i]);
        run->signals[i].data = run;
        uv_signal_start(&run->signals[i], on_signal, ending_signals[i]);
    }
    if (run->task->ends)
        uv_timer_start(&run->deadline, on_deadline, run->settings->timeout_ms, 0);
    uv_timer_start(&run->progress, on_progress, PROGRESS_MS, 0);
    return CLI_OK;
}

static int start_client(struct run *run, signpost_config_t *config)
{
    const struct settings *settings = run->settings;
    char key[IDENTITY_KEY_SIZE];
    uint8_t secret[SIGNPOST_SECRET_SIZE];
    int code = identity_read_key(settings, key);

    if (!code && run->task->has_identity)
        code = identity_read_secret(settings, secret);
    if (!code && settings->ca_file && access(settings->ca_file, R_OK)) {
        out_error("%s cannot be read", settings->ca_file);
        code = CLI_CONFIG;
    }
    if (code)
        return code;
    config->indexes = settings->index.items;
    config->id = settings->id;
    config->network = settings->network;
    config->key = *key ? key : NULL;
    config->secret = run->task->has_identity ? secret : NULL;
    config->ca_file = settings->ca_file;
    config->log_level = SIGNPOST_LOG_INFO;
    config->on_index = on_index;
    config->on_peer = on_peer;
    config->on_message = run->task->message ? on_message : NULL;
    config->on_undeliverable = run->task->undeliverable ? on_undeliverable : NULL;
    config->on_log = settings->verbose ? on_log : NULL;
    config->user = run;
    int error = signpost_start(&run->loop, config, &run->client);
    if (error)
        out_error("the client does not start: %s", signpost_strerror(error));
    return cli_exit_of(error);
}

int run_client(const struct settings *settings, signpost_config_t *config, const struct task *task,
    void *state)
{
    struct run run = {.settings = settings, .task = task, .state = state};
    int code = start_handles(&run);

    if (code)
        return code;
    code = start_client(&run, config);
    if (code)
        stopped(&run);
    else if (task->start)
        task->start(&run, state);
    uv_run(&run.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&run.loop); /* every handle is closed: that is how uv_run() ended */
    return code ? code : run.code;
}
