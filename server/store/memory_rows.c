#include "store/memory_internal.h"

#include <stdlib.h>
#include <string.h>

static struct memory_row *memory_row_new(int64_t key, size_t strings_size)
{
    struct memory_row *row = calloc(1, sizeof *row + strings_size);

    if (row) {
        row->references = 1;
        row->key = key;
    }
    return row;
}

static void memory_row_release(struct memory_row *row)
{
    if (row && --row->references == 0)
        free(row);
}

/* Copies into a row's strings; returns where, and moves `room` past it. */
static const char *memory_keep(char **room, const char *bytes, size_t size)
{
    char *kept = *room;

    memcpy(kept, bytes, size);
    *room += size;
    return kept;
}

static const char *memory_keep_string(char **room, const char *string)
{
    return memory_keep(room, string, strlen(string) + 1);
}

void memory_state_free(struct memory_state *state)
{
    for (size_t kind = 0; kind < MEMORY_KINDS; kind++) {
        for (size_t i = 0; i < state->lists[kind].count; i++)
            memory_row_release(state->lists[kind].rows[i]);
        free(state->lists[kind].rows);
    }
    *state = (struct memory_state){0};
}

bool memory_state_copy(const struct memory_state *state, struct memory_state *ret_copy)
{
    struct memory_state copy = {.dropped_networks = state->dropped_networks};

    for (size_t kind = 0; kind < MEMORY_KINDS; kind++) {
        const struct memory_list *from = &state->lists[kind];
        struct memory_list *to = &copy.lists[kind];
        if (!from->count)
            continue;
        to->rows = malloc(from->count * sizeof *to->rows);
        if (!to->rows) {
            memory_state_free(&copy);
            return false;
        }
        for (; to->count < from->count; to->count++) {
            to->rows[to->count] = from->rows[to->count];
            to->rows[to->count]->references++;
        }
    }
    *ret_copy = copy;
    return true;
}

/* Takes the row over, also where it fails. */
static bool memory_list_add(struct memory_list *list, struct memory_row *row)
{
    struct memory_row **rows = row ? realloc(list->rows, (list->count + 1) * sizeof *rows) : NULL;

    if (!rows) {
        memory_row_release(row);
        return false;
    }
    list->rows = rows;
    list->rows[list->count++] = row;
    return true;
}

static void memory_list_remove(struct memory_list *list, size_t at)
{
    memory_row_release(list->rows[at]);
    list->rows[at] = list->rows[--list->count];
}

/* The place of the row with that key; `count` where there is none. */
static size_t memory_list_find(const struct memory_list *list, int64_t key)
{
    size_t at = 0;

    while (at < list->count && list->rows[at]->key != key)
        at++;
    return at;
}

struct memory_row *memory_find(
    const struct store_memory *memory, enum memory_kind kind, int64_t key)
{
    const struct memory_list *list = &memory->now.lists[kind];
    size_t at = memory_list_find(list, key);

    return at < list->count ? list->rows[at] : NULL;
}

bool memory_add(struct store_memory *memory, enum memory_kind kind, struct memory_row *row)
{
    return memory_list_add(&memory->now.lists[kind], row);
}

bool memory_put(struct store_memory *memory, enum memory_kind kind, struct memory_row *row)
{
    struct memory_list *list = &memory->now.lists[kind];
    size_t at = row ? memory_list_find(list, row->key) : list->count;

    if (at == list->count)
        return memory_list_add(list, row);
    memory_row_release(list->rows[at]);
    list->rows[at] = row;
    return true;
}

void memory_remove(struct store_memory *memory, enum memory_kind kind, int64_t key)
{
    struct memory_list *list = &memory->now.lists[kind];
    size_t at = memory_list_find(list, key);

    if (at < list->count)
        memory_list_remove(list, at);
}

struct memory_row *memory_network_row(const struct store_network *network)
{
    struct memory_row *row = memory_row_new(network->number, strlen(network->name) + 1);

    if (row) {
        char *room = row->strings;
        row->network = *network;
        row->network.name = memory_keep_string(&room, network->name);
    }
    return row;
}

struct memory_row *memory_node_row(int64_t number, const struct store_node *node)
{
    struct memory_row *row = memory_row_new(
        number, strlen(node->id) + strlen(node->announced) + strlen(node->endpoints) +
                    strlen(node->meta) + strlen(node->reach) + 5);

    if (row) {
        char *room = row->strings;
        row->node = *node;
        row->node.number = number;
        row->node.id = memory_keep_string(&room, node->id);
        row->node.announced = memory_keep_string(&room, node->announced);
        row->node.endpoints = memory_keep_string(&room, node->endpoints);
        row->node.meta = memory_keep_string(&room, node->meta);
        row->node.reach = memory_keep_string(&room, node->reach);
    }
    return row;
}

struct memory_row *memory_tombstone_row(int64_t network, const struct store_tombstone *tombstone)
{
    struct memory_row *row = memory_row_new(network, strlen(tombstone->id) + 1);

    if (row) {
        char *room = row->strings;
        row->tombstone = *tombstone;
        row->tombstone.id = memory_keep_string(&room, tombstone->id);
    }
    return row;
}

struct memory_row *memory_box_row(const struct store_box *box)
{
    struct memory_row *row = memory_row_new(box->node, 0);

    if (row)
        row->box = *box;
    return row;
}

struct memory_row *memory_message_row(const struct store_message *message)
{
    size_t body_size = message->mark == STORE_SPENT ? 0 : message->body_size;
    struct memory_row *row = memory_row_new(
        message->number, strlen(message->to) + strlen(message->from) + strlen(message->id) +
                             strlen(message->session) + strlen(message->type) + 5 + body_size);

    if (row) {
        char *room = row->strings;
        row->message = *message;
        row->message.to = memory_keep_string(&room, message->to);
        row->message.from = memory_keep_string(&room, message->from);
        row->message.id = memory_keep_string(&room, message->id);
        row->message.session = memory_keep_string(&room, message->session);
        row->message.type = memory_keep_string(&room, message->type);
        row->message.body =
            message->mark == STORE_SPENT ? NULL : memory_keep(&room, message->body, body_size);
    }
    return row;
}

void memory_remove_at(struct store_memory *memory, enum memory_kind kind, size_t at)
{
    memory_list_remove(&memory->now.lists[kind], at);
}

size_t memory_count_tombstones(const struct store_memory *memory, int64_t network)
{
    const struct memory_list *tombstones = &memory->now.lists[MEMORY_TOMBSTONES];
    size_t count = 0;

    for (size_t i = 0; i < tombstones->count; i++)
        count += tombstones->rows[i]->key == network;
    return count;
}
