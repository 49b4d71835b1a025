/* Reads the store into memory: at the start, and again after a batch was lost. */
#include "index/internal.h"

#include "server_limits.h"

#include <stdlib.h>
#include <string.h>

#define RELOAD_SHARE 10 /* a store that cannot be read is tried again for a tenth of the time */
#define RELOAD_PAUSE_MAX_MS 60000

/* Rows refer to each other by number; these tables live only while a load runs. */
struct loading {
    struct index *index;
    index_done done;
    void *user;
    struct table networks, leases;
    int error;
};

static bool same_network_number(const void *item, const void *key)
{
    return ((const struct network *)item)->number == *(const int64_t *)key;
}

static bool same_lease_number(const void *item, const void *key)
{
    return ((const struct lease *)item)->number == *(const int64_t *)key;
}

static void loading_fail(struct loading *loading, int error)
{
    if (!loading->error)
        loading->error = error;
}

static void loaded_epoch(uint64_t epoch, uint64_t dropped_networks, void *user)
{
    struct loading *loading = user;
    struct index *index = loading->index;

    /* The store goes on with other files: what memory has belongs to another history, of which
     * nothing that a poll waits for can come any more. */
    if (index->store_epoch && index->store_epoch != epoch) {
        polls_fail(index);
        leases_forget(index);
    }
    index->store_epoch = epoch;
    index->dropped_networks = dropped_networks;
}

static void loaded_network(const struct store_network *row, size_t tombstones, void *user)
{
    struct loading *loading = user;
    struct index *index = loading->index;
    struct network *network = network_find(index, row->name);

    if (!network)
        network = network_add(index, row);
    if (!network ||
        table_add(&loading->networks, table_hash(&row->number, sizeof row->number), network)) {
        loading_fail(loading, ERROR_NO_MEMORY);
        return;
    }
    network->number = row->number;
    network->birth = row->birth;
    network->seq = row->seq;
    network->horizon = row->horizon;
    network->epoch = index_derive_epoch(index, row->birth, row->name, strlen(row->name));
    network->tombstones = tombstones;
    network->stored = network->seen = true;
    if (row->number >= index->next_network)
        index->next_network = row->number + 1;
    timer_set(index, &network->prune, index_now_ms(index) + LIMIT_DROP_AFTER_MS);
}

static void loaded_node(const struct store_node *node, void *user)
{
    struct loading *loading = user;
    struct index *index = loading->index;
    uint64_t number_hash = table_hash(&node->network, sizeof node->network);
    struct network *network =
        table_find(&loading->networks, number_hash, same_network_number, &node->network);
    struct lease *lease = network ? lease_find(index, network, node->id) : NULL;

    if (lease && lease->number != node->number) {
        lease_free(index, lease);
        lease = NULL;
    }
    bool fresh = !lease;
    if (!lease && network)
        lease = lease_add(index, network, node->id, node->number, node->token_hash);
    if (!lease ||
        table_add(&loading->leases, table_hash(&node->number, sizeof node->number), lease)) {
        loading_fail(loading, ERROR_NO_MEMORY);
        return;
    }
    /* A registration with another ttl may be what was lost: it was a sign of life all the same. */
    bool renew = fresh || lease->ttl_s != node->ttl_s;
    lease->ttl_s = node->ttl_s;
    lease->listed = node->listed;
    lease->registered_wall_ms = node->registered_wall_ms;
    memcpy(lease->key_hash, node->key_hash, STORE_HASH_SIZE);
    lease->observed_ipv4 = node->observed_ipv4;
    lease->observed_ipv6 = node->observed_ipv6;
    lease->seen = true;
    if (renew)
        lease_renew(index, lease);
    if (fresh) {
        lease_count_source(
            index, lease, node->observed_ipv4.family ? &node->observed_ipv4 : &node->observed_ipv6);
    }
    if (node->number >= index->next_node)
        index->next_node = node->number + 1;
}

static struct box *loading_box(struct loading *loading, int64_t node)
{
    struct lease *lease =
        table_find(&loading->leases, table_hash(&node, sizeof node), same_lease_number, &node);
    return lease ? box_of(loading->index, lease) : NULL;
}

static void loaded_box(const struct store_box *row, void *user)
{
    struct box *box = loading_box(user, row->node);
    if (box) {
        box->seq = row->seq;
        box->acked = row->acked;
    }
}

static void loaded_message(const struct store_message *row, void *user)
{
    struct loading *loading = user;
    struct index *index = loading->index;
    struct store_message message = *row;
    struct box *box = row->mark == STORE_SPENT ? NULL : loading_box(loading, row->box);
    int64_t now_ms = index_now_ms(index);

    /* The wall clock may have been wrong while we were away: no time to live grows by that. */
    int64_t latest_ms = now_ms + LIMIT_MESSAGE_TTL_MAX_S * 1000LL;
    message.expires_ms -= index->wall_offset_ms;
    message.forget_ms -= index->wall_offset_ms;
    if (message.expires_ms > latest_ms)
        message.expires_ms = latest_ms;
    if (message.forget_ms > latest_ms)
        message.forget_ms = latest_ms;
    struct network *home = table_find(&loading->networks,
        table_hash(&row->network, sizeof row->network), same_network_number, &row->network);
    if (!mail_add(index, &message, home, box))
        loading_fail(loading, ERROR_NO_MEMORY);
    /* What is remembered for retries may outlive its node and network: their numbers stay taken. */
    if (row->box >= index->next_node)
        index->next_node = row->box + 1;
    if (row->network >= index->next_network)
        index->next_network = row->network + 1;
    if (row->number >= index->next_message)
        index->next_message = row->number + 1;
}

static const struct store_loader loader = {
    .epoch = loaded_epoch,
    .network = loaded_network,
    .node = loaded_node,
    .box = loaded_box,
    .message = loaded_message,
};

struct sweeping {
    const struct index *index;
    struct sweep sweep;
};

static void sweep_lease(void *item, void *user)
{
    struct lease *lease = item;
    struct sweep *sweep = &((struct sweeping *)user)->sweep;
    if (!lease->seen && sweep->count < LIMIT_EXPIRE_BATCH)
        sweep->items[sweep->count++] = lease;
}

/* It was never committed: back to a network that has had no node, and away if nothing needs it. */
static void sweep_network(void *item, void *user)
{
    struct network *network = item;
    struct sweeping *sweeping = user;
    struct sweep *sweep = &sweeping->sweep;

    if (network->seen)
        return;
    network->stored = false;
    network->seq = network->horizon = 0;
    network->birth = sweeping->index->dropped_networks;
    network->epoch = network_unborn_epoch(sweeping->index, network->name);
    network->tombstones = 0;
    if (!network->nodes && !network->holds && sweep->count < LIMIT_EXPIRE_BATCH)
        sweep->items[sweep->count++] = network;
}

/* What memory has and the store does not was part of what was lost. */
static void sweep_unseen(struct index *index)
{
    struct sweeping sweeping = {.index = index};
    struct sweep *sweep = &sweeping.sweep;

    do {
        sweep->count = 0;
        table_each(&index->leases, sweep_lease, &sweeping);
        for (size_t i = 0; i < sweep->count; i++)
            lease_free(index, sweep->items[i]);
    } while (sweep->count == LIMIT_EXPIRE_BATCH);
    do {
        sweep->count = 0;
        table_each(&index->networks, sweep_network, &sweeping);
        for (size_t i = 0; i < sweep->count; i++)
            network_free(index, sweep->items[i]);
    } while (sweep->count == LIMIT_EXPIRE_BATCH);
}

static void load_done(int error, void *user)
{
    struct loading *loading = user;
    struct index *index = loading->index;
    struct fault fault;

    table_free(&loading->networks);
    table_free(&loading->leases);
    if (!error)
        error = loading->error;
    if (!error) {
        sweep_unseen(index);
        index->loaded = true;
        index_evict(index);
        polls_answer_after_commit(index);
    } else {
        const char *trouble = index->store->f->trouble(index->store);
        fault_set(&fault, error, "the store could not be read%s%s", trouble ? ": " : "",
            trouble ? trouble : "");
    }
    loading->done(error ? &fault : NULL, loading->user);
    free(loading);
}

static void unsee_network(void *item, void *user)
{
    (void)user;
    ((struct network *)item)->seen = false;
}

static void unsee_lease(void *item, void *user)
{
    (void)user;
    ((struct lease *)item)->seen = false;
    if (((struct lease *)item)->box)
        ((struct lease *)item)->box->seq = ((struct lease *)item)->box->acked = 0;
}

void index_load(struct index *index, index_done done, void *user)
{
    struct loading *loading = calloc(1, sizeof *loading);

    index->loaded = false;
    if (!loading) {
        struct fault fault;
        fault_busy(&fault, ERROR_NO_MEMORY);
        done(&fault, user);
        return;
    }
    loading->index = index;
    loading->done = done;
    loading->user = user;
    while (!link_empty(&index->mails))
        mail_free(index, container_of(index->mails.next, struct mail, all));
    table_each(&index->networks, unsee_network, NULL);
    table_each(&index->leases, unsee_lease, NULL);
    index->store->f->load(index->store, &loader, load_done, loading);
}

/* No sign of life was taken since the store could not be read. */
static void credit_unread(struct index *index)
{
    int64_t now_ms = index_now_ms(index);

    index->credit_ms += now_ms - index->unread_ms;
    index->credited_to_ms = index->unread_ms = now_ms;
}

static void reloaded(const struct fault *fault, void *user)
{
    struct index *index = user;

    int64_t now_ms = index_now_ms(index), took_ms = now_ms - index->reload_began_ms;

    credit_unread(index);
    index->refuse_until_ms = now_ms + LOSS_PAUSE_MS;
    if (!fault) {
        index->unread_ms = INT64_MAX;
        return;
    }
    /* Looking through a large file takes long, and nobody is served meanwhile. */
    int64_t pause_ms = took_ms * RELOAD_SHARE;
    if (pause_ms < LOSS_PAUSE_MS)
        pause_ms = LOSS_PAUSE_MS;
    index->reload_ms = now_ms + (pause_ms < RELOAD_PAUSE_MAX_MS ? pause_ms : RELOAD_PAUSE_MAX_MS);
}

void index_lost(void *user)
{
    struct index *index = user;

    int64_t now_ms = index_now_ms(index);

    /* Before the load: a lease that it brings runs from now on. */
    if (index->unread_ms != INT64_MAX)
        credit_unread(index);
    index->unread_ms = now_ms;
    index->reload_began_ms = now_ms;
    index->reload_ms = INT64_MAX;
    index->refuse_until_ms = now_ms + LOSS_PAUSE_MS;
    index_load(index, reloaded, index);
}
