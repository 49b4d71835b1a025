/*
 * Connections of the load generator to a server on 127.0.0.1, and the whole messages that come by
 * them: replies of HTTP, or texts of WebSocket (RFC 6455). They live until the program ends.
 */
#ifndef SIGNPOST_BENCH_LINK_H
#define SIGNPOST_BENCH_LINK_H

#include "loop.h"

struct link;

/* The body of a reply, which was a success, or a text. It ends with NUL and is borrowed. */
typedef void link_message_cb(struct link *link, const char *body);

/* Cuts the first message off some bytes: how many it takes, 0 where it is not whole yet. `bytes`
 * end with NUL, which does not count. */
typedef size_t link_cut(const char *bytes, size_t length, size_t *ret_start, size_t *ret_length);

struct link {
    size_t number;     /* among those that were opened together */
    uint64_t received; /* bytes, since it was opened */

    uv_tcp_t tcp;
    uv_connect_t connecting;
    link_message_cb *on_message;
    link_cut *cut;
    char *bytes;
    size_t length, room;
};

/* Returns when all are connected. */
struct link *links_open(uint16_t port, size_t count, link_message_cb *on_message);

/* A request without a body, or with one of JSON. Several may be under way. `token` may be NULL. */
void link_get(struct link *link, const char *token, const char *path);
void link_post(struct link *link, const char *token, const char *path, const char *body);

/* What comes from then on are texts; the reply to the upgrade is no message. */
void link_upgrade(struct link *link, const char *path);
void link_text(struct link *link, const char *text);

#endif
