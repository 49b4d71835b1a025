#include "net/source.h"

#include "table.h"

#include <stdlib.h>

/* How many idle sources are looked at when a new one is made: more than one, so that they become
 * fewer, and few, so that no request pays for a whole sweep. */
#define SOURCES_DROP_AT_ONCE 4

struct entry {
    struct source source; /* first: what callers hold is a pointer to it */
    uint64_t hash;
    struct entry *previous, *next; /* among the idle ones, where nobody holds it */
};

struct sources {
    double rate; /* requests a second; 0: no limit */
    struct table table;
    struct entry *oldest, *newest; /* idle, in the order of their release */
    struct entry overflow;         /* for all past LIMIT_SOURCES; in neither table nor list */
};

struct sources *sources_new(double rate)
{
    struct sources *sources = calloc(1, sizeof *sources);

    if (!sources)
        return NULL;
    sources->rate = rate;
    return sources;
}

static void free_entry(void *item, void *user)
{
    (void)user;
    free(item);
}

void sources_free(struct sources *sources)
{
    if (!sources)
        return;
    table_each(&sources->table, free_entry, NULL);
    table_free(&sources->table);
    free(sources);
}

static void idle_add(struct sources *sources, struct entry *entry)
{
    entry->previous = sources->newest;
    entry->next = NULL;
    if (sources->newest)
        sources->newest->next = entry;
    else
        sources->oldest = entry;
    sources->newest = entry;
}

static void idle_remove(struct sources *sources, struct entry *entry)
{
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        sources->oldest = entry->next;
    if (entry->next)
        entry->next->previous = entry->previous;
    else
        sources->newest = entry->previous;
}

/* The idle ones whose buckets are full again say nothing that a new one would not. */
static void drop_idle(struct sources *sources, int64_t now_ms)
{
    for (int i = 0; i < SOURCES_DROP_AT_ONCE && sources->oldest; i++) {
        struct entry *entry = sources->oldest;
        idle_remove(sources, entry);
        if (!bucket_is_full(sources->rate, &entry->source.requests, now_ms) ||
            !bucket_is_full(sources->rate, &entry->source.handshakes, now_ms)) {
            /* Behind the others, that one slow bucket does not keep all of them. */
            idle_add(sources, entry);
            continue;
        }
        table_remove(&sources->table, entry->hash, entry);
        free(entry);
    }
}

static bool same_prefix(const void *item, const void *key)
{
    const struct entry *entry = item;
    return address_equal(&entry->source.prefix, key);
}

struct source *source_hold(struct sources *sources, const struct address *address, int64_t now_ms)
{
    struct address prefix = address_prefix(address);
    uint64_t hash = table_hash(&prefix, sizeof prefix);
    struct entry *entry = table_find(&sources->table, hash, same_prefix, &prefix);

    if (entry) {
        if (!entry->source.holds)
            idle_remove(sources, entry);
        entry->source.holds++;
        return &entry->source;
    }
    drop_idle(sources, now_ms);
    if (sources->table.count >= LIMIT_SOURCES) {
        sources->overflow.source.holds++;
        return &sources->overflow.source;
    }
    entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    if (table_add(&sources->table, hash, entry)) {
        free(entry);
        return NULL;
    }
    entry->hash = hash;
    entry->source.prefix = prefix;
    entry->source.holds = 1;
    return &entry->source;
}

void source_keep(struct source *source)
{
    source->holds++;
}

void source_release(struct sources *sources, struct source *source)
{
    if (!source)
        return;
    source->holds--;
    if (!source->holds && source != &sources->overflow.source)
        idle_add(sources, (struct entry *)source);
}

bool source_take(
    struct sources *sources, struct source *source, int64_t now_ms, int64_t *ret_wait_ms)
{
    return bucket_take(sources->rate, &source->requests, now_ms, ret_wait_ms);
}

bool source_take_handshake(struct sources *sources, struct source *source, int64_t now_ms)
{
    int64_t wait_ms;
    return bucket_take(sources->rate, &source->handshakes, now_ms, &wait_ms);
}
