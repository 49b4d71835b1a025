/* Plain sockets beside a loop, for the tests of direct connections. Whatever waits here runs the
 * loop meanwhile, and fails the test at the deadline. */
#ifndef SIGNPOST_TESTS_SOCKET_HELP_H
#define SIGNPOST_TESTS_SOCKET_HELP_H

#include "client_help.h"

#include <sys/socket.h>

/* A test's loop. Setup and teardown for cmocka: the teardown fails where a handle or a descriptor
 * is still open that the test has opened. */
struct sockets {
    uv_loop_t loop;
    size_t open_before;
};

int sockets_setup(void **state);
int sockets_teardown(void **state);

struct sockaddr_storage sockets_address(const char *host, uint16_t port);

/* Listens, and takes `backlog` connections and one more. Returns the port. `port` 0: any. */
uint16_t sockets_listen(const char *host, uint16_t port, int backlog, int *ret_fd);
int sockets_connect(const char *host, uint16_t port);

/* Listens on a port that lets every further connection wait for ever: its queue is full. */
uint16_t sockets_listen_full(const char *host, int ret_fds[2]);
uint16_t sockets_closed_port(const char *host); /* nobody listens there */

void sockets_write(int fd, const void *bytes, size_t size);

/* How many bytes have come once there are `size`, or the other end has closed. */
size_t sockets_read(uv_loop_t *loop, int fd, void *ret_bytes, size_t size);
void sockets_wait_for_end(uv_loop_t *loop, int fd); /* without another byte; closes ours */

/* Both ends are the application's now: what is written comes out at the other, and nothing else. */
void sockets_assert_joined(uv_loop_t *loop, int one, int other);

/* As it is promised of every descriptor that is handed over. */
void sockets_assert_handed_over(int fd);

#endif
