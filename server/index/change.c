#include "index/change.h"

#include "metrics.h"

#include <stdlib.h>
#include <string.h>

void change_free(struct change *change)
{
    if (!change)
        return;
    text_clear(&change->announced);
    text_clear(&change->endpoints);
    free(change->meta);
    free(change->reach);
    free(change);
}

static void change_fail(struct change *change, const struct fault *fault)
{
    if (change->registered)
        change->registered(fault, NULL, change->user);
    else
        change->heartbeat(fault, NULL, change->user);
    change_free(change);
}

struct change *change_new(
    struct index *index, const char *meta, const char *reach, struct fault *ret_fault)
{
    struct change *change = calloc(1, sizeof *change);

    if (change) {
        change->index = index;
        change->meta = meta ? strdup(meta) : NULL;
        change->reach = reach ? strdup(reach) : NULL;
    }
    if (!change || (meta && !change->meta) || (reach && !change->reach)) {
        change_free(change);
        fault_busy(ret_fault, ERROR_NO_MEMORY);
        return NULL;
    }
    return change;
}

static const char *text_or_empty(const struct text *text)
{
    return text->bytes ? text->bytes : "";
}

void change_observe(struct change *change, const struct lease *lease, const struct address *address)
{
    if (lease) {
        change->observed_ipv4 = lease->observed_ipv4;
        change->observed_ipv6 = lease->observed_ipv6;
    }
    if (address->family == 4)
        change->observed_ipv4 = *address;
    else if (address->family == 6)
        change->observed_ipv6 = *address;
}

int change_announce(struct change *change, const char *const *endpoints, size_t count,
    const struct address *address, struct fault *ret_fault)
{
    change->announces = true;
    int error = endpoints_join(endpoints, count, address, &change->announced, ret_fault);
    if (error)
        return error;
    return endpoints_resolve(text_or_empty(&change->announced), &change->observed_ipv4,
        &change->observed_ipv6, change->index->config.open, false, &change->endpoints, ret_fault);
}

/* Sets a text of the record; true where that changes it. */
static bool set_text(const char **ret_kept, const char *text)
{
    if (!strcmp(*ret_kept, text))
        return false;
    *ret_kept = text;
    return true;
}

/* Is given the record as it is kept, makes it what it shall be. */
static enum store_verdict change_edit(
    struct store_node *node, bool exists, struct store_network *ret_network, void *user)
{
    struct change *change = user;
    struct network *network = change->network;
    bool write = !exists;

    if (!exists) {
        node->network = network->number;
        node->id = change->id;
        node->announced = node->endpoints = "";
        node->meta = node->reach = "{}";
        node->registered_wall_ms = change->registered_wall_ms;
        memcpy(node->token_hash, change->token_hash, STORE_HASH_SIZE);
    }
    if (change->by_key && memcmp(node->key_hash, change->key_hash, STORE_HASH_SIZE) != 0) {
        memcpy(node->key_hash, change->key_hash, STORE_HASH_SIZE);
        write = true;
    }
    bool visible = !exists || !node->listed;
    bool moved = !address_equal(&node->observed_ipv4, &change->observed_ipv4) ||
                 !address_equal(&node->observed_ipv6, &change->observed_ipv6);
    if (change->announces)
        write |= set_text(&node->announced, text_or_empty(&change->announced));
    else if (moved &&
             endpoints_resolve(node->announced, &change->observed_ipv4, &change->observed_ipv6,
                 change->index->config.open, true, &change->endpoints, &change->fault))
        return STORE_KEEP;
    if (change->announces || moved)
        visible |= set_text(&node->endpoints, text_or_empty(&change->endpoints));
    if (change->meta)
        visible |= set_text(&node->meta, change->meta);
    if (change->reach)
        visible |= set_text(&node->reach, change->reach);
    visible |= moved;
    write |= visible || node->ttl_s != change->ttl_s || node->listed != change->listed;
    node->observed_ipv4 = change->observed_ipv4;
    node->observed_ipv6 = change->observed_ipv6;
    node->ttl_s = change->ttl_s;
    node->listed = change->listed;
    if (node->listed && visible) {
        network_change(change->index, network);
        node->seq = network->seq;
    } else if (!node->listed) {
        node->seq = 0;
    }
    change->cursor.seq = network->seq;
    if (write)
        network_row(network, ret_network);
    network->stored |= write;
    return write ? STORE_WRITE : STORE_KEEP;
}

static void change_done(int error, void *user)
{
    struct change *change = user;
    struct index *index = change->index;
    struct network *network = change->network;

    network->holds--;
    if (error && !change->fault.error)
        fault_busy(&change->fault, error);
    if (change->fault.error) {
        network_let_go(index, network);
        change_fail(change, &change->fault);
        return;
    }
    if (change->registered) {
        metrics_add(change->created ? METRIC_REGISTERED_NEW : METRIC_REGISTERED_AGAIN, 1);
        change->registered(NULL,
            &(struct registered){
                .created = change->created,
                .id = change->id,
                .network = change->network_name,
                .token = change->token[0] ? change->token : NULL,
                .ttl_s = change->ttl_s,
                .heartbeat_after_s = heartbeat_after_s(index, change->ttl_s),
                .endpoints = text_or_empty(&change->endpoints),
                .cursor = change->cursor,
            },
            change->user);
    } else {
        const struct lease *lease = lease_find(index, network, change->id);
        change->heartbeat(NULL,
            &(struct heartbeat){
                .ttl_s = change->ttl_s,
                .heartbeat_after_s = heartbeat_after_s(index, change->ttl_s),
                .cursor = change->cursor,
                .mail = lease ? box_waiting(lease->box) : 0,
            },
            change->user);
    }
    change_free(change);
}

void change_run(struct change *change, struct lease *lease)
{
    struct index *index = change->index;
    struct network *network = lease->network;

    if (!change->created && lease->listed && !change->listed)
        network_add_tombstone(index, network, lease->id);
    if (change->by_key)
        memcpy(lease->key_hash, change->key_hash, STORE_HASH_SIZE);
    lease->ttl_s = change->ttl_s;
    lease->listed = change->listed;
    lease->observed_ipv4 = change->observed_ipv4;
    lease->observed_ipv6 = change->observed_ipv6;
    lease_renew(index, lease);
    network->holds++;
    change->network = network;
    change->cursor.epoch = network->epoch;
    strcpy(change->id, lease->id);
    strcpy(change->network_name, network->name);
    index->store->f->edit_node(index->store, lease->number, change_edit, change_done, change);
    polls_answer_after_commit(index);
}
