#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

bool stream_send(const uv_tcp_t *tcp, const uint8_t *bytes, size_t size)
{
    uv_os_fd_t fd;
    ssize_t sent;

    if (uv_fileno((const uv_handle_t *)tcp, &fd))
        return false;
    do
        sent = send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)size;
}

int stream_copy(const uv_tcp_t *tcp)
{
    uv_os_fd_t fd;

    return uv_fileno((const uv_handle_t *)tcp, &fd) ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}
