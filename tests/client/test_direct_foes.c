/* Direct connections and peers that mean ill: where they want to be dialled. They are plain clients
 * that speak the protocol by hand. */
#include "direct_help.h"
#include "fake_acceptor.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET "AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" /* 1, 2, 3, and zeros */
#define READY "{\"kind\":\"direct\",\"secret\":\"" SECRET "\"}"
#define KNOCK(want) "{\"kind\":\"direct\",\"want\":\"" want "\"}"

static char reply[2048]; /* to each knock; "": none */

static void answer_knock(struct end *end, const signpost_message_t *message)
{
    if (!strcmp(message->type, "knock") && *reply)
        assert_int_equal(signpost_send(end->client, message->from, message->session, "ready", reply,
                             strlen(reply), 0, NULL, NULL, NULL),
            0);
}

/* Its record says that it listens at those ports of 127.0.0.1. */
static struct end *add_foe(
    struct arena *arena, const char *id, const uint16_t *ports, size_t count, const char *says)
{
    char endpoints[10][64];
    const char *list[11] = {NULL};

    for (size_t i = 0; i < count; i++) {
        snprintf(endpoints[i], sizeof endpoints[i], "signpost://127.0.0.1:%u", ports[i]);
        list[i] = endpoints[i];
    }
    struct end *foe = arena_add_with(arena, id, list);
    foe->on_message = answer_knock;
    snprintf(reply, sizeof reply, "%s", says);
    return foe;
}

static bool has_guests(int door)
{
    struct pollfd guests = {.fd = door, .events = POLLIN};
    return poll(&guests, 1, 0) > 0;
}

static struct acceptor acceptor_for(enum acceptor_manner manner, const struct greet_ticket *ticket)
{
    return (struct acceptor){.manner = manner, .ticket = ticket, .dialer = "a", .own = "foe"};
}

static struct greet_ticket the_ticket(void)
{
    const uint8_t secret[GREET_SECRET_SIZE] = {1, 2, 3};
    struct greet_ticket ticket;

    greet_make_ticket(secret, &ticket);
    return ticket;
}

static void call_off(struct wish *wish)
{
    signpost_connect_cancel(wish->end->client, wish->request);
    wish_wait(wish);
    assert_int_equal(wish->error, SIGNPOST_ERROR_CANCELLED);
}

/* --- a `ready` ------------------------------------------------------------------------------- */

static void test_endpoints_that_are_not_listed_are_not_dialled(void **state)
{
    struct arena *arena = *state;
    struct wish wish = {0};
    int listed, other_port, other_host;
    uint16_t port = sockets_listen("127.0.0.1", 0, 8, &listed);
    uint16_t victim = sockets_listen("127.0.0.1", 0, 8, &other_port);
    struct end *a = arena_add(arena, "a");

    assert_int_equal(sockets_listen("127.0.0.7", port, 8, &other_host), port);
    add_foe(arena, "foe", &port, 1, "");
    end_knows(a, "foe", 1);
    snprintf(reply, sizeof reply,
        "{\"kind\":\"direct\",\"secret\":\"" SECRET
        "\",\"endpoints\":[\"signpost://127.0.0.1:%u\",\"signpost://127.0.0.7:%u\","
        "\"echo://127.0.0.1:%u\"]}",
        victim, port, victim);
    wish_begin(&wish, a, "foe", NULL);
    wish_wait_hurried(&wish);
    wish_assert_failed(&wish, SIGNPOST_ERROR_NO_PATH,
        "cannot reach foe: the index does not list the endpoints that it offers");
    assert_false(has_guests(other_port));
    assert_false(has_guests(other_host));
    assert_false(has_guests(listed)); /* it did not name that one */
    close(listed);
    close(other_port);
    close(other_host);
}

static void test_ready_without_a_good_secret_is_none(void **state)
{
    static const char *const bodies[] = {"{\"kind\":\"direct\"}",
        "{\"kind\":\"direct\",\"secret\":\"\"}", "{\"kind\":\"direct\",\"secret\":7}",
        "{\"kind\":\"direct\",\"secret\":\"AAAA\"}", "{\"kind\":\"webrtc\"}"};
    struct arena *arena = *state;
    int door;
    uint16_t port = sockets_listen("127.0.0.1", 0, 8, &door);
    struct end *a = arena_add(arena, "a");

    add_foe(arena, "foe", &port, 1, "");
    end_knows(a, "foe", 1);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct wish wish = {0};
        snprintf(reply, sizeof reply, "%s", bodies[i]);
        wish_begin(&wish, a, "foe", NULL);
        wish_wait_hurried(&wish);
        assert_int_equal(wish.error, SIGNPOST_ERROR_NO_PATH);
        assert_true(!strcmp(wish.reason, "foe did not get ready within 5 s") ||
                    !strcmp(wish.reason, "its `ready` has no secret"));
    }
    assert_false(has_guests(door));
    close(door);
}

static void test_ready_that_nobody_asked_for_leads_nowhere(void **state)
{
    struct arena *arena = *state;
    int door;
    uint16_t port = sockets_listen("127.0.0.1", 0, 8, &door);
    struct end *a = arena_add_listener(arena, "a", NULL), *b = arena_add(arena, "b");
    struct end *foe = add_foe(arena, "foe", &port, 1, "");
    struct wish wish = {0};

    end_knows(a, "foe", 1);
    end_send(foe, "a", "s1", "ready", READY);
    end_wait_for_message(a, "ready");

    /* Nor does one of a session with somebody else. */
    wish_begin(&wish, a, "b", NULL);
    end_wait_for_message(b, "knock");
    a->last.type[0] = '\0';
    end_send(foe, "a", b->last.session, "ready", READY);
    end_wait_for_message(a, "ready");
    assert_int_equal(end_count_log(a, "connecting"), 0);
    call_off(&wish);
    assert_false(has_guests(door));
    close(door);
}

/* --- endpoints that lead elsewhere ----------------------------------------------------------- */

static void test_endpoint_that_is_our_own_is_not_dialled(void **state)
{
    struct arena *arena = *state;
    struct end *a = arena_add_listener(arena, "a", NULL);
    uint16_t port = signpost_port(a->client);
    struct end *foe = add_foe(arena, "foe", &port, 1, "");
    struct wish wish = {0};

    end_knows(a, "foe", 1);
    wish_begin(&wish, a, "foe", NULL);
    end_wait_for_message(foe, "knock");
    assert_string_equal(foe->last.body, KNOCK("dial")); /* since it cannot be dialled */
    call_off(&wish);
    end_wait_for_message(foe, "bye");
    assert_string_equal(foe->last.body, "{\"reason\":\"closed\"}");
    foe->last.type[0] = '\0';
    end_send(foe, "a", "s1", "knock", KNOCK("dial"));
    end_wait_for_message(foe, "bye");
    assert_string_equal(foe->last.body, "{\"reason\":\"failed\"}");
    assert_int_equal(a->count, 0);
}

/* A way to ourselves that we do not know as such: we do not greet ourselves either. */
static void test_endpoint_that_leads_to_us_is_not_the_peer(void **state)
{
    struct arena *arena = *state;
    struct end *a = arena_add_listener(arena, "a", NULL);
    char endpoint[64];
    struct wish wish = {0};

    snprintf(endpoint, sizeof endpoint, "signpost://127.0.0.2:%u", signpost_port(a->client));
    struct end *foe = arena_add_with(arena, "foe", (const char *const[]){endpoint, NULL});
    foe->on_message = answer_knock;
    strcpy(reply, READY);
    end_knows(a, "foe", 1);
    wish_begin(&wish, a, "foe", NULL);
    end_wait_for_log(a, "foe: connecting");
    end_wait_for_message(foe, "bye");
    assert_string_equal(foe->last.body, "{\"reason\":\"failed\"}");
    assert_int_equal(a->count, 0);
    assert_int_equal(wish.calls, 0);
    call_off(&wish);
}

static bool was_greeted(void *user)
{
    return ((struct acceptor *)user)->greeted > 0;
}

static void test_ports_that_do_not_greet_are_overtaken(void **state)
{
    struct arena *arena = *state;
    struct greet_ticket ticket = the_ticket();
    struct acceptor mute = acceptor_for(ACCEPTOR_SAYS_NOTHING, &ticket);
    struct acceptor liar = acceptor_for(ACCEPTOR_LIES, &ticket);
    struct acceptor good = acceptor_for(ACCEPTOR_GREETS, &ticket);
    struct end *a = arena_add(arena, "a");
    struct wish wish = {0};

    acceptor_start(arena->loop, &mute, "127.0.0.1", 0);
    acceptor_start(arena->loop, &liar, "127.0.0.1", 0);
    acceptor_start(arena->loop, &good, "127.0.0.1", 0);
    add_foe(arena, "foe", (const uint16_t[]){mute.port, liar.port, good.port}, 3, READY);
    end_knows(a, "foe", 3);
    wish_begin(&wish, a, "foe", NULL);
    wish_wait(&wish);
    wish_assert_linked(&wish, SIGNPOST_PATH_DIRECT);
    help_run_until(arena->loop, was_greeted, &good);
    assert_int_equal(mute.accepted, 1);
    assert_int_equal(liar.accepted, 1);
    sockets_assert_joined(arena->loop, wish.link.fd, good.fd);
    close(good.fd);
    wish_drop(&wish);
    acceptor_stop(&mute);
    acceptor_stop(&liar);
    acceptor_stop(&good);
}

static void test_peer_that_lies_is_not_the_peer(void **state)
{
    struct arena *arena = *state;
    struct greet_ticket ticket = the_ticket();
    struct acceptor liar = acceptor_for(ACCEPTOR_LIES, &ticket);
    struct end *a = arena_add(arena, "a");
    struct wish wish = {0};
    char reason[160];

    acceptor_start(arena->loop, &liar, "127.0.0.1", 0);
    add_foe(arena, "foe", &liar.port, 1, READY);
    end_knows(a, "foe", 1);
    wish_begin(&wish, a, "foe", NULL);
    wish_wait_hurried(&wish);
    snprintf(reason, sizeof reason,
        "cannot reach foe: 127.0.0.1:%u: is not the peer (it does not know the secret)", liar.port);
    wish_assert_failed(&wish, SIGNPOST_ERROR_NO_PATH, reason);
    acceptor_stop(&liar);
}

/* A sentence with more addresses than it has room for says how many there are besides. */
static void test_reason_of_many_endpoints_is_whole(void **state)
{
    struct arena *arena = *state;
    struct end *a = arena_add(arena, "a");
    uint16_t ports[9];
    int doors[9];
    struct wish wish = {0};

    for (size_t i = 0; i < 9; i++)
        ports[i] = sockets_listen("127.0.0.1", 0, 0, &doors[i]);
    for (size_t i = 0; i < 9; i++)
        close(doors[i]);
    add_foe(arena, "foe", ports, 9, READY);
    end_knows(a, "foe", 9);
    wish_begin(&wish, a, "foe", NULL);
    wish_wait_hurried(&wish);
    assert_int_equal(wish.error, SIGNPOST_ERROR_NO_PATH);
    const char *more = strstr(wish.reason, " more");
    assert_string_equal(more ? more : wish.reason, " more");
}

/* Both take their whole time, and others are served meanwhile. */
static void test_ports_that_hang_end_within_the_limit(void **state)
{
    struct arena *arena = *state;
    int mute, full[2];
    const uint16_t ports[] = {
        sockets_listen("127.0.0.1", 0, 8, &mute), sockets_listen_full("127.0.0.1", full)};
    struct end *a = arena_add(arena, "a"), *b = arena_add_listener(arena, "b", NULL);
    struct wish lost = {0}, honest = {0};
    char expected[160];

    struct end *foe = add_foe(arena, "foe", ports, 2, READY);
    end_knows(a, "foe", 2);
    end_knows(b, "foe", 2);
    end_knows(a, "b", 1);
    end_send(foe, "b", "s1", "knock", KNOCK("dial"));
    end_wait_for_log(b, "foe: ready");
    wish_begin(&lost, a, "foe", NULL);
    end_wait_for_log(a, "foe: connecting");
    wish_begin(&honest, a, "b", NULL);
    wish_wait(&honest);
    wish_assert_linked(&honest, SIGNPOST_PATH_DIRECT);
    assert_int_equal(end_count_log(b, "foe: idle"), 0);
    snprintf(expected, sizeof expected,
        "foe: failed, 127.0.0.1:%u: accepted, but did not greet; 127.0.0.1:%u: no answer in 9.9 s",
        ports[0], ports[1]);
    end_wait_for_log(a, "foe: failed");
    assert_non_null(strstr(a->log, expected));
    end_wait_for_message(foe, "bye");
    end_wait_for_log(b, "foe: idle");
    call_off(&lost);
    wish_drop(&honest);
    close(mute);
    close(full[0]);
    close(full[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_endpoints_that_are_not_listed_are_not_dialled),
        TEST(test_ready_without_a_good_secret_is_none),
        TEST(test_ready_that_nobody_asked_for_leads_nowhere),
        TEST(test_endpoint_that_is_our_own_is_not_dialled),
        TEST(test_endpoint_that_leads_to_us_is_not_the_peer),
        TEST(test_ports_that_do_not_greet_are_overtaken),
        TEST(test_peer_that_lies_is_not_the_peer),
        TEST(test_reason_of_many_endpoints_is_whole),
        TEST(test_ports_that_hang_end_within_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
