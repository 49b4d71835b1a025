/* The client where an index is broken, stuck, not trusted, or comes and goes. */
#include "client_help.h"
#include "index_help.h"
#include "signpost.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define NODES 5
#define ROUNDS 5
#define LETTERS 1024
#define STOP_MS 5000 /* twice what is promised: the machine may be busy */
#define GROWTH_KB (32 * 1024)

/* --- nodes ----------------------------------------------------------------------------------- */

/* One message of the ledger: its number is its body. */
struct letter {
    char id[37];
    int from, to;
    bool sent, accepted;
    int arrived, returned;
};

struct node {
    struct fixture *fixture;
    signpost_t *client;
    int number;
    signpost_index_state_t states[3];
    int errors[3];
    char details[3][256];
    const char *indexes[4];
    int up[NODES]; /* by the events: 0 not there, 1 there, 2 stale */
    bool went;     /* a peer was told as gone */
    int last[NODES];
    bool stopped;
};

struct fixture {
    uv_loop_t loop;
    struct help_faults faults;
    struct index_process index;
    struct node nodes[NODES];
    struct letter letters[LETTERS];
    int letter_count;
    uv_tcp_t server; /* answers everything with the same */
    const char *answer;
    unsigned answer_port;
};

static void on_peer(
    signpost_t *client, signpost_peer_event_t event, const signpost_peer_t *peer, void *user)
{
    struct node *node = user;
    int *up = &node->up[peer->id[1] - '0'];

    (void)client;
    assert_int_equal(event == SIGNPOST_PEER_UP, *up == 0);
    *up = event == SIGNPOST_PEER_DOWN ? 0 : peer->stale ? 2 : 1;
    node->went |= event == SIGNPOST_PEER_DOWN;
}

static void on_message(signpost_t *client, const signpost_message_t *message, void *user)
{
    struct node *node = user;
    int number = (int)strtol(message->body, NULL, 10);
    int from = message->from[1] - '0';

    (void)client;
    assert_in_range(number, 0, node->fixture->letter_count - 1);
    struct letter *letter = &node->fixture->letters[number];
    assert_string_equal(letter->id, message->id);
    assert_int_equal(letter->from, from);
    assert_int_equal(letter->to, node->number);
    letter->arrived++;
    /* They are all of one session. */
    assert_true(number > node->last[from]);
    node->last[from] = number;
}

static void on_undeliverable(signpost_t *client, const char *id, const char *to,
    const char *session, const char *type, int reason, void *user)
{
    struct fixture *fixture = ((struct node *)user)->fixture;

    (void)client;
    (void)to;
    (void)session;
    (void)type;
    (void)reason;
    for (int i = 0; i < fixture->letter_count; i++)
        fixture->letters[i].returned += !strcmp(fixture->letters[i].id, id);
}

static void on_index(signpost_t *client, const signpost_index_status_t *status, void *user)
{
    struct node *node = user;
    size_t i = 0;

    (void)client;
    while (strcmp(node->indexes[i], status->url) != 0)
        i++;
    node->states[i] = status->state;
    node->errors[i] = status->error;
    snprintf(node->details[i], sizeof node->details[i], "%s", status->detail);
}

/* The node's id is "n" and its number. */
static struct node *start_node(
    struct fixture *fixture, int number, const char *first, const char *second, const char *third)
{
    struct node *node = &fixture->nodes[number];
    char id[3] = {'n', (char)('0' + number), '\0'};

    *node = (struct node){.fixture = fixture, .number = number};
    node->indexes[0] = first;
    node->indexes[1] = second;
    node->indexes[2] = third;
    for (int i = 0; i < NODES; i++)
        node->last[i] = -1;
    signpost_config_t config = {
        .indexes = node->indexes,
        .id = id,
        .ca_file = getenv("SIGNPOST_TEST_CA"),
        .on_peer = on_peer,
        .on_message = on_message,
        .on_undeliverable = on_undeliverable,
        .on_index = on_index,
        .user = node,
    };
    assert_int_equal(signpost_start(&fixture->loop, &config, &node->client), 0);
    return node;
}

static void on_sent(
    signpost_t *client, const char *id, signpost_delivery_t delivery, int error, void *user)
{
    struct letter *letter = user;

    (void)client;
    assert_string_equal(id, letter->id);
    assert_false(letter->sent);
    assert_int_equal(delivery == SIGNPOST_FAILED, error != 0);
    letter->sent = true;
    letter->accepted = !error;
}

static void write_letter(struct node *node, int to)
{
    struct fixture *fixture = node->fixture;
    struct letter *letter = &fixture->letters[fixture->letter_count];
    char body[16], id[3] = {'n', (char)('0' + to), '\0'};

    assert_true(fixture->letter_count < LETTERS);
    letter->from = node->number;
    letter->to = to;
    int size = snprintf(body, sizeof body, "%d", fixture->letter_count++);
    assert_int_equal(signpost_send(node->client, id, "s", "note", body, (size_t)size, 60,
                         letter->id, on_sent, letter),
        0);
}

static bool all_settled(void *user)
{
    const struct fixture *fixture = user;

    for (int i = 0; i < fixture->letter_count; i++) {
        const struct letter *letter = &fixture->letters[i];
        if (!letter->sent || (letter->accepted && !letter->arrived && !letter->returned))
            return false;
    }
    return true;
}

/* --- stopping -------------------------------------------------------------------------------- */

static void on_stopped(void *user)
{
    ((struct node *)user)->stopped = true;
}

static bool is_stopped(void *user)
{
    return ((struct node *)user)->stopped;
}

/* In time, whatever the network does. */
static void stop_node(struct node *node)
{
    uint64_t begun_ns = uv_hrtime();

    if (!node->client)
        return;
    signpost_stop(node->client, on_stopped, node);
    node->client = NULL;
    help_run_until(&node->fixture->loop, is_stopped, node);
    assert_in_range((uv_hrtime() - begun_ns) / 1000000, 0, STOP_MS);
}

static void stop_all(struct fixture *fixture)
{
    for (int i = 0; i < NODES; i++)
        stop_node(&fixture->nodes[i]);
}

/* --- a server that always answers the same --------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_room(uv_handle_t *handle, size_t size, uv_buf_t *ret_room)
{
    static char room[65536];
    (void)handle;
    (void)size;
    *ret_room = uv_buf_init(room, sizeof room);
}

static void on_request(uv_stream_t *stream, ssize_t size, const uv_buf_t *request)
{
    const struct fixture *fixture = stream->data;

    (void)request;
    if (size > 0) {
        uv_buf_t answer = uv_buf_init((char *)fixture->answer, (unsigned)strlen(fixture->answer));
        uv_try_write(stream, &answer, 1);
    }
    if (size)
        uv_close((uv_handle_t *)stream, on_closed);
}

static void on_connection(uv_stream_t *server, int status)
{
    uv_tcp_t *stream = calloc(1, sizeof *stream);

    assert_non_null(stream);
    assert_int_equal(status, 0);
    uv_tcp_init(server->loop, stream);
    stream->data = server->data;
    assert_int_equal(uv_accept(server, (uv_stream_t *)stream), 0);
    uv_read_start((uv_stream_t *)stream, on_room, on_request);
}

static void answer_with(struct fixture *fixture, const char *answer)
{
    struct sockaddr_storage address;
    int size = sizeof address;

    fixture->answer = answer;
    uv_ip4_addr("127.0.0.1", 0, (struct sockaddr_in *)&address);
    uv_tcp_init(&fixture->loop, &fixture->server);
    fixture->server.data = fixture;
    uv_tcp_bind(&fixture->server, (struct sockaddr *)&address, 0);
    assert_int_equal(uv_listen((uv_stream_t *)&fixture->server, 16, on_connection), 0);
    uv_tcp_getsockname(&fixture->server, (struct sockaddr *)&address, &size);
    fixture->answer_port = ntohs(((struct sockaddr_in *)&address)->sin_port);
}

/* --- the fixture ----------------------------------------------------------------------------- */

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    uv_loop_init(&fixture->loop);
    index_begin(&fixture->index, true);
    help_start_faults(&fixture->faults);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    stop_all(fixture);
    if (fixture->answer)
        uv_close((uv_handle_t *)&fixture->server, NULL);
    help_close_loop(&fixture->loop);
    help_stop_faults(&fixture->faults);
    index_forget(&fixture->index);
    free(fixture);
    return 0;
}

/* --- an index that is none ------------------------------------------------------------------- */

static bool has_error(void *user)
{
    return ((struct node *)user)->errors[0] != 0;
}

static bool others_work(void *user)
{
    struct fixture *fixture = user;
    return fixture->nodes[0].up[1] == 1 && fixture->nodes[1].up[0] == 1 && all_settled(fixture);
}

/* The node that has it beside a real one says what is wrong with it, and works by the real one. */
static void expect_fault(struct fixture *fixture, const char *url, int error)
{
    struct node *node = start_node(fixture, 0, url, fixture->index.url, NULL);
    struct node *other = start_node(fixture, 1, fixture->index.url, NULL, NULL);

    help_run_until(&fixture->loop, has_error, node);
    assert_int_equal(node->errors[0], error);
    assert_int_equal(node->states[0], SIGNPOST_INDEX_AWAY);
    assert_true(strlen(node->details[0]) > 10);
    help_run_until(&fixture->loop, others_work, fixture);
    write_letter(node, 1);
    write_letter(other, 0);
    help_run_until(&fixture->loop, others_work, fixture);
    assert_true(fixture->letters[0].arrived == 1 && fixture->letters[1].arrived == 1);
    assert_int_equal(node->states[1], SIGNPOST_INDEX_READY);
    assert_int_not_equal(node->states[0], SIGNPOST_INDEX_READY);
    assert_false(node->went || other->went);
    stop_all(fixture);
}

static void expect_fault_at(struct fixture *fixture, const char *path, int error)
{
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/%s", fixture->faults.port, path);
    expect_fault(fixture, url, error);
}

static void expect_fault_of(struct fixture *fixture, const char *answer, int error)
{
    char url[64];
    answer_with(fixture, answer);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", fixture->answer_port);
    expect_fault(fixture, url, error);
}

static void test_client_index_that_answers_garbage_is_no_index(void **state)
{
    expect_fault_at(*state, "garbage", SIGNPOST_ERROR_PROTOCOL);
}

static void test_client_index_that_redirects_is_not_followed(void **state)
{
    expect_fault_at(*state, "redirect", SIGNPOST_ERROR_PROTOCOL);
}

static void test_client_index_that_sends_half_a_reply_is_unreachable(void **state)
{
    expect_fault_at(*state, "half", SIGNPOST_ERROR_UNREACHABLE);
}

static void test_client_index_that_hangs_up_is_unreachable(void **state)
{
    expect_fault_at(*state, "close", SIGNPOST_ERROR_UNREACHABLE);
}

static void test_client_index_that_answers_500_is_no_index(void **state)
{
    expect_fault_of(*state,
        "HTTP/1.1 500 Broken\r\nContent-Length: 4\r\nConnection: close\r\n\r\nugly",
        SIGNPOST_ERROR_PROTOCOL);
}

static void test_client_index_that_answers_a_page_is_no_index(void **state)
{
    expect_fault_of(*state,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n"
        "Connection: close\r\n\r\n<html></html>",
        SIGNPOST_ERROR_PROTOCOL);
}

static void test_client_index_that_answers_other_json_is_no_index(void **state)
{
    expect_fault_of(*state,
        "HTTP/1.1 201 Made\r\nContent-Type: application/json\r\nContent-Length: 10\r\n"
        "Connection: close\r\n\r\n{\"id\":\"n\"}",
        SIGNPOST_ERROR_PROTOCOL);
}

/* What is taken in is bounded, however fast it comes. */
static void expect_bounded_fault_at(struct fixture *fixture, const char *path)
{
    struct rusage before, after;

    getrusage(RUSAGE_SELF, &before);
    expect_fault_at(fixture, path, SIGNPOST_ERROR_PROTOCOL);
    getrusage(RUSAGE_SELF, &after);
    assert_in_range(after.ru_maxrss, before.ru_maxrss, before.ru_maxrss + GROWTH_KB);
}

static void test_client_index_that_never_ends_its_body_is_cut_off(void **state)
{
    expect_bounded_fault_at(*state, "endless");
}

static void test_client_index_that_never_ends_its_head_is_cut_off(void **state)
{
    expect_bounded_fault_at(*state, "endless-head");
}

static void test_client_index_with_a_certificate_of_a_stranger_is_not_trusted(void **state)
{
    struct fixture *fixture = *state;
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%u/echo", fixture->faults.tls_port);
    expect_fault(fixture, url, SIGNPOST_ERROR_TLS);
}

static void test_client_index_with_a_certificate_of_another_name_is_not_trusted(void **state)
{
    struct fixture *fixture = *state;
    char url[64];
    snprintf(url, sizeof url, "https://localhost:%u/echo", fixture->faults.tls_port);
    setenv("SIGNPOST_TEST_CA", fixture->faults.ca_file, 1);
    expect_fault(fixture, url, SIGNPOST_ERROR_TLS);
    unsetenv("SIGNPOST_TEST_CA");
}

/* --- an index that is stuck ------------------------------------------------------------------ */

static bool two_errors(void *user)
{
    const struct node *node = user;
    return node->errors[0] && node->errors[1];
}

static void test_client_index_that_never_answers_times_out(void **state)
{
    struct fixture *fixture = *state;
    char stuck[64], slow[64];
    snprintf(stuck, sizeof stuck, "http://127.0.0.1:%u/stuck", fixture->faults.port);
    snprintf(slow, sizeof slow, "http://127.0.0.1:%u/slow", fixture->faults.port);
    struct node *node = start_node(fixture, 0, stuck, slow, fixture->index.url);
    start_node(fixture, 1, fixture->index.url, NULL, NULL);
    /* The stuck ones hold nothing up. */
    help_run_until(&fixture->loop, others_work, fixture);
    write_letter(node, 1);
    help_run_until(&fixture->loop, others_work, fixture);
    assert_int_equal(fixture->letters[0].arrived, 1);
    assert_false(has_error(node));
    help_run_until(&fixture->loop, two_errors, node);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(node->errors[i], SIGNPOST_ERROR_TIMEOUT);
        assert_int_equal(node->states[i], SIGNPOST_INDEX_AWAY);
        assert_true(strlen(node->details[i]) > 10);
    }
    assert_int_equal(node->states[2], SIGNPOST_INDEX_READY);
}

static void test_client_stop_while_an_index_never_answers_ends_in_time(void **state)
{
    struct fixture *fixture = *state;
    char stuck[64];
    snprintf(stuck, sizeof stuck, "http://127.0.0.1:%u/stuck", fixture->faults.port);
    struct node *node = start_node(fixture, 0, stuck, fixture->index.url, NULL);
    start_node(fixture, 1, fixture->index.url, NULL, NULL);
    help_run_until(&fixture->loop, others_work, fixture);
    stop_node(node);
}

static bool both_ready(void *user)
{
    const struct fixture *fixture = user;
    return fixture->nodes[0].states[0] == SIGNPOST_INDEX_READY &&
           fixture->nodes[1].states[0] == SIGNPOST_INDEX_READY;
}

static void test_client_stop_after_its_index_froze_ends_in_time(void **state)
{
    struct fixture *fixture = *state;
    struct node *node = start_node(fixture, 0, fixture->index.url, NULL, NULL);
    start_node(fixture, 1, fixture->index.url, NULL, NULL);
    help_run_until(&fixture->loop, others_work, fixture);
    help_run_until(&fixture->loop, both_ready, fixture);
    kill(fixture->index.pid, SIGSTOP);
    write_letter(node, 1);
    stop_node(node);
    assert_true(fixture->letters[0].sent);
    assert_false(fixture->letters[0].accepted);
    kill(fixture->index.pid, SIGCONT);
}

static bool first_is_ready(void *user)
{
    return ((struct node *)user)->states[0] == SIGNPOST_INDEX_READY;
}

/* A fault that ends: what was garbage becomes an index, at the same address. */
static void test_client_index_in_the_place_of_garbage_is_joined(void **state)
{
    struct fixture *fixture = *state;
    struct index_process later = {.pid = 0};
    char url[64];
    answer_with(fixture, "no HTTP at all\r\n\r\n");
    snprintf(url, sizeof url, "http://127.0.0.1:%u", fixture->answer_port);
    struct node *node = start_node(fixture, 0, url, NULL, NULL);
    help_run_until(&fixture->loop, has_error, node);
    uv_close((uv_handle_t *)&fixture->server, NULL);
    fixture->answer = NULL;
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    later.port = fixture->answer_port;
    index_begin(&later, true);
    help_run_until(&fixture->loop, first_is_ready, node);
    assert_int_equal(node->errors[0], 0);
    assert_string_equal(node->details[0], "");
    stop_all(fixture);
    index_forget(&later);
}

/* --- an index that comes and goes ------------------------------------------------------------ */

static bool visit_view(const signpost_peer_t *peer, void *user)
{
    int *views = user;
    views[peer->id[1] - '0'] = peer->stale ? 2 : 1;
    return true;
}

/* Every node has every other one, and nobody stale, by the table and by what it was told. */
static bool tables_are_true(void *user)
{
    struct fixture *fixture = user;

    for (int i = 0; i < NODES; i++) {
        int views[NODES] = {0};
        signpost_peers(fixture->nodes[i].client, visit_view, views);
        assert_memory_equal(views, fixture->nodes[i].up, sizeof views);
        for (int other = 0; other < NODES; other++)
            if (views[other] != (other != i))
                return false;
    }
    return true;
}

static void write_to_all(struct fixture *fixture)
{
    for (int from = 0; from < NODES; from++)
        for (int to = 0; to < NODES; to++)
            if (from != to)
                write_letter(&fixture->nodes[from], to);
}

/* With its file, what it accepted just before it was killed must arrive too. An empty disk has lost
 * that, which no client can know; so there everything has arrived before. */
static void come_and_go(struct fixture *fixture, bool fresh)
{
    for (int i = 0; i < NODES; i++)
        start_node(fixture, i, fixture->index.url, NULL, NULL);
    help_run_until(&fixture->loop, tables_are_true, fixture);
    for (int round = 0; round < ROUNDS; round++) {
        write_to_all(fixture);
        if (fresh)
            help_run_until(&fixture->loop, all_settled, fixture);
        else
            uv_run(&fixture->loop, UV_RUN_ONCE);
        index_kill(&fixture->index);
        write_to_all(fixture);
        uv_run(&fixture->loop, UV_RUN_ONCE);
        index_begin(&fixture->index, fresh);
        help_run_until(&fixture->loop, all_settled, fixture);
    }
    help_run_until(&fixture->loop, tables_are_true, fixture);
    for (int i = 0; i < NODES; i++)
        assert_false(fixture->nodes[i].went);
    for (int i = 0; i < fixture->letter_count; i++) {
        const struct letter *letter = &fixture->letters[i];
        assert_true(letter->arrived <= 1);
        assert_true(letter->accepted);
        assert_int_equal(letter->arrived + letter->returned, 1);
    }
}

static void test_client_index_killed_again_and_again_loses_nothing(void **state)
{
    come_and_go(*state, false);
}

static void test_client_index_emptied_again_and_again_loses_nobody(void **state)
{
    come_and_go(*state, true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_client_index_that_answers_garbage_is_no_index),
        TEST(test_client_index_that_redirects_is_not_followed),
        TEST(test_client_index_that_sends_half_a_reply_is_unreachable),
        TEST(test_client_index_that_hangs_up_is_unreachable),
        TEST(test_client_index_that_answers_500_is_no_index),
        TEST(test_client_index_that_answers_a_page_is_no_index),
        TEST(test_client_index_that_answers_other_json_is_no_index),
        TEST(test_client_index_that_never_ends_its_body_is_cut_off),
        TEST(test_client_index_that_never_ends_its_head_is_cut_off),
        TEST(test_client_index_with_a_certificate_of_a_stranger_is_not_trusted),
        TEST(test_client_index_with_a_certificate_of_another_name_is_not_trusted),
        TEST(test_client_index_that_never_answers_times_out),
        TEST(test_client_stop_while_an_index_never_answers_ends_in_time),
        TEST(test_client_stop_after_its_index_froze_ends_in_time),
        TEST(test_client_index_in_the_place_of_garbage_is_joined),
        TEST(test_client_index_killed_again_and_again_loses_nothing),
        TEST(test_client_index_emptied_again_and_again_loses_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
