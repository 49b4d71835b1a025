/*
 * For the tests of the client: an index in the test's own loop, that answers as the test says. What
 * is answered may be wrong, late, or nothing at all, and each request can be looked at.
 */
#ifndef SIGNPOST_TEST_FAKE_INDEX_H
#define SIGNPOST_TEST_FAKE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define FAKE_REQUEST_SIZE (128 * 1024)

/* Bodies of replies. */
#define FAKE_REGISTERED "{\"id\":\"a\",\"cursor\":\"e.1\",\"ttl\":30,\"heartbeat_after\":10}"
#define FAKE_HEARTBEAT "{\"mail\":0,\"cursor\":\"e.1\",\"ttl\":30,\"heartbeat_after\":10}"
#define FAKE_MAIL "{\"next\":\"m.1\",\"reset\":false,\"messages\":[]}"
#define FAKE_LIST(more, nodes)                                                                     \
    "{\"cursor\":\"e.1\",\"reset\":false,\"more\":" more ",\"gone\":[],\"nodes\":[" nodes "]}"
#define FAKE_EVENTS(more, nodes)                                                                   \
    "{\"heartbeat_after\":10,\"mail\":" FAKE_MAIL ",\"list\":" FAKE_LIST(more, nodes) "}"
#define FAKE_SENT "{\"seq\":1,\"state\":\"queued\",\"expires_in\":10}"
#define FAKE_BUSY "{\"code\":\"too_many_requests\",\"title\":\"\",\"action\":\"retry\"}"
#define FAKE_FORGOTTEN "{\"code\":\"unknown_node\",\"title\":\"\",\"action\":\"register\"}"

struct fake_index;

/* A connection, and its last request. */
struct fake_connection {
    uv_tcp_t tcp;
    struct fake_index *index;
    struct fake_connection *next;
    char *bytes; /* of the request; ended by NUL */
    size_t size;
    char *method, *path, *body; /* in them; `path` with the query */
    bool busy;                  /* not answered yet */
};

/* Answers by fake_reply(), now or later; or not. */
typedef void (*fake_answer)(struct fake_index *index, struct fake_connection *connection);

struct fake_index {
    uv_tcp_t server;
    char url[64];
    fake_answer answer;
    void *user;
    struct fake_connection *connections;
    size_t count, most; /* connections that are open, and how many were at once */
};

void fake_start(uv_loop_t *loop, struct fake_index *index, fake_answer answer, void *user);
void fake_stop(struct fake_index *index); /* the loop has to run on to close it */

/* `headers` may be ""; each is ended by "\r\n". */
void fake_reply(
    struct fake_connection *connection, int status, const char *headers, const char *body);

/* How long the poll is to wait, in seconds; 0: it is not, or this is no poll. */
unsigned fake_wait_s(const struct fake_connection *connection);

bool fake_is(const struct fake_connection *connection, const char *method, const char *path);

#endif
