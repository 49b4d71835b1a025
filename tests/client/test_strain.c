/* The client under strain: slow callbacks, crowds, quarrels over an id, and an end at any moment.
 */
#include "client_help.h"
#include "index_help.h"
#include "signpost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CROWD 1000
#define CROWD_LISTED_EACH 25 /* the others are unlisted: here it is clients that are many */
#define CROWD_KB_EACH 512
#define SLOW_US 300000
#define SLOW_MESSAGES 12
#define BODY_MAX 65536

struct fixture {
    uv_loop_t loop;
    struct index_process index;
    const char *indexes[2];
    struct member a, b;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct rlimit files;

    assert_non_null(fixture);
    /* Of the index too, which inherits it. */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    uv_loop_init(&fixture->loop);
    index_begin(&fixture->index, true);
    fixture->indexes[0] = fixture->index.url;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    member_stop(&fixture->loop, &fixture->a);
    member_stop(&fixture->loop, &fixture->b);
    help_close_loop(&fixture->loop);
    index_forget(&fixture->index);
    free(fixture);
    return 0;
}

static void start_two(struct fixture *fixture)
{
    member_start(&fixture->loop, &fixture->a, "a", fixture->indexes, NULL);
    member_start(&fixture->loop, &fixture->b, "b", fixture->indexes, NULL);
    run_until_told(&fixture->loop, &fixture->a, "+b ");
    run_until_told(&fixture->loop, &fixture->b, "+a ");
    run_until_ready(&fixture->loop, &fixture->a, 1);
    run_until_ready(&fixture->loop, &fixture->b, 1);
}

/* --- slow callbacks, and those that stop the client ------------------------------------------ */

enum moment { AT_PEER, AT_MESSAGE, AT_INDEX, AT_SENT, AT_NOTHING };

/* A client whose callbacks take their time, or stop it at a moment. */
struct subject {
    signpost_t *client;
    enum moment moment;
    bool slow, stopping, stopped;
    size_t ups, downs, messages, troubles, readies;
    char got[512];
};

static void on_stopped(void *user)
{
    ((struct subject *)user)->stopped = true;
}

static bool is_stopped(void *user)
{
    return ((struct subject *)user)->stopped;
}

static void came(struct subject *subject, signpost_t *client, enum moment moment)
{
    /* Nothing is told to one that is stopping, but how its messages fared. */
    assert_true(moment == AT_SENT || !subject->stopping);
    assert_false(subject->stopped);
    if (subject->slow && (moment == AT_PEER || moment == AT_MESSAGE))
        usleep(SLOW_US);
    if (moment != subject->moment || subject->stopping)
        return;
    subject->stopping = true;
    signpost_stop(client, on_stopped, subject);
}

static void on_peer(
    signpost_t *client, signpost_peer_event_t event, const signpost_peer_t *peer, void *user)
{
    struct subject *subject = user;
    subject->ups += event == SIGNPOST_PEER_UP;
    subject->downs += event == SIGNPOST_PEER_DOWN;
    came(subject, client, AT_PEER);
    assert_true(peer->id[0]); /* it is still there */
}

static void on_message(signpost_t *client, const signpost_message_t *message, void *user)
{
    struct subject *subject = user;
    size_t length = strlen(subject->got);
    snprintf(subject->got + length, sizeof subject->got - length, "%s ", message->body);
    subject->messages++;
    came(subject, client, AT_MESSAGE);
    assert_int_equal(strlen(message->body), message->body_size);
}

static void on_index(signpost_t *client, const signpost_index_status_t *status, void *user)
{
    struct subject *subject = user;
    subject->readies += status->state == SIGNPOST_INDEX_READY;
    subject->troubles += status->error != 0;
    came(subject, client, AT_INDEX);
    assert_true(status->url[0]);
}

static void on_sent(
    signpost_t *client, const char *id, signpost_delivery_t delivery, int error, void *user)
{
    (void)id;
    (void)delivery;
    (void)error;
    came(user, client, AT_SENT);
}

static void start_subject(
    struct fixture *fixture, struct subject *subject, enum moment moment, bool slow)
{
    signpost_config_t config = {
        .indexes = fixture->indexes,
        .id = "subject",
        .ttl_s = slow ? 10 : 0,
        .on_peer = on_peer,
        .on_message = on_message,
        .on_index = on_index,
        .user = subject,
    };
    *subject = (struct subject){.moment = moment, .slow = slow};
    assert_int_equal(signpost_start(&fixture->loop, &config, &subject->client), 0);
}

static void stop_at(struct fixture *fixture, enum moment moment)
{
    struct subject subject;

    start_two(fixture);
    start_subject(fixture, &subject, moment, false);
    if (moment == AT_SENT)
        for (int i = 0; i < 4; i++)
            assert_int_equal(signpost_send(subject.client, "a", i < 2 ? "s" : NULL, "note", "1", 1,
                                 0, NULL, on_sent, &subject),
                0);
    if (moment == AT_MESSAGE) {
        run_until_told(&fixture->loop, &fixture->a, "+subject ");
        for (int i = 0; i < 4; i++)
            member_send(&fixture->a, "subject", NULL, "note", "1", 0);
    }
    run_until(&fixture->loop, is_stopped, &subject);
    assert_true(subject.stopping);
    if (moment == AT_MESSAGE)
        assert_int_equal(subject.messages, 1);
    if (moment == AT_PEER)
        assert_int_equal(subject.ups, 1);
    /* The others see it gone, where they saw it. */
    if (strstr(fixture->a.told, "+subject "))
        run_until_told(&fixture->loop, &fixture->a, "-subject ");
}

static void test_client_stopped_in_on_peer_ends(void **state)
{
    stop_at(*state, AT_PEER);
}

static void test_client_stopped_in_on_message_ends(void **state)
{
    stop_at(*state, AT_MESSAGE);
}

static void test_client_stopped_in_on_index_ends(void **state)
{
    stop_at(*state, AT_INDEX);
}

static void test_client_stopped_in_sent_ends(void **state)
{
    stop_at(*state, AT_SENT);
}

static void test_client_stopped_in_on_index_of_an_index_that_dies_ends(void **state)
{
    struct fixture *fixture = *state;
    struct subject subject;
    index_kill(&fixture->index);
    start_subject(fixture, &subject, AT_INDEX, false);
    run_until(&fixture->loop, is_stopped, &subject);
    assert_int_equal(subject.troubles, 1);
}

static bool all_came(void *user)
{
    return ((struct subject *)user)->messages >= SLOW_MESSAGES;
}

static void test_client_with_slow_callbacks_loses_nothing_and_keeps_its_lease(void **state)
{
    struct fixture *fixture = *state;
    struct subject subject;
    char body[16], expected[512] = "";
    start_two(fixture);
    start_subject(fixture, &subject, AT_NOTHING, true);
    run_until_told(&fixture->loop, &fixture->a, "+subject ");
    for (int i = 0; i < SLOW_MESSAGES; i++) {
        snprintf(body, sizeof body, "%d", i);
        member_send(&fixture->a, "subject", "s", "note", body, 60);
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%d ", i);
    }
    run_until(&fixture->loop, all_came, &subject);
    run_until_sent(&fixture->loop, &fixture->a, SLOW_MESSAGES);
    assert_string_equal(subject.got, expected);
    assert_int_equal(subject.ups, 2);
    assert_int_equal(subject.downs, 0);
    assert_int_equal(subject.readies, 1);
    assert_int_equal(subject.troubles, 0);
    assert_null(strstr(fixture->a.told, "-subject "));
    signpost_stop(subject.client, on_stopped, &subject);
    run_until(&fixture->loop, is_stopped, &subject);
}

/* --- a crowd --------------------------------------------------------------------------------- */

static bool crowd_is_ready(void *user)
{
    const struct member *crowd = user;
    for (int i = 0; i < CROWD; i++)
        if (!crowd[i].ready)
            return false;
    return true;
}

static void on_crowd_stopped(void *user)
{
    ++*(int *)user;
}

static bool crowd_is_stopped(void *user)
{
    return *(int *)user == CROWD;
}

static void test_client_crowd_in_one_loop_is_ready_and_all_of_it_stops(void **state)
{
    struct fixture *fixture = *state;
    struct member *crowd = calloc(CROWD, sizeof *crowd);
    struct rusage before, after;
    char id[16];
    int stopped = 0;
    assert_non_null(crowd);
    memset(crowd, 1, CROWD * sizeof *crowd); /* so that it is not counted below */
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < CROWD; i++) {
        signpost_config_t config = {.unlisted = i % CROWD_LISTED_EACH != 0};
        snprintf(id, sizeof id, "c%d", i);
        member_start(&fixture->loop, &crowd[i], id, fixture->indexes, &config);
    }
    help_run_until(&fixture->loop, crowd_is_ready, crowd);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < CROWD * CROWD_KB_EACH);
    for (int i = 0; i < CROWD; i++)
        signpost_stop(crowd[i].client, on_crowd_stopped, &stopped);
    help_run_until(&fixture->loop, crowd_is_stopped, &stopped);
    free(crowd);
}

/* --- who may have an id ---------------------------------------------------------------------- */

struct rival {
    signpost_index_state_t state;
    int error;
    char detail[256];
};

static void on_rival_index(signpost_t *client, const signpost_index_status_t *status, void *user)
{
    struct rival *rival = user;
    (void)client;
    rival->state = status->state;
    rival->error = status->error;
    snprintf(rival->detail, sizeof rival->detail, "%s", status->detail);
}

static bool has_error(void *user)
{
    return ((struct rival *)user)->error != 0;
}

static bool is_ready(void *user)
{
    return ((struct rival *)user)->state == SIGNPOST_INDEX_READY;
}

static void test_client_with_the_id_of_another_is_refused_until_that_one_leaves(void **state)
{
    struct fixture *fixture = *state;
    signpost_config_t brief = {.ttl_s = 5};
    struct rival rival = {.error = 0};
    struct subject end = {.stopped = false};
    signpost_t *client;
    member_start(&fixture->loop, &fixture->a, "a", fixture->indexes, &brief);
    run_until_ready(&fixture->loop, &fixture->a, 1);
    signpost_config_t config = {
        .indexes = fixture->indexes, .id = "a", .on_index = on_rival_index, .user = &rival};
    assert_int_equal(signpost_start(&fixture->loop, &config, &client), 0);
    run_until(&fixture->loop, has_error, &rival);
    assert_int_equal(rival.state, SIGNPOST_INDEX_REFUSED);
    assert_int_equal(rival.error, SIGNPOST_ERROR_REFUSED);
    assert_non_null(strstr(rival.detail, "another"));
    assert_int_equal(fixture->a.ready, 1);
    member_stop(&fixture->loop, &fixture->a);
    help_run_until(&fixture->loop, is_ready, &rival);
    assert_int_equal(rival.error, 0);
    signpost_stop(client, on_stopped, &end);
    run_until(&fixture->loop, is_stopped, &end);
}

/* --- the size of a message ------------------------------------------------------------------- */

struct big {
    size_t size;
    bool same;
};

static void on_big(signpost_t *client, const signpost_message_t *message, void *user)
{
    struct big *big = user;
    (void)client;
    big->same = message->body[0] == '"' && message->body[message->body_size - 1] == '"' &&
                strspn(message->body + 1, "x") == message->body_size - 2;
    big->size = message->body_size;
}

static bool has_come(void *user)
{
    return ((struct big *)user)->size != 0;
}

static void test_client_message_of_64_kib_passes_and_one_byte_more_does_not(void **state)
{
    struct fixture *fixture = *state;
    struct big big = {.size = 0};
    struct subject end = {.stopped = false};
    signpost_t *client;
    char *body = malloc(BODY_MAX + 2);
    assert_non_null(body);
    memset(body, 'x', BODY_MAX + 1);
    body[0] = body[BODY_MAX - 1] = '"';
    start_two(fixture);
    signpost_config_t config = {
        .indexes = fixture->indexes, .id = "big", .on_message = on_big, .user = &big};
    assert_int_equal(signpost_start(&fixture->loop, &config, &client), 0);
    run_until_told(&fixture->loop, &fixture->a, "+big ");
    assert_int_equal(
        signpost_send(fixture->a.client, "big", NULL, "note", body, BODY_MAX, 0, NULL, NULL, NULL),
        0);
    run_until(&fixture->loop, has_come, &big);
    assert_int_equal(big.size, BODY_MAX);
    assert_true(big.same);
    body[BODY_MAX - 1] = 'x';
    body[BODY_MAX] = '"';
    assert_int_equal(signpost_send(fixture->a.client, "big", NULL, "note", body, BODY_MAX + 1, 0,
                         NULL, NULL, NULL),
        SIGNPOST_ERROR_INVALID);
    free(body);
    signpost_stop(client, on_stopped, &end);
    run_until(&fixture->loop, is_stopped, &end);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_client_stopped_in_on_peer_ends),
        TEST(test_client_stopped_in_on_message_ends),
        TEST(test_client_stopped_in_on_index_ends),
        TEST(test_client_stopped_in_sent_ends),
        TEST(test_client_stopped_in_on_index_of_an_index_that_dies_ends),
        TEST(test_client_with_slow_callbacks_loses_nothing_and_keeps_its_lease),
        TEST(test_client_crowd_in_one_loop_is_ready_and_all_of_it_stops),
        TEST(test_client_with_the_id_of_another_is_refused_until_that_one_leaves),
        TEST(test_client_message_of_64_kib_passes_and_one_byte_more_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
