/* Meshes behind the public header: several clients of a real index in one loop, whose applications
 * do what applications may do. */
#include "client_help.h"
#include "direct/direct_internal.h"
#include "index_help.h"
#include "mesh/mesh.h"
#include "mesh/mesh_choice.h"
#include "mesh/mesh_core.h"
#include "session/sessions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NODES_MAX 8
#define REQUESTS_MAX 256 /* of a client at once */

/* A connection of a node. */
struct link {
    uv_tcp_t tcp; /* first: a pointer to it is one to the link */
    struct node *node;
    struct link *next;
    char peer[65];
};

struct node {
    struct fixture *fixture;
    char id[16];
    signpost_t *client;
    signpost_mesh_t *mesh;
    struct link *links;
    char told[4096]; /* "+b " for a link, "-b(reason) " for an unlink, "!b(reason) " for trouble */
    unsigned links_made, unlinks, troubles;
    unsigned ready; /* it is now, at the index */
    bool stopping, stopped;
    unsigned late; /* callbacks that came after it was told to stop */
    /* What the application does besides. */
    void (*on_link)(struct node *node, const char *peer);
    void (*on_unlink)(struct node *node, const char *peer);
    void (*on_trouble)(struct node *node, const char *peer);
    unsigned closes; /* so many links more are closed at once */
};

struct fixture {
    uv_loop_t loop;
    struct index_process index;
    struct node nodes[NODES_MAX];
    size_t count;
};

/* --- the links of a node --------------------------------------------------------------------- */

static void on_closed(uv_handle_t *tcp)
{
    free(tcp);
}

static void drop(struct link *link)
{
    struct link **at = &link->node->links;

    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    uv_close((uv_handle_t *)&link->tcp, on_closed);
}

static struct link *link_to(const struct node *node, const char *peer)
{
    struct link *link = node->links;

    while (link && strcmp(link->peer, peer) != 0)
        link = link->next;
    return link;
}

static void lose(struct node *node, const char *peer)
{
    drop(link_to(node, peer));
    signpost_mesh_lost(node->mesh, peer);
}

static void on_alloc(uv_handle_t *tcp, size_t size, uv_buf_t *buffer)
{
    static char bytes[64];

    (void)tcp, (void)size;
    *buffer = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *tcp, ssize_t size, const uv_buf_t *buffer)
{
    struct link *link = (struct link *)tcp;

    (void)buffer;
    if (size >= 0)
        return;
    struct node *node = link->node;
    char peer[65];
    strcpy(peer, link->peer);
    lose(node, peer);
}

static void tell(struct node *node, char what, const char *peer, const char *reason)
{
    size_t length = strlen(node->told);

    snprintf(node->told + length, sizeof node->told - length, *reason ? "%c%s(%s) " : "%c%s%s ",
        what, peer, reason);
    node->late += node->stopping;
}

static void on_link(signpost_mesh_t *mesh, const signpost_connection_t *connection, void *user)
{
    struct node *node = user;
    struct link *link = calloc(1, sizeof *link);

    assert_non_null(link);
    assert_null(link_to(node, connection->peer));
    tell(node, '+', connection->peer, "");
    node->links_made++;
    assert_int_equal(signpost_connection_open(connection, &node->fixture->loop, &link->tcp), 0);
    snprintf(link->peer, sizeof link->peer, "%s", connection->peer);
    link->node = node;
    link->next = node->links;
    node->links = link;
    assert_int_equal(uv_read_start((uv_stream_t *)&link->tcp, on_alloc, on_read), 0);
    if (node->closes > 0) {
        node->closes--;
        drop(link);
        signpost_mesh_lost(mesh, connection->peer);
    }
    if (node->on_link)
        node->on_link(node, connection->peer);
}

static void on_unlink(signpost_mesh_t *mesh, const char *peer, const char *reason, void *user)
{
    struct node *node = user;
    struct link *link = link_to(node, peer);

    (void)mesh;
    tell(node, '-', peer, reason);
    node->unlinks++;
    if (link)
        drop(link);
    if (node->on_unlink)
        node->on_unlink(node, peer);
}

static void on_trouble(signpost_mesh_t *mesh, const char *peer, const char *reason, void *user)
{
    struct node *node = user;

    (void)mesh;
    tell(node, '!', peer, reason);
    node->troubles++;
    if (node->on_trouble)
        node->on_trouble(node, peer);
}

/* --- nodes ----------------------------------------------------------------------------------- */

static void on_index(signpost_t *client, const signpost_index_status_t *status, void *user)
{
    struct node *node = user;

    (void)client;
    node->ready = status->state == SIGNPOST_INDEX_READY;
    node->late += node->stopping;
}

static void on_peer(
    signpost_t *client, signpost_peer_event_t event, const signpost_peer_t *peer, void *user)
{
    struct node *node = user;

    (void)client, (void)event, (void)peer;
    node->late += node->stopping;
}

/* A client that listens, with the secret that belongs to its id, so that it may come back. */
static void start_client(struct node *node)
{
    const char *const indexes[] = {node->fixture->index.url, NULL};
    uint8_t secret[SIGNPOST_SECRET_SIZE] = {0};
    signpost_config_t config = {
        .indexes = indexes,
        .id = node->id,
        .secret = secret,
        .ttl_s = 10,
        .on_index = on_index,
        .on_peer = on_peer,
        .user = node,
    };

    strcpy((char *)secret, node->id);
    assert_int_equal(signpost_start(&node->fixture->loop, &config, &node->client), 0);
}

static int start_mesh(struct node *node, unsigned neighbours)
{
    return signpost_mesh_start(node->client,
        &(signpost_mesh_config_t){
            .neighbours = neighbours,
            .on_link = on_link,
            .on_unlink = on_unlink,
            .on_trouble = on_trouble,
            .user = node,
        },
        &node->mesh);
}

static void listen_at(struct node *node, const char *host)
{
    assert_int_equal(signpost_listen(node->client, host, 0, NULL, NULL), 0);
}

static struct node *add_node(struct fixture *fixture, const char *id)
{
    struct node *node = &fixture->nodes[fixture->count++];

    assert_in_range(fixture->count, 1, NODES_MAX);
    *node = (struct node){.fixture = fixture};
    strcpy(node->id, id);
    return node;
}

static struct node *start(struct fixture *fixture, const char *id, unsigned neighbours)
{
    struct node *node = add_node(fixture, id);

    start_client(node);
    listen_at(node, NULL);
    assert_int_equal(start_mesh(node, neighbours), 0);
    return node;
}

static void on_stopped(void *user)
{
    struct node *node = user;

    node->stopped = true;
    node->client = NULL;
}

/* Also what the application still has. */
static void stop(struct node *node)
{
    node->stopping = true;
    signpost_stop(node->client, on_stopped, node);
    while (node->links)
        drop(node->links);
}

static bool is_stopped(void *user)
{
    return ((struct node *)user)->stopped;
}

static void stop_and_wait(struct node *node)
{
    if (!node->client)
        return;
    if (!node->stopping)
        stop(node);
    help_run_until(&node->fixture->loop, is_stopped, node);
}

static void come_back(struct node *node)
{
    struct fixture *fixture = node->fixture;
    char id[16];

    strcpy(id, node->id);
    *node = (struct node){.fixture = fixture};
    strcpy(node->id, id);
    start_client(node);
    listen_at(node, NULL);
    assert_int_equal(start_mesh(node, 0), 0);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    uv_loop_init(&fixture->loop);
    index_begin(&fixture->index, true);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    unsigned late = 0;

    for (size_t i = 0; i < fixture->count; i++)
        if (fixture->nodes[i].client && !fixture->nodes[i].stopping)
            stop(&fixture->nodes[i]);
    for (size_t i = 0; i < fixture->count; i++) {
        stop_and_wait(&fixture->nodes[i]);
        while (fixture->nodes[i].links)
            drop(fixture->nodes[i].links);
        late += fixture->nodes[i].late;
    }
    help_close_loop(&fixture->loop);
    index_forget(&fixture->index);
    free(fixture);
    assert_int_equal(late, 0);
    return 0;
}

/* --- what is waited for ---------------------------------------------------------------------- */

static bool is_linked(const struct node *one, const struct node *other)
{
    return link_to(one, other->id) && link_to(other, one->id);
}

static bool lives(const struct node *node)
{
    return node->mesh && !node->stopping;
}

static bool is_full(void *user)
{
    const struct fixture *fixture = user;

    for (size_t i = 0; i < fixture->count; i++)
        for (size_t j = 0; j < i; j++)
            if (lives(&fixture->nodes[i]) && lives(&fixture->nodes[j]) &&
                !is_linked(&fixture->nodes[i], &fixture->nodes[j]))
                return false;
    return true;
}

static void run_until_full(struct fixture *fixture)
{
    help_run_until(&fixture->loop, is_full, fixture);
}

static bool was_unlinked(void *user)
{
    return ((struct node *)user)->unlinks > 0;
}

static bool was_troubled(void *user)
{
    return ((struct node *)user)->troubles > 0;
}

static bool has_begun(void *user)
{
    const struct request *request = ((struct node *)user)->client->direct->requests;
    return request && request->begun;
}

/* The attempt to connect, without waiting for all that is tried. */
static void fail_soon(struct node *node, const char *peer)
{
    help_run_until(&node->fixture->loop, has_begun, node);
    direct_fail_request(node->client->direct, peer, SIGNPOST_ERROR_NO_PATH, "no index");
    session_close(sessions_find(node->client->sessions, peer, "direct")->machine,
        client_now_ms(node->client));
}

static bool is_away(void *user)
{
    return !((struct node *)user)->ready;
}

static bool is_ready(void *user)
{
    return ((struct node *)user)->ready > 0;
}

/* --- as it should be ------------------------------------------------------------------------- */

static void test_mesh_of_five_is_full(void **state)
{
    struct fixture *fixture = *state;
    static const char *const ids[] = {"a", "b", "c", "d", "e"};

    for (size_t i = 0; i < 5; i++)
        start(fixture, ids[i], 0);
    run_until_full(fixture);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(fixture->nodes[i].links_made, 4);
        assert_int_equal(fixture->nodes[i].unlinks, 0);
        assert_int_equal(fixture->nodes[i].troubles, 0);
    }
}

/* The two neighbours of each on the ring, and nobody else. */
static bool is_ring(void *user)
{
    const struct fixture *fixture = user;
    const char *ids[NODES_MAX];
    bool chosen[NODES_MAX];

    for (size_t i = 0; i < fixture->count; i++) {
        const struct node *node = &fixture->nodes[i];
        size_t count = 0;
        for (size_t j = 0; j < fixture->count; j++)
            if (j != i)
                ids[count++] = fixture->nodes[j].id;
        mesh_choose(node->id, ids, count, 2, chosen);
        for (size_t j = 0; j < count; j++)
            if (chosen[j] != (link_to(node, ids[j]) != NULL))
                return false;
    }
    return true;
}

static void test_mesh_of_six_with_two_neighbours_is_a_ring(void **state)
{
    struct fixture *fixture = *state;
    static const char *const ids[] = {"a", "b", "c", "d", "e", "f"};

    for (size_t i = 0; i < 6; i++)
        start(fixture, ids[i], 2);
    help_run_until(&fixture->loop, is_ring, fixture);
}

static void test_node_that_comes_back_is_linked_again(void **state)
{
    struct fixture *fixture = *state;
    static const char *const ids[] = {"a", "b", "c"};

    for (size_t i = 0; i < 3; i++)
        start(fixture, ids[i], 0);
    run_until_full(fixture);
    stop_and_wait(&fixture->nodes[1]);
    come_back(&fixture->nodes[1]);
    run_until_full(fixture);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(fixture->nodes[i].unlinks, 0);
    assert_string_equal(fixture->nodes[0].told,
        strchr(fixture->nodes[0].told, 'c') < strchr(fixture->nodes[0].told, 'b') ? "+c +b +b "
                                                                                  : "+b +c +b ");
}

/* The old connection is there still, as after a crash that nobody has noticed. */
static void test_peer_that_connects_again_is_unlinked_first(void **state)
{
    struct fixture *fixture = *state;
    struct node *a = start(fixture, "a", 0), *b = start(fixture, "b", 0);

    run_until_full(fixture);
    struct link *old = link_to(a, "b");
    a->links = NULL;
    signpost_mesh_lost(a->mesh, "b");
    run_until_full(fixture);
    help_run_until(&fixture->loop, was_unlinked, b);
    assert_string_equal(b->told, "+a -a(replaced by a new connection) +a ");
    assert_string_equal(a->told, "+b +b ");
    uv_close((uv_handle_t *)&old->tcp, on_closed);
}

static void test_links_that_are_closed_at_once_come_again(void **state)
{
    struct fixture *fixture = *state;
    struct node *a = start(fixture, "a", 0), *b = start(fixture, "b", 0);

    a->closes = b->closes = 2;
    run_until_full(fixture);
    assert_in_range(a->links_made, 3, 5);
    assert_int_equal(a->unlinks + b->unlinks, 0);
}

/* --- the application stops ------------------------------------------------------------------- */

static void stop_inside(struct node *node, const char *peer)
{
    (void)peer;
    stop(node);
}

static void test_stop_inside_on_link_is_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct node *a = start(fixture, "a", 0);

    start(fixture, "b", 0);
    start(fixture, "c", 0);
    a->on_link = stop_inside;
    stop_and_wait(start(fixture, "d", 0));
    help_run_until(&fixture->loop, is_stopped, a);
    assert_int_equal(a->links_made, 1);
    run_until_full(fixture);
}

static void test_stop_inside_on_unlink_is_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct node *a = start(fixture, "a", 0), *b = start(fixture, "b", 0);

    run_until_full(fixture);
    b->on_unlink = stop_inside;
    struct link *old = link_to(a, "b");
    a->links = NULL;
    signpost_mesh_lost(a->mesh, "b");
    help_run_until(&fixture->loop, is_stopped, b);
    assert_string_equal(b->told, "+a -a(replaced by a new connection) ");
    uv_close((uv_handle_t *)&old->tcp, on_closed);
}

/* Four ids in the order of the ring, from that of `ids[0]` on. */
static void find_ring(char ids[4][16])
{
    for (unsigned number = 0; number < 10000; number++) {
        bool chosen[3];
        snprintf(ids[0], 16, "x");
        snprintf(ids[1], 16, "p%u", number);
        snprintf(ids[2], 16, "q%u", number);
        snprintf(ids[3], 16, "r%u", number);
        /* "r" comes between "x" and "q", so that "x" does not want "q" any more. */
        mesh_choose(ids[0], (const char *[]){ids[1], ids[2], ids[3]}, 3, 2, chosen);
        if (chosen[0] && !chosen[1] && chosen[2])
            return;
    }
    fail();
}

static bool has_two(void *user)
{
    const struct node *node = user;
    return node->links && node->links->next;
}

/* A peer calls that is wanted, and another one has to make room for it. */
static void test_stop_inside_on_unlink_while_a_peer_calls(void **state)
{
    struct fixture *fixture = *state;
    char ids[4][16];

    find_ring(ids);
    struct node *x = start(fixture, ids[0], 2);
    start(fixture, ids[1], 0);
    start(fixture, ids[2], 0);
    help_run_until(&fixture->loop, has_two, x);
    x->on_unlink = stop_inside;
    start(fixture, ids[3], 0);
    help_run_until(&fixture->loop, is_stopped, x);
    assert_int_equal(x->unlinks, 1);
    assert_int_equal(x->links_made, 2);
}

static void test_stop_inside_on_trouble_is_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct node *a = start(fixture, "a", 0);

    start(fixture, "b", 0);
    run_until_full(fixture);
    index_kill(&fixture->index);
    help_run_until(&fixture->loop, is_away, a);
    a->on_trouble = stop_inside;
    lose(a, "b");
    fail_soon(a, "b");
    help_run_until(&fixture->loop, is_stopped, a);
    assert_string_equal(a->told, "+b !b(no index) ");
}

/* --- the index is away ----------------------------------------------------------------------- */

static void test_links_outlive_the_index(void **state)
{
    struct fixture *fixture = *state;
    struct node *a = start(fixture, "a", 0), *b = start(fixture, "b", 0), *c;

    run_until_full(fixture);
    index_kill(&fixture->index);
    help_run_until(&fixture->loop, is_away, a);
    help_run_until(&fixture->loop, is_away, b);
    index_begin(&fixture->index, true);
    c = start(fixture, "c", 0);
    run_until_full(fixture);
    assert_string_equal(a->told, "+b +c ");
    assert_string_equal(b->told, "+a +c ");
    assert_int_equal(c->links_made, 2);
}

static int64_t ahead_ms;

static int64_t clock_ahead_ms(void)
{
    return client_clock_ms() + ahead_ms;
}

/* So many attempts come to nothing that the next one is up to a minute away. */
static void fail_often(struct node *node, const char *peer)
{
    for (unsigned failures = 0; failures < 10; failures++) {
        ahead_ms += MESH_BACKOFF_MOST_MS;
        mesh_missed(node->client->mesh, "nobody"); /* so that it looks at the clock */
        node->troubles = 0;
        fail_soon(node, peer);
        help_run_until(&node->fixture->loop, was_troubled, node);
    }
}

/* When the index is back nobody waits for what was due next. */
static void test_link_that_was_lost_comes_again_with_the_index(void **state)
{
    struct fixture *fixture = *state;
    struct node *a = start(fixture, "a", 0), *b = start(fixture, "b", 0);

    run_until_full(fixture);
    index_kill(&fixture->index);
    help_run_until(&fixture->loop, is_away, a);
    help_run_until(&fixture->loop, is_away, b);
    a->client->clock_ms = b->client->clock_ms = clock_ahead_ms;
    lose(a, "b");
    fail_often(a, "b");
    fail_often(b, "a");
    index_begin(&fixture->index, false);
    help_run_until(&fixture->loop, is_ready, a);
    help_run_until(&fixture->loop, is_ready, b);
    uint64_t began_ms = uv_hrtime() / 1000000;
    run_until_full(fixture);
    assert_in_range(uv_hrtime() / 1000000 - began_ms, 0, MESH_BACKOFF_MOST_MS / 5);
}

/* --- calling off ----------------------------------------------------------------------------- */

static void on_never(signpost_t *client, const char *peer, int error, const char *reason,
    const signpost_connection_t *connection, void *user)
{
    (void)client, (void)peer, (void)reason, (void)connection;
    assert_true(error == SIGNPOST_ERROR_CANCELLED || error == SIGNPOST_ERROR_STOPPED);
    ++*(unsigned *)user;
}

static bool are_all(void *user)
{
    return *(unsigned *)user == REQUESTS_MAX;
}

/* The application asks for so many connections that the mesh cannot ask for one. */
static void test_mesh_goes_on_when_there_is_room_again(void **state)
{
    struct fixture *fixture = *state;
    struct node *a = add_node(fixture, "a");
    uint64_t requests[REQUESTS_MAX];
    unsigned cancelled = 0;

    start_client(a);
    listen_at(a, NULL);
    for (size_t i = 0; i < REQUESTS_MAX; i++)
        assert_int_equal(
            signpost_connect(a->client, "nobody", NULL, on_never, &cancelled, &requests[i]), 0);
    assert_int_equal(start_mesh(a, 0), 0);
    struct node *b = start(fixture, "b", 0);
    help_run_until(&fixture->loop, was_troubled, a);
    for (size_t i = REQUESTS_MAX; i-- > 0;)
        signpost_connect_cancel(a->client, requests[i]);
    help_run_until(&fixture->loop, are_all, &cancelled);
    run_until_full(fixture);
    assert_int_equal(b->links_made, 1);
}

/* It has failed, but nobody was told yet. */
static void test_request_that_is_called_off_late_says_so(void **state)
{
    struct fixture *fixture = *state;
    struct node *a = start(fixture, "a", 0);
    unsigned cancelled = 0;
    uint64_t request;

    help_run_until(&fixture->loop, is_ready, a);
    assert_int_equal(
        signpost_connect(a->client, "nobody", NULL, on_never, &cancelled, &request), 0);
    help_run_until(&fixture->loop, has_begun, a);
    direct_fail_request(a->client->direct, "nobody", SIGNPOST_ERROR_NO_PATH, "there is no path");
    signpost_connect_cancel(a->client, request);
    stop_and_wait(a);
    assert_int_equal(cancelled, 1);
}

/* A session that the peer began ends; what was asked for just now is not yet a part of it. */
static void test_request_that_has_not_begun_goes_on(void **state)
{
    struct fixture *fixture = *state;
    struct node *a = start(fixture, "a", 0);
    struct signpost_session *session;
    unsigned cancelled = 0;
    uint64_t request;

    help_run_until(&fixture->loop, is_ready, a);
    assert_int_equal(sessions_get(a->client->sessions, "nobody", "direct", &session), 0);
    session_receive(session->machine,
        &(struct session_message){.session = "s1", .payload = "accept"}, client_now_ms(a->client));
    assert_int_equal(
        signpost_connect(a->client, "nobody", NULL, on_never, &cancelled, &request), 0);
    session_close(session->machine, client_now_ms(a->client));
    help_run_until(&fixture->loop, has_begun, a);
    stop_and_wait(a);
    assert_int_equal(cancelled, 1);
}

static void on_wished(signpost_t *client, const char *peer, int error, const char *reason,
    const signpost_connection_t *connection, void *user)
{
    (void)client, (void)peer, (void)reason;
    assert_int_equal(error, 0);
    *(int *)user = connection->called;
    close(connection->fd);
}

static bool are_both(void *user)
{
    const int *called = user;
    return called[0] >= 0 && called[1] >= 0;
}

static void test_of_two_that_connect_at_once_one_was_called(void **state)
{
    struct fixture *fixture = *state;
    struct node *a = add_node(fixture, "a"), *b = add_node(fixture, "b");
    int called[] = {-1, -1};

    start_client(a);
    start_client(b);
    listen_at(a, NULL);
    listen_at(b, NULL);
    help_run_until(&fixture->loop, is_ready, a);
    help_run_until(&fixture->loop, is_ready, b);
    assert_int_equal(signpost_connect(a->client, "b", NULL, on_wished, &called[0], NULL), 0);
    assert_int_equal(signpost_connect(b->client, "a", NULL, on_wished, &called[1], NULL), 0);
    help_run_until(&fixture->loop, are_both, called);
    assert_int_equal(called[0], 0);
    assert_int_equal(called[1], 1);
}

/* The peer leaves while it is connected to. */
static void test_connect_to_a_peer_that_leaves_is_called_off(void **state)
{
    struct fixture *fixture = *state;
    struct node *a = start(fixture, "a", 0), *b = add_node(fixture, "b");

    start_client(b); /* without a mesh: it does not answer */
    help_run_until(&fixture->loop, is_ready, a);
    help_run_until(&fixture->loop, is_ready, b);
    stop_and_wait(b);
    come_back(b);
    run_until_full(fixture);
    assert_int_equal(a->links_made, 1);
    assert_int_equal(a->troubles, 0);
}

/* --- addresses ------------------------------------------------------------------------------- */

static void lose_all(struct node *node, const char *peer)
{
    (void)peer;
    while (node->links) {
        char other[65];
        strcpy(other, node->links->peer);
        lose(node, other);
    }
}

static bool has_none(void *user)
{
    return !((struct node *)user)->links;
}

/* Loopback has many addresses, of which only one is told: its links seem to come from one that is
 * gone. */
static void test_links_of_an_address_that_is_gone_end(void **state)
{
    struct fixture *fixture = *state;
    struct node *z;

    start(fixture, "b", 0);
    start(fixture, "c", 0);
    z = add_node(fixture, "z");
    start_client(z);
    listen_at(z, "127.0.0.2");
    assert_int_equal(start_mesh(z, 0), 0);
    run_until_full(fixture);
    mesh_addresses_changed(z->client->mesh);
    assert_int_equal(z->unlinks, 2);
    assert_true(has_none(z));
    run_until_full(fixture);
}

/* The application takes that for the end of all its connections; of peers that are in no table any
 * more nothing is left then. */
static void test_application_loses_others_inside_on_unlink(void **state)
{
    struct fixture *fixture = *state;
    struct node *z;

    start(fixture, "b", 0);
    start(fixture, "c", 0);
    z = add_node(fixture, "z");
    start_client(z);
    listen_at(z, "127.0.0.2");
    assert_int_equal(start_mesh(z, 0), 0);
    run_until_full(fixture);
    mesh_peer(z->client->mesh, SIGNPOST_PEER_DOWN, &(signpost_peer_t){.id = "b"});
    mesh_peer(z->client->mesh, SIGNPOST_PEER_DOWN, &(signpost_peer_t){.id = "c"});
    z->on_unlink = lose_all;
    mesh_addresses_changed(z->client->mesh);
    assert_int_equal(z->unlinks, 1);
    assert_true(has_none(z));
}

static void test_stop_when_an_address_is_gone_is_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct node *z;

    start(fixture, "b", 0);
    start(fixture, "c", 0);
    z = add_node(fixture, "z");
    start_client(z);
    listen_at(z, "127.0.0.2");
    assert_int_equal(start_mesh(z, 0), 0);
    run_until_full(fixture);
    z->on_unlink = stop_inside;
    mesh_addresses_changed(z->client->mesh);
    assert_int_equal(z->unlinks, 1);
}

/* --- arguments ------------------------------------------------------------------------------- */

static void test_arguments_that_are_wrong_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct node *a = add_node(fixture, "a");
    signpost_mesh_config_t config = {.on_link = on_link, .on_unlink = on_unlink, .user = a};

    start_client(a);
    assert_int_equal(signpost_mesh_start(a->client, &config, &a->mesh), SIGNPOST_ERROR_INVALID);
    listen_at(a, NULL);
    config.neighbours = 1;
    assert_int_equal(signpost_mesh_start(a->client, &config, &a->mesh), SIGNPOST_ERROR_INVALID);
    config.neighbours = MESH_NEIGHBOURS_MAX + 1;
    assert_int_equal(signpost_mesh_start(a->client, &config, &a->mesh), SIGNPOST_ERROR_INVALID);
    config.neighbours = 0;
    config.dead_after_s = UINT32_MAX / 1000 + 1; /* in milliseconds it would be a short time */
    assert_int_equal(signpost_mesh_start(a->client, &config, &a->mesh), SIGNPOST_ERROR_INVALID);
    config.dead_after_s = 86400;
    assert_int_equal(signpost_mesh_start(a->client, &config, &a->mesh), 0);
    assert_int_equal(signpost_mesh_start(a->client, &config, &a->mesh), SIGNPOST_ERROR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_mesh_of_five_is_full),
        TEST(test_mesh_of_six_with_two_neighbours_is_a_ring),
        TEST(test_node_that_comes_back_is_linked_again),
        TEST(test_peer_that_connects_again_is_unlinked_first),
        TEST(test_links_that_are_closed_at_once_come_again),
        TEST(test_stop_inside_on_link_is_the_end),
        TEST(test_stop_inside_on_unlink_is_the_end),
        TEST(test_stop_inside_on_unlink_while_a_peer_calls),
        TEST(test_stop_inside_on_trouble_is_the_end),
        TEST(test_links_outlive_the_index),
        TEST(test_link_that_was_lost_comes_again_with_the_index),
        TEST(test_mesh_goes_on_when_there_is_room_again),
        TEST(test_request_that_is_called_off_late_says_so),
        TEST(test_request_that_has_not_begun_goes_on),
        TEST(test_of_two_that_connect_at_once_one_was_called),
        TEST(test_connect_to_a_peer_that_leaves_is_called_off),
        TEST(test_links_of_an_address_that_is_gone_end),
        TEST(test_application_loses_others_inside_on_unlink),
        TEST(test_stop_when_an_address_is_gone_is_the_end),
        TEST(test_arguments_that_are_wrong_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
