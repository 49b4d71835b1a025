#include "index/internal.h"

#include "server_limits.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_NETWORK "default"

static bool same_name(const void *item, const void *key)
{
    return !strcmp(((const struct network *)item)->name, key);
}

static uint64_t name_hash(const char *name)
{
    return table_hash(name, strlen(name));
}

int network_resolve(struct index *index, const struct caller *caller, const char *requested,
    const char **ret_name, struct fault *ret_fault)
{
    const char *own = NULL;
    int error = index_may_read(index, ret_fault);

    if (!error && requested)
        error = id_check("the network", requested, ret_fault);
    if (error)
        return error;
    if (caller->kind == CREDENTIAL_TOKEN) {
        struct lease *lease;
        error = lease_of_caller(index, caller, &lease, ret_fault);
        if (error)
            return error;
        own = lease->network->name;
    } else if (caller->kind == CREDENTIAL_KEY) {
        own = caller->key_network;
        if (!index->config.open &&
            !index->config.admits(caller->hash, own, index->config.admits_user))
            return fault_set(ret_fault, ERROR_BAD_KEY,
                "the join key was withdrawn: ask the operator for another one");
    } else if (!index->config.open) {
        return fault_set(ret_fault, ERROR_NO_CREDENTIAL,
            "this index has join keys: send one, or a node token, in Authorization: Bearer");
    }
    if (!index->config.open && requested && own && strcmp(requested, own) != 0)
        return fault_set(ret_fault, ERROR_OTHER_NETWORK,
            "the credential admits to another network than %s", requested);
    *ret_name = requested ? requested : own ? own : DEFAULT_NETWORK;
    return 0;
}

struct network *network_find(const struct index *index, const char *name)
{
    return table_find(&index->networks, name_hash(name), same_name, name);
}

uint64_t network_unborn_epoch(const struct index *index, const char *name)
{
    return index_derive_epoch(index, index->dropped_networks, name, strlen(name));
}

static void network_pruned(int error, uint64_t horizon, size_t tombstones_left, void *user);

/* The store call outlives neither index nor network: both are held until it completes. */
struct pruning {
    struct index *index;
    struct network *network;
};

static void network_prune(struct index *index, struct network *network)
{
    struct pruning *pruning = malloc(sizeof *pruning);

    if (!pruning) {
        timer_set(index, &network->prune, index_now_ms(index) + LIMIT_DROP_AFTER_MS);
        return;
    }
    *pruning = (struct pruning){index, network};
    network->holds++;
    network->pruning = true;
    network->tombstones = 0; /* counts those that come before this completes */
    index->store->f->prune_tombstones(index->store, network->number,
        index_now_ms(index) + index->wall_offset_ms - LIMIT_TOMBSTONE_S * 1000LL, LIMIT_TOMBSTONES,
        network_pruned, pruning);
}

static void network_fire(struct index *index, struct timer *timer)
{
    struct network *network = container_of(timer, struct network, prune);

    if (!network->stored)
        return;
    if (network->tombstones) {
        network_prune(index, network);
        return;
    }
    if (network->nodes)
        return;
    if (network->holds || network->mails || !link_empty(&network->polls)) {
        timer_set(index, timer, index_now_ms(index) + LIMIT_DROP_AFTER_MS);
        return;
    }
    /* From here on the name is that of a network that has never had a node, with another epoch. */
    index->store->f->drop_network(index->store, network->number, NULL, NULL);
    index->dropped_networks++;
    network_free(index, network);
}

static void network_pruned(int error, uint64_t horizon, size_t tombstones_left, void *user)
{
    struct pruning *pruning = user;
    struct index *index = pruning->index;
    struct network *network = pruning->network;

    network->holds--;
    network->pruning = false;
    if (!error) {
        network->horizon = horizon;
        network->tombstones += tombstones_left;
    }
    timer_set(index, &network->prune,
        index_now_ms(index) + (network->tombstones ? LIMIT_PRUNE_EVERY_MS : LIMIT_DROP_AFTER_MS));
    network_let_go(index, network);
    free(pruning);
}

struct network *network_add(struct index *index, const struct store_network *row)
{
    size_t name_size = strlen(row->name) + 1;
    struct network *network = calloc(1, sizeof *network + name_size);

    if (!network)
        return NULL;
    memcpy(network->name, row->name, name_size);
    network->hash = name_hash(row->name);
    network->number = row->number;
    network->birth = row->birth;
    network->epoch = index_derive_epoch(index, row->birth, row->name, name_size - 1);
    network->prune.fire = network_fire;
    link_init(&network->polls);
    if (timer_start(index, &network->prune)) {
        free(network);
        return NULL;
    }
    if (table_add(&index->networks, network->hash, network)) {
        timer_stop(index, &network->prune);
        free(network);
        return NULL;
    }
    return network;
}

struct network *network_make(struct index *index, const char *name)
{
    struct network *network = network_find(index, name);
    if (network)
        return network;
    return network_add(index, &(struct store_network){
                                  .number = index->next_network++,
                                  .name = name,
                                  .birth = index->dropped_networks,
                              });
}

void network_row(const struct network *network, struct store_network *ret_row)
{
    *ret_row = (struct store_network){
        .number = network->number,
        .name = network->name,
        .birth = network->birth,
        .seq = network->seq,
        .horizon = network->horizon,
    };
}

void network_change(struct index *index, struct network *network)
{
    network->seq++;
    poll_wake_network(index, network);
}

void network_add_tombstone(struct index *index, struct network *network, const char *id)
{
    struct store_network row;
    int64_t now_ms = index_now_ms(index);

    network_change(index, network);
    network->tombstones++;
    network_row(network, &row);
    index->store->f->put_tombstone(index->store, &row,
        &(struct store_tombstone){id, network->seq, now_ms + index->wall_offset_ms}, NULL, NULL);
    polls_answer_after_commit(index);
    if (network->tombstones > LIMIT_TOMBSTONES + LIMIT_TOMBSTONES_SLACK)
        timer_set(index, &network->prune, now_ms);
    else if (network->prune.due.due_ms == INT64_MAX)
        timer_set(index, &network->prune, now_ms + LIMIT_TOMBSTONE_S * 1000LL + 1);
}

void network_let_go(struct index *index, struct network *network)
{
    if (!network->stored && !network->nodes && !network->holds && !network->mails &&
        link_empty(&network->polls))
        network_free(index, network);
}

void network_free(struct index *index, struct network *network)
{
    timer_stop(index, &network->prune);
    table_remove(&index->networks, network->hash, network);
    if (network->source) {
        network->source->networks--;
        source_release(index->config.sources, network->source);
    }
    free(network);
}

void network_count_source(struct network *network, struct source *source)
{
    if (!source || network->source)
        return;
    source_keep(source);
    source->networks++;
    network->source = source;
}
