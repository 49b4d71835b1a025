#include "fake_index.h"

#include "client_help.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_closed(uv_handle_t *handle)
{
    struct fake_connection *connection = handle->data;

    free(connection->bytes);
    free(connection);
}

static void hang_up(struct fake_connection *connection)
{
    struct fake_connection **at = &connection->index->connections;

    while (*at != connection)
        at = &(*at)->next;
    *at = connection->next;
    connection->index->count--;
    uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct fake_connection *connection = handle->data;

    (void)suggested;
    *buffer = uv_buf_init(
        connection->bytes + connection->size, (unsigned)(FAKE_REQUEST_SIZE - 1 - connection->size));
}

/* False: some of it is still to come. */
static bool read_request(struct fake_connection *connection)
{
    const char length_name[] = "\r\nContent-Length: ";
    char *end = strstr(connection->bytes, "\r\n\r\n");

    if (!end)
        return false;
    const char *length = strstr(connection->bytes, length_name);
    size_t size = length && length < end ? strtoul(length + sizeof length_name - 1, NULL, 10) : 0;
    connection->body = end + 4;
    if (connection->bytes + connection->size < connection->body + size)
        return false;
    connection->method = connection->bytes;
    connection->path = strchr(connection->bytes, ' ');
    assert_non_null(connection->path);
    *connection->path++ = '\0';
    connection->path[strcspn(connection->path, " \r\n")] = '\0';
    return true;
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct fake_connection *connection = stream->data;

    (void)buffer;
    if (size < 0) {
        hang_up(connection);
        return;
    }
    connection->size += (size_t)size;
    connection->bytes[connection->size] = '\0';
    if (connection->busy || !read_request(connection))
        return;
    connection->busy = true;
    connection->size = 0;
    connection->index->answer(connection->index, connection);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct fake_index *index = server->data;
    struct fake_connection *connection = calloc(1, sizeof *connection);

    assert_int_equal(status, 0);
    assert_non_null(connection);
    connection->bytes = malloc(FAKE_REQUEST_SIZE);
    assert_non_null(connection->bytes);
    connection->index = index;
    uv_tcp_init(server->loop, &connection->tcp);
    connection->tcp.data = connection;
    assert_int_equal(uv_accept(server, (uv_stream_t *)&connection->tcp), 0);
    connection->next = index->connections;
    index->connections = connection;
    if (++index->count > index->most)
        index->most = index->count;
    uv_read_start((uv_stream_t *)&connection->tcp, on_room, on_read);
}

void fake_start(uv_loop_t *loop, struct fake_index *index, fake_answer answer, void *user)
{
    struct sockaddr_in address;
    int size = sizeof address;

    *index = (struct fake_index){.answer = answer, .user = user};
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    assert_int_equal(uv_tcp_init(loop, &index->server), 0);
    index->server.data = index;
    assert_int_equal(uv_tcp_bind(&index->server, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&index->server, 1024, on_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&index->server, (struct sockaddr *)&address, &size), 0);
    snprintf(index->url, sizeof index->url, "http://127.0.0.1:%u", ntohs(address.sin_port));
}

void fake_stop(struct fake_index *index)
{
    while (index->connections)
        hang_up(index->connections);
    uv_close((uv_handle_t *)&index->server, NULL);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status;
    free(write->data);
    free(write);
}

void fake_reply(
    struct fake_connection *connection, int status, const char *headers, const char *body)
{
    size_t size = strlen(headers) + strlen(body) + 160;
    uv_write_t *write = calloc(1, sizeof *write);
    char *text = malloc(size);

    assert_true(connection->busy && write && text);
    snprintf(text, size,
        "HTTP/1.1 %d -\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s",
        status, headers, strlen(body), body);
    uv_buf_t buffer = uv_buf_init(text, (unsigned)strlen(text));
    write->data = text;
    connection->busy = false;
    assert_int_equal(uv_write(write, (uv_stream_t *)&connection->tcp, &buffer, 1, on_written), 0);
}

unsigned fake_wait_s(const struct fake_connection *connection)
{
    const char in_body[] = "\"wait\":", in_query[] = "wait=";
    const char *body = strstr(connection->body, in_body);
    const char *query = strstr(connection->path, in_query);

    return body    ? (unsigned)strtoul(body + strlen(in_body), NULL, 10)
           : query ? (unsigned)strtoul(query + strlen(in_query), NULL, 10)
                   : 0;
}

bool fake_is(const struct fake_connection *connection, const char *method, const char *path)
{
    size_t length = strlen(path);

    return !strcmp(connection->method, method) && !strncmp(connection->path, path, length) &&
           (!connection->path[length] || connection->path[length] == '?');
}
