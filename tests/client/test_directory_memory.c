/* The table of peers where memory is out. */
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

static size_t callocs_left;

static void *calloc_while_it_lasts(size_t count, size_t size)
{
    if (!callocs_left)
        return NULL;
    callocs_left--;
    return calloc(count, size);
}

#define calloc calloc_while_it_lasts
#include "directory.c" /* NOLINT(bugprone-suspicious-include): its calloc is ours */
#undef calloc

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TRIES_MAX 10

static void count(signpost_peer_event_t event, const signpost_peer_t *peer, void *user)
{
    size_t *counts = user;

    (void)peer;
    counts[event]++;
}

static int put(struct directory *directory, const char *meta, size_t callocs)
{
    const signpost_peer_t peer = {.id = "b", .meta = meta, .reach = "{}"};

    callocs_left = callocs;
    return directory_put(directory, 0, &peer);
}

/* Whichever allocation fails, the error says so, and putting it again makes all good. */
static void test_directory_put_without_memory_is_told_when_put_again(void **state)
{
    bool succeeded = false;

    (void)state;
    for (size_t callocs = 0; !succeeded; callocs++) {
        size_t counts[3] = {0};
        signpost_peer_t peer;
        assert_true(callocs < TRIES_MAX);
        callocs_left = TRIES_MAX;
        struct directory *directory = directory_new(1, count, counts);
        assert_non_null(directory);
        succeeded = !put(directory, "{}", callocs);
        assert_int_equal(counts[SIGNPOST_PEER_UP], succeeded);
        assert_int_equal(put(directory, "{}", TRIES_MAX), 0);
        assert_int_equal(counts[SIGNPOST_PEER_UP], 1);

        bool changed = !put(directory, "{\"a\":1}", callocs);
        assert_int_equal(counts[SIGNPOST_PEER_CHANGED], changed);
        assert_int_equal(put(directory, "{\"a\":1}", TRIES_MAX), 0);
        assert_int_equal(counts[SIGNPOST_PEER_CHANGED], 1);
        assert_int_equal(directory_find(directory, "b", &peer), 0);
        assert_string_equal(peer.meta, "{\"a\":1}");
        directory_free(directory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directory_put_without_memory_is_told_when_put_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
