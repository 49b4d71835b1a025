/*
 * The yardstick: libmicrohttpd in the very loop, pump and pool that the index has, answering every
 * request with one constant reply of a heartbeat's size and headers, or, where an argument says so,
 * of so many bytes. What the index adds to this is what it costs. Prints its port, runs until
 * SIGTERM.
 */
#include "clock.h"
#include "http/loop.h"
#include "net/source.h"
#include "server_limits.h"

#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static char heartbeat[] =
    "{\"ttl\":30,\"heartbeat_after\":10.123,\"you\":{\"address\":\"127.0.0.1\",\"port\":50012,"
    "\"family\":\"ipv4\"},\"cursor\":\"0e3879cf6ca5dc7e.2\",\"mail\":0}\n";

static char *reply = heartbeat;
static size_t reply_bytes = sizeof heartbeat - 1;

static char seen; /* its address marks a request whose headers were handled */

static void *on_begin(void *user, const char *uri, struct MHD_Connection *mhd)
{
    (void)user;
    (void)uri;
    (void)mhd;
    return NULL;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *mhd, const char *path,
    const char *method, const char *version, const char *upload, size_t *upload_size,
    void **context)
{
    (void)user;
    (void)path;
    (void)method;
    (void)version;
    (void)upload;
    if (!*context) {
        *context = &seen;
        return MHD_YES;
    }
    if (*upload_size) {
        *upload_size = 0;
        return MHD_YES;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(reply_bytes, reply, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ORIGIN);
    enum MHD_Result result = MHD_queue_response(mhd, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static void on_complete(
    void *user, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code)
{
    struct http_connection *connection = http_connection_of(mhd);

    (void)user;
    (void)context;
    (void)code;
    if (connection)
        http_connection_enter(connection, HTTP_IDLE);
}

static bool on_exempt(const struct address *address, void *user)
{
    (void)address;
    (void)user;
    return false;
}

static bool on_pass_done(void *user)
{
    (void)user;
    return false;
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

int main(int argc, char **argv)
{
    uv_loop_t *uv = uv_default_loop();
    struct http_loop *loop;
    struct fault fault;
    struct address address;
    uint16_t port;
    uv_signal_t terminated;
    struct sources *sources = sources_new(0);

    if (argc > 1) {
        reply_bytes = strtoul(argv[1], NULL, 10);
        reply = malloc(reply_bytes + 1);
        if (!reply)
            return 1;
        memset(reply, ' ', reply_bytes);
    }
    if (!sources || !address_parse("127.0.0.1", &address) ||
        http_loop_new(
            &(struct http_loop_config){
                .uv = uv,
                .clock = &clock_system,
                .sources = sources,
                .headers_timeout_s = LIMIT_DEFAULT_HEADERS_TIMEOUT_S,
                .body_timeout_s = LIMIT_DEFAULT_BODY_TIMEOUT_S,
                .exempt = on_exempt,
                .handle = on_request,
                .begin = on_begin,
                .complete = on_complete,
                .pass_done = on_pass_done,
            },
            &loop, &fault) ||
        http_loop_listen(loop, &address, 0, HTTP_PLAIN, &port, &fault))
        return 1;
    uv_signal_init(uv, &terminated);
    uv_signal_start(&terminated, on_signal, SIGTERM);
    printf("%u\n", port);
    fflush(stdout);
    uv_run(uv, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&terminated, NULL);
    http_loop_close(loop);
    uv_run(uv, UV_RUN_DEFAULT);
    http_loop_free(loop);
    sources_free(sources);
    if (reply != heartbeat)
        free(reply);
    return 0;
}
