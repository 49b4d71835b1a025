/* What the files of the SQLite store share: its state, its statements, and one way to run them. */
#ifndef SIGNPOST_STORE_SQLITE_INTERNAL_H
#define SIGNPOST_STORE_SQLITE_INTERNAL_H

#include "store/batch.h"
#include "store/sqlite_lock.h"
#include "store/sqlite_watch.h"
#include "store/store.h"

#include <sqlite3.h>

/* X(NAME, SQL); all are prepared at open, so that a typo fails there. A list that is read in pages
 * needs an index for its condition and its order: a test reads the query plans. */
#define SQLITE_NODE_COLUMNS                                                                        \
    "number, network, id, token_hash, key_hash, ttl_s, listed, seq, registered_wall_ms, "          \
    "observed_ipv4, observed_ipv6"
#define SQLITE_NODE_TEXTS "announced, endpoints, meta, reach"
#define SQLITE_MESSAGE_COLUMNS                                                                     \
    "number, box, network, seq, recipient, sender, sender_address, id, session, type, "            \
    "content_hash, sent_wall_ms, expires_ms, forget_ms, handed, mark, body_size"

#define SQLITE_STATEMENTS(X)                                                                       \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(GET_STATE, "SELECT epoch, dropped_networks, stamp FROM index_state WHERE one = 1")           \
    X(SET_STATE, "UPDATE index_state SET epoch = ?1, stamp = ?2, program = ?3 WHERE one = 1")      \
    X(COUNT_DROPPED,                                                                               \
        "UPDATE index_state SET dropped_networks = dropped_networks + 1 WHERE one = 1")            \
    X(LOAD_NETWORKS, "SELECT number, name, birth, seq, horizon, "                                  \
                     "(SELECT count(*) FROM tombstones WHERE network = networks.number) "          \
                     "FROM networks ORDER BY number")                                              \
    X(LOAD_NODES, "SELECT " SQLITE_NODE_COLUMNS " FROM nodes ORDER BY number")                     \
    X(LOAD_BOXES, "SELECT node, seq, acked FROM boxes ORDER BY node")                              \
    X(LOAD_MESSAGES, "SELECT " SQLITE_MESSAGE_COLUMNS " FROM messages ORDER BY number")            \
    X(GET_NODE,                                                                                    \
        "SELECT " SQLITE_NODE_COLUMNS ", " SQLITE_NODE_TEXTS " FROM nodes WHERE number = ?1")      \
    X(LIST_NODES, "SELECT " SQLITE_NODE_COLUMNS ", " SQLITE_NODE_TEXTS                             \
                  " FROM nodes WHERE network = ?1 AND id > ?2 AND listed = 1 ORDER BY id")         \
    X(CHANGED_NODES, "SELECT " SQLITE_NODE_COLUMNS ", " SQLITE_NODE_TEXTS                          \
                     " FROM nodes WHERE network = ?1 AND listed = 1 AND seq > ?2 ORDER BY seq")    \
    X(NEW_TOMBSTONES,                                                                              \
        "SELECT id, seq, gone_ms FROM tombstones WHERE network = ?1 AND seq > ?2 ORDER BY seq")    \
    X(GET_MESSAGE,                                                                                 \
        "SELECT " SQLITE_MESSAGE_COLUMNS ", body FROM messages WHERE number = ?1 AND mark < 2")    \
    X(PUT_NETWORK,                                                                                 \
        "INSERT INTO networks (number, name, birth, seq, horizon) VALUES (?1, ?2, ?3, ?4, ?5) "    \
        "ON CONFLICT (number) DO UPDATE SET name = excluded.name, birth = excluded.birth, "        \
        "seq = excluded.seq, horizon = max(horizon, excluded.horizon)")                            \
    X(ADD_NODE, "INSERT INTO nodes (" SQLITE_NODE_COLUMNS ", " SQLITE_NODE_TEXTS                   \
                ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)")     \
    X(UPDATE_NODE,                                                                                 \
        "UPDATE nodes SET token_hash = ?4, key_hash = ?5, ttl_s = ?6, listed = ?7, seq = ?8, "     \
        "registered_wall_ms = ?9, observed_ipv4 = ?10, observed_ipv6 = ?11, announced = ?12, "     \
        "endpoints = ?13, meta = ?14, reach = ?15 WHERE number = ?1")                              \
    X(RENAME_NODE, "UPDATE nodes SET network = ?2, id = ?3 WHERE number = ?1")                     \
    X(REMOVE_NODE, "DELETE FROM nodes WHERE number = ?1")                                          \
    X(PUT_TOMBSTONE,                                                                               \
        "INSERT INTO tombstones (network, seq, id, gone_ms) VALUES (?1, ?2, ?3, ?4) "              \
        "ON CONFLICT (network, id) DO UPDATE SET seq = excluded.seq, gone_ms = excluded.gone_ms")  \
    X(REMOVE_TOMBSTONE, "DELETE FROM tombstones WHERE network = ?1 AND id = ?2")                   \
    X(FIND_HORIZON,                                                                                \
        "SELECT max(seq) FROM tombstones WHERE network = ?1 AND (gone_ms < ?2 OR seq <= "          \
        "(SELECT seq FROM tombstones WHERE network = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?3))")    \
    X(MOVE_HORIZON, "UPDATE networks SET horizon = max(horizon, ?2) WHERE number = ?1")            \
    X(FORGET_TOMBSTONES, "DELETE FROM tombstones WHERE network = ?1 AND seq <= ?2")                \
    X(COUNT_TOMBSTONES, "SELECT horizon, (SELECT count(*) FROM tombstones WHERE network = ?1) "    \
                        "FROM networks WHERE number = ?1")                                         \
    X(DROP_NETWORK, "DELETE FROM networks WHERE number = ?1 "                                      \
                    "AND NOT EXISTS (SELECT 1 FROM nodes WHERE network = ?1) "                     \
                    "AND NOT EXISTS (SELECT 1 FROM tombstones WHERE network = ?1)")                \
    X(ADD_MESSAGE,                                                                                 \
        "INSERT INTO messages (" SQLITE_MESSAGE_COLUMNS ", body) VALUES "                          \
        "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)")       \
    X(MARK_MESSAGE, "UPDATE messages SET mark = ?2 WHERE number = ?1")                             \
    X(SPEND_MESSAGE, "UPDATE messages SET mark = 2, body = NULL WHERE number = ?1")                \
    X(FORGET_MESSAGE, "DELETE FROM messages WHERE number = ?1")                                    \
    X(PUT_BOX, "INSERT INTO boxes (node, seq, acked) VALUES (?1, ?2, ?3) "                         \
               "ON CONFLICT (node) DO UPDATE SET seq = excluded.seq, acked = excluded.acked")      \
    X(REMOVE_BOX, "DELETE FROM boxes WHERE node = ?1")

enum sqlite_statement {
#define X(name, sql) SQLITE_##name##_STATEMENT,
    SQLITE_STATEMENTS(X)
#undef X
        SQLITE_STATEMENT_COUNT
};

extern const char *const sqlite_statements[SQLITE_STATEMENT_COUNT];

#define SQLITE_TROUBLE_SIZE 128 /* bytes of a sentence, with its NUL */

struct store_sqlite {
    struct store base;
    char *path; /* absolute, without symbolic links */
    sqlite3 *db;
    sqlite3_stmt *statements[SQLITE_STATEMENT_COUNT];
    struct batch batch;
    bool failed; /* of the open batch: it can only be undone */
    bool broken; /* nothing is done before load() has opened the file again */
    bool rests;  /* just broken: whoever changes the files is given until the next load() */
    bool trying; /* a write of our own is under way, to see whether it succeeds */
    bool full;   /* the trouble is a full disk */
    bool full_durability;
    enum sqlite_change change; /* what broke it, where it was its files */
    struct sqlite_watch watch;
    char trouble[SQLITE_TROUBLE_SIZE]; /* "": none */
    struct sqlite_lock lock;
    uint64_t epoch;
};

static inline struct store_sqlite *sqlite_of(struct store *store)
{
    return (struct store_sqlite *)store; /* `base` comes first */
}

/* --- one run of a statement (sqlite_query.c) ------------------------------------------------- */

/* Values are bound in order, then rows are read in order, then query_end() resets: always, because
 * a statement left unreset keeps the log from being checkpointed. What fails is remembered, what
 * follows does nothing, and query_end() tells. Texts and blobs that are bound are borrowed until
 * query_end(), those that are read until the next row. */
struct query {
    struct store_sqlite *sqlite;
    sqlite3_stmt *statement;
    int index; /* of the value or column that was last */
    int code;  /* SQLITE_OK, or what failed first */
};

struct query query_start(struct store_sqlite *sqlite, enum sqlite_statement which);
void query_bind_int(struct query *query, int64_t value);
/* A number without a sign that is compared: what is past the greatest kept counts as that. */
void query_bind_seq(struct query *query, uint64_t seq);
void query_bind_text(struct query *query, const char *text);
void query_bind_blob(struct query *query, const void *bytes, size_t size); /* NULL: NULL */
bool query_next(struct query *query); /* true: there is a row */
int64_t query_int(struct query *query);
const char *query_text(struct query *query);                   /* never NULL */
const char *query_blob(struct query *query, size_t *ret_size); /* NULL where it is NULL */
void query_hash(struct query *query, uint8_t ret_hash[STORE_HASH_SIZE]);
void query_address(struct query *query, struct address *ret_address);

/* 0 or ERROR_STORE_FAILED; then it has been reported. */
int query_end(struct query *query);
int query_run(struct query *query); /* of a statement without rows: next and end */

/* Logs what failed, once for a batch, and marks the open batch as failed; where the file itself is
 * damaged, the store as broken. `code` is SQLite's. */
void sqlite_report(struct store_sqlite *sqlite, int code, const char *message);

/* The files are not what they were: the open batch has failed, and the store is broken. */
void sqlite_break(struct store_sqlite *sqlite, enum sqlite_change change);

/* All is well again; logged where it was not. */
void sqlite_recovered(struct store_sqlite *sqlite, const char *event);

/* False where the open batch has failed already, or all is broken: nothing more is done. */
bool sqlite_may_go_on(const struct store_sqlite *sqlite);

/* Completes at once, or with the batch where one is open. A store that is broken has no success. */
void sqlite_finish(struct store_sqlite *sqlite, int error, store_done done, void *user);

/* --- reads (sqlite_read.c); the contract is in store.h --------------------------------------- */

void sqlite_read_node(struct query *query, bool with_texts, struct store_node *ret_node);
void sqlite_load(
    struct store *store, const struct store_loader *loader, store_done done, void *user);
void sqlite_get_node(
    struct store *store, int64_t number, store_node_visit visit, store_done done, void *user);
void sqlite_list_nodes(struct store *store, int64_t network, const char *after_id,
    store_change_visit visit, store_done done, void *user);
void sqlite_list_changes(struct store *store, int64_t network, uint64_t since,
    store_change_visit visit, store_done done, void *user);
void sqlite_read_messages(struct store *store, const int64_t *numbers, size_t count,
    store_message_visit visit, store_done done, void *user);

/* --- sqlite_open.c and the others meet ------------------------------------------------------- */

extern const struct store_functions sqlite_functions;

/* A file that was put here by someone must not run code of theirs. */
void sqlite_distrust(sqlite3 *db);
void sqlite_close(struct store *store);
bool sqlite_write_stamp(struct store_sqlite *sqlite, const char *stamp);

/* Lets go of files that are broken and opens what is at the path now, as another history. 0, or
 * ERROR_STORE_FAILED: it stays broken, and the next load() tries again. */
int sqlite_reopen(struct store_sqlite *sqlite);

/* Of the file and its log of writes, as they are found by their names. */
uint64_t sqlite_bytes(const struct store *store);

#endif
