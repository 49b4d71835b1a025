/* A router that speaks PCP and NAT-PMP, does what the test wants, and remembers what it maps: a
 * socket of loopback. The real one, miniupnpd, is in tests/nat. */
#include "nat/gateway_internal.h"
#include "nat/mapping_internal.h"
#include "signpost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ADDRESS "127.0.0.77"

struct router {
    uv_loop_t loop;
    uv_timer_t tick; /* so that one turn of the loop always ends */
    uv_udp_t udp;
    char buffer[2048];
    /* what it does */
    bool pcp, natpmp, silent, from_elsewhere, only_old;
    uint8_t refuses; /* the result code of a mapping */
    uint8_t wan[4];
    uint16_t gives; /* 0: the port wished for */
    uv_udp_t elsewhere;
    /* what happened to it */
    unsigned made, removed, announced;
    uint32_t lifetime_s;
    /* what the test was told */
    struct gateway_found found;
    unsigned probed, mapped, unmapped;
    signpost_mapping_status_t status;
    char detail[256], protocol[16];
    signpost_mapping_t *mapping;
    bool unmaps_inside;
};

static void reply(
    struct router *router, const uint8_t *bytes, size_t size, const struct sockaddr *to)
{
    uv_buf_t out = uv_buf_init((char *)bytes, (unsigned)size);
    uv_udp_try_send(router->from_elsewhere ? &router->elsewhere : &router->udp, &out, 1, to);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void note_mapping(struct router *router, uint32_t lifetime_s)
{
    if (lifetime_s)
        router->made++;
    else
        router->removed++;
    router->lifetime_s = lifetime_s;
}

static void answer_pcp(
    struct router *router, const uint8_t *request, size_t size, const struct sockaddr *to)
{
    uint8_t out[60] = {2};

    memcpy(out, request, size < sizeof out ? size : sizeof out);
    out[1] |= 0x80;
    memset(out + 8, 0, 16);
    if (request[1] == 0) {
        router->announced++;
        reply(router, out, 24, to);
        return;
    }
    out[3] = router->refuses;
    if (!router->refuses)
        note_mapping(router, get32(request + 4));
    if (router->gives) {
        out[42] = (uint8_t)(router->gives >> 8);
        out[43] = (uint8_t)router->gives;
    }
    memset(out + 44, 0, 16);
    out[54] = out[55] = 0xFF;
    memcpy(out + 56, router->wan, 4);
    reply(router, out, sizeof out, to);
}

static void answer_natpmp(struct router *router, const uint8_t *request, const struct sockaddr *to)
{
    uint8_t out[16] = {0, request[1] | 0x80, 0, 0, 0, 0, 0, 1};

    if (request[1] == 0) {
        memcpy(out + 8, router->wan, 4);
        reply(router, out, 12, to);
        return;
    }
    out[3] = router->refuses;
    if (!router->refuses)
        note_mapping(router, get32(request + 8));
    memcpy(out + 8, request + 4, 8);
    if (router->gives) {
        out[10] = (uint8_t)(router->gives >> 8);
        out[11] = (uint8_t)router->gives;
    }
    reply(router, out, 16, to);
}

static void on_request(uv_udp_t *udp, ssize_t size, const uv_buf_t *buffer,
    const struct sockaddr *from, unsigned flags)
{
    static const uint8_t too_new[] = {0, 0x80, 0, 1, 0, 0, 0, 1};
    struct router *router = udp->data;
    const uint8_t *request = (const uint8_t *)buffer->base;

    (void)flags;
    if (size < 2 || !from || router->silent)
        return;
    if (request[0] == 2 && router->pcp)
        answer_pcp(router, request, (size_t)size, from);
    else if (request[0] == 2 && router->only_old)
        reply(router, too_new, sizeof too_new, from);
    else if (request[0] == 0 && router->natpmp)
        answer_natpmp(router, request, from);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret_buffer)
{
    struct router *router = handle->data;
    (void)size;
    *ret_buffer = uv_buf_init(router->buffer, sizeof router->buffer);
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static int setup(void **state)
{
    struct router *router = calloc(1, sizeof *router);
    struct sockaddr_in address;

    uv_loop_init(&router->loop);
    uv_timer_init(&router->loop, &router->tick);
    uv_timer_start(&router->tick, on_tick, 10, 10);
    uv_udp_init(&router->loop, &router->udp);
    uv_udp_init(&router->loop, &router->elsewhere);
    router->udp.data = router;
    uv_ip4_addr(ADDRESS, GATEWAY_PORT, &address);
    assert_int_equal(uv_udp_bind(&router->udp, (struct sockaddr *)&address, 0), 0);
    uv_udp_recv_start(&router->udp, on_alloc, on_request);
    uv_ip4_addr("127.0.0.78", 0, &address);
    assert_int_equal(uv_udp_bind(&router->elsewhere, (struct sockaddr *)&address, 0), 0);
    memcpy(router->wan, "\x49\0\0\x0a", 4);
    *state = router;
    return 0;
}

static int teardown(void **state)
{
    struct router *router = *state;

    uv_close((uv_handle_t *)&router->tick, NULL);
    uv_close((uv_handle_t *)&router->udp, NULL);
    uv_close((uv_handle_t *)&router->elsewhere, NULL);
    uv_run(&router->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&router->loop), 0);
    free(router);
    return 0;
}

/* UPnP is not there: its description is at a port where nobody listens. */
static const struct gateway_target target = {
    .address = ADDRESS, .local = "127.0.0.1", .upnp_url = "http://" ADDRESS ":9/rootDesc.xml"};

/* --- the probe ------------------------------------------------------------------------------- */

static void on_found(const struct gateway_found *found, void *user)
{
    struct router *router = user;

    router->found = *found;
    router->probed++;
}

static const struct gateway_found *probes(struct router *router)
{
    struct gateway_probe *probe;

    assert_int_equal(gateway_start_at(&router->loop, &target, on_found, router, &probe), 0);
    while (!router->probed)
        uv_run(&router->loop, UV_RUN_ONCE);
    return &router->found;
}

static void test_probe_finds_both_protocols_and_the_outer_address(void **state)
{
    struct router *router = *state;

    router->pcp = router->natpmp = true;
    const struct gateway_found *found = probes(router);
    assert_string_equal(found->address, ADDRESS);
    assert_int_equal(found->by[GATEWAY_PCP].present, NAT_YES);
    assert_int_equal(found->by[GATEWAY_NATPMP].present, NAT_YES);
    assert_string_equal(found->by[GATEWAY_NATPMP].wan, "73.0.0.10");
    assert_int_equal(found->by[GATEWAY_UPNP].present, NAT_NO);
    assert_int_equal(router->made, 0); /* looking makes nothing */
}

static void test_probe_of_a_router_without_an_outer_address_says_so(void **state)
{
    struct router *router = *state;

    router->natpmp = router->only_old = true;
    memset(router->wan, 0, 4);
    const struct gateway_found *found = probes(router);
    assert_int_equal(found->by[GATEWAY_PCP].present, NAT_NO);
    assert_int_equal(found->by[GATEWAY_NATPMP].has_wan, NAT_NO);
}

static void test_probe_of_a_silent_router_ends_and_finds_nothing(void **state)
{
    struct router *router = *state;

    router->silent = true;
    const struct gateway_found *found = probes(router);
    for (int i = 0; i < GATEWAY_PROTOCOLS; i++)
        assert_int_equal(found->by[i].present, NAT_NO);
}

static void test_probe_passes_over_answers_of_others(void **state)
{
    struct router *router = *state;

    router->pcp = router->natpmp = router->from_elsewhere = true;
    const struct gateway_found *found = probes(router);
    assert_int_equal(found->by[GATEWAY_PCP].present, NAT_NO);
    assert_int_equal(found->by[GATEWAY_NATPMP].present, NAT_NO);
}

static void test_probe_that_is_closed_never_answers(void **state)
{
    struct router *router = *state;
    struct gateway_probe *probe;

    router->silent = true;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(gateway_start_at(&router->loop, &target, on_found, router, &probe), 0);
        uv_run(&router->loop, UV_RUN_NOWAIT);
        gateway_close(probe);
    }
    for (int i = 0; i < 10; i++)
        uv_run(&router->loop, UV_RUN_ONCE);
    assert_int_equal(router->probed, 0);
}

/* --- the keeper ------------------------------------------------------------------------------ */

static void on_removed(void *user)
{
    ((struct router *)user)->unmapped++;
}

static void on_mapping(
    signpost_mapping_t *mapping, const signpost_mapping_status_t *status, void *user)
{
    struct router *router = user;

    router->mapped++;
    router->status = *status;
    strncpy(router->detail, status->detail, sizeof router->detail - 1);
    strncpy(router->protocol, status->protocol, sizeof router->protocol - 1);
    if (router->unmaps_inside)
        signpost_unmap_port(mapping, on_removed, router);
}

static void begins(struct router *router, bool udp)
{
    signpost_mapping_config_t config = {
        .port = 50051, .udp = udp, .on_mapping = on_mapping, .user = router};

    assert_int_equal(mapping_start_at(&router->loop, &config, &target, &router->mapping), 0);
    assert_int_equal(router->mapped, 0);
}

static void maps(struct router *router, bool udp)
{
    begins(router, udp);
    while (!router->mapped)
        uv_run(&router->loop, UV_RUN_ONCE);
}

static void unmaps(struct router *router)
{
    if (!router->unmaps_inside)
        signpost_unmap_port(router->mapping, on_removed, router);
    while (!router->unmapped)
        uv_run(&router->loop, UV_RUN_ONCE);
    assert_int_equal(router->unmapped, 1);
}

static void test_mapping_by_pcp_is_made_and_removed(void **state)
{
    struct router *router = *state;

    router->pcp = router->natpmp = true;
    maps(router, false);
    assert_int_equal(router->status.error, 0);
    assert_string_equal(router->protocol, "pcp");
    assert_int_equal(router->status.port, 50051);
    assert_int_equal(router->lifetime_s, 3600);
    unmaps(router);
    assert_int_equal(router->made, 1);
    assert_int_equal(router->removed, 1);
}

static void test_mapping_by_natpmp_is_made_where_there_is_no_pcp(void **state)
{
    struct router *router = *state;

    router->natpmp = router->only_old = true;
    router->gives = 50060;
    maps(router, true);
    assert_int_equal(router->status.error, 0);
    assert_string_equal(router->protocol, "nat-pmp");
    assert_int_equal(router->status.port, 50060);
    unmaps(router);
    assert_int_equal(router->removed, 1);
}

static void test_mapping_that_is_refused_is_told_with_the_reason(void **state)
{
    struct router *router = *state;

    router->pcp = true;
    router->refuses = 2;
    maps(router, false);
    assert_int_equal(router->status.error, SIGNPOST_ERROR_NO_MAPPING);
    assert_non_null(strstr(router->detail, "pcp: it does not allow"));
    unmaps(router);
    assert_int_equal(router->removed, 0);
}

static void test_mapping_of_no_router_is_told(void **state)
{
    struct router *router = *state;

    router->silent = true;
    maps(router, false);
    assert_int_equal(router->status.error, SIGNPOST_ERROR_NO_GATEWAY);
    unmaps(router);
}

static void test_mapping_may_be_removed_from_inside_its_callback(void **state)
{
    struct router *router = *state;

    router->pcp = router->unmaps_inside = true;
    maps(router, false);
    unmaps(router);
    assert_int_equal(router->removed, 1);
}

static void test_mapping_unwanted_while_it_is_made_does_not_stay(void **state)
{
    struct router *router = *state;

    router->pcp = true;
    for (int turns = 0; turns < 8; turns++) {
        router->made = router->removed = router->unmapped = 0;
        begins(router, false);
        for (int i = 0; i < turns; i++)
            uv_run(&router->loop, UV_RUN_NOWAIT);
        unmaps(router);
        assert_int_equal(router->removed >= (router->made ? 1 : 0), 1);
        router->mapped = 0;
    }
}

static void test_mapping_with_nonsense_is_invalid(void **state)
{
    struct router *router = *state;
    signpost_mapping_config_t config = {.port = 0};

    assert_int_equal(
        signpost_map_port(&router->loop, &config, &router->mapping), SIGNPOST_ERROR_INVALID);
    assert_int_equal(
        signpost_map_port(&router->loop, NULL, &router->mapping), SIGNPOST_ERROR_INVALID);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_probe_finds_both_protocols_and_the_outer_address),
        TEST(test_probe_of_a_router_without_an_outer_address_says_so),
        TEST(test_probe_of_a_silent_router_ends_and_finds_nothing),
        TEST(test_probe_passes_over_answers_of_others),
        TEST(test_probe_that_is_closed_never_answers),
        TEST(test_mapping_by_pcp_is_made_and_removed),
        TEST(test_mapping_by_natpmp_is_made_where_there_is_no_pcp),
        TEST(test_mapping_that_is_refused_is_told_with_the_reason),
        TEST(test_mapping_of_no_router_is_told),
        TEST(test_mapping_may_be_removed_from_inside_its_callback),
        TEST(test_mapping_unwanted_while_it_is_made_does_not_stay),
        TEST(test_mapping_with_nonsense_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
