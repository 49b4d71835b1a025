#include "healthcheck.h"

#include "net/address.h"
#include "quote.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_S 3 /* for everything; Docker and Kubernetes give a check longer */
#define REPLY_BYTES 2048
#define DETAIL "\"detail\":\"" /* before the sentence of a problem, as this index writes it */

/* Where the index listens, as one of this machine reaches it. */
struct place {
    struct address address;
    uint16_t port;
    bool tls;
    char text[ADDRESS_TEXT_SIZE + 16]; /* 127.0.0.1:7117 */
};

/* A connection to it, with TLS or without. */
struct connection {
    int fd;
    gnutls_session_t tls; /* NULL: none */
    gnutls_certificate_credentials_t trust;
};

/* One limit for all that blocks: nothing else goes on in this process. */
static void on_alarm(int number)
{
    static const char said[] =
        "signpostd: no answer from the index within " QUOTE_MACRO(ANSWER_S) " seconds\n";

    (void)number;
    ssize_t written = write(STDERR_FILENO, said, sizeof said - 1);
    (void)written; /* there is nobody else to tell */
    _exit(EXIT_FAILURE);
}

/* The first listener for operations, which has room also where the others have none. */
static int find_place(const struct options *options, struct place *ret_place, struct fault *fault)
{
    const struct listen_http *listen = &options->listen[0];
    const struct listen_address *ops = &options->ops_listen[0];
    struct place place = {listen->address, listen->port, listen->scheme == LISTEN_HTTPS, ""};
    char text[ADDRESS_TEXT_SIZE];

    if (options->ops_listen_count && ops->port)
        place = (struct place){ops->address, ops->port, false, ""};
    bool ipv6 = place.address.family == 6;
    if (!place.port)
        return fault_set(fault, ERROR_NOT_READY,
            "--healthcheck cannot know the port of an index that listens on port 0; give --listen "
            "a port");
    if (address_classify(&place.address) == ADDRESS_UNSPECIFIED) {
        memset(place.address.bytes, 0, sizeof place.address.bytes);
        place.address.bytes[0] = ipv6 ? 0 : 127;
        place.address.bytes[ipv6 ? 15 : 3] = 1;
    }
    snprintf(place.text, sizeof place.text, "%s%s%s:%u", ipv6 ? "[" : "",
        address_format(&place.address, text), ipv6 ? "]" : "", (unsigned)place.port);
    *ret_place = place;
    return 0;
}

static int dial(const struct place *place, struct connection *connection, struct fault *ret_fault)
{
    struct sockaddr_storage name;
    socklen_t name_size = address_to_sockaddr(&place->address, place->port, &name);

    connection->fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, (const struct sockaddr *)&name, name_size) != 0)
        return fault_set(ret_fault, ERROR_NOT_READY, "no index is to be reached at %s: %s",
            place->text, strerror(errno));
    return 0;
}

/* It is this machine that is asked: its certificate need not name 127.0.0.1, nor be valid still. */
static int shake_hands(
    const struct place *place, struct connection *connection, struct fault *ret_fault)
{
    int code = gnutls_init(&connection->tls, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);

    if (!code)
        code = gnutls_set_default_priority(connection->tls);
    if (!code)
        code = gnutls_certificate_allocate_credentials(&connection->trust);
    if (!code)
        code = gnutls_credentials_set(connection->tls, GNUTLS_CRD_CERTIFICATE, connection->trust);
    if (!code) {
        gnutls_transport_set_int(connection->tls, connection->fd);
        do
            code = gnutls_handshake(connection->tls);
        while (code && !gnutls_error_is_fatal(code));
    }
    if (code)
        return fault_set(ret_fault, ERROR_NOT_READY, "%s speaks no HTTPS with this check: %s",
            place->text, gnutls_strerror(code));
    return 0;
}

static bool put(struct connection *connection, const char *text, size_t size)
{
    if (connection->tls)
        return gnutls_record_send(connection->tls, text, size) == (ssize_t)size;
    return send(connection->fd, text, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* As many bytes as have come; 0 at the end, and of trouble. */
static size_t take(struct connection *connection, char *ret_text, size_t size)
{
    ssize_t taken;

    if (!connection->tls)
        taken = recv(connection->fd, ret_text, size, 0);
    else
        do
            taken = gnutls_record_recv(connection->tls, ret_text, size);
        while (taken < 0 && !gnutls_error_is_fatal((int)taken));
    return taken > 0 ? (size_t)taken : 0;
}

static int ask(const struct place *place, struct connection *connection, struct fault *ret_fault)
{
    char text[REPLY_BYTES], quoted[QUOTE_SIZE];
    size_t length = 0, taken;
    int size = snprintf(text, sizeof text,
        "GET /readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", place->text);

    if (put(connection, text, (size_t)size))
        while ((taken = take(connection, text + length, sizeof text - 1 - length)))
            length += taken;
    text[length] = '\0';
    if (!strncmp(text, "HTTP/1.1 200 ", 13))
        return 0;
    const char *detail = strstr(text, DETAIL);
    if (detail) {
        detail += sizeof DETAIL - 1;
        int shown = 0; /* whoever answers, what is printed is one line */
        while (detail[shown] >= ' ' && detail[shown] <= '~' && detail[shown] != '"')
            shown++;
        return fault_set(ret_fault, ERROR_NOT_READY, "the index at %s is not ready: %.*s",
            place->text, shown, detail);
    }
    text[strcspn(text, "\r\n")] = '\0';
    return fault_set(ret_fault, ERROR_NOT_READY, "at %s is no index: it answers %s", place->text,
        quote_text(text, quoted));
}

int healthcheck_ask(const struct options *options, struct fault *ret_fault)
{
    struct place place;
    struct connection connection = {.fd = -1};
    int error = find_place(options, &place, ret_fault);

    if (error)
        return error;
    signal(SIGALRM, on_alarm);
    alarm(ANSWER_S);
    error = dial(&place, &connection, ret_fault);
    if (!error && place.tls)
        error = shake_hands(&place, &connection, ret_fault);
    if (!error)
        error = ask(&place, &connection, ret_fault);
    if (connection.tls)
        gnutls_deinit(connection.tls);
    if (connection.trust)
        gnutls_certificate_free_credentials(connection.trust);
    if (connection.fd >= 0)
        close(connection.fd);
    alarm(0);
    return error;
}
