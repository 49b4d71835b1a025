/*
 * JSON in and out: request bodies into the structs of the index, results into reply bodies. The
 * only module that knows jansson. What it checks is form (types, presence, sizes of what is kept
 * as JSON); what values mean is checked by the operations.
 */
#ifndef SIGNPOST_CODEC_H
#define SIGNPOST_CODEC_H

#include "error.h"
#include "ice/turn.h"
#include "index/index.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>

/* --- in: each returns 0 or an error with its fault. Bodies are UTF-8 JSON objects. Strings of the
 * result point into the `json`, which codec_free() frees, or into `body`. --------------------- */

struct json; /* a parsed body */

void codec_free(struct json *json); /* NULL is fine */

/* What jansson refuses (syntax, duplicate members, NUL, bad UTF-8, too deep) is ERROR_BAD_JSON
 * with line and column. A member of the wrong type is ERROR_BAD_REQUEST and named. `null` counts as
 * absent. `body` must stay as long as the json. */
int codec_parse(const char *body, size_t size, struct json **ret_json, struct fault *ret_fault);

int codec_read_register(
    struct json *json, struct register_request *ret_request, struct fault *ret_fault);
int codec_read_heartbeat(
    struct json *json, struct heartbeat_request *ret_request, struct fault *ret_fault);

/* `to` is not in the body and left NULL. `body` is the exact bytes of the member in the request. */
int codec_read_message(
    struct json *json, struct send_request *ret_request, struct fault *ret_fault);

/* since, after, wait, limit of POST /events. */
int codec_read_events(struct json *json, struct poll_request *ret_request, struct fault *ret_fault);

/* POST /check. */
enum check_from {
    CHECK_FROM_ANY,      /* the other address where there is one */
    CHECK_FROM_OTHER,    /* one that the caller has not contacted */
    CHECK_FROM_CONTACTED /* the one that the caller has contacted */
};

struct check_request {
    uint16_t port;
    bool udp;
    uint8_t nonce[16];
    enum check_from from;
    double timeout_s; /* of connecting */
};

int codec_read_check(struct json *json, struct check_request *ret_request, struct fault *ret_fault);

/* Checks shared with the query of GET. `limit` 1 to `max`, `wait` 0 to LIMIT_WAIT_MAX_S. */
int codec_check_wait(double wait_s, struct fault *ret_fault);
int codec_check_limit(double limit, size_t max, struct fault *ret_fault);
int codec_check_cursor(
    const char *name, const char *text, struct cursor *ret_cursor, struct fault *ret_fault);

/* Does the JSON object `meta` have at its top level every key with that value? Strings are compared
 * as they are; numbers, true, false and null with their JSON text. */
struct meta_filter {
    const char *key;
    const char *value;
};
bool codec_meta_matches(const char *meta, const struct meta_filter *filters, size_t count);

/* --- out: appended to a text ----------------------------------------------------------------- */

void codec_write_string(struct text *out, const char *string); /* quoted and escaped */

/* `{"address", "port", "family"}` */
void codec_write_you(struct text *out, const struct address *address, unsigned port);
void codec_write_registered(struct text *out, const struct registered *registered,
    const struct address *you, unsigned port);
void codec_write_heartbeat(
    struct text *out, const struct heartbeat *heartbeat, const struct address *you, unsigned port);
void codec_write_node(struct text *out, const struct node_view *node);
void codec_write_sent(struct text *out, const struct sent *sent);

/* A poll's pieces are gathered while it is answered (comma-separated), then put together. */
struct poll_pieces {
    struct text nodes, gone, messages;
};

void codec_add_gone(struct text *gone, const char *id);
void codec_add_node(struct text *nodes, const struct node_view *node);
void codec_add_message(struct text *messages, const struct message_view *message);
void codec_write_list(
    struct text *out, const struct poll_pieces *pieces, const struct poll_result *result);
void codec_write_mail(
    struct text *out, const struct poll_pieces *pieces, const struct poll_result *result);
void codec_write_events(
    struct text *out, const struct poll_pieces *pieces, const struct poll_result *result);
void codec_write_problem(struct text *out, const struct fault *fault);

/* An RTCConfiguration. `own`: the URIs of the index's own STUN, each quoted, separated by commas;
 * NULL: there are none. `turn` NULL: without TURN servers. */
void codec_write_ice(
    struct text *out, const struct ice *ice, const char *own, const struct turn_credential *turn);

struct check_reply {
    const char *result;
    bool verified, contacted;
    const struct address *target;
    uint16_t port;
    const struct address *dialed_from; /* family 0: not known, null */
    double ms;
    const struct address *you;
    unsigned your_port;
};
void codec_write_check(struct text *out, const struct check_reply *reply);

/* What GET / tells of the index itself; a cap of 0 is no limit. */
struct status_reply {
    bool ready;
    int64_t wall_ms;
    double uptime_s;
    bool counts; /* may nodes and networks be told? */
    size_t nodes, networks;
    size_t waiting, max_waiting;
    size_t connections, max_connections;
    double cpu_share;
    size_t memory_bytes;
};

/* Of each node what changes from second to second. */
void codec_add_sign_of_life(struct text *nodes, const struct node_view *node);
void codec_write_status(struct text *out, const struct status_reply *status,
    const struct poll_pieces *pieces, const struct poll_result *result);

/* For index_config.undeliverable_body. */
size_t codec_undeliverable_body(
    const struct index_undeliverable *about, char *ret_body, size_t size);

#endif
