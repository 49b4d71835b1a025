#include "heap.h"

#include "error.h"

#include <stdlib.h>

static void heap_put(struct heap *heap, size_t index, struct heap_node *node)
{
    heap->nodes[index] = node;
    node->place = index + 1;
}

static void heap_rise(struct heap *heap, size_t index)
{
    struct heap_node *node = heap->nodes[index];
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (heap->nodes[parent]->due_ms <= node->due_ms)
            break;
        heap_put(heap, index, heap->nodes[parent]);
        index = parent;
    }
    heap_put(heap, index, node);
}

static void heap_sink(struct heap *heap, size_t index)
{
    struct heap_node *node = heap->nodes[index];
    for (;;) {
        size_t child = index * 2 + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap->nodes[child + 1]->due_ms < heap->nodes[child]->due_ms)
            child++;
        if (node->due_ms <= heap->nodes[child]->due_ms)
            break;
        heap_put(heap, index, heap->nodes[child]);
        index = child;
    }
    heap_put(heap, index, node);
}

int heap_set(struct heap *heap, struct heap_node *node, int64_t due_ms)
{
    if (node->place) {
        int64_t before_ms = node->due_ms;
        node->due_ms = due_ms;
        if (due_ms < before_ms)
            heap_rise(heap, node->place - 1);
        else
            heap_sink(heap, node->place - 1);
        return 0;
    }
    if (heap->count == heap->room) {
        size_t room = heap->room ? heap->room * 2 : 64;
        struct heap_node **nodes = realloc(heap->nodes, room * sizeof(struct heap_node *));
        if (!nodes)
            return ERROR_NO_MEMORY;
        heap->nodes = nodes;
        heap->room = room;
    }
    node->due_ms = due_ms;
    heap->nodes[heap->count] = node;
    heap->count++;
    heap_rise(heap, heap->count - 1);
    return 0;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (!node->place)
        return;
    size_t index = node->place - 1;
    struct heap_node *last = heap->nodes[--heap->count];
    node->place = 0;
    if (last == node)
        return;
    heap_put(heap, index, last);
    heap_rise(heap, index);
    heap_sink(heap, last->place - 1);
}

struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}

void heap_free(struct heap *heap)
{
    free(heap->nodes);
    *heap = (struct heap){0};
}
