/* What the files of http share. */
#ifndef SIGNPOST_CLIENT_HTTP_INTERNAL_H
#define SIGNPOST_CLIENT_HTTP_INTERNAL_H

#include "http.h"

#include <curl/curl.h>

struct http {
    uv_loop_t *loop;
    uv_timer_t timer;
    CURLM *multi;
    char *ca_file;
    struct http_call *calls;
    size_t handles; /* of libuv, that are not closed yet */
    bool in_timer;
    bool unwatched; /* a call has an error of which libcurl does not know */
    bool closing;
    void (*closed)(void *user);
    void *closed_user;
};

struct http_call {
    struct http *http;
    struct http_call *next, *previous;
    CURL *easy;
    struct curl_slist *headers;
    http_done done;
    void *user;
    char *body;
    size_t body_size, body_capacity, max_bytes;
    size_t head_size;
    bool head_complete;
    int error; /* found here, and not by libcurl: NO_MEMORY, or PROTOCOL where there is too much */
    char curl_text[CURL_ERROR_SIZE];
};

/* http_reply.c: a reply that came, and why none did. Both fill in a zeroed one. */
void http_read(const struct http_call *call, struct http_reply *reply);
void http_describe(const struct http_call *call, CURLcode code, struct http_reply *reply);

/* http_url.c: the bytes of the scheme and the slashes behind it; 0: it is neither http nor https.
 */
size_t http_scheme_size(const char *url);

#endif
