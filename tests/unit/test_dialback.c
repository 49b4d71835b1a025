/* The dial-back on real sockets of this machine: what is dialled, when it ends, and that it ends.
 */
#include "net/dialback.h"
#include "server_limits.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static uv_loop_t loop;
static struct dialbacks *dialbacks;
static struct fault fault;

/* What one dial-back has said. */
struct heard {
    int times;
    struct dialback_report report;
};

static void on_done(const struct dialback_report *report, void *user)
{
    struct heard *heard = user;
    heard->times++;
    heard->report = *report;
}

static int setup(void **state)
{
    (void)state;
    uv_loop_init(&loop);
    dialbacks = dialbacks_new(&loop);
    return dialbacks ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    dialbacks_stop(dialbacks);
    uv_run(&loop, UV_RUN_DEFAULT);
    dialbacks_free(dialbacks);
    return uv_loop_close(&loop);
}

/* A socket on a free port of 127.0.0.1. */
static int a_socket(int type, uint16_t *ret_port)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof here;
    int fd = socket(AF_INET, type, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&here, sizeof here), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 128), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&here, &length), 0);
    *ret_port = ntohs(here.sin_port);
    return fd;
}

static struct dialback_request a_request(uint16_t port, bool udp)
{
    struct dialback_request request = {.port = port, .udp = udp, .connect_ms = 1000};

    assert_true(address_parse("127.0.0.1", &request.address));
    memset(request.nonce, 0xab, sizeof request.nonce);
    return request;
}

static int start(const struct dialback_request *request, struct heard *heard)
{
    struct dialback *dialback;

    memset(heard, 0, sizeof *heard);
    int error = dialback_start(dialbacks, request, on_done, heard, &dialback, &fault);
    assert_int_equal(heard->times, 0);
    return error;
}

static void test_dialback_from_a_foreign_address_is_unreachable(void **state)
{
    struct heard tcp, udp;
    uint16_t port;
    int listener = a_socket(SOCK_STREAM, &port);
    struct dialback_request request = a_request(port, false);
    (void)state;

    assert_true(address_parse("198.51.100.77", &request.from));
    assert_false(dialback_can_bind(&request.from));
    assert_int_equal(start(&request, &tcp), 0);
    request.udp = true;
    assert_int_equal(start(&request, &udp), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(tcp.times, 1);
    assert_int_equal(udp.times, 1);
    assert_int_equal(tcp.report.result, DIALBACK_UNREACHABLE);
    assert_int_equal(udp.report.result, DIALBACK_UNREACHABLE);
    close(listener);
}

static void test_dialback_that_is_cut_is_told_once(void **state)
{
    struct heard heard = {0};
    struct dialback *dialback;
    uint16_t port;
    int listener = a_socket(SOCK_STREAM, &port);
    struct dialback_request request = a_request(port, false);
    (void)state;

    assert_int_equal(dialback_start(dialbacks, &request, on_done, &heard, &dialback, &fault), 0);
    dialback_cut(dialback);
    assert_int_equal(heard.times, 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(heard.times, 1);
    assert_int_equal(heard.report.result, DIALBACK_CUT);
    close(listener);
}

static void test_dialback_at_most_so_many_at_once(void **state)
{
    static struct heard heard[LIMIT_CHECK_SOCKETS];
    struct heard more;
    uint16_t port;
    int listener = a_socket(SOCK_STREAM, &port);
    struct dialback_request request = a_request(port, false);
    (void)state;

    for (size_t i = 0; i < LIMIT_CHECK_SOCKETS; i++)
        assert_int_equal(start(&request, &heard[i]), 0);
    assert_int_equal(start(&request, &more), ERROR_INDEX_FULL);
    assert_true(fault.retry_after_s > 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < LIMIT_CHECK_SOCKETS; i++) {
        assert_int_equal(heard[i].times, 1);
        assert_int_equal(heard[i].report.result, DIALBACK_CONNECTED);
    }
    assert_int_equal(start(&request, &more), 0);
    dialbacks_stop(dialbacks);
    assert_int_equal(more.times, 1);
    assert_int_equal(start(&request, &more), ERROR_NOT_READY);
    close(listener);
}

static void test_dialback_over_udp_sends_all_also_where_nobody_is(void **state)
{
    struct heard heard;
    uint16_t port;
    close(a_socket(SOCK_DGRAM, &port));
    struct dialback_request request = a_request(port, true);
    (void)state;

    assert_int_equal(start(&request, &heard), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(heard.times, 1);
    assert_int_equal(heard.report.result, DIALBACK_SENT);
    assert_int_equal(heard.report.dialed_from.family, 4);
}

/* Someone begins to listen after the first was answered with "nobody here": the others come. */
static void test_dialback_over_udp_goes_on_after_a_refusal(void **state)
{
    struct heard heard;
    uint16_t port;
    char datagram[64];
    int count = 0;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    close(a_socket(SOCK_DGRAM, &port));
    struct dialback_request request = a_request(port, true);
    (void)state;

    assert_int_equal(start(&request, &heard), 0);
    uv_run(&loop, UV_RUN_NOWAIT); /* the first one */
    int service = socket(AF_INET, SOCK_DGRAM, 0);
    here.sin_port = htons(port);
    assert_int_equal(bind(service, (struct sockaddr *)&here, sizeof here), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(heard.report.result, DIALBACK_SENT);
    while (recv(service, datagram, sizeof datagram, MSG_DONTWAIT) == 32) {
        assert_memory_equal(datagram, "abababababababababababababababab", 32);
        count++;
    }
    assert_int_equal(count, 2);
    close(service);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_dialback_from_a_foreign_address_is_unreachable),
        TEST(test_dialback_that_is_cut_is_told_once),
        TEST(test_dialback_at_most_so_many_at_once),
        TEST(test_dialback_over_udp_sends_all_also_where_nobody_is),
        TEST(test_dialback_over_udp_goes_on_after_a_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
