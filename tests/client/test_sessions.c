/* Sessions behind the public header: two clients of a real index set up a connection that is not
 * there, and others try to disturb them. */
#include "client_help.h"
#include "index_help.h"
#include "signpost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLED_MAX 32 /* of one client, before they are connected */

/* A client with an application that describes its connections as "offer of a, 0". */
struct party {
    signpost_t *client;
    const char *id;
    bool refuses, waits; /* how it answers a call; `waits`: not yet */
    bool restarts;       /* its link fails once */
    signpost_session_t *session;
    char states[2048]; /* "requesting waiting-ready ..." */
    char told[2048];   /* what the peer said */
    char reason[256];  /* the last one */
    char state[32];
    unsigned ended, dropped, called, ready;
    char messages[512]; /* that are for no session */
    bool stopped;
    void (*on_state)(struct party *party, bool ended); /* what it does besides */
};

struct fixture {
    uv_loop_t loop;
    struct index_process index;
    struct party a, b;
};

static void add(char *text, size_t size, const char *more)
{
    size_t length = strlen(text);
    snprintf(text + length, size - length, "%s", more);
}

static void on_call(signpost_session_t *session, void *user)
{
    struct party *party = user;

    party->called++;
    party->session = session;
    if (party->refuses)
        signpost_session_refuse(session, false);
    else if (!party->waits)
        signpost_session_accept(session);
}

static void on_describe(
    signpost_session_t *session, unsigned generation, const char *offer, void *user)
{
    struct party *party = user;
    char sdp[128], candidate[128];

    snprintf(
        sdp, sizeof sdp, "%s of %s, %u\r\n", offer ? "answer" : "offer", party->id, generation);
    if (offer) {
        add(party->told, sizeof party->told, offer);
        add(party->told, sizeof party->told, " ");
    }
    assert_int_equal(signpost_session_describe(session, sdp), 0);
    snprintf(candidate, sizeof candidate, "{\n \"candidate\": \"%s-%u\"\n}", party->id, generation);
    assert_int_equal(signpost_session_candidate(session, candidate), 0);
    assert_int_equal(signpost_session_candidate(session, NULL), 0);
}

static void on_answer(
    signpost_session_t *session, unsigned generation, const char *answer, void *user)
{
    struct party *party = user;

    (void)session, (void)generation;
    add(party->told, sizeof party->told, answer);
    add(party->told, sizeof party->told, " ");
}

/* With the last candidate the connection is there, or fails. */
static void on_candidate(signpost_session_t *session, const char *candidate, void *user)
{
    struct party *party = user;

    add(party->told, sizeof party->told, candidate ? candidate : "end");
    add(party->told, sizeof party->told, " ");
    if (candidate)
        return;
    signpost_session_link(
        session, party->restarts ? SIGNPOST_LINK_FAILED : SIGNPOST_LINK_CONNECTED);
    party->restarts = false;
}

static void on_drop(signpost_session_t *session, void *user)
{
    (void)session;
    ((struct party *)user)->dropped++;
}

static void on_state(
    signpost_session_t *session, const char *state, const char *reason, bool ended, void *user)
{
    struct party *party = user;

    assert_string_equal(signpost_session_kind(session), "webrtc");
    add(party->states, sizeof party->states, state);
    add(party->states, sizeof party->states, " ");
    snprintf(party->state, sizeof party->state, "%s", state);
    if (*reason)
        snprintf(party->reason, sizeof party->reason, "%s", reason);
    party->ended += ended;
    if (party->on_state)
        party->on_state(party, ended);
}

static const signpost_session_events_t events = {
    .on_call = on_call,
    .on_describe = on_describe,
    .on_answer = on_answer,
    .on_candidate = on_candidate,
    .on_drop = on_drop,
    .on_state = on_state,
};

static void on_index(signpost_t *client, const signpost_index_status_t *status, void *user)
{
    (void)client;
    ((struct party *)user)->ready += status->state == SIGNPOST_INDEX_READY;
}

static void on_message(signpost_t *client, const signpost_message_t *message, void *user)
{
    struct party *party = user;

    (void)client;
    add(party->messages, sizeof party->messages, message->type);
    add(party->messages, sizeof party->messages, " ");
}

static bool is_ready(void *user)
{
    return ((struct party *)user)->ready > 0;
}

static void start(struct fixture *fixture, struct party *party, const char *id)
{
    const char *const indexes[] = {fixture->index.url, NULL};
    signpost_config_t config = {
        .indexes = indexes,
        .id = id,
        .sessions = &events,
        .on_index = on_index,
        .on_message = on_message,
        .user = party,
    };

    party->id = id;
    assert_int_equal(signpost_start(&fixture->loop, &config, &party->client), 0);
    help_run_until(&fixture->loop, is_ready, party);
}

static void on_stopped(void *user)
{
    ((struct party *)user)->stopped = true;
}

static bool is_stopped(void *user)
{
    return ((struct party *)user)->stopped;
}

static void stop(struct fixture *fixture, struct party *party)
{
    if (!party->client || party->stopped)
        return;
    signpost_stop(party->client, on_stopped, party);
    help_run_until(&fixture->loop, is_stopped, party);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    uv_loop_init(&fixture->loop);
    index_begin(&fixture->index, true);
    start(fixture, &fixture->a, "a");
    start(fixture, &fixture->b, "b");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    stop(fixture, &fixture->a);
    stop(fixture, &fixture->b);
    help_close_loop(&fixture->loop);
    index_forget(&fixture->index);
    free(fixture);
    return 0;
}

static bool is_connected(void *user)
{
    struct fixture *fixture = user;
    return !strcmp(fixture->a.state, "connected") && !strcmp(fixture->b.state, "connected");
}

static bool has_ended(void *user)
{
    return ((struct party *)user)->ended > 0;
}

static void call(struct party *party, const char *peer)
{
    assert_int_equal(signpost_call(party->client, peer, NULL, &party->session), 0);
}

/* --- as it should be ------------------------------------------------------------------------- */

static void test_call_connects_and_closes(void **state)
{
    struct fixture *fixture = *state;
    struct party *a = &fixture->a, *b = &fixture->b;
    int data = 0;

    call(a, "b");
    signpost_session_set_data(a->session, &data);
    help_run_until(&fixture->loop, is_connected, fixture);
    assert_ptr_equal(signpost_session_data(a->session), &data);
    assert_string_equal(signpost_session_peer(a->session), "b");
    assert_ptr_equal(signpost_session_client(a->session), a->client);
    /* `ready` may come by the poll before the index's word on the knock that it answers. */
    if (strcmp(a->states, "requesting creating-offer waiting-answer connecting connected ") != 0)
        assert_string_equal(a->states,
            "requesting waiting-ready creating-offer waiting-answer connecting connected ");
    assert_string_equal(
        b->states, "preparing ready offer-received answer-sent connecting connected ");
    assert_string_equal(a->told, "answer of b, 0\r\n {\"candidate\":\"b-0\"} end ");
    assert_string_equal(b->told, "offer of a, 0\r\n {\"candidate\":\"a-0\"} end ");

    signpost_session_close(a->session);
    help_run_until(&fixture->loop, has_ended, b);
    assert_string_equal(b->reason, "closed");
    assert_int_equal(a->ended, 1);
    assert_int_equal(a->dropped, 1);
    assert_int_equal(b->dropped, 1);
    assert_string_equal(a->messages, "");
    assert_string_equal(b->messages, "");
}

static void test_both_that_call_share_one_session(void **state)
{
    struct fixture *fixture = *state;

    call(&fixture->a, "b");
    call(&fixture->b, "a");
    help_run_until(&fixture->loop, is_connected, fixture);
    assert_int_equal(fixture->a.called, 0);
    assert_int_equal(fixture->b.called, 1);
}

static void test_link_that_fails_is_restarted(void **state)
{
    struct fixture *fixture = *state;

    fixture->a.restarts = true;
    call(&fixture->a, "b");
    help_run_until(&fixture->loop, is_connected, fixture);
    assert_non_null(strstr(fixture->a.told, "answer of b, 1"));
    assert_non_null(strstr(fixture->b.told, "offer of a, 1"));
    assert_int_equal(fixture->a.dropped, 0);
}

/* --- and as it should not -------------------------------------------------------------------- */

static void test_refusal_is_final(void **state)
{
    struct fixture *fixture = *state;

    fixture->b.refuses = true;
    call(&fixture->a, "b");
    help_run_until(&fixture->loop, has_ended, &fixture->a);
    assert_string_equal(fixture->a.reason, "b refused");
    assert_int_equal(fixture->b.called, 1);
}

static void test_peer_that_is_offline_is_named(void **state)
{
    struct fixture *fixture = *state;

    call(&fixture->a, "nobody");
    help_run_until(&fixture->loop, has_ended, &fixture->a);
    assert_string_equal(fixture->a.reason, "nobody is offline");
    assert_string_equal(fixture->a.states,
        "requesting failed retrying requesting failed retrying requesting failed retrying "
        "requesting failed ");
}

/* --- from inside on_state -------------------------------------------------------------------- */

static void close_what_failed(struct party *party, bool ended)
{
    if (!ended && !strcmp(party->state, "failed"))
        signpost_session_close(party->session);
}

static void test_close_of_a_failed_attempt_ends_the_session(void **state)
{
    struct fixture *fixture = *state;
    struct party *a = &fixture->a;

    a->on_state = close_what_failed;
    call(a, "nobody");
    help_run_until(&fixture->loop, has_ended, a);
    assert_string_equal(a->states, "requesting failed cleanup idle ");
}

static void stop_what_failed(struct party *party, bool ended)
{
    if (!ended && !strcmp(party->state, "failed"))
        signpost_stop(party->client, on_stopped, party);
}

static void test_stop_when_an_attempt_failed_ends_the_session(void **state)
{
    struct fixture *fixture = *state;
    struct party *a = &fixture->a;

    a->on_state = stop_what_failed;
    call(a, "nobody");
    help_run_until(&fixture->loop, is_stopped, a);
    assert_string_equal(a->states, "requesting failed cleanup idle ");
    assert_int_equal(a->ended, 1);
}

static void call_again(struct party *party, bool ended)
{
    if (!ended || party->ended > 1)
        return;
    assert_int_equal(signpost_call(party->client, "b", NULL, &party->session), 0);
    assert_null(signpost_session_data(party->session));
    signpost_session_set_data(party->session, party);
}

static void test_data_of_a_call_from_inside_on_state_stays(void **state)
{
    struct fixture *fixture = *state;
    struct party *a = &fixture->a;
    int data = 0;

    call(a, "b");
    signpost_session_set_data(a->session, &data);
    help_run_until(&fixture->loop, is_connected, fixture);
    a->on_state = call_again;
    a->state[0] = fixture->b.state[0] = '\0';
    signpost_session_close(a->session);
    assert_ptr_equal(signpost_session_data(a->session), a);
    help_run_until(&fixture->loop, is_connected, fixture);
    assert_ptr_equal(signpost_session_data(a->session), a);
}

static void test_arguments_that_are_wrong_are_refused(void **state)
{
    struct fixture *fixture = *state;
    signpost_t *client = fixture->a.client;
    signpost_session_t *session;

    assert_int_equal(signpost_call(client, "a", NULL, &session), SIGNPOST_ERROR_INVALID);
    assert_int_equal(signpost_call(client, "", NULL, &session), SIGNPOST_ERROR_INVALID);
    assert_int_equal(signpost_call(client, "b", "direct", &session), SIGNPOST_ERROR_INVALID);
    assert_int_equal(signpost_call(client, "b", "A B", &session), SIGNPOST_ERROR_INVALID);
    fixture->b.waits = true;
    call(&fixture->a, "b");
    assert_int_equal(signpost_session_candidate(fixture->a.session, "[1]"), SIGNPOST_ERROR_INVALID);
    assert_int_equal(signpost_session_describe(fixture->a.session, "\xff"), SIGNPOST_ERROR_INVALID);
}

static bool has_two_messages(void *user)
{
    const char *space = strchr(((struct party *)user)->messages, ' ');
    return space && strchr(space + 1, ' ');
}

static void send_text(
    struct party *party, const char *to, const char *session, const char *type, const char *body)
{
    assert_int_equal(
        signpost_send(party->client, to, session, type, body, strlen(body), 0, NULL, NULL, NULL),
        0);
}

/* What belongs to no session is the application's own affair, and changes nothing here. */
static void test_ready_that_nobody_asked_for_is_a_message(void **state)
{
    struct fixture *fixture = *state;

    send_text(&fixture->b, "a", "s1", "ready", "{\"kind\":\"webrtc\"}");
    send_text(&fixture->b, "a", "s1", "offer", "{\"type\":\"offer\",\"sdp\":\"x\"}");
    help_run_until(&fixture->loop, has_two_messages, &fixture->a);
    assert_string_equal(fixture->a.messages, "ready offer ");
    assert_string_equal(fixture->a.states, "");
}

static bool has_mark(void *user)
{
    return strstr(((struct party *)user)->messages, "mark ") != NULL;
}

static void test_bodies_that_make_no_sense_change_nothing(void **state)
{
    struct fixture *fixture = *state;
    static const char *const knocks[] = {
        "1", "[]", "{}", "{\"kind\":1}", "{\"kind\":\"A\"}", "{\"kind\":\"direct\"}"};

    for (size_t i = 0; i < sizeof knocks / sizeof *knocks; i++)
        send_text(&fixture->b, "a", "s1", "knock", knocks[i]);
    send_text(&fixture->b, "a", "s1", "mark", "1");
    help_run_until(&fixture->loop, has_mark, &fixture->a);
    assert_string_equal(fixture->a.states, "");
    assert_int_equal(fixture->a.called, 0);
}

static void test_crowd_of_callers_finds_it_busy(void **state)
{
    struct fixture *fixture = *state;
    enum { CALLERS = CALLED_MAX };
    static struct party callers[CALLERS];
    char ids[CALLERS][8];

    fixture->b.waits = true;
    memset(callers, 0, sizeof callers);
    for (size_t i = 0; i < CALLERS; i++) {
        snprintf(ids[i], sizeof ids[i], "c%zu", i);
        start(fixture, &callers[i], ids[i]);
        call(&callers[i], "b");
    }
    for (size_t i = 0; i < CALLERS; i++)
        stop(fixture, &callers[i]);
    /* All of them come from one address. */
    assert_in_range(fixture->b.called, 1, CALLED_MAX / 2);
    fixture->b.waits = false;
}

static bool have_all_ended(void *user)
{
    const struct party *callers = user;

    for (size_t i = 0; i < CALLED_MAX; i++)
        if (!callers[i].ended)
            return false;
    return true;
}

/* They are known, since they called a moment ago. */
static void test_crowd_of_callers_that_come_again_finds_it_busy(void **state)
{
    struct fixture *fixture = *state;
    static struct party callers[CALLED_MAX];
    char ids[CALLED_MAX][8];

    fixture->b.refuses = true;
    memset(callers, 0, sizeof callers);
    for (size_t i = 0; i < CALLED_MAX; i++) {
        snprintf(ids[i], sizeof ids[i], "c%zu", i);
        start(fixture, &callers[i], ids[i]);
    }
    for (size_t i = 0; i < CALLED_MAX; i++)
        call(&callers[i], "b");
    help_run_until(&fixture->loop, have_all_ended, callers);
    fixture->b.refuses = false;
    fixture->b.waits = true;
    fixture->b.called = 0;
    for (size_t i = 0; i < CALLED_MAX; i++) {
        callers[i].ended = 0;
        call(&callers[i], "b");
        send_text(&callers[i], "b", NULL, "mark", "1");
        help_run_until(&fixture->loop, has_mark, &fixture->b);
        fixture->b.messages[0] = '\0';
    }
    assert_in_range(fixture->b.called, 1, CALLED_MAX / 2);
    for (size_t i = 0; i < CALLED_MAX; i++)
        stop(fixture, &callers[i]);
    fixture->b.waits = false;
}

static void test_knocks_without_end_are_passed_over(void **state)
{
    struct fixture *fixture = *state;
    char id[16];

    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 12; i++) { /* as many as one sender's messages may wait */
            snprintf(id, sizeof id, "s%u", round * 12 + i);
            send_text(&fixture->b, "a", id, "knock", "{\"kind\":\"webrtc\"}");
        }
        fixture->a.messages[0] = '\0';
        send_text(&fixture->b, "a", "s", "mark", "1");
        help_run_until(&fixture->loop, has_mark, &fixture->a);
    }
    /* Eight at once and one a second: however slow this machine is, they are far fewer. */
    assert_in_range(fixture->a.called, 1, 100);
}

static bool was_called(void *user)
{
    return ((struct party *)user)->called > 0;
}

static void test_stop_in_the_middle_drops_it(void **state)
{
    struct fixture *fixture = *state;

    fixture->b.waits = true;
    call(&fixture->a, "b");
    help_run_until(&fixture->loop, was_called, &fixture->b);
    signpost_session_accept(fixture->b.session);
    stop(fixture, &fixture->b);
    assert_int_equal(fixture->b.ended, 1);
    assert_int_equal(fixture->b.dropped, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_call_connects_and_closes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_both_that_call_share_one_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_link_that_fails_is_restarted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusal_is_final, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_peer_that_is_offline_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_close_of_a_failed_attempt_ends_the_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_stop_when_an_attempt_failed_ends_the_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_data_of_a_call_from_inside_on_state_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_arguments_that_are_wrong_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_ready_that_nobody_asked_for_is_a_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_bodies_that_make_no_sense_change_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_crowd_of_callers_finds_it_busy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_crowd_of_callers_that_come_again_finds_it_busy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_knocks_without_end_are_passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop_in_the_middle_drops_it, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
