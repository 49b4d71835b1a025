#include "mesh_choice.h"

#include <nettle/sha2.h>
#include <stdint.h>
#include <string.h>

/* Where a node stands on a ring. */
struct place {
    uint8_t hash[SHA256_DIGEST_SIZE];
};

static struct place find_place(unsigned ring, const char *id)
{
    const uint8_t number = (uint8_t)ring;
    struct sha256_ctx context;
    struct place place;

    sha256_init(&context);
    sha256_update(&context, sizeof number, &number);
    sha256_update(&context, strlen(id), (const uint8_t *)id);
    sha256_digest(&context, sizeof place.hash, place.hash);
    return place;
}

static bool is_before(const struct place *one, const struct place *other)
{
    return memcmp(one->hash, other->hash, sizeof one->hash) < 0;
}

/* The best place so far of a search, and whose it is. */
struct best {
    struct place place;
    size_t peer;
    bool found;
};

static void take_lower(struct best *best, const struct place *place, size_t peer)
{
    if (!best->found || is_before(place, &best->place))
        *best = (struct best){*place, peer, true};
}

static void take_higher(struct best *best, const struct place *place, size_t peer)
{
    if (!best->found || is_before(&best->place, place))
        *best = (struct best){*place, peer, true};
}

static void choose_on_ring(
    unsigned ring, const char *own, const char *const *peers, size_t count, bool *ret_chosen)
{
    struct best lowest = {.found = false}, highest = lowest, before = lowest, after = lowest;
    struct place own_place = find_place(ring, own);

    for (size_t i = 0; i < count; i++) {
        struct place place = find_place(ring, peers[i]);

        take_lower(&lowest, &place, i);
        take_higher(&highest, &place, i);
        if (is_before(&place, &own_place))
            take_higher(&before, &place, i);
        else
            take_lower(&after, &place, i);
    }
    /* After the last one comes the first one. */
    ret_chosen[before.found ? before.peer : highest.peer] = true;
    ret_chosen[after.found ? after.peer : lowest.peer] = true;
}

void mesh_choose(
    const char *own, const char *const *peers, size_t count, unsigned neighbours, bool *ret_chosen)
{
    if (count == 0)
        return;
    memset(ret_chosen, 0, count * sizeof *ret_chosen);
    for (unsigned ring = 0; ring < neighbours / 2; ring++)
        choose_on_ring(ring, own, peers, count, ret_chosen);
}
