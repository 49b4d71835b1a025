#include "mesh_table.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 16

/* --- what is due ----------------------------------------------------------------------------- */

static void put_due(struct mesh_table *table, size_t place, struct mesh_peer *peer)
{
    table->due[place] = peer;
    peer->due_place = place;
}

static void rise(struct mesh_table *table, struct mesh_peer *peer)
{
    size_t place = peer->due_place;

    while (place > 0 && peer->due_ms < table->due[(place - 1) / 2]->due_ms) {
        put_due(table, place, table->due[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put_due(table, place, peer);
}

static void sink(struct mesh_table *table, struct mesh_peer *peer)
{
    size_t place = peer->due_place, child;

    while ((child = place * 2 + 1) < table->count) {
        if (child + 1 < table->count && table->due[child + 1]->due_ms < table->due[child]->due_ms)
            child++;
        if (peer->due_ms <= table->due[child]->due_ms)
            break;
        put_due(table, place, table->due[child]);
        place = child;
    }
    put_due(table, place, peer);
}

void mesh_table_set_due(struct mesh_table *table, struct mesh_peer *peer, int64_t due_ms)
{
    peer->due_ms = due_ms;
    rise(table, peer);
    sink(table, peer);
}

struct mesh_peer *mesh_table_first_due(const struct mesh_table *table)
{
    return table->count > 0 ? table->due[0] : NULL;
}

/* --- by id ----------------------------------------------------------------------------------- */

/* The place of an id, or where it would stand. */
static size_t find_place(const struct mesh_table *table, const char *id, bool *ret_found)
{
    size_t low = 0, high = table->count;

    *ret_found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(table->peers[middle]->id, id);

        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct mesh_peer *mesh_table_find(const struct mesh_table *table, const char *id)
{
    bool found;
    size_t place = find_place(table, id, &found);

    return found ? table->peers[place] : NULL;
}

/* Where one array cannot grow those before it stay longer than needed, which does no harm. */
static bool make_room(struct mesh_table *table)
{
    size_t room = table->room ? table->room * 2 : FIRST_ROOM;
    void *longer;

    if (table->count < table->room)
        return true;
    if (!(longer = realloc(table->peers, room * sizeof(struct mesh_peer *))))
        return false;
    table->peers = longer;
    if (!(longer = realloc(table->due, room * sizeof(struct mesh_peer *))))
        return false;
    table->due = longer;
    if (!(longer = realloc(table->ids, room * sizeof(const char *))))
        return false;
    table->ids = longer;
    if (!(longer = realloc(table->chosen, room * sizeof(bool))))
        return false;
    table->chosen = longer;
    table->room = room;
    return true;
}

struct mesh_peer *mesh_table_make(struct mesh_table *table, const char *id)
{
    bool found;
    size_t place = find_place(table, id, &found), id_size = strlen(id) + 1;
    struct mesh_peer *peer;

    if (found)
        return table->peers[place];
    if (!make_room(table) || !(peer = calloc(1, sizeof *peer + id_size)))
        return NULL;
    memcpy(peer->id, id, id_size);
    peer->due_ms = INT64_MAX;
    memmove(table->peers + place + 1, table->peers + place,
        (table->count - place) * sizeof(struct mesh_peer *));
    table->peers[place] = peer;
    put_due(table, table->count++, peer);
    return peer;
}

void mesh_table_drop(struct mesh_table *table, struct mesh_peer *peer)
{
    bool found;
    size_t place = find_place(table, peer->id, &found), due_place = peer->due_place;
    struct mesh_peer *last = table->due[--table->count];

    memmove(table->peers + place, table->peers + place + 1,
        (table->count - place) * sizeof(struct mesh_peer *));
    if (last != peer) {
        put_due(table, due_place, last);
        mesh_table_set_due(table, last, last->due_ms);
    }
    free(peer);
}

void mesh_table_clear(struct mesh_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->peers[i]);
    free(table->peers);
    free(table->due);
    free(table->ids);
    free(table->chosen);
    *table = (struct mesh_table){0};
}
