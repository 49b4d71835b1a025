#include "direct/dial.h"

#include "direct/endpoint.h"
#include "fake_acceptor.h"
#include "socket_help.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LONG_MS 60000 /* what waits for this fails the test instead */
#define TARGETS_MOST (DIAL_TARGETS_MAX + 4)

/* --- a kernel that does as it is told -------------------------------------------------------- */

static struct {
    int fails;      /* with this error; 0: does not */
    bool meets_own; /* the socket connects to itself */
} kernel;

/* Stands before that of the C library. */
int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    if (kernel.fails) {
        errno = kernel.fails;
        return -1;
    }
    if (kernel.meets_own)
        assert_int_equal(bind(fd, addr, len), 0);
    return (int)syscall(SYS_connect, fd, addr, len);
}

/* --- a dial ---------------------------------------------------------------------------------- */

struct dialing {
    uv_loop_t *loop;
    struct greet_ticket ticket;
    struct dial_target targets[TARGETS_MOST];
    size_t count;
    struct dial *dial;
    unsigned done;
    int fd;
    bool private;
    char reason[DIAL_REASON_SIZE + 1];
};

static struct dialing dialing_new(void **state)
{
    const uint8_t secret[GREET_SECRET_SIZE] = {1, 2, 3};
    struct sockets *sockets = *state;
    struct dialing dialing = {.loop = &sockets->loop, .fd = -1};

    memset(&kernel, 0, sizeof kernel);
    greet_make_ticket(secret, &dialing.ticket);
    return dialing;
}

static void add(struct dialing *dialing, const char *host, uint16_t port, bool private)
{
    assert_true(dialing->count < TARGETS_MOST);
    dialing->targets[dialing->count++] =
        (struct dial_target){.address = sockets_address(host, port), .private = private};
}

static void add_refused(struct dialing *dialing, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char host[32];
        snprintf(host, sizeof host, "127.0.1.%zu", i + 1);
        add(dialing, host, sockets_closed_port(host), false);
    }
}

static void add_acceptor(struct dialing *dialing, struct acceptor *acceptor, const char *host)
{
    acceptor->ticket = &dialing->ticket;
    acceptor->dialer = "node-a";
    acceptor->own = "node-b";
    acceptor_start(dialing->loop, acceptor, host, 0);
    add(dialing, host, acceptor->port, false);
}

static void on_done(const struct dial_result *result, void *user)
{
    struct dialing *dialing = user;

    dialing->done++;
    dialing->fd = result->fd;
    dialing->private = result->private;
    snprintf(dialing->reason, sizeof dialing->reason, "%s", result->reason);
}

static void start(struct dialing *dialing, bool greets, uint64_t timeout_ms)
{
    dialing->dial = dial_start(dialing->loop, dialing->targets, dialing->count,
        greets ? &dialing->ticket : NULL, "node-a", "node-b", timeout_ms, on_done, dialing);
    assert_non_null(dialing->dial);
    assert_int_equal(dialing->done, 0);
}

static bool is_done(void *user)
{
    const struct dialing *dialing = user;
    return dialing->done > 0;
}

static void finish(struct dialing *dialing, bool greets, uint64_t timeout_ms)
{
    start(dialing, greets, timeout_ms);
    help_run_until(dialing->loop, is_done, dialing);
    assert_int_equal(dialing->done, 1);
}

static bool was_greeted(void *user)
{
    const struct acceptor *acceptor = user;
    return acceptor->greeted > 0;
}

static bool was_dialled(void *user)
{
    const struct acceptor *acceptor = user;
    return acceptor->accepted > 0;
}

static bool is_rid_of_all(void *user)
{
    const struct acceptor *acceptor = user;
    return acceptor->over == acceptor->accepted;
}

/* The winner's descriptor is what was promised, and its other end is this acceptor's. */
static void assert_won(struct dialing *dialing, struct acceptor *acceptor)
{
    sockets_assert_handed_over(dialing->fd);
    help_run_until(dialing->loop, was_greeted, acceptor);
    assert_int_equal(acceptor->greeted, 1);
    sockets_assert_joined(dialing->loop, dialing->fd, acceptor->fd);
    close(dialing->fd);
    close(acceptor->fd);
}

/* --- who wins -------------------------------------------------------------------------------- */

static void test_dial_without_ticket_hands_over_the_first_connection(void **state)
{
    static const char *const hosts[] = {"127.0.0.2", "::1"};

    for (size_t i = 0; i < 2; i++) {
        struct dialing dialing = dialing_new(state);
        int listening;
        uint16_t port = sockets_listen(hosts[i], 0, 8, &listening);
        add(&dialing, hosts[i], port, i > 0);
        finish(&dialing, false, LONG_MS);
        int other = accept(listening, NULL, NULL);
        sockets_assert_handed_over(dialing.fd);
        sockets_assert_joined(dialing.loop, dialing.fd, other);
        assert_int_equal(dialing.private, i > 0);
        assert_string_equal(dialing.reason, "");
        close(dialing.fd);
        close(other);
        close(listening);
    }
}

static void test_dial_with_ticket_greets(void **state)
{
    struct dialing dialing = dialing_new(state);
    struct acceptor acceptor = {.manner = ACCEPTOR_GREETS};

    add_acceptor(&dialing, &acceptor, "127.0.0.2");
    finish(&dialing, true, LONG_MS);
    assert_won(&dialing, &acceptor);
    acceptor_stop(&acceptor);
}

static void test_dial_slow_reply_is_taken_byte_by_byte(void **state)
{
    struct dialing dialing = dialing_new(state);
    struct acceptor acceptor = {.manner = ACCEPTOR_GREETS_SLOWLY};

    add_acceptor(&dialing, &acceptor, "::1");
    finish(&dialing, true, LONG_MS);
    assert_won(&dialing, &acceptor);
    acceptor_stop(&acceptor);
}

/* Whoever comes first in the list may accept and be no use. */
static void test_dial_bad_acceptor_does_not_hinder_the_next(void **state)
{
    static const struct {
        enum acceptor_manner manner;
        const char *reason;
    } cases[] = {
        {ACCEPTOR_SAYS_NOTHING, ""},
        {ACCEPTOR_HANGS_UP, "accepted, but did not greet"},
        {ACCEPTOR_BREAKS_OFF, "accepted, but did not greet"},
        {ACCEPTOR_RESETS, "connection reset"},
        {ACCEPTOR_LIES, "is not the peer (it does not know the secret)"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dialing dialing = dialing_new(state);
        struct acceptor bad = {.manner = cases[i].manner}, good = {.manner = ACCEPTOR_GREETS};
        char reason[DIAL_REASON_SIZE] = "";
        add_acceptor(&dialing, &bad, "127.0.0.2");
        add_acceptor(&dialing, &good, "127.0.0.3");
        finish(&dialing, true, LONG_MS);
        if (cases[i].reason[0])
            snprintf(reason, sizeof reason, "127.0.0.2:%u: %s", bad.port, cases[i].reason);
        assert_string_equal(dialing.reason, reason);
        assert_won(&dialing, &good);
        assert_int_equal(bad.accepted, 1);
        help_run_until(dialing.loop, is_rid_of_all, &bad);
        assert_int_equal(bad.greeted, 0);
        acceptor_stop(&bad);
        acceptor_stop(&good);
    }
}

static void test_dial_port_that_hangs_is_overtaken(void **state)
{
    struct dialing dialing = dialing_new(state);
    struct acceptor acceptor = {.manner = ACCEPTOR_GREETS};
    int full[2];

    add(&dialing, "127.0.0.2", sockets_listen_full("127.0.0.2", full), false);
    add_acceptor(&dialing, &acceptor, "127.0.0.3");
    finish(&dialing, true, LONG_MS);
    assert_won(&dialing, &acceptor);
    acceptor_stop(&acceptor);
    close(full[0]);
    close(full[1]);
}

static void on_too_late(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void test_dial_refused_goes_on_at_once(void **state)
{
    struct dialing dialing = dialing_new(state);
    struct acceptor acceptor = {.manner = ACCEPTOR_GREETS};
    uv_timer_t timer;
    bool late = false;

    add_refused(&dialing, DIAL_TARGETS_MAX - 1);
    add_acceptor(&dialing, &acceptor, "127.0.0.2");
    uv_timer_init(dialing.loop, &timer);
    timer.data = &late;
    /* As long as it would take one after the other. */
    uv_timer_start(&timer, on_too_late, DIAL_STAGGER_MS * (DIAL_TARGETS_MAX - 1), 0);
    finish(&dialing, true, LONG_MS);
    assert_false(late);
    assert_won(&dialing, &acceptor);
    help_close((uv_handle_t *)&timer);
    acceptor_stop(&acceptor);
}

static void test_dial_losers_are_closed(void **state)
{
    struct dialing dialing = dialing_new(state);
    struct acceptor acceptors[4] = {{.manner = ACCEPTOR_SAYS_NOTHING},
        {.manner = ACCEPTOR_SAYS_NOTHING}, {.manner = ACCEPTOR_SAYS_NOTHING},
        {.manner = ACCEPTOR_GREETS}};
    int full[2];

    for (size_t i = 0; i < 4; i++)
        add_acceptor(&dialing, &acceptors[i], i % 2 ? "::1" : "127.0.0.2");
    add(&dialing, "127.0.0.3", sockets_listen_full("127.0.0.3", full), true);
    finish(&dialing, true, LONG_MS);
    for (size_t i = 0; i < 3; i++)
        help_run_until(dialing.loop, is_rid_of_all, &acceptors[i]);
    assert_won(&dialing, &acceptors[3]);
    for (size_t i = 0; i < 4; i++)
        acceptor_stop(&acceptors[i]);
    close(full[0]);
    close(full[1]);
}

/* --- in which order -------------------------------------------------------------------------- */

static bool all_have_come(void *user)
{
    const unsigned *order = user;
    return *order == 6;
}

/* Families in turn, beginning with that of the first; in each the private ones first. */
static void test_dial_order_is_that_of_families_and_privacy(void **state)
{
    static const struct {
        const char *host;
        bool private;
        unsigned place;
    } cases[] = {
        {"127.0.0.2", false, 3},
        {"127.0.0.3", true, 1},
        {"::1", false, 4},
        {"127.0.0.4", false, 5},
        {"::1", true, 2},
        {"127.0.0.5", false, 6},
    };
    struct dialing dialing = dialing_new(state);
    struct acceptor acceptors[6];
    unsigned order = 0;

    for (size_t i = 0; i < 6; i++) {
        acceptors[i] = (struct acceptor){.manner = ACCEPTOR_SAYS_NOTHING, .order = &order};
        add_acceptor(&dialing, &acceptors[i], cases[i].host);
        dialing.targets[i].private = cases[i].private;
    }
    uint64_t began_ns = uv_hrtime();
    start(&dialing, true, LONG_MS);
    help_run_until(dialing.loop, all_have_come, &order);
    /* The loop's clock is in whole milliseconds, and was read before ours. */
    assert_true((uv_hrtime() - began_ns) / 1000000 + 50 >= 5 * DIAL_STAGGER_MS);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(acceptors[i].place, cases[i].place);
    dial_cancel(dialing.dial);
    for (size_t i = 0; i < 6; i++)
        acceptor_stop(&acceptors[i]);
}

static void test_dial_repeated_target_is_dialled_once(void **state)
{
    struct dialing dialing = dialing_new(state);
    struct acceptor acceptor = {.manner = ACCEPTOR_HANGS_UP};
    struct sockaddr_storage mapped;
    char reason[DIAL_REASON_SIZE];

    add_acceptor(&dialing, &acceptor, "127.0.0.2");
    add(&dialing, "127.0.0.2", acceptor.port, true);
    add(&dialing, "::1", 0, false);
    mapped = dialing.targets[2].address;
    memcpy(
        &((struct sockaddr_in6 *)&mapped)->sin6_addr, "\0\0\0\0\0\0\0\0\0\0\377\377\177\0\0\2", 16);
    ((struct sockaddr_in6 *)&mapped)->sin6_port = htons(acceptor.port);
    dialing.targets[2].address = mapped;
    finish(&dialing, true, LONG_MS);
    snprintf(reason, sizeof reason, "127.0.0.2:%u: accepted, but did not greet", acceptor.port);
    assert_string_equal(dialing.reason, reason);
    assert_int_equal(acceptor.accepted, 1);
    acceptor.manner = ACCEPTOR_GREETS;
    dialing.done = 0;
    finish(&dialing, true, LONG_MS);
    assert_true(dialing.private);
    assert_won(&dialing, &acceptor);
    acceptor_stop(&acceptor);
}

static bool both_were_dialled(void *user)
{
    struct acceptor *acceptors = user;
    return acceptors[0].hello[0] && acceptors[1].hello[0];
}

static void test_dial_each_connection_has_its_own_nonce(void **state)
{
    struct dialing dialing = dialing_new(state);
    struct acceptor acceptors[2] = {
        {.manner = ACCEPTOR_SAYS_NOTHING}, {.manner = ACCEPTOR_SAYS_NOTHING}};

    add_acceptor(&dialing, &acceptors[0], "127.0.0.2");
    add_acceptor(&dialing, &acceptors[1], "127.0.0.3");
    start(&dialing, true, LONG_MS);
    help_run_until(dialing.loop, both_were_dialled, acceptors);
    assert_memory_not_equal(acceptors[0].hello, acceptors[1].hello, GREET_HELLO_SIZE);
    dial_cancel(dialing.dial);
    acceptor_stop(&acceptors[0]);
    acceptor_stop(&acceptors[1]);
}

/* --- what is not read ------------------------------------------------------------------------ */

static void test_dial_bytes_behind_the_greeting_stay_in_the_socket(void **state)
{
    struct dialing dialing = dialing_new(state);
    struct acceptor acceptor = {
        .manner = ACCEPTOR_GREETS, .behind = "right behind", .behind_size = 12};
    char text[16];

    add_acceptor(&dialing, &acceptor, "127.0.0.2");
    finish(&dialing, true, LONG_MS);
    assert_int_equal(sockets_read(dialing.loop, dialing.fd, text, 12), 12);
    assert_memory_equal(text, "right behind", 12);
    assert_won(&dialing, &acceptor);
    acceptor_stop(&acceptor);
}

/* --- when nobody wins ------------------------------------------------------------------------ */

static void test_dial_nobody_there_says_why_of_each(void **state)
{
    struct dialing dialing = dialing_new(state);
    struct acceptor silent = {.manner = ACCEPTOR_SAYS_NOTHING}, liar = {.manner = ACCEPTOR_LIES};
    char reason[2 * DIAL_REASON_SIZE];
    int full[2];

    add_refused(&dialing, 1);
    add_acceptor(&dialing, &silent, "127.0.0.3");
    add_acceptor(&dialing, &liar, "::1");
    uint16_t port = sockets_listen_full("127.0.0.4", full);
    add(&dialing, "127.0.0.4", port, false);
    finish(&dialing, true, 4000);
    assert_int_equal(dialing.fd, -1);
    snprintf(reason, sizeof reason,
        "127.0.1.1:%u: connection refused; [::1]:%u: is not the peer (it does not know the "
        "secret); 127.0.0.3:%u: accepted, but did not greet; 127.0.0.4:%u: no answer in 4 s",
        ntohs(((struct sockaddr_in *)&dialing.targets[0].address)->sin_port), liar.port,
        silent.port, port);
    assert_string_equal(dialing.reason, reason);
    acceptor_stop(&silent);
    acceptor_stop(&liar);
    close(full[0]);
    close(full[1]);
}

static void test_dial_errors_have_words(void **state)
{
    static const struct {
        int error;
        const char *reason;
    } cases[] = {
        {ECONNREFUSED, "192.0.2.7:9: connection refused"},
        {ENETUNREACH, "192.0.2.7:9: no route"},
        {EHOSTUNREACH, "192.0.2.7:9: no route"},
        {EADDRNOTAVAIL, "192.0.2.7:9: no route"},
        {ETIMEDOUT, "192.0.2.7:9: no answer"},
        {EPERM, "192.0.2.7:9: not allowed on this machine"},
        {EIO, "192.0.2.7:9: could not be dialled"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dialing dialing = dialing_new(state);
        add(&dialing, "192.0.2.7", 9, false);
        kernel.fails = cases[i].error;
        finish(&dialing, true, LONG_MS);
        assert_int_equal(dialing.fd, -1);
        assert_string_equal(dialing.reason, cases[i].reason);
    }
}

static void test_dial_socket_that_meets_itself_is_refused(void **state)
{
    struct dialing dialing = dialing_new(state);

    add(&dialing, "127.0.0.2", sockets_closed_port("127.0.0.2"), false);
    kernel.meets_own = true;
    finish(&dialing, false, LONG_MS);
    assert_int_equal(dialing.fd, -1);
    assert_non_null(strstr(dialing.reason, ": connection refused"));
}

static void test_dial_too_many_targets_and_reasons_are_capped(void **state)
{
    struct dialing dialing = dialing_new(state);
    unsigned long named = 0;

    add_refused(&dialing, TARGETS_MOST);
    finish(&dialing, true, LONG_MS);
    assert_int_equal(dialing.fd, -1);
    assert_true(strlen(dialing.reason) < DIAL_REASON_SIZE);
    for (const char *at = dialing.reason; (at = strstr(at, "connection refused")); at++)
        named++;
    const char *rest = strstr(dialing.reason, "; and ");
    assert_non_null(rest);
    assert_int_equal(named + strtoul(rest + 6, NULL, 10), DIAL_TARGETS_MAX);
    assert_null(strchr(dialing.reason, '\n'));
}

static void test_dial_no_targets_fails_from_the_loop(void **state)
{
    struct dialing dialing = dialing_new(state);

    finish(&dialing, true, LONG_MS);
    assert_int_equal(dialing.fd, -1);
    assert_string_equal(dialing.reason, "no address");
}

static void test_dial_no_time_left_is_said_too(void **state)
{
    struct dialing dialing = dialing_new(state);
    char reason[DIAL_REASON_SIZE];
    int full[2];

    uint16_t port = sockets_listen_full("127.0.0.2", full);
    add(&dialing, "127.0.0.2", port, false);
    add(&dialing, "127.0.0.3", 9, false);
    finish(&dialing, true, 100);
    snprintf(reason, sizeof reason,
        "127.0.0.2:%u: no answer in 0.1 s; 127.0.0.3:9: no time was left for it", port);
    assert_string_equal(dialing.reason, reason);
    close(full[0]);
    close(full[1]);
}

static void limit_descriptors(rlim_t most)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Before the socket is there, and when the winner is to be handed over. */
static void test_dial_without_descriptors_fails(void **state)
{
    for (unsigned late = 0; late < 2; late++) {
        struct dialing dialing = dialing_new(state);
        struct acceptor acceptor = {.manner = ACCEPTOR_GREETS_SLOWLY};
        struct rlimit before;
        char reason[DIAL_REASON_SIZE];

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        add_acceptor(&dialing, &acceptor, "127.0.0.2");
        start(&dialing, true, LONG_MS);
        if (late)
            help_run_until(dialing.loop, was_dialled, &acceptor);
        limit_descriptors(3);
        help_run_until(dialing.loop, is_done, &dialing);
        limit_descriptors(before.rlim_cur);
        assert_int_equal(dialing.fd, -1);
        snprintf(reason, sizeof reason, "127.0.0.2:%u: too many open files", acceptor.port);
        assert_string_equal(dialing.reason, reason);
        help_run_until(dialing.loop, is_rid_of_all, &acceptor);
        assert_int_equal(acceptor.greeted, 0);
        acceptor_stop(&acceptor);
    }
}

/* --- calling it off -------------------------------------------------------------------------- */

static void assert_not_done(struct dialing *dialing)
{
    for (unsigned turns = 0; turns < 10; turns++)
        uv_run(dialing->loop, UV_RUN_NOWAIT);
    assert_int_equal(dialing->done, 0);
}

static void test_dial_cancel_at_every_stage_frees_all(void **state)
{
    dial_cancel(NULL);
    for (unsigned stage = 0; stage < 6; stage++) {
        struct dialing dialing = dialing_new(state);
        struct acceptor acceptor = {
            .manner = stage == 4 ? ACCEPTOR_GREETS_SLOWLY : ACCEPTOR_SAYS_NOTHING};
        int full[2];
        uint16_t port = sockets_listen_full("127.0.0.3", full);

        if (stage == 5)
            add_refused(&dialing, 3);
        if (stage == 2)
            add(&dialing, "127.0.0.3", port, false);
        add_acceptor(&dialing, &acceptor, "127.0.0.2");
        start(&dialing, true, LONG_MS);
        if (stage == 1) /* the connection is under way */
            uv_run(dialing.loop, UV_RUN_NOWAIT);
        if (stage >= 2)
            help_run_until(dialing.loop, was_dialled, &acceptor);
        if (stage == 3) /* the hello was sent */
            uv_run(dialing.loop, UV_RUN_ONCE);
        dial_cancel(dialing.dial);
        assert_not_done(&dialing);
        help_run_until(dialing.loop, is_rid_of_all, &acceptor);
        acceptor_stop(&acceptor);
        close(full[0]);
        close(full[1]);
    }
}

static void on_done_again(const struct dial_result *result, void *user)
{
    struct dialing *dialing = user;

    if (dialing->done)
        on_done(result, user);
    else
        assert_non_null(dial_start(dialing->loop, NULL, 0, NULL, "", "", LONG_MS, on_done, user));
    dialing->done += !dialing->done;
}

static bool is_done_again(void *user)
{
    const struct dialing *dialing = user;
    return dialing->done == 2;
}

static void test_dial_done_may_dial_again(void **state)
{
    struct dialing dialing = dialing_new(state);

    assert_non_null(
        dial_start(dialing.loop, NULL, 0, NULL, "", "", LONG_MS, on_done_again, &dialing));
    help_run_until(dialing.loop, is_done_again, &dialing);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, sockets_setup, sockets_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_dial_without_ticket_hands_over_the_first_connection),
        WITH_LOOP(test_dial_with_ticket_greets),
        WITH_LOOP(test_dial_slow_reply_is_taken_byte_by_byte),
        WITH_LOOP(test_dial_bad_acceptor_does_not_hinder_the_next),
        WITH_LOOP(test_dial_port_that_hangs_is_overtaken),
        WITH_LOOP(test_dial_refused_goes_on_at_once),
        WITH_LOOP(test_dial_losers_are_closed),
        WITH_LOOP(test_dial_order_is_that_of_families_and_privacy),
        WITH_LOOP(test_dial_repeated_target_is_dialled_once),
        WITH_LOOP(test_dial_each_connection_has_its_own_nonce),
        WITH_LOOP(test_dial_bytes_behind_the_greeting_stay_in_the_socket),
        WITH_LOOP(test_dial_nobody_there_says_why_of_each),
        WITH_LOOP(test_dial_errors_have_words),
        WITH_LOOP(test_dial_socket_that_meets_itself_is_refused),
        WITH_LOOP(test_dial_too_many_targets_and_reasons_are_capped),
        WITH_LOOP(test_dial_no_targets_fails_from_the_loop),
        WITH_LOOP(test_dial_no_time_left_is_said_too),
        WITH_LOOP(test_dial_without_descriptors_fails),
        WITH_LOOP(test_dial_cancel_at_every_stage_frees_all),
        WITH_LOOP(test_dial_done_may_dial_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
