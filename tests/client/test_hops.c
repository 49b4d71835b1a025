#include "nat/hops.h"

#include "socket_help.h"

static void on_done(const struct hops *hops, void *user)
{
    *(struct hops *)user = *hops;
}

static void test_hops_loopback_is_reached_at_once(void **state)
{
    struct sockets *sockets = *state;
    static const char *const hosts[] = {"127.0.0.1", "::1"};

    for (size_t i = 0; i < 2; i++) {
        struct sockaddr_storage target = sockets_address(hosts[i], 0);
        struct hops hops = {0};
        struct hops_probe *probe;
        assert_int_equal(
            hops_start(&sockets->loop, (struct sockaddr *)&target, on_done, &hops, &probe), 0);
        uv_run(&sockets->loop, UV_RUN_DEFAULT);
        assert_true(hops.reached);
        assert_string_equal(hops.address[0], "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_hops_loopback_is_reached_at_once, sockets_setup, sockets_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
