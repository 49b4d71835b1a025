/* The UDP probe: what it hears at its port, and what it makes of what STUN servers say. The servers
 * here are sockets of loopback that play every NAT by what they claim to have seen. */
#include "nat/stun.h"
#include "nat/udp.h"
#include "signpost.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SERVERS_MAX 4
#define LOCAL "127.0.0.1"

/* One socket of a STUN server. */
struct server {
    uv_udp_t udp;
    struct world *world;
    char address[46];
    uint16_t port;
    unsigned asked; /* requests without CHANGE-REQUEST */
    /* what it claims; `saw` "": the truth, port 0: the truth */
    const char *saw;
    uint16_t saw_port;
    bool silent, garbled, wrong_id, elsewhere;
    int other;                  /* its OTHER-ADDRESS is this server; -1: none */
    int change_ip, change_port; /* who answers CHANGE-REQUEST; -1: nobody */
};

struct world {
    uv_loop_t loop;
    uv_timer_t tick; /* so that one turn of the loop always ends */
    struct server servers[SERVERS_MAX];
    size_t count;
    struct udp *udp;
    struct udp_behaviour behaviour;
    unsigned discovered, heard;
    char buffer[2048];
};

/* --- the servers ----------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret_buffer)
{
    struct server *server = handle->data;
    (void)size;
    *ret_buffer = uv_buf_init(server->world->buffer, sizeof server->world->buffer);
}

static void put_address(uint8_t *at, const char *address, uint16_t port)
{
    struct in_addr ipv4;

    inet_pton(AF_INET, address, &ipv4);
    at[0] = 0;
    at[1] = 1;
    at[2] = (uint8_t)(port >> 8);
    at[3] = (uint8_t)port;
    memcpy(at + 4, &ipv4, 4);
}

static size_t write_reply(const struct server *server, const uint8_t *request,
    const struct sockaddr_in *from, uint8_t ret_reply[64])
{
    char seen[46];
    size_t size = 32;

    inet_ntop(AF_INET, &from->sin_addr, seen, sizeof seen);
    memcpy(ret_reply, request, 20);
    ret_reply[0] = 1;
    ret_reply[1] = 1;
    memcpy(ret_reply + 20, "\0\x01\0\x08", 4);
    put_address(ret_reply + 24, server->saw ? server->saw : seen,
        server->saw_port ? server->saw_port : ntohs(from->sin_port));
    if (server->other >= 0) {
        const struct server *other = &server->world->servers[server->other];
        memcpy(ret_reply + size, "\x80\x2c\0\x08", 4);
        put_address(ret_reply + size + 4, other->address, other->port);
        size += 12;
    }
    ret_reply[2] = 0;
    ret_reply[3] = (uint8_t)(size - 20);
    if (server->wrong_id)
        ret_reply[19] ^= 1;
    if (server->garbled)
        ret_reply[23] = 200;
    return size;
}

static void on_request(uv_udp_t *udp, ssize_t size, const uv_buf_t *buffer,
    const struct sockaddr *from, unsigned flags)
{
    struct server *server = udp->data;
    struct world *world = server->world;
    uint8_t reply[64];
    int who = (int)(server - world->servers);

    (void)flags;
    if (size < 20 || !from)
        return;
    if (size == STUN_REQUEST_SIZE)
        who = (uint8_t)buffer->base[27] & STUN_CHANGE_IP ? server->change_ip : server->change_port;
    else
        server->asked++;
    if (server->silent || who < 0)
        return;
    if (server->elsewhere)
        who = (who + 1) % (int)world->count;
    size_t length = write_reply(server, (const uint8_t *)buffer->base,
        (const struct sockaddr_in *)(const void *)from, reply);
    uv_buf_t out = uv_buf_init((char *)reply, (unsigned)length);
    uv_udp_try_send(&world->servers[who].udp, &out, 1, from);
}

/* `beside`: at the address of that server, with another port. */
static struct server *add_server(struct world *world, const char *address)
{
    struct server *server = &world->servers[world->count++];
    struct sockaddr_in at;
    int length = sizeof at;

    *server = (struct server){.world = world, .other = -1, .change_ip = -1, .change_port = -1};
    snprintf(server->address, sizeof server->address, "%s", address);
    uv_udp_init(&world->loop, &server->udp);
    server->udp.data = server;
    uv_ip4_addr(address, 0, &at);
    assert_int_equal(uv_udp_bind(&server->udp, (struct sockaddr *)&at, 0), 0);
    uv_udp_getsockname(&server->udp, (struct sockaddr *)&at, &length);
    server->port = ntohs(at.sin_port);
    uv_udp_recv_start(&server->udp, on_alloc, on_request);
    return server;
}

/* --- the world ------------------------------------------------------------------------------- */

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    uv_loop_init(&world->loop);
    uv_timer_init(&world->loop, &world->tick);
    uv_timer_start(&world->tick, on_tick, 10, 10);
    assert_int_equal(udp_open(&world->loop, NAT_IPV4, 0, &world->udp), 0);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;

    udp_close(world->udp);
    uv_close((uv_handle_t *)&world->tick, NULL);
    for (size_t i = 0; i < world->count; i++)
        uv_close((uv_handle_t *)&world->servers[i].udp, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    free(world);
    return 0;
}

static void on_discovered(const struct udp_behaviour *behaviour, void *user)
{
    struct world *world = user;

    world->behaviour = *behaviour;
    world->discovered++;
}

static void on_heard(void *user)
{
    ((struct world *)user)->heard++;
}

/* Asks the first `count` servers. */
static const struct udp_behaviour *discovers(struct world *world, size_t count, const char *local)
{
    char texts[SERVERS_MAX][NAT_ENDPOINT_SIZE];
    const char *list[SERVERS_MAX];
    unsigned before = world->discovered;

    for (size_t i = 0; i < count; i++) {
        snprintf(texts[i], sizeof texts[i], "%s:%u", world->servers[i].address,
            (unsigned)world->servers[i].port);
        list[i] = texts[i];
    }
    assert_int_equal(udp_discover(world->udp, list, count, local, on_discovered, world), 0);
    assert_int_equal(world->discovered, before);
    while (world->discovered == before)
        uv_run(&world->loop, UV_RUN_ONCE);
    return &world->behaviour;
}

/* --- mappings -------------------------------------------------------------------------------- */

static void test_mapping_without_nat_is_none(void **state)
{
    struct world *world = *state;

    add_server(world, "127.0.0.2");
    const struct udp_behaviour *behaviour = discovers(world, 1, LOCAL);
    assert_int_equal(behaviour->mapping, NAT_MAPPING_NONE);
    assert_int_equal(behaviour->port_preserved, NAT_YES);
    assert_int_equal(behaviour->seen_count, 1);
    assert_string_equal(behaviour->seen[0].address, LOCAL);
    assert_int_equal(behaviour->seen[0].port, udp_port(world->udp));
}

static void test_mapping_seen_at_one_address_alone_is_not_known(void **state)
{
    struct world *world = *state;

    add_server(world, "127.0.0.2")->saw = "192.0.2.7";
    add_server(world, "127.0.0.2")->saw = "192.0.2.7";
    assert_int_equal(discovers(world, 2, LOCAL)->mapping, NAT_MAPPING_UNKNOWN);
    assert_int_equal(world->behaviour.seen_count, 2);
}

static void test_mapping_that_is_the_same_at_two_addresses_is_endpoint_independent(void **state)
{
    struct world *world = *state;

    add_server(world, "127.0.0.2")->saw = "192.0.2.7";
    add_server(world, "127.0.0.3")->saw = "192.0.2.7";
    assert_int_equal(discovers(world, 2, LOCAL)->mapping, NAT_MAPPING_ENDPOINT);
}

static void test_mapping_by_address_needs_two_ports_of_one(void **state)
{
    struct world *world = *state;

    add_server(world, "127.0.0.2")->saw_port = 5000;
    add_server(world, "127.0.0.3")->saw_port = 5001;
    assert_int_equal(discovers(world, 2, LOCAL)->mapping, NAT_MAPPING_VARYING);
    add_server(world, "127.0.0.2")->saw_port = 5000;
    assert_int_equal(discovers(world, 3, LOCAL)->mapping, NAT_MAPPING_ADDRESS);
    assert_int_equal(world->behaviour.port_preserved, NAT_NO);
}

static void test_mapping_by_port_is_told(void **state)
{
    struct world *world = *state;

    add_server(world, "127.0.0.2")->saw_port = 5000;
    add_server(world, "127.0.0.2")->saw_port = 5001;
    assert_int_equal(discovers(world, 2, LOCAL)->mapping, NAT_MAPPING_ADDRESS_AND_PORT);
}

/* --- filtering ------------------------------------------------------------------------------- */

/* An RFC 5780 server of four sockets: two addresses with the same two ports would be the rule; here
 * the ports differ, and the one at the other address is `other`. */
static struct server *add_pair(struct world *world, int change_ip, int change_port)
{
    struct server *server = add_server(world, "127.0.0.2");

    server->saw = "192.0.2.7";
    server->other = 1;
    server->change_ip = change_ip;
    server->change_port = change_port;
    add_server(world, "127.0.0.3")->saw = "192.0.2.7";
    add_server(world, "127.0.0.2");
    return server;
}

static void test_filtering_that_lets_anyone_in_is_endpoint_independent(void **state)
{
    struct world *world = *state;

    add_pair(world, 1, 2);
    const struct udp_behaviour *behaviour = discovers(world, 1, LOCAL);
    assert_int_equal(behaviour->filtering, NAT_FILTERING_ENDPOINT);
    assert_int_equal(behaviour->mapping, NAT_MAPPING_ENDPOINT);
    assert_int_equal(world->servers[1].asked, 1);
}

static void test_filtering_by_address_is_told(void **state)
{
    struct world *world = *state;

    add_pair(world, -1, 2);
    assert_int_equal(discovers(world, 1, LOCAL)->filtering, NAT_FILTERING_ADDRESS);
}

static void test_filtering_by_address_and_port_is_told(void **state)
{
    struct world *world = *state;

    add_pair(world, -1, -1);
    assert_int_equal(discovers(world, 1, LOCAL)->filtering, NAT_FILTERING_ADDRESS_AND_PORT);
}

static void test_filtering_of_a_server_that_changes_nothing_is_not_known(void **state)
{
    struct world *world = *state;

    add_pair(world, 0, 0);
    assert_int_equal(discovers(world, 1, LOCAL)->filtering, NAT_FILTERING_UNKNOWN);
}

static void test_filtering_is_not_asked_for_where_the_other_address_was_contacted(void **state)
{
    struct world *world = *state;

    add_pair(world, 1, 2);
    assert_int_equal(discovers(world, 2, LOCAL)->filtering, NAT_FILTERING_UNKNOWN);
    assert_int_equal(world->behaviour.mapping, NAT_MAPPING_ENDPOINT);
}

/* --- servers that are no help ---------------------------------------------------------------- */

static void test_silent_servers_are_asked_and_nothing_is_known(void **state)
{
    struct world *world = *state;

    add_server(world, "127.0.0.2")->silent = true;
    add_server(world, "127.0.0.3")->wrong_id = true;
    add_server(world, "127.0.0.4")->garbled = true;
    const struct udp_behaviour *behaviour = discovers(world, 3, LOCAL);
    assert_int_equal(behaviour->asked, 3);
    assert_int_equal(behaviour->seen_count, 0);
    assert_int_equal(behaviour->mapping, NAT_MAPPING_UNKNOWN);
    assert_int_equal(behaviour->port_preserved, NAT_UNTESTED);
    assert_true(world->servers[0].asked > 1); /* a request that is lost is sent again */
}

static void test_reply_from_another_address_does_not_count(void **state)
{
    struct world *world = *state;

    add_server(world, "127.0.0.2")->elsewhere = true;
    add_server(world, "127.0.0.3");
    const struct udp_behaviour *behaviour = discovers(world, 2, LOCAL);
    assert_int_equal(behaviour->seen_count, 1);
    assert_non_null(strstr(behaviour->seen[0].server, "127.0.0.3:"));
}

static void test_server_that_is_none_is_told(void **state)
{
    struct world *world = *state;
    const char *const wrong[] = {"", ":3478", "[::1", "host:0", "host:70000", "host:1x"};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        unsigned before = world->discovered;
        assert_int_equal(udp_discover(world->udp, &wrong[i], 1, LOCAL, on_discovered, world), 0);
        while (world->discovered == before)
            uv_run(&world->loop, UV_RUN_ONCE);
        assert_int_equal(world->behaviour.asked, 0);
        assert_non_null(strstr(world->behaviour.detail, "is no STUN server"));
    }
}

static void test_name_that_does_not_resolve_is_told(void **state)
{
    struct world *world = *state;
    const char *const name = "nobody.invalid";

    assert_int_equal(udp_discover(world->udp, &name, 1, LOCAL, on_discovered, world), 0);
    while (!world->discovered)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_equal(world->behaviour.asked, 0);
}

static void test_name_is_resolved(void **state)
{
    struct world *world = *state;
    char text[NAT_ENDPOINT_SIZE];
    const char *const list = text;

    snprintf(text, sizeof text, "localhost:%u", (unsigned)add_server(world, "127.0.0.1")->port);
    assert_int_equal(udp_discover(world->udp, &list, 1, LOCAL, on_discovered, world), 0);
    while (!world->discovered)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_equal(world->behaviour.seen_count, 1);
}

/* --- what it hears, and its life ------------------------------------------------------------- */

static void sends(struct world *world, const char *text, size_t size)
{
    struct sockaddr_in to;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    uv_ip4_addr(LOCAL, udp_port(world->udp), &to);
    assert_int_equal(sendto(fd, text, size, 0, (struct sockaddr *)&to, sizeof to), size);
    close(fd);
}

#define NONCE "00112233445566778899aabbccddeeff"

static void test_expected_datagram_is_heard_once_and_no_other_is(void **state)
{
    struct world *world = *state;

    udp_expect(world->udp, NONCE, on_heard, world);
    sends(world, NONCE, 31);
    sends(world, NONCE "0", 33);
    sends(world, "00112233445566778899aabbccddeefe", 32);
    sends(world, "", 0);
    for (int i = 0; i < 20; i++)
        uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_int_equal(world->heard, 0);
    sends(world, NONCE, 32);
    sends(world, NONCE, 32);
    while (!world->heard)
        uv_run(&world->loop, UV_RUN_ONCE);
    for (int i = 0; i < 20; i++)
        uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_int_equal(world->heard, 1);
    udp_expect(world->udp, NONCE, on_heard, world);
    udp_expect(world->udp, NULL, NULL, NULL);
    sends(world, NONCE, 32);
    for (int i = 0; i < 20; i++)
        uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_int_equal(world->heard, 1);
}

static void test_port_that_is_held_is_told(void **state)
{
    struct world *world = *state;
    struct udp *other;

    assert_int_equal(
        udp_open(&world->loop, NAT_IPV4, udp_port(world->udp), &other), SIGNPOST_ERROR_ADDRESS);
}

static void test_closing_ends_a_discovery_without_its_callback(void **state)
{
    struct world *world = *state;
    const char *const servers[] = {"127.0.0.2:9", "nobody.invalid"};

    assert_int_equal(udp_discover(world->udp, servers, 2, LOCAL, on_discovered, world), 0);
    assert_int_equal(
        udp_discover(world->udp, servers, 2, LOCAL, on_discovered, world), SIGNPOST_ERROR_INVALID);
    uv_run(&world->loop, UV_RUN_NOWAIT);
    udp_close(world->udp);
    for (int i = 0; i < 20; i++)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_equal(world->discovered, 0);
    assert_int_equal(udp_open(&world->loop, NAT_IPV4, 0, &world->udp), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_mapping_without_nat_is_none),
        TEST(test_mapping_seen_at_one_address_alone_is_not_known),
        TEST(test_mapping_that_is_the_same_at_two_addresses_is_endpoint_independent),
        TEST(test_mapping_by_address_needs_two_ports_of_one),
        TEST(test_mapping_by_port_is_told),
        TEST(test_filtering_that_lets_anyone_in_is_endpoint_independent),
        TEST(test_filtering_by_address_is_told),
        TEST(test_filtering_by_address_and_port_is_told),
        TEST(test_filtering_of_a_server_that_changes_nothing_is_not_known),
        TEST(test_filtering_is_not_asked_for_where_the_other_address_was_contacted),
        TEST(test_silent_servers_are_asked_and_nothing_is_known),
        TEST(test_reply_from_another_address_does_not_count),
        TEST(test_server_that_is_none_is_told),
        TEST(test_name_that_does_not_resolve_is_told),
        TEST(test_name_is_resolved),
        TEST(test_expected_datagram_is_heard_once_and_no_other_is),
        TEST(test_port_that_is_held_is_told),
        TEST(test_closing_ends_a_discovery_without_its_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
