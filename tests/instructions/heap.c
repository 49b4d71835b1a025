/*
 * For LD_PRELOAD, beside still.c: memory that costs the same wherever it lies. The C library's
 * malloc merges and splits what is free, so that a heap which begins some bytes further on may cost
 * each request some 4 % more. Here blocks are powers of two, and one that was freed waits for the
 * next of its size: what is counted of an allocation is that there was one. For programs with one
 * thread, which ask for no other alignment than malloc's.
 */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SMALLEST_BITS 6u
#define LARGEST_BITS 40u
#define CHUNK_SIZE ((size_t)64 << 20)

/* Stands before what the program gets, and leaves that aligned. */
struct block {
    struct block *next; /* of the free ones of this size */
    size_t bits;        /* it is 1 << bits bytes long, this header included */
};

static struct block *free_blocks[LARGEST_BITS + 1];
static char *chunk, *chunk_end;

static struct block *block_of(void *memory)
{
    return (struct block *)memory - 1;
}

static size_t room_of(const struct block *block)
{
    return ((size_t)1 << block->bits) - sizeof *block;
}

/* Never used before, and so zero. NULL: no memory. */
static struct block *fresh_block(size_t bits)
{
    size_t size = (size_t)1 << bits;

    if ((size_t)(chunk_end - chunk) < size) {
        size_t length = size < CHUNK_SIZE ? CHUNK_SIZE : size;
        void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
            return NULL;
        chunk = memory;
        chunk_end = chunk + length;
    }
    struct block *block = (struct block *)chunk;
    chunk += size;
    block->bits = bits;
    return block;
}

static void *allocate(size_t size, bool zero)
{
    if (size >= (size_t)1 << (LARGEST_BITS - 1)) {
        errno = ENOMEM;
        return NULL;
    }
    size_t whole = size + sizeof(struct block) - 1;
    size_t bits = 64 - (size_t)__builtin_clzl(whole | (((size_t)1 << SMALLEST_BITS) - 1));
    struct block *block = free_blocks[bits];
    if (block) {
        free_blocks[bits] = block->next;
        if (zero)
            memset(block + 1, 0, size);
    } else if (!(block = fresh_block(bits))) {
        errno = ENOMEM;
        return NULL;
    }
    return block + 1;
}

void *malloc(size_t size)
{
    return allocate(size, false);
}

void *calloc(size_t nmemb, size_t size)
{
    size_t whole;

    if (__builtin_mul_overflow(nmemb, size, &whole)) {
        errno = ENOMEM;
        return NULL;
    }
    return allocate(whole, true);
}

void free(void *ptr)
{
    if (!ptr)
        return;
    struct block *block = block_of(ptr);
    block->next = free_blocks[block->bits];
    free_blocks[block->bits] = block;
}

void *realloc(void *ptr, size_t size)
{
    if (!ptr)
        return malloc(size);
    size_t room = room_of(block_of(ptr));
    if (size <= room)
        return ptr;
    void *moved = malloc(size);
    if (!moved)
        return NULL;
    memcpy(moved, ptr, room);
    free(ptr);
    return moved;
}

size_t malloc_usable_size(void *ptr)
{
    return ptr ? room_of(block_of(ptr)) : 0;
}
