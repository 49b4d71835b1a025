/*
 * What the files of the heart share: the small facts it keeps in memory. The store has the large
 * ones, and everything again for the next start.
 *
 *   index.c      open, close, tick, and small things     load.c       reads the store into memory
 *   networks.c   networks and their history              leases.c     who is here, and until when
 *   nodes.c      register and heartbeat, by change.c     lookup.c     one node: show it, remove it
 *   endpoints.c  what a node may announce, resolved      cursor.c
 *   boxes.c      mailboxes and what is in them           send.c       putting a message there
 *   polls.c      reads that may wait, and what wakes them, answered by poll_read.c
 */
#ifndef SIGNPOST_INDEX_INTERNAL_H
#define SIGNPOST_INDEX_INTERNAL_H

#include "heap.h"
#include "index/index.h"
#include "server_limits.h"
#include "table.h"
#include "text.h"

/* A thing that is due at a time; the first member of whatever embeds it. */
struct timer {
    struct heap_node due;
    void (*fire)(struct index *index, struct timer *timer); /* its time is then INT64_MAX */
};

/* Doubly linked, with its owner as head. */
struct link {
    struct link *next, *previous;
};

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct network {
    struct timer prune; /* when to look for tombstones to forget, or to drop the network */
    int64_t number;     /* may change when the store is read back after a loss */
    uint64_t hash;      /* of the name */
    uint64_t birth, seq, horizon;
    uint64_t epoch; /* derived from the store's epoch, birth and name */
    size_t nodes;
    size_t mails;          /* messages of it that are kept or remembered; it stays as long */
    int64_t mail_bytes;    /* of their bodies */
    size_t tombstones;     /* about: prune counts them anew */
    struct source *source; /* who made it; NULL: not counted */
    size_t holds;          /* operations under way that point here */
    bool stored;           /* has a row */
    bool pruning;          /* in the open batch: what the horizon will be is not known yet */
    bool seen;             /* by the load under way */
    struct link polls;     /* parked on its list and not woken */
    char name[];
};

/* A registered node: who it is and until when. Its record is in the store. */
struct lease {
    struct timer expiry; /* may fire early: a renewal only moves expires_ms */
    int64_t expires_ms;  /* on the clock of leases, lease_now_ms() */
    int64_t number;
    struct network *network;
    struct source *source; /* NULL: not counted by address */
    struct box *box;       /* NULL until the first message or read */
    struct poll *reader;   /* the parked read of its mailbox, or NULL */
    struct link polls;     /* every read of its mailbox under way */
    int64_t heard_ms;      /* when it last heard of a change in a list */
    int64_t registered_wall_ms;
    uint8_t token_hash[STORE_HASH_SIZE];
    uint8_t key_hash[STORE_HASH_SIZE]; /* of the join key that admits it; zeros: none does */
    struct bucket bucket;              /* of the requests that bear its token */
    struct address observed_ipv4, observed_ipv6;
    int ttl_s;
    bool listed;
    bool seen; /* by the load under way */
    char id[];
};

/* A message, or what is remembered of one so that a retry gets the first answer. */
struct mail {
    struct timer timer; /* at expires_ms while it is in a box, then at forget_ms */
    struct link all;    /* in the index */
    struct link link;   /* in its box, in order of seq */
    struct box *box;    /* NULL once acknowledged, expired, or its box gone */
    int64_t number;
    int64_t network;       /* number */
    struct network *home;  /* it; NULL: it was dropped */
    struct source *source; /* whose share of all messages it counts in; NULL: nobody's */
    uint64_t seq;
    int64_t expires_ms, forget_ms;
    size_t body_size;
    struct address from_prefix;
    uint8_t content_hash[STORE_HASH_SIZE]; /* its first half: of the sender's token */
    bool handed;
    bool given;
    const char *from, *to, *id, *session, *type; /* from "": the index itself */
    char strings[];
};

struct box {
    struct lease *lease;
    uint64_t epoch;
    uint64_t seq, acked;
    struct link mails;    /* in order of seq */
    size_t count, bytes;  /* what counts against the quotas */
    size_t undeliverable; /* what does not */
};

struct index {
    struct index_config config;
    struct store *store;
    struct heap timers;      /* of what ends, for which the store is written */
    struct heap waits;       /* of parked polls, which end also while the store cannot be used */
    struct table networks;   /* by name */
    struct table leases;     /* by network and id */
    struct table tokens;     /* leases by token hash */
    struct table retries;    /* mails by network, sender, recipient and id */
    struct link mails;       /* all of them, in a box or not */
    struct link woken;       /* polls to answer after the commit of this batch: these first, */
    struct link woken_lists; /* and then those that only read a list */
    size_t lease_count, mail_count;
    int64_t mail_bytes;
    int64_t next_node, next_network, next_message; /* numbers */
    uint64_t store_epoch, dropped_networks;
    bool evicting;           /* there may be nodes whose key is gone */
    bool wake_waits;         /* a barrier for `woken` is under way */
    int64_t wall_offset_ms;  /* store time = monotonic time + this */
    int64_t refuse_until_ms; /* after a loss no write is tried before */
    int64_t credit_ms;       /* how long leases stood still: their clock is behind by that */
    int64_t credited_to_ms;  /* what was before is no longer credited */
    int64_t unread_ms;       /* since when the store has not been read back; INT64_MAX: it has */
    uint64_t random;
    struct link parked; /* every parked poll */
    int64_t reload_began_ms;
    int64_t reload_ms; /* when to try again after the store could not be read back */
    bool loaded;
    bool released;
};

/* --- load.c ---------------------------------------------------------------------------------- */

/* The store's `lost`: a batch is undone there, and memory goes back to what is committed. Leases
 * that memory has keep their time; one whose end was undone runs a full ttl. Tried again until the
 * store can be read. */
void index_lost(void *user);

/* Things picked from a table, which may not change while it is visited. */
struct sweep {
    void *items[LIMIT_EXPIRE_BATCH];
    size_t count;
};

#define LOSS_PAUSE_MS 1000 /* after a failed write, before the next is tried */

/* --- index.c --------------------------------------------------------------------------------- */

int64_t index_now_ms(const struct index *index);
double index_jitter(struct index *index, double value, double share); /* value ± share of it */
int index_random_bytes(void *ret_bytes, size_t size);
void index_make_uuid(char ret_text[37]);
uint64_t index_derive_epoch(
    const struct index *index, uint64_t number, const void *bytes, size_t size);

/* ERROR_NONE, or why no write is tried now (loading, or just after a loss), with its fault. */
int index_may_write(const struct index *index, struct fault *ret_fault);
int index_may_read(const struct index *index, struct fault *ret_fault);

int timer_start(struct index *index, struct timer *timer); /* idle at INT64_MAX; ERROR_NO_MEMORY */
void timer_set(struct index *index, struct timer *timer, int64_t due_ms); /* once started */
void timer_stop(struct index *index, struct timer *timer);

void link_init(struct link *head);
void link_add(struct link *head, struct link *link); /* at the end */
void link_remove(struct link *link);                 /* in none: nothing to do */
bool link_empty(const struct link *head);

/* Ids, networks, sessions: 1 to LIMIT_ID_CHARS of A–Z a–z 0–9 . _ - */
int id_check(const char *what, const char *text, struct fault *ret_fault);

/* --- networks.c ------------------------------------------------------------------------------ */

/* Which network a request is about, by what it names and what its credential admits to. */
int network_resolve(struct index *index, const struct caller *caller, const char *requested,
    const char **ret_name, struct fault *ret_fault);
struct network *network_find(const struct index *index, const char *name);
struct network *network_make(struct index *index, const char *name); /* NULL: no memory */
struct network *network_add(struct index *index, const struct store_network *row);
uint64_t network_unborn_epoch(const struct index *index, const char *name);
void network_row(const struct network *network, struct store_network *ret_row);

/* Something visible changes: moves the history on and marks the polls that watch it. */
void network_change(struct index *index, struct network *network);
void network_add_tombstone(struct index *index, struct network *network, const char *id);
void network_let_go(
    struct index *index, struct network *network); /* frees it if nothing needs it */
void network_free(struct index *index, struct network *network);

/* `source` made it with its first node; NULL: not counted. */
void network_count_source(struct network *network, struct source *source);

/* --- leases.c -------------------------------------------------------------------------------- */

struct lease *lease_find(const struct index *index, const struct network *network, const char *id);
struct lease *lease_find_token(const struct index *index, const uint8_t hash[STORE_HASH_SIZE]);

/* The next LIMIT_EXPIRE_BATCH nodes whose key is gone leave. */
void leases_evict(struct index *index);

/* Is the key that it came in by still there? Who is not is about to be evicted. */
bool lease_is_admitted(const struct index *index, const struct lease *lease);

/* The node whose token the caller bears: else 401, or 404 with action register. */
int lease_of_caller(const struct index *index, const struct caller *caller,
    struct lease **ret_lease, struct fault *ret_fault);
struct lease *lease_add(struct index *index, struct network *network, const char *id,
    int64_t number, const uint8_t hash[STORE_HASH_SIZE]); /* NULL: no memory */
void lease_view(const struct index *index, const struct lease *lease, const struct store_node *node,
    struct node_view *ret_view);
void lease_renew(struct index *index, struct lease *lease);
int64_t lease_now_ms(const struct index *index); /* does not run while the process stands still */
void lease_count_source(struct index *index, struct lease *lease, const struct address *address);

/* The node leaves: tombstone, mailbox, record. Its reader is answered after the commit. */
void lease_end(struct index *index, struct lease *lease);
void lease_free(struct index *index, struct lease *lease); /* memory only */
void leases_forget(struct index *index);                   /* all of them, likewise */

/* --- nodes.c --------------------------------------------------------------------------------- */

double heartbeat_after_s(struct index *index, int ttl_s); /* when the next sign of life is due */

/* --- endpoints.c ----------------------------------------------------------------------------- */

/* Grammar of each, and that none is of a kind that is always refused; joins them, a line each. */
int endpoints_join(const char *const *endpoints, size_t count, const struct address *caller,
    struct text *ret_announced, struct fault *ret_fault);

/* Resolves what was announced. Where `open`, a public endpoint that was not observed, or a name, is
 * refused; with `drop` it is left out instead. */
int endpoints_resolve(const char *announced, const struct address *ipv4, const struct address *ipv6,
    bool open, bool drop, struct text *ret_endpoints, struct fault *ret_fault);

/* --- boxes.c --------------------------------------------------------------------------------- */

#define MAIL_UNDELIVERABLE "undeliverable"

struct box *box_of(struct index *index, struct lease *lease); /* made if needed; NULL: no memory */
void box_close(struct index *index, struct box *box);         /* its lease ends: messages go back */
void box_free(struct index *index, struct box *box);          /* memory only, its mails too */
void box_ack(struct index *index, struct box *box, uint64_t seq);
size_t box_waiting(const struct box *box); /* messages; box may be NULL */
struct mail *box_first_after(const struct box *box, uint64_t seq, int64_t now_ms);

/* Completes the message (its numbers, what of it is the box's, whether a reader takes it; its times
 * are given in ms of the loop's clock), keeps it in memory and gives it to the store. NULL: no
 * memory, and nothing was done. */
struct mail *box_put(struct index *index, struct box *box, struct store_message *message,
    store_done done, void *user);

/* Memory only. `home`: its network, NULL where that was dropped. `box` NULL: it is just remembered,
 * for retries. NULL: no memory. */
struct mail *mail_add(struct index *index, const struct store_message *message,
    struct network *home, struct box *box);
void mail_free(struct index *index, struct mail *mail);

/* What that sender sent there under that id, if it is still remembered. */
struct mail *mail_find(
    const struct index *index, const struct lease *sender, const char *to, const char *id);
#define MAIL_SENDER_HASH_SIZE (STORE_HASH_SIZE / 2)

bool mail_is_from_index(const struct mail *mail);

/* --- polls.c --------------------------------------------------------------------------------- */

void polls_evict(struct index *index); /* answers those whose credential admits no more */
void polls_fail(struct index *index);  /* answers all that are parked: they shall ask again */

/* Mark polls that a change is news to. Whoever marks calls polls_answer_after_commit() when the
 * change is written. */
void poll_wake_network(struct index *index, struct network *network);
bool poll_wake_reader(struct index *index, struct lease *lease); /* true: it will be given it */
void polls_answer_after_commit(struct index *index);
void polls_lease_gone(struct index *index, struct lease *lease); /* answers its readers */

#endif
