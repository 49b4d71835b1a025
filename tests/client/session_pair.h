/* Two sessions against each other: what an index, an application and a connection may do to them
 * is drawn from a seed, the clock jumps from event to event. What must hold is looked at after each
 * event and at the end; a failure says the seed and what happened last. What is particular to a
 * kind of connection is in test_session_pair.c and test_session_direct.c. */
#ifndef SIGNPOST_TESTS_CLIENT_SESSION_PAIR_H
#define SIGNPOST_TESTS_CLIENT_SESSION_PAIR_H

#include "session/session.h"

#include <inttypes.h>
#include <stdio.h>

#define TEXT_SIZE 512
#define MOST_WAITING 512 /* events at once */
#define TRACE_LINES 100
#define TRACE_SIZE 200
#define LINKS_MAX 32 /* direct, of one end in a run */
#define CALLS_KEPT 8

#define BIT(name) (1u << SESSION_##name)

/* Anything may end: by an error, by session_close() or a bye, by a knock that wins. */
#define ENDS (BIT(FAILED) | BIT(CLEANUP) | BIT(PREPARING))

/* Chances are percentages, delays run from 0 to what is said. */
struct conditions {
    bool calm; /* nothing goes wrong: then the outcome is known */
    unsigned post_ms, application_ms;
    unsigned lost, rejected, repeated, unordered;
    unsigned refused, unanswered; /* by the application */
    unsigned never;               /* there is no path */
    unsigned dropping;            /* a connection, at most three times in a run */
    unsigned closing;
    unsigned halved; /* direct: a link that only the end that dialled has */
};

enum kind { CONNECT, CLOSE, ACCEPT, REFUSE, DESCRIBE, CANDIDATE, LAST, LINK, DELIVER, SENT, LOST };

struct event {
    int64_t at_ms;
    uint64_t serial; /* of two at the same time the older one is first */
    enum kind kind;
    struct node *node;
    unsigned round; /* where the node's differs, the application is past this */
    enum session_link link;
    enum session_type type;
    unsigned gen;
    bool end;
    int64_t retry_after_ms;
    char session[SESSION_ID_SIZE];
    char text[TEXT_SIZE];
};

/* One end: its machine, its application, and its half of the connection. */
struct node {
    struct world *world;
    struct node *peer;
    const char *name;
    struct session *session;
    enum session_state state;
    bool was_caller, last; /* FAILED for good */
    int64_t heard_ms;      /* the last time that it was told anything */

    unsigned knocks; /* since it was last settled */
    bool trying;
    int64_t changed_ms, tried_ms, attempt_ms, waits_ms;
    char first_knock[SESSION_ID_SIZE];
    unsigned all_knocks, connects;
    int64_t ordered_ms; /* what it sends in order arrives no earlier */

    char called[CALLS_KEPT][SESSION_ID_SIZE]; /* by the last knocks that it was to prepare for */
    unsigned prepares, descriptions, lives; /* rounds: of session_accept(), _describe(), _link() */
    bool holds, linked;                     /* a connection, in the making or made */
    char held[SESSION_ID_SIZE];             /* the session that it is of */

    /* WebRTC. */
    unsigned gen;
    char local[TEXT_SIZE], remote[TEXT_SIZE]; /* descriptions; "": not yet */

    /* Direct. */
    bool listens, reachable, blind; /* blind: it knows that it does not reach the peer */
    bool dials;                     /* of what it holds: it is the one that dials */
    bool reversing;                 /* the next knock is no new attempt */
    char want[8];                   /* of its last knock */
    unsigned reversals, links;
    char link_ids[LINKS_MAX][SESSION_ID_SIZE];
};

struct world {
    const struct pair *pair;
    const struct conditions *conditions;
    uint64_t seed, random, serial;
    int64_t now_ms;
    bool ticking, ordered, eager; /* eager: the application answers from inside the action */
    bool closed;                  /* one end, by its application */
    bool hasty;                   /* a wish from inside `drop`, which may be passed over */
    bool failed;                  /* one end, for good */
    bool late;                    /* direct: a wish that came after a link */
    unsigned drops, told;
    struct node nodes[2];
    struct event events[MOST_WAITING];
    size_t waiting;
    char met[TEXT_SIZE]; /* WebRTC: the description of a by which they last met */
    char trace[TRACE_LINES][TRACE_SIZE];
};

#define STATES (SESSION_CLEANUP + 1)

/* What is particular to a kind of connection. */
struct pair {
    bool direct;
    const unsigned *following; /* of STATES: what may follow what; docs/sessions.md */
    const struct session_actions *actions;
    void (*begin)(struct world *world);                           /* NULL: nothing */
    void (*happen)(struct node *node, const struct event *event); /* ACCEPT, DESCRIBE to LINK */
    void (*check_end)(const struct world *world);
};
extern unsigned pair_seen[STATES]; /* of `following`, in all runs */

#define NOTE(world, ...)                                                                           \
    (void)snprintf((world)->trace[(world)->told++ % TRACE_LINES], TRACE_SIZE, __VA_ARGS__)

#define MUST(world, so)                                                                            \
    do {                                                                                           \
        if (!(so))                                                                                 \
            pair_explain(world, #so, __FILE__, __LINE__);                                          \
    } while (0)

void pair_explain(const struct world *world, const char *broken, const char *file, int line);

uint64_t pair_draw(struct world *world, uint64_t most);
bool pair_chance(struct world *world, unsigned percent);

struct event *pair_add(struct node *node, enum kind kind, uint64_t most_ms);
struct event *pair_add_link(
    struct node *node, enum session_link link, uint64_t after_ms, uint64_t most_ms);

/* What the application does next: now, if it is eager, else somewhat later. */
void pair_answer(struct node *node, enum kind kind, unsigned round, const char *text);
void pair_answer_call(struct node *node, const char *ready); /* accepts with it, or refuses */
void pair_connect(struct node *node);
void pair_drop(struct node *node); /* what both kinds do about it */

bool pair_is_settled(const struct node *node);

/* For `struct session_actions`. */
void pair_on_state(void *user, enum session_state state, const char *reason, bool last);
void pair_on_send(void *user, const char *session, enum session_type type, unsigned gen,
    const char *payload, bool end);
uint64_t pair_on_random(void *user, uint64_t most);
void pair_on_new_id(void *user, char ret_id[SESSION_ID_SIZE]);

/* One run for each seed from `first`. */
void pair_run(
    const struct pair *pair, uint64_t first, uint64_t count, const struct conditions *conditions);

/* Else the runs would show little. */
void pair_check_diagram(const struct pair *pair);

#endif
