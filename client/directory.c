#include "directory.h"

#include <stdlib.h>
#include <string.h>

/* A peer as one index lists it: one block of memory, strings and all. */
struct record {
    signpost_peer_t peer;
    int64_t keep_until_ms; /* INT64_MAX: listed; else not in its last whole list, kept so long */
    bool seen;             /* in the whole list that comes */
};

struct entry {
    struct record **records; /* one for each index, NULL: not listed there */
    struct record *told;     /* as the application knows it; NULL: not yet */
    char id[];
};

struct directory {
    size_t indexes;
    bool *away;
    struct entry **entries; /* in order of id */
    size_t count, room;
    size_t *listed; /* for each index: how many it lists */
    int64_t due_ms;
    directory_event told;
    void *user;
};

/* --- records --------------------------------------------------------------------------------- */

static size_t strings_size(const char *const *strings, size_t count)
{
    size_t size = count * sizeof *strings;
    for (size_t i = 0; i < count; i++)
        size += strlen(strings[i]) + 1;
    return size;
}

static const char *put_string(char **at, const char *string)
{
    char *copy = *at;
    size_t size = strlen(string) + 1;
    memcpy(copy, string, size);
    *at += size;
    return copy;
}

static struct record *record_new(const signpost_peer_t *peer)
{
    const char *registered_at = peer->registered_at ? peer->registered_at : "";
    size_t size = sizeof(struct record) + strings_size(peer->endpoints, peer->endpoint_count) +
                  strings_size(peer->observed, peer->observed_count) + strlen(peer->id) +
                  strlen(peer->meta) + strlen(peer->reach) + strlen(registered_at) + 4;
    struct record *record = calloc(1, size);

    if (!record)
        return NULL;
    const char **endpoints = (const char **)(record + 1);
    const char **observed = endpoints + peer->endpoint_count;
    char *at = (char *)(observed + peer->observed_count);
    for (size_t i = 0; i < peer->endpoint_count; i++)
        endpoints[i] = put_string(&at, peer->endpoints[i]);
    for (size_t i = 0; i < peer->observed_count; i++)
        observed[i] = put_string(&at, peer->observed[i]);
    record->peer = (signpost_peer_t){
        .id = put_string(&at, peer->id),
        .endpoints = endpoints,
        .endpoint_count = peer->endpoint_count,
        .observed = observed,
        .observed_count = peer->observed_count,
        .meta = put_string(&at, peer->meta),
        .reach = put_string(&at, peer->reach),
        .registered_at = put_string(&at, registered_at),
        .stale = peer->stale,
    };
    record->keep_until_ms = INT64_MAX;
    return record;
}

static bool strings_equal(
    const char *const *a, size_t a_count, const char *const *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

/* A node that an emptied index has just seen again is the same, though registered later. */
static bool peer_equal(const signpost_peer_t *a, const signpost_peer_t *b)
{
    return a->stale == b->stale && !strcmp(a->meta, b->meta) && !strcmp(a->reach, b->reach) &&
           strings_equal(a->endpoints, a->endpoint_count, b->endpoints, b->endpoint_count) &&
           strings_equal(a->observed, a->observed_count, b->observed, b->observed_count);
}

/* --- entries --------------------------------------------------------------------------------- */

/* The place of an id, or where it would stand. */
static size_t entry_place(const struct directory *directory, const char *id, bool *ret_found)
{
    size_t low = 0, high = directory->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(directory->entries[middle]->id, id);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = false;
    return low;
}

static struct entry *entry_find(const struct directory *directory, const char *id)
{
    bool found;
    size_t place = entry_place(directory, id, &found);
    return found ? directory->entries[place] : NULL;
}

static void entry_free(const struct directory *directory, struct entry *entry)
{
    for (size_t i = 0; entry->records && i < directory->indexes; i++)
        free(entry->records[i]);
    free(entry->records);
    free(entry->told);
    free(entry);
}

static struct entry *entry_make(struct directory *directory, const char *id)
{
    bool found;
    size_t place = entry_place(directory, id, &found);
    size_t id_size = strlen(id) + 1;

    if (found)
        return directory->entries[place];
    if (directory->count == directory->room) {
        size_t room = directory->room ? directory->room * 2 : 16;
        struct entry **entries = realloc(directory->entries, room * sizeof(struct entry *));
        if (!entries)
            return NULL;
        directory->entries = entries;
        directory->room = room;
    }
    struct entry *entry = calloc(1, sizeof *entry + id_size);
    if (!entry)
        return NULL;
    entry->records = calloc(directory->indexes, sizeof(struct record *));
    if (!entry->records) {
        free(entry);
        return NULL;
    }
    memcpy(entry->id, id, id_size);
    memmove(directory->entries + place + 1, directory->entries + place,
        (directory->count - place) * sizeof(struct entry *));
    directory->entries[place] = entry;
    directory->count++;
    return entry;
}

static void entry_drop(struct directory *directory, struct entry *entry)
{
    bool found;
    size_t place = entry_place(directory, entry->id, &found);

    directory->count--;
    memmove(directory->entries + place, directory->entries + place + 1,
        (directory->count - place) * sizeof(struct entry *));
    entry_free(directory, entry);
}

/* The peer as it is to be told: by the first index that is there and lists it, else by any that
 * knows it, stale. False: nobody knows it. */
static bool entry_view(
    const struct directory *directory, const struct entry *entry, signpost_peer_t *ret_peer)
{
    const struct record *any = NULL;

    for (size_t i = 0; i < directory->indexes; i++) {
        const struct record *record = entry->records[i];
        if (!record)
            continue;
        if (!directory->away[i] && record->keep_until_ms == INT64_MAX) {
            *ret_peer = record->peer;
            ret_peer->stale = false;
            return true;
        }
        if (!any)
            any = record;
    }
    if (!any)
        return false;
    *ret_peer = any->peer;
    ret_peer->stale = true;
    return true;
}

static bool is_known(const struct directory *directory, const struct entry *entry)
{
    for (size_t i = 0; i < directory->indexes; i++)
        if (entry->records[i])
            return true;
    return false;
}

/* Tells what became of an entry. SIGNPOST_ERROR_UNKNOWN_PEER: nobody knows it any more, and it is
 * to be dropped; SIGNPOST_ERROR_NO_MEMORY: it is told with its next change. */
static int entry_tell(struct directory *directory, struct entry *entry)
{
    signpost_peer_t peer;

    if (!entry_view(directory, entry, &peer)) {
        struct record *told = entry->told;
        entry->told = NULL;
        if (told)
            directory->told(SIGNPOST_PEER_DOWN, &told->peer, directory->user);
        free(told);
        return SIGNPOST_ERROR_UNKNOWN_PEER;
    }
    if (entry->told && peer_equal(&entry->told->peer, &peer))
        return 0;
    struct record *told = record_new(&peer);
    if (!told)
        return SIGNPOST_ERROR_NO_MEMORY;
    signpost_peer_event_t event = entry->told ? SIGNPOST_PEER_CHANGED : SIGNPOST_PEER_UP;
    free(entry->told);
    entry->told = told;
    directory->told(event, &told->peer, directory->user);
    return 0;
}

static void record_set(
    struct directory *directory, struct entry *entry, size_t index, struct record *record)
{
    directory->listed[index] += (record != NULL);
    directory->listed[index] -= (entry->records[index] != NULL);
    free(entry->records[index]);
    entry->records[index] = record;
}

/* --- the directory --------------------------------------------------------------------------- */

struct directory *directory_new(size_t indexes, directory_event told, void *user)
{
    struct directory *directory = calloc(1, sizeof *directory);

    if (!directory)
        return NULL;
    directory->indexes = indexes;
    directory->told = told;
    directory->user = user;
    directory->due_ms = INT64_MAX;
    directory->away = calloc(indexes, sizeof *directory->away);
    directory->listed = calloc(indexes, sizeof *directory->listed);
    if (!directory->away || !directory->listed) {
        directory_free(directory);
        return NULL;
    }
    return directory;
}

void directory_free(struct directory *directory)
{
    if (!directory)
        return;
    for (size_t i = 0; i < directory->count; i++)
        entry_free(directory, directory->entries[i]);
    free(directory->entries);
    free(directory->away);
    free(directory->listed);
    free(directory);
}

int directory_put(struct directory *directory, size_t index, const signpost_peer_t *peer)
{
    struct record *record;
    struct entry *entry = entry_find(directory, peer->id);

    if ((!entry || !entry->records[index]) && directory->listed[index] >= DIRECTORY_PEERS_MAX)
        return SIGNPOST_ERROR_FULL;
    record = record_new(peer);
    if (!record)
        return SIGNPOST_ERROR_NO_MEMORY;
    if (!entry)
        entry = entry_make(directory, peer->id);
    if (!entry) {
        free(record);
        return SIGNPOST_ERROR_NO_MEMORY;
    }
    record->seen = true;
    record_set(directory, entry, index, record);
    return entry_tell(directory, entry);
}

void directory_remove(struct directory *directory, size_t index, const char *id)
{
    struct entry *entry = entry_find(directory, id);

    if (!entry || !entry->records[index])
        return;
    record_set(directory, entry, index, NULL);
    if (entry_tell(directory, entry) == SIGNPOST_ERROR_UNKNOWN_PEER)
        entry_drop(directory, entry);
}

void directory_begin(struct directory *directory, size_t index)
{
    for (size_t i = 0; i < directory->count; i++)
        if (directory->entries[i]->records[index])
            directory->entries[i]->records[index]->seen = false;
}

/* Changes the records of one index by `change` (true: it goes) and tells what follows. Entries that
 * nobody knows any more are there until the end, when the others close up once and not for each; a
 * callback may not change the table. */
static void each_record(struct directory *directory, size_t index,
    bool (*change)(struct record *record, int64_t time_ms), int64_t time_ms)
{
    size_t kept = 0;

    for (size_t i = directory->count; i-- > 0;) {
        struct entry *entry = directory->entries[i];
        struct record *record = entry->records[index];
        if (!record)
            continue;
        if (change && change(record, time_ms))
            record_set(directory, entry, index, NULL);
        entry_tell(directory, entry);
    }
    for (size_t i = 0; i < directory->count; i++) {
        struct entry *entry = directory->entries[i];
        if (is_known(directory, entry))
            directory->entries[kept++] = entry;
        else
            entry_free(directory, entry);
    }
    directory->count = kept;
}

static bool keep_unseen(struct record *record, int64_t keep_until_ms)
{
    if (!record->seen)
        record->keep_until_ms = keep_until_ms; /* anew: it may have been away in between */
    return record->keep_until_ms == INT64_MIN;
}

void directory_end(struct directory *directory, size_t index, int64_t keep_until_ms)
{
    each_record(directory, index, keep_unseen, keep_until_ms);
    if (keep_until_ms != INT64_MIN && keep_until_ms < directory->due_ms)
        directory->due_ms = keep_until_ms;
}

void directory_set_away(struct directory *directory, size_t index, bool away)
{
    if (directory->away[index] == away)
        return;
    directory->away[index] = away;
    each_record(directory, index, NULL, 0);
    if (!away)
        directory->due_ms = INT64_MIN; /* the next tick looks for what is kept */
}

int64_t directory_due_ms(const struct directory *directory)
{
    return directory->due_ms;
}

static bool is_over(struct record *record, int64_t now_ms)
{
    return record->keep_until_ms <= now_ms;
}

void directory_tick(struct directory *directory, int64_t now_ms)
{
    if (now_ms < directory->due_ms)
        return;
    directory->due_ms = INT64_MAX;
    /* While an index is away its list cannot come, so nobody is given up. */
    for (size_t index = 0; index < directory->indexes; index++)
        if (!directory->away[index])
            each_record(directory, index, is_over, now_ms);
    for (size_t i = 0; i < directory->count; i++)
        for (size_t index = 0; index < directory->indexes; index++) {
            const struct record *record = directory->entries[i]->records[index];
            if (record && !directory->away[index] && record->keep_until_ms < directory->due_ms)
                directory->due_ms = record->keep_until_ms;
        }
}

bool directory_lists(const struct directory *directory, size_t index, const char *id)
{
    const struct entry *entry = entry_find(directory, id);
    return entry && entry->records[index] && entry->records[index]->keep_until_ms == INT64_MAX;
}

int directory_find(const struct directory *directory, const char *id, signpost_peer_t *ret_peer)
{
    const struct entry *entry = entry_find(directory, id);

    if (!entry || !entry_view(directory, entry, ret_peer))
        return SIGNPOST_ERROR_UNKNOWN_PEER;
    return 0;
}

void directory_visit(const struct directory *directory,
    bool (*visit)(const signpost_peer_t *peer, void *user), void *user)
{
    signpost_peer_t peer;

    for (size_t i = 0; i < directory->count; i++)
        if (entry_view(directory, directory->entries[i], &peer) && !visit(&peer, user))
            return;
}
