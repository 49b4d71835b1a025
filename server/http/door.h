/*
 * The door: one HTTP request from its first header to its reply. It checks what every route wants
 * checked, gathers the body, finds out who asks, and calls the route. A route answers with
 * request_reply() or request_fail(), at once or later.
 */
#ifndef SIGNPOST_HTTP_DOOR_H
#define SIGNPOST_HTTP_DOOR_H

#include "codec.h"
#include "http/loop.h"
#include "http/policy.h"
#include "http/request_id.h"
#include "http/wait.h"
#include "ice/turn.h"
#include "index/index.h"
#include "keys.h"
#include "pages/pages.h"
#include "text.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct http_door;
struct checker;

struct http_door_config {
    uv_loop_t *uv;
    const struct clock *clock;
    struct index *index;
    struct sources *sources;
    const struct pages *pages; /* borrowed until http_door_free() */
    struct checker *checker;   /* likewise */
    int headers_timeout_s, body_timeout_s;
    const struct tls *tls;      /* NULL: no HTTPS */
    const struct keys *keys;    /* NULL: none, the index is open; see http_door_set_keys() */
    double rate_per_credential; /* requests a second of one join key or node token; 0: no limit */
    struct ice ice;
    struct http_policy policy;
    size_t max_connections, max_connections_per_address; /* 0: no limit */
    size_t max_waiters, max_waiters_per_address;         /* 0: no limit */
    bool (*pass_done)(void *user); /* ends a pass (flushes the store); true: once more */
    void *user;
};

int http_door_new(
    const struct http_door_config *config, struct http_door **ret_door, struct fault *ret_fault);
struct http_loop *http_door_loop(struct http_door *door);

/* The keys from now on; those before may go. */
void http_door_set_keys(struct http_door *door, const struct keys *keys);

/* May another page be put together in this pass? See LIMIT_PASS_PAGES_BYTES. */
bool http_door_has_room(const struct http_door *door);

/* From now on every reply says `Connection: close`; idle connections go, the others finish. */
void http_door_drain(struct http_door *door);
void http_door_close(struct http_door *door); /* then run the loop once more before freeing */
void http_door_free(struct http_door *door);  /* NULL is fine */

/* --- for the routes -------------------------------------------------------------------------- */

struct request;

#define ROUTE_METHODS_SIZE 64
#define SHOWN_METHOD_SIZE 16

struct route {
    const char *method;
    const char *path; /* ends in `/` where a name follows; NULL: that of each page */
    void (*handle)(struct request *request);
    enum importance importance;
    unsigned flags;
};

enum route_flags {
    ROUTE_HEAD = 1,         /* serves HEAD too: a GET that changes nothing */
    ROUTE_PUBLIC = 2,       /* never needs a credential */
    ROUTE_BRINGS_TOKEN = 4, /* in its body, which is as good as one in the header */
    ROUTE_OPS = 8           /* also on the listener for operations, which has no other */
};

struct request {
    struct http_door *door;
    char id[REQUEST_ID_SIZE]; /* in its reply and in the log */
    struct MHD_Connection *mhd;
    struct http_connection *connection;
    const struct route *route;
    const char *name;        /* what follows the route's path, or NULL */
    const struct page *page; /* of a route that is one, else NULL */
    struct caller caller;
    struct bucket *bucket; /* of its credential, or NULL; only until the request is run */
    uint16_t port;         /* of the caller; 0: not known */
    struct json *json;     /* of routes that read one */
    struct poll_pieces pieces;
    size_t reply_bytes; /* of its body, where it is in memory for this request alone */
    struct meta_filter filters[LIMIT_FILTERS];
    size_t filter_count;
    struct poll *poll;   /* under way, or NULL */
    struct check *check; /* likewise */
    bool ready;          /* of GET /: whether the index is */

    /* private to the door */
    struct source *source;                /* the caller's; held unless it is the connection's */
    uint64_t began_ns;                    /* when its headers were there */
    uint64_t parked_ns;                   /* how long it was parked; while it is, since when */
    size_t sent_bytes;                    /* of the body of its reply */
    char shown_method[SHOWN_METHOD_SIZE]; /* for the log, perhaps cut */
    char shown_path[LIMIT_LOG_PATH_CHARS + 1];
    struct wait wait;
    void (*vanished)(struct request *request); /* while it is parked */
    struct text body;
    struct fault *refusal;            /* found before the body was read, or NULL */
    char methods[ROUTE_METHODS_SIZE]; /* that the path has, as for Allow */
    struct MHD_Response *response;
    unsigned status;
    int retry_after_s; /* also on a success */
    size_t url_length;
    bool has_nul;    /* in its URL, percent-encoded: libmicrohttpd would cut the path there */
    bool needs_host; /* HTTP/1.1 */
    bool begun;
    bool by_hand; /* answered past libmicrohttpd */
    bool suspended;
    bool failed; /* the connection is closed: it was refused at once, or no memory for a reply */
};

struct reply_header {
    const char *name, *value;
};

/* Takes the body over. `headers` ends with a NULL name, or is NULL. */
void request_reply(struct request *request, unsigned status, const char *type, struct text *body,
    const struct reply_header *headers);
void request_reply_json(struct request *request, struct text *body);
void request_fail(struct request *request, const struct fault *fault);

/* The same with bytes that stay for ever. A Cache-Control among the headers stands in the place of
 * the usual one. */
void request_reply_bytes(struct request *request, unsigned status, const char *type,
    const char *bytes, size_t size, const struct reply_header *headers);

/* A page grew by so many bytes and has `length` now: may it grow further? */
bool request_page_grew(struct request *request, size_t bytes, size_t length);

/* Is there room in its page for so many bytes more? */
bool request_page_takes(const struct request *request, size_t bytes);

/* For poll_request: all of a page is kept until the pass is over, or taken from what was kept. */
void request_keep_delta(struct request *request, const struct poll_delta *delta);
bool request_take_delta(struct request *request, const struct poll_delta *delta);

/* By the request's filters; counts as growth. */
bool request_meta_matches(struct request *request, const char *meta);

const struct keys *request_keys(const struct request *request); /* NULL: none */
struct index *request_index(const struct request *request);
const struct ice *request_ice(const struct request *request);
const struct pages *request_pages(const struct request *request);
struct checker *request_checker(const struct request *request);

/* How the process is and what the door holds, for GET /: fills all but `ready` and the counts. */
void request_status(const struct request *request, struct status_reply *ret_status);
void request_heard(struct request *request); /* of a change in a list, by this answer */

/* Parses the body as JSON into `request->json`; where that fails the request is answered. */
bool request_parse(struct request *request);
const char *request_header(const struct request *request, const char *name);
const char *request_query(const struct request *request, const char *name); /* NULL: absent */
bool request_has_tag(const struct request *request, const char *tag);       /* by If-None-Match */

/* The request waits, and counts as one that does, until request_unpark(). Meanwhile `vanished` is
 * called, once, where its client closes its end; it is to be answered all the same. */
void request_park(struct request *request, void (*vanished)(struct request *request));
void request_unpark(struct request *request);

/* Asks the index, within the caps on parked polls. `done` gets the request as its user; it calls
 * request_poll_done() and answers. */
void request_poll(struct request *request, struct poll_request *poll, poll_done done);
void request_poll_done(struct request *request);

#endif
