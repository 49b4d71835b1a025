/* A binary min-heap of due times, by handles inside the things that are due. */
#ifndef SIGNPOST_HEAP_H
#define SIGNPOST_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded in a thing; zeroed: in no heap. */
struct heap_node {
    int64_t due_ms;
    size_t place; /* index + 1 in the heap, 0: in none */
};

/* Zeroed is empty. */
struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t room;
};

/* Adds it, or moves it to its new time. Adding may fail with ERROR_NO_MEMORY, moving never. */
int heap_set(struct heap *heap, struct heap_node *node, int64_t due_ms);
void heap_remove(struct heap *heap, struct heap_node *node); /* in none: nothing to do */
struct heap_node *heap_first(const struct heap *heap);       /* NULL where empty */
void heap_free(struct heap *heap);

#endif
