#include "link.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECTING_MAX 64      /* at a time, so that no queue of a listener overflows */
#define LINKS_PER_ADDRESS 4000 /* one has 28,000 ports, some of them still closing */
#define ROOM_MIN 1024
#define REQUEST_BYTES 8192
#define FRAME_TEXT 0x81
#define FRAME_MASKED 0x80
#define FRAME_LENGTH_16 126
#define FRAME_LENGTH_64 127

static void must(int error, const char *what)
{
    if (error < 0)
        fail("%s: %s", what, uv_strerror(error));
}

/* --- what comes ------------------------------------------------------------------------------ */

static size_t cut_http(const char *bytes, size_t length, size_t *ret_start, size_t *ret_length)
{
    const char *end = strstr(bytes, "\r\n\r\n");
    const char *said = end ? strcasestr(bytes, "\r\nContent-Length:") : NULL;

    if (!end)
        return 0;
    if (strncmp(bytes, "HTTP/1.1 2", strlen("HTTP/1.1 2")) != 0 || !said || said > end)
        fail("not a success with a length: %s", bytes);
    *ret_start = (size_t)(end + strlen("\r\n\r\n") - bytes);
    *ret_length = strtoul(said + strlen("\r\nContent-Length:"), NULL, 10);
    return length < *ret_start + *ret_length ? 0 : *ret_start + *ret_length;
}

static size_t cut_text(const char *bytes, size_t length, size_t *ret_start, size_t *ret_length)
{
    const unsigned char *head = (const unsigned char *)bytes;

    if (length < 4)
        return 0; /* no text that comes here is shorter than two characters */
    if (head[0] != FRAME_TEXT || head[1] >= FRAME_LENGTH_64)
        fail("a frame that is no short text begins with %02x %02x", head[0], head[1]);
    *ret_start = head[1] == FRAME_LENGTH_16 ? 4 : 2;
    *ret_length = head[1] == FRAME_LENGTH_16 ? (size_t)head[2] << 8 | head[3] : head[1];
    return length < *ret_start + *ret_length ? 0 : *ret_start + *ret_length;
}

static size_t cut_upgrade(const char *bytes, size_t length, size_t *ret_start, size_t *ret_length)
{
    const char *end = strstr(bytes, "\r\n\r\n");

    (void)length;
    if (!end)
        return 0;
    if (strncmp(bytes, "HTTP/1.1 101 ", strlen("HTTP/1.1 101 ")) != 0)
        fail("not an upgrade: %s", bytes);
    *ret_start = *ret_length = 0;
    return (size_t)(end + strlen("\r\n\r\n") - bytes);
}

static void take_messages(struct link *link)
{
    size_t taken, start, length;

    while (link->length && (taken = link->cut(link->bytes, link->length, &start, &length))) {
        if (link->cut == cut_upgrade) {
            link->cut = cut_text;
        } else {
            char *end = link->bytes + start + length, behind = *end;
            *end = '\0';
            link->on_message(link, link->bytes + start);
            *end = behind;
        }
        link->length -= taken;
        memmove(link->bytes, link->bytes + taken, link->length + 1);
    }
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_room)
{
    struct link *link = handle->data;

    (void)suggested;
    if (link->room < link->length + ROOM_MIN) {
        link->room = link->room ? 2 * link->room : 2 * ROOM_MIN;
        link->bytes = realloc(link->bytes, link->room);
        if (!link->bytes)
            fail("no memory for a reply");
    }
    *ret_room = uv_buf_init(
        link->bytes + link->length, (unsigned)(link->room - link->length - 1)); /* and NUL */
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *room)
{
    struct link *link = stream->data;

    (void)room;
    must((int)count, "a connection");
    link->received += (uint64_t)count;
    link->length += (size_t)count;
    link->bytes[link->length] = '\0';
    take_messages(link);
}

/* --- connecting ------------------------------------------------------------------------------ */

struct opening {
    struct link *links;
    struct sockaddr_in server;
    size_t begun, count, missing;
};

static void connect_next(struct opening *opening);

static void on_connected(uv_connect_t *connecting, int status)
{
    struct opening *opening = connecting->data;

    must(status, "connecting");
    must(uv_read_start(connecting->handle, on_room, on_read), "reading");
    opening->missing--;
    if (opening->begun < opening->count)
        connect_next(opening);
}

static void connect_next(struct opening *opening)
{
    size_t number = opening->begun++;
    struct link *link = &opening->links[number];
    struct sockaddr_in own = {.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(number / LINKS_PER_ADDRESS))};
    int on = 1;
    uv_os_fd_t fd;

    must(uv_tcp_init_ex(loop, &link->tcp, AF_INET), "a socket");
    must(uv_fileno((uv_handle_t *)&link->tcp, &fd), "a socket");
    /* Else a port is taken for all servers at once, and they run short. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    must(uv_tcp_bind(&link->tcp, (struct sockaddr *)&own, 0), "an address of loopback");
    uv_tcp_nodelay(&link->tcp, 1);
    link->number = number;
    link->cut = cut_http;
    link->tcp.data = link;
    link->connecting.data = opening;
    must(uv_tcp_connect(
             &link->connecting, &link->tcp, (struct sockaddr *)&opening->server, on_connected),
        "connecting");
}

struct link *links_open(uint16_t port, size_t count, link_message_cb *on_message)
{
    struct opening opening = {
        .links = allocate(count, sizeof *opening.links), .count = count, .missing = count};

    uv_ip4_addr("127.0.0.1", port, &opening.server);
    for (size_t i = 0; i < count; i++)
        opening.links[i].on_message = on_message;
    while (opening.begun < count && opening.begun < CONNECTING_MAX)
        connect_next(&opening);
    await_none(&opening.missing);
    return opening.links;
}

/* --- what goes ------------------------------------------------------------------------------- */

/* Requests are small, and are read before the next one is sent: the kernel has room for them. */
static void put(struct link *link, const char *bytes, size_t length)
{
    uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)length);
    int sent = uv_try_write((uv_stream_t *)&link->tcp, &buffer, 1);

    must(sent, "sending");
    if ((size_t)sent != length)
        fail("the server does not read what it is sent");
}

static void __attribute__((format(printf, 2, 3)))
put_text(struct link *link, const char *format, ...)
{
    char text[REQUEST_BYTES];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof text)
        fail("a request is too long");
    put(link, text, (size_t)length);
}

void link_get(struct link *link, const char *token, const char *path)
{
    put_text(link, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n%s%s%s\r\n",
        path, token ? "Authorization: Bearer " : "", token ? token : "", token ? "\r\n" : "");
}

void link_post(struct link *link, const char *token, const char *path, const char *body)
{
    put_text(link,
        "POST %s HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n%s%s%s"
        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        path, token ? "Authorization: Bearer " : "", token ? token : "", token ? "\r\n" : "",
        strlen(body), body);
}

void link_upgrade(struct link *link, const char *path)
{
    link->cut = cut_upgrade;
    put_text(link,
        "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2lnbnBvc3QgYmVuY2gxNg==\r\n\r\n",
        path);
}

void link_text(struct link *link, const char *text)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned char frame[REQUEST_BYTES];
    size_t length = strlen(text), head = 2;

    if (length > sizeof frame - 8)
        fail("a text is too long");
    frame[0] = FRAME_TEXT;
    frame[1] =
        (unsigned char)(FRAME_MASKED | (length < FRAME_LENGTH_16 ? length : FRAME_LENGTH_16));
    if (length >= FRAME_LENGTH_16) {
        frame[head++] = (unsigned char)(length >> 8);
        frame[head++] = (unsigned char)length;
    }
    memcpy(frame + head, mask, sizeof mask);
    head += sizeof mask;
    for (size_t i = 0; i < length; i++)
        frame[head + i] = (unsigned char)text[i] ^ mask[i % sizeof mask];
    put(link, (char *)frame, head + length);
}
