#include "http/by_hand.h"

#include "codec.h"
#include "http/loop.h"
#include "http/request_id.h"
#include "http/tls.h"
#include "server_limits.h"
#include "text.h"

#include <sys/socket.h>

static void write_reply(struct text *out, const struct fault *fault, const char *id)
{
    struct text problem = {0};

    codec_write_problem(&problem, fault);
    text_printf(out,
        "HTTP/1.1 %u %s\r\nContent-Type: application/problem+json\r\nContent-Length: %zu\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n" REQUEST_ID_HEADER ": %s\r\n",
        error_http_status(fault->error), error_title(fault->error), problem.length, id);
    if (fault->retry_after_s)
        text_printf(out, "Retry-After: %d\r\n", fault->retry_after_s);
    text_puts(out, "\r\n");
    text_append(out, problem.bytes, problem.length);
    if (text_failed(&problem))
        text_clear(out);
    text_clear(&problem);
}

void by_hand_send(int fd, const struct fault *fault, const char *id)
{
    struct text reply = {0};

    write_reply(&reply, fault, id);
    if (!text_failed(&reply))
        (void)!send(fd, reply.bytes, reply.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    text_clear(&reply);
}

static void send_in_tls(struct MHD_Connection *mhd, const struct fault *fault, const char *id)
{
    struct text reply = {0};

    write_reply(&reply, fault, id);
    if (!text_failed(&reply))
        tls_send(mhd, reply.bytes, reply.length);
    text_clear(&reply);
}

void by_hand_answer(struct MHD_Connection *mhd, const struct fault *fault, const char *id)
{
    const struct http_connection *connection = http_connection_of(mhd);

    if (connection->tls)
        send_in_tls(mhd, fault, id);
    else
        by_hand_send(connection->fd, fault, id);
    shutdown(connection->fd, SHUT_WR);
}

/* A request begins with a letter, TLS with another byte. */
bool by_hand_greet(int fd, const char *id)
{
    struct fault fault;
    char heard[LIMIT_HEADER_BYTES];

    if (recv(fd, heard, 1, MSG_PEEK | MSG_DONTWAIT) != 1 || heard[0] < 'A' || heard[0] > 'Z')
        return false;
    fault_set(&fault, ERROR_BAD_REQUEST, "this port speaks HTTPS: use https:// in the URL");
    by_hand_send(fd, &fault, id);
    /* Closing with unread bytes would reset the connection, and the client would not see why. */
    (void)!recv(fd, heard, sizeof heard, MSG_DONTWAIT);
    shutdown(fd, SHUT_RDWR);
    return true;
}
