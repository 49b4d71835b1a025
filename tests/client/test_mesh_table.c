/* The table of a mesh's peers against one that only counts. */
#include "client_help.h"
#include "mesh/mesh_table.h"

#include <stdio.h>
#include <string.h>

#define IDS 300

static uint64_t draw(uint64_t *random, uint64_t most) /* splitmix64 */
{
    uint64_t z = *random += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % (most + 1);
}

static void check(const struct mesh_table *table, const bool *there, const int64_t *due_ms)
{
    int64_t first_ms = INT64_MAX;
    size_t count = 0;

    for (unsigned i = 0; i < IDS; i++)
        if (there[i]) {
            count++;
            first_ms = due_ms[i] < first_ms ? due_ms[i] : first_ms;
        }
    assert_int_equal(table->count, count);
    if (count == 0)
        assert_null(mesh_table_first_due(table));
    else
        assert_int_equal(mesh_table_first_due(table)->due_ms, first_ms);
    for (size_t i = 1; i < count; i++)
        assert_true(strcmp(table->peers[i - 1]->id, table->peers[i]->id) < 0);
}

static void test_mesh_table_after_any_changes_has_what_is_there_and_what_is_due(void **state)
{
    struct mesh_table table = {0};
    bool there[IDS] = {false};
    int64_t due_ms[IDS];
    uint64_t random = 1;

    (void)state;
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)draw(&random, IDS - 1);
        char id[12];
        struct mesh_peer *peer;

        (void)snprintf(id, sizeof id, "n%u", i);
        peer = mesh_table_find(&table, id);
        assert_int_equal(peer != NULL, there[i]);
        if (!peer) {
            peer = mesh_table_make(&table, id);
            assert_non_null(peer);
            due_ms[i] = INT64_MAX;
            there[i] = true;
        } else if (draw(&random, 2) == 0) {
            mesh_table_drop(&table, peer);
            there[i] = false;
        } else {
            due_ms[i] = (int64_t)draw(&random, 1000);
            mesh_table_set_due(&table, peer, due_ms[i]);
        }
        check(&table, there, due_ms);
    }
    mesh_table_clear(&table);
    assert_null(mesh_table_first_due(&table));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mesh_table_after_any_changes_has_what_is_there_and_what_is_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
