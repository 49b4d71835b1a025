/*
 * What can go wrong, in one list: the number used inside, the stable word that clients read, the
 * HTTP status and the title (RFC 9457). A fault adds the sentence for this one case.
 */
#ifndef SIGNPOST_ERROR_H
#define SIGNPOST_ERROR_H

#include <stddef.h>

/* X(NAME, code, HTTP status, title) */
#define ERROR_LIST(X)                                                                              \
    X(BAD_JSON, "bad_json", 400, "The body is not acceptable JSON")                                \
    X(BAD_REQUEST, "bad_request", 400, "The request is malformed")                                 \
    X(BAD_ID, "bad_id", 400, "Not an id")                                                          \
    X(BAD_ENDPOINT, "bad_endpoint", 400, "Not an endpoint that this index takes")                  \
    X(BAD_CURSOR, "bad_cursor", 400, "Not a cursor")                                               \
    X(BAD_TOKEN, "bad_token", 400, "Not a token")                                                  \
    X(NO_CREDENTIAL, "no_credential", 401, "A credential is needed")                               \
    X(BAD_CREDENTIAL, "bad_credential", 401, "The credential cannot be read")                      \
    X(BAD_KEY, "bad_key", 401, "No such join key")                                                 \
    X(NOT_YOURS, "not_yours", 403, "That node belongs to another token")                           \
    X(OTHER_NETWORK, "other_network", 403, "The credential is for another network")                \
    X(FOREIGN_HOST, "foreign_host", 403, "This index answers this machine only")                   \
    X(TARGET_REFUSED, "target_refused", 403, "This index does not dial that")                      \
    X(UNKNOWN_NODE, "unknown_node", 404, "No such node")                                           \
    X(UNKNOWN_PATH, "unknown_path", 404, "No such path")                                           \
    X(BAD_METHOD, "bad_method", 405, "That path has no such method")                               \
    X(ID_TAKEN, "id_taken", 409, "Another node holds this id")                                     \
    X(TOKEN_IN_USE, "token_in_use", 409, "The token belongs to another node")                      \
    X(SUPERSEDED, "superseded", 409, "A newer reader took this mailbox")                           \
    X(MESSAGE_ID_REUSED, "message_id_reused", 409, "The message id was used for other content")    \
    X(NONCE_USED, "nonce_used", 409, "The nonce was used before")                                  \
    X(LENGTH_REQUIRED, "length_required", 411, "A Content-Length is needed")                       \
    X(TOO_LARGE, "too_large", 413, "The body is too large")                                        \
    X(URL_TOO_LONG, "url_too_long", 414, "The URL is too long")                                    \
    X(NOT_JSON, "not_json", 415, "The body is not declared as JSON")                               \
    X(HEADERS_TOO_LARGE, "headers_too_large", 431, "The headers are too large")                    \
    X(TOO_MANY_CONNECTIONS, "too_many_connections", 429, "Too many connections of one address")    \
    X(RATE_LIMITED, "rate_limited", 429, "Too many requests")                                      \
    X(MAILBOX_FULL, "mailbox_full", 429, "The mailbox takes no more")                              \
    X(TOO_MANY_NODES, "too_many_nodes", 429, "Too many nodes of one address")                      \
    X(NETWORK_FULL, "network_full", 429, "The network takes no more")                              \
    X(CHECK_LIMITED, "check_limited", 429, "Too many checks")                                      \
    X(INDEX_FULL, "index_full", 503, "The index takes no more")                                    \
    X(OVERLOADED, "overloaded", 503, "The index is overloaded")                                    \
    X(STORE_FAILED, "store_failed", 503, "The store failed")                                       \
    X(NO_MEMORY, "no_memory", 503, "The index is out of memory")                                   \
    X(NOT_READY, "not_ready", 503, "The index is not ready")

enum error_ordinal {
#define X(name, code, status, title) ERROR_ORDINAL_##name,
    ERROR_LIST(X)
#undef X
};

/* Functions return 0 or one of these. */
enum error {
    ERROR_NONE = 0,
#define X(name, code, status, title) ERROR_##name = -1 - ERROR_ORDINAL_##name,
    ERROR_LIST(X)
#undef X
};

/* One thing that went wrong: what a caller of an operation is told. */
struct fault {
    int error;          /* 0, or an enum error */
    int retry_after_s;  /* 0: nothing is said of when to come back */
    const char *action; /* what mends it: "register", "retry", "reset", or NULL; static */
    char detail[256];   /* a sentence that says what was wrong and what to do */
};

/* Fills `ret_fault` with a formatted sentence; returns `error`, so that `return fault_set(...)`
 * reads well. */
int fault_set(struct fault *ret_fault, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for what is the index's own trouble (ERROR_NO_MEMORY, ERROR_STORE_FAILED): says so, and
 * to try again in a second. */
int fault_busy(struct fault *ret_fault, int error);

const char *error_code(int error);  /* "id_taken"; static */
const char *error_title(int error); /* static */
unsigned error_http_status(int error);

#endif
