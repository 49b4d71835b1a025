/*
 * What a client costs, for client_cost.py: a line of JSON on stdout.
 *
 *   client_cost up URL SAMPLES         from signpost_start() of one node to on_peer at another, and
 *                                      a bare request over a kept connection, in turn
 *   client_cost rest URL PEERS SECONDS the time to a table of so many peers; then memory, and CPU
 *                                      over so many seconds in which nothing happens
 */
#include "http.h"
#include "signpost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SAMPLES_MAX 10000
#define TIMEOUT_MS 5000
/* News of the list comes to one reader every 100 ms at most: that is not what is measured here. */
#define SPACING_MS 150

static uv_loop_t *loop;

static double now_ms(void)
{
    return (double)uv_hrtime() / 1e6;
}

static void check(int error, const char *what)
{
    if (!error)
        return;
    fprintf(stderr, "%s: %s\n", what, signpost_strerror(error));
    exit(1);
}

/* What a callback waited for has come: the loop returns before it sleeps again. */
static void set(bool *is_so)
{
    *is_so = true;
    uv_stop(loop);
}

static void run_until(const bool *is_so)
{
    while (!*is_so)
        uv_run(loop, UV_RUN_DEFAULT);
}

/* --- up -------------------------------------------------------------------------------------- */

struct watcher {
    bool ready, up, down;
};

static void on_peer(
    signpost_t *client, signpost_peer_event_t event, const signpost_peer_t *peer, void *user)
{
    struct watcher *watcher = user;
    (void)client, (void)peer;
    if (event != SIGNPOST_PEER_CHANGED)
        set(event == SIGNPOST_PEER_UP ? &watcher->up : &watcher->down);
}

static void on_index(signpost_t *client, const signpost_index_status_t *status, void *user)
{
    struct watcher *watcher = user;
    (void)client;
    if (status->state == SIGNPOST_INDEX_READY)
        set(&watcher->ready);
}

static void on_stopped(void *user)
{
    set(user);
}

static void on_answer(const struct http_reply *reply, void *user)
{
    check(reply->error, "GET /healthz");
    set(user);
}

static bool rested;

static void on_rested(uv_timer_t *timer)
{
    (void)timer;
    set(&rested);
}

static void rest(uv_timer_t *timer, uint64_t time_ms)
{
    rested = false;
    uv_timer_start(timer, on_rested, time_ms, 0);
    run_until(&rested);
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double percentile(double *samples, size_t count, size_t percent)
{
    qsort(samples, count, sizeof *samples, compare);
    return samples[(count - 1) * percent / 100];
}

static double ask(struct http *http, const char *url)
{
    struct http_request request = {
        .method = "GET", .url = url, .timeout_ms = TIMEOUT_MS, .max_bytes = 4096};
    struct http_call *call;
    bool answered = false;
    double start = now_ms();

    check(http_start(http, &request, on_answer, &answered, &call), "http");
    run_until(&answered);
    return now_ms() - start;
}

static void measure_up(const char *const *indexes, size_t samples)
{
    static double up_ms[SAMPLES_MAX], ask_ms[SAMPLES_MAX];
    struct watcher watcher = {.ready = false};
    signpost_config_t config = {
        .indexes = indexes, .on_peer = on_peer, .on_index = on_index, .user = &watcher};
    signpost_config_t other = {.indexes = indexes};
    signpost_t *client, *comer;
    struct http *http;
    static uv_timer_t timer; /* closes after this returns */
    char url[512];

    snprintf(url, sizeof url, "%s/healthz", indexes[0]);
    uv_timer_init(loop, &timer);
    check(http_new(loop, NULL, &http), "http");
    check(signpost_start(loop, &config, &client), "signpost_start");
    run_until(&watcher.ready);
    ask(http, url); /* connects */
    for (size_t i = 0; i < samples; i++) {
        bool stopped = false;
        rest(&timer, SPACING_MS);
        ask_ms[i] = ask(http, url);
        watcher.up = watcher.down = false;
        double start = now_ms();
        check(signpost_start(loop, &other, &comer), "signpost_start");
        run_until(&watcher.up);
        up_ms[i] = now_ms() - start;
        signpost_stop(comer, on_stopped, &stopped);
        run_until(&stopped);
        run_until(&watcher.down);
    }
    printf("{\"up_p50_ms\": %.3f, \"up_p99_ms\": %.3f, \"request_p50_ms\": %.3f}\n",
        percentile(up_ms, samples, 50), percentile(up_ms, samples, 99),
        percentile(ask_ms, samples, 50));
    signpost_stop(client, NULL, NULL);
    http_close(http, NULL, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
}

/* --- rest ------------------------------------------------------------------------------------ */

struct table {
    size_t wanted, count;
    bool complete;
};

static void on_peer_of_many(
    signpost_t *client, signpost_peer_event_t event, const signpost_peer_t *peer, void *user)
{
    struct table *table = user;
    (void)client, (void)peer;
    table->count += event == SIGNPOST_PEER_UP;
    if (table->count == table->wanted)
        set(&table->complete);
}

static double cpu_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

/* The second number of statm is in pages. */
static long resident_kib(void)
{
    char line[128] = "", *second;
    FILE *file = fopen("/proc/self/statm", "r");

    if (!file || !fgets(line, sizeof line, file))
        check(SIGNPOST_ERROR_INVALID, "/proc/self/statm");
    if (file)
        fclose(file);
    strtol(line, &second, 10);
    return strtol(second, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024);
}

static void measure_rest(const char *const *indexes, size_t peers, unsigned seconds)
{
    struct table table = {.wanted = peers, .complete = peers == 0};
    signpost_config_t config = {.indexes = indexes, .on_peer = on_peer_of_many, .user = &table};
    static uv_timer_t timer; /* closes after this returns */
    signpost_t *client;
    double start = now_ms();

    uv_timer_init(loop, &timer);
    check(signpost_start(loop, &config, &client), "signpost_start");
    run_until(&table.complete);
    double complete_ms = now_ms() - start;
    rest(&timer, 2 * SPACING_MS); /* what is left over from that */
    double before_ms = cpu_ms(), begin_ms = now_ms();
    rest(&timer, seconds * 1000);
    printf("{\"complete_ms\": %.1f, \"resident_kib\": %ld, \"cpu_percent\": %.4f}\n", complete_ms,
        resident_kib(), 100 * (cpu_ms() - before_ms) / (now_ms() - begin_ms));
    signpost_stop(client, NULL, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
}

int main(int argc, char **argv)
{
    loop = uv_default_loop();
    if (argc == 4 && !strcmp(argv[1], "up")) {
        size_t samples = strtoul(argv[3], NULL, 10);
        measure_up((const char *[]){argv[2], NULL}, samples < SAMPLES_MAX ? samples : SAMPLES_MAX);
    } else if (argc == 5 && !strcmp(argv[1], "rest")) {
        measure_rest((const char *[]){argv[2], NULL}, strtoul(argv[3], NULL, 10),
            (unsigned)strtoul(argv[4], NULL, 10));
    } else {
        fprintf(stderr, "usage: client_cost up URL SAMPLES | client_cost rest URL PEERS SECONDS\n");
        return 64;
    }
    return uv_run(loop, UV_RUN_DEFAULT);
}
