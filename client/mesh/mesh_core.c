#include "mesh_internal.h"

#include <stdlib.h>
#include <string.h>

/* --- what is wanted -------------------------------------------------------------------------- */

static void choose_soon(struct mesh_core *core, int64_t now_ms)
{
    if (core->neighbours > 0 && core->choose_ms == INT64_MAX)
        core->choose_ms = now_ms + MESH_GATHER_MS;
}

/* Only the end that connected closes what is not wanted, and not at once: the choice may change
 * again, and the peer may be about to change its own. One that is in no table may be there for all
 * that, and cannot be found again. */
static void watch_link(struct mesh_core *core, struct mesh_peer *peer, int64_t now_ms)
{
    bool ends = core->neighbours > 0 && !peer->wanted && peer->owned && peer->listed;

    mesh_set_due(core, peer, ends ? now_ms + MESH_UNWANTED_MS : INT64_MAX);
}

static void set_wanted(struct mesh_core *core, struct mesh_peer *peer, bool wanted, int64_t now_ms)
{
    if (peer->wanted == wanted)
        return;
    peer->wanted = wanted;
    if (peer->state == MESH_LINKED) {
        watch_link(core, peer, now_ms);
    } else if (peer->state == MESH_IDLE && !peer->passed) {
        mesh_stop_waiting(core, peer);
        mesh_set_due(core, peer, INT64_MAX);
        if (wanted && peer->failures > 0)
            mesh_set_due(core, peer, now_ms + mesh_backoff_ms(core, peer->failures));
        else if (wanted)
            mesh_set_due(core, peer, now_ms + mesh_first_delay_ms(core, peer));
    }
}

static void stop_passing(struct mesh_core *core, struct mesh_peer *peer)
{
    core->passed -= peer->passed;
    peer->passed = false;
    if (peer->state == MESH_IDLE) {
        mesh_stop_waiting(core, peer);
        mesh_set_due(core, peer, INT64_MAX);
    }
}

/* A peer that was passed over is of no more interest where it would not be chosen anyway. Against
 * those who were chosen it would be so as little as against all. */
static void stop_passing_the_needless(struct mesh_core *core)
{
    const char *ids[MESH_NEIGHBOURS_MAX + 1];
    bool chosen[MESH_NEIGHBOURS_MAX + 1];
    size_t count = 0;

    for (size_t i = 0; i < core->table.count; i++)
        if (core->table.peers[i]->wanted)
            ids[count++] = core->table.peers[i]->id;
    for (size_t i = 0; i < core->table.count; i++) {
        struct mesh_peer *peer = core->table.peers[i];

        if (!peer->passed)
            continue;
        ids[count] = peer->id;
        mesh_choose(core->own, ids, count + 1, core->neighbours, chosen);
        if (!chosen[count])
            stop_passing(core, peer);
    }
}

static void choose(struct mesh_core *core, int64_t now_ms)
{
    struct mesh_table *table = &core->table;
    size_t count = 0;

    core->choose_ms = INT64_MAX;
    for (size_t i = 0; i < table->count; i++)
        if (table->peers[i]->listed && !table->peers[i]->passed)
            table->ids[count++] = table->peers[i]->id;
    mesh_choose(core->own, table->ids, count, core->neighbours, table->chosen);
    count = 0;
    for (size_t i = 0; i < table->count; i++) {
        struct mesh_peer *peer = table->peers[i];
        bool usable = peer->listed && !peer->passed;

        set_wanted(core, peer, usable && table->chosen[count], now_ms);
        count += usable;
    }
    if (core->passed > 0)
        stop_passing_the_needless(core);
}

/* It is there, or may be by now: what it failed at before does not count. */
static void hear_of(struct mesh_core *core, struct mesh_peer *peer, int64_t now_ms)
{
    peer->failures = 0;
    if (!peer->passed)
        return;
    stop_passing(core, peer);
    choose_soon(core, now_ms);
}

/* --- connecting ------------------------------------------------------------------------------ */

static void begin(struct mesh_core *core, struct mesh_peer *peer, int64_t now_ms)
{
    bool trial = false;

    if (!peer->wanted && !peer->passed)
        return;
    if (core->connecting >= MESH_CONNECTS_MAX) {
        mesh_wait_for_turn(core, peer);
        return;
    }
    if (!mesh_has_place(core) && !(peer->wanted && mesh_make_room(core, now_ms))) {
        if (core->trial) {
            mesh_rest(core, peer, MESH_AGAIN_MS + mesh_backoff_ms(core, peer->failures), now_ms);
            return;
        }
        trial = true;
    }
    mesh_enter(core, peer, MESH_CONNECTING, trial);
    core->actions->connect(core->user, peer->id);
}

static void begin_waiting(struct mesh_core *core, int64_t now_ms)
{
    while (core->first_waiting && core->connecting < MESH_CONNECTS_MAX) {
        struct mesh_peer *peer = core->first_waiting;

        mesh_stop_waiting(core, peer);
        begin(core, peer, now_ms);
    }
}

/* A connection is there. */
static bool take(struct mesh_core *core, const char *id, bool owned, int64_t now_ms)
{
    struct mesh_peer *peer = mesh_table_make(&core->table, id);
    bool passed;

    if (!peer)
        return false;
    passed = peer->passed;
    hear_of(core, peer, now_ms);
    if (peer->state == MESH_LINKED)
        mesh_end_link(core, peer, "replaced by a new connection");
    else
        mesh_enter(core, peer, MESH_IDLE, false);
    if (passed) /* whether it is wanted decides whether there is room */
        choose(core, now_ms);
    if (!mesh_has_place(core) && !(peer->wanted && mesh_make_room(core, now_ms))) {
        mesh_rest(core, peer, 0, now_ms);
        return false;
    }
    mesh_enter(core, peer, MESH_LINKED, false);
    peer->owned = owned;
    peer->linked_ms = now_ms;
    watch_link(core, peer, now_ms);
    return true;
}

/* What the peer was let in for has not come. */
static void stop_expecting(struct mesh_core *core, struct mesh_peer *peer, int64_t now_ms)
{
    mesh_enter(core, peer, MESH_IDLE, false);
    mesh_rest(core, peer,
        peer->failures > 0 ? mesh_backoff_ms(core, peer->failures)
                           : mesh_again_delay_ms(core, peer),
        now_ms);
}

bool mesh_core_connected(struct mesh_core *core, const char *id, int64_t now_ms)
{
    const struct mesh_peer *peer = mesh_table_find(&core->table, id);
    bool taken;

    if (!peer || peer->state != MESH_CONNECTING)
        return false;
    taken = take(core, id, true, now_ms);
    begin_waiting(core, now_ms);
    return taken;
}

bool mesh_core_called(struct mesh_core *core, const char *id, int64_t now_ms)
{
    bool taken = take(core, id, false, now_ms);

    begin_waiting(core, now_ms);
    return taken;
}

void mesh_core_failed(struct mesh_core *core, const char *id, int64_t now_ms)
{
    struct mesh_peer *peer = mesh_table_find(&core->table, id);

    if (!peer || peer->state != MESH_CONNECTING)
        return;
    mesh_enter(core, peer, MESH_IDLE, false);
    peer->failures++;
    if (core->neighbours > 0 && peer->wanted && peer->failures >= MESH_FAILURES_MAX &&
        core->passed < MESH_PASSED_MAX) {
        peer->wanted = false;
        peer->passed = true;
        core->passed++;
        choose_soon(core, now_ms);
    }
    mesh_rest(core, peer, mesh_backoff_ms(core, peer->failures), now_ms);
    begin_waiting(core, now_ms);
}

bool mesh_core_accepts(struct mesh_core *core, const char *id, int64_t now_ms)
{
    struct mesh_peer *peer = mesh_table_make(&core->table, id);
    bool trial = false;

    if (!peer)
        return false;
    if (peer->state == MESH_LINKED || peer->state == MESH_CONNECTING)
        return true; /* the new connection takes the place of the old one */
    if (peer->state == MESH_IDLE) {
        if (!mesh_has_place(core) && !(peer->wanted && mesh_make_room(core, now_ms))) {
            if (!peer->passed || core->trial) {
                if (!peer->listed)
                    mesh_forget(core, peer);
                return false;
            }
            trial = true;
        }
        mesh_enter(core, peer, MESH_EXPECTED, trial);
    }
    mesh_set_due(core, peer, now_ms + MESH_EXPECT_MS);
    begin_waiting(core, now_ms);
    return true;
}

void mesh_core_missed(struct mesh_core *core, const char *id, int64_t now_ms)
{
    struct mesh_peer *peer = mesh_table_find(&core->table, id);

    if (peer && peer->state == MESH_EXPECTED)
        stop_expecting(core, peer, now_ms);
}

/* --- connections that end -------------------------------------------------------------------- */

void mesh_core_lost(struct mesh_core *core, const char *id, int64_t now_ms)
{
    struct mesh_peer *peer = mesh_table_find(&core->table, id);

    if (!peer || peer->state != MESH_LINKED)
        return;
    peer->short_lived = now_ms - peer->linked_ms < MESH_SHORT_MS ? peer->short_lived + 1 : 0;
    mesh_enter(core, peer, MESH_IDLE, false);
    mesh_rest(core, peer, mesh_again_delay_ms(core, peer), now_ms);
}

/* The peer cannot be told and will not notice for a while: it is for us to connect again, whoever
 * has the lower id. */
void mesh_core_address_gone(struct mesh_core *core, const char *id, int64_t now_ms)
{
    struct mesh_peer *peer = mesh_table_find(&core->table, id);

    if (!peer || peer->state != MESH_LINKED)
        return;
    mesh_end_link(core, peer, "our address is gone");
    mesh_rest(core, peer, mesh_draw_ms(core, MESH_JITTER_MS), now_ms);
}

/* --- the table of peers ---------------------------------------------------------------------- */

bool mesh_core_up(struct mesh_core *core, const char *id, int64_t now_ms)
{
    struct mesh_peer *peer;

    if (strcmp(id, core->own) == 0)
        return true;
    peer = mesh_table_make(&core->table, id);
    if (!peer)
        return false;
    if (peer->listed) {
        mesh_core_changed(core, id, now_ms);
        return true;
    }
    peer->listed = true;
    if (core->neighbours == 0) {
        set_wanted(core, peer, true, now_ms);
        return true;
    }
    if (peer->state == MESH_LINKED)
        watch_link(core, peer, now_ms);
    choose_soon(core, now_ms);
    return true;
}

void mesh_core_changed(struct mesh_core *core, const char *id, int64_t now_ms)
{
    struct mesh_peer *peer = mesh_table_find(&core->table, id);

    if (!peer || !peer->listed)
        return;
    hear_of(core, peer, now_ms);
    if (peer->state != MESH_IDLE || peer->waiting)
        return;
    int64_t due_ms = now_ms + mesh_first_delay_ms(core, peer);
    if (peer->wanted && due_ms < peer->due_ms)
        mesh_set_due(core, peer, due_ms);
}

void mesh_core_down(struct mesh_core *core, const char *id, int64_t now_ms)
{
    struct mesh_peer *peer = mesh_table_find(&core->table, id);

    if (!peer || !peer->listed)
        return;
    peer->listed = false;
    hear_of(core, peer, now_ms);
    set_wanted(core, peer, false, now_ms);
    choose_soon(core, now_ms);
    if (peer->state == MESH_CONNECTING)
        mesh_end_connect(core, peer);
    if (peer->state == MESH_LINKED)
        watch_link(core, peer, now_ms);
    else if (peer->state == MESH_IDLE)
        mesh_rest(core, peer, 0, now_ms);
    begin_waiting(core, now_ms);
}

/* --- time ------------------------------------------------------------------------------------ */

int64_t mesh_core_due_ms(const struct mesh_core *core)
{
    const struct mesh_peer *first = mesh_table_first_due(&core->table);

    return first && first->due_ms < core->choose_ms ? first->due_ms : core->choose_ms;
}

void mesh_core_tick(struct mesh_core *core, int64_t now_ms)
{
    struct mesh_peer *peer;

    if (core->choose_ms <= now_ms)
        choose(core, now_ms);
    while ((peer = mesh_table_first_due(&core->table)) && peer->due_ms <= now_ms) {
        mesh_set_due(core, peer, INT64_MAX);
        if (peer->state == MESH_IDLE) {
            begin(core, peer, now_ms);
        } else if (peer->state == MESH_EXPECTED) {
            stop_expecting(core, peer, now_ms);
        } else {
            mesh_end_link(core, peer, "it is not wanted any more");
            mesh_rest(core, peer, 0, now_ms);
        }
    }
    begin_waiting(core, now_ms);
}

/* --- life ------------------------------------------------------------------------------------ */

struct mesh_core *mesh_core_new(
    const char *own, unsigned neighbours, const struct mesh_actions *actions, void *user)
{
    size_t own_size = strlen(own) + 1;
    struct mesh_core *core = calloc(1, sizeof *core + own_size);

    if (!core)
        return NULL;
    core->actions = actions;
    core->user = user;
    core->neighbours = neighbours < MESH_NEIGHBOURS_MAX ? neighbours : MESH_NEIGHBOURS_MAX;
    core->choose_ms = INT64_MAX;
    memcpy(core->own, own, own_size);
    return core;
}

void mesh_core_free(struct mesh_core *core)
{
    if (!core)
        return;
    mesh_table_clear(&core->table);
    free(core);
}
