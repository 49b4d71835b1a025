/* One index, as link.c (registering, trouble), link_beat.c (heartbeats) and link_poll.c (list and
 * mailbox) see it. */
#ifndef SIGNPOST_CLIENT_LINK_H
#define SIGNPOST_CLIENT_LINK_H

#include "client.h"

#define LINK_WAIT_S 25u             /* of a long poll, where nothing cuts it */
#define LINK_SHORT_TIMEOUT_MS 10000 /* of a request that does not wait */

enum link_step { STEP_REST, STEP_REGISTER, STEP_POLL, STEP_PAGE };

struct link {
    signpost_t *client;
    size_t number;
    char *url; /* without a slash at its end */
    char token[SECRET_TOKEN_SIZE];
    uv_timer_t timer; /* the next step */
    uv_timer_t heart; /* the next heartbeat, where polls do not renew */
    struct http_call *call;
    struct http_call *beat;
    enum link_step step; /* what `call` is, or what the timer will begin */
    bool registered, leaving;
    bool joining;     /* `call` asks whether another process keeps the node registered */
    bool joined;      /* it does: the node is not ours to change or to remove */
    unsigned told;    /* the version of the node's record that the index has */
    unsigned telling; /* the one that is on its way */
    bool
        probing; /* the poll under way does not wait: was the last one cut, or is the index away? */
    unsigned failures;     /* of all but heartbeats, one after the other */
    unsigned losses;       /* of the lease, since a poll was answered */
    int64_t not_before_ms; /* what the index asked for with Retry-After, of all but heartbeats */
    unsigned beat_failures;
    int64_t beat_not_before_ms; /* the same of heartbeats */
    unsigned wait_s;            /* of long polls here */
    int64_t wait_reset_ms;      /* when to try the full wait again */
    int64_t asked_ms;           /* when `call` began */
    int64_t lived_ms;           /* how long the poll lived that was cut */
    int64_t suspected_ms; /* how long the one before lived, if it was cut too; 0: it was not */
    unsigned waited_s;    /* `call` is a poll that waits so long; 0: it does not */
    int64_t ttl_ms;
    char since[CODEC_CURSOR_SIZE], after[CODEC_CURSOR_SIZE];
    char first[CODEC_CURSOR_SIZE]; /* the cursor of a whole list's first page */
    char page[72];                 /* where the whole list goes on */
    bool listed_once;              /* its list was known before */
    signpost_index_state_t state;
    int error;
    char detail[HTTP_DETAIL_SIZE];
    char observed[64];
    void (*left)(struct link *link);
    unsigned handles;
};

/* --- link.c ---------------------------------------------------------------------------------- */

struct link_url {
    char text[2048];
    size_t length;
    bool query; /* a parameter was added */
};

void link_url_put(struct link_url *url, const char *text);
void link_url_parameter(struct link_url *url, const char *name, const char *value); /* encodes */

/* The URL, or what comes after a user and a password in it. */
const char *link_log_name(const struct link *link);

/* A request there with our token, or with the join key before we have one. */
int link_request(struct link *link, const char *method, const char *url, const char *body,
    uint64_t timeout_ms, http_done done, struct http_call **ret_call);

/* What a reply means that is no success; with a sentence. */
int link_explain(
    const struct http_reply *reply, struct codec_problem *ret_problem, char ret_detail[256]);

void link_set_state(struct link *link, signpost_index_state_t state, int error, const char *detail);
bool link_reads_mail(const struct link *link);

/* Begins the step now, or after a while; what Retry-After asked for is waited for in any case. */
void link_step(struct link *link);
void link_rest(struct link *link, enum link_step next, uint64_t delay_ms);
void link_obey(struct link *link, int64_t retry_after_ms);

/* Begins it after a backoff. An index that is only busy is not away. */
void link_try_later(
    struct link *link, enum link_step next, int error, const char *detail, int64_t retry_after_ms);
void link_give_up(struct link *link); /* another process runs under our identity */

/* The longest between two tries: a third of the lease, so that an index that comes back hears of us
 * soon. */
uint64_t link_most_backoff_ms(const struct link *link);

/* --- link_beat.c: heartbeats, and news of the node's record ---------------------------------- */

/* A record that another process keeps is none of ours. */
bool link_has_news(const struct link *link);

/* What the index asks for, but never so often that it would be a flood. */
uint64_t link_beat_after_ms(const struct codec_reply *parsed);

/* Not before a time that the index asked for when it took none. */
void link_beat_later(struct link *link, uint64_t delay_ms);
void link_tell_again(struct link *link); /* the index has another record of our node */

/* --- link_poll.c ----------------------------------------------------------------------------- */

void link_begin_poll(struct link *link);

#endif
