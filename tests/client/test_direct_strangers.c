/* Direct connections and those who come to our port without being who they should be, or too often,
 * or with nothing to say. */
#include "direct/greet.h"
#include "direct_help.h"
#include "secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KNOCK "{\"kind\":\"direct\",\"want\":\"accept\"}"

/* "a" listens, and "foe" speaks by hand. */
struct siege {
    struct arena *arena;
    struct end *a, *foe;
};

static struct siege siege_new(void **state)
{
    struct siege siege = {.arena = *state,
        .a = arena_add_listener(*state, "a", NULL),
        .foe = arena_add(*state, "foe")};

    return siege;
}

/* One that dials by hand. */
struct caller {
    int fd;
    struct greeting greeting;
    uint8_t hello[GREET_HELLO_SIZE], proof[GREET_PROOF_SIZE];
};

static void turn(struct siege *siege, unsigned times)
{
    while (times--)
        uv_run(siege->arena->loop, UV_RUN_NOWAIT);
}

static struct greet_ticket read_ticket(const struct end *foe)
{
    const char *at = strstr(foe->last.body, "\"secret\":\"");
    uint8_t secret[GREET_SECRET_SIZE];
    struct greet_ticket ticket;

    assert_non_null(at);
    assert_true(secret_decode(at + 10, SECRET_TOKEN_SIZE - 1, secret));
    greet_make_ticket(secret, &ticket);
    return ticket;
}

static struct greet_ticket ask_for_ticket(struct siege *siege, const char *session)
{
    siege->foe->last.type[0] = '\0';
    end_send(siege->foe, "a", session, "knock", KNOCK);
    end_wait_for_message(siege->foe, "ready");
    assert_string_equal(siege->foe->last.session, session);
    return read_ticket(siege->foe);
}

static struct caller come(struct siege *siege, const struct greet_ticket *ticket, const char *id)
{
    struct caller caller = {.fd = -1};
    uint8_t nonce[GREET_NONCE_SIZE];

    assert_int_equal(secret_random(nonce, sizeof nonce), 0);
    greet_begin(ticket, id, "a", nonce, &caller.greeting, caller.hello);
    caller.fd = sockets_connect("127.0.0.1", signpost_port(siege->a->client));
    sockets_write(caller.fd, caller.hello, sizeof caller.hello);
    return caller;
}

static bool is_answered(struct siege *siege, struct caller *caller)
{
    uint8_t reply[GREET_REPLY_SIZE];

    assert_int_equal(
        sockets_read(siege->arena->loop, caller->fd, reply, sizeof reply), sizeof reply);
    return greet_take_reply(&caller->greeting, reply, caller->proof);
}

static void prove(const struct caller *caller)
{
    sockets_write(caller->fd, caller->proof, sizeof caller->proof);
}

static void assert_unanswered(struct siege *siege, struct caller *caller)
{
    uint8_t byte;

    turn(siege, 50);
    assert_true(recv(caller->fd, &byte, 1, MSG_DONTWAIT) <= 0);
    close(caller->fd);
}

static void assert_let_in(struct siege *siege, const char *session, unsigned count)
{
    struct greet_ticket ticket = ask_for_ticket(siege, session);
    struct caller caller = come(siege, &ticket, "foe");

    assert_true(is_answered(siege, &caller));
    prove(&caller);
    end_wait_for_came(siege->a, count);
    assert_string_equal(siege->a->came[count - 1].peer, "foe");
    sockets_assert_joined(siege->arena->loop, caller.fd, siege->a->came[count - 1].fd);
    close(caller.fd);
}

/* --- proofs ---------------------------------------------------------------------------------- */

static void test_wrong_proof_uses_the_ticket_up(void **state)
{
    struct siege siege = siege_new(state);
    struct greet_ticket ticket = ask_for_ticket(&siege, "s1");
    struct caller wrong = come(&siege, &ticket, "foe"), right = come(&siege, &ticket, "foe");

    assert_true(is_answered(&siege, &wrong));
    assert_true(is_answered(&siege, &right));
    wrong.proof[31] ^= 1;
    prove(&wrong);
    sockets_wait_for_end(siege.arena->loop, wrong.fd);
    sockets_wait_for_end(siege.arena->loop, right.fd);
    struct caller late = come(&siege, &ticket, "foe");
    assert_unanswered(&siege, &late);
    assert_int_equal(siege.a->count, 0);
    assert_let_in(&siege, "s2", 1);
}

static void test_replayed_bytes_open_nothing(void **state)
{
    struct siege siege = siege_new(state);
    struct greet_ticket ticket = ask_for_ticket(&siege, "s1");
    struct caller caller = come(&siege, &ticket, "foe");

    assert_true(is_answered(&siege, &caller));
    prove(&caller);
    end_wait_for_came(siege.a, 1);
    struct caller again = {.fd = sockets_connect("127.0.0.1", signpost_port(siege.a->client))};
    sockets_write(again.fd, caller.hello, sizeof caller.hello);
    sockets_write(again.fd, caller.proof, sizeof caller.proof);
    assert_unanswered(&siege, &again);

    ticket = ask_for_ticket(&siege, "s2");
    struct caller other = come(&siege, &ticket, "foe");
    assert_true(is_answered(&siege, &other));
    memcpy(other.proof, caller.proof, sizeof other.proof);
    prove(&other);
    sockets_wait_for_end(siege.arena->loop, other.fd);
    assert_int_equal(siege.a->count, 1);
    close(caller.fd);
}

static void test_ticket_of_another_is_no_good(void **state)
{
    struct siege siege = siege_new(state);
    struct greet_ticket ticket = ask_for_ticket(&siege, "s1");
    struct caller thief = come(&siege, &ticket, "thief");

    assert_false(is_answered(&siege, &thief));
    memset(thief.proof, 0, sizeof thief.proof);
    prove(&thief);
    sockets_wait_for_end(siege.arena->loop, thief.fd);
    assert_int_equal(siege.a->count, 0);
}

static void test_ticket_is_gone_with_its_session(void **state)
{
    struct siege siege = siege_new(state);
    struct greet_ticket ticket = ask_for_ticket(&siege, "s1");
    struct caller early = come(&siege, &ticket, "foe");

    assert_true(is_answered(&siege, &early));
    end_send(siege.foe, "a", "s1", "bye", "{\"reason\":\"failed\"}");
    sockets_wait_for_end(siege.arena->loop, early.fd);
    struct caller late = come(&siege, &ticket, "foe");
    assert_unanswered(&siege, &late);
    assert_int_equal(siege.a->count, 0);
}

/* The knock after it is the next attempt, and takes the place of the one before. */
static void test_knocks_without_end_cost_little(void **state)
{
    struct siege siege = siege_new(state);
    struct end *b = arena_add(siege.arena, "b");
    struct wish honest = {0};
    char session[16];
    struct greet_ticket first = ask_for_ticket(&siege, "first");

    end_knows(b, "a", 1);
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 10; i++) { /* as many as one sender's messages may wait */
            snprintf(session, sizeof session, "s%u", round * 10 + i);
            assert_int_equal(signpost_send(siege.foe->client, "a", session, "knock", KNOCK,
                                 sizeof KNOCK - 1, 0, NULL, NULL, NULL),
                0);
        }
        siege.a->last.type[0] = '\0';
        end_send(siege.foe, "a", "m", "mark", "1");
        end_wait_for_message(siege.a, "mark");
        if (round == 50)
            wish_begin(&honest, b, "a", NULL);
    }
    wish_wait(&honest);
    wish_assert_linked(&honest, SIGNPOST_PATH_DIRECT);
    end_wait_for_came(siege.a, 1);
    assert_string_equal(siege.a->came[0].peer, "b");
    /* Eight at once and one a second: however slow this machine is, they are far fewer. */
    assert_in_range(end_count_log(siege.a, "foe: preparing"), 1, 200);
    struct caller late = come(&siege, &first, "foe");
    assert_unanswered(&siege, &late);
    wish_drop(&honest);
}

/* --- crowds ---------------------------------------------------------------------------------- */

#define CROWD 150

static void test_crowd_that_says_nothing_or_too_much_keeps_nobody_out(void **state)
{
    static const char noise[4096] = "GET / HTTP/1.1\r\n";
    struct siege siege = siege_new(state);
    struct end *b = arena_add(siege.arena, "b");
    struct wish honest = {0};
    int fds[CROWD];

    end_knows(b, "a", 1);
    for (unsigned i = 0; i < CROWD; i++) {
        fds[i] = sockets_connect("127.0.0.1", signpost_port(siege.a->client));
        if (i % 2)
            sockets_write(fds[i], noise, sizeof noise);
        if (i % 50 == 0)
            turn(&siege, 60);
        if (i == CROWD / 2)
            wish_begin(&honest, b, "a", NULL);
    }
    wish_wait(&honest);
    wish_assert_linked(&honest, SIGNPOST_PATH_DIRECT);
    end_wait_for_came(siege.a, 1);
    assert_string_equal(siege.a->came[0].peer, "b");
    links_assert_one(siege.arena, &honest.link, &siege.a->came[0]);
    for (unsigned i = 0; i < CROWD; i++)
        close(fds[i]);
    wish_drop(&honest);
}

#define PLACES 64

/* A peer that has a ticket takes all places with it. */
static void test_peer_with_a_ticket_keeps_nobody_out(void **state)
{
    struct siege siege = siege_new(state);
    struct end *b = arena_add(siege.arena, "b");
    struct greet_ticket ticket = ask_for_ticket(&siege, "s1");
    struct caller callers[PLACES];
    struct wish honest = {0};

    end_knows(b, "a", 1);
    for (unsigned i = 0; i < PLACES; i++) {
        callers[i] = come(&siege, &ticket, "foe");
        turn(&siege, 5);
    }
    wish_begin(&honest, b, "a", NULL);
    wish_wait(&honest);
    wish_assert_linked(&honest, SIGNPOST_PATH_DIRECT);
    assert_int_equal(end_count_log(b, "a: retrying"), 0);
    for (unsigned i = 0; i < PLACES; i++)
        close(callers[i].fd);
    wish_drop(&honest);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_wrong_proof_uses_the_ticket_up),
        TEST(test_replayed_bytes_open_nothing),
        TEST(test_ticket_of_another_is_no_good),
        TEST(test_ticket_is_gone_with_its_session),
        TEST(test_knocks_without_end_cost_little),
        TEST(test_crowd_that_says_nothing_or_too_much_keeps_nobody_out),
        TEST(test_peer_with_a_ticket_keeps_nobody_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
