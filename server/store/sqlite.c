#include "store/sqlite.h"
#include "store/sqlite_internal.h"

#include "log.h"
#include "metrics.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LONG_COMMIT_US 10000

/* --- running a statement ---------------------------------------------------------------------- */

static int sqlite_run(struct store_sqlite *sqlite, enum sqlite_statement which)
{
    struct query query = query_start(sqlite, which);

    return query_run(&query);
}

/* Runs a statement whose only value is a number. */
static int sqlite_run_with(struct store_sqlite *sqlite, enum sqlite_statement which, int64_t number)
{
    struct query query = query_start(sqlite, which);

    query_bind_int(&query, number);
    return query_run(&query);
}

/* --- the batch ------------------------------------------------------------------------------- */

/* A failure that says the same as the one before is not logged again: a full disk fails every
 * second.
 */
static void sqlite_note_trouble(struct store_sqlite *sqlite, int code, const char *message)
{
    bool writing = sqlite->base.open_batch || sqlite->trying;
    char trouble[SQLITE_TROUBLE_SIZE];

    snprintf(trouble, sizeof trouble, "the database cannot be %s: %s", writing ? "written" : "read",
        sqlite3_errstr(code));
    if (strcmp(trouble, sqlite->trouble) == 0)
        return;
    strcpy(sqlite->trouble, trouble);
    log_event(LOG_ERROR, "store_failed", "file", sqlite->path, "error", message, NULL);
}

void sqlite_report(struct store_sqlite *sqlite, int code, const char *message)
{
    int kind = code & 0xff;

    if (sqlite->failed)
        return;
    sqlite->failed = sqlite->base.open_batch;
    /* Damage that SQLite comes across is often seen in the file from outside, too. */
    if (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB || code == SQLITE_IOERR_SHORT_READ)
        sqlite_break(sqlite, sqlite_watch_look(&sqlite->watch, SQLITE_OTHERS_WRITE));
    else
        sqlite_note_trouble(sqlite, code, message);
    if (kind == SQLITE_FULL)
        sqlite->full = true;
}

void sqlite_break(struct store_sqlite *sqlite, enum sqlite_change change)
{
    if (change > sqlite->change)
        sqlite->change = change;
    sqlite->failed = sqlite->base.open_batch;
    if (sqlite->broken)
        return;
    sqlite->broken = sqlite->rests = true;
    snprintf(sqlite->trouble, sizeof sqlite->trouble, "%s", sqlite_change_text(change));
    log_event(LOG_ERROR, "store_failed", "file", sqlite->path, "error", sqlite->trouble, "effect",
        "nothing is kept until the database is opened again", NULL);
}

void sqlite_recovered(struct store_sqlite *sqlite, const char *event)
{
    if (!sqlite->trouble[0])
        return;
    sqlite->trouble[0] = '\0';
    sqlite->full = false;
    log_event(LOG_INFO, event, "file", sqlite->path, NULL);
}

static const char *sqlite_trouble(const struct store *store)
{
    const char *trouble = ((const struct store_sqlite *)store)->trouble;
    return trouble[0] ? trouble : NULL;
}

bool sqlite_may_go_on(const struct store_sqlite *sqlite)
{
    return !sqlite->failed && !sqlite->broken;
}

/* Opens a batch where none is. One whose BEGIN fails is open and failed: completions of writes
 * come with the flush, whatever happens. */
static bool sqlite_open_batch(struct store_sqlite *sqlite)
{
    if (!sqlite->base.open_batch) {
        sqlite->base.open_batch = true;
        sqlite->failed = sqlite->broken;
        if (!sqlite->failed)
            sqlite_run(sqlite, SQLITE_BEGIN_STATEMENT);
    }
    return sqlite_may_go_on(sqlite);
}

void sqlite_finish(struct store_sqlite *sqlite, int error, store_done done, void *user)
{
    if (sqlite->base.open_batch) {
        error = batch_add(&sqlite->batch, done, user);
        if (!error)
            return;
        sqlite_report(sqlite, SQLITE_NOMEM, "out of memory");
    } else if (sqlite->broken) {
        error = ERROR_STORE_FAILED;
    }
    if (done)
        done(error, user);
}

static void sqlite_barrier(struct store *store, store_done done, void *user)
{
    sqlite_finish(sqlite_of(store), 0, done, user);
}

/* Writes what is there already. On a disk that was full so little may fit into what the log has: it
 * is not over before there is room for more. */
static void sqlite_try_write(struct store_sqlite *sqlite, const char *stamp)
{
    if (sqlite->full && !sqlite_watch_has_room(&sqlite->watch))
        return;
    sqlite->trying = true;
    if (!sqlite_run(sqlite, SQLITE_BEGIN_STATEMENT)) {
        /* Another stamp first: SQLite writes no page for what is the same. */
        bool well = sqlite_write_stamp(sqlite, "") && sqlite_write_stamp(sqlite, stamp) &&
                    !sqlite_run(sqlite, SQLITE_COMMIT_STATEMENT);
        if (!sqlite3_get_autocommit(sqlite->db))
            sqlite_run(sqlite, SQLITE_ROLLBACK_STATEMENT);
        enum sqlite_change change = sqlite_watch_look(&sqlite->watch, SQLITE_WE_WRITE);
        if (change)
            sqlite_break(sqlite, change);
        else if (well)
            sqlite_recovered(sqlite, "store_recovered");
    }
    sqlite->trying = false;
}

static uint64_t sqlite_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* What is committed into files that are no longer found by their names would be gone at the next
 * open: looked at before the commit, and after one that took long. After each the database alone is
 * looked at, because a checkpoint writes there, which is not another program's doing. */
static void sqlite_commit(struct store_sqlite *sqlite)
{
    enum sqlite_change change = sqlite_watch_look(&sqlite->watch, SQLITE_OTHERS_WRITE);

    if (!change) {
        uint64_t began_us = sqlite_now_us();
        sqlite_run(sqlite, SQLITE_COMMIT_STATEMENT);
        change = sqlite_watch_look(&sqlite->watch, SQLITE_WE_WRITE);
        if (!change && sqlite_now_us() - began_us > LONG_COMMIT_US)
            change = sqlite_watch_look(&sqlite->watch, SQLITE_OTHERS_WRITE);
    }
    if (change)
        sqlite_break(sqlite, change);
}

static void sqlite_flush(struct store *store)
{
    struct store_sqlite *sqlite = sqlite_of(store);

    if (!store->open_batch)
        return;
    uint64_t began_us = sqlite_now_us();
    if (!sqlite->failed)
        sqlite_commit(sqlite);
    bool failed = sqlite->failed;
    if (failed) {
        metrics_add(METRIC_STORE_FAILURES, 1);
    } else {
        metrics_observe(HISTOGRAM_COMMIT_TIME, sqlite_now_us() - began_us);
        metrics_observe(HISTOGRAM_COMMIT_SIZE, sqlite->batch.count);
    }
    /* Many errors have rolled back already, and a BEGIN that failed has nothing to roll back. */
    if (failed && sqlite->db && !sqlite3_get_autocommit(sqlite->db))
        sqlite_run(sqlite, SQLITE_ROLLBACK_STATEMENT);
    sqlite->failed = false;
    store->open_batch = false;
    if (failed) {
        batch_lose(&sqlite->batch, store);
    } else {
        sqlite_recovered(sqlite, "store_recovered");
        batch_complete(&sqlite->batch, 0);
    }
}

static void sqlite_probe(struct store *store, store_done done, void *user)
{
    struct store_sqlite *sqlite = sqlite_of(store);
    char stamp[SQLITE_STAMP_SIZE] = "";
    int error = 0;

    if (!store->open_batch && !sqlite->broken) {
        enum sqlite_change change = sqlite_watch_look(&sqlite->watch, SQLITE_OTHERS_WRITE);
        if (change)
            sqlite_break(sqlite, change);
    }
    if (sqlite_may_go_on(sqlite)) {
        struct query query = query_start(sqlite, SQLITE_GET_STATE_STATEMENT);

        if (query_next(&query)) {
            query_int(&query); /* the epoch */
            query_int(&query); /* the dropped networks */
            snprintf(stamp, sizeof stamp, "%s", query_text(&query));
        }
        error = query_end(&query);
        /* Where a write has failed, only a write can tell that it is over. */
        if (!error && sqlite->trouble[0] && !store->open_batch)
            sqlite_try_write(sqlite, stamp);
    }
    sqlite_finish(sqlite, error, done, user);
}

/* --- writes: networks and nodes -------------------------------------------------------------- */

static int sqlite_write_network(struct store_sqlite *sqlite, const struct store_network *network)
{
    struct query query = query_start(sqlite, SQLITE_PUT_NETWORK_STATEMENT);

    query_bind_int(&query, network->number);
    query_bind_text(&query, network->name);
    query_bind_int(&query, (int64_t)network->birth);
    query_bind_int(&query, (int64_t)network->seq);
    query_bind_int(&query, (int64_t)network->horizon);
    return query_run(&query);
}

static int sqlite_write_node(struct store_sqlite *sqlite, enum sqlite_statement which,
    int64_t number, const struct store_node *node)
{
    char ipv4[ADDRESS_TEXT_SIZE], ipv6[ADDRESS_TEXT_SIZE];
    struct query query = query_start(sqlite, which);

    query_bind_int(&query, number);
    query_bind_int(&query, node->network);
    query_bind_text(&query, node->id);
    query_bind_blob(&query, node->token_hash, STORE_HASH_SIZE);
    query_bind_blob(&query, node->key_hash, STORE_HASH_SIZE);
    query_bind_int(&query, node->ttl_s);
    query_bind_int(&query, node->listed);
    query_bind_int(&query, (int64_t)node->seq);
    query_bind_int(&query, node->registered_wall_ms);
    query_bind_text(&query, address_format(&node->observed_ipv4, ipv4));
    query_bind_text(&query, address_format(&node->observed_ipv6, ipv6));
    query_bind_text(&query, node->announced);
    query_bind_text(&query, node->endpoints);
    query_bind_text(&query, node->meta);
    query_bind_text(&query, node->reach);
    return query_run(&query);
}

static int sqlite_rename_node(
    struct store_sqlite *sqlite, int64_t number, int64_t network, const char *id)
{
    struct query query = query_start(sqlite, SQLITE_RENAME_NODE_STATEMENT);

    query_bind_int(&query, number);
    query_bind_int(&query, network);
    query_bind_text(&query, id);
    return query_run(&query);
}

static int sqlite_remove_tombstone(struct store_sqlite *sqlite, int64_t network, const char *id)
{
    struct query query = query_start(sqlite, SQLITE_REMOVE_TOMBSTONE_STATEMENT);

    query_bind_int(&query, network);
    query_bind_text(&query, id);
    return query_run(&query);
}

static int sqlite_write_edited(struct store_sqlite *sqlite, int64_t number,
    const struct store_node *node, const struct store_node *before)
{
    int error = 0;

    if (!before) {
        error = sqlite_write_node(sqlite, SQLITE_ADD_NODE_STATEMENT, number, node);
    } else {
        /* Apart, because an UPDATE that names them rewrites their index though they never change.
         */
        if (node->network != before->network || strcmp(node->id, before->id) != 0)
            error = sqlite_rename_node(sqlite, number, node->network, node->id);
        if (!error)
            error = sqlite_write_node(sqlite, SQLITE_UPDATE_NODE_STATEMENT, number, node);
    }
    if (!error && node->listed)
        error = sqlite_remove_tombstone(sqlite, node->network, node->id);
    return error;
}

static void sqlite_edit_node(
    struct store *store, int64_t number, store_edit edit, store_done done, void *user)
{
    struct store_sqlite *sqlite = sqlite_of(store);

    if (sqlite_open_batch(sqlite)) {
        struct store_node before = {
            .number = number, .id = "", .announced = "", .endpoints = "", .meta = "", .reach = ""};
        struct store_network network = {0};
        struct query query = query_start(sqlite, SQLITE_GET_NODE_STATEMENT);

        query_bind_int(&query, number);
        bool exists = query_next(&query);
        if (exists)
            sqlite_read_node(&query, true, &before);
        struct store_node node = before;
        /* The row stays open until it is written: what is not changed is written from there. */
        if (!query.code && edit(&node, exists, &network, user) == STORE_WRITE) {
            if (!network.number || !sqlite_write_network(sqlite, &network))
                sqlite_write_edited(sqlite, number, &node, exists ? &before : NULL);
        }
        query_end(&query);
    }
    sqlite_finish(sqlite, 0, done, user);
}

static void sqlite_remove_node(struct store *store, int64_t number, store_done done, void *user)
{
    struct store_sqlite *sqlite = sqlite_of(store);

    if (sqlite_open_batch(sqlite) && !sqlite_run_with(sqlite, SQLITE_REMOVE_BOX_STATEMENT, number))
        sqlite_run_with(sqlite, SQLITE_REMOVE_NODE_STATEMENT, number);
    sqlite_finish(sqlite, 0, done, user);
}

static void sqlite_put_tombstone(struct store *store, const struct store_network *network,
    const struct store_tombstone *tombstone, store_done done, void *user)
{
    struct store_sqlite *sqlite = sqlite_of(store);

    if (sqlite_open_batch(sqlite) && !sqlite_write_network(sqlite, network)) {
        struct query query = query_start(sqlite, SQLITE_PUT_TOMBSTONE_STATEMENT);

        query_bind_int(&query, network->number);
        query_bind_int(&query, (int64_t)tombstone->seq);
        query_bind_text(&query, tombstone->id);
        query_bind_int(&query, tombstone->gone_ms);
        query_run(&query);
    }
    sqlite_finish(sqlite, 0, done, user);
}

/* Once the horizon has moved, no reader is shown a tombstone below it, whatever its age: all up to
 * there go, in the order of the index. */
static void sqlite_prune(struct store_sqlite *sqlite, int64_t network, int64_t before_ms,
    size_t keep, uint64_t *ret_horizon, size_t *ret_left)
{
    static const enum sqlite_statement moves[] = {
        SQLITE_MOVE_HORIZON_STATEMENT, SQLITE_FORGET_TOMBSTONES_STATEMENT};
    struct query find = query_start(sqlite, SQLITE_FIND_HORIZON_STATEMENT);
    int64_t horizon = 0;

    query_bind_int(&find, network);
    query_bind_int(&find, before_ms);
    query_bind_seq(&find, keep);
    bool some = query_next(&find) && sqlite3_column_type(find.statement, 0) != SQLITE_NULL;
    if (some)
        horizon = query_int(&find);
    if (query_end(&find))
        return;
    for (size_t i = 0; some && i < sizeof moves / sizeof *moves; i++) {
        struct query move = query_start(sqlite, moves[i]);
        query_bind_int(&move, network);
        query_bind_int(&move, horizon);
        if (query_run(&move))
            return;
    }
    struct query count = query_start(sqlite, SQLITE_COUNT_TOMBSTONES_STATEMENT);
    query_bind_int(&count, network);
    if (query_next(&count)) {
        *ret_horizon = (uint64_t)query_int(&count);
        *ret_left = (size_t)query_int(&count);
    }
    query_end(&count);
}

static void sqlite_prune_tombstones(struct store *store, int64_t network, int64_t before_ms,
    size_t keep, store_pruned done, void *user)
{
    struct store_sqlite *sqlite = sqlite_of(store);
    uint64_t horizon = 0;
    size_t left = 0;

    if (sqlite_open_batch(sqlite))
        sqlite_prune(sqlite, network, before_ms, keep, &horizon, &left);
    int error = batch_add_pruned(&sqlite->batch, done, user, horizon, left);
    if (error) {
        sqlite_report(sqlite, SQLITE_NOMEM, "out of memory");
        done(error, 0, 0, user);
    }
}

static void sqlite_drop_network(struct store *store, int64_t network, store_done done, void *user)
{
    struct store_sqlite *sqlite = sqlite_of(store);

    if (sqlite_open_batch(sqlite) &&
        !sqlite_run_with(sqlite, SQLITE_DROP_NETWORK_STATEMENT, network) &&
        sqlite3_changes(sqlite->db) > 0)
        sqlite_run(sqlite, SQLITE_COUNT_DROPPED_STATEMENT);
    sqlite_finish(sqlite, 0, done, user);
}

/* --- writes: mailboxes ----------------------------------------------------------------------- */

static void sqlite_add_message(struct store_sqlite *sqlite, const struct store_message *message)
{
    char from_address[ADDRESS_TEXT_SIZE];
    struct query query = query_start(sqlite, SQLITE_ADD_MESSAGE_STATEMENT);

    query_bind_int(&query, message->number);
    query_bind_int(&query, message->box);
    query_bind_int(&query, message->network);
    query_bind_int(&query, (int64_t)message->seq);
    query_bind_text(&query, message->to);
    query_bind_text(&query, message->from);
    query_bind_text(&query, address_format(&message->from_address, from_address));
    query_bind_text(&query, message->id);
    query_bind_text(&query, message->session);
    query_bind_text(&query, message->type);
    query_bind_blob(&query, message->content_hash, STORE_HASH_SIZE);
    query_bind_int(&query, message->sent_wall_ms);
    query_bind_int(&query, message->expires_ms);
    query_bind_int(&query, message->forget_ms);
    query_bind_int(&query, message->handed);
    query_bind_int(&query, (int64_t)message->mark);
    query_bind_int(&query, (int64_t)message->body_size);
    query_bind_blob(
        &query, message->mark == STORE_SPENT ? NULL : message->body, message->body_size);
    query_run(&query);
}

static void sqlite_put_message(
    struct store *store, const struct store_message *message, store_done done, void *user)
{
    struct store_sqlite *sqlite = sqlite_of(store);

    if (sqlite_open_batch(sqlite))
        sqlite_add_message(sqlite, message);
    sqlite_finish(sqlite, 0, done, user);
}

static void sqlite_mark_message(
    struct store *store, int64_t number, enum store_mark mark, store_done done, void *user)
{
    struct store_sqlite *sqlite = sqlite_of(store);

    if (sqlite_open_batch(sqlite)) {
        if (mark == STORE_FORGET) {
            sqlite_run_with(sqlite, SQLITE_FORGET_MESSAGE_STATEMENT, number);
        } else if (mark == STORE_SPENT) {
            sqlite_run_with(sqlite, SQLITE_SPEND_MESSAGE_STATEMENT, number);
        } else {
            struct query query = query_start(sqlite, SQLITE_MARK_MESSAGE_STATEMENT);

            query_bind_int(&query, number);
            query_bind_int(&query, (int64_t)mark);
            query_run(&query);
        }
    }
    sqlite_finish(sqlite, 0, done, user);
}

static void sqlite_put_box(
    struct store *store, const struct store_box *box, store_done done, void *user)
{
    struct store_sqlite *sqlite = sqlite_of(store);

    if (sqlite_open_batch(sqlite)) {
        struct query query = query_start(sqlite, SQLITE_PUT_BOX_STATEMENT);

        query_bind_int(&query, box->node);
        query_bind_int(&query, (int64_t)box->seq);
        query_bind_int(&query, (int64_t)box->acked);
        query_run(&query);
    }
    sqlite_finish(sqlite, 0, done, user);
}

const struct store_functions sqlite_functions = {
    .load = sqlite_load,
    .get_node = sqlite_get_node,
    .list_nodes = sqlite_list_nodes,
    .list_changes = sqlite_list_changes,
    .read_messages = sqlite_read_messages,
    .barrier = sqlite_barrier,
    .probe = sqlite_probe,
    .trouble = sqlite_trouble,
    .edit_node = sqlite_edit_node,
    .remove_node = sqlite_remove_node,
    .put_tombstone = sqlite_put_tombstone,
    .prune_tombstones = sqlite_prune_tombstones,
    .drop_network = sqlite_drop_network,
    .put_message = sqlite_put_message,
    .mark_message = sqlite_mark_message,
    .put_box = sqlite_put_box,
    .bytes = sqlite_bytes,
    .flush = sqlite_flush,
    .close = sqlite_close,
};
