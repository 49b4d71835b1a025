/* The listener, one guest or a few at a time. */
#include "direct/dial.h"
#include "listener_help.h"
#include "signpost.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- a kernel that does as it is told -------------------------------------------------------- */

static bool without_ipv6;

/* Stands before that of the C library. */
int socket(int domain, int type, int protocol)
{
    if (without_ipv6 && domain == AF_INET6) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return (int)syscall(SYS_socket, domain, type, protocol);
}

/* --- who knows the secret -------------------------------------------------------------------- */

static void test_listener_right_proof_is_handed_over_once(void **state)
{
    struct hall hall;

    hall_open(state, &hall, NULL);
    hall_assert_serves(&hall, 1);
    struct visitor visitor = visitor_greet(&hall, 1);
    visitor_assert_unanswered(&hall, &visitor);
    hall_close(&hall);
    sockets_wait_for_end(hall.loop, visitor.fd);
    assert_int_equal(hall.guests, 1);
}

static void test_listener_bytes_behind_the_proof_stay_in_the_socket(void **state)
{
    uint8_t proof_and_more[GREET_PROOF_SIZE + 12];
    struct hall hall;
    char text[16];

    hall_open(state, &hall, NULL);
    hall_expect(&hall, 1, NULL);
    struct visitor visitor = visitor_greet(&hall, 1);
    visitor_take_reply(&hall, &visitor);
    memcpy(proof_and_more, visitor.proof, GREET_PROOF_SIZE);
    memcpy(proof_and_more + GREET_PROOF_SIZE, "right behind", 12);
    sockets_write(visitor.fd, proof_and_more, sizeof proof_and_more);
    hall_wait_for_guests(&hall, 1);
    assert_int_equal(sockets_read(hall.loop, hall.fd, text, 12), 12);
    assert_memory_equal(text, "right behind", 12);
    sockets_assert_joined(hall.loop, visitor.fd, hall.fd);
    close(visitor.fd);
    close(hall.fd);
    hall_close(&hall);
}

static void dribble(struct hall *hall, int fd, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        sockets_write(fd, bytes + i, 1);
        hall_turn(hall);
    }
}

static void test_listener_slow_greeting_is_taken_byte_by_byte(void **state)
{
    struct hall hall;

    hall_open(state, &hall, NULL);
    hall_expect(&hall, 1, NULL);
    struct visitor visitor = visitor_come(&hall, 1);
    dribble(&hall, visitor.fd, visitor.hello, sizeof visitor.hello);
    visitor_take_reply(&hall, &visitor);
    dribble(&hall, visitor.fd, visitor.proof, sizeof visitor.proof);
    hall_wait_for_guests(&hall, 1);
    sockets_assert_joined(hall.loop, visitor.fd, hall.fd);
    close(visitor.fd);
    close(hall.fd);
    hall_close(&hall);
}

static void test_listener_ticket_that_comes_after_the_hello_is_served(void **state)
{
    struct hall hall;
    char user;

    hall_open(state, &hall, NULL);
    struct visitor early = visitor_greet(&hall, 1), other = visitor_greet(&hall, 2);
    visitor_assert_unanswered(&hall, &early);
    hall_expect(&hall, 1, &user);
    visitor_take_reply(&hall, &early);
    visitor_prove(&early);
    hall_wait_for_guests(&hall, 1);
    assert_ptr_equal(hall.ticket_user, &user);
    sockets_assert_joined(hall.loop, early.fd, hall.fd);
    visitor_assert_unanswered(&hall, &other);
    close(early.fd);
    close(hall.fd);
    hall_close(&hall);
    sockets_wait_for_end(hall.loop, other.fd);
}

/* Whoever dials several of our addresses side by side proves itself on one. */
static void test_listener_several_of_one_ticket_one_is_handed_over(void **state)
{
    struct visitor visitors[3];
    struct hall hall;

    hall_open(state, &hall, NULL);
    visitors[0] = visitor_greet(&hall, 1); /* before the ticket is known */
    hall_turn(&hall);
    hall_expect(&hall, 1, NULL);
    for (size_t i = 0; i < 3; i++) {
        if (i > 0)
            visitors[i] = visitor_greet(&hall, 1);
        visitor_take_reply(&hall, &visitors[i]);
    }
    visitor_prove(&visitors[1]);
    hall_wait_for_guests(&hall, 1);
    sockets_wait_for_end(hall.loop, visitors[0].fd);
    sockets_wait_for_end(hall.loop, visitors[2].fd);
    sockets_assert_joined(hall.loop, visitors[1].fd, hall.fd);
    close(visitors[1].fd);
    close(hall.fd);
    hall_close(&hall);
    assert_int_equal(hall.guests, 1);
}

/* --- who does not ---------------------------------------------------------------------------- */

static void test_listener_wrong_proof_uses_the_ticket_up(void **state)
{
    struct hall hall;

    hall_open(state, &hall, NULL);
    hall_expect(&hall, 1, NULL);
    struct visitor right = visitor_greet(&hall, 1), wrong = visitor_greet(&hall, 1);
    visitor_take_reply(&hall, &right);
    visitor_take_reply(&hall, &wrong);
    wrong.proof[31] ^= 1;
    visitor_prove(&wrong);
    sockets_wait_for_end(hall.loop, wrong.fd);
    sockets_wait_for_end(hall.loop, right.fd);
    struct visitor late = visitor_greet(&hall, 1);
    visitor_assert_unanswered(&hall, &late);
    assert_int_equal(hall.guests, 0);
    hall_assert_serves(&hall, 2);
    close(late.fd);
    hall_close(&hall);
}

static void test_listener_proof_of_another_connection_fails(void **state)
{
    struct hall hall;

    hall_open(state, &hall, NULL);
    hall_expect(&hall, 1, NULL);
    hall_expect(&hall, 2, NULL);
    struct visitor first = visitor_greet(&hall, 1), same = visitor_greet(&hall, 1);
    struct visitor other = visitor_greet(&hall, 2);
    visitor_take_reply(&hall, &first);
    visitor_take_reply(&hall, &same);
    visitor_take_reply(&hall, &other);
    memcpy(other.proof, first.proof, GREET_PROOF_SIZE);
    visitor_prove(&other);
    sockets_wait_for_end(hall.loop, other.fd);
    memcpy(same.proof, first.proof, GREET_PROOF_SIZE);
    visitor_prove(&same);
    sockets_wait_for_end(hall.loop, same.fd);
    sockets_wait_for_end(hall.loop, first.fd);
    assert_int_equal(hall.guests, 0);
    hall_assert_serves(&hall, 3);
    hall_close(&hall);
}

/* Even where the same ticket is given out again, what was overheard is of no use. */
static void test_listener_replay_fails(void **state)
{
    uint8_t reply[GREET_REPLY_SIZE];
    struct hall hall;

    hall_open(state, &hall, NULL);
    hall_expect(&hall, 1, NULL);
    struct visitor visitor = visitor_greet(&hall, 1);
    visitor_take_reply(&hall, &visitor);
    visitor_prove(&visitor);
    hall_wait_for_guests(&hall, 1);
    close(hall.fd);
    sockets_wait_for_end(hall.loop, visitor.fd);

    hall_expect(&hall, 1, NULL);
    struct visitor replay = visitor_come(&hall, 1);
    sockets_write(replay.fd, visitor.hello, sizeof visitor.hello);
    sockets_write(replay.fd, visitor.proof, sizeof visitor.proof);
    assert_int_equal(sockets_read(hall.loop, replay.fd, reply, sizeof reply), sizeof reply);
    sockets_wait_for_end(hall.loop, replay.fd);
    assert_int_equal(hall.guests, 1);
    hall_assert_serves(&hall, 2);
    hall_close(&hall);
}

static void test_listener_what_is_no_hello_is_closed(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: peer.example\r\nAccept: */*\r\n\r\n....";
    static const char flood[10000];
    struct hall hall;

    hall_open(state, &hall, NULL);
    int fds[3];
    for (size_t i = 0; i < 3; i++)
        fds[i] = sockets_connect("127.0.0.1", hall.port);
    sockets_write(fds[0], request, sizeof request);
    sockets_write(fds[1], flood, sizeof flood);
    sockets_write(fds[2], "SIGNPST1", 8);
    assert_int_equal(shutdown(fds[2], SHUT_WR), 0);
    for (size_t i = 0; i < 3; i++)
        sockets_wait_for_end(hall.loop, fds[i]);
    hall_assert_serves(&hall, 1);
    hall_close(&hall);
}

/* Says hello, leaves in the way in which a socket answers with a signal, and then its ticket comes.
 */
static void test_listener_guest_that_has_left_is_no_harm(void **state)
{
    const struct linger at_once = {.l_onoff = 1};
    struct hall hall;

    hall_open(state, &hall, NULL);
    struct visitor visitor = visitor_greet(&hall, 1);
    hall_turn(&hall);
    assert_int_equal(shutdown(visitor.fd, SHUT_WR), 0);
    assert_int_equal(setsockopt(visitor.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(visitor.fd);
    hall_expect(&hall, 1, NULL);
    hall_turn(&hall);
    listener_withdraw(hall.listener, NULL);
    hall_assert_serves(&hall, 2);
    hall_close(&hall);
}

/* --- tickets --------------------------------------------------------------------------------- */

static void test_listener_withdraw_closes_those_who_were_answered(void **state)
{
    struct hall hall;
    char one, other;

    hall_open(state, &hall, NULL);
    hall_expect(&hall, 1, &one);
    hall_expect(&hall, 2, &other);
    hall_expect(&hall, 3, &one);
    struct visitor first = visitor_greet(&hall, 1), second = visitor_greet(&hall, 2);
    visitor_take_reply(&hall, &first);
    visitor_take_reply(&hall, &second);
    listener_withdraw(hall.listener, &one);
    sockets_wait_for_end(hall.loop, first.fd);
    struct visitor third = visitor_greet(&hall, 3);
    visitor_assert_unanswered(&hall, &third);
    close(third.fd);
    visitor_prove(&second);
    hall_wait_for_guests(&hall, 1);
    assert_ptr_equal(hall.ticket_user, &other);
    close(second.fd);
    close(hall.fd);
    listener_withdraw(hall.listener, &one);
    hall_close(&hall);
}

static void test_listener_tickets_have_a_limit(void **state)
{
    struct greet_ticket ticket = hall_ticket(0);
    struct hall hall;
    char user;

    hall_open(state, &hall, NULL);
    for (unsigned i = 0; i < LISTENER_TICKETS_MAX; i++)
        hall_expect(&hall, (uint8_t)i, i ? &user : NULL);
    assert_int_equal(listener_expect(hall.listener, &ticket, "dialer", NULL), SIGNPOST_ERROR_FULL);
    listener_withdraw(hall.listener, NULL);
    hall_assert_serves(&hall, 0);
    hall_close(&hall);
}

/* --- where it listens ------------------------------------------------------------------------ */

static bool takes(struct hall *hall, const char *host)
{
    struct sockaddr_storage address = sockets_address(host, hall->port);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken = fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof address);

    if (fd >= 0)
        close(fd);
    hall_turn(hall);
    return taken;
}

static void test_listener_host_is_where_it_listens(void **state)
{
    static const struct {
        const char *host;
        bool first, second, ipv6;
    } cases[] = {
        {NULL, true, true, true},
        {"127.0.0.2", false, true, false},
        {"::ffff:127.0.0.2", false, true, false},
        {"0.0.0.0", true, true, false},
        {"::1", false, false, true},
        {"::", false, false, true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool as_expected = false;

        /* Another process may have the same port at one of the other addresses: a few ports. */
        for (unsigned try = 0; try < 4 && !as_expected; try++) {
            struct hall hall;
            hall_open(state, &hall, cases[i].host);
            as_expected = takes(&hall, "127.0.0.1") == cases[i].first;
            as_expected = takes(&hall, "127.0.0.2") == cases[i].second && as_expected;
            as_expected = takes(&hall, "::1") == cases[i].ipv6 && as_expected;
            hall_close(&hall);
        }
        if (!as_expected)
            fail_msg(
                "wrong addresses where the host is %s", cases[i].host ? cases[i].host : "none");
    }
}

static void test_listener_without_ipv6_takes_ipv4(void **state)
{
    struct hall hall;

    without_ipv6 = true;
    hall_open(state, &hall, NULL);
    hall_assert_serves(&hall, 1);
    hall_close(&hall);
    without_ipv6 = false;
}

static void test_listener_new_where_it_cannot_listen_fails(void **state)
{
    struct sockets *sockets = *state;
    struct listener *listener = NULL;
    struct hall hall;

    hall_open(state, &hall, "127.0.0.2");
    static const struct {
        const char *host;
        int error;
    } cases[] = {
        {"127.0.0.2", SIGNPOST_ERROR_ADDRESS}, /* taken */
        {NULL, SIGNPOST_ERROR_ADDRESS},
        {"192.0.2.1", SIGNPOST_ERROR_ADDRESS}, /* not ours */
        {"localhost", SIGNPOST_ERROR_INVALID},
        {"[::1]", SIGNPOST_ERROR_INVALID},
        {"", SIGNPOST_ERROR_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(listener_new(&sockets->loop, cases[i].host, hall.port, "acceptor", NULL,
                             NULL, &listener),
            cases[i].error);
        assert_null(listener);
    }
    hall_close(&hall);
}

/* --- the end --------------------------------------------------------------------------------- */

static void test_listener_close_ends_everybody(void **state)
{
    struct visitor visitors[4];
    struct hall hall;

    hall_open(state, &hall, NULL);
    hall_expect(&hall, 1, NULL);
    visitors[0] = visitor_come(&hall, 3);
    visitors[1] = visitor_greet(&hall, 2);
    visitors[2] = visitor_greet(&hall, 1);
    visitor_take_reply(&hall, &visitors[2]);
    visitors[3] = visitor_come(&hall, 1); /* not accepted yet */
    hall_close(&hall);
    for (size_t i = 0; i < 4; i++)
        sockets_wait_for_end(hall.loop, visitors[i].fd);
    assert_int_equal(hall.guests, 0);
}

static void test_listener_close_by_a_guest_is_fine(void **state)
{
    struct hall hall;

    hall_open(state, &hall, NULL);
    hall.closes_itself = true;
    hall_expect(&hall, 2, NULL);
    struct visitor stranger = visitor_come(&hall, 3), other = visitor_greet(&hall, 2);
    hall_assert_serves(&hall, 1);
    hall_close(&hall);
    char reply[GREET_REPLY_SIZE];
    sockets_read(hall.loop, other.fd, reply, sizeof reply);
    sockets_wait_for_end(hall.loop, other.fd);
    sockets_wait_for_end(hall.loop, stranger.fd);
}

/* --- with those who dial --------------------------------------------------------------------- */

struct outcome {
    unsigned done;
    int fd;
    char reason[DIAL_REASON_SIZE];
};

static void on_dialled(const struct dial_result *result, void *user)
{
    struct outcome *outcome = user;

    outcome->done++;
    outcome->fd = result->fd;
    memcpy(outcome->reason, result->reason, strlen(result->reason) + 1);
}

static bool is_done(void *user)
{
    const struct outcome *outcome = user;
    return outcome->done > 0;
}

static void dial(struct hall *hall, uint8_t number, const char *acceptor, struct outcome *outcome)
{
    const struct dial_target targets[] = {
        {.address = sockets_address("127.0.0.9", sockets_closed_port("127.0.0.9"))},
        {.address = sockets_address("127.0.0.1", hall->port)},
        {.address = sockets_address("::1", hall->port)},
        {.address = sockets_address("127.0.0.2", hall->port)},
    };
    struct greet_ticket ticket = hall_ticket(number);

    *outcome = (struct outcome){.fd = -1};
    assert_non_null(dial_start(hall->loop, targets, sizeof targets / sizeof targets[0], &ticket,
        "dialer", acceptor, 60000, on_dialled, outcome));
}

static void test_listener_and_dial_meet(void **state)
{
    struct outcome outcome;
    struct hall hall;

    hall_open(state, &hall, NULL);
    for (unsigned late = 0; late < 2; late++) {
        if (!late)
            hall_expect(&hall, 1, NULL);
        dial(&hall, 1, "acceptor", &outcome);
        if (late) {
            /* By then the hello has come, on one connection or on several. */
            for (unsigned turn = 0; turn < 20; turn++)
                hall_turn(&hall);
            hall_expect(&hall, 1, NULL);
        }
        help_run_until(hall.loop, is_done, &outcome);
        sockets_assert_handed_over(outcome.fd);
        sockets_write(outcome.fd, "at once", 7); /* perhaps before the proof was read */
        hall_wait_for_guests(&hall, late + 1);
        char text[7];
        assert_int_equal(sockets_read(hall.loop, hall.fd, text, 7), 7);
        assert_memory_equal(text, "at once", 7);
        sockets_assert_joined(hall.loop, outcome.fd, hall.fd);
        close(outcome.fd);
        close(hall.fd);
    }
    hall_close(&hall);
}

/* The right ticket at another node: its own id is in the proof. */
static void test_listener_that_is_another_node_does_not_win(void **state)
{
    struct outcome outcome;
    struct hall hall;

    hall_open(state, &hall, NULL);
    hall_expect(&hall, 1, NULL);
    dial(&hall, 1, "somebody-else", &outcome);
    help_run_until(hall.loop, is_done, &outcome);
    assert_int_equal(outcome.fd, -1);
    assert_non_null(strstr(outcome.reason, "is not the peer"));
    hall_turn(&hall);
    assert_int_equal(hall.guests, 0);
    hall_close(&hall);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, sockets_setup, sockets_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_listener_right_proof_is_handed_over_once),
        WITH_LOOP(test_listener_bytes_behind_the_proof_stay_in_the_socket),
        WITH_LOOP(test_listener_slow_greeting_is_taken_byte_by_byte),
        WITH_LOOP(test_listener_ticket_that_comes_after_the_hello_is_served),
        WITH_LOOP(test_listener_several_of_one_ticket_one_is_handed_over),
        WITH_LOOP(test_listener_wrong_proof_uses_the_ticket_up),
        WITH_LOOP(test_listener_proof_of_another_connection_fails),
        WITH_LOOP(test_listener_replay_fails),
        WITH_LOOP(test_listener_what_is_no_hello_is_closed),
        WITH_LOOP(test_listener_guest_that_has_left_is_no_harm),
        WITH_LOOP(test_listener_withdraw_closes_those_who_were_answered),
        WITH_LOOP(test_listener_tickets_have_a_limit),
        WITH_LOOP(test_listener_host_is_where_it_listens),
        WITH_LOOP(test_listener_without_ipv6_takes_ipv4),
        WITH_LOOP(test_listener_new_where_it_cannot_listen_fails),
        WITH_LOOP(test_listener_close_ends_everybody),
        WITH_LOOP(test_listener_close_by_a_guest_is_fine),
        WITH_LOOP(test_listener_and_dial_meet),
        WITH_LOOP(test_listener_that_is_another_node_does_not_win),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
