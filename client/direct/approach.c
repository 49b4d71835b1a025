#include "approach.h"

#include "direct.h"
#include "endpoint.h"
#include "lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct approach {
    signpost_t *client;
    char peer[65], scheme[33];
    char *only;
    struct greet_ticket ticket;
    bool has_ticket;
    int64_t deadline_ms;
    struct dial *dial;
    struct lookup *lookup;
    bool looked_up, unknown;
    struct dial_target tried[DIAL_TARGETS_MAX];
    size_t tried_count, dialled_count; /* the latter: in the present dial */
    char reason[DIAL_REASON_SIZE];
    approach_done done;
    void *user;
};

/* --- which addresses ------------------------------------------------------------------------- */

static bool is_among(
    const struct sockaddr_storage *address, const char *const *addresses, size_t count)
{
    struct sockaddr_storage other;

    for (size_t i = 0; i < count; i++)
        if (endpoint_parse_address(addresses[i], &other) && endpoint_same_address(address, &other))
            return true;
    return false;
}

/* Do we and the peer come from one address, as people behind one router do? */
static bool shares_address(const signpost_t *client, const signpost_peer_t *peer)
{
    struct sockaddr_storage ours;

    for (size_t i = 0; i < client->link_count; i++) {
        signpost_index_status_t status;
        link_status(client->links[i], &status);
        if (endpoint_parse_address(status.observed, &ours) &&
            is_among(&ours, peer->observed, peer->observed_count))
            return true;
    }
    return false;
}

/* Is it one of the endpoints that the peer named itself? */
static bool is_named(const struct sockaddr_storage *address, const char *only)
{
    struct endpoint named;
    char line[512];

    if (!*only)
        return true;
    for (const char *end; (end = strchr(only, '\n')) != NULL; only = end + 1) {
        snprintf(line, sizeof line, "%.*s", (int)(end - only), only);
        if (endpoint_parse(line, &named) && endpoint_same(&named.address, address))
            return true;
    }
    return false;
}

struct choice {
    struct dial_target targets[DIAL_TARGETS_MAX];
    size_t count;
    bool of_scheme, foreign, ourselves, unnamed; /* what there was besides */
};

static void choose(const signpost_t *client, const signpost_peer_t *peer, const char *scheme,
    const char *only, struct choice *ret_choice)
{
    struct choice choice = {.count = 0};
    bool shared = shares_address(client, peer);

    for (size_t i = 0; i < peer->endpoint_count && choice.count < DIAL_TARGETS_MAX; i++) {
        struct endpoint endpoint;
        if (!endpoint_parse(peer->endpoints[i], &endpoint) || strcmp(endpoint.scheme, scheme) != 0)
            continue;
        bool seen = is_among(&endpoint.address, peer->observed, peer->observed_count);
        bool private = !seen && endpoint_is_private(&endpoint.address);
        choice.of_scheme = true;
        if (direct_is_own(client, &endpoint.address))
            choice.ourselves = true;
        else if (private && !shared)
            choice.foreign = true;
        else if (!is_named(&endpoint.address, only))
            choice.unnamed = true;
        else
            choice.targets[choice.count++] = (struct dial_target){endpoint.address, private};
    }
    *ret_choice = choice;
}

bool approach_makes_sense(const signpost_t *client, const signpost_peer_t *peer, const char *scheme)
{
    struct choice choice;

    choose(client, peer, scheme, "", &choice);
    return choice.count > 0;
}

/* --- the ways there, in turn ----------------------------------------------------------------- */

static void explain(struct approach *approach, const char *reason)
{
    size_t length = strlen(approach->reason);

    if (*reason && !strstr(approach->reason, reason))
        snprintf(approach->reason + length, sizeof approach->reason - length, "%s%s",
            length ? "; " : "", reason);
}

static void explain_choice(struct approach *approach, const struct choice *choice)
{
    char reason[DIAL_REASON_SIZE];

    if (choice->count)
        return;
    if (!choice->of_scheme)
        snprintf(reason, sizeof reason, "it announces no %s endpoint", approach->scheme);
    else if (choice->ourselves)
        snprintf(reason, sizeof reason, "its endpoint is our own address");
    else if (choice->unnamed)
        snprintf(reason, sizeof reason, "the index does not list the endpoints that it offers");
    else
        snprintf(reason, sizeof reason, "its addresses are private ones of another network");
    explain(approach, reason);
}

static void finish(struct approach *approach, const struct dial_result *result)
{
    int error = approach->unknown ? SIGNPOST_ERROR_UNKNOWN_PEER : SIGNPOST_ERROR_NO_PATH;

    approach->done(result, result->fd >= 0 ? 0 : error, approach->user);
    free(approach->only);
    free(approach);
}

static void fail(struct approach *approach)
{
    finish(approach, &(struct dial_result){.fd = -1, .reason = approach->reason});
}

static void on_dialled(const struct dial_result *result, void *user);

/* Those that were not tried yet; where there are none it fails, from the loop. */
static bool dial(struct approach *approach, const struct choice *choice)
{
    struct dial_target targets[DIAL_TARGETS_MAX];
    int64_t left_ms = approach->deadline_ms - client_now_ms(approach->client);
    size_t count = 0;

    for (size_t i = 0; i < choice->count && approach->tried_count < DIAL_TARGETS_MAX; i++) {
        bool tried = false;
        for (size_t j = 0; j < approach->tried_count; j++)
            tried |= endpoint_same(&approach->tried[j].address, &choice->targets[i].address);
        if (tried)
            continue;
        targets[count++] = choice->targets[i];
        approach->tried[approach->tried_count++] = choice->targets[i];
    }
    approach->dialled_count = count;
    approach->dial = dial_start(approach->client->loop, targets, count,
        approach->has_ticket ? &approach->ticket : NULL, approach->client->id, approach->peer,
        left_ms > 0 ? (uint64_t)left_ms : 0, on_dialled, approach);
    return approach->dial != NULL;
}

static void on_looked_up(int error, const signpost_peer_t *peer, void *user)
{
    struct approach *approach = user;
    struct choice choice = {.count = 0};

    approach->lookup = NULL;
    if (!error) {
        choose(approach->client, peer, approach->scheme, approach->only, &choice);
        explain_choice(approach, &choice);
    } else if (error == SIGNPOST_ERROR_UNKNOWN_PEER) {
        approach->unknown = true;
        explain(approach, "no index knows it now");
    }
    if (!dial(approach, &choice))
        fail(approach);
}

static bool look_up(struct approach *approach)
{
    if (approach->looked_up || client_now_ms(approach->client) >= approach->deadline_ms)
        return false;
    approach->looked_up = true;
    approach->lookup = lookup_start(approach->client, approach->peer, on_looked_up, approach);
    return approach->lookup != NULL;
}

static void on_dialled(const struct dial_result *result, void *user)
{
    struct approach *approach = user;

    approach->dial = NULL;
    if (result->fd >= 0) {
        finish(approach, result);
        return;
    }
    if (approach->dialled_count || !*approach->reason)
        explain(approach, result->reason);
    if (!look_up(approach))
        fail(approach);
}

/* --- life ------------------------------------------------------------------------------------ */

struct approach *approach_start(
    signpost_t *client, const struct approach_plan *plan, approach_done done, void *user)
{
    struct approach *approach = calloc(1, sizeof *approach);
    struct choice choice = {.count = 0};
    signpost_peer_t peer;

    if (!approach)
        return NULL;
    approach->client = client;
    snprintf(approach->peer, sizeof approach->peer, "%s", plan->peer);
    snprintf(approach->scheme, sizeof approach->scheme, "%s", plan->scheme);
    approach->only = strdup(plan->only);
    approach->has_ticket = plan->ticket != NULL;
    if (plan->ticket)
        approach->ticket = *plan->ticket;
    approach->deadline_ms = client_now_ms(client) + (int64_t)plan->timeout_ms;
    approach->done = done;
    approach->user = user;
    if (approach->only && !signpost_find(client, plan->peer, &peer))
        choose(client, &peer, plan->scheme, approach->only, &choice);
    if (approach->only && ((!choice.count && look_up(approach)) || dial(approach, &choice)))
        return approach;
    free(approach->only);
    free(approach);
    return NULL;
}

void approach_cancel(struct approach *approach)
{
    if (!approach)
        return;
    dial_cancel(approach->dial);
    lookup_cancel(approach->lookup);
    free(approach->only);
    free(approach);
}
