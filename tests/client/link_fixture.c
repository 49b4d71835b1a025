#include "link_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char link_log[8192];

int link_fixture_setup(void **state)
{
    struct link_fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    uv_loop_init(&fixture->loop);
    *state = fixture;
    return 0;
}

int link_fixture_teardown(void **state)
{
    struct link_fixture *fixture = *state;

    member_stop(&fixture->loop, &fixture->a);
    fake_stop(&fixture->index);
    help_close_loop(&fixture->loop);
    free(fixture);
    return 0;
}

static void on_log(signpost_log_level_t level, const char *text, void *user)
{
    (void)level;
    (void)user;
    size_t length = strlen(link_log);
    snprintf(link_log + length, sizeof link_log - length, "%s\n", text);
}

void link_fixture_join(struct link_fixture *fixture, const char *url, const signpost_config_t *more)
{
    signpost_config_t config = more ? *more : (signpost_config_t){0};

    config.on_log = on_log;
    if (!config.log_level)
        config.log_level = SIGNPOST_LOG_INFO;
    link_log[0] = '\0';
    fixture->indexes[0] = url;
    member_start(&fixture->loop, &fixture->a, "a", fixture->indexes, &config);
}

void link_fixture_start(
    struct link_fixture *fixture, fake_answer answer, const signpost_config_t *more)
{
    fake_start(&fixture->loop, &fixture->index, answer, fixture);
    link_fixture_join(fixture, fixture->index.url, more);
}

bool link_fixture_answer(struct link_fixture *fixture, struct fake_connection *connection)
{
    if (fake_is(connection, "POST", "/register")) {
        fixture->registers++;
        fake_reply(connection, 201, "", FAKE_REGISTERED);
    } else if (fake_is(connection, "DELETE", "/nodes/a")) {
        fixture->deletes++;
        fake_reply(connection, 204, "", "");
    } else if (fake_is(connection, "POST", "/heartbeat")) {
        fixture->beats++;
        snprintf(fixture->last, sizeof fixture->last, "%s", connection->body);
        fake_reply(connection, 200, "", FAKE_HEARTBEAT);
    } else {
        fixture->polls++;
        return false;
    }
    return true;
}

bool link_fixture_holds(void *user)
{
    return ((struct link_fixture *)user)->held != NULL;
}
