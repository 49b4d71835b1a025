/* What signpost.h promises of direct connections, between two honest clients of a real index. */
#include "direct_help.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANY 256 /* requests at once */

/* "a" and "b" know each other, and listen. */
struct pair {
    struct arena *arena;
    struct end *a, *b;
};

static struct pair pair_at(struct arena *arena, const char *host)
{
    struct pair pair = {
        .arena = arena,
        .a = arena_add_listener(arena, "a", host),
        .b = arena_add_listener(arena, "b", host),
    };

    end_knows(pair.a, "b", 1);
    end_knows(pair.b, "a", 1);
    return pair;
}

static struct pair pair_new(void **state)
{
    return pair_at(*state, NULL);
}

/* Each as soon as it has the connection. */
static void speak(struct wish *wish)
{
    sockets_write(wish->link.fd, "dialler", 7);
}

static void answer(struct end *end, const signpost_connection_t *connection)
{
    (void)end;
    sockets_write(connection->fd, "acceptor", 8);
}

/* --- what a connection is -------------------------------------------------------------------- */

static void test_connection_is_told_to_both_ends(void **state)
{
    struct pair pair = pair_new(state);
    struct wish wish = {0};
    char expected[64];

    wish_begin(&wish, pair.a, "b", NULL);
    wish_wait(&wish);
    end_wait_for_came(pair.b, 1);
    wish_assert_linked(&wish, SIGNPOST_PATH_DIRECT);
    const struct link_copy *came = &pair.b->came[0];
    assert_string_equal(came->peer, "a");
    assert_int_equal(came->path, SIGNPOST_PATH_DIRECT);
    assert_true(came->called);
    assert_false(wish.link.called);
    snprintf(expected, sizeof expected, "127.0.0.1:%u", signpost_port(pair.b->client));
    assert_string_equal(wish.link.remote, expected);
    assert_in_range(wish.link.rtt_us, 1, 60 * 1000 * 1000);
    assert_in_range(came->rtt_us, 1, 60 * 1000 * 1000);
    assert_in_range(wish.link.took_ms, 0, 60000);
    assert_in_range(came->took_ms, 0, 60000);
    links_assert_one(pair.arena, &wish.link, came);
    assert_int_equal(pair.a->count, 0);
    assert_int_equal(pair.a->messages + pair.b->messages, 0);
    wish_drop(&wish);
}

static void test_bytes_said_at_once_are_all_there(void **state)
{
    struct pair pair = pair_new(state);
    struct wish wish = {.then = speak};
    char text[16] = "";

    pair.b->on_came = answer;
    wish_begin(&wish, pair.a, "b", NULL);
    wish_wait(&wish);
    end_wait_for_came(pair.b, 1);
    assert_int_equal(sockets_read(pair.arena->loop, wish.link.fd, text, 8), 8);
    assert_memory_equal(text, "acceptor", 8);
    assert_int_equal(sockets_read(pair.arena->loop, pair.b->came[0].fd, text, 7), 7);
    assert_memory_equal(text, "dialler", 7);
    links_assert_one(pair.arena, &wish.link, &pair.b->came[0]);
    wish_drop(&wish);
}

static void test_connection_over_ipv6_has_brackets(void **state)
{
    struct pair pair = pair_at(*state, "::1");
    struct wish wish = {0};
    char expected[64];

    wish_begin(&wish, pair.a, "b", NULL);
    wish_wait(&wish);
    end_wait_for_came(pair.b, 1);
    assert_int_equal(wish.error, 0);
    snprintf(expected, sizeof expected, "[::1]:%u", signpost_port(pair.b->client));
    assert_string_equal(wish.link.remote, expected);
    links_assert_one(pair.arena, &wish.link, &pair.b->came[0]);
    wish_drop(&wish);
}

/* Nobody sees it at that address, and it is a private one. */
static void test_connection_to_another_private_address_is_lan(void **state)
{
    struct pair pair = pair_at(*state, "127.0.0.2");
    struct wish wish = {0};

    wish_begin(&wish, pair.a, "b", NULL);
    wish_wait(&wish);
    wish_assert_linked(&wish, SIGNPOST_PATH_LAN);
    end_wait_for_came(pair.b, 1);
    links_assert_one(pair.arena, &wish.link, &pair.b->came[0]);
    wish_drop(&wish);
    assert_string_equal(signpost_path_name(SIGNPOST_PATH_DIRECT), "direct");
    assert_string_equal(signpost_path_name(SIGNPOST_PATH_LAN), "lan");
    assert_string_equal(signpost_path_name(SIGNPOST_PATH_REVERSED), "reversed");
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    *buffer = uv_buf_init(handle->data, 1);
}

static void on_byte(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    (void)buffer;
    if (size > 0)
        uv_read_stop(stream);
}

static bool has_byte(void *user)
{
    return *(char *)user != '\0';
}

static void test_connection_outlives_both_clients_in_a_stream(void **state)
{
    struct pair pair = pair_new(state);
    struct wish wish = {0};
    uv_tcp_t tcp;
    char byte[2] = "";
    uv_buf_t mark = uv_buf_init((char *)"y", 1);

    wish_begin(&wish, pair.a, "b", NULL);
    wish_wait(&wish);
    end_wait_for_came(pair.b, 1);
    signpost_connection_t connection = {.fd = wish.link.fd};
    assert_int_equal(signpost_connection_open(&connection, pair.arena->loop, &tcp), 0);
    end_stop(pair.a);
    end_stop(pair.b);
    tcp.data = byte;
    assert_int_equal(uv_read_start((uv_stream_t *)&tcp, on_room, on_byte), 0);
    sockets_write(pair.b->came[0].fd, "x", 1);
    help_run_until(pair.arena->loop, has_byte, byte);
    assert_string_equal(byte, "x");
    assert_int_equal(uv_try_write((uv_stream_t *)&tcp, &mark, 1), 1);
    assert_int_equal(sockets_read(pair.arena->loop, pair.b->came[0].fd, byte, 1), 1);
    assert_string_equal(byte, "y");
    help_close((uv_handle_t *)&tcp);
    sockets_wait_for_end(pair.arena->loop, pair.b->came[0].fd);
    pair.b->came[0].fd = -1;

    signpost_connection_t nothing = {.fd = -1};
    assert_true(signpost_connection_open(&nothing, pair.arena->loop, &tcp) < 0);
    help_close((uv_handle_t *)&tcp);
}

/* --- several --------------------------------------------------------------------------------- */

static unsigned order; /* of the callbacks */

static void number(struct wish *wish)
{
    assert_ptr_equal(wish - order, wish->next); /* of several the oldest comes first */
    order++;
}

static void test_each_of_several_gets_its_own_in_order(void **state)
{
    struct pair pair = pair_new(state);
    enum { COUNT = 6 };
    struct wish wishes[COUNT] = {0};

    order = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        wishes[i].then = number;
        wishes[i].next = wishes;
        wish_begin(&wishes[i], pair.a, "b", NULL);
    }
    for (unsigned i = 0; i < COUNT; i++)
        wish_wait(&wishes[i]);
    end_wait_for_came(pair.b, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        wish_assert_linked(&wishes[i], SIGNPOST_PATH_DIRECT);
        links_assert_one(pair.arena, &wishes[i].link, &pair.b->came[i]);
        assert_int_equal(wishes[i].calls, 1);
        wish_drop(&wishes[i]);
    }
    assert_int_equal(pair.b->count, COUNT);
}

static bool are_all_called(void *user)
{
    const struct wish *wishes = user;
    size_t called = 0;

    for (size_t i = 0; i < MANY; i++)
        called += wishes[i].calls > 0;
    return called == MANY;
}

static void on_never(signpost_t *client, const char *peer, int error, const char *reason,
    const signpost_connection_t *connection, void *user)
{
    (void)client, (void)peer, (void)error, (void)reason, (void)connection, (void)user;
    fail();
}

static void test_one_more_than_256_is_too_many(void **state)
{
    struct pair pair = pair_new(state);
    struct wish *wishes = calloc(MANY + 1, sizeof *wishes), wish = {0};
    uint64_t request = 7;

    assert_non_null(wishes);
    for (size_t i = 0; i < MANY; i++)
        wish_begin(&wishes[i], pair.a, i % 2 ? "b" : "c", i % 3 ? NULL : "echo");
    assert_int_equal(
        signpost_connect(pair.a->client, "b", NULL, on_never, NULL, &request), SIGNPOST_ERROR_FULL);
    assert_int_equal(request, 7);
    for (size_t i = 0; i < MANY; i++)
        signpost_connect_cancel(pair.a->client, wishes[i].request);
    help_run_until(pair.arena->loop, are_all_called, wishes);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(wishes[i].calls, 1);
        assert_int_equal(wishes[i].error, SIGNPOST_ERROR_CANCELLED);
    }
    wish_begin(&wish, pair.a, "b", NULL);
    wish_wait(&wish);
    wish_assert_linked(&wish, SIGNPOST_PATH_DIRECT);
    wish_drop(&wish);
    free(wishes);
}

static void test_both_at_once_have_one_connection_every_time(void **state)
{
    struct pair pair = pair_new(state);

    for (unsigned round = 0; round < 12; round++) {
        struct wish one = {0}, other = {0};
        wish_begin(
            round % 2 ? &one : &other, round % 2 ? pair.a : pair.b, round % 2 ? "b" : "a", NULL);
        for (unsigned turns = 0; turns < round / 2; turns++)
            uv_run(pair.arena->loop, UV_RUN_NOWAIT);
        wish_begin(
            round % 2 ? &other : &one, round % 2 ? pair.b : pair.a, round % 2 ? "a" : "b", NULL);
        wish_wait(&one);
        wish_wait(&other);
        wish_assert_linked(&one, one.link.path);
        wish_assert_linked(&other, other.link.path);
        links_assert_one(pair.arena, &one.link, &other.link);
        wish_drop(&one);
        wish_drop(&other);
    }
    assert_int_equal(pair.a->count + pair.b->count, 0);
}

/* --- calling off ----------------------------------------------------------------------------- */

static void cancel(struct wish *wish)
{
    signpost_connect_cancel(wish->end->client, wish->request);
}

static void assert_cancelled(struct wish *wish)
{
    assert_int_equal(wish->calls, 0);
    cancel(wish);
    cancel(wish);
    assert_int_equal(wish->calls, 0); /* from the loop */
    wish_wait(wish);
    wish_assert_failed(wish, SIGNPOST_ERROR_CANCELLED, signpost_strerror(SIGNPOST_ERROR_CANCELLED));
}

static void test_cancel_before_and_during_and_after(void **state)
{
    static const char *const moments[] = {"b: requesting", "b: connecting", NULL};
    struct pair pair = pair_new(state);
    struct wish early = {0}, done = {0};

    signpost_connect_cancel(pair.a->client, 0);
    signpost_connect_cancel(pair.a->client, 99);
    wish_begin(&early, pair.a, "b", NULL);
    assert_cancelled(&early);
    assert_int_equal(end_count_log(pair.a, "b: "), 0); /* it was never begun */
    for (size_t i = 0; moments[i]; i++) {
        struct wish wish = {0};
        pair.a->log[0] = '\0';
        wish_begin(&wish, pair.a, "b", NULL);
        end_wait_for_log(pair.a, moments[i]);
        assert_cancelled(&wish);
    }
    assert_int_equal(end_count_log(pair.a, "b: connected"), 0);
    wish_begin(&done, pair.a, "b", NULL);
    wish_wait(&done);
    cancel(&done);
    end_wait_for_came(pair.b, 1);
    for (unsigned i = 0; i < 20; i++)
        uv_run(pair.arena->loop, UV_RUN_NOWAIT);
    wish_assert_linked(&done, SIGNPOST_PATH_DIRECT);
    wish_drop(&done);
}

static void test_cancel_of_one_leaves_the_others(void **state)
{
    struct pair pair = pair_new(state);
    struct wish wishes[4] = {0};

    for (unsigned i = 0; i < 4; i++)
        wish_begin(&wishes[i], pair.a, "b", NULL);
    end_wait_for_log(pair.a, "b: requesting");
    cancel(&wishes[0]); /* is under way */
    cancel(&wishes[2]); /* is not */
    for (unsigned i = 0; i < 4; i++) {
        wish_wait(&wishes[i]);
        if (i % 2)
            wish_assert_linked(&wishes[i], SIGNPOST_PATH_DIRECT);
        else
            assert_int_equal(wishes[i].error, SIGNPOST_ERROR_CANCELLED);
    }
    end_wait_for_came(pair.b, 2);
    links_assert_one(pair.arena, &wishes[1].link, &pair.b->came[0]);
    links_assert_one(pair.arena, &wishes[3].link, &pair.b->came[1]);
    wish_drop(&wishes[1]);
    wish_drop(&wishes[3]);
}

/* Nobody wants it any more, so there is no connection, and the peer hears so. */
static void test_cancel_of_all_ends_what_is_under_way(void **state)
{
    struct pair pair = pair_new(state);
    struct wish wishes[3] = {0};

    for (unsigned i = 0; i < 3; i++)
        wish_begin(&wishes[i], pair.a, "b", NULL);
    end_wait_for_log(pair.a, "b: requesting");
    for (unsigned i = 0; i < 3; i++)
        cancel(&wishes[i]);
    for (unsigned i = 0; i < 3; i++)
        wish_wait(&wishes[i]);
    end_wait_for_log(pair.a, "b: idle");
    assert_int_equal(end_count_log(pair.a, "b: connected"), 0);
    assert_int_equal(pair.b->count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_connection_is_told_to_both_ends),
        TEST(test_bytes_said_at_once_are_all_there),
        TEST(test_connection_over_ipv6_has_brackets),
        TEST(test_connection_to_another_private_address_is_lan),
        TEST(test_connection_outlives_both_clients_in_a_stream),
        TEST(test_each_of_several_gets_its_own_in_order),
        TEST(test_one_more_than_256_is_too_many),
        TEST(test_both_at_once_have_one_connection_every_time),
        TEST(test_cancel_before_and_during_and_after),
        TEST(test_cancel_of_one_leaves_the_others),
        TEST(test_cancel_of_all_ends_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
