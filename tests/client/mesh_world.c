#include "mesh_world.h"

#include <stdlib.h>
#include <string.h>

#define TTL_MS 30000
#define ATTEMPT_MS 30000 /* an attempt that nobody answers */
#define NO_READY_MS 5000 /* a knock that nobody answers */
#define SILENT_MS 15000  /* until an application notices a dead connection */

static const char *const kinds[] = {"tick", "start", "register", "expire", "look", "knock", "meet",
    "connected", "failed", "called", "missed", "ended", "trouble", "mend", "return"};

struct world_counts world_counts;

void world_explain(const struct world *world, const char *broken, int line)
{
    unsigned first = world->told > WORLD_TRACE_LINES ? world->told - WORLD_TRACE_LINES : 0;

    for (unsigned i = first; i < world->told; i++)
        print_error("%s\n", world->trace[i % WORLD_TRACE_LINES]);
    print_error("%u nodes, %u neighbours, seed %" PRIu64 " at %" PRId64 " ms, line %d: %s\n",
        world->conditions->nodes, world->conditions->neighbours, world->seed, world->now_ms, line,
        broken);
    fail();
}

/* --- chance ----------------------------------------------------------------------------------- */

uint64_t world_draw(struct world *world, uint64_t most) /* splitmix64 */
{
    uint64_t z = world->random += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % (most + 1);
}

bool world_chance(struct world *world, unsigned percent)
{
    return world_draw(world, 99) < percent;
}

bool world_is_troubled(const struct world *world)
{
    return world->now_ms < world->trouble_until_ms;
}

/* --- events: a heap -------------------------------------------------------------------------- */

static bool is_earlier(const struct event *one, const struct event *other)
{
    return one->at_ms < other->at_ms || (one->at_ms == other->at_ms && one->serial < other->serial);
}

void world_add(struct world *world, int64_t after_ms, enum kind kind, unsigned node, unsigned peer,
    unsigned number)
{
    struct event event = {world->now_ms + after_ms, world->serial++, kind, node, peer, number};
    size_t place = world->waiting++;

    if (world->waiting > world->room) {
        world->room = world->room ? world->room * 2 : 1024;
        world->events = realloc(world->events, world->room * sizeof event);
        assert_non_null(world->events);
    }
    while (place > 0 && is_earlier(&event, &world->events[(place - 1) / 2])) {
        world->events[place] = world->events[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    world->events[place] = event;
}

struct event world_take_first(struct world *world)
{
    struct event first = world->events[0], last = world->events[--world->waiting];
    size_t place = 0, child;

    while ((child = place * 2 + 1) < world->waiting) {
        if (child + 1 < world->waiting &&
            is_earlier(&world->events[child + 1], &world->events[child]))
            child++;
        if (!is_earlier(&world->events[child], &last))
            break;
        world->events[place] = world->events[child];
        place = child;
    }
    world->events[place] = last;
    return first;
}

/* --- connections ------------------------------------------------------------------------------ */

static unsigned new_connection(struct world *world)
{
    unsigned number = ++world->connections;

    if (number >= world->ended_room) {
        world->ended_room = world->ended_room ? world->ended_room * 2 : 1024;
        world->ended = realloc(world->ended, world->ended_room);
        assert_non_null(world->ended);
    }
    world->ended[number] = false;
    return number;
}

/* One end closes it, or it breaks; the other end hears of it, or notices that it hears nothing. */
void world_end_connection(struct world *world, unsigned node, unsigned peer, unsigned number)
{
    bool silent = world->cut[node][peer] || world_chance(world, world_is_troubled(world) ? 10 : 0);

    world->ended[number] = true;
    world_add(
        world, silent ? SILENT_MS : (int64_t)world_draw(world, 100), ENDED, peer, node, number);
}

static void set_link(struct node *node, unsigned peer, unsigned number)
{
    struct world *world = node->world;

    MUST(world, (node->link[peer] == 0) != (number == 0));
    node->link[peer] = number;
    node->links += number ? 1 : (unsigned)-1;
    world->moves++;
}

static void set_attempt(struct node *node, unsigned peer, unsigned number)
{
    if (node->attempt[peer])
        node->attempts--;
    node->attempt[peer] = number;
    if (number)
        node->attempts++;
}

/* --- what a core does ------------------------------------------------------------------------- */

static unsigned number_of(const char *id)
{
    return (unsigned)strtoul(id + 1, NULL, 10);
}

static void on_connect(void *user, const char *id)
{
    struct node *node = user;
    struct world *world = node->world;
    unsigned peer = number_of(id);

    NOTE(world, "%9" PRId64 " %s connects to %s", world->now_ms, node->id, id);
    MUST(world, node->seen[peer] && !node->link[peer] && !node->attempt[peer]);
    set_attempt(node, peer, ++world->attempts);
    world_add(world, ATTEMPT_MS, FAILED, node->number, peer, world->attempts);
    if (world->away || !world->nodes[peer].core)
        world_add(world, NO_READY_MS, FAILED, node->number, peer, world->attempts);
    else
        world_add(world, (int64_t)world_draw(world, world_chance(world, 10) ? 3000 : 100), KNOCK,
            peer, node->number, world->attempts);
}

static void on_cancel(void *user, const char *id)
{
    struct node *node = user;

    NOTE(node->world, "%9" PRId64 " %s cancels %s", node->world->now_ms, node->id, id);
    MUST(node->world, node->attempt[number_of(id)]);
    set_attempt(node, number_of(id), 0);
    world_counts.cancelled++;
}

static void on_unlink(void *user, const char *id, const char *reason)
{
    struct node *node = user;
    struct world *world = node->world;
    unsigned peer = number_of(id), number = node->link[peer];

    NOTE(world, "%9" PRId64 " %s unlinks %s: %s", world->now_ms, node->id, id, reason);
    MUST(world, number);
    set_link(node, peer, 0);
    world_end_connection(world, node->number, peer, number);
    if (world_chance(world, 30)) /* an application that says what the core knows */
        mesh_core_lost(node->core, id, world->now_ms);
    world_counts.replaced += strstr(reason, "replaced") != NULL;
    world_counts.displaced += strstr(reason, "place is needed") != NULL;
    world_counts.unwanted += strstr(reason, "not wanted") != NULL;
    world_counts.moved += strstr(reason, "address") != NULL;
}

static uint64_t on_random(void *user, uint64_t most)
{
    struct node *node = user;

    return world_draw(node->world, most);
}

static const struct mesh_actions actions = {on_connect, on_cancel, on_unlink, on_random};

/* --- how a connection comes about ------------------------------------------------------------- */

/* As sessions do it: where both have knocked the lower id's knock counts, and its end has called.
 */
static void knock(struct node *node, struct node *peer, unsigned number)
{
    struct world *world = node->world;

    if (peer->attempt[node->number] != number)
        return;
    if (node->attempt[peer->number]) {
        world_counts.glare++;
        if (strcmp(node->id, peer->id) < 0)
            return;
    }
    if (mesh_core_accepts(node->core, peer->id, world->now_ms)) {
        world_add(world, (int64_t)world_draw(world, 200), MEET, peer->number, node->number, number);
        return;
    }
    MUST(world, !node->attempt[peer->number] && world->conditions->neighbours > 0);
    NOTE(world, "%9" PRId64 " %s is busy", world->now_ms, node->id);
    world_counts.refused++;
    world_add(world, (int64_t)world_draw(world, 100), FAILED, peer->number, node->number, number);
}

static void meet(struct node *node, struct node *peer, unsigned number)
{
    struct world *world = node->world;

    if (!peer->core || node->attempt[peer->number] != number)
        return; /* one waits for nothing, and is told so or not */
    if (world->cut[node->number][peer->number] ||
        (world_is_troubled(world) && world_chance(world, world->conditions->failing))) {
        int64_t after_ms = (int64_t)world_draw(world, 10000);

        world_add(world, after_ms, FAILED, node->number, peer->number, number);
        if (peer->attempt[node->number])
            world_add(
                world, after_ms, FAILED, peer->number, node->number, peer->attempt[node->number]);
        if (world_chance(world, 50))
            world_add(world, after_ms, MISSED, peer->number, node->number, peer->life);
        return;
    }
    unsigned connection = new_connection(world);
    world_add(
        world, (int64_t)world_draw(world, 50), CONNECTED, node->number, peer->number, connection);
    world_add(
        world, (int64_t)world_draw(world, 50), CALLED, peer->number, node->number, connection);
}

static void become_linked(struct node *node, struct node *peer, bool called, unsigned connection)
{
    struct world *world = node->world;
    bool taken, late = world->ended[connection],
                cancelled = !called && !node->attempt[peer->number];

    set_attempt(node, peer->number, 0);
    taken = called ? mesh_core_called(node->core, peer->id, world->now_ms)
                   : mesh_core_connected(node->core, peer->id, world->now_ms);
    MUST(world, !cancelled || !taken);
    if (!taken) {
        world_end_connection(world, node->number, peer->number, connection);
        return;
    }
    set_link(node, peer->number, connection);
    if (late)
        world_add(
            world, (int64_t)world_draw(world, 100), ENDED, node->number, peer->number, connection);
}

/* --- the index -------------------------------------------------------------------------------- */

static void look_soon(struct world *world, unsigned node, unsigned peer)
{
    world_add(world, (int64_t)world_draw(world, world_chance(world, 10) ? 5000 : 500), LOOK, node,
        peer, 0);
}

static void tell_all(struct world *world, unsigned about)
{
    for (unsigned i = 0; i < world->conditions->nodes; i++)
        if (i != about)
            look_soon(world, i, about);
}

static void look(struct node *node, struct node *peer)
{
    struct world *world = node->world;
    unsigned before = node->seen[peer->number], version = world->version[peer->number];

    node->seen[peer->number] = version;
    if (version && !before)
        assert_true(mesh_core_up(node->core, peer->id, world->now_ms));
    else if (!version && before)
        mesh_core_down(node->core, peer->id, world->now_ms);
    else if (version != before)
        mesh_core_changed(node->core, peer->id, world->now_ms);
}

static void enlist(struct node *node)
{
    struct world *world = node->world;

    world->registered[node->number] = node->life;
    /* Who looks has not always seen that it had gone. */
    if (!world->version[node->number] || world_chance(world, 50))
        world->version[node->number]++;
    tell_all(world, node->number);
    for (unsigned i = 0; i < world->conditions->nodes; i++)
        if (i != node->number)
            look_soon(world, node->number, i);
}

/* --- nodes and paths -------------------------------------------------------------------------- */

void world_start_node(struct node *node)
{
    struct world *world = node->world;

    node->life++;
    node->core = mesh_core_new(node->id, world->conditions->neighbours, &actions, node);
    assert_non_null(node->core);
    node->tick_ms = INT64_MAX;
    memset(node->seen, 0, sizeof node->seen);
    world_add(world, (int64_t)world_draw(world, 200), REGISTER, node->number, 0, node->life);
}

void world_stop_node(struct node *node, bool leaves)
{
    struct world *world = node->world;

    mesh_core_free(node->core);
    node->core = NULL;
    for (unsigned i = 0; i < world->conditions->nodes; i++) {
        if (node->link[i]) {
            world_end_connection(world, node->number, i, node->link[i]);
            set_link(node, i, 0);
        }
        set_attempt(node, i, 0);
    }
    world_add(world, leaves ? 0 : TTL_MS, EXPIRE, node->number, 0, node->life);
    if (world_chance(world, 70))
        world_add(world, (int64_t)world_draw(world, world_chance(world, 50) ? 5000 : 100000), START,
            node->number, 0, node->life);
}

void world_cut(struct world *world, unsigned one, unsigned other, bool so)
{
    unsigned ends[] = {one, other};

    world->cut[one][other] = world->cut[other][one] = so || world->severed[one][other];
    for (unsigned i = 0; i < 2 && so; i++) {
        unsigned number = world->nodes[ends[i]].link[ends[1 - i]];

        if (!number)
            continue;
        world->ended[number] = true;
        world_add(world, SILENT_MS, ENDED, ends[i], ends[1 - i], number);
    }
}

/* --- what happens ----------------------------------------------------------------------------- */

/* The index says nothing while it is away, and no lease ends. */
static bool is_put_off(struct world *world, const struct event *event)
{
    bool asks = event->kind == REGISTER || event->kind == LOOK || event->kind == KNOCK;

    if (!world->away || (!asks && event->kind != EXPIRE))
        return false;
    world_add(world, event->kind == EXPIRE ? TTL_MS : 500 + (int64_t)world_draw(world, 1000),
        event->kind, event->node, event->peer, event->number);
    return true;
}

static void happen_to(struct node *node, struct node *peer, const struct event *event)
{
    struct world *world = node->world;

    switch (event->kind) {
    case TICK:
        node->tick_ms = INT64_MAX;
        mesh_core_tick(node->core, world->now_ms);
        MUST(world, mesh_core_due_ms(node->core) > world->now_ms);
        break;
    case REGISTER:
        if (event->number == node->life)
            enlist(node);
        break;
    case LOOK: look(node, peer); break;
    case KNOCK: knock(node, peer, event->number); break;
    case MEET: meet(node, peer, event->number); break;
    case FAILED:
        if (node->attempt[peer->number] != event->number)
            break;
        set_attempt(node, peer->number, 0);
        mesh_core_failed(node->core, peer->id, world->now_ms);
        break;
    case CONNECTED:
    case CALLED: become_linked(node, peer, event->kind == CALLED, event->number); break;
    case MISSED:
        if (event->number == node->life)
            mesh_core_missed(node->core, peer->id, world->now_ms);
        break;
    case ENDED:
        if (node->link[peer->number] != event->number)
            break;
        set_link(node, peer->number, 0);
        mesh_core_lost(node->core, peer->id, world->now_ms);
        break;
    default: break;
    }
}

void world_happen(struct world *world, const struct event *event)
{
    struct node *node = &world->nodes[event->node], *peer = &world->nodes[event->peer];

    if (event->kind == TICK ? event->at_ms != node->tick_ms : is_put_off(world, event))
        return;
    NOTE(world, "%9" PRId64 " n%u: %s n%u %u", world->now_ms, event->node, kinds[event->kind],
        event->peer, event->number);
    switch (event->kind) {
    case START:
        if (!node->core)
            world_start_node(node);
        break;
    case EXPIRE:
        if (world->registered[event->node] != event->number)
            break;
        world->registered[event->node] = world->version[event->node] = 0;
        tell_all(world, event->node);
        break;
    default:
        if (node->core)
            happen_to(node, peer, event);
        else if (event->kind == CONNECTED || event->kind == CALLED)
            world_end_connection(world, event->node, event->peer, event->number);
        else if (event->kind == KNOCK)
            world_add(world, NO_READY_MS, FAILED, event->peer, event->node, event->number);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

void world_begin(struct world *world, uint64_t seed, const struct conditions *conditions)
{
    memset(world, 0, sizeof *world);
    world->conditions = conditions;
    world->seed = world->random = seed;
    world->now_ms = 1000000;
    for (unsigned i = 0; i < conditions->nodes; i++) {
        struct node *node = &world->nodes[i];

        node->world = world;
        node->number = i;
        (void)snprintf(node->id, sizeof node->id, "n%u", i);
    }
}

void world_end(struct world *world)
{
    for (unsigned i = 0; i < world->conditions->nodes; i++)
        mesh_core_free(world->nodes[i].core);
    free(world->events);
    free(world->ended);
}
