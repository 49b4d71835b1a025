/*
 * A heart to test: an index over the memory store with a clock that the test moves. Each helper
 * calls one operation, flushes the store, asserts that the callback came exactly once, and returns
 * a copy of what it was given. Nothing here waits for real time.
 */
#ifndef SIGNPOST_TESTS_INDEX_FIXTURE_H
#define SIGNPOST_TESTS_INDEX_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "index/index.h"
#include "server_limits.h"
#include "store/memory.h"
#include "text.h"

#define FIXTURE_TOKEN_SIZE (LIMIT_TOKEN_CHARS + 1)
#define FIXTURE_ID_SIZE (LIMIT_ID_CHARS + 1)
#define FIXTURE_ENDPOINTS_SIZE 8192

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

#define assert_between(value, low, high) assert_true((value) >= (low) && (value) <= (high))
#define assert_fault(fault_, error_) assert_int_equal((fault_).error, (error_))
#define assert_action(fault_, action_)                                                             \
    do {                                                                                           \
        assert_non_null((fault_).action);                                                          \
        assert_string_equal((fault_).action, (action_));                                           \
    } while (0)

struct watch;

struct fixture {
    int64_t now_ms;
    int64_t wall_ms;
    struct clock clock;
    struct store *store;
    struct sources *sources;
    struct index_config config; /* to change it: set a member, then fixture_restart() */
    struct index *index; /* NULL once a test has closed it: then fixture_restart() opens another */
    uint8_t withdrawn[STORE_HASH_SIZE]; /* of a join key that admits no more; zeros: no one's */
    size_t losses;                      /* batches that the store has lost */
    void (*lost)(void *user);
    void *lost_user;
    struct watch *watches; /* every poll of the test, freed with the fixture */
};

/* An open index without caps, at now_ms = 1,000,000. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* What a restart of the process does: another index over the same store, the monotonic clock
 * begins anew, the wall clock goes on. Parked polls are released before. */
void fixture_restart(struct fixture *fixture);

void fixture_flush(struct fixture *fixture);

/* Flushes, and ticks for as long as something is due now. */
void fixture_settle(struct fixture *fixture);

/* Moves the clock from one due time to the next, settling at each, as the loop does. */
void fixture_advance(struct fixture *fixture, int64_t ms);

/* Moves the clock alone. */
void fixture_jump(struct fixture *fixture, int64_t ms);

/* Moves the clock to when the index has something to do next, and ticks once. What that wrote is
 * not flushed. */
void fixture_tick_at_next_due(struct fixture *fixture);

/* --- who asks -------------------------------------------------------------------------------- */

/* Token number so-and-so, well-formed. Returns `ret_token`. */
const char *fixture_token(unsigned number, char ret_token[FIXTURE_TOKEN_SIZE]);

struct caller fixture_stranger(const char *address);
struct caller fixture_owner(const char *address, unsigned number); /* with that token */
struct caller fixture_keyed(const char *address, const char *network, bool is_operator);

/* The owner of token `number` at an address of its own: 203.0.113.<number> below 250. */
struct caller fixture_node(unsigned number);

/* --- nodes ----------------------------------------------------------------------------------- */

struct registration {
    int calls;
    struct fault fault; /* error 0: success */
    bool created;
    char id[FIXTURE_ID_SIZE];
    char network[FIXTURE_ID_SIZE];
    bool has_token;
    char token[FIXTURE_TOKEN_SIZE];
    int ttl_s;
    double heartbeat_after_s;
    char endpoints[FIXTURE_ENDPOINTS_SIZE]; /* without the last line end */
    struct cursor cursor;
};

struct beat {
    int calls;
    struct fault fault;
    struct heartbeat result;
};

struct outcome {
    int calls;
    struct fault fault;
};

/* The callbacks of the helpers, for tests that put several operations in one batch; `user` is the
 * struct that they fill. */
void fixture_on_registered(const struct fault *fault, const struct registered *result, void *user);
void fixture_on_heartbeat(const struct fault *fault, const struct heartbeat *result, void *user);
void fixture_on_done(const struct fault *fault, void *user);
void fixture_on_polled(const struct fault *fault, const struct poll_result *result, void *user);

struct registration fixture_register(
    struct fixture *fixture, const struct caller *caller, const struct register_request *request);

/* Registers a listed node in the default network with fixture_node(number), which must succeed. */
struct registration fixture_join(struct fixture *fixture, const char *id, unsigned number);
struct registration fixture_join_for(
    struct fixture *fixture, const char *id, unsigned number, double ttl_s);

struct beat fixture_heartbeat(
    struct fixture *fixture, const struct caller *caller, const struct heartbeat_request *request);

struct outcome fixture_remove(
    struct fixture *fixture, const struct caller *caller, const char *network, const char *id);
void fixture_leave(struct fixture *fixture, const char *id, unsigned number); /* must succeed */

/* Is there a node of that id in the default network? */
bool fixture_has_node(struct fixture *fixture, const char *id);

/* --- mailboxes ------------------------------------------------------------------------------- */

struct delivery {
    int calls;
    struct fault fault;
    struct sent result;
};

void fixture_on_sent(const struct fault *fault, const struct sent *result, void *user);

struct delivery fixture_send(
    struct fixture *fixture, const struct caller *caller, const struct send_request *request);

/* An `offer` with a body of its own, from fixture_node(number); must succeed. */
struct delivery fixture_offer(
    struct fixture *fixture, unsigned number, const char *to, const char *id);

/* --- reads and polls ------------------------------------------------------------------------- */

struct seen_node {
    char id[FIXTURE_ID_SIZE];
    char *endpoints; /* without the last line end */
    char *meta;
    char *reach;
    struct address observed_ipv4, observed_ipv6;
    int64_t registered_wall_ms;
    double age_s;
    double expires_in_s;
};

struct seen_message {
    uint64_t seq;
    char id[FIXTURE_ID_SIZE];
    bool from_index;
    char from[FIXTURE_ID_SIZE];
    struct address from_address;
    bool has_session;
    char session[FIXTURE_ID_SIZE];
    char type[LIMIT_TYPE_CHARS + 1];
    char *body;
    size_t body_size;
    int64_t sent_wall_ms;
    double expires_in_s;
};

/* One read, and what it has been answered. Owned by the fixture. */
struct watch {
    struct watch *next;
    struct poll *poll; /* NULL: answered before index_poll() returned */
    int calls;
    struct fault fault;
    struct poll_result result; /* network and after point to what follows */
    char network[FIXTURE_ID_SIZE];
    char after[FIXTURE_ID_SIZE];
    struct seen_node *nodes;
    size_t node_count;
    size_t gone_count;
    struct seen_message *messages;
    size_t message_count;
    struct text told;  /* what was told in its order: "+node ", "-gone ", "*message " */
    const char *match; /* NULL, or nodes whose meta has this text */
    size_t looked_at;  /* nodes whose meta was looked at for it */
    size_t stop_after; /* 0, or the visitor ends the page with this many nodes or messages */
};

const char *watch_told(const struct watch *watch);

struct poll_request poll_list(void); /* the whole list of the default network */
struct poll_request poll_changes(struct cursor since, double wait_s);
struct poll_request poll_mail(double wait_s);
struct poll_request poll_mail_after(struct cursor after, double wait_s);
struct poll_request poll_events(struct cursor since, double wait_s); /* renewing */

/* Asks and flushes. The answer may still be out: see `calls`. Callbacks and match are filled in. */
struct watch *fixture_poll(
    struct fixture *fixture, const struct caller *caller, const struct poll_request *request);
struct watch *fixture_poll_matching(struct fixture *fixture, const struct caller *caller,
    const struct poll_request *request, const char *match, size_t stop_after);

/* These ask without credential, must succeed, and are answered. */
struct watch *fixture_list(struct fixture *fixture, const char *network);
struct watch *fixture_changes(
    struct fixture *fixture, const char *network, struct cursor since, size_t limit);
struct cursor fixture_cursor(struct fixture *fixture, const char *network);

/* These read the mailbox of fixture_node(number), must succeed, and are answered. */
struct watch *fixture_read(struct fixture *fixture, unsigned number);
struct watch *fixture_acknowledge(struct fixture *fixture, unsigned number, struct cursor after);

/* The result has at most one node. */
struct watch *fixture_get_node(
    struct fixture *fixture, const struct caller *caller, const char *network, const char *id);

#endif
