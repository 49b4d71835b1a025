/*
 * What a router answers by PCP, NAT-PMP and UPnP. The first byte says which, and whether a mapping
 * is asked for; what follows are its datagrams or replies, 0xFE between them. The functions of
 * sockets are those here: nothing goes over any network, and no time passes.
 */
#include "nat/gateway_internal.h"
#include "signpost.h"
#include "want.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>

#define GATEWAY "192.0.2.1"
#define PIECE_END 0xFE

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const uint8_t *input;
static size_t left;
static bool datagrams, begun;

/* --- sockets of the input's ------------------------------------------------------------------- */

/* The names that the system's headers have begin with __. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */

/* The next piece, or the rest of one that is a stream. -1: there is none. */
static ssize_t take(void *bytes, size_t size)
{
    const uint8_t *end = left ? memchr(input, PIECE_END, left) : NULL;
    size_t piece = end ? (size_t)(end - input) : left;

    if (!left) {
        errno = ECONNREFUSED;
        return datagrams ? -1 : 0;
    }
    if (!datagrams && !piece)
        return 0; /* the stream ends; connecting begins the next */
    size_t taken = piece < size ? piece : size;
    memcpy(bytes, input, taken);
    size_t passed = datagrams ? piece + (end != NULL) : taken;
    input += passed;
    left -= passed;
    return (ssize_t)taken;
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    (void)fd;
    (void)address;
    (void)length;
    if (!datagrams && begun) {
        const uint8_t *end = left ? memchr(input, PIECE_END, left) : NULL;
        size_t piece = end ? (size_t)(end - input) + 1 : left;
        input += piece;
        left -= piece;
    }
    begun = true;
    return 0;
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    (void)timeout_ms;
    for (nfds_t i = 0; i < count; i++)
        fds[i].revents = fds[i].events;
    return (int)count;
}

int select(int count, fd_set *readable, fd_set *writable, fd_set *odd, struct timeval *timeout)
{
    (void)count;
    (void)readable;
    (void)writable;
    (void)odd;
    (void)timeout;
    return 1;
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    (void)fd;
    (void)bytes;
    (void)flags;
    return (ssize_t)size;
}

ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *address,
    socklen_t length)
{
    (void)address;
    (void)length;
    return send(fd, bytes, size, flags);
}

ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    (void)fd;
    (void)flags;
    return take(bytes, size);
}

ssize_t recvfrom(
    int fd, void *bytes, size_t size, int flags, struct sockaddr *address, socklen_t *length)
{
    struct sockaddr_in gateway = {.sin_family = AF_INET, .sin_port = htons(GATEWAY_PORT)};

    (void)fd;
    (void)flags;
    inet_pton(AF_INET, GATEWAY, &gateway.sin_addr);
    if (address && *length >= sizeof gateway) {
        memcpy(address, &gateway, sizeof gateway);
        *length = sizeof gateway;
    }
    return take(bytes, size);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

/* --- what comes of it ------------------------------------------------------------------------- */

static void check_claim(const struct gateway_claim *claim, const char model[64])
{
    struct in_addr address;

    want(claim->present == NAT_YES || claim->present == NAT_NO);
    want((claim->has_wan == NAT_YES) == (*claim->wan != '\0'));
    want(!*claim->wan || inet_pton(AF_INET, claim->wan, &address) == 1);
    want(strnlen(claim->detail, sizeof claim->detail) < sizeof claim->detail);
    for (const char *at = model; *at; at++)
        want(*at >= ' ' && *at <= '~');
}

static void check_mapping(int error, const struct gateway_mapping *mapping, bool asked)
{
    struct in_addr address;

    want(!error || error == SIGNPOST_ERROR_NO_GATEWAY || error == SIGNPOST_ERROR_NO_MAPPING);
    want(strnlen(mapping->detail, sizeof mapping->detail) < sizeof mapping->detail);
    if (error || !asked)
        return;
    want(mapping->external_port != 0);
    want(!*mapping->address || inet_pton(AF_INET, mapping->address, &address) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct gateway_target target = {
        .address = GATEWAY, .local = "192.0.2.9", .upnp_url = "http://" GATEWAY ":5000/d.xml"};

    if (!size)
        return 0;
    enum gateway_protocol protocol = (enum gateway_protocol)(bytes[0] % GATEWAY_PROTOCOLS);
    const struct gateway_calls *calls = gateway_calls_of(protocol);
    unsigned what = bytes[0] / GATEWAY_PROTOCOLS % 3;
    input = bytes + 1;
    left = size - 1;
    datagrams = protocol != GATEWAY_UPNP;
    begun = false;
    if (what == 0) {
        struct gateway_claim claim = {.present = NAT_UNTESTED};
        char model[64] = "";
        calls->probe(&target, &claim, model);
        check_claim(&claim, model);
    } else {
        struct gateway_mapping mapping = {.protocol = NAT_UDP,
            .internal_port = 50051,
            .external_port = 50051,
            .lifetime_s = what == 1 ? 600 : 0,
            .nonce = {1, 2, 3}};
        check_mapping(calls->map(&target, &mapping), &mapping, what == 1);
    }
    return 0;
}
