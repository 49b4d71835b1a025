#include "store/memory.h"

#include "store/memory_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* --- the batch ------------------------------------------------------------------------------- */

/* Opens a batch where none is; false where it has failed and nothing more is done in it. */
static bool memory_open_batch(struct store_memory *memory)
{
    if (!memory->base.open_batch) {
        memory->base.open_batch = true;
        memory->has_before = memory_state_copy(&memory->now, &memory->before);
        memory->failed = !memory->has_before;
    }
    return !memory->failed;
}

void memory_finish(struct store_memory *memory, bool well, store_done done, void *user)
{
    int error = well ? 0 : ERROR_STORE_FAILED;

    if (memory->base.open_batch) {
        if (!well)
            memory->failed = true;
        error = batch_add(&memory->batch, done, user);
        if (!error)
            return;
        memory->failed = true;
    }
    if (done)
        done(error, user);
}

static void memory_flush(struct store *store)
{
    struct store_memory *memory = memory_of(store);

    if (!store->open_batch)
        return;
    bool failed = memory->failed || memory->fail_next_flush;
    if (failed && memory->has_before) {
        memory_state_free(&memory->now);
        memory->now = memory->before;
        memory->before = (struct memory_state){0};
    } else {
        memory_state_free(&memory->before);
    }
    memory->has_before = false;
    memory->failed = false;
    memory->fail_next_flush = false;
    store->open_batch = false;
    if (failed)
        batch_lose(&memory->batch, store);
    else
        batch_complete(&memory->batch, 0);
}

static void memory_barrier(struct store *store, store_done done, void *user)
{
    memory_finish(memory_of(store), true, done, user);
}

static void memory_probe(struct store *store, store_done done, void *user)
{
    memory_finish(memory_of(store), true, done, user);
}

static uint64_t memory_bytes(const struct store *store)
{
    (void)store;
    return 0;
}

static const char *memory_trouble(const struct store *store)
{
    (void)store;
    return NULL;
}

/* --- writes ---------------------------------------------------------------------------------- */

/* Every store refuses what contradicts what it holds, by failing the batch: here by hand what
 * schema.sql says in its constraints. */

static bool memory_write_network(struct store_memory *memory, const struct store_network *network)
{
    const struct memory_list *networks = &memory->now.lists[MEMORY_NETWORKS];
    const struct memory_row *before = memory_find(memory, MEMORY_NETWORKS, network->number);
    struct store_network merged = *network;

    if (network->number < 1 || !*network->name || network->seq > INT64_MAX ||
        network->horizon > INT64_MAX)
        return false;
    for (size_t i = 0; i < networks->count; i++) {
        if (networks->rows[i] != before &&
            strcmp(networks->rows[i]->network.name, network->name) == 0)
            return false;
    }
    if (before && before->network.horizon > merged.horizon)
        merged.horizon = before->network.horizon;
    return memory_put(memory, MEMORY_NETWORKS, memory_network_row(&merged));
}

static bool memory_may_hold_node(
    const struct store_memory *memory, int64_t number, const struct store_node *node)
{
    const struct memory_list *nodes = &memory->now.lists[MEMORY_NODES];

    if (number < 1 || !*node->id || node->ttl_s < 1 || node->seq > INT64_MAX ||
        (!node->listed && node->seq) || !memory_find(memory, MEMORY_NETWORKS, node->network))
        return false;
    for (size_t i = 0; i < nodes->count; i++) {
        const struct store_node *other = &nodes->rows[i]->node;
        if (other->number == number || other->network != node->network)
            continue;
        if (strcmp(other->id, node->id) == 0 ||
            (node->listed && other->listed && other->seq == node->seq))
            return false;
    }
    return true;
}

/* The place of the tombstone of that id; the count of tombstones where there is none. */
static size_t memory_find_tombstone(
    const struct store_memory *memory, int64_t network, const char *id)
{
    const struct memory_list *tombstones = &memory->now.lists[MEMORY_TOMBSTONES];
    size_t at = 0;

    while (at < tombstones->count && (tombstones->rows[at]->key != network ||
                                         strcmp(tombstones->rows[at]->tombstone.id, id) != 0))
        at++;
    return at;
}

static void memory_remove_tombstone(struct store_memory *memory, int64_t network, const char *id)
{
    size_t at = memory_find_tombstone(memory, network, id);

    if (at < memory->now.lists[MEMORY_TOMBSTONES].count)
        memory_remove_at(memory, MEMORY_TOMBSTONES, at);
}

static bool memory_edit(struct store_memory *memory, int64_t number, store_edit edit, void *user)
{
    const struct memory_row *row = memory_find(memory, MEMORY_NODES, number);
    struct store_node node = {
        .number = number, .id = "", .announced = "", .endpoints = "", .meta = "", .reach = ""};
    struct store_network network = {0};

    if (row)
        node = row->node;
    if (edit(&node, row != NULL, &network, user) != STORE_WRITE)
        return true;
    if (network.number && !memory_write_network(memory, &network))
        return false;
    if (!memory_may_hold_node(memory, number, &node) ||
        !memory_put(memory, MEMORY_NODES, memory_node_row(number, &node)))
        return false;
    /* What the caller left as it was pointed into the old row, so the new one is asked. */
    row = memory_find(memory, MEMORY_NODES, number);
    if (row->node.listed)
        memory_remove_tombstone(memory, row->node.network, row->node.id);
    return true;
}

static void memory_edit_node(
    struct store *store, int64_t number, store_edit edit, store_done done, void *user)
{
    struct store_memory *memory = memory_of(store);
    bool well = memory_open_batch(memory) && memory_edit(memory, number, edit, user);

    memory_finish(memory, well, done, user);
}

static void memory_remove_node(struct store *store, int64_t number, store_done done, void *user)
{
    struct store_memory *memory = memory_of(store);
    bool well = memory_open_batch(memory);

    if (well) {
        memory_remove(memory, MEMORY_BOXES, number);
        memory_remove(memory, MEMORY_NODES, number);
    }
    memory_finish(memory, well, done, user);
}

static bool memory_write_tombstone(
    struct store_memory *memory, int64_t network, const struct store_tombstone *tombstone)
{
    const struct memory_list *tombstones = &memory->now.lists[MEMORY_TOMBSTONES];

    if (!*tombstone->id || tombstone->seq < 1 || tombstone->seq > INT64_MAX)
        return false;
    for (size_t i = 0; i < tombstones->count; i++) {
        const struct store_tombstone *other = &tombstones->rows[i]->tombstone;
        if (tombstones->rows[i]->key == network && other->seq == tombstone->seq &&
            strcmp(other->id, tombstone->id) != 0)
            return false;
    }
    memory_remove_tombstone(memory, network, tombstone->id);
    return memory_add(memory, MEMORY_TOMBSTONES, memory_tombstone_row(network, tombstone));
}

static void memory_put_tombstone(struct store *store, const struct store_network *network,
    const struct store_tombstone *tombstone, store_done done, void *user)
{
    struct store_memory *memory = memory_of(store);
    bool well = memory_open_batch(memory) && memory_write_network(memory, network) &&
                memory_write_tombstone(memory, network->number, tombstone);

    memory_finish(memory, well, done, user);
}

/* How many tombstones of the network are newer than that seq. */
static size_t memory_count_newer(const struct store_memory *memory, int64_t network, uint64_t seq)
{
    const struct memory_list *tombstones = &memory->now.lists[MEMORY_TOMBSTONES];
    size_t count = 0;

    for (size_t i = 0; i < tombstones->count; i++)
        count += tombstones->rows[i]->key == network && tombstones->rows[i]->tombstone.seq > seq;
    return count;
}

static bool memory_prune(
    struct store_memory *memory, int64_t network, int64_t before_ms, size_t keep)
{
    const struct memory_list *tombstones = &memory->now.lists[MEMORY_TOMBSTONES];
    const struct memory_row *row = memory_find(memory, MEMORY_NETWORKS, network);
    uint64_t horizon = 0;

    if (!row)
        return true;
    for (size_t i = 0; i < tombstones->count; i++) {
        const struct store_tombstone *tombstone = &tombstones->rows[i]->tombstone;
        if (tombstones->rows[i]->key == network && tombstone->seq > horizon &&
            (tombstone->gone_ms < before_ms ||
                memory_count_newer(memory, network, tombstone->seq) >= keep))
            horizon = tombstone->seq;
    }
    for (size_t i = tombstones->count; i-- > 0;) {
        if (tombstones->rows[i]->key == network && tombstones->rows[i]->tombstone.seq <= horizon)
            memory_remove_at(memory, MEMORY_TOMBSTONES, i);
    }
    if (horizon <= row->network.horizon)
        return true;
    struct store_network moved = row->network;
    moved.horizon = horizon;
    return memory_put(memory, MEMORY_NETWORKS, memory_network_row(&moved));
}

static void memory_prune_tombstones(struct store *store, int64_t network, int64_t before_ms,
    size_t keep, store_pruned done, void *user)
{
    struct store_memory *memory = memory_of(store);

    if (!memory_open_batch(memory) || !memory_prune(memory, network, before_ms, keep))
        memory->failed = true;
    const struct memory_row *row = memory_find(memory, MEMORY_NETWORKS, network);
    int error = batch_add_pruned(&memory->batch, done, user, row ? row->network.horizon : 0,
        memory_count_tombstones(memory, network));
    if (error) {
        memory->failed = true;
        done(error, 0, 0, user);
    }
}

static void memory_drop_network(struct store *store, int64_t network, store_done done, void *user)
{
    struct store_memory *memory = memory_of(store);
    const struct memory_list *nodes = &memory->now.lists[MEMORY_NODES];
    bool well = memory_open_batch(memory);
    bool used = memory_count_tombstones(memory, network) > 0 ||
                !memory_find(memory, MEMORY_NETWORKS, network);

    for (size_t i = 0; !used && i < nodes->count; i++)
        used = nodes->rows[i]->node.network == network;
    if (well && !used) {
        memory_remove(memory, MEMORY_NETWORKS, network);
        memory->now.dropped_networks++;
    }
    memory_finish(memory, well, done, user);
}

static bool memory_write_box(struct store_memory *memory, const struct store_box *box)
{
    if (box->seq > INT64_MAX || box->acked > INT64_MAX ||
        !memory_find(memory, MEMORY_NODES, box->node))
        return false;
    return memory_put(memory, MEMORY_BOXES, memory_box_row(box));
}

static bool memory_write_message(struct store_memory *memory, const struct store_message *message)
{
    if (message->number < 1 || message->seq > INT64_MAX || message->mark > STORE_SPENT ||
        (message->mark != STORE_SPENT && !message->body) ||
        memory_find(memory, MEMORY_MESSAGES, message->number))
        return false;
    return memory_add(memory, MEMORY_MESSAGES, memory_message_row(message));
}

static void memory_put_message(
    struct store *store, const struct store_message *message, store_done done, void *user)
{
    struct store_memory *memory = memory_of(store);
    bool well = memory_open_batch(memory) && memory_write_message(memory, message);

    memory_finish(memory, well, done, user);
}

static bool memory_write_mark(struct store_memory *memory, int64_t number, enum store_mark mark)
{
    const struct memory_row *row = memory_find(memory, MEMORY_MESSAGES, number);

    if (!row)
        return true;
    if (mark == STORE_FORGET) {
        memory_remove(memory, MEMORY_MESSAGES, number);
        return true;
    }
    /* The body of a spent one is gone: it cannot be given out again. */
    if (row->message.mark == STORE_SPENT && mark != STORE_SPENT)
        return false;
    struct store_message message = row->message;
    message.mark = mark;
    return memory_put(memory, MEMORY_MESSAGES, memory_message_row(&message));
}

static void memory_mark_message(
    struct store *store, int64_t number, enum store_mark mark, store_done done, void *user)
{
    struct store_memory *memory = memory_of(store);
    bool well = memory_open_batch(memory) && memory_write_mark(memory, number, mark);

    memory_finish(memory, well, done, user);
}

static void memory_put_box(
    struct store *store, const struct store_box *box, store_done done, void *user)
{
    struct store_memory *memory = memory_of(store);
    bool well = memory_open_batch(memory) && memory_write_box(memory, box);

    memory_finish(memory, well, done, user);
}

/* --- the store ------------------------------------------------------------------------------- */

static void memory_close(struct store *store)
{
    if (!store)
        return;
    /* A completion may have written again. */
    while (store->open_batch)
        memory_flush(store);
    memory_state_free(&memory_of(store)->now);
    batch_free(&memory_of(store)->batch);
    free(store);
}

static const struct store_functions memory_functions = {
    .load = memory_load,
    .get_node = memory_get_node,
    .list_nodes = memory_list_nodes,
    .list_changes = memory_list_changes,
    .read_messages = memory_read_messages,
    .barrier = memory_barrier,
    .probe = memory_probe,
    .trouble = memory_trouble,
    .bytes = memory_bytes,
    .edit_node = memory_edit_node,
    .remove_node = memory_remove_node,
    .put_tombstone = memory_put_tombstone,
    .prune_tombstones = memory_prune_tombstones,
    .drop_network = memory_drop_network,
    .put_message = memory_put_message,
    .mark_message = memory_mark_message,
    .put_box = memory_put_box,
    .flush = memory_flush,
    .close = memory_close,
};

int store_memory_open(struct store **ret_store)
{
    struct store_memory *memory = calloc(1, sizeof *memory);

    if (!memory)
        return ERROR_NO_MEMORY;
    if (getrandom(&memory->epoch, sizeof memory->epoch, 0) != (ssize_t)sizeof memory->epoch) {
        free(memory);
        return ERROR_STORE_FAILED;
    }
    memory->base.f = &memory_functions;
    *ret_store = &memory->base;
    return 0;
}

void store_memory_fail_next_flush(struct store *store)
{
    memory_of(store)->fail_next_flush = true;
}

void store_memory_fail_next_load(struct store *store)
{
    memory_of(store)->fail_next_load = true;
}
