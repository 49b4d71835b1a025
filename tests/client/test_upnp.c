/* UPnP-IGD with a router that lies, refuses and talks garbage: an HTTP server of loopback. The real
 * one, miniupnpd, is in tests/nat. */
#include "nat/gateway_internal.h"
#include "nat/mapping_internal.h"
#include "signpost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ADDRESS "127.0.0.79"
#define SERVICE "urn:schemas-upnp-org:service:WANIPConnection:1"

struct igd {
    uv_loop_t loop;
    uv_timer_t tick; /* so that one turn of the loop always ends */
    uv_tcp_t listener;
    struct gateway_target target;
    /* what it does */
    const char *description; /* NULL: a good one with these: */
    const char *model, *control_url;
    const char *wan;
    unsigned refuses[4]; /* the codes for the first mappings that are asked for; 0: made */
    bool silent;
    /* what happened to it */
    unsigned asked, made, removed, fetched;
    char port[8], lease[16]; /* of the last mapping */
    /* what the test was told */
    struct gateway_found found;
    unsigned probed, mapped, unmapped;
    signpost_mapping_status_t status;
    char detail[256];
    signpost_mapping_t *mapping;
};

struct guest {
    uv_tcp_t tcp;
    uv_write_t write;
    struct igd *igd;
    char text[8192];
    size_t size;
    char reply[4096];
};

/* --- the router ------------------------------------------------------------------------------ */

static void on_guest_closed(uv_handle_t *handle)
{
    free(handle);
}

static void close_guest(struct guest *guest)
{
    if (!uv_is_closing((uv_handle_t *)&guest->tcp))
        uv_close((uv_handle_t *)&guest->tcp, on_guest_closed);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status;
    close_guest((struct guest *)write->handle);
}

static void answer(struct guest *guest, int status, const char *body)
{
    int length = snprintf(guest->reply, sizeof guest->reply,
        "HTTP/1.1 %d x\r\nContent-Type: text/xml\r\nContent-Length: %zu\r\n"
        "Connection: close\r\n\r\n%s",
        status, strlen(body), body);
    uv_buf_t out = uv_buf_init(guest->reply, (unsigned)length);

    uv_read_stop((uv_stream_t *)&guest->tcp);
    uv_write(&guest->write, (uv_stream_t *)&guest->tcp, &out, 1, on_written);
}

static void answer_description(struct guest *guest)
{
    struct igd *igd = guest->igd;
    char body[2048];

    igd->fetched++;
    snprintf(body, sizeof body,
        "<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\"><device>"
        "<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>"
        "<modelName>%s</modelName><serviceList><service><serviceType>" SERVICE "</serviceType>"
        "<controlURL>%s</controlURL><eventSubURL>/evt</eventSubURL><SCPDURL>/scpd</SCPDURL>"
        "</service></serviceList></device></root>",
        igd->model, igd->control_url);
    answer(guest, 200, igd->description ? igd->description : body);
}

static void copy_argument(const char *text, const char *tag, char *ret_text, size_t size)
{
    const char *at = strstr(text, tag);

    ret_text[0] = '\0';
    if (at)
        snprintf(ret_text, size, "%.*s", (int)strcspn(at + strlen(tag), "<"), at + strlen(tag));
}

static void answer_action(struct guest *guest)
{
    struct igd *igd = guest->igd;
    char body[1024];
    unsigned refused = 0;

    if (strstr(guest->text, "#AddPortMapping\"")) {
        refused = igd->asked < 4 ? igd->refuses[igd->asked] : 0;
        igd->asked++;
        igd->made += !refused;
        copy_argument(guest->text, "<NewExternalPort>", igd->port, sizeof igd->port);
        copy_argument(guest->text, "<NewLeaseDuration>", igd->lease, sizeof igd->lease);
    } else if (strstr(guest->text, "#DeletePortMapping\"")) {
        igd->removed++;
    }
    if (refused)
        snprintf(body, sizeof body,
            "<s:Envelope><s:Body><s:Fault><detail><UPnPError><errorCode>%u</errorCode>"
            "</UPnPError></detail></s:Fault></s:Body></s:Envelope>",
            refused);
    else
        snprintf(body, sizeof body,
            "<s:Envelope><s:Body><u:R xmlns:u=\"" SERVICE "\"><NewExternalIPAddress>%s"
            "</NewExternalIPAddress></u:R></s:Body></s:Envelope>",
            igd->wan);
    answer(guest, refused ? 500 : 200, body);
}

static bool is_whole(const struct guest *guest)
{
    const char *body = strstr(guest->text, "\r\n\r\n");
    const char *length = strstr(guest->text, "Content-Length: ");

    return body && (!length || strlen(body + 4) >= strtoul(length + 16, NULL, 10));
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret_buffer)
{
    struct guest *guest = (struct guest *)handle;

    (void)size;
    *ret_buffer =
        uv_buf_init(guest->text + guest->size, (unsigned)(sizeof guest->text - 1 - guest->size));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct guest *guest = (struct guest *)stream;

    (void)buffer;
    if (size < 0) {
        close_guest(guest);
        return;
    }
    guest->size += (size_t)size;
    if (guest->igd->silent || !is_whole(guest))
        return;
    if (!strncmp(guest->text, "GET ", 4))
        answer_description(guest);
    else
        answer_action(guest);
}

static void on_guest(uv_stream_t *stream, int status)
{
    struct guest *guest = calloc(1, sizeof *guest);

    assert_int_equal(status, 0);
    guest->igd = stream->data;
    uv_tcp_init(stream->loop, &guest->tcp);
    uv_accept(stream, (uv_stream_t *)&guest->tcp);
    uv_read_start((uv_stream_t *)&guest->tcp, on_alloc, on_read);
}

/* --- the world ------------------------------------------------------------------------------- */

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static int setup(void **state)
{
    struct igd *igd = calloc(1, sizeof *igd);
    struct sockaddr_in address;
    int length = sizeof address;

    uv_loop_init(&igd->loop);
    uv_timer_init(&igd->loop, &igd->tick);
    uv_timer_start(&igd->tick, on_tick, 10, 10);
    uv_tcp_init(&igd->loop, &igd->listener);
    igd->listener.data = igd;
    uv_ip4_addr(ADDRESS, 0, &address);
    uv_tcp_bind(&igd->listener, (struct sockaddr *)&address, 0);
    assert_int_equal(uv_listen((uv_stream_t *)&igd->listener, 8, on_guest), 0);
    uv_tcp_getsockname(&igd->listener, (struct sockaddr *)&address, &length);
    igd->target = (struct gateway_target){.address = ADDRESS, .local = "127.0.0.1"};
    snprintf(igd->target.upnp_url, sizeof igd->target.upnp_url,
        "http://" ADDRESS ":%u/rootDesc.xml", (unsigned)ntohs(address.sin_port));
    igd->model = "Lab";
    igd->control_url = "/ctl";
    igd->wan = "73.0.0.10";
    *state = igd;
    return 0;
}

static int teardown(void **state)
{
    struct igd *igd = *state;

    uv_close((uv_handle_t *)&igd->tick, NULL);
    uv_close((uv_handle_t *)&igd->listener, NULL);
    uv_run(&igd->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&igd->loop), 0);
    free(igd);
    return 0;
}

/* --- the probe ------------------------------------------------------------------------------- */

static void on_found(const struct gateway_found *found, void *user)
{
    struct igd *igd = user;

    igd->found = *found;
    igd->probed++;
}

static const struct gateway_claim *probes(struct igd *igd)
{
    struct gateway_probe *probe;

    igd->probed = 0;
    assert_int_equal(gateway_start_at(&igd->loop, &igd->target, on_found, igd, &probe), 0);
    while (!igd->probed)
        uv_run(&igd->loop, UV_RUN_ONCE);
    return &igd->found.by[GATEWAY_UPNP];
}

static void test_upnp_router_tells_its_model_and_outer_address(void **state)
{
    struct igd *igd = *state;

    igd->model = "Box \033[31m7\x07\xc3\xa9";
    const struct gateway_claim *claim = probes(igd);
    assert_int_equal(claim->present, NAT_YES);
    assert_string_equal(claim->wan, "73.0.0.10");
    assert_string_equal(igd->found.model, "Box [31m7"); /* nothing that steers a terminal */
}

static void test_upnp_outer_address_that_is_none_is_not_believed(void **state)
{
    static const struct {
        const char *wan;
        enum nat_answer has;
    } cases[] = {{"", NAT_NO}, {"0.0.0.0", NAT_NO}, {"router.lan", NAT_UNTESTED},
        {"1.2.3.4.5", NAT_UNTESTED}, {"999.1.1.1", NAT_UNTESTED}};
    struct igd *igd = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        igd->wan = cases[i].wan;
        const struct gateway_claim *claim = probes(igd);
        assert_int_equal(claim->present, NAT_YES);
        assert_int_equal(claim->has_wan, cases[i].has);
        assert_string_equal(claim->wan, "");
    }
}

static void test_upnp_garbage_is_no_router(void **state)
{
    static const char *const garbage[] = {"", "hello", "<root><device><serviceList><service>",
        "<?xml version=\"1.0\"?><<<<>>>&&&", "<root><device></device></root>"};
    struct igd *igd = *state;

    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        igd->description = garbage[i];
        assert_int_equal(probes(igd)->present, NAT_NO);
    }
    assert_int_equal(igd->fetched, 5);
}

/* Else a router could have this machine send requests to whom it likes. */
static void test_upnp_router_cannot_send_us_elsewhere(void **state)
{
    static const char *const urls[] = {
        "http://127.0.0.1:9/ctl", "http://127.0.0.790/ctl", "http://" ADDRESS "@127.0.0.1/ctl"};
    struct igd *igd = *state;

    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        igd->control_url = urls[i];
        assert_int_equal(probes(igd)->present, NAT_NO);
    }
    snprintf(igd->target.address, sizeof igd->target.address, "127.0.0.78");
    unsigned fetched = igd->fetched;
    assert_int_equal(probes(igd)->present, NAT_NO);
    assert_int_equal(igd->fetched, fetched); /* a description of another host is not even read */
}

static void test_upnp_silent_router_is_not_waited_for(void **state)
{
    struct igd *igd = *state;

    igd->silent = true;
    assert_int_equal(probes(igd)->present, NAT_NO);
}

/* --- mappings -------------------------------------------------------------------------------- */

static void on_removed(void *user)
{
    ((struct igd *)user)->unmapped++;
}

static void on_mapping(
    signpost_mapping_t *mapping, const signpost_mapping_status_t *status, void *user)
{
    struct igd *igd = user;

    (void)mapping;
    igd->mapped++;
    igd->status = *status;
    snprintf(igd->detail, sizeof igd->detail, "%s", status->detail);
}

static void maps(struct igd *igd)
{
    signpost_mapping_config_t config = {.port = 50051, .on_mapping = on_mapping, .user = igd};

    assert_int_equal(mapping_start_at(&igd->loop, &config, &igd->target, &igd->mapping), 0);
    while (!igd->mapped)
        uv_run(&igd->loop, UV_RUN_ONCE);
}

static void unmaps(struct igd *igd)
{
    signpost_unmap_port(igd->mapping, on_removed, igd);
    while (!igd->unmapped)
        uv_run(&igd->loop, UV_RUN_ONCE);
}

static void test_upnp_mapping_is_made_and_removed(void **state)
{
    struct igd *igd = *state;

    maps(igd);
    assert_int_equal(igd->status.error, 0);
    assert_int_equal(igd->status.port, 50051);
    assert_string_equal(igd->lease, "3600");
    unmaps(igd);
    assert_int_equal(igd->made, 1);
    assert_int_equal(igd->removed, 1);
}

static void test_upnp_port_that_is_taken_becomes_another(void **state)
{
    struct igd *igd = *state;

    igd->refuses[0] = igd->refuses[1] = 718;
    maps(igd);
    assert_int_equal(igd->status.error, 0);
    assert_int_equal(igd->asked, 3);
    assert_true(igd->status.port >= 49152);
    assert_int_equal(igd->status.port, strtoul(igd->port, NULL, 10));
    unmaps(igd);
}

static void test_upnp_router_of_permanent_mappings_gets_one(void **state)
{
    struct igd *igd = *state;

    igd->refuses[0] = 725;
    maps(igd);
    assert_int_equal(igd->status.error, 0);
    assert_string_equal(igd->lease, "0");
    assert_int_equal(igd->status.lifetime_s, 0);
    unmaps(igd);
    assert_int_equal(igd->removed, 1);
}

static void test_upnp_refusal_is_told_with_its_reason(void **state)
{
    struct igd *igd = *state;

    igd->refuses[0] = 606;
    maps(igd);
    assert_int_equal(igd->status.error, SIGNPOST_ERROR_NO_MAPPING);
    assert_non_null(strstr(igd->detail, "upnp: it does not allow"));
    unmaps(igd);
    assert_int_equal(igd->removed, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_upnp_router_tells_its_model_and_outer_address),
        TEST(test_upnp_outer_address_that_is_none_is_not_believed),
        TEST(test_upnp_garbage_is_no_router),
        TEST(test_upnp_router_cannot_send_us_elsewhere),
        TEST(test_upnp_silent_router_is_not_waited_for),
        TEST(test_upnp_mapping_is_made_and_removed),
        TEST(test_upnp_port_that_is_taken_becomes_another),
        TEST(test_upnp_router_of_permanent_mappings_gets_one),
        TEST(test_upnp_refusal_is_told_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
