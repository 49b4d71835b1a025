#include "mesh_internal.h"

#include <string.h>

/* --- delays ------------------------------------------------------------------------------------
 */

int64_t mesh_draw_ms(struct mesh_core *core, int64_t most_ms)
{
    return (int64_t)core->actions->random(core->user, (uint64_t)most_ms);
}

static bool is_lower(const struct mesh_core *core, const struct mesh_peer *peer)
{
    return strcmp(core->own, peer->id) < 0;
}

int64_t mesh_first_delay_ms(struct mesh_core *core, const struct mesh_peer *peer)
{
    return is_lower(core, peer) ? 0 : MESH_FIRST_MS + mesh_draw_ms(core, MESH_FIRST_MS / 3);
}

int64_t mesh_again_delay_ms(struct mesh_core *core, const struct mesh_peer *peer)
{
    int64_t delay_ms = is_lower(core, peer) ? mesh_draw_ms(core, MESH_JITTER_MS)
                                            : MESH_AGAIN_MS + mesh_draw_ms(core, MESH_AGAIN_MS);

    return peer->short_lived > 1 ? delay_ms + mesh_backoff_ms(core, peer->short_lived) : delay_ms;
}

int64_t mesh_backoff_ms(struct mesh_core *core, unsigned failures)
{
    int64_t window_ms = MESH_BACKOFF_FIRST_MS;

    for (unsigned i = 1; i < failures && window_ms < MESH_BACKOFF_MOST_MS; i++)
        window_ms *= 2;
    return mesh_draw_ms(core, window_ms < MESH_BACKOFF_MOST_MS ? window_ms : MESH_BACKOFF_MOST_MS);
}

void mesh_set_due(struct mesh_core *core, struct mesh_peer *peer, int64_t due_ms)
{
    mesh_table_set_due(&core->table, peer, due_ms);
}

/* --- turns ----------------------------------------------------------------------------------- */

void mesh_wait_for_turn(struct mesh_core *core, struct mesh_peer *peer)
{
    peer->waiting = true;
    peer->previous_waiting = core->last_waiting;
    *(core->last_waiting ? &core->last_waiting->next_waiting : &core->first_waiting) = peer;
    core->last_waiting = peer;
}

void mesh_stop_waiting(struct mesh_core *core, struct mesh_peer *peer)
{
    struct mesh_peer *previous = peer->previous_waiting, *next = peer->next_waiting;

    if (!peer->waiting)
        return;
    *(previous ? &previous->next_waiting : &core->first_waiting) = next;
    *(next ? &next->previous_waiting : &core->last_waiting) = previous;
    peer->previous_waiting = peer->next_waiting = NULL;
    peer->waiting = false;
}

/* --- states and places ----------------------------------------------------------------------- */

bool mesh_has_place(const struct mesh_core *core)
{
    return core->neighbours == 0 || core->holder_count < core->neighbours;
}

static void leave_place(struct mesh_core *core, const struct mesh_peer *peer)
{
    unsigned i = 0;

    while (core->holders[i] != peer)
        i++;
    core->holder_count--;
    memmove(core->holders + i, core->holders + i + 1,
        (core->holder_count - i) * sizeof(struct mesh_peer *));
}

void mesh_enter(struct mesh_core *core, struct mesh_peer *peer, enum mesh_state state, bool trial)
{
    if (core->trial == peer)
        core->trial = NULL;
    else if (core->neighbours > 0 && peer->state != MESH_IDLE)
        leave_place(core, peer);
    core->connecting -= peer->state == MESH_CONNECTING;
    peer->state = state;
    core->connecting += state == MESH_CONNECTING;
    if (trial)
        core->trial = peer;
    else if (core->neighbours > 0 && state != MESH_IDLE)
        core->holders[core->holder_count++] = peer;
    mesh_stop_waiting(core, peer);
    mesh_set_due(core, peer, INT64_MAX);
}

void mesh_forget(struct mesh_core *core, struct mesh_peer *peer)
{
    mesh_stop_waiting(core, peer);
    mesh_table_drop(&core->table, peer);
}

void mesh_rest(struct mesh_core *core, struct mesh_peer *peer, int64_t delay_ms, int64_t now_ms)
{
    if (!peer->listed)
        mesh_forget(core, peer);
    else if (peer->wanted || peer->passed)
        mesh_set_due(core, peer, now_ms + delay_ms);
}

void mesh_end_link(struct mesh_core *core, struct mesh_peer *peer, const char *reason)
{
    mesh_enter(core, peer, MESH_IDLE, false);
    core->actions->unlink(core->user, peer->id, reason);
}

void mesh_end_connect(struct mesh_core *core, struct mesh_peer *peer)
{
    mesh_enter(core, peer, MESH_IDLE, false);
    core->actions->cancel(core->user, peer->id);
}

/* How readily a holder makes room: 0: not at all. What we began ourselves and would end anyway
 * goes first; a peer that has connected to us wants the connection. */
static unsigned readiness(const struct mesh_peer *peer)
{
    if (peer->wanted)
        return 0;
    if (peer->state == MESH_CONNECTING)
        return 3;
    return peer->state == MESH_LINKED && peer->owned ? 2 : 1;
}

bool mesh_make_room(struct mesh_core *core, int64_t now_ms)
{
    struct mesh_peer *readiest = NULL;

    if (mesh_has_place(core))
        return true;
    for (unsigned i = 0; i < core->holder_count; i++)
        if (readiness(core->holders[i]) > (readiest ? readiness(readiest) : 0))
            readiest = core->holders[i];
    if (!readiest)
        return false;
    if (readiest->state == MESH_CONNECTING)
        mesh_end_connect(core, readiest);
    else if (readiest->state == MESH_LINKED)
        mesh_end_link(core, readiest, "its place is needed for another peer");
    else
        mesh_enter(core, readiest, MESH_IDLE, false);
    mesh_rest(core, readiest, mesh_backoff_ms(core, readiest->failures), now_ms);
    return true;
}
