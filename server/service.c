#include "service.h"

#include "caps.h"
#include "clock.h"
#include "codec.h"
#include "http/check.h"
#include "http/door.h"
#include "index/index.h"
#include "log.h"
#include "metrics.h"
#include "net/source.h"
#include "net/stun_server.h"
#include "notify.h"
#include "pages/pages.h"
#include "server_limits.h"
#include "store/sqlite.h"
#include "usage.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#define OPS_PORT 7118 /* for operations, where the index can be reached by others */
#define WATCH_MS 1000 /* between two looks after the store; the loop sleeps no longer */
#define TRIM_LOOKS 10 /* memory that was freed goes back to the system each so many looks */
#define STALL_MS 500  /* a loop that does not run for longer has a stall */

struct service {
    struct options options;
    const struct options *asked; /* before the system's limits */
    struct service_files *files;
    uv_loop_t uv;
    uv_prepare_t settle;  /* nothing waits for a commit while the loop sleeps */
    uv_timer_t due;       /* the next thing that the index has to do */
    uv_timer_t watch;     /* looks after the store, whoever asks or not */
    uv_timer_t stop_late; /* cuts a stop that takes too long */
    uv_timer_t beat;      /* tells the service manager that the loop runs */
    uv_signal_t sigterm, sigint, sighup;
    int64_t due_ms; /* what `due` is set to */
    unsigned looks; /* of on_watch() */
    uint64_t looked_ns,
        idle_ns; /* when note_stall() was last here, and how long the loop had slept */
    struct store *store;
    struct sources *sources;
    struct index *index;
    struct pages *pages;
    struct stun_server *stun;
    struct ice_place stun_places[OPTIONS_LIST_MAX];
    struct checker *checker;
    struct http_door *door;
    bool stopping;
    bool closed;
    struct fault fault;
    struct notify notify;
};

/* --- the service manager --------------------------------------------------------------------- */

/* `what` is one of the words of sd_notify(3); what is the matter now goes with it. */
static void tell_manager(struct service *service, const char *what)
{
    const char *trouble = service->store->f->trouble(service->store);

    notify_send(&service->notify, "%s\nSTATUS=%zu nodes%s%s", what,
        index_node_count(service->index), trouble ? "; " : "", trouble ? trouble : "");
}

static void on_beat(uv_timer_t *timer)
{
    tell_manager(timer->data, "WATCHDOG=1");
}

/* --- the loop -------------------------------------------------------------------------------- */

static bool on_pass_done(void *user)
{
    struct service *service = user;

    index_answer_more(service->index);
    if (service->store && service->store->open_batch)
        service->store->f->flush(service->store);
    return service->store && service->store->open_batch;
}

/* Where the loop has not run (a disk that did not answer, a process that was stopped), signs of
 * life wait unread: the leases do not pay for it. It never means to sleep longer than WATCH_MS. */
static void note_stall(struct service *service)
{
    uint64_t now_ns = uv_hrtime(), idle_ns = uv_metrics_idle_time(&service->uv);
    int64_t slept_ms = (int64_t)((idle_ns - service->idle_ns) / 1000000);
    int64_t passed_ms = (int64_t)((now_ns - service->looked_ns) / 1000000);
    int64_t stalled_ms = passed_ms - (slept_ms < WATCH_MS ? slept_ms : WATCH_MS);

    if (service->looked_ns && stalled_ms > STALL_MS) {
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)stalled_ms);
        metrics_observe(HISTOGRAM_STALL_TIME, (uint64_t)stalled_ms * 1000);
        log_event(LOG_WARN, "stalled", "ms", text, "effect", "leases end that much later", NULL);
        index_credit(service->index, stalled_ms);
    }
    service->looked_ns = now_ns;
    service->idle_ns = idle_ns;
}

static void on_watch(uv_timer_t *timer)
{
    struct service *service = timer->data;

    note_stall(service);
    log_sum_up(false);
    if (!service->stopping)
        index_watch_store(service->index);
    if (++service->looks % TRIM_LOOKS == 0)
        usage_trim();
}

static void close_all(struct service *service)
{
    if (service->closed)
        return;
    service->closed = true;
    stun_server_close(service->stun);
    checker_stop(service->checker);
    /* Sends what is answered, and commits: no connection may be suspended, no batch open after. */
    http_loop_pump(http_door_loop(service->door));
    http_door_close(service->door);
    uv_close((uv_handle_t *)&service->settle, NULL);
    uv_close((uv_handle_t *)&service->due, NULL);
    uv_close((uv_handle_t *)&service->watch, NULL);
    uv_close((uv_handle_t *)&service->stop_late, NULL);
    uv_close((uv_handle_t *)&service->beat, NULL);
    uv_close((uv_handle_t *)&service->sigterm, NULL);
    uv_close((uv_handle_t *)&service->sigint, NULL);
    uv_close((uv_handle_t *)&service->sighup, NULL);
}

static void on_due(uv_timer_t *timer)
{
    struct service *service = timer->data;

    note_stall(service);
    service->due_ms = INT64_MAX;
    index_tick(service->index);
}

static void on_settle(uv_prepare_t *handle)
{
    struct service *service = handle->data;
    struct http_loop *http = http_door_loop(service->door);

    note_stall(service);
    if (service->store->open_batch || http_loop_triggered(http))
        http_loop_pump(http);
    if (service->stopping && http_loop_is_empty(http)) {
        close_all(service);
        return;
    }
    int64_t due_ms = index_next_due_ms(service->index);
    if (due_ms == service->due_ms)
        return;
    service->due_ms = due_ms;
    int64_t wait_ms = due_ms - clock_now_ms(&clock_system);
    uv_update_time(&service->uv);
    if (due_ms == INT64_MAX)
        uv_timer_stop(&service->due);
    else
        uv_timer_start(&service->due, on_due, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

static void on_stop_late(uv_timer_t *timer)
{
    struct service *service = timer->data;

    log_event(LOG_WARN, "stop_cut", "reason", "clients did not take their replies in time", NULL);
    close_all(service);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct service *service = handle->data;

    if (service->stopping)
        return;
    service->stopping = true;
    log_event(LOG_INFO, "stopping", "signal", number == SIGINT ? "SIGINT" : "SIGTERM", NULL);
    notify_send(&service->notify, "STOPPING=1");
    http_door_drain(service->door);
    checker_stop(service->checker);
    index_release(service->index);
    uv_timer_start(&service->stop_late, on_stop_late, LIMIT_STOP_MS, 0);
}

/* --- join keys ------------------------------------------------------------------------------- */

static bool on_admits(const uint8_t key_hash[STORE_HASH_SIZE], const char *network, void *user)
{
    struct service *service = user;
    return keys_admit(service->files->keys, key_hash, network);
}

static void on_reload(uv_signal_t *handle, int number)
{
    struct service *service = handle->data;
    struct keys *before = NULL;

    (void)number;
    if (service->stopping)
        return;
    notify_send(&service->notify, "RELOADING=1\nMONOTONIC_USEC=%llu",
        (unsigned long long)uv_hrtime() / 1000);
    service_files_reload(&service->options, service->files, clock_now_ms(&clock_system), &before);
    if (before) {
        http_door_set_keys(service->door, service->files->keys);
        index_evict(service->index);
        keys_free(before);
    }
    tell_manager(service, "READY=1");
}

/* --- start and end --------------------------------------------------------------------------- */

static bool only_loopback(const struct options *options)
{
    for (size_t i = 0; i < options->listen_count; i++)
        if (address_classify(&options->listen[i].address) != ADDRESS_LOOPBACK)
            return false;
    return true;
}

/* Only this machine reaches it, and no proxy of this machine does it for others. */
static bool is_own(const struct options *options)
{
    return !options->open && !options->keys && !options->trust_proxy_count &&
           only_loopback(options);
}

static int open_door(struct service *service, struct fault *ret_fault)
{
    const struct options *options = &service->options;
    struct http_door_config config = {
        .uv = &service->uv,
        .clock = &clock_system,
        .index = service->index,
        .sources = service->sources,
        .pages = service->pages,
        .checker = service->checker,
        .headers_timeout_s = options->headers_timeout_s,
        .body_timeout_s = options->body_timeout_s,
        .tls = service->files->tls,
        .keys = service->files->keys,
        .rate_per_credential = options->rate_per_credential,
        .ice =
            {
                .clock = &clock_system,
                .own = service->stun_places,
                .own_count = options->stun_count,
                .stun_uris = options->stun_uri,
                .stun_count = options->stun_uri_count,
                .turn_uris = options->turn_uri,
                .turn_count = options->turn_uri_count,
                .secret = service->files->turn_secret,
            },
        .policy =
            {
                .loopback_only = !options->open && !options->keys && only_loopback(options),
                .trusted = options->trust_proxy,
                .trusted_count = options->trust_proxy_count,
                .origins = options->cors_origin,
                .origin_count = options->cors_origin_count,
            },
        .max_connections = options->max_connections,
        .max_connections_per_address = options->max_connections_per_address,
        .max_waiters = options->max_waiters,
        .max_waiters_per_address = options->max_waiters_per_address,
        .pass_done = on_pass_done,
        .user = service,
    };
    return http_door_new(&config, &service->door, ret_fault);
}

static int listen_stun(struct service *service, struct fault *ret_fault)
{
    const struct options *options = &service->options;
    char address[ADDRESS_TEXT_SIZE], numbers[24];
    uint16_t ports[STUN_PORTS];

    for (size_t i = 0; i < options->stun_count; i++) {
        const struct listen_address *stun = &options->stun[i];
        int error = stun_server_listen(service->stun, &stun->address, stun->port, ports, ret_fault);
        if (error)
            return error;
        service->stun_places[i] = (struct ice_place){stun->address, ports[0]};
        snprintf(numbers, sizeof numbers, "%u,%u", ports[0], ports[1]);
        log_event(LOG_INFO, "stun_listening", "address", address_format(&stun->address, address),
            "ports", numbers, NULL);
    }
    return 0;
}

static int open_checker(struct service *service, struct fault *ret_fault)
{
    const struct options *options = &service->options;

    return checker_new(
        &(struct checker_config){
            .uv = &service->uv,
            .clock = &clock_system,
            .from = options->check_from,
            .from_count = options->check_from_count,
            .ports = options->check_ports,
            .port_count = options->check_ports_count,
            .allow_private = options->check_private,
        },
        &service->checker, ret_fault);
}

static int listen_all(struct service *service, struct fault *ret_fault)
{
    for (size_t i = 0; i < service->options.listen_count; i++) {
        struct listen_http *listen = &service->options.listen[i];
        int error = http_loop_listen(http_door_loop(service->door), &listen->address, listen->port,
            listen->scheme == LISTEN_HTTPS ? HTTP_TLS : HTTP_PLAIN, &listen->port, ret_fault);
        if (error)
            return error;
    }
    return 0;
}

static int listen_ops(struct service *service, struct fault *ret_fault)
{
    struct options *options = &service->options;
    bool by_itself = !options->ops_listen_count && !is_own(options);
    char address[ADDRESS_TEXT_SIZE], port[8];

    if (by_itself)
        options->ops_listen[options->ops_listen_count++] =
            (struct listen_address){{.family = 4, .bytes = {127, 0, 0, 1}}, OPS_PORT};
    for (size_t i = 0; i < options->ops_listen_count; i++) {
        struct listen_address *listen = &options->ops_listen[i];
        int error = http_loop_listen(http_door_loop(service->door), &listen->address, listen->port,
            HTTP_OPS, &listen->port, ret_fault);
        if (error && !by_itself)
            return error;
        address_format(&listen->address, address);
        snprintf(port, sizeof port, "%u", listen->port);
        /* Nobody has asked for that one. */
        if (error)
            log_event(LOG_WARN, "ops_not_listening", "reason", ret_fault->detail, NULL);
        else
            log_event(LOG_INFO, "ops_listening", "address", address, "port", port, NULL);
    }
    return 0;
}

static void announce(const struct service *service)
{
    char address[ADDRESS_TEXT_SIZE], number[24];

    caps_announce(service->asked, &service->options);
    for (size_t i = 0; i < service->options.listen_count; i++) {
        const struct listen_http *listen = &service->options.listen[i];
        snprintf(number, sizeof number, "%u", listen->port);
        log_event(LOG_INFO, "listening", "address", address_format(&listen->address, address),
            "port", number, "scheme", listen->scheme == LISTEN_HTTPS ? "https" : "http", NULL);
    }
    snprintf(number, sizeof number, "%zu", index_node_count(service->index));
    const char *access = service->options.open   ? "everyone"
                         : service->options.keys ? "keys"
                                                 : "loopback";
    log_event(
        LOG_INFO, "ready", "nodes", number, "db", service->options.db, "access", access, NULL);
}

static void on_loaded(const struct fault *fault, void *user)
{
    struct service *service = user;

    if (!fault) {
        announce(service);
        tell_manager(service, "READY=1");
        if (service->notify.beat_ms)
            uv_timer_start(
                &service->beat, on_beat, service->notify.beat_ms, service->notify.beat_ms);
        return;
    }
    service->fault = *fault;
    close_all(service);
}

static void start_handles(struct service *service)
{
    uv_prepare_init(&service->uv, &service->settle);
    uv_timer_init(&service->uv, &service->due);
    uv_timer_init(&service->uv, &service->watch);
    uv_timer_init(&service->uv, &service->stop_late);
    uv_timer_init(&service->uv, &service->beat);
    uv_signal_init(&service->uv, &service->sigterm);
    uv_signal_init(&service->uv, &service->sigint);
    uv_signal_init(&service->uv, &service->sighup);
    service->settle.data = service->due.data = service->watch.data = service;
    service->stop_late.data = service->beat.data = service;
    service->sigterm.data = service->sigint.data = service->sighup.data = service;
    service->due_ms = INT64_MAX;
    uv_prepare_start(&service->settle, on_settle);
    uv_timer_start(&service->watch, on_watch, WATCH_MS, WATCH_MS);
    uv_signal_start(&service->sigterm, on_signal, SIGTERM);
    uv_signal_start(&service->sigint, on_signal, SIGINT);
    uv_signal_start(&service->sighup, on_reload, SIGHUP);
}

static bool on_has_room(void *user)
{
    const struct service *service = user;
    return !service->door || http_door_has_room(service->door);
}

static int start(struct service *service, struct fault *ret_fault)
{
    const struct options *options = &service->options;
    struct index_config config = {
        .clock = &clock_system,
        .max_nodes = options->max_nodes,
        .max_nodes_per_network = options->max_nodes_per_network,
        .max_nodes_per_address = options->max_nodes_per_address,
        .open = !options->keys,
        .admits = on_admits,
        .admits_user = service,
        .has_room = on_has_room,
        .room_user = service,
        .undeliverable_body = codec_undeliverable_body,
    };
    int error =
        store_sqlite_open(&(struct store_sqlite_config){options->db, options->full_durability},
            &service->store, ret_fault);

    if (error)
        return error;
    service->sources = sources_new(options->rate);
    config.store = service->store;
    config.sources = service->sources;
    service->stun = stun_server_new(&service->uv, &clock_system);
    if (!service->sources || !service->stun || index_open(&config, &service->index))
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory to start");
    if (options->turn_uri_count && config.open)
        log_event(LOG_WARN, "turn_withheld", "reason",
            "an open index gives no credentials for TURN servers: anyone could use them", NULL);
    error = pages_new(options->demo, &service->pages, ret_fault);
    if (!error)
        error = open_checker(service, ret_fault);
    if (!error)
        error = open_door(service, ret_fault);
    if (error)
        return error;
    start_handles(service);
    error = listen_all(service, ret_fault);
    if (!error)
        error = listen_ops(service, ret_fault);
    if (!error)
        error = listen_stun(service, ret_fault);
    if (error)
        return error;
    index_load(service->index, on_loaded, service);
    return 0;
}

int service_run(const struct options *options, struct service_files *files, struct fault *ret_fault)
{
    struct service service = {.options = *options, .asked = options, .files = files};

    signal(SIGPIPE, SIG_IGN);
    caps_fit(&service.options);
    notify_open(&service.notify);
    if (uv_loop_init(&service.uv) || uv_loop_configure(&service.uv, UV_METRICS_IDLE_TIME))
        return fault_set(ret_fault, ERROR_NO_MEMORY, "libuv did not start");
    int error = start(&service, ret_fault);
    if (error && service.door)
        close_all(&service);
    uv_run(&service.uv, UV_RUN_DEFAULT);
    if (!error && service.fault.error) {
        *ret_fault = service.fault;
        error = service.fault.error;
    }
    http_door_free(service.door);
    stun_server_free(service.stun);
    checker_free(service.checker);
    pages_free(service.pages);
    index_close(service.index);
    sources_free(service.sources);
    if (service.store)
        service.store->f->close(service.store);
    uv_loop_close(&service.uv);
    notify_close(&service.notify);
    log_sum_up(true);
    if (!error)
        log_event(LOG_INFO, "stopped", NULL);
    return error;
}
