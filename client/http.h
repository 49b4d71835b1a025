/*
 * Requests over libcurl's multi-socket interface on the loop: nothing blocks, DNS included. Replies
 * are gathered up to a cap. The only module that knows libcurl.
 */
#ifndef SIGNPOST_CLIENT_HTTP_H
#define SIGNPOST_CLIENT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define HTTP_DETAIL_SIZE 256
#define HTTP_ADDRESS_SIZE 46
#define HTTP_URL_BYTES 1024 /* of the URL of an index */

struct http; /* a client's connections */

struct http_request {
    const char *method; /* "GET", "POST", "DELETE" */
    const char *url;
    const char *bearer; /* NULL: no Authorization */
    const char *body;   /* JSON; NULL: none */
    size_t body_size;
    uint64_t timeout_ms; /* in all */
    int family;          /* 4 or 6: over that alone; 0: either */
    size_t max_bytes;    /* of the reply's body; more is SIGNPOST_ERROR_PROTOCOL */
};

struct http_reply {
    int error;        /* 0: there is a status; else an enum signpost_error */
    long status;      /* HTTP */
    const char *body; /* NUL-terminated; "" where there is none */
    size_t body_size;
    bool json;                     /* by its Content-Type */
    int64_t retry_after_ms;        /* 0: none */
    char local[HTTP_ADDRESS_SIZE]; /* our end of the connection, "": not known */
    uint16_t local_port;
    char remote[HTTP_ADDRESS_SIZE]; /* the other end */
    unsigned wait_us;               /* from the request sent to the first byte of the reply */
    char detail[HTTP_DETAIL_SIZE];  /* where `error`: a sentence */
};

typedef void (*http_done)(const struct http_reply *reply, void *user);

struct http_call; /* a request under way */

/* May paths be put behind it? Its scheme is http or https, and nothing ends it. */
bool http_is_base_url(const char *url);

/* What may be told of such a URL: the whole, or what comes after a user and a password in it. */
const char *http_log_name(const char *url);

/* `ca_file` NULL: the system's. SIGNPOST_ERROR_NO_MEMORY. */
int http_new(uv_loop_t *loop, const char *ca_file, struct http **ret_http);

/* Cancels what is under way, without its callbacks; `closed` comes when all handles are, from the
 * loop; frees. */
void http_close(struct http *http, void (*closed)(void *user), void *user);

/* Everything is copied. `done` comes exactly once, from the loop, unless the call is cancelled. */
int http_start(struct http *http, const struct http_request *request, http_done done, void *user,
    struct http_call **ret_call);

/* The way to the indexes is another now: what is under way begins anew, over new connections. Where
 * there is no memory for that it all goes on as it was. Not from inside a callback. */
void http_renew(struct http *http);

/* Its callback does not come any more. Not from inside that callback. */
void http_cancel(struct http_call *call);

#endif
