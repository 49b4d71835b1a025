/* What the files of direct connections share. */
#ifndef SIGNPOST_CLIENT_DIRECT_INTERNAL_H
#define SIGNPOST_CLIENT_DIRECT_INTERNAL_H

#include "approach.h"
#include "direct.h"
#include "listener.h"
#include "session/session.h"

#define DIRECT_SCHEME "signpost"
#define DIRECT_REQUESTS_MAX 256
#define DIRECT_ENDPOINTS_MAX 10 /* of a node */
#define DIRECT_ENDPOINT_SIZE 80 /* "signpost://[address]:port" and NUL */
#define DIRECT_ENDPOINTS_BYTES (DIRECT_ENDPOINTS_MAX * (DIRECT_ENDPOINT_SIZE + 1) + 1)
#define DIRECT_REASON_SIZE (SESSION_REASON_SIZE * 3)

/* One signpost_connect(). */
struct request {
    struct request *next;
    struct direct *direct;
    uint64_t id;
    char peer[65], scheme[33];
    int64_t began_ms;
    bool begun;
    struct approach *approach; /* of a service's own scheme, which needs no session */
    unsigned retries;
    int64_t due_ms; /* when it is begun, or tried again */
    bool finished;  /* with the error and the reason: to be told from the loop */
    int error;
    char reason[DIRECT_REASON_SIZE];
    signpost_connected_cb connected;
    void *user;
};

struct direct {
    signpost_t *client;
    uv_timer_t timer;
    struct request *requests; /* the oldest first */
    size_t request_count;
    uint64_t last_id;
    bool closed;
    /* Where we listen. */
    struct listener *listener;
    char host[64]; /* "": everywhere */
    signpost_connection_cb on_connection;
    void *user;
    struct sockaddr_storage *locals; /* this machine's addresses, all of them */
    size_t local_count;
};

/* --- direct.c -------------------------------------------------------------------------------- */

void direct_take_guest(int fd, const char *peer, void *ticket_user, void *user);

/* --- direct_request.c ------------------------------------------------------------------------ */

/* The oldest for that peer that is not finished, which is the caller's now; NULL: none. */
struct request *direct_take_request(struct direct *direct, const char *peer);
bool direct_has_request(const struct direct *direct, const char *peer);
void direct_fail_request(
    struct direct *direct, const char *peer, int error, const char *reason); /* the oldest */

/* Gives a connection to whom it is for. */
void direct_deliver(struct direct *direct, struct request *request, const char *peer, int fd,
    signpost_path_t path, bool called, int64_t took_ms);

enum direct_answer { DIRECT_YES, DIRECT_BUSY, DIRECT_NO };

/* May that peer have a connection? */
enum direct_answer direct_answer_to(const struct direct *direct, const char *peer);

/* --- direct_listen.c ------------------------------------------------------------------------- */

/* Where we listen, as far as we know it, each ended by a newline. */
void direct_write_endpoints(const struct direct *direct, char ret_lines[DIRECT_ENDPOINTS_BYTES]);
bool direct_has_local(const struct direct *direct, const struct sockaddr_storage *address);

#endif
