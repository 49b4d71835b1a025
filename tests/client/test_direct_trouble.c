/* Direct connections that do not come about, or not at once: services of their own scheme, peers
 * that are not there or do not want to, addresses that lead nowhere, and indexes that are away. */
#include "direct_help.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- a network that does as it is told ------------------------------------------------------- */

static struct {
    uint16_t refused[2]; /* ports that nobody gets to; 0: none */
    uint16_t watched;
    unsigned tries; /* to get to that one */
} network;

static int network_setup(void **state)
{
    memset(&network, 0, sizeof network);
    return arena_setup(state);
}

static uint16_t port_of(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)address)->sin_port);
    return address->sa_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)address)->sin6_port)
                                          : 0;
}

/* Stands before that of the C library. */
int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    uint16_t port = port_of(addr);

    network.tries += port && port == network.watched;
    if (port && (port == network.refused[0] || port == network.refused[1])) {
        errno = ECONNREFUSED;
        return -1;
    }
    return (int)syscall(SYS_connect, fd, addr, len);
}

/* What comes to whom listens on that port is dropped on the way. */
static void drop_what_comes(uint16_t port)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {1, &nothing};
    bool found = false;

    for (int fd = 3; fd < 200; fd++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address, width = sizeof(int);
        int listens = 0;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &width) || !listens ||
            getsockname(fd, (struct sockaddr *)&address, &size) ||
            port_of((struct sockaddr *)&address) != port)
            continue;
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
        found = true;
    }
    assert_true(found);
}

/* --- services of their own ------------------------------------------------------------------- */

static struct end *add_service(
    struct arena *arena, const char *id, const char *scheme, uint16_t port)
{
    char endpoint[64];

    snprintf(endpoint, sizeof endpoint, "%s://127.0.0.1:%u", scheme, port);
    return arena_add_with(arena, id, (const char *const[]){endpoint, NULL});
}

static void test_service_is_connected_to_as_it_is(void **state)
{
    struct arena *arena = *state;
    struct wish wish = {0};
    char expected[64], byte;
    int door, fd;
    uint16_t port = sockets_listen("127.0.0.1", 0, 1, &door);
    struct end *a = arena_add(arena, "a"), *b = add_service(arena, "b", "echo", port);

    end_knows(a, "b", 1);
    wish_begin(&wish, a, "b", "echo");
    wish_wait(&wish);
    wish_assert_linked(&wish, SIGNPOST_PATH_DIRECT);
    fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1); /* nobody greets */
    sockets_assert_joined(arena->loop, wish.link.fd, fd);
    snprintf(expected, sizeof expected, "127.0.0.1:%u", port);
    assert_string_equal(wish.link.remote, expected);
    assert_false(wish.link.called);
    assert_int_equal(b->messages, 0);
    wish_drop(&wish);
    close(fd);
    close(door);
}

static void test_service_that_refuses_is_tried_four_times(void **state)
{
    struct arena *arena = *state;
    struct wish wish = {0};
    char reason[128];

    network.watched = sockets_closed_port("127.0.0.1");
    struct end *a = arena_add(arena, "a");
    add_service(arena, "b", "echo", network.watched);
    end_knows(a, "b", 1);
    wish_begin(&wish, a, "b", "echo");
    wish_wait_hurried(&wish);
    snprintf(
        reason, sizeof reason, "cannot reach b: 127.0.0.1:%u: connection refused", network.watched);
    wish_assert_failed(&wish, SIGNPOST_ERROR_NO_PATH, reason);
    assert_int_equal(network.tries, 4);
}

static bool was_tried(void *user)
{
    (void)user;
    return network.tries > 0;
}

static void test_service_that_comes_up_meanwhile_is_found(void **state)
{
    struct arena *arena = *state;
    struct wish wish = {0};
    int door;
    uint16_t port = network.watched = network.refused[0] = sockets_listen("127.0.0.1", 0, 1, &door);
    struct end *a = arena_add(arena, "a");

    add_service(arena, "b", "echo", port);
    end_knows(a, "b", 1);
    wish_begin(&wish, a, "b", "echo");
    help_run_until(arena->loop, was_tried, NULL);
    network.refused[0] = 0;
    wish_wait_hurried(&wish);
    wish_assert_linked(&wish, SIGNPOST_PATH_DIRECT);
    wish_drop(&wish);
    close(door);
}

static void test_service_of_nobody_and_of_none(void **state)
{
    struct arena *arena = *state;
    struct wish nobody = {0}, none = {0};
    struct end *a = arena_add(arena, "a");

    add_service(arena, "b", "other", 7);
    end_knows(a, "b", 1);
    wish_begin(&nobody, a, "nobody", "echo");
    wish_begin(&none, a, "b", "echo");
    wish_wait_hurried(&nobody);
    wish_wait_hurried(&none);
    wish_assert_failed(
        &nobody, SIGNPOST_ERROR_UNKNOWN_PEER, "cannot reach nobody: no index knows it now");
    wish_assert_failed(
        &none, SIGNPOST_ERROR_NO_PATH, "cannot reach b: it announces no echo endpoint");
}

/* --- peers that are not there, or do not want to --------------------------------------------- */

static void test_peer_that_is_offline_is_named(void **state)
{
    struct end *a = arena_add_listener(*state, "a", NULL);
    struct wish wish = {0};

    wish_begin(&wish, a, "nobody", NULL);
    wish_wait_hurried(&wish);
    wish_assert_failed(&wish, SIGNPOST_ERROR_UNKNOWN_PEER, "nobody is offline");
    assert_int_equal(end_count_log(a, "nobody: requesting"), 4);
}

static void test_peer_that_does_not_listen_does_not_get_ready(void **state)
{
    struct end *a = arena_add(*state, "a");
    struct wish wish = {0};

    arena_add(*state, "b");
    wish_begin(&wish, a, "b", NULL);
    wish_wait_hurried(&wish);
    wish_assert_failed(&wish, SIGNPOST_ERROR_NO_PATH, "b did not get ready within 5 s");
}

static void test_peer_that_refuses_is_asked_once(void **state)
{
    struct end *a = arena_add(*state, "a"), *b = arena_add(*state, "b");
    struct wish wish = {0}, back = {0};

    end_listen(b, NULL, true);
    wish_begin(&wish, a, "b", NULL);
    wish_wait(&wish);
    wish_assert_failed(&wish, SIGNPOST_ERROR_PEER_REFUSED, "b refused");
    assert_int_equal(end_count_log(a, "b: requesting"), 1);
    assert_int_equal(b->messages, 0);

    /* It has what it asks for itself. */
    end_listen(a, NULL, false);
    end_knows(b, "a", 1);
    wish_begin(&back, b, "a", NULL);
    wish_wait(&back);
    wish_assert_linked(&back, SIGNPOST_PATH_DIRECT);
    end_wait_for_came(a, 1);
    wish_drop(&back);
}

/* A request is no part of an attempt of the peer's that ends before it has begun. */
static struct wish wish_late;

static void connect_on_message(struct end *end, const signpost_message_t *message)
{
    if (!strcmp(message->type, "mark"))
        wish_begin(&wish_late, end, message->from, NULL);
}

static bool has_gone_on(void *user)
{
    const struct end *end = user;
    return wish_late.request && (strstr(end->log, "b: idle") || strstr(end->log, "b: retrying"));
}

static void test_request_is_not_ended_by_what_was_before_it(void **state)
{
    struct end *a = arena_add_listener(*state, "a", NULL), *b = arena_add(*state, "b");

    a->on_message = connect_on_message;
    for (unsigned i = 0; i < 5; i++) {
        char session[8];
        memset(&wish_late, 0, sizeof wish_late);
        a->log[0] = '\0';
        snprintf(session, sizeof session, "s%u", i);
        end_send(b, "a", session, "knock", "{\"kind\":\"direct\",\"want\":\"accept\"}");
        end_wait_for_log(a, "b: ready");
        /* Mostly both come with one reply. */
        assert_int_equal(
            signpost_send(b->client, "a", "m", "mark", "1", 1, 30, NULL, NULL, NULL), 0);
        end_send(b, "a", session, "bye", "{\"reason\":\"failed\"}");
        help_run_until(a->arena->loop, has_gone_on, a);
        assert_int_equal(wish_late.calls, 0);
        signpost_connect_cancel(a->client, wish_late.request);
        wish_wait(&wish_late);
        assert_int_equal(wish_late.error, SIGNPOST_ERROR_CANCELLED);
    }
}

/* --- addresses that lead nowhere ------------------------------------------------------------- */

static void test_peer_that_cannot_be_reached_says_where(void **state)
{
    struct end *a = arena_add(*state, "a"), *b = arena_add_listener(*state, "b", "127.0.0.1");
    struct wish wish = {0};
    char reason[128];

    network.refused[0] = signpost_port(b->client);
    end_knows(a, "b", 1);
    wish_begin(&wish, a, "b", NULL);
    wish_wait_hurried(&wish);
    snprintf(reason, sizeof reason, "cannot reach b: 127.0.0.1:%u: connection refused",
        network.refused[0]);
    wish_assert_failed(&wish, SIGNPOST_ERROR_NO_PATH, reason);
    assert_int_equal(b->count, 0);
}

static void assert_reversed(struct end *a, struct end *b, struct wish *wish)
{
    end_wait_for_came(b, 1);
    wish_assert_linked(wish, SIGNPOST_PATH_REVERSED);
    assert_int_equal(b->came[0].path, SIGNPOST_PATH_REVERSED);
    assert_true(b->came[0].called);
    assert_false(wish->link.called);
    assert_string_equal(b->came[0].peer, "a");
    links_assert_one(a->arena, &wish->link, &b->came[0]);
    assert_int_equal(a->count, 0);
    wish_drop(wish);
}

static void test_peer_that_refuses_tcp_dials_us(void **state)
{
    struct end *a = arena_add_listener(*state, "a", "127.0.0.1");
    struct end *b = arena_add_listener(*state, "b", "127.0.0.1");
    struct wish wish = {0};

    network.refused[0] = signpost_port(b->client);
    end_knows(a, "b", 1);
    wish_begin(&wish, a, "b", NULL);
    wish_wait(&wish);
    assert_reversed(a, b, &wish);
    assert_int_equal(end_count_log(a, "b: retrying"), 0); /* it is the same attempt */
}

static void test_peer_whose_router_drops_dials_us(void **state)
{
    struct end *a = arena_add_listener(*state, "a", "127.0.0.1");
    struct end *b = arena_add_listener(*state, "b", "127.0.0.1");
    struct wish wish = {0};

    drop_what_comes(signpost_port(b->client));
    end_knows(a, "b", 1);
    wish_begin(&wish, a, "b", NULL);
    wish_wait(&wish);
    assert_reversed(a, b, &wish);
    assert_int_equal(end_count_log(a, "b: retrying"), 0);
}

/* Else nothing would be said of where it listens. */
static void test_listener_needs_an_endpoint(void **state)
{
    const char *const services[] = {"s://:1", "s://:2", "s://:3", "s://:4", "s://:5", "s://:6",
        "s://:7", "s://:8", "s://:9", "s://:10", NULL};
    struct end *a = arena_add(*state, "a");
    struct end *b = arena_add_with(*state, "b", services);

    assert_int_equal(signpost_listen(b->client, NULL, 0, NULL, NULL), SIGNPOST_ERROR_FULL);
    assert_int_equal(signpost_port(b->client), 0);
    assert_int_equal(signpost_update(b->client, services + 1, NULL, NULL), 0);
    end_listen(b, NULL, false);
    assert_int_equal(signpost_update(b->client, services, NULL, NULL), SIGNPOST_ERROR_FULL);
    end_knows(a, "b", 10);
}

static void test_both_ways_closed_is_told_of_both(void **state)
{
    struct end *a = arena_add_listener(*state, "a", "127.0.0.1");
    struct end *b = arena_add_listener(*state, "b", "127.0.0.1");
    struct wish wish = {0};
    char reason[256];

    network.refused[0] = signpost_port(a->client);
    network.refused[1] = signpost_port(b->client);
    end_knows(a, "b", 1);
    end_knows(b, "a", 1);
    wish_begin(&wish, a, "b", NULL);
    wish_wait_hurried(&wish);
    snprintf(reason, sizeof reason,
        "cannot reach b: 127.0.0.1:%u: connection refused; asked to dial us: b ended the attempt: "
        "failed",
        network.refused[1]);
    wish_assert_failed(&wish, SIGNPOST_ERROR_NO_PATH, reason);
}

/* With more addresses than a sentence has room for it says how many there were besides. */
static void test_reason_of_many_addresses_is_whole(void **state)
{
    char endpoints[9][64];
    const char *list[10] = {NULL};
    struct wish wish = {0};

    for (unsigned i = 0; i < 9; i++) {
        char host[16];
        snprintf(host, sizeof host, "127.0.100.%u", 101 + i);
        snprintf(endpoints[i], sizeof endpoints[i], "s://%s:%u", host, sockets_closed_port(host));
        list[i] = endpoints[i];
    }
    struct end *a = arena_add(*state, "a");
    arena_add_with(*state, "b", list);
    end_knows(a, "b", 9);
    wish_begin(&wish, a, "b", "s");
    wish_wait_hurried(&wish);
    assert_int_equal(wish.error, SIGNPOST_ERROR_NO_PATH);
    assert_non_null(strstr(wish.reason, " more"));
    assert_string_equal(strstr(wish.reason, " more"), " more");
}

/* --- indexes that are away ------------------------------------------------------------------- */

static void kill_index(struct end *end, const char *text)
{
    if (!strcmp(text, "b: connecting"))
        index_kill(&end->arena->index);
}

static void test_index_that_dies_after_the_ready_is_not_missed(void **state)
{
    struct arena *arena = *state;
    struct end *a = arena_add_listener(arena, "a", NULL), *b = arena_add_listener(arena, "b", NULL);
    struct wish before = {0}, during = {0}, after = {0};

    end_knows(a, "b", 1);
    wish_begin(&before, a, "b", NULL);
    wish_wait(&before);
    end_wait_for_came(b, 1);
    a->on_log = kill_index;
    wish_begin(&during, a, "b", NULL);
    wish_wait(&during);
    wish_assert_linked(&during, SIGNPOST_PATH_DIRECT);
    assert_int_equal(arena->index.pid, 0);
    end_wait_for_came(b, 2);
    links_assert_one(arena, &during.link, &b->came[1]);

    wish_begin(&after, a, "b", NULL);
    wish_wait_hurried(&after);
    if (!strcmp(after.reason, "the index cannot be reached")) /* it is known already */
        wish_assert_failed(&after, SIGNPOST_ERROR_UNREACHABLE, "the index cannot be reached");
    else
        wish_assert_failed(
            &after, SIGNPOST_ERROR_UNREACHABLE, "no index took the call to b within 5 s");
    links_assert_one(arena, &before.link, &b->came[0]);
    links_assert_one(arena, &during.link, &b->came[1]);
    wish_drop(&before);
    wish_drop(&during);
}

static void test_index_that_comes_back_serves_the_request(void **state)
{
    struct arena *arena = *state;
    struct end *a = arena_add_listener(arena, "a", NULL), *b = arena_add_listener(arena, "b", NULL);
    struct wish wish = {0};

    end_knows(a, "b", 1);
    index_kill(&arena->index);
    wish_begin(&wish, a, "b", NULL);
    end_wait_for_log(a, "b: requesting");
    index_begin(&arena->index, false);
    wish_wait(&wish);
    wish_assert_linked(&wish, SIGNPOST_PATH_DIRECT);
    end_wait_for_came(b, 1);
    links_assert_one(arena, &wish.link, &b->came[0]);
    wish_drop(&wish);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, network_setup, arena_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_service_is_connected_to_as_it_is),
        TEST(test_service_that_refuses_is_tried_four_times),
        TEST(test_service_that_comes_up_meanwhile_is_found),
        TEST(test_service_of_nobody_and_of_none),
        TEST(test_peer_that_is_offline_is_named),
        TEST(test_peer_that_does_not_listen_does_not_get_ready),
        TEST(test_peer_that_refuses_is_asked_once),
        TEST(test_request_is_not_ended_by_what_was_before_it),
        TEST(test_peer_that_cannot_be_reached_says_where),
        TEST(test_peer_that_refuses_tcp_dials_us),
        TEST(test_peer_whose_router_drops_dials_us),
        TEST(test_listener_needs_an_endpoint),
        TEST(test_both_ways_closed_is_told_of_both),
        TEST(test_reason_of_many_addresses_is_whole),
        TEST(test_index_that_dies_after_the_ready_is_not_missed),
        TEST(test_index_that_comes_back_serves_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
