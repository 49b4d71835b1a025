#include "gateway_internal.h"
#include "job.h"
#include "mapping_internal.h"
#include "secret.h"
#include "signpost.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIFETIME_DEFAULT_S 3600
#define LIFETIME_LEAST_S 120   /* what a router grants less is renewed as if it were this */
#define PERMANENT_CHECK_S 1800 /* one for ever may still be forgotten */
#define RETRY_FIRST_MS 30000   /* doubled while there is none */
#define RETRY_MOST_MS 600000
#define MAKE_MS 11500
#define REMOVE_MS 1900

/* What the thread does: makes or renews a mapping, or removes it. */
struct task {
    struct gateway_target target;
    struct gateway_mapping wish, got;
    bool has_protocol; /* by this one; else by the first that makes it */
    enum gateway_protocol protocol;
    bool removes;
    atomic_bool unwanted; /* it is to be removed as soon as it is made */
    bool removed;         /* and was */
    int error;
};

/* Held by the thread and by the loop: whichever lets go last frees it. */
struct shared_task {
    struct task task;
    atomic_uint holders;
};

struct signpost_mapping {
    uv_loop_t *loop;
    uv_timer_t timer;
    signpost_mapping_config_t config;
    struct gateway_target target;
    bool is_fixed; /* the target, for tests */
    uint8_t nonce[GATEWAY_PCP_NONCE_BYTES];
    struct shared_task *task; /* under way, or NULL */
    struct job *job;
    bool has; /* there is a mapping, made by: */
    enum gateway_protocol protocol;
    struct gateway_mapping mapping;
    bool told; /* the application was, once */
    signpost_mapping_status_t status;
    char detail[NAT_DETAIL_SIZE], address[NAT_ADDRESS_SIZE];
    uint64_t retry_ms;
    bool closing;
    void (*removed)(void *user);
    void *removed_user;
};

/* --- on the thread --------------------------------------------------------------------------- */

static void let_go(void *data)
{
    struct shared_task *shared = data;

    if (atomic_fetch_sub(&shared->holders, 1) == 1)
        free(shared);
}

static int try_protocol(struct task *task, enum gateway_protocol protocol)
{
    task->got = task->wish;
    task->protocol = protocol;
    return gateway_calls_of(protocol)->map(&task->target, &task->got);
}

/* By the first protocol that makes it. A refusal is worth more to people than a silence. */
static void make(struct task *task)
{
    char detail[NAT_DETAIL_SIZE] = "";

    task->error = SIGNPOST_ERROR_NO_GATEWAY;
    for (int i = 0; i < GATEWAY_PROTOCOLS && task->error; i++) {
        int error = try_protocol(task, (enum gateway_protocol)i);
        if (error == SIGNPOST_ERROR_NO_MAPPING)
            snprintf(detail, sizeof detail, "%s: %.200s",
                gateway_protocol_name((enum gateway_protocol)i), task->got.detail);
        if (!error || task->error != SIGNPOST_ERROR_NO_MAPPING)
            task->error = error;
        if (atomic_load(&task->unwanted))
            break;
    }
    if (task->error)
        memcpy(task->got.detail, detail, sizeof detail);
}

static void remove_again(struct task *task)
{
    struct gateway_mapping mapping = task->got;

    mapping.lifetime_s = 0;
    (void)gateway_calls_of(task->protocol)->map(&task->target, &mapping);
    task->removed = true;
}

static void run(void *data)
{
    struct task *task = &((struct shared_task *)data)->task;

    if (task->removes) {
        task->error = try_protocol(task, task->protocol);
        return;
    }
    if (task->has_protocol)
        task->error = try_protocol(task, task->protocol);
    if (!task->has_protocol || task->error)
        make(task);
    if (!task->error && atomic_load(&task->unwanted))
        remove_again(task);
}

/* --- what the application hears -------------------------------------------------------------- */

static bool is_news(const struct signpost_mapping *mapping, int error)
{
    const signpost_mapping_status_t *status = &mapping->status;

    return !mapping->told || status->error != error ||
           (error ? strcmp(mapping->detail, mapping->mapping.detail) != 0
                  : status->port != mapping->mapping.external_port ||
                        strcmp(mapping->address, mapping->mapping.address) != 0 ||
                        strcmp(status->protocol, gateway_protocol_name(mapping->protocol)) != 0);
}

static void tell(struct signpost_mapping *mapping, int error)
{
    bool news = is_news(mapping, error);

    memcpy(mapping->detail, mapping->mapping.detail, sizeof mapping->detail);
    memcpy(mapping->address, mapping->mapping.address, sizeof mapping->address);
    mapping->status = (signpost_mapping_status_t){
        .error = error,
        .detail = error && *mapping->detail ? mapping->detail
                  : error                   ? signpost_strerror(error)
                                            : "",
        .protocol = error ? "" : gateway_protocol_name(mapping->protocol),
        .address = error ? "" : mapping->address,
        .port = error ? 0 : mapping->mapping.external_port,
        .lifetime_s = error ? 0 : mapping->mapping.lifetime_s,
    };
    mapping->told = true;
    if (news && mapping->config.on_mapping)
        mapping->config.on_mapping(mapping, &mapping->status, mapping->config.user);
}

/* --- its course ------------------------------------------------------------------------------ */

static void begin(struct signpost_mapping *mapping, bool removes);

static void on_due(uv_timer_t *timer)
{
    begin(timer->data, false);
}

static void on_closed(uv_handle_t *handle)
{
    struct signpost_mapping *mapping = handle->data;
    void (*removed)(void *user) = mapping->removed;
    void *user = mapping->removed_user;

    free(mapping);
    if (removed)
        removed(user);
}

static void finish(struct signpost_mapping *mapping)
{
    job_abandon(mapping->job);
    mapping->job = NULL;
    if (mapping->task)
        let_go(mapping->task);
    mapping->task = NULL;
    if (!uv_is_closing((uv_handle_t *)&mapping->timer))
        uv_close((uv_handle_t *)&mapping->timer, on_closed);
}

static void on_late(uv_timer_t *timer)
{
    finish(timer->data);
}

/* When to renew it: at half its life. */
static uint64_t renew_after_ms(const struct gateway_mapping *got)
{
    if (!got->lifetime_s)
        return (uint64_t)PERMANENT_CHECK_S * 1000;
    return (uint64_t)(got->lifetime_s < LIFETIME_LEAST_S ? LIFETIME_LEAST_S : got->lifetime_s) *
           500;
}

static void take(struct signpost_mapping *mapping, const struct task *task)
{
    uint64_t next_ms;

    mapping->has = !task->error;
    mapping->mapping = task->got;
    mapping->protocol = task->protocol;
    if (mapping->has) {
        mapping->retry_ms = RETRY_FIRST_MS;
        next_ms = renew_after_ms(&task->got);
    } else {
        next_ms = mapping->retry_ms;
        mapping->retry_ms = next_ms * 2 < RETRY_MOST_MS ? next_ms * 2 : RETRY_MOST_MS;
    }
    uv_timer_start(&mapping->timer, on_due, next_ms, 0);
    tell(mapping, task->error);
}

/* The router, or what looks like one, holds the thread up: that is as good as none. What may still
 * come of it is removed by the thread. */
static void on_stuck(uv_timer_t *timer)
{
    static const struct task nothing = {.error = SIGNPOST_ERROR_NO_GATEWAY};
    struct signpost_mapping *mapping = timer->data;

    atomic_store(&mapping->task->task.unwanted, true);
    job_abandon(mapping->job);
    let_go(mapping->task);
    mapping->job = NULL;
    mapping->task = NULL;
    take(mapping, &nothing);
}

/* Once the application has let go: is there still something on the router? */
static void on_done_closing(struct signpost_mapping *mapping, const struct task *task)
{
    if (!task->error && !task->removes) {
        mapping->has = true;
        mapping->protocol = task->protocol;
        mapping->mapping = task->got;
    }
    if (mapping->has && !task->removes && !task->removed)
        begin(mapping, true);
    else
        finish(mapping);
}

static void on_done(void *data, void *user)
{
    struct signpost_mapping *mapping = user;
    struct shared_task *shared = mapping->task;

    (void)data;
    mapping->job = NULL;
    mapping->task = NULL;
    if (mapping->closing)
        on_done_closing(mapping, &shared->task);
    else
        take(mapping, &shared->task);
    let_go(shared);
}

static void begin(struct signpost_mapping *mapping, bool removes)
{
    static const struct job_calls calls = {.work = run, .done = on_done, .drop = let_go};
    struct shared_task *shared = calloc(1, sizeof *shared);

    if (!shared) {
        uv_timer_start(
            &mapping->timer, removes ? on_late : on_due, removes ? 0 : RETRY_FIRST_MS, 0);
        return;
    }
    if (!mapping->is_fixed && !removes)
        gateway_find(&mapping->target);
    atomic_init(&shared->holders, 2);
    shared->task = (struct task){
        .target = mapping->target,
        .has_protocol = mapping->has,
        .protocol = mapping->protocol,
        .removes = removes,
        .wish =
            {
                .protocol = mapping->config.udp ? NAT_UDP : NAT_TCP,
                .internal_port = mapping->config.port,
                .external_port =
                    mapping->has ? mapping->mapping.external_port : mapping->config.external_port,
                .lifetime_s = removes ? 0 : mapping->config.lifetime_s,
            },
    };
    memcpy(shared->task.wish.nonce, mapping->nonce, sizeof mapping->nonce);
    mapping->task = shared;
    if (!removes)
        uv_timer_start(&mapping->timer, on_stuck, MAKE_MS, 0);
    if (job_start(mapping->loop, &calls, shared, mapping, &mapping->job)) {
        mapping->job = NULL;
        mapping->task = NULL;
        let_go(shared);
        uv_timer_start(
            &mapping->timer, removes ? on_late : on_due, removes ? 0 : RETRY_FIRST_MS, 0);
    }
}

int mapping_start_at(uv_loop_t *loop, const signpost_mapping_config_t *config,
    const struct gateway_target *target, signpost_mapping_t **ret_mapping)
{
    struct signpost_mapping *mapping;

    if (!loop || !config || !config->port)
        return SIGNPOST_ERROR_INVALID;
    mapping = calloc(1, sizeof *mapping);
    if (!mapping || secret_random(mapping->nonce, sizeof mapping->nonce)) {
        free(mapping);
        return SIGNPOST_ERROR_NO_MEMORY;
    }
    mapping->loop = loop;
    mapping->config = *config;
    if (!mapping->config.external_port)
        mapping->config.external_port = config->port;
    if (!mapping->config.lifetime_s)
        mapping->config.lifetime_s = LIFETIME_DEFAULT_S;
    mapping->retry_ms = RETRY_FIRST_MS;
    mapping->is_fixed = target != NULL;
    if (target)
        mapping->target = *target;
    uv_timer_init(loop, &mapping->timer);
    mapping->timer.data = mapping;
    uv_timer_start(&mapping->timer, on_due, 0, 0);
    *ret_mapping = mapping;
    return 0;
}

int signpost_map_port(
    uv_loop_t *loop, const signpost_mapping_config_t *config, signpost_mapping_t **ret_mapping)
{
    return mapping_start_at(loop, config, NULL, ret_mapping);
}

void signpost_unmap_port(signpost_mapping_t *mapping, void (*removed)(void *user), void *user)
{
    if (mapping->closing)
        return;
    mapping->closing = true;
    mapping->removed = removed;
    mapping->removed_user = user;
    uv_update_time(mapping->loop);
    uv_timer_start(&mapping->timer, on_late, REMOVE_MS, 0);
    if (mapping->task)
        atomic_store(&mapping->task->task.unwanted, true);
    else if (mapping->has)
        begin(mapping, true);
    else
        finish(mapping);
}
