/*
 * The heart: nodes with leases, networks with a history, mailboxes. It takes and gives plain
 * structs, knows neither HTTP nor JSON nor SQL, and every door calls the same operations.
 *
 * Every operation completes by callback exactly once, possibly before the call returns, and not
 * before what its result says is committed. Requests are borrowed until the call returns, results
 * until the callback returns. One thread, that of the loop.
 */
#ifndef SIGNPOST_INDEX_H
#define SIGNPOST_INDEX_H

#include "clock.h"
#include "error.h"
#include "net/address.h"
#include "net/source.h"
#include "server_limits.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_NAME_SIZE (LIMIT_ID_CHARS + 1) /* of an id or a network, with its NUL */
#define CURSOR_TEXT_SIZE 38                  /* 16 hex digits, a dot, up to 20 digits, NUL */

/* A point in a network's or a mailbox's history: `<epoch>.<seq>`. */
struct cursor {
    uint64_t epoch;
    uint64_t seq;
};

bool cursor_parse(const char *text, struct cursor *ret_cursor);
bool cursor_equal(struct cursor one, struct cursor other);
const char *cursor_format(const struct cursor *cursor, char ret_text[CURSOR_TEXT_SIZE]);

struct index;

/* What an `undeliverable` tells the sender of the message that it is about. */
struct index_undeliverable {
    const char *id;
    const char *to;
    const char *session; /* "": none */
    const char *type;
    const char *reason; /* "expired" or "gone" */
};

struct index_config {
    struct store *store;          /* borrowed until index_close() */
    const struct clock *clock;    /* borrowed, likewise */
    struct sources *sources;      /* borrowed, likewise: counts nodes by address */
    size_t max_nodes;             /* 0: no limit */
    size_t max_nodes_per_network; /* 0: no limit */
    size_t max_nodes_per_address; /* 0: no limit */
    bool open;                    /* no join keys: anyone may register and read */
    /* May a node be in that network by the key with that hash (zeros: by none)? Not called where
     * `open`, else not NULL. */
    bool (*admits)(const uint8_t key_hash[STORE_HASH_SIZE], const char *network, void *user);
    void *admits_user;
    /* May another page be put together now? Where not, polls wait until index_answer_more(). NULL:
     * always. */
    bool (*has_room)(void *user);
    void *room_user;
    /* Writes the body of an `undeliverable` into `ret_body`; returns its length, below `size`. */
    size_t (*undeliverable_body)(
        const struct index_undeliverable *about, char *ret_body, size_t size);
};

int index_open(const struct index_config *config, struct index **ret_index);
void index_close(struct index *index); /* flushes the store; NULL is fine; no poll may be parked */

typedef void (*index_done)(const struct fault *fault, void *user); /* fault NULL: success */

/* Reads the store; from its completion on every lease runs one full ttl. */
void index_load(struct index *index, index_done done, void *user);

/* When index_tick() has something to do next, on the clock's monotonic side; INT64_MAX: never. */
int64_t index_next_due_ms(const struct index *index);

/* Ends what is due, in bounded batches: leases, messages, parked polls, old tombstones. */
void index_tick(struct index *index);

/* Goes on with the polls that wait for room; to be called after each pass. */
void index_answer_more(struct index *index);

/* To be called about once a second: sees whether the store still serves, though nobody asks it, and
 * whether one that did not serves again. */
void index_watch_store(struct index *index);

/* The process stood still for so long (a disk that did not answer, a machine that was stopped), and
 * has not read what came meanwhile: every lease is put off by it. */
void index_credit(struct index *index, int64_t stalled_ms);

/* Answers every parked poll with nothing; from then on a poll is answered as if wait=0. */
void index_release(struct index *index);

/* The join keys are others now: whoever came in by one that is gone is treated as unknown from here
 * on, its parked polls are answered, and its nodes leave in the next ticks. */
void index_evict(struct index *index);

/* The store answers, no write has just failed, and expiry is on time; else the fault says what is
 * wrong. */
void index_check_ready(struct index *index, index_done done, void *user);

size_t index_node_count(const struct index *index);
size_t index_network_count(const struct index *index); /* that it remembers, empty ones too */
size_t index_message_count(const struct index *index); /* likewise, spent ones too */
uint64_t index_store_bytes(const struct index *index); /* that the store takes; 0: not known */

/* --- who asks -------------------------------------------------------------------------------- */

enum credential_kind { CREDENTIAL_NONE, CREDENTIAL_KEY, CREDENTIAL_TOKEN };

/* A request's origin, as the door found it out. */
struct caller {
    struct address address;
    bool exempt; /* a trusted proxy itself: not counted by address */
    enum credential_kind kind;
    uint8_t hash[STORE_HASH_SIZE];     /* SHA-256 of the credential */
    char key_network[INDEX_NAME_SIZE]; /* where kind is CREDENTIAL_KEY: what it admits to */
    bool key_operator;
};

/* 43 base64url characters. */
bool token_is_well_formed(const char *text);
void token_hash(const char *text, size_t length, uint8_t ret_hash[STORE_HASH_SIZE]);

/* That of the requests of the live node whose token has that hash, or NULL. */
struct bucket *index_token_bucket(struct index *index, const uint8_t hash[STORE_HASH_SIZE]);

/* Who a caller is to the index. */
struct identity {
    const char *node; /* the id of the node whose token it bears; NULL: it bears none */
    bool open;        /* no join keys: anyone could have made that node */
};

typedef void (*identity_done)(const struct fault *fault, const struct identity *result, void *user);

/* For what a caller may read without naming anything: refused where reading needs a credential and
 * there is none, or a bad one. Renews nothing. */
void index_identify(
    struct index *index, const struct caller *caller, identity_done done, void *user);

/* --- nodes ----------------------------------------------------------------------------------- */

struct register_request {
    const char *id;      /* NULL: the token's node comes back, else the index makes a UUID */
    const char *network; /* NULL: the credential's, else `default` */
    const char *const *endpoints;
    size_t endpoint_count;
    const char *meta;  /* JSON object; NULL: {} */
    const char *reach; /* JSON object; NULL: {} */
    double ttl_s;      /* 0: the default */
    bool listed;
    const char *token; /* NULL: that of the caller, else the index makes one */
};

struct registered {
    bool created;
    const char *id;
    const char *network;
    const char *token; /* NULL where the client already has it */
    int ttl_s;
    double heartbeat_after_s;
    const char *endpoints; /* resolved, a line each */
    struct cursor cursor;
};

typedef void (*registered_done)(
    const struct fault *fault, const struct registered *result, void *user);

void index_register(struct index *index, const struct caller *caller,
    const struct register_request *request, registered_done done, void *user);

struct heartbeat_request {
    const char *id; /* NULL: the token's */
    bool has_endpoints;
    const char *const *endpoints;
    size_t endpoint_count;
    const char *meta;  /* NULL: as it was */
    const char *reach; /* NULL: as it was */
};

struct heartbeat {
    int ttl_s;
    double heartbeat_after_s;
    struct cursor cursor;
    size_t mail; /* messages that wait */
};

typedef void (*heartbeat_done)(
    const struct fault *fault, const struct heartbeat *result, void *user);

void index_heartbeat(struct index *index, const struct caller *caller,
    const struct heartbeat_request *request, heartbeat_done done, void *user);

/* A node as others see it. */
struct node_view {
    const char *id;
    const char *endpoints; /* a line each */
    struct address observed_ipv4, observed_ipv6;
    const char *meta, *reach; /* JSON objects */
    int64_t registered_wall_ms;
    double age_s;        /* since the last sign of life */
    double expires_in_s; /* never negative */
    size_t mail;         /* messages that wait */
};

/* Returns false to end the page here. */
typedef bool (*node_visit)(const struct node_view *node, void *user);

/* `network` NULL: the credential's, else `default`. The visitor is called once, before `done`. */
void index_get_node(struct index *index, const struct caller *caller, const char *network,
    const char *id, node_visit visit, index_done done, void *user);

void index_remove_node(struct index *index, const struct caller *caller, const char *network,
    const char *id, index_done done, void *user);

/* --- mailboxes ------------------------------------------------------------------------------- */

struct send_request {
    const char *to;
    const char *id;
    const char *session; /* NULL: none */
    const char *type;
    const char *body; /* JSON text */
    size_t body_size;
    int ttl_s; /* 0: the type's default */
};

struct sent {
    uint64_t seq;
    bool handed; /* a reader was waiting for it */
    double expires_in_s;
};

typedef void (*sent_done)(const struct fault *fault, const struct sent *result, void *user);

void index_send(struct index *index, const struct caller *caller,
    const struct send_request *request, sent_done done, void *user);

struct message_view {
    uint64_t seq;
    const char *id;
    const char *from;            /* NULL: the index itself */
    struct address from_address; /* family 0 where from is NULL */
    const char *session;         /* NULL: none */
    const char *type;
    const char *body;
    size_t body_size;
    int64_t sent_wall_ms;
    double expires_in_s;
};

/* False: there is no room for this one, and the page ends before it. */
typedef bool (*message_visit)(const struct message_view *message, void *user);

/* --- polls ----------------------------------------------------------------------------------- */

/* All changes of a list from one cursor to another: the same for whoever asks for it, but for those
 * with a filter. */
struct poll_delta {
    const char *network;
    struct cursor since, cursor;
    size_t limit; /* of nodes and tombstones together */
};

/* One read of a list, of a mailbox, or of both, which may wait until there is something to say. */
struct poll_request {
    bool renew;    /* renews the caller's lease (events) */
    double wait_s; /* 0: answered at once */

    bool list;
    const char *network; /* NULL: the credential's, else `default` */
    bool has_since;
    struct cursor since;
    const char *after_id; /* NULL, or go on with a whole list after this id */
    size_t list_limit;
    bool (*match)(const char *meta, void *user); /* NULL: all */
    /* Has the caller the whole list of that cursor already? Then none is read. NULL: no */
    bool (*is_known)(const struct cursor *cursor, void *user);
    int64_t heard_ms; /* when this connection last heard of a change; INT64_MIN: never */

    bool mail;
    const char *mailbox; /* the id of its owner, who must be the caller; NULL: the caller's */
    bool has_after;
    struct cursor after;
    size_t mail_limit;

    /* Called while an answer is put together, before `done`; not where nothing is to be said. */
    node_visit on_node;
    void (*on_gone)(const char *id, void *user);
    message_visit on_message;

    /* What many wait for is read once. `keep_delta` has been told the whole delta; `take_delta`
     * adds one that was kept to its answer, or returns false, and it is read. NULL: neither. */
    void (*keep_delta)(const struct poll_delta *delta, void *user);
    bool (*take_delta)(const struct poll_delta *delta, void *user);
};

struct poll_result {
    const char *network;
    struct cursor cursor; /* of the list */
    bool reset;
    bool more;
    const char *after;  /* of a whole list with `more`: the id that the next page comes after */
    bool list_changed;  /* this answer speaks of changes: remember when, for heard_ms */
    struct cursor next; /* of the mailbox */
    bool mail_reset;
    double heartbeat_after_s; /* where `renew` */
};

typedef void (*poll_done)(const struct fault *fault, const struct poll_result *result, void *user);

struct poll;

/* The strings and `match` of the request are copied or must stay until `done`: `network`,
 * `after_id` and `mailbox` are copied. `done` may come before this returns; then NULL is
 * returned, else a handle that is good until `done`. */
struct poll *index_poll(struct index *index, const struct caller *caller,
    const struct poll_request *request, poll_done done, void *user);

/* Ends the wait: it is answered with nothing, whatever there may be to say by now. */
void index_poll_cut(struct poll *poll);

#endif
