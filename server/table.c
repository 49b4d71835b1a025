#include "table.h"

#include "error.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TABLE_ROOM_FIRST 16

/* SipHash-2-4 (Aumasson and Bernstein, 2012). */

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t sip_rotate(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

static void sip_round(struct sip *sip)
{
    sip->v0 += sip->v1;
    sip->v1 = sip_rotate(sip->v1, 13) ^ sip->v0;
    sip->v0 = sip_rotate(sip->v0, 32);
    sip->v2 += sip->v3;
    sip->v3 = sip_rotate(sip->v3, 16) ^ sip->v2;
    sip->v0 += sip->v3;
    sip->v3 = sip_rotate(sip->v3, 21) ^ sip->v0;
    sip->v2 += sip->v1;
    sip->v1 = sip_rotate(sip->v1, 17) ^ sip->v2;
    sip->v2 = sip_rotate(sip->v2, 32);
}

static void sip_word(struct sip *sip, uint64_t word)
{
    sip->v3 ^= word;
    sip_round(sip);
    sip_round(sip);
    sip->v0 ^= word;
}

static void sip_start(struct sip *sip)
{
    static uint64_t key[2];

    /* getrandom() cannot fail for so few bytes once the system is up. */
    while (!key[0] && !key[1] && getrandom(key, sizeof key, 0) != sizeof key)
        continue;
    sip->v0 = key[0] ^ 0x736f6d6570736575;
    sip->v1 = key[1] ^ 0x646f72616e646f6d;
    sip->v2 = key[0] ^ 0x6c7967656e657261;
    sip->v3 = key[1] ^ 0x7465646279746573;
}

static uint64_t sip_finish(struct sip *sip, const uint8_t *bytes, size_t size, size_t total)
{
    uint64_t word;

    for (; size >= 8; bytes += 8, size -= 8) {
        memcpy(&word, bytes, 8);
        sip_word(sip, word);
    }
    word = (uint64_t)total << 56;
    for (size_t i = 0; i < size; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    sip_word(sip, word);
    sip->v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(sip);
    return sip->v0 ^ sip->v1 ^ sip->v2 ^ sip->v3;
}

uint64_t table_hash(const void *bytes, size_t size)
{
    struct sip sip;
    sip_start(&sip);
    return sip_finish(&sip, bytes, size, size);
}

uint64_t table_hash_pair(uint64_t number, const char *string)
{
    struct sip sip;
    size_t size = strlen(string);
    sip_start(&sip);
    sip_word(&sip, number);
    return sip_finish(&sip, (const uint8_t *)string, size, size + 8);
}

void *table_find(const struct table *table, uint64_t hash, table_same same, const void *key)
{
    if (!table->room)
        return NULL;
    for (size_t i = hash & (table->room - 1); table->slots[i].item; i = (i + 1) & (table->room - 1))
        if (table->slots[i].hash == hash && same(table->slots[i].item, key))
            return table->slots[i].item;
    return NULL;
}

static void table_place(struct table *table, uint64_t hash, void *item)
{
    size_t i = hash & (table->room - 1);
    while (table->slots[i].item)
        i = (i + 1) & (table->room - 1);
    table->slots[i] = (struct table_slot){hash, item};
}

static int table_grow(struct table *table)
{
    struct table old = *table;
    size_t room = old.room ? old.room * 2 : TABLE_ROOM_FIRST;
    struct table_slot *slots = calloc(room, sizeof *slots);
    if (!slots)
        return ERROR_NO_MEMORY;
    table->slots = slots;
    table->room = room;
    for (size_t i = 0; i < old.room; i++)
        if (old.slots[i].item)
            table_place(table, old.slots[i].hash, old.slots[i].item);
    free(old.slots);
    return 0;
}

int table_add(struct table *table, uint64_t hash, void *item)
{
    /* At most three quarters full: probes stay short. */
    if (table->count + 1 > table->room / 4 * 3) {
        int error = table_grow(table);
        if (error)
            return error;
    }
    table_place(table, hash, item);
    table->count++;
    return 0;
}

void table_remove(struct table *table, uint64_t hash, const void *item)
{
    if (!table->room)
        return;
    size_t mask = table->room - 1;
    size_t hole = hash & mask;
    while (table->slots[hole].item != item) {
        if (!table->slots[hole].item)
            return;
        hole = (hole + 1) & mask;
    }
    table->count--;
    /* Close the hole: what stands behind it and may stand nearer to its own place moves up. */
    for (size_t i = (hole + 1) & mask; table->slots[i].item; i = (i + 1) & mask) {
        size_t home = table->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            table->slots[hole] = table->slots[i];
            hole = i;
        }
    }
    table->slots[hole].item = NULL;
}

void table_free(struct table *table)
{
    free(table->slots);
    *table = (struct table){0};
}

void table_each(const struct table *table, void (*visit)(void *item, void *user), void *user)
{
    for (size_t i = 0; i < table->room; i++)
        if (table->slots[i].item)
            visit(table->slots[i].item, user);
}
