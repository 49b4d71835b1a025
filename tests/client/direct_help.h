/* Clients of a real index that connect to each other, for the tests of direct connections, and
 * peers that speak the protocol by hand. */
#ifndef SIGNPOST_TESTS_DIRECT_HELP_H
#define SIGNPOST_TESTS_DIRECT_HELP_H

#include "index_help.h"
#include "signpost.h"
#include "socket_help.h"

#define ENDS_MAX 8
#define LINKS_MAX 300

/* A connection, as it was handed over. */
struct link_copy {
    int fd; /* closed at the end of the test; -1: none */
    char peer[65], local[64], remote[64];
    signpost_path_t path;
    bool called;
    unsigned rtt_us, took_ms;
};

struct arena;

/* A client, and what it was told. */
struct end {
    struct arena *arena;
    signpost_t *client;
    char id[65];
    unsigned ready;
    bool stopped;
    unsigned calls_after_stop; /* has to stay 0 */
    struct link_copy came[LINKS_MAX];
    unsigned count; /* of those that came */
    char log[16384];
    unsigned messages; /* that came to its application */
    struct {
        char type[33], session[65], from[65], body[2048];
    } last; /* of them */
    void (*on_message)(struct end *end, const signpost_message_t *message);
    void (*on_came)(struct end *end, const signpost_connection_t *connection);
    void (*on_log)(struct end *end, const char *text);
};

/* A signpost_connect(), and what came of it. */
struct wish {
    struct end *end;
    uint64_t request;
    unsigned calls; /* has to become 1 */
    bool inside;    /* signpost_connect() has not returned */
    int error;
    char peer[65], reason[512];
    struct link_copy link;
    void (*then)(struct wish *wish);
    struct wish *next; /* for `then` */
};

struct arena {
    struct sockets *sockets;
    uv_loop_t *loop;
    struct index_process index;
    struct end *ends[ENDS_MAX];
    size_t count;
};

/* For cmocka: the teardown fails where a descriptor or a handle is left, and where a client called
 * back after it was stopped. */
int arena_setup(void **state);
int arena_teardown(void **state);

struct end *arena_add(struct arena *arena, const char *id); /* registers; does not listen */
struct end *arena_add_with(struct arena *arena, const char *id, const char *const *endpoints);
struct end *arena_add_listener(struct arena *arena, const char *id, const char *host);
void end_listen(struct end *end, const char *host, bool refuses);
void end_knows(struct end *end, const char *peer, size_t endpoints); /* waits for its record */
void end_stop(struct end *end);
void end_wait_for_log(struct end *end, const char *text);
unsigned end_count_log(const struct end *end, const char *text);
void end_wait_for_message(struct end *end, const char *type);
void end_wait_for_came(struct end *end, unsigned count);
void end_send(struct end *end, const char *to, const char *session, const char *type,
    const char *body); /* and waits until the index has it */

void wish_begin(struct wish *wish, struct end *end, const char *peer, const char *scheme);
void wish_wait(struct wish *wish);         /* exactly one callback */
void wish_wait_hurried(struct wish *wish); /* its pauses and waits for the peer are skipped */
void wish_assert_linked(struct wish *wish, signpost_path_t path);
void wish_assert_failed(struct wish *wish, int error, const char *reason);
void wish_drop(struct wish *wish); /* closes its descriptor */

/* They are the ends of one connection, and nobody has read from it. */
void links_assert_one(
    struct arena *arena, const struct link_copy *one, const struct link_copy *other);

void copy_link(struct link_copy *ret_copy, const signpost_connection_t *connection);

#endif
