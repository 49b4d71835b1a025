/* The listener where many come, or stay, or where this machine has run out of something. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>

static bool memory_is_out;
static int accept_fails; /* with this error; 0: does not */

static void *calloc_while_it_lasts(size_t count, size_t size)
{
    return memory_is_out ? NULL : calloc(count, size);
}

static int accept_while_it_lasts(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    if (!accept_fails)
        return accept4(fd, address, size, flags);
    errno = accept_fails;
    return -1;
}

#define calloc calloc_while_it_lasts
#define accept4 accept_while_it_lasts
#include "direct/listener.c" /* NOLINT(bugprone-suspicious-include): its calloc is ours */
#undef calloc
#undef accept4

#include "listener_help.h"

#include <sys/resource.h>
#include <unistd.h>

#define STRANGERS 1000
#define STRANGERS_AT_ONCE 128
#define RUSH 100 /* fits into the queue at the door, and not into the hall */
#define DRIBBLE_MS 400

/* --- many ------------------------------------------------------------------------------------ */

static size_t count_guests(const struct hall *hall)
{
    return hall->listener->guest_count;
}

static bool is_full(void *user)
{
    return count_guests(user) == LISTENER_GUESTS_MAX;
}

/* All of them are in, one after the other: those who greet with as many tickets as they need. */
static void fill(struct hall *hall, struct visitor *visitors, size_t count, bool greet)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t number = (uint8_t)(1 + i / LISTENER_GUESTS_OF_TICKET);
        visitors[i] = greet ? visitor_greet(hall, number) : visitor_come(hall, 1);
        if (greet)
            visitor_take_reply(hall, &visitors[i]);
        else
            hall_turn(hall);
    }
}

static void test_listener_one_too_many_the_oldest_stranger_goes(void **state)
{
    struct visitor visitors[LISTENER_GUESTS_MAX];
    struct hall hall;

    hall_open(state, &hall, NULL);
    hall_expect(&hall, 1, NULL);
    fill(&hall, visitors, 2, true); /* these two have named a ticket */
    visitors[2] = visitor_greet(&hall, 99);
    hall_turn(&hall);
    fill(&hall, visitors + 3, LISTENER_GUESTS_MAX - 3, false);
    help_run_until(hall.loop, is_full, &hall);
    for (size_t i = 2; i < 5; i++) {
        struct visitor another = visitor_come(&hall, 1);
        sockets_wait_for_end(hall.loop, visitors[i].fd);
        assert_int_equal(count_guests(&hall), LISTENER_GUESTS_MAX);
        visitors[i] = another;
    }
    visitor_prove(&visitors[1]);
    hall_wait_for_guests(&hall, 1);
    sockets_assert_joined(hall.loop, visitors[1].fd, hall.fd);
    for (size_t i = 0; i < LISTENER_GUESTS_MAX; i++)
        close(visitors[i].fd);
    close(hall.fd);
    hall_close(&hall);
}

static void test_listener_full_of_those_with_tickets_the_new_one_goes(void **state)
{
    struct visitor visitors[LISTENER_GUESTS_MAX];
    struct hall hall;

    hall_open(state, &hall, NULL);
    for (uint8_t i = 0; i < LISTENER_GUESTS_MAX / LISTENER_GUESTS_OF_TICKET; i++)
        hall_expect(&hall, i + 1, NULL);
    fill(&hall, visitors, LISTENER_GUESTS_MAX, true);
    struct visitor another = visitor_come(&hall, 1);
    sockets_wait_for_end(hall.loop, another.fd);
    assert_int_equal(count_guests(&hall), LISTENER_GUESTS_MAX);
    visitor_prove(&visitors[0]);
    hall_wait_for_guests(&hall, 1);
    assert_int_equal(count_guests(&hall), LISTENER_GUESTS_MAX - LISTENER_GUESTS_OF_TICKET);
    for (size_t i = 0; i < LISTENER_GUESTS_MAX; i++)
        close(visitors[i].fd);
    close(hall.fd);
    hall_assert_serves(&hall, 99);
    hall_close(&hall);
}

static void test_listener_one_too_many_of_a_ticket_the_new_one_goes(void **state)
{
    struct visitor visitors[LISTENER_GUESTS_OF_TICKET];
    struct hall hall;

    hall_open(state, &hall, NULL);
    hall_expect(&hall, 1, NULL);
    fill(&hall, visitors, LISTENER_GUESTS_OF_TICKET, true);
    struct visitor another = visitor_greet(&hall, 1);
    sockets_wait_for_end(hall.loop, another.fd);
    visitor_prove(&visitors[LISTENER_GUESTS_OF_TICKET - 1]);
    hall_wait_for_guests(&hall, 1);
    for (size_t i = 0; i < LISTENER_GUESTS_OF_TICKET; i++)
        close(visitors[i].fd);
    close(hall.fd);
    hall_close(&hall);
}

static void test_listener_a_thousand_strangers_keep_nobody_out(void **state)
{
    struct visitor strangers[STRANGERS_AT_ONCE];
    struct hall hall;

    hall_open(state, &hall, NULL);
    for (size_t i = 0; i < STRANGERS; i++) {
        size_t place = i % STRANGERS_AT_ONCE;
        if (i >= STRANGERS_AT_ONCE)
            close(strangers[place].fd);
        strangers[place] = i % 3 ? visitor_come(&hall, 1) : visitor_greet(&hall, 99);
        hall_turn(&hall);
        assert_true(count_guests(&hall) <= LISTENER_GUESTS_MAX);
        if (i % 100 == 99)
            hall_assert_serves(&hall, (uint8_t)(i / 100));
    }
    for (size_t i = 0; i < STRANGERS_AT_ONCE; i++)
        close(strangers[i].fd);
    hall_close(&hall);
}

/* --- too long -------------------------------------------------------------------------------- */

struct dribbler {
    uv_timer_t timer;
    struct visitor visitor;
    size_t said;
};

static void on_dribble(uv_timer_t *timer)
{
    struct dribbler *dribbler = timer->data;

    assert_true(dribbler->said < GREET_HELLO_SIZE);
    send(dribbler->visitor.fd, dribbler->visitor.hello + dribbler->said++, 1, MSG_NOSIGNAL);
}

/* Each in one stage of the greeting; who says a little now and then has no more time. */
static void test_listener_guest_who_takes_too_long_is_closed(void **state)
{
    struct visitor visitors[4];
    struct dribbler dribbler;
    struct hall hall;

    hall_open(state, &hall, NULL);
    hall_expect(&hall, 1, NULL);
    visitors[0] = visitor_come(&hall, 1);
    visitors[1] = visitor_come(&hall, 1);
    sockets_write(visitors[1].fd, visitors[1].hello, GREET_HELLO_SIZE - 1);
    visitors[2] = visitor_greet(&hall, 2);
    visitors[3] = visitor_greet(&hall, 1);
    visitor_take_reply(&hall, &visitors[3]);
    sockets_write(visitors[3].fd, visitors[3].proof, GREET_PROOF_SIZE - 1);
    dribbler = (struct dribbler){.visitor = visitor_come(&hall, 1)};
    uv_timer_init(hall.loop, &dribbler.timer);
    dribbler.timer.data = &dribbler;
    uv_timer_start(&dribbler.timer, on_dribble, DRIBBLE_MS, DRIBBLE_MS);
    hall_turn(&hall);
    assert_int_equal(count_guests(&hall), 5);

    for (size_t i = 0; i < 4; i++)
        sockets_wait_for_end(hall.loop, visitors[i].fd);
    sockets_wait_for_end(hall.loop, dribbler.visitor.fd);
    help_close((uv_handle_t *)&dribbler.timer);
    assert_int_equal(count_guests(&hall), 0);
    /* Of the ticket nothing was used up. */
    struct visitor visitor = visitor_greet(&hall, 1);
    visitor_take_reply(&hall, &visitor);
    visitor_prove(&visitor);
    hall_wait_for_guests(&hall, 1);
    close(visitor.fd);
    close(hall.fd);
    hall_close(&hall);
}

/* --- run out --------------------------------------------------------------------------------- */

static void test_listener_without_memory_takes_nobody(void **state)
{
    struct greet_ticket ticket = hall_ticket(2);
    struct hall hall;
    struct listener *listener = NULL;

    hall_open(state, &hall, NULL);
    memory_is_out = true;
    struct visitor visitor = visitor_come(&hall, 1);
    sockets_wait_for_end(hall.loop, visitor.fd);
    assert_int_equal(
        listener_expect(hall.listener, &ticket, "dialer", NULL), SIGNPOST_ERROR_NO_MEMORY);
    assert_int_equal(
        listener_new(hall.loop, NULL, 0, "", NULL, NULL, &listener), SIGNPOST_ERROR_NO_MEMORY);
    memory_is_out = false;
    hall_assert_serves(&hall, 2);
    hall_close(&hall);
}

static rlim_t limit_descriptors(rlim_t most)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = most;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static bool is_resting(void *user)
{
    const struct hall *hall = user;
    return hall->listener->resting;
}

static void test_listener_without_descriptors_hands_nobody_over(void **state)
{
    struct hall hall;

    hall_open(state, &hall, NULL);
    hall_expect(&hall, 1, NULL);
    struct visitor visitor = visitor_greet(&hall, 1);
    visitor_take_reply(&hall, &visitor);
    rlim_t before = limit_descriptors(3);
    visitor_prove(&visitor);
    sockets_wait_for_end(hall.loop, visitor.fd);
    limit_descriptors(before);
    assert_int_equal(hall.guests, 0);
    hall_assert_serves(&hall, 2);
    hall_close(&hall);
}

/* Who cannot be taken waits at the door, and who is in already has no more time for it. */
static void test_listener_without_descriptors_takes_them_later(void **state)
{
    static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    struct hall hall;

    hall_open(state, &hall, NULL);
    struct visitor stranger = visitor_come(&hall, 1);
    hall_turn(&hall);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct visitor late = visitor_greet(&hall, 2);
        accept_fails = errors[i];
        help_run_until(hall.loop, is_resting, &hall);
        accept_fails = 0;
        hall_expect(&hall, 2, NULL);
        visitor_take_reply(&hall, &late);
        assert_false(hall.listener->resting);
        listener_withdraw(hall.listener, NULL);
        sockets_wait_for_end(hall.loop, late.fd);
    }
    sockets_wait_for_end(hall.loop, stranger.fd);
    hall_assert_serves(&hall, 3);
    hall_close(&hall);
}

static void test_listener_connection_that_is_gone_again_is_passed_over(void **state)
{
    struct hall hall;

    hall_open(state, &hall, NULL);
    struct visitor visitor = visitor_greet(&hall, 1);
    accept_fails = ECONNABORTED;
    hall_turn(&hall);
    assert_false(hall.listener->resting);
    accept_fails = 0;
    hall_expect(&hall, 1, NULL);
    visitor_take_reply(&hall, &visitor);
    close(visitor.fd);
    hall_close(&hall);
}

static void test_listener_closed_at_rest_leaves_nothing(void **state)
{
    struct hall hall;

    hall_open(state, &hall, NULL);
    int fd = sockets_connect("127.0.0.1", hall.port);
    accept_fails = EMFILE;
    help_run_until(hall.loop, is_resting, &hall);
    accept_fails = 0;
    hall_close(&hall);
    sockets_wait_for_end(hall.loop, fd);
}

/* Many at once: whoever has said hello by then is not pushed out. */
static void test_listener_in_a_rush_those_who_speak_are_heard(void **state)
{
    struct visitor strangers[RUSH];
    struct hall hall;

    hall_open(state, &hall, NULL);
    hall_expect(&hall, 1, NULL);
    struct visitor visitor = visitor_greet(&hall, 1);
    for (size_t i = 0; i < RUSH; i++)
        strangers[i] = visitor_come(&hall, 2);
    visitor_take_reply(&hall, &visitor);
    visitor_prove(&visitor);
    hall_wait_for_guests(&hall, 1);
    sockets_assert_joined(hall.loop, visitor.fd, hall.fd);
    close(visitor.fd);
    close(hall.fd);
    for (size_t i = 0; i < RUSH; i++)
        close(strangers[i].fd);
    hall_close(&hall);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, sockets_setup, sockets_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_listener_one_too_many_the_oldest_stranger_goes),
        WITH_LOOP(test_listener_full_of_those_with_tickets_the_new_one_goes),
        WITH_LOOP(test_listener_one_too_many_of_a_ticket_the_new_one_goes),
        WITH_LOOP(test_listener_a_thousand_strangers_keep_nobody_out),
        WITH_LOOP(test_listener_guest_who_takes_too_long_is_closed),
        WITH_LOOP(test_listener_in_a_rush_those_who_speak_are_heard),
        WITH_LOOP(test_listener_without_memory_takes_nobody),
        WITH_LOOP(test_listener_without_descriptors_hands_nobody_over),
        WITH_LOOP(test_listener_without_descriptors_takes_them_later),
        WITH_LOOP(test_listener_connection_that_is_gone_again_is_passed_over),
        WITH_LOOP(test_listener_closed_at_rest_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
