/* Direct connections: what callbacks may do, what a client that stops leaves behind, and what is
 * refused at once. */
#include "direct_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void pair_begin(void **state, struct end **ret_a, struct end **ret_b)
{
    *ret_a = arena_add_listener(*state, "a", NULL);
    *ret_b = arena_add_listener(*state, "b", NULL);
    end_knows(*ret_a, "b", 1);
    end_knows(*ret_b, "a", 1);
}

/* --- from inside a callback ------------------------------------------------------------------ */

static void connect_again(struct wish *wish)
{
    wish_begin(wish->next, wish->end, wish->next->peer, NULL);
}

static void test_connect_from_inside_connected_is_a_new_request(void **state)
{
    struct wish third = {.peer = "b"}, second = {.peer = "b", .then = connect_again},
                first = {.then = connect_again};
    struct end *a, *b;

    first.next = &second;
    second.next = &third;
    pair_begin(state, &a, &b);
    wish_begin(&first, a, "b", NULL);
    wish_wait(&first);
    wish_wait(&second);
    wish_wait(&third);
    end_wait_for_came(b, 3);
    links_assert_one(*state, &first.link, &b->came[0]);
    links_assert_one(*state, &second.link, &b->came[1]);
    links_assert_one(*state, &third.link, &b->came[2]);
    wish_drop(&first);
    wish_drop(&second);
    wish_drop(&third);
}

static void test_connect_from_inside_a_failure_is_a_new_request(void **state)
{
    struct wish second = {.peer = "b"}, first = {.then = connect_again, .next = &second};
    struct end *a, *b;

    pair_begin(state, &a, &b);
    wish_begin(&first, a, "b", NULL);
    end_wait_for_log(a, "b: requesting");
    signpost_connect_cancel(a->client, first.request);
    wish_wait(&first);
    assert_int_equal(first.error, SIGNPOST_ERROR_CANCELLED);
    wish_wait(&second);
    wish_assert_linked(&second, SIGNPOST_PATH_DIRECT);
    wish_drop(&second);
}

static void cancel_next(struct wish *wish)
{
    signpost_connect_cancel(wish->end->client, wish->next->request);
}

static void test_cancel_of_another_from_inside_connected(void **state)
{
    struct wish second = {0}, first = {.then = cancel_next, .next = &second};
    struct end *a, *b;

    pair_begin(state, &a, &b);
    wish_begin(&first, a, "b", NULL);
    wish_begin(&second, a, "b", NULL);
    wish_wait(&first);
    wish_wait(&second);
    wish_assert_linked(&first, SIGNPOST_PATH_DIRECT);
    assert_int_equal(second.error, SIGNPOST_ERROR_CANCELLED);
    wish_drop(&first);
}

static struct wish wish_back;

static void connect_back(struct end *end, const signpost_connection_t *connection)
{
    wish_begin(&wish_back, end, connection->peer, NULL);
}

/* The end that has called passes over knocks for five seconds; the next but one gets through. */
static void test_connect_back_from_inside_on_connection(void **state)
{
    struct wish wish = {0};
    struct end *a, *b;

    memset(&wish_back, 0, sizeof wish_back);
    pair_begin(state, &a, &b);
    b->on_came = connect_back;
    wish_begin(&wish, a, "b", NULL);
    wish_wait(&wish);
    end_wait_for_came(b, 1);
    wish_wait_hurried(&wish_back);
    wish_assert_linked(&wish_back, SIGNPOST_PATH_DIRECT);
    end_wait_for_came(a, 1);
    links_assert_one(*state, &wish.link, &b->came[0]);
    links_assert_one(*state, &wish_back.link, &a->came[0]);
    wish_drop(&wish);
    wish_drop(&wish_back);
}

/* --- stopping -------------------------------------------------------------------------------- */

static void on_stopped(void *user)
{
    ((struct end *)user)->stopped = true;
}

static void stop(struct end *end)
{
    signpost_t *client = end->client;

    end->client = NULL;
    if (client)
        signpost_stop(client, on_stopped, end);
}

static bool is_stopped(void *user)
{
    return ((struct end *)user)->stopped;
}

static void stop_wish(struct wish *wish)
{
    stop(wish->end);
}

static void stop_end(struct end *end, const signpost_connection_t *connection)
{
    (void)connection;
    stop(end);
}

static void assert_stopped(struct wish *wish)
{
    wish_assert_failed(wish, SIGNPOST_ERROR_STOPPED, signpost_strerror(SIGNPOST_ERROR_STOPPED));
}

static void test_stop_ends_every_request_once(void **state)
{
    struct wish begun = {0}, waiting = {0}, raw = {0}, cancelled = {0}, unknown = {0};
    struct end *a, *b;

    pair_begin(state, &a, &b);
    wish_begin(&begun, a, "b", NULL);
    wish_begin(&waiting, a, "b", NULL);
    wish_begin(&raw, a, "b", "echo");
    wish_begin(&unknown, a, "nobody", NULL);
    wish_begin(&cancelled, a, "b", NULL);
    end_wait_for_log(a, "b: requesting");
    signpost_connect_cancel(a->client, cancelled.request);
    end_stop(a);
    assert_stopped(&begun);
    assert_stopped(&waiting);
    assert_stopped(&raw);
    assert_stopped(&unknown);
    wish_assert_failed(
        &cancelled, SIGNPOST_ERROR_CANCELLED, signpost_strerror(SIGNPOST_ERROR_CANCELLED));
}

static void test_stop_from_inside_connected(void **state)
{
    struct wish second = {0}, first = {.then = stop_wish};
    struct end *a, *b;

    pair_begin(state, &a, &b);
    wish_begin(&first, a, "b", NULL);
    wish_begin(&second, a, "b", NULL);
    help_run_until(a->arena->loop, is_stopped, a);
    wish_assert_linked(&first, SIGNPOST_PATH_DIRECT);
    assert_stopped(&second);
    end_wait_for_came(b, 1);
    links_assert_one(*state, &first.link, &b->came[0]);
    wish_drop(&first);
}

static void test_stop_from_inside_a_failure(void **state)
{
    struct wish second = {0}, first = {.then = stop_wish};
    struct end *a, *b;

    pair_begin(state, &a, &b);
    wish_begin(&first, a, "b", NULL);
    wish_begin(&second, a, "b", NULL);
    signpost_connect_cancel(a->client, first.request);
    help_run_until(a->arena->loop, is_stopped, a);
    assert_int_equal(first.error, SIGNPOST_ERROR_CANCELLED);
    assert_stopped(&second);
    assert_int_equal(first.calls, 1);
}

static void test_stop_from_inside_on_connection(void **state)
{
    struct wish wish = {0};
    struct end *a, *b;

    pair_begin(state, &a, &b);
    b->on_came = stop_end;
    wish_begin(&wish, a, "b", NULL);
    wish_wait(&wish);
    help_run_until(a->arena->loop, is_stopped, b);
    links_assert_one(*state, &wish.link, &b->came[0]);
    wish_drop(&wish);
}

static const char *moment; /* in the log, to stop at */

static void stop_at_moment(struct end *end, const char *text)
{
    if (!strcmp(text, moment))
        stop(end);
}

/* A `ready` may be quicker than what makes it wait for one. */
static bool is_told(void *user)
{
    const struct wish *wish = user;
    return wish->calls > 0 && (!wish->error || wish->end->stopped);
}

/* Whatever it was about to do, it ends in good order. */
static void test_stop_at_each_step_of_the_caller(void **state)
{
    static const char *const moments[] = {"b: requesting", "b: waiting-ready", "b: connecting",
        "b: connected", "b: cleanup", "b: idle"};
    struct end *b = arena_add_listener(*state, "b", NULL);

    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        struct end *a = arena_add_listener(*state, "a", NULL);
        struct wish wish = {0};
        end_knows(a, "b", 1);
        moment = moments[i];
        a->on_log = stop_at_moment;
        wish_begin(&wish, a, "b", NULL);
        help_run_until(a->arena->loop, is_told, &wish);
        if (!wish.error && !strcmp(moment, "b: waiting-ready"))
            wish_drop(&wish);
        else
            assert_stopped(&wish);
        end_stop(a);
    }
    assert_int_equal(b->messages, 0);
}

static void test_stop_at_each_step_of_the_called_end(void **state)
{
    static const char *const moments[] = {
        "a: preparing", "a: ready", "a: connecting", "a: connected", "a: cleanup", "a: idle"};
    struct end *a = arena_add_listener(*state, "a", NULL);

    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        struct end *b = arena_add_listener(*state, "b", NULL);
        struct wish wish = {0};
        end_knows(a, "b", 1);
        moment = moments[i];
        b->on_log = stop_at_moment;
        wish_begin(&wish, a, "b", NULL);
        help_run_until(a->arena->loop, is_stopped, b);
        assert_int_equal(b->count, 0);
        if (!wish.calls)
            signpost_connect_cancel(a->client, wish.request);
        wish_wait(&wish);
        wish_drop(&wish);
    }
}

/* --- what is refused at once ----------------------------------------------------------------- */

static void on_never(signpost_t *client, const char *peer, int error, const char *reason,
    const signpost_connection_t *connection, void *user)
{
    (void)client, (void)peer, (void)error, (void)reason, (void)connection, (void)user;
    fail();
}

static int try_to_connect(struct end *end, const char *peer, const char *scheme, bool called_back)
{
    uint64_t request = 7;
    int error =
        signpost_connect(end->client, peer, scheme, called_back ? on_never : NULL, NULL, &request);

    assert_int_equal(request, 7);
    return error;
}

static void test_arguments_that_are_wrong_are_refused(void **state)
{
    struct end *a = arena_add(*state, "a"), *c = arena_add(*state, "c");
    uint16_t port;
    int fd;

    assert_int_equal(try_to_connect(a, "a", NULL, true), SIGNPOST_ERROR_INVALID);
    assert_int_equal(try_to_connect(a, "", NULL, true), SIGNPOST_ERROR_INVALID);
    assert_int_equal(try_to_connect(a, NULL, NULL, true), SIGNPOST_ERROR_INVALID);
    assert_int_equal(try_to_connect(a, "b/c", NULL, true), SIGNPOST_ERROR_INVALID);
    assert_int_equal(try_to_connect(a, "b", "", true), SIGNPOST_ERROR_INVALID);
    assert_int_equal(
        try_to_connect(a, "b", "a12345678901234567890123456789012", true), SIGNPOST_ERROR_INVALID);
    assert_int_equal(try_to_connect(a, "b", NULL, false), SIGNPOST_ERROR_INVALID);

    port = sockets_listen("127.0.0.1", 0, 1, &fd);
    assert_int_equal(
        signpost_listen(a->client, "127.0.0.1", port, NULL, NULL), SIGNPOST_ERROR_ADDRESS);
    assert_int_equal(
        signpost_listen(a->client, "192.0.2.1", 0, NULL, NULL), SIGNPOST_ERROR_ADDRESS);
    assert_int_equal(
        signpost_listen(a->client, "localhost", 0, NULL, NULL), SIGNPOST_ERROR_INVALID);
    assert_int_equal(signpost_port(a->client), 0);
    close(fd);
    end_listen(a, "127.0.0.1", false);
    assert_int_equal(
        signpost_listen(a->client, "127.0.0.1", 0, NULL, NULL), SIGNPOST_ERROR_INVALID);
    assert_int_equal(signpost_port(c->client), 0);
}

/* The index would refuse the whole record for it. */
static void test_host_that_cannot_be_announced_is_refused(void **state)
{
    static const char *const hosts[] = {"0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "fe80::1"};
    struct end *a = arena_add(*state, "a");

    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        assert_int_equal(
            signpost_listen(a->client, hosts[i], 0, NULL, NULL), SIGNPOST_ERROR_INVALID);
    assert_int_equal(signpost_port(a->client), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_connect_from_inside_connected_is_a_new_request),
        TEST(test_connect_from_inside_a_failure_is_a_new_request),
        TEST(test_cancel_of_another_from_inside_connected),
        TEST(test_connect_back_from_inside_on_connection),
        TEST(test_stop_ends_every_request_once),
        TEST(test_stop_from_inside_connected),
        TEST(test_stop_from_inside_a_failure),
        TEST(test_stop_from_inside_on_connection),
        TEST(test_stop_at_each_step_of_the_caller),
        TEST(test_stop_at_each_step_of_the_called_end),
        TEST(test_arguments_that_are_wrong_are_refused),
        TEST(test_host_that_cannot_be_announced_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
