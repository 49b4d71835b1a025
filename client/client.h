/* What the files of the client share. */
#ifndef SIGNPOST_CLIENT_CLIENT_H
#define SIGNPOST_CLIENT_CLIENT_H

#include "codec.h"
#include "directory.h"
#include "http.h"
#include "secret.h"
#include "signpost.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define CLIENT_INDEXES_MAX 16
#define CLIENT_TTL_DEFAULT_S 30
#define CLIENT_BACKOFF_FIRST_MS 500
#define CLIENT_KEY_CHARS 256
#define CLIENT_STOP_MS 1500 /* to say goodbye to the indexes */

struct link;
struct outbox;
struct addresses;
struct sessions;
struct direct;
struct signpost_mesh;

/* Remembers which messages were handed over, so that repeats are dropped. */
#define CLIENT_SEEN_MAX 1024

struct seen {
    uint8_t hashes[CLIENT_SEEN_MAX][16];
    size_t next;
};

struct signpost {
    uv_loop_t *loop;
    int64_t (*clock_ms)(void); /* client_clock_ms; tests put one of their own */
    signpost_config_t config;  /* strings are the client's own */
    char **strings;            /* which, to be freed */
    size_t string_count;
    signpost_session_events_t events; /* what config.sessions points to */
    char **endpoints; /* of the node, ended by NULL: the application's and the listener's */
    char **own_endpoints, **announced;
    char *meta, *reach;
    unsigned version; /* of these three: counts updates */
    char id[65];
    uint8_t secret[SIGNPOST_SECRET_SIZE];
    struct http *http;
    struct directory *directory;
    struct link **links;
    size_t link_count;
    struct outbox *outbox;
    struct sessions *sessions;
    struct direct *direct;
    struct signpost_mesh *mesh;  /* NULL: none */
    struct addresses *addresses; /* NULL: changes are not seen */
    struct seen *seen;
    uv_timer_t timer; /* of the directory */
    uint64_t random;
    size_t leaving;   /* links that still say goodbye */
    unsigned closing; /* handles that are not closed yet */
    bool stopping;
    void (*stopped)(void *user);
    void *stopped_user;
};

/* --- client.c -------------------------------------------------------------------------------- */

int64_t client_clock_ms(void);                             /* monotonic */
int64_t client_now_ms(const signpost_t *client);           /* by the client's clock */
uint64_t client_jitter(signpost_t *client, uint64_t most); /* 0 to most, evenly */

/* Full jitter (0.5 s doubling), capped; never before `at_least_ms`. */
uint64_t client_backoff_ms(
    signpost_t *client, unsigned failures, uint64_t most_ms, int64_t at_least_ms);
void client_log(signpost_t *client, signpost_log_level_t level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The timer that serves the directory follows what it has to do. */
void client_follow_directory(signpost_t *client);
void client_take_message(signpost_t *client, const struct codec_message *message);
void client_index_changed(signpost_t *client, struct link *link);

/* Our interface addresses changed: the indexes are asked again over new paths. */
void client_addresses_changed(signpost_t *client);

/* A handle of the client that it closes when it stops counts itself in and out. */
void client_hold(signpost_t *client);
void client_release(signpost_t *client);

/* --- record.c: the node's own record --------------------------------------------------------- */

size_t record_length(const char *const *list); /* of a list that NULL ends; NULL is none */

/* What is NULL stays as it is. */
int record_set(
    signpost_t *client, const char *const *endpoints, const char *meta, const char *reach);

/* What the listener announces behind the application's own endpoints, as far as there is room. */
int record_announce(signpost_t *client, const char *const *endpoints);
void record_free(signpost_t *client);

/* --- link.c: one index ----------------------------------------------------------------------- */

int link_new(signpost_t *client, size_t number, const char *url, struct link **ret_link);
void link_start(struct link *link);
void link_update(struct link *link); /* the node's record changed */
void link_nudge(struct link *link);  /* our addresses changed, or it is time to try again */
void link_leave(
    struct link *link, void (*left)(struct link *link)); /* called once, from the loop */
void link_close(struct link *link);                      /* frees it once its timer is closed */

bool link_is_ready(const struct link *link);
signpost_t *link_client(const struct link *link);
size_t link_number(const struct link *link);
const char *link_url(const struct link *link);
const char *link_token(const struct link *link);
void link_status(const struct link *link, signpost_index_status_t *ret_status);

/* The index does not know our node (any more): register anew. */
void link_lost_lease(struct link *link);

/* --- linux.c: our addresses ------------------------------------------------------------------ */

/* Where they cannot be watched: NULL, and nothing is lost but speed. */
void addresses_watch(signpost_t *client, struct addresses **ret_addresses);
void addresses_close(struct addresses *addresses); /* NULL is fine; frees once closed */

/* --- outbox.c: messages on their way --------------------------------------------------------- */

int outbox_new(signpost_t *client, struct outbox **ret_outbox);
int outbox_send(struct outbox *outbox, const char *to, const char *session, const char *type,
    const char *body, size_t body_size, unsigned ttl_s, char ret_id[37], signpost_sent_cb sent,
    void *user);
void outbox_nudge(struct outbox *outbox); /* an index became ready */
void outbox_stop(struct outbox *outbox);  /* every message fails with STOPPED */
void outbox_close(struct outbox *outbox); /* frees it once its timer is closed */

#endif
