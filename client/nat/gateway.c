#include "gateway.h"

#include "gateway_internal.h"
#include "job.h"
#include "signpost.h"

#include <stdlib.h>
#include <string.h>

/* One protocol's probe, on its thread. */
struct question {
    struct gateway_target target;
    enum gateway_protocol protocol;
    struct gateway_claim claim;
    char model[64];
};

struct gateway_probe {
    uv_timer_t timer;
    struct job *jobs[GATEWAY_PROTOCOLS]; /* NULL: has answered, or was not begun */
    struct gateway_found found;
    void (*done)(const struct gateway_found *found, void *user);
    void *user;
};

const char *gateway_protocol_name(enum gateway_protocol protocol)
{
    static const char *const names[GATEWAY_PROTOCOLS] = {
        [GATEWAY_PCP] = "pcp", [GATEWAY_NATPMP] = "nat-pmp", [GATEWAY_UPNP] = "upnp"};

    return names[protocol];
}

const struct gateway_calls *gateway_calls_of(enum gateway_protocol protocol)
{
    static const struct gateway_calls *const calls[GATEWAY_PROTOCOLS] = {
        [GATEWAY_PCP] = &gateway_pcp,
        [GATEWAY_NATPMP] = &gateway_natpmp,
        [GATEWAY_UPNP] = &gateway_upnp};

    return calls[protocol];
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void gateway_close(struct gateway_probe *probe)
{
    if (!probe || uv_is_closing((uv_handle_t *)&probe->timer))
        return;
    for (size_t i = 0; i < GATEWAY_PROTOCOLS; i++)
        job_abandon(probe->jobs[i]);
    uv_close((uv_handle_t *)&probe->timer, on_closed);
}

/* What has not answered by now is not there. */
static void finish(uv_timer_t *timer)
{
    struct gateway_probe *probe = timer->data;

    for (size_t i = 0; i < GATEWAY_PROTOCOLS; i++)
        if (probe->jobs[i] && *probe->found.address)
            probe->found.by[i].present = NAT_NO;
    gateway_close(probe);
    probe->done(&probe->found, probe->user);
}

static void ask(void *data)
{
    struct question *question = data;

    gateway_calls_of(question->protocol)
        ->probe(&question->target, &question->claim, question->model);
}

static void on_answer(void *data, void *user)
{
    const struct question *question = data;
    struct gateway_probe *probe = user;
    bool under_way = false;

    probe->jobs[question->protocol] = NULL;
    probe->found.by[question->protocol] = question->claim;
    if (*question->model)
        memcpy(probe->found.model, question->model, sizeof probe->found.model);
    for (size_t i = 0; i < GATEWAY_PROTOCOLS; i++)
        under_way |= probe->jobs[i] != NULL;
    if (!under_way)
        uv_timer_start(&probe->timer, finish, 0, 0);
}

static void begin(struct gateway_probe *probe, const struct gateway_target *target,
    enum gateway_protocol protocol)
{
    static const struct job_calls calls = {.work = ask, .done = on_answer, .drop = free};
    struct question *question = calloc(1, sizeof *question);

    if (!question)
        return;
    question->target = *target;
    question->protocol = protocol;
    (void)job_start(probe->timer.loop, &calls, question, probe, &probe->jobs[protocol]);
}

int gateway_start_at(uv_loop_t *loop, const struct gateway_target *target,
    void (*done)(const struct gateway_found *found, void *user), void *user,
    struct gateway_probe **ret_probe)
{
    struct gateway_probe *probe = calloc(1, sizeof *probe);

    if (!probe)
        return SIGNPOST_ERROR_NO_MEMORY;
    uv_timer_init(loop, &probe->timer);
    probe->timer.data = probe;
    probe->done = done;
    probe->user = user;
    memcpy(probe->found.address, target->address, sizeof probe->found.address);
    memcpy(probe->found.local, target->local, sizeof probe->found.local);
    for (int i = 0; i < GATEWAY_PROTOCOLS && *target->address; i++)
        begin(probe, target, (enum gateway_protocol)i);
    uv_timer_start(&probe->timer, finish, *target->address ? GATEWAY_WAIT_MS : 0, 0);
    *ret_probe = probe;
    return 0;
}

int gateway_start(uv_loop_t *loop, void (*done)(const struct gateway_found *found, void *user),
    void *user, struct gateway_probe **ret_probe)
{
    struct gateway_target target;

    gateway_find(&target);
    return gateway_start_at(loop, &target, done, user, ret_probe);
}
