#include "store/memory_internal.h"

#include <stdlib.h>
#include <string.h>

static int memory_compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int memory_by_key(const void *a, const void *b)
{
    return memory_compare_numbers(
        (*(struct memory_row *const *)a)->key, (*(struct memory_row *const *)b)->key);
}

static int memory_by_id(const void *a, const void *b)
{
    return strcmp(
        (*(struct memory_row *const *)a)->node.id, (*(struct memory_row *const *)b)->node.id);
}

/* A row of a list of changes. */
struct memory_change {
    uint64_t seq;
    const struct store_node *node; /* or NULL */
    const struct store_tombstone *tombstone;
};

static int memory_by_change_seq(const void *a, const void *b)
{
    return memory_compare_numbers((int64_t)((const struct memory_change *)a)->seq,
        (int64_t)((const struct memory_change *)b)->seq);
}

/* The rows that are chosen (all, where `choose` is NULL), sorted, in an array to be freed. */
static bool memory_sorted(const struct memory_list *list,
    bool (*choose)(const struct memory_row *row, const void *what), const void *what,
    int (*compare)(const void *a, const void *b), struct memory_list *ret_sorted)
{
    struct memory_list sorted = {malloc((list->count + 1) * sizeof *sorted.rows), 0};

    if (!sorted.rows)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        if (!choose || choose(list->rows[i], what))
            sorted.rows[sorted.count++] = list->rows[i];
    }
    qsort(sorted.rows, sorted.count, sizeof *sorted.rows, compare);
    *ret_sorted = sorted;
    return true;
}

static void memory_load_row(const struct store_memory *memory, enum memory_kind kind,
    const struct memory_row *row, const struct store_loader *loader, void *user)
{
    if (kind == MEMORY_NETWORKS) {
        loader->network(&row->network, memory_count_tombstones(memory, row->key), user);
    } else if (kind == MEMORY_NODES) {
        struct store_node node = row->node;
        node.announced = node.endpoints = node.meta = node.reach = "";
        loader->node(&node, user);
    } else if (kind == MEMORY_BOXES) {
        loader->box(&row->box, user);
    } else if (kind == MEMORY_MESSAGES) {
        struct store_message message = row->message;
        message.body = NULL;
        loader->message(&message, user);
    }
}

void memory_load(
    struct store *store, const struct store_loader *loader, store_done done, void *user)
{
    static const enum memory_kind kinds[] = {
        MEMORY_NETWORKS, MEMORY_NODES, MEMORY_BOXES, MEMORY_MESSAGES};
    struct store_memory *memory = memory_of(store);
    struct memory_list sorted;
    bool well = true;

    if (!memory->failed) {
        loader->epoch(memory->epoch, memory->now.dropped_networks, user);
        for (size_t k = 0; well && k < sizeof kinds / sizeof *kinds; k++) {
            if (memory->fail_next_load && kinds[k] == MEMORY_BOXES)
                break;
            well = memory_sorted(&memory->now.lists[kinds[k]], NULL, NULL, memory_by_key, &sorted);
            for (size_t i = 0; well && i < sorted.count; i++)
                memory_load_row(memory, kinds[k], sorted.rows[i], loader, user);
            if (well)
                free(sorted.rows);
        }
    }
    well = well && !memory->fail_next_load;
    memory->fail_next_load = false;
    memory_finish(memory, well, done, user);
}

void memory_get_node(
    struct store *store, int64_t number, store_node_visit visit, store_done done, void *user)
{
    struct store_memory *memory = memory_of(store);
    const struct memory_row *row = memory_find(memory, MEMORY_NODES, number);

    if (row && !memory->failed)
        visit(&row->node, user);
    memory_finish(memory, true, done, user);
}

struct memory_page {
    int64_t network;
    const char *after_id;
};

static bool memory_in_page(const struct memory_row *row, const void *what)
{
    const struct memory_page *page = what;

    return row->node.network == page->network && row->node.listed &&
           strcmp(row->node.id, page->after_id) > 0;
}

void memory_list_nodes(struct store *store, int64_t network, const char *after_id,
    store_change_visit visit, store_done done, void *user)
{
    struct store_memory *memory = memory_of(store);
    struct memory_page page = {network, after_id};
    struct memory_list sorted = {0};
    bool well = true;

    if (!memory->failed)
        well = memory_sorted(
            &memory->now.lists[MEMORY_NODES], memory_in_page, &page, memory_by_id, &sorted);
    for (size_t i = 0; i < sorted.count && visit(&sorted.rows[i]->node, NULL, user); i++)
        continue;
    free(sorted.rows);
    memory_finish(memory, well, done, user);
}

void memory_list_changes(struct store *store, int64_t network, uint64_t since,
    store_change_visit visit, store_done done, void *user)
{
    struct store_memory *memory = memory_of(store);
    const struct memory_list *nodes = &memory->now.lists[MEMORY_NODES];
    const struct memory_list *tombstones = &memory->now.lists[MEMORY_TOMBSTONES];
    struct memory_change *changes =
        malloc((nodes->count + tombstones->count + 1) * sizeof *changes);
    size_t count = 0;

    for (size_t i = 0; changes && i < nodes->count; i++) {
        const struct store_node *node = &nodes->rows[i]->node;
        if (node->network == network && node->listed && node->seq > since)
            changes[count++] = (struct memory_change){node->seq, node, NULL};
    }
    for (size_t i = 0; changes && i < tombstones->count; i++) {
        const struct store_tombstone *tombstone = &tombstones->rows[i]->tombstone;
        if (tombstones->rows[i]->key == network && tombstone->seq > since)
            changes[count++] = (struct memory_change){tombstone->seq, NULL, tombstone};
    }
    if (count)
        qsort(changes, count, sizeof *changes, memory_by_change_seq);
    for (size_t i = 0; !memory->failed && i < count; i++) {
        if (!visit(changes[i].node, changes[i].tombstone, user))
            break;
    }
    bool well = changes != NULL;
    free(changes);
    memory_finish(memory, well, done, user);
}

void memory_read_messages(struct store *store, const int64_t *numbers, size_t count,
    store_message_visit visit, store_done done, void *user)
{
    struct store_memory *memory = memory_of(store);
    bool more = !memory->failed;

    for (size_t i = 0; more && i < count; i++) {
        const struct memory_row *row = memory_find(memory, MEMORY_MESSAGES, numbers[i]);
        if (row && row->message.mark != STORE_SPENT)
            more = visit(&row->message, user);
    }
    memory_finish(memory, true, done, user);
}
