/* Meshes of many nodes: all sorts of trouble is drawn from a seed, the clock jumps from event to
 * event. What must hold is looked at after each event and, when all has been calm for a while, for
 * the mesh as a whole; a failure says the seed and what happened last. */
#include "mesh/mesh_internal.h"
#include "mesh_world.h"

#include <stdlib.h>
#include <string.h>

#define CALM_MS 400000  /* by then all is mended */
#define STILL_MS 600000 /* after that nothing moves for so long */

/* --- trouble ---------------------------------------------------------------------------------- */

/* Two halves that do not reach each other. */
static void divide(struct world *world)
{
    uint64_t salt = world_draw(world, UINT32_MAX);

    for (unsigned i = 0; i < world->conditions->nodes; i++)
        for (unsigned j = 0; j < i; j++)
            if (((salt >> i % 31) ^ (salt >> j % 31)) & 1)
                world_cut(world, i, j, true);
}

static unsigned any_node(struct world *world)
{
    return (unsigned)world_draw(world, world->conditions->nodes - 1);
}

static void trouble(struct world *world)
{
    struct node *node = &world->nodes[any_node(world)];
    unsigned peer = any_node(world), kind = (unsigned)world_draw(world, 99);

    if (!world_is_troubled(world))
        return;
    NOTE(world, "%9" PRId64 " trouble %u for n%u and n%u", world->now_ms, kind, node->number, peer);
    if (kind < 35 && node->core) {
        world_stop_node(node, kind < 10);
    } else if (kind < 50 && peer != node->number) {
        world_cut(world, node->number, peer, true);
    } else if (kind < 65 && node->link[peer]) { /* it drops, for both */
        world_add(world, 0, ENDED, node->number, peer, node->link[peer]);
        world_end_connection(world, node->number, peer, node->link[peer]);
    } else if (kind < 80 && node->core) { /* it moves */
        for (unsigned i = 0; i < world->conditions->nodes; i++)
            if (node->link[i])
                mesh_core_address_gone(node->core, world->nodes[i].id, world->now_ms);
        world_add(world, 200, REGISTER, node->number, 0, node->life);
    } else if (kind < 90 && !world->away) {
        world->away = true;
        world_add(world, (int64_t)world_draw(world, 120000), RETURN, 0, 0, 0);
    } else if (kind < 93) {
        divide(world);
    } else if (kind < 96) {
        world_add(world, 0, MEND, 0, 0, 0);
    }
    world_add(world, (int64_t)world_draw(world, world->conditions->every_ms * 2), TROUBLE, 0, 0, 0);
}

static void mend(struct world *world)
{
    for (unsigned i = 0; i < world->conditions->nodes; i++)
        for (unsigned j = 0; j < i; j++)
            world_cut(world, i, j, false);
}

/* --- a run ------------------------------------------------------------------------------------ */

/* After each event: never too many, and a timer that the clock is set by. */
static void check_node(struct node *node)
{
    struct world *world = node->world;
    unsigned most = world->conditions->neighbours;
    int64_t due_ms;

    if (!node->core)
        return;
    MUST(world, node->attempts <= MESH_CONNECTS_MAX);
    if (most > 0) /* and a trial */
        MUST(world, node->links <= most && node->links + node->attempts <= most + 1);
    due_ms = mesh_core_due_ms(node->core);
    if (due_ms < world->now_ms)
        due_ms = world->now_ms;
    if (due_ms == node->tick_ms)
        return;
    node->tick_ms = due_ms;
    if (due_ms < INT64_MAX)
        world_add(world, due_ms - world->now_ms, TICK, node->number, 0, 0);
}

/* The next event; false: there is none until then. */
static bool step(struct world *world, int64_t until_ms)
{
    struct event event;

    if (world->waiting == 0 || world->events[0].at_ms > until_ms)
        return false;
    event = world_take_first(world);
    world->now_ms = event.at_ms;
    switch (event.kind) {
    case TROUBLE:
        trouble(world);
        for (unsigned i = 0; i < world->conditions->nodes; i++)
            check_node(&world->nodes[i]);
        break;
    case MEND: mend(world); break;
    case RETURN: world->away = false; break;
    default: world_happen(world, &event); check_node(&world->nodes[event.node]);
    }
    return true;
}

/* --- what must be so in the end --------------------------------------------------------------- */

/* Whether all that live reach each other over links. */
static bool is_connected(const struct world *world)
{
    unsigned waiting[WORLD_NODES_MAX], count = 0, reached = 0, alive = 0;
    bool visited[WORLD_NODES_MAX] = {false};

    for (unsigned i = 0; i < world->conditions->nodes; i++)
        if (world->nodes[i].core && alive++ == 0) {
            waiting[count++] = i;
            visited[i] = true;
        }
    while (count > 0) {
        const struct node *node = &world->nodes[waiting[--count]];

        reached++;
        for (unsigned i = 0; i < world->conditions->nodes; i++)
            if (node->link[i] && !visited[i]) {
                visited[i] = true;
                waiting[count++] = i;
            }
    }
    return reached == alive;
}

/* Where all reach all, a node is linked to exactly those that it chooses among the living. */
static void check_choice(struct world *world, const struct node *node)
{
    const char *ids[WORLD_NODES_MAX];
    bool chosen[WORLD_NODES_MAX];
    size_t count = 0;

    for (unsigned i = 0; i < world->conditions->nodes; i++)
        if (i != node->number && world->nodes[i].core)
            ids[count++] = world->nodes[i].id;
    mesh_choose(node->id, ids, count, world->conditions->neighbours, chosen);
    count = 0;
    for (unsigned i = 0; i < world->conditions->nodes; i++)
        if (i != node->number && world->nodes[i].core)
            MUST(world, chosen[count++] == (node->link[i] != 0));
}

/* No timer is left, and nothing is remembered that is over. */
static void check_rest(const struct world *world, const struct mesh_core *core, unsigned peers)
{
    MUST(world, mesh_core_due_ms(core) == INT64_MAX);
    MUST(world, core->table.count == peers);
    MUST(world, core->passed == 0 && core->connecting == 0);
    MUST(world, !core->trial && !core->first_waiting && !core->last_waiting);
}

static void check_world(struct world *world)
{
    unsigned nodes = world->conditions->nodes;
    unsigned alive = 0;
    bool all = world->conditions->neighbours == 0, whole = world->conditions->severed == 0;

    for (unsigned i = 0; i < nodes; i++)
        alive += world->nodes[i].core != NULL;

    for (unsigned i = 0; i < nodes; i++) {
        struct node *node = &world->nodes[i];

        for (unsigned j = 0; j < nodes; j++) {
            const struct node *peer = &world->nodes[j];

            MUST(world, node->link[j] == peer->link[i]);
            if (all && i != j)
                MUST(
                    world, (node->link[j] != 0) == (node->core && peer->core && !world->cut[i][j]));
        }
        if (!node->core)
            continue;
        if (!all && whole)
            check_choice(world, node);
        if (whole)
            check_rest(world, node->core, alive - 1);
    }
    MUST(world, is_connected(world));
}

/* --- runs ------------------------------------------------------------------------------------- */

static void begin(struct world *world, uint64_t seed, const struct conditions *conditions)
{
    world_begin(world, seed, conditions);
    for (unsigned i = 0; i < conditions->severed; i++) {
        unsigned one = any_node(world), other = any_node(world);

        world->severed[one][other] = world->severed[other][one] = one != other;
    }
    mend(world);
    for (unsigned i = 0; i < conditions->nodes; i++)
        world_add(world,
            (int64_t)world_draw(world, world_chance(world, conditions->late)
                                           ? conditions->trouble_ms
                                           : conditions->join_ms),
            START, i, 0, 0);
    world->trouble_until_ms = world->now_ms + conditions->trouble_ms;
    if (conditions->trouble_ms > 0)
        world_add(world, conditions->every_ms, TROUBLE, 0, 0, 0);
}

static void run(uint64_t first, uint64_t count, const struct conditions *conditions)
{
    static struct world world;

    for (uint64_t seed = first; seed < first + count; seed++) {
        begin(&world, seed, conditions);
        while (step(&world, world.trouble_until_ms))
            continue;
        world.now_ms = world.trouble_until_ms;
        world_add(&world, 0, MEND, 0, 0, 0);
        world_add(&world, 0, RETURN, 0, 0, 0);
        /* Where pairs are severed nodes look for others that have a place to spare. */
        int64_t calm_ms = world.now_ms + CALM_MS * (conditions->severed > 0 ? 5 : 1);
        while (step(&world, calm_ms))
            continue;
        check_world(&world);
        unsigned moves = world.moves;
        while (step(&world, calm_ms + STILL_MS))
            continue;
        MUST(&world, world.moves == moves);
        check_world(&world);
        world_end(&world);
    }
}

/*  nodes, neighbours, join_ms, trouble_ms, every_ms, failing, late, severed */
static void test_mesh_net_of_all_links_every_pair(void **state)
{
    static const struct conditions two = {2, 0, 3000, 300000, 20000, 20, 20, 0},
                                   ten = {10, 0, 3000, 300000, 10000, 20, 20, 0},
                                   joining = {100, 0, 60000, 0, 0, 0, 0, 0},
                                   at_once = {100, 0, 100, 0, 0, 0, 0, 0},
                                   severed = {20, 0, 100, 100000, 5000, 10, 20, 20},
                                   many = {100, 0, 3000, 200000, 5000, 10, 20, 0};

    (void)state;
    run(1, 2000, &two);
    run(10001, 300, &ten);
    run(20001, 2, &joining);
    run(30001, 2, &at_once);
    run(40001, 20, &severed);
    run(50001, 2, &many);
}

/* Also where every place is taken, and after halves of the net were apart. */
static void test_mesh_net_of_few_neighbours_links_those_who_choose_each_other(void **state)
{
    static const unsigned sizes[] = {2, 3, 4, 10, 40}, counts[] = {200, 200, 200, 100, 4};

    (void)state;
    for (unsigned neighbours = 2; neighbours <= 8; neighbours++)
        for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct conditions conditions = {sizes[i], neighbours, 3000, 300000, 10000, 20, 20, 0};

            run(neighbours * 1000000 + i * 100000, counts[i], &conditions);
        }
}

static void test_mesh_net_of_many_nodes_links_those_who_choose_each_other(void **state)
{
    static const struct conditions joining = {100, 5, 60000, 0, 0, 0, 0, 0},
                                   at_once = {100, 4, 100, 0, 0, 0, 0, 0},
                                   odd = {100, 5, 3000, 200000, 10000, 10, 20, 0},
                                   even = {100, 4, 3000, 200000, 10000, 10, 20, 0};

    (void)state;
    run(60001, 3, &joining);
    run(70001, 3, &at_once);
    run(80001, 2, &odd);
    run(90001, 1, &even);
}

/* Some pairs never get a connection: their rings lead past each other. */
static void test_mesh_net_with_severed_pairs_is_connected_and_still(void **state)
{
    static const struct conditions odd = {40, 5, 3000, 200000, 10000, 10, 20, 40},
                                   even = {40, 6, 3000, 200000, 10000, 10, 20, 40},
                                   small = {10, 4, 3000, 200000, 10000, 10, 20, 5};

    (void)state;
    run(100001, 10, &odd);
    run(110001, 5, &even);
    run(120001, 100, &small);
}

/* Else the runs above would show little. */
static void test_mesh_net_runs_go_through_all_that_may_happen(void **state)
{
    const struct world_counts *counts = &world_counts;

    (void)state;
    assert_true(counts->replaced && counts->displaced && counts->unwanted && counts->moved);
    assert_true(counts->cancelled && counts->refused && counts->glare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mesh_net_of_all_links_every_pair),
        cmocka_unit_test(test_mesh_net_of_few_neighbours_links_those_who_choose_each_other),
        cmocka_unit_test(test_mesh_net_of_many_nodes_links_those_who_choose_each_other),
        cmocka_unit_test(test_mesh_net_with_severed_pairs_is_connected_and_still),
        cmocka_unit_test(test_mesh_net_runs_go_through_all_that_may_happen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
