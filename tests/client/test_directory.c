/* The table of peers: what it tells, and that this is what it holds. */
#include "directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define IDS 12
#define INDEXES_MAX 3
#define SEEDS 120
#define STEPS 400

/* --- what is told ---------------------------------------------------------------------------- */

struct fixture {
    struct directory *directory;
    char told[1024]; /* "+a1 ~a2? -a2? ": the event, the id, its meta, and whether it is stale */
};

static void on_told(signpost_peer_event_t event, const signpost_peer_t *peer, void *user)
{
    struct fixture *fixture = user;
    size_t length = strlen(fixture->told);

    snprintf(fixture->told + length, sizeof fixture->told - length, "%c%s%s%s ",
        event == SIGNPOST_PEER_UP     ? '+'
        : event == SIGNPOST_PEER_DOWN ? '-'
                                      : '~',
        peer->id, peer->meta, peer->stale ? "?" : "");
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    fixture->directory = directory_new(2, on_told, fixture);
    assert_non_null(fixture->directory);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    directory_free(fixture->directory);
    free(fixture);
    return 0;
}

static void put(struct fixture *fixture, size_t index, const char *id, const char *meta)
{
    signpost_peer_t peer = {.id = id, .meta = meta, .reach = "{}"};
    assert_int_equal(directory_put(fixture->directory, index, &peer), 0);
}

/* Since the last time. */
static void expect_told(struct fixture *fixture, const char *expected)
{
    assert_string_equal(fixture->told, expected);
    fixture->told[0] = '\0';
}

static bool add_id(const signpost_peer_t *peer, void *user)
{
    char *text = user;
    strcat(text, peer->id);
    strcat(text, peer->stale ? "? " : " ");
    return true;
}

static void expect_peers(const struct fixture *fixture, const char *expected)
{
    char text[256] = "";
    directory_visit(fixture->directory, add_id, text);
    assert_string_equal(text, expected);
}

static void test_directory_put_tells_up_then_changed_then_nothing(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, 0, "a", "1");
    put(fixture, 0, "a", "2");
    put(fixture, 0, "a", "2");
    expect_told(fixture, "+a1 ~a2 ");
}

static void test_directory_every_field_that_changes_is_told(void **state)
{
    struct fixture *fixture = *state;
    const char *const one[] = {"x://h:1"}, *const other[] = {"x://h:2"};
    const signpost_peer_t steps[] = {
        {.id = "a", .meta = "1", .reach = "{}"},
        {.id = "a", .meta = "1", .reach = "2"},
        {.id = "a", .meta = "1", .reach = "2", .endpoints = one, .endpoint_count = 1},
        {.id = "a", .meta = "1", .reach = "2", .endpoints = other, .endpoint_count = 1},
        {.id = "a", .meta = "1", .reach = "2", .observed = one, .observed_count = 1},
        {.id = "a", .meta = "1", .reach = "2", .observed = other, .observed_count = 1},
    };
    signpost_peer_t found;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        assert_int_equal(directory_put(fixture->directory, 0, &steps[i]), 0);
    expect_told(fixture, "+a1 ~a1 ~a1 ~a1 ~a1 ~a1 ");
    assert_int_equal(directory_find(fixture->directory, "a", &found), 0);
    assert_string_equal(found.reach, "2");
    assert_int_equal(found.endpoint_count, 0);
    assert_int_equal(found.observed_count, 1);
    assert_string_equal(found.observed[0], "x://h:2");
    assert_ptr_not_equal(found.observed[0], other[0]);
}

static void test_directory_remove_of_one_index_keeps_what_the_other_lists(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, 0, "a", "1");
    put(fixture, 1, "a", "2");
    expect_told(fixture, "+a1 ");
    directory_remove(fixture->directory, 0, "a");
    expect_told(fixture, "~a2 ");
    directory_remove(fixture->directory, 0, "a");
    directory_remove(fixture->directory, 0, "nobody");
    expect_told(fixture, "");
    directory_remove(fixture->directory, 1, "a");
    expect_told(fixture, "-a2 ");
    expect_peers(fixture, "");
}

static void test_directory_index_away_makes_stale_only_what_no_other_lists(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, 0, "a", "1");
    put(fixture, 0, "b", "1");
    put(fixture, 1, "b", "1");
    fixture->told[0] = '\0';
    directory_set_away(fixture->directory, 0, true);
    expect_told(fixture, "~a1? ");
    expect_peers(fixture, "a? b ");
    directory_set_away(fixture->directory, 0, true);
    expect_told(fixture, "");
    directory_set_away(fixture->directory, 0, false);
    expect_told(fixture, "~a1 ");
}

static void test_directory_peer_is_told_as_at_the_first_index_that_is_there(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, 1, "a", "2");
    put(fixture, 0, "a", "1");
    directory_set_away(fixture->directory, 0, true);
    directory_set_away(fixture->directory, 1, true);
    directory_set_away(fixture->directory, 1, false);
    expect_told(fixture, "+a2 ~a1 ~a2 ~a1? ~a2 ");
}

static void test_directory_peer_missing_in_a_whole_list_is_kept_until_its_time(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, 0, "a", "1");
    put(fixture, 0, "b", "1");
    fixture->told[0] = '\0';
    assert_true(directory_due_ms(fixture->directory) == INT64_MAX);
    directory_begin(fixture->directory, 0);
    put(fixture, 0, "b", "1");
    directory_end(fixture->directory, 0, 500);
    expect_told(fixture, "~a1? ");
    assert_false(directory_lists(fixture->directory, 0, "a"));
    assert_true(directory_lists(fixture->directory, 0, "b"));
    assert_true(directory_due_ms(fixture->directory) == 500);
    directory_tick(fixture->directory, 499);
    expect_told(fixture, "");
    directory_tick(fixture->directory, 500);
    expect_told(fixture, "-a1? ");
    assert_true(directory_due_ms(fixture->directory) == INT64_MAX);
    expect_peers(fixture, "b ");
}

static void test_directory_kept_peer_that_comes_back_never_went(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, 0, "a", "1");
    directory_begin(fixture->directory, 0);
    directory_end(fixture->directory, 0, 500);
    put(fixture, 0, "a", "1");
    directory_tick(fixture->directory, 1000);
    expect_told(fixture, "+a1 ~a1? ~a1 ");
}

static void test_directory_second_whole_list_keeps_anew(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, 0, "a", "1");
    directory_begin(fixture->directory, 0);
    directory_end(fixture->directory, 0, 500);
    directory_begin(fixture->directory, 0);
    directory_end(fixture->directory, 0, 900);
    directory_tick(fixture->directory, 500);
    expect_told(fixture, "+a1 ~a1? ");
    directory_tick(fixture->directory, 900);
    expect_told(fixture, "-a1? ");
}

static void test_directory_nobody_is_given_up_while_the_index_is_away(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, 0, "a", "1");
    directory_begin(fixture->directory, 0);
    directory_end(fixture->directory, 0, 500);
    directory_set_away(fixture->directory, 0, true);
    directory_tick(fixture->directory, 1000);
    expect_told(fixture, "+a1 ~a1? ");
    directory_set_away(fixture->directory, 0, false);
    assert_true(directory_due_ms(fixture->directory) <= 1000);
    directory_tick(fixture->directory, 1000);
    expect_told(fixture, "-a1? ");
}

static void test_directory_end_that_keeps_nothing_tells_down_at_once(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, 0, "a", "1");
    put(fixture, 0, "b", "1");
    put(fixture, 0, "c", "1");
    fixture->told[0] = '\0';
    directory_begin(fixture->directory, 0);
    put(fixture, 0, "b", "1");
    directory_end(fixture->directory, 0, INT64_MIN);
    expect_peers(fixture, "b ");
    expect_told(fixture, "-c1 -a1 ");
}

static bool stop_at_b(const signpost_peer_t *peer, void *user)
{
    add_id(peer, user);
    return strcmp(peer->id, "b") != 0;
}

static void test_directory_visit_is_in_order_and_ends_when_told_to(void **state)
{
    struct fixture *fixture = *state;
    char text[64] = "";
    put(fixture, 1, "c", "1");
    put(fixture, 0, "b", "1");
    put(fixture, 0, "B", "1");
    put(fixture, 1, "a", "1");
    expect_peers(fixture, "B a b c ");
    directory_visit(fixture->directory, stop_at_b, text);
    assert_string_equal(text, "B a b ");
}

static void test_directory_find_of_nobody_leaves_the_result_alone(void **state)
{
    struct fixture *fixture = *state;
    signpost_peer_t peer = {.id = "untouched"};
    assert_int_equal(directory_find(fixture->directory, "a", &peer), SIGNPOST_ERROR_UNKNOWN_PEER);
    assert_string_equal(peer.id, "untouched");
}

/* --- against a model ------------------------------------------------------------------------- */

/* A peer as an application sees it: 0 is not there; else its meta, negative where it is stale. */
typedef int view_t;

struct listed {
    int meta; /* 0: not listed */
    int64_t keep_until_ms;
    bool seen;
};

/* The naive one: an array for each index, and nothing is remembered but that. */
struct model {
    struct directory *directory;
    size_t indexes;
    struct listed listed[INDEXES_MAX][IDS];
    bool away[INDEXES_MAX];
    view_t told[IDS]; /* by the events alone */
    int64_t now_ms;
    uint32_t random;
};

static unsigned draw(struct model *model, unsigned below)
{
    model->random = model->random * 1664525u + 1013904223u;
    return (model->random >> 8) % below;
}

static view_t view_of(const signpost_peer_t *peer)
{
    int meta = (int)strtol(peer->meta, NULL, 10);
    return peer->stale ? -meta : meta;
}

static size_t number_of(const signpost_peer_t *peer)
{
    size_t number = (size_t)(peer->id[0] - 'a');
    assert_true(number < IDS);
    return number;
}

/* Up only what is not there, down only what is, as it was told last; no change that is none. */
static void on_model_told(signpost_peer_event_t event, const signpost_peer_t *peer, void *user)
{
    struct model *model = user;
    view_t *told = &model->told[number_of(peer)];
    view_t view = view_of(peer);

    if (event == SIGNPOST_PEER_UP)
        assert_int_equal(*told, 0);
    else
        assert_int_not_equal(*told, 0);
    if (event == SIGNPOST_PEER_CHANGED)
        assert_int_not_equal(*told, view);
    if (event == SIGNPOST_PEER_DOWN)
        assert_int_equal(*told, view);
    *told = event == SIGNPOST_PEER_DOWN ? 0 : view;
}

static view_t expected_view(const struct model *model, size_t id)
{
    view_t stale = 0;

    for (size_t i = 0; i < model->indexes; i++) {
        const struct listed *listed = &model->listed[i][id];
        if (!listed->meta)
            continue;
        if (!model->away[i] && listed->keep_until_ms == INT64_MAX)
            return listed->meta;
        if (!stale)
            stale = -listed->meta;
    }
    return stale;
}

struct visited {
    view_t views[IDS];
    size_t count;
};

static bool take_view(const signpost_peer_t *peer, void *user)
{
    struct visited *visited = user;
    visited->views[number_of(peer)] = view_of(peer);
    visited->count++;
    return true;
}

static void compare(const struct model *model)
{
    struct visited visited = {.count = 0};
    size_t count = 0;

    directory_visit(model->directory, take_view, &visited);
    for (size_t id = 0; id < IDS; id++) {
        const char name[] = {(char)('a' + id), '\0'};
        signpost_peer_t found;
        view_t expected = expected_view(model, id);
        assert_int_equal(visited.views[id], expected);
        assert_int_equal(model->told[id], expected);
        count += expected != 0;
        if (directory_find(model->directory, name, &found))
            assert_int_equal(expected, 0);
        else
            assert_int_equal(view_of(&found), expected);
        for (size_t i = 0; i < model->indexes; i++) {
            const struct listed *listed = &model->listed[i][id];
            bool lists = listed->meta && listed->keep_until_ms == INT64_MAX;
            assert_int_equal(directory_lists(model->directory, i, name), lists);
            if (listed->meta && !model->away[i])
                assert_true(directory_due_ms(model->directory) <= listed->keep_until_ms);
        }
    }
    assert_int_equal(visited.count, count);
}

static void model_put(struct model *model, size_t index, size_t id)
{
    const char name[] = {(char)('a' + id), '\0'};
    char meta[4];
    int value = 1 + (int)draw(model, 3);

    snprintf(meta, sizeof meta, "%d", value);
    model->listed[index][id] = (struct listed){value, INT64_MAX, true};
    assert_int_equal(directory_put(model->directory, index,
                         &(signpost_peer_t){.id = name, .meta = meta, .reach = "{}"}),
        0);
}

static void model_whole_list(struct model *model, size_t index)
{
    int64_t keep_until_ms = draw(model, 3) ? model->now_ms + draw(model, 100) : INT64_MIN;
    unsigned puts = draw(model, IDS);

    for (size_t id = 0; id < IDS; id++)
        model->listed[index][id].seen = false;
    directory_begin(model->directory, index);
    while (puts--) {
        model_put(model, index, draw(model, IDS));
        compare(model);
    }
    for (size_t id = 0; id < IDS; id++) {
        struct listed *listed = &model->listed[index][id];
        if (!listed->seen)
            listed->keep_until_ms = keep_until_ms;
        if (listed->keep_until_ms == INT64_MIN)
            *listed = (struct listed){0};
    }
    directory_end(model->directory, index, keep_until_ms);
}

static void model_tick(struct model *model)
{
    model->now_ms += draw(model, 60);
    for (size_t i = 0; i < model->indexes; i++)
        for (size_t id = 0; id < IDS; id++)
            if (!model->away[i] && model->listed[i][id].keep_until_ms <= model->now_ms)
                model->listed[i][id] = (struct listed){0};
    directory_tick(model->directory, model->now_ms);
    assert_true(directory_due_ms(model->directory) > model->now_ms);
}

static void model_step(struct model *model)
{
    size_t index = draw(model, (unsigned)model->indexes);
    size_t id = draw(model, IDS);
    const char name[] = {(char)('a' + id), '\0'};

    switch (draw(model, 8)) {
    case 0: model_whole_list(model, index); break;
    case 1: model_tick(model); break;
    case 2:
        model->away[index] = draw(model, 2);
        directory_set_away(model->directory, index, model->away[index]);
        break;
    case 3:
    case 4:
        model->listed[index][id] = (struct listed){0};
        directory_remove(model->directory, index, name);
        break;
    default: model_put(model, index, id);
    }
}

static void test_directory_random_steps_are_told_and_held_as_by_a_naive_model(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        struct model model = {.indexes = 2 + seed % 2, .random = seed};
        model.directory = directory_new(model.indexes, on_model_told, &model);
        assert_non_null(model.directory);
        for (int step = 0; step < STEPS; step++) {
            model_step(&model);
            compare(&model);
        }
        directory_free(model.directory);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_directory_put_tells_up_then_changed_then_nothing),
        TEST(test_directory_every_field_that_changes_is_told),
        TEST(test_directory_remove_of_one_index_keeps_what_the_other_lists),
        TEST(test_directory_index_away_makes_stale_only_what_no_other_lists),
        TEST(test_directory_peer_is_told_as_at_the_first_index_that_is_there),
        TEST(test_directory_peer_missing_in_a_whole_list_is_kept_until_its_time),
        TEST(test_directory_kept_peer_that_comes_back_never_went),
        TEST(test_directory_second_whole_list_keeps_anew),
        TEST(test_directory_nobody_is_given_up_while_the_index_is_away),
        TEST(test_directory_end_that_keeps_nothing_tells_down_at_once),
        TEST(test_directory_visit_is_in_order_and_ends_when_told_to),
        TEST(test_directory_find_of_nobody_leaves_the_result_alone),
        cmocka_unit_test(test_directory_random_steps_are_told_and_held_as_by_a_naive_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
