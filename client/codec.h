/*
 * What the client says to an index and hears from it, as JSON. The only module that knows jansson.
 * What comes from an index is not trusted: sizes are capped, members checked.
 */
#ifndef SIGNPOST_CLIENT_CODEC_H
#define SIGNPOST_CLIENT_CODEC_H

#include "signpost.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CODEC_CURSOR_SIZE 64 /* a longer cursor is refused */

/* Of the peers, strings point into the list's own memory. */
struct codec_list {
    char cursor[CODEC_CURSOR_SIZE];
    bool reset, more;
    const char *after;            /* where a whole list with `more` goes on; "": it does not say */
    const signpost_peer_t *nodes; /* `stale` is false */
    size_t node_count;
    const char *const *gone; /* ids */
    size_t gone_count;
};

/* What an undeliverable tells of the message that it is about. */
struct codec_undeliverable {
    const char *id, *to, *session, *type; /* session "": none */
    int reason; /* SIGNPOST_ERROR_EXPIRED or SIGNPOST_ERROR_UNKNOWN_PEER */
};

struct codec_message {
    signpost_message_t message; /* `from` "": the index itself */
    bool is_undeliverable;
    struct codec_undeliverable undeliverable; /* where it is one */
};

struct codec_mail {
    char next[CODEC_CURSOR_SIZE];
    bool reset;
    const struct codec_message *messages;
    size_t message_count;
};

struct codec_reply {
    /* of /register and /heartbeat */
    const char *id;       /* "" where there is none */
    const char *observed; /* our own address, "" where there is none */
    char cursor[CODEC_CURSOR_SIZE];
    int64_t ttl_ms;
    int64_t heartbeat_after_ms; /* also of /events */
    uint64_t mail;
    /* of /list and /events; of /mailbox and /events */
    bool has_list, has_mail;
    struct codec_list list;
    struct codec_mail mailbox;
    /* of POST /mailbox */
    bool handed;
    int64_t expires_in_ms;
    /* private */
    void *memory;
};

/* What kind of reply is expected: other members than those it needs are ignored. */
enum codec_kind {
    CODEC_REGISTERED,
    CODEC_HEARTBEAT,
    CODEC_LIST,
    CODEC_NODE, /* of GET /nodes/{id}: a list of this one, without a cursor */
    CODEC_EVENTS,
    CODEC_SENT
};

/* SIGNPOST_ERROR_PROTOCOL where a member that the kind needs is missing or wrong, with a sentence
 * in `ret_detail`; SIGNPOST_ERROR_NO_MEMORY. What is returned is to be freed with codec_free(). A
 * message or node that is malformed in itself makes the whole reply PROTOCOL. Seconds become ms,
 * rounded; a time that is negative, not finite or above a day is PROTOCOL. */
int codec_parse(enum codec_kind kind, const char *text, size_t size, struct codec_reply *ret_reply,
    char ret_detail[256]);
void codec_free(struct codec_reply *reply); /* a zeroed one is fine; zeroes it */

/* An RFC 9457 problem. False where it is none. */
struct codec_problem {
    char code[64];
    char detail[256];    /* without control characters */
    bool register_again; /* its action is "register" */
};
bool codec_parse_problem(const char *text, size_t size, struct codec_problem *ret_problem);

/* Is it one JSON object? */
bool codec_is_object(const char *text);
bool codec_is_json(const char *text, size_t size);
bool codec_is_text(const char *text, size_t most); /* UTF-8, of at most so many bytes */
bool codec_is_id(const char *text);                /* 1 to 64 of A-Z a-z 0-9 . _ - */

/* Has the object at its top level every "key=value" of `filters` (ended by NULL)? Strings are
 * compared as they are, numbers, true, false and null by their JSON text. */
bool codec_matches(const char *object, const char *const *filters);

/* Bodies of requests; NULL where memory is out; free() them. `endpoints` ended by NULL; what is
 * NULL is left out. */
char *codec_register(const signpost_config_t *config, const char *id, const char *token);
char *codec_heartbeat(const char *const *endpoints, const char *meta, const char *reach);
char *codec_message(const char *id, const char *session, const char *type, const char *body,
    size_t body_size, unsigned ttl_s);
char *codec_events(const char *since, const char *after, unsigned wait_s, unsigned limit);

/* --- the port checker ------------------------------------------------------------------------ */

#define CODEC_PLACE_SIZE 272 /* "HOST:PORT", HOST a name or a literal */
#define CODEC_STUN_MAX 6

/* Of GET /ice: its STUN servers over UDP, "HOST[:PORT]"; those that are none are passed over. */
struct codec_ice {
    char stun[CODEC_STUN_MAX][CODEC_PLACE_SIZE];
    size_t stun_count;
};
int codec_parse_ice(const char *text, size_t size, struct codec_ice *ret_ice, char ret_detail[256]);

/* Of POST /check. Addresses are literals, "" where there is none. */
struct codec_checked {
    char result[16];
    bool verified, contacted;
    char target[56], dialed_from[46];
    double ms;
    char you[46];
    uint16_t you_port;
};
int codec_parse_checked(
    const char *text, size_t size, struct codec_checked *ret_checked, char ret_detail[256]);

/* `from`: "other", "contacted" or NULL; `timeout_s` 0: left out. NULL, free() as above. */
char *codec_check(
    uint16_t port, const char *protocol, const char *nonce, const char *from, unsigned timeout_s);

/* --- bodies of a session's messages (docs/sessions.md) --------------------------------------- */

#define CODEC_KIND_SIZE 33 /* 1 to 32 of a-z 0-9 . _ - and NUL */

/* What a body says. `payload` is, by the type of the message: of a knock what is wanted ("accept"
 * or "dial", else ""); of a ready its secret and then its endpoints, each ended by a newline (else
 * ""); the SDP; the candidates, each compact and ended by a newline; the reason of a bye. */
struct codec_signal {
    char kind[CODEC_KIND_SIZE]; /* of knock and ready; else "" */
    unsigned gen;
    bool end;
    char *payload; /* codec_free_signal() */
};

/* SIGNPOST_ERROR_PROTOCOL where a peer sent what makes no sense; SIGNPOST_ERROR_NO_MEMORY. */
int codec_parse_signal(
    const char *type, const char *body, size_t size, struct codec_signal *ret_signal);
void codec_free_signal(struct codec_signal *signal);

/* The way back; NULL where memory is out, or a candidate is no JSON object; free() it. */
char *codec_signal(const char *type, const struct codec_signal *signal);

/* An object in one line, as the payload has candidates; NULL: it is none. free() it. */
char *codec_compact_object(const char *text);
bool codec_is_kind(const char *text);

#endif
