#include "socket_help.h"

#include "direct/endpoint.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TURNS 100

static size_t count_open(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

int sockets_setup(void **state)
{
    struct sockets *sockets = calloc(1, sizeof *sockets);

    assert_non_null(sockets);
    /* What has failed is said even where handles of the test that failed bring the next one down.
     */
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* The first loop of a process leaves a pipe behind, for signals. */
    assert_int_equal(uv_loop_init(&sockets->loop), 0);
    assert_int_equal(uv_loop_close(&sockets->loop), 0);
    sockets->open_before = count_open();
    assert_int_equal(uv_loop_init(&sockets->loop), 0);
    *state = sockets;
    return 0;
}

int sockets_teardown(void **state)
{
    struct sockets *sockets = *state;

    /* What is being closed is closed in a few turns; what is left of a test that failed never is.
     */
    for (unsigned turn = 0; turn < TURNS && uv_loop_alive(&sockets->loop); turn++)
        uv_run(&sockets->loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&sockets->loop), 0);
    assert_int_equal(count_open(), sockets->open_before);
    free(sockets);
    return 0;
}

/* --- to begin with --------------------------------------------------------------------------- */

struct sockaddr_storage sockets_address(const char *host, uint16_t port)
{
    struct sockaddr_storage address;

    assert_true(endpoint_parse_address(host, &address));
    if (address.ss_family == AF_INET)
        ((struct sockaddr_in *)&address)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)&address)->sin6_port = htons(port);
    return address;
}

static int new_socket(const struct sockaddr_storage *address)
{
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    return fd;
}

uint16_t sockets_listen(const char *host, uint16_t port, int backlog, int *ret_fd)
{
    struct sockaddr_storage address = sockets_address(host, port);
    socklen_t size = sizeof address;
    int fd = new_socket(&address), yes = 1;

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_fd = fd;
    return ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                              : ((struct sockaddr_in6 *)&address)->sin6_port);
}

int sockets_connect(const char *host, uint16_t port)
{
    struct sockaddr_storage address = sockets_address(host, port);
    int fd = new_socket(&address);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

uint16_t sockets_listen_full(const char *host, int ret_fds[2])
{
    uint16_t port = sockets_listen(host, 0, 0, &ret_fds[0]);

    ret_fds[1] = sockets_connect(host, port);
    return port;
}

uint16_t sockets_closed_port(const char *host)
{
    int fd;
    uint16_t port = sockets_listen(host, 0, 0, &fd);

    close(fd);
    return port;
}

/* --- what goes over them --------------------------------------------------------------------- */

struct reading {
    int fd;
    uint8_t *bytes;
    size_t wanted, size;
    bool ended;
};

void sockets_write(int fd, const void *bytes, size_t size)
{
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

static bool has_come(void *user)
{
    struct reading *reading = user;

    while (!reading->ended && reading->size < reading->wanted) {
        ssize_t got = recv(reading->fd, reading->bytes + reading->size,
            reading->wanted - reading->size, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return false;
        reading->ended = got <= 0;
        reading->size += got > 0 ? (size_t)got : 0;
    }
    return true;
}

size_t sockets_read(uv_loop_t *loop, int fd, void *ret_bytes, size_t size)
{
    struct reading reading = {.fd = fd, .bytes = ret_bytes, .wanted = size};

    help_run_until(loop, has_come, &reading);
    return reading.size;
}

void sockets_wait_for_end(uv_loop_t *loop, int fd)
{
    char byte;

    assert_int_equal(sockets_read(loop, fd, &byte, 1), 0);
    close(fd);
}

void sockets_assert_joined(uv_loop_t *loop, int one, int other)
{
    char text[8] = "";

    sockets_write(one, "there", 5);
    sockets_write(other, "back", 4);
    assert_int_equal(sockets_read(loop, other, text, 5), 5);
    assert_memory_equal(text, "there", 5);
    assert_int_equal(sockets_read(loop, one, text, 4), 4);
    assert_memory_equal(text, "back", 4);
    assert_int_equal(recv(one, text, 1, MSG_DONTWAIT), -1);
    assert_int_equal(recv(other, text, 1, MSG_DONTWAIT), -1);
}

void sockets_assert_handed_over(int fd)
{
    int no_delay = 0;
    socklen_t size = sizeof no_delay;

    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
    assert_int_equal(no_delay != 0, 1);
}
