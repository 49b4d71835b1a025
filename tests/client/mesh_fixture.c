#include "mesh_fixture.h"

#include <stdio.h>
#include <string.h>

static void write_down(struct mesh_fixture *fixture, const char *sign, const char *peer)
{
    size_t length = strlen(fixture->done);

    if (length < sizeof fixture->done - 1)
        (void)snprintf(fixture->done + length, sizeof fixture->done - length, "%s%s ", sign, peer);
}

static void on_connect(void *user, const char *peer)
{
    struct mesh_fixture *fixture = user;

    write_down(fixture, "+", peer);
    (void)snprintf(fixture->begun[fixture->connects++], MESH_FIXTURE_ID_SIZE, "%.7s", peer);
}

static void on_cancel(void *user, const char *peer)
{
    write_down(user, "!", peer);
}

static void on_unlink(void *user, const char *peer, const char *reason)
{
    char text[100];

    (void)snprintf(text, sizeof text, "%s (%s)", peer, reason);
    write_down(user, "-", text);
}

static uint64_t on_random(void *user, uint64_t most)
{
    (void)user;
    return most;
}

static const struct mesh_actions actions = {on_connect, on_cancel, on_unlink, on_random};

void mesh_fixture_begin(struct mesh_fixture *fixture, unsigned neighbours)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->core = mesh_core_new("m", neighbours, &actions, fixture);
    assert_non_null(fixture->core);
}

void mesh_fixture_end(struct mesh_fixture *fixture)
{
    mesh_core_free(fixture->core);
}

void mesh_fixture_expect_done(struct mesh_fixture *fixture, const char *expected)
{
    assert_string_equal(fixture->done, expected);
    fixture->done[0] = '\0';
}

void mesh_fixture_expect_at(struct mesh_fixture *fixture, int64_t at_ms, const char *expected)
{
    mesh_core_tick(fixture->core, at_ms - 1);
    mesh_fixture_expect_done(fixture, "");
    mesh_core_tick(fixture->core, at_ms);
    mesh_fixture_expect_done(fixture, expected);
}

void mesh_fixture_expect_idle(struct mesh_fixture *fixture)
{
    assert_int_equal(mesh_core_due_ms(fixture->core), INT64_MAX);
    mesh_fixture_expect_done(fixture, "");
}
