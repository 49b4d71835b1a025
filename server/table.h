/*
 * A hash table of pointers to things that are owned elsewhere, and the keyed hash for it
 * (SipHash-2-4 with a key of this process: a stranger who chooses names cannot choose collisions).
 */
#ifndef SIGNPOST_TABLE_H
#define SIGNPOST_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_slot {
    uint64_t hash;
    void *item; /* NULL: free */
};

/* Zeroed is empty. */
struct table {
    struct table_slot *slots;
    size_t room; /* a power of two, or 0 */
    size_t count;
};

uint64_t table_hash(const void *bytes, size_t size);
/* As of the bytes of `number` and then of the string: two-part keys without copying them together.
 */
uint64_t table_hash_pair(uint64_t number, const char *string);

typedef bool (*table_same)(const void *item, const void *key);

void *table_find(const struct table *table, uint64_t hash, table_same same, const void *key);
int table_add(struct table *table, uint64_t hash, void *item);           /* ERROR_NO_MEMORY, or 0 */
void table_remove(struct table *table, uint64_t hash, const void *item); /* by pointer */
void table_free(struct table *table);                                    /* not the items */

/* Each item once, in no order; `visit` may not change the table. */
void table_each(const struct table *table, void (*visit)(void *item, void *user), void *user);

#endif
