/* Whom nodes choose, looked at for all of them at once: alike at both ends, few, all connected. */
#include "client_help.h"
#include "mesh/mesh_choice.h"

#include <stdio.h>
#include <string.h>

#define NODES_MAX 200
#define ID_SIZE 24

struct graph {
    size_t count;
    char ids[NODES_MAX][ID_SIZE];
    bool gone[NODES_MAX];
    bool wants[NODES_MAX][NODES_MAX];
};

static uint64_t draw(uint64_t *random, uint64_t most) /* splitmix64 */
{
    uint64_t z = *random += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % (most + 1);
}

static void name_nodes(struct graph *graph, size_t count, uint64_t seed)
{
    memset(graph, 0, sizeof *graph);
    graph->count = count;
    for (size_t i = 0; i < count; i++)
        (void)snprintf(graph->ids[i], ID_SIZE, "%u-%u", (unsigned)seed, (unsigned)i);
}

/* Each node that is there chooses among the others. */
static void choose_all(struct graph *graph, unsigned neighbours)
{
    const char *peers[NODES_MAX];
    size_t numbers[NODES_MAX];
    bool chosen[NODES_MAX];

    memset(graph->wants, 0, sizeof graph->wants);
    for (size_t own = 0; own < graph->count; own++) {
        size_t count = 0;

        for (size_t i = 0; i < graph->count && !graph->gone[own]; i++)
            if (i != own && !graph->gone[i]) {
                peers[count] = graph->ids[i];
                numbers[count++] = i;
            }
        mesh_choose(graph->ids[own], peers, count, neighbours, chosen);
        for (size_t i = 0; i < count; i++)
            graph->wants[own][numbers[i]] = chosen[i];
    }
}

static size_t wanted_by(const struct graph *graph, size_t own)
{
    size_t count = 0;

    for (size_t i = 0; i < graph->count; i++)
        count += graph->wants[own][i];
    return count;
}

/* Whether all that are there reach each other. */
static bool is_connected(const struct graph *graph)
{
    size_t waiting[NODES_MAX], count = 0, reached = 0, alive = 0;
    bool seen[NODES_MAX] = {false};

    for (size_t i = 0; i < graph->count; i++) {
        if (graph->gone[i])
            continue;
        if (alive++ == 0) {
            waiting[count++] = i;
            seen[i] = true;
        }
    }
    while (count > 0) {
        size_t at = waiting[--count];

        reached++;
        for (size_t i = 0; i < graph->count; i++)
            if (graph->wants[at][i] && !graph->gone[i] && !seen[i]) {
                seen[i] = true;
                waiting[count++] = i;
            }
    }
    return reached == alive;
}

static void test_mesh_choice_of_any_size_is_mutual_small_and_connected(void **state)
{
    static struct graph graph;

    (void)state;
    for (unsigned neighbours = 2; neighbours <= 8; neighbours++)
        for (size_t count = 1; count <= NODES_MAX; count += count < 40 ? 1 : 23) {
            size_t most = neighbours / 2 * 2 < count - 1 ? neighbours / 2 * 2 : count - 1;

            name_nodes(&graph, count, neighbours);
            choose_all(&graph, neighbours);
            for (size_t own = 0; own < count; own++) {
                assert_in_range(wanted_by(&graph, own), most < 2 ? most : 2, most);
                for (size_t i = 0; i < count; i++)
                    assert_int_equal(graph.wants[own][i], graph.wants[i][own]);
            }
            assert_true(is_connected(&graph));
        }
}

/* One ring, walked without turning back, leads past all and home. */
static void test_mesh_choice_on_one_ring_is_one_cycle(void **state)
{
    static struct graph graph;

    (void)state;
    for (size_t count = 3; count <= NODES_MAX; count += count < 20 ? 1 : 36) {
        size_t at = 0, from = 0, steps = 0;

        name_nodes(&graph, count, 7);
        choose_all(&graph, 2);
        do {
            size_t next = 0;

            assert_int_equal(wanted_by(&graph, at), 2);
            while (!graph.wants[at][next] || (steps > 0 && next == from))
                next++;
            from = at;
            at = next;
        } while (++steps < count && at != 0);
        assert_int_equal(steps, count);
        assert_int_equal(at, 0);
    }
}

static void test_mesh_choice_does_not_depend_on_the_order_of_peers(void **state)
{
    static const char *const peers[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    const char *turned[9];
    bool chosen[9], again[9];

    (void)state;
    for (size_t i = 0; i < 9; i++)
        turned[i] = peers[8 - i];
    mesh_choose("own", peers, 9, 4, chosen);
    mesh_choose("own", turned, 9, 4, again);
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(chosen[i], again[8 - i]);
}

static void test_mesh_choice_with_a_node_more_changes_its_neighbours_only(void **state)
{
    static struct graph without, with;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        size_t others = 0;

        name_nodes(&with, 100, seed);
        choose_all(&with, 6);
        without = with;
        without.gone[37] = true;
        choose_all(&without, 6);
        for (size_t own = 0; own < 100; own++) {
            size_t changes = 0;

            for (size_t i = 0; i < 100; i++)
                changes += own != 37 && i != 37 && with.wants[own][i] != without.wants[own][i];
            others += changes > 0;
            /* Who had it on either side on a ring has another one there. */
            assert_true(changes == 0 || with.wants[own][37]);
            assert_true(changes <= 3);
        }
        assert_in_range(others, 1, 6);
    }
}

/* A quarter fails at once, with no warning. */
static void test_mesh_choice_of_survivors_connects_them_again(void **state)
{
    static struct graph graph;
    unsigned runs = 500, before = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= runs; seed++) {
        uint64_t random = seed;

        name_nodes(&graph, 40, seed);
        choose_all(&graph, 5);
        for (unsigned gone = 0; gone < 10;) {
            size_t i = draw(&random, 39);

            gone += !graph.gone[i];
            graph.gone[i] = true;
        }
        before += is_connected(&graph);
        choose_all(&graph, 5);
        assert_true(is_connected(&graph));
    }
    print_message("connected before healing: %u of %u\n", before, runs);
    assert_true(before >= runs * 8 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mesh_choice_of_any_size_is_mutual_small_and_connected),
        cmocka_unit_test(test_mesh_choice_on_one_ring_is_one_cycle),
        cmocka_unit_test(test_mesh_choice_does_not_depend_on_the_order_of_peers),
        cmocka_unit_test(test_mesh_choice_with_a_node_more_changes_its_neighbours_only),
        cmocka_unit_test(test_mesh_choice_of_survivors_connects_them_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
