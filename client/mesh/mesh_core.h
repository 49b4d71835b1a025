/*
 * Decides for a mesh: to whom it connects and when, whom it lets in, and which connections end. It
 * knows no network and no clock: what happens goes in by the functions below, each with the time,
 * and what is to be done comes out by `struct mesh_actions`, from inside those functions.
 *
 * A mesh wants a connection to each peer, or to those that mesh_choose() says. There is one for a
 * pair. The end with the lower id (bytewise) connects first, the other one a little later if
 * nothing has come, so that they seldom call each other at once; where they do, one connection
 * comes of it.
 *
 * Where there are few neighbours there are so many places. A peer has one from the moment that it
 * is connected to or let in: there are never more connections than places. What is not wanted makes
 * room for what is. A peer that failed twice in a row is passed over: the choice falls on the next
 * one, until the peer is connected or its record is another. It is tried again meanwhile. Such a
 * trial needs no place, at either end, or else two halves of a network in which every place is
 * taken would never find each other again. There is one at a time, and only when it has come to a
 * connection is room made for it.
 */
#ifndef SIGNPOST_CLIENT_MESH_CORE_H
#define SIGNPOST_CLIENT_MESH_CORE_H

#include <stdbool.h>
#include <stdint.h>

#define MESH_CONNECTS_MAX 32 /* under way at once; the others wait their turn */
#define MESH_FIRST_MS 3000   /* the higher id waits so long for the lower one, to a third more */
#define MESH_AGAIN_MS 1000   /* likewise after a connection was lost, to twice as long */
#define MESH_JITTER_MS 100   /* after a loss the lower id connects within this */
#define MESH_SHORT_MS 5000   /* what is lost sooner has failed, where it goes on like that */
#define MESH_BACKOFF_FIRST_MS 500 /* after a failure: 0 to so long, doubling */
#define MESH_BACKOFF_MOST_MS 60000
#define MESH_EXPECT_MS 35000   /* from letting a peer in to its connection */
#define MESH_UNWANTED_MS 30000 /* so long a connection is unwanted before it is closed */
#define MESH_GATHER_MS 100     /* changes are gathered before it is chosen again */
#define MESH_FAILURES_MAX 2    /* in a row; then a peer is passed over */
#define MESH_PASSED_MAX 32     /* peers at once; each is tried about twice a minute */

/* What is to be done. Strings are borrowed until the action returns. From inside an action only
 * mesh_core_lost() may be called. */
struct mesh_actions {
    /* Is answered, later and once, by mesh_core_connected(), _called() or _failed(). */
    void (*connect)(void *user, const char *peer);
    void (*cancel)(void *user, const char *peer); /* of a connect; no answer comes any more */
    /* The connection ends, for the core it is gone already. `reason` is a sentence for people. */
    void (*unlink)(void *user, const char *peer, const char *reason);
    uint64_t (*random)(void *user, uint64_t most); /* 0 to `most`, evenly */
};

struct mesh_core;

/* `own`: our id. `neighbours`: at most so many connections, 2 to MESH_NEIGHBOURS_MAX; 0: one to
 * each peer. NULL: no memory. */
struct mesh_core *mesh_core_new(
    const char *own, unsigned neighbours, const struct mesh_actions *actions, void *user);
void mesh_core_free(struct mesh_core *core); /* tells nothing; NULL is fine */

/* The table of peers. `changed`: where the peer can be reached, or that it can be asked again, so
 * that it is worth another try. That it is stale is no matter for the mesh. False: no memory, it is
 * not known. */
bool mesh_core_up(struct mesh_core *core, const char *id, int64_t now_ms);
void mesh_core_changed(struct mesh_core *core, const char *id, int64_t now_ms);
/* An existing connection stays: the peer may well be there. */
void mesh_core_down(struct mesh_core *core, const char *id, int64_t now_ms);

/* Our connect has come to a connection, or to none. What comes after a cancel is passed over.
 * False: there is no use for the connection, close it. */
bool mesh_core_connected(struct mesh_core *core, const char *id, int64_t now_ms);
void mesh_core_failed(struct mesh_core *core, const char *id, int64_t now_ms);

/* The peer asks for a connection: true: let it in; false: tell it that we are busy. Then, if it was
 * let in, its connection is there (false as above), or the core is told that there will be none; it
 * waits MESH_EXPECT_MS at most. Where both ends had asked, `called` is for the one end and
 * `connected` for the other, and either also ends what the peer, or we, had asked for. */
bool mesh_core_accepts(struct mesh_core *core, const char *id, int64_t now_ms);
bool mesh_core_called(struct mesh_core *core, const char *id, int64_t now_ms);
void mesh_core_missed(struct mesh_core *core, const char *id, int64_t now_ms);

/* The application's connection has ended; or it is of no use any more, since our own address that
 * it was made from is gone: then it is unlinked. */
void mesh_core_lost(struct mesh_core *core, const char *id, int64_t now_ms);
void mesh_core_address_gone(struct mesh_core *core, const char *id, int64_t now_ms);

int64_t mesh_core_due_ms(const struct mesh_core *core); /* INT64_MAX: no timer is left */
void mesh_core_tick(struct mesh_core *core, int64_t now_ms);

#endif
