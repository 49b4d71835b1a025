#include "index/internal.h"

#include "metrics.h"
#include "server_limits.h"

#include <nettle/memops.h>
#include <stdlib.h>
#include <string.h>

struct lease_key {
    const struct network *network;
    const char *id;
};

static bool same_name(const void *item, const void *key)
{
    const struct lease *lease = item;
    const struct lease_key *wanted = key;
    return lease->network == wanted->network && !strcmp(lease->id, wanted->id);
}

static bool same_token(const void *item, const void *key)
{
    return memeql_sec(((const struct lease *)item)->token_hash, key, STORE_HASH_SIZE);
}

static uint64_t name_hash(const struct network *network, const char *id)
{
    return table_hash_pair(network->hash, id);
}

struct lease *lease_find(const struct index *index, const struct network *network, const char *id)
{
    struct lease_key key = {network, id};
    return table_find(&index->leases, name_hash(network, id), same_name, &key);
}

struct lease *lease_find_token(const struct index *index, const uint8_t hash[STORE_HASH_SIZE])
{
    return table_find(&index->tokens, table_hash(hash, STORE_HASH_SIZE), same_token, hash);
}

bool lease_is_admitted(const struct index *index, const struct lease *lease)
{
    const struct index_config *config = &index->config;

    /* Otherwise all that are here were asked about already. */
    return !index->evicting ||
           config->admits(lease->key_hash, lease->network->name, config->admits_user);
}

struct bucket *index_token_bucket(struct index *index, const uint8_t hash[STORE_HASH_SIZE])
{
    struct lease *lease = lease_find_token(index, hash);
    return lease ? &lease->bucket : NULL;
}

int lease_of_caller(const struct index *index, const struct caller *caller,
    struct lease **ret_lease, struct fault *ret_fault)
{
    int error = index_may_read(index, ret_fault);

    if (error)
        return error;
    if (caller->kind != CREDENTIAL_TOKEN)
        return fault_set(ret_fault, ERROR_NO_CREDENTIAL,
            "a node token is needed%s: send the token of /register in Authorization: Bearer",
            caller->kind == CREDENTIAL_KEY ? ", not a join key" : "");
    struct lease *lease = lease_find_token(index, caller->hash);
    if (!lease || !lease_is_admitted(index, lease)) {
        fault_set(ret_fault, ERROR_UNKNOWN_NODE,
            "no live node has this token: its lease ran out or it never registered; register it");
        ret_fault->action = "register";
        return ERROR_UNKNOWN_NODE;
    }
    *ret_lease = lease;
    return 0;
}

static void lease_run_out(struct index *index, struct lease *lease)
{
    metrics_observe(
        HISTOGRAM_EXPIRY_LAG, (uint64_t)(lease_now_ms(index) - lease->expires_ms) * 1000);
    metrics_add(METRIC_GONE_EXPIRED, 1);
    lease_end(index, lease);
}

static void lease_fire(struct index *index, struct timer *timer)
{
    struct lease *lease = container_of(timer, struct lease, expiry);

    if (lease->expires_ms > lease_now_ms(index))
        timer_set(index, timer, lease->expires_ms + index->credit_ms);
    else
        lease_run_out(index, lease);
}

/* --- join keys that are gone ----------------------------------------------------------------- */

struct eviction {
    const struct index *index;
    struct sweep sweep;
};

static void pick_evicted(void *item, void *user)
{
    struct eviction *eviction = user;

    if (eviction->sweep.count < LIMIT_EXPIRE_BATCH && !lease_is_admitted(eviction->index, item))
        eviction->sweep.items[eviction->sweep.count++] = item;
}

void leases_evict(struct index *index)
{
    struct eviction eviction = {.index = index, .sweep.count = 0};

    table_each(&index->leases, pick_evicted, &eviction);
    for (size_t i = 0; i < eviction.sweep.count; i++)
        lease_end(index, eviction.sweep.items[i]);
    metrics_add(METRIC_GONE_EVICTED, eviction.sweep.count);
    index->evicting = eviction.sweep.count == LIMIT_EXPIRE_BATCH;
}

/* --- the life of one ------------------------------------------------------------------------- */

struct lease *lease_add(struct index *index, struct network *network, const char *id,
    int64_t number, const uint8_t hash[STORE_HASH_SIZE])
{
    size_t id_size = strlen(id) + 1;
    struct lease *lease = calloc(1, sizeof *lease + id_size);

    if (!lease)
        return NULL;
    memcpy(lease->id, id, id_size);
    memcpy(lease->token_hash, hash, STORE_HASH_SIZE);
    lease->number = number;
    lease->network = network;
    lease->heard_ms = INT64_MIN;
    link_init(&lease->polls);
    lease->expiry.fire = lease_fire;
    if (timer_start(index, &lease->expiry))
        goto no_timer;
    if (table_add(&index->leases, name_hash(network, id), lease))
        goto no_name;
    if (table_add(&index->tokens, table_hash(hash, STORE_HASH_SIZE), lease))
        goto no_token;
    network->nodes++;
    index->lease_count++;
    return lease;

no_token:
    table_remove(&index->leases, name_hash(network, id), lease);
no_name:
    timer_stop(index, &lease->expiry);
no_timer:
    free(lease);
    return NULL;
}

int64_t lease_now_ms(const struct index *index)
{
    return index_now_ms(index) - index->credit_ms;
}

void lease_renew(struct index *index, struct lease *lease)
{
    lease->expires_ms = lease_now_ms(index) + lease->ttl_s * 1000LL;
    int64_t due_ms = lease->expires_ms + index->credit_ms;
    if (due_ms < lease->expiry.due.due_ms)
        timer_set(index, &lease->expiry, due_ms);
}

void lease_view(const struct index *index, const struct lease *lease, const struct store_node *node,
    struct node_view *ret_view)
{
    int64_t left_ms = lease->expires_ms - lease_now_ms(index);
    if (left_ms < 0)
        left_ms = 0;
    *ret_view = (struct node_view){
        .id = node->id,
        .endpoints = node->endpoints,
        .observed_ipv4 = node->observed_ipv4,
        .observed_ipv6 = node->observed_ipv6,
        .meta = node->meta,
        .reach = node->reach,
        .registered_wall_ms = node->registered_wall_ms,
        .age_s = lease->ttl_s - (double)left_ms / 1000,
        .expires_in_s = (double)left_ms / 1000,
        .mail = box_waiting(lease->box),
    };
}

void lease_count_source(struct index *index, struct lease *lease, const struct address *address)
{
    if (!address->family)
        return;
    lease->source = source_hold(index->config.sources, address, index_now_ms(index));
    if (lease->source)
        lease->source->nodes++;
}

void lease_free(struct index *index, struct lease *lease)
{
    struct network *network = lease->network;

    polls_lease_gone(index, lease);
    if (lease->box)
        box_free(index, lease->box);
    if (lease->source) {
        lease->source->nodes--;
        source_release(index->config.sources, lease->source);
    }
    timer_stop(index, &lease->expiry);
    table_remove(&index->leases, name_hash(network, lease->id), lease);
    table_remove(&index->tokens, table_hash(lease->token_hash, STORE_HASH_SIZE), lease);
    index->lease_count--;
    network->nodes--;
    free(lease);
}

static void pick_any(void *item, void *user)
{
    struct sweep *sweep = user;
    if (sweep->count < LIMIT_EXPIRE_BATCH)
        sweep->items[sweep->count++] = item;
}

void leases_forget(struct index *index)
{
    struct sweep sweep;

    do {
        sweep.count = 0;
        table_each(&index->leases, pick_any, &sweep);
        for (size_t i = 0; i < sweep.count; i++)
            lease_free(index, sweep.items[i]);
    } while (sweep.count);
}

void lease_end(struct index *index, struct lease *lease)
{
    struct network *network = lease->network;

    if (lease->box)
        box_close(index, lease->box);
    index->store->f->remove_node(index->store, lease->number, NULL, NULL);
    if (lease->listed)
        network_add_tombstone(index, network, lease->id);
    lease_free(index, lease);
    /* With no tombstone to wait for, an empty network is looked at soon. */
    if (!network->nodes && !network->tombstones)
        timer_set(index, &network->prune, index_now_ms(index) + LIMIT_DROP_AFTER_MS);
}
