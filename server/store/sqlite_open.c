#include "store/sqlite.h"
#include "store/sqlite_internal.h"

#include "store/schema.h"

#include "log.h"
#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* The lock keeps other servers away, so only a person's own tool can be in the way: it is given a
 * moment, not more, because the loop stands still meanwhile. */
#define SQLITE_BUSY_TIMEOUT_MS 50

/* What is set, and what must be read back. */
struct pragma {
    const char *name;
    const char *value;
    const char *read_back;
};

static const struct pragma pragmas[] = {
    {"journal_mode", "WAL", "wal"}, {"foreign_keys", "ON", "1"}, {"trusted_schema", "OFF", "0"},
    {"temp_store", "MEMORY", "2"}, {"cache_size", "-4000", "-4000"}, /* KiB */
    {"wal_autocheckpoint", "1000", "1000"},                          /* pages */
    {"journal_size_limit", "8388608", "8388608"}, /* bytes that a log keeps once it is done with */
};

static const struct pragma durability_normal = {"synchronous", "NORMAL", "1"};
static const struct pragma durability_full = {"synchronous", "FULL", "2"};

/* By what errno says. */
static int sqlite_cannot_write(const char *path, struct fault *ret_fault)
{
    if (errno == ENOENT)
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "the directory of %s does not exist; make it or give another file with --db", path);
    return fault_set(ret_fault, ERROR_STORE_FAILED,
        "cannot write %s (%s); let signpostd write it and its directory, or give another file with "
        "--db",
        path, strerror(errno));
}

/* What is there must be a file that can be read and written. */
static int sqlite_judge_file(const char *path, const struct stat *status, struct fault *ret_fault)
{
    if (S_ISDIR(status->st_mode))
        return fault_set(
            ret_fault, ERROR_STORE_FAILED, "%s is a directory; give a file in it with --db", path);
    if (!S_ISREG(status->st_mode))
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "%s is not a regular file; give another file with --db", path);
    if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS))
        return sqlite_cannot_write(path, ret_fault);
    return 0;
}

/* Makes the file if there is none, for its owner only; the files that SQLite puts beside it get
 * the same mode. An existing one is looked at but not opened: closing it again would drop the
 * locks that SQLite may hold on it in this process. */
static int sqlite_make_file(const char *path, struct fault *ret_fault)
{
    struct stat status;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0) {
        close(fd);
        return 0;
    }
    if (errno == EEXIST && stat(path, &status) == 0)
        return sqlite_judge_file(path, &status, ret_fault);
    return sqlite_cannot_write(path, ret_fault);
}

/* The log and the lock file are made beside the database. */
static int sqlite_judge_folder(const char *path, struct fault *ret_fault)
{
    char *copy = strdup(path);

    if (!copy)
        return fault_set(ret_fault, ERROR_STORE_FAILED, "out of memory checking %s", path);
    bool writable = faccessat(AT_FDCWD, dirname(copy), W_OK | X_OK, AT_EACCESS) == 0;
    free(copy);
    return writable ? 0 : sqlite_cannot_write(path, ret_fault);
}

int store_sqlite_check(const char *path, struct fault *ret_fault)
{
    uint8_t header[SCHEMA_HEADER_SIZE] = {0};
    struct stat status;
    int error = sqlite_judge_folder(path, ret_fault);

    if (error)
        return error;
    if (stat(path, &status))
        return errno == ENOENT ? 0 : sqlite_cannot_write(path, ret_fault);
    if ((error = sqlite_judge_file(path, &status, ret_fault)) || !status.st_size)
        return error;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, header, sizeof header);
    if (fd >= 0)
        close(fd);
    if (length < 0)
        return sqlite_cannot_write(path, ret_fault);
    return schema_examine_header(header, &schema_current, path, ret_fault);
}

void sqlite_distrust(sqlite3 *db)
{
    static const struct {
        int option;
        int value;
    } settings[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},
    };

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        sqlite3_db_config(db, settings[i].option, settings[i].value, NULL);
}

static int sqlite_connect(struct store_sqlite *sqlite, struct fault *ret_fault)
{
    int code = sqlite3_open_v2(sqlite->path, &sqlite->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (code != SQLITE_OK)
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "cannot open %s (%s); give another file with --db", sqlite->path,
            sqlite->db ? sqlite3_errmsg(sqlite->db) : sqlite3_errstr(code));
    sqlite3_busy_timeout(sqlite->db, SQLITE_BUSY_TIMEOUT_MS);
    sqlite_distrust(sqlite->db);
    return 0;
}

static int sqlite_set_pragma(
    struct store_sqlite *sqlite, const struct pragma *pragma, struct fault *ret_fault)
{
    sqlite3_stmt *statement = NULL;
    char sql[80];
    int error = 0;

    /* A PRAGMA takes no bound values; these are our own constants. */
    snprintf(sql, sizeof sql, "PRAGMA %s = %s", pragma->name, pragma->value);
    if (sqlite3_exec(sqlite->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return schema_fault(sqlite->db, sqlite->path, ret_fault);
    snprintf(sql, sizeof sql, "PRAGMA %s", pragma->name);
    if (sqlite3_prepare_v2(sqlite->db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        error = schema_fault(sqlite->db, sqlite->path, ret_fault);
    } else {
        const char *now = (const char *)sqlite3_column_text(statement, 0);
        if (!now || strcmp(now, pragma->read_back) != 0)
            error = fault_set(ret_fault, ERROR_STORE_FAILED,
                "cannot set %s of %s to %s; give a file on a local disk with --db", pragma->name,
                sqlite->path, pragma->value);
    }
    sqlite3_finalize(statement);
    return error;
}

static int sqlite_prepare(struct store_sqlite *sqlite, struct fault *ret_fault)
{
    for (size_t i = 0; i < SQLITE_STATEMENT_COUNT; i++) {
        if (sqlite3_prepare_v3(sqlite->db, sqlite_statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                &sqlite->statements[i], NULL) != SQLITE_OK)
            return schema_fault(sqlite->db, sqlite->path, ret_fault);
    }
    return 0;
}

bool sqlite_write_stamp(struct store_sqlite *sqlite, const char *stamp)
{
    struct query query = query_start(sqlite, SQLITE_SET_STATE_STATEMENT);

    query_bind_int(&query, (int64_t)sqlite->epoch);
    query_bind_text(&query, stamp);
    query_bind_text(&query, SIGNPOST_VERSION);
    return query_run(&query) == 0;
}

/* Keeps the epoch or makes another, by the rule in sqlite_lock.h. The database first: where only
 * that was written, the stamps do not agree. */
static int sqlite_settle_epoch(struct store_sqlite *sqlite, struct fault *ret_fault)
{
    char stamp[SQLITE_STAMP_SIZE];
    struct query query = query_start(sqlite, SQLITE_GET_STATE_STATEMENT);
    bool continues = false;

    bool found = query_next(&query);
    if (found) {
        sqlite->epoch = (uint64_t)query_int(&query);
        query_int(&query); /* the dropped networks */
        continues = sqlite_lock_continues(&sqlite->lock, query_text(&query));
    }
    if (query_end(&query))
        return schema_fault(sqlite->db, sqlite->path, ret_fault);
    if (!found)
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "%s is damaged (its index_state is empty); restore a copy or give another file with "
            "--db",
            sqlite->path);
    if (!sqlite_lock_make_stamp(stamp) ||
        (!continues &&
            getrandom(&sqlite->epoch, sizeof sqlite->epoch, 0) != (ssize_t)sizeof sqlite->epoch))
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "the system gives no random bytes to open %s with", sqlite->path);
    if (!sqlite_write_stamp(sqlite, stamp))
        return schema_fault(sqlite->db, sqlite->path, ret_fault);
    if (!sqlite_lock_write(&sqlite->lock, stamp, false, sqlite->full_durability))
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "cannot write %s.lock (%s); check its disk or give another file with --db",
            sqlite->path, strerror(errno));
    return 0;
}

/* --- open, reopen, close ---------------------------------------------------------------------- */

/* Closes what is open of the file; all may be NULL. */
static void sqlite_disconnect(struct store_sqlite *sqlite)
{
    for (size_t i = 0; i < SQLITE_STATEMENT_COUNT; i++) {
        sqlite3_finalize(sqlite->statements[i]);
        sqlite->statements[i] = NULL;
    }
    sqlite3_close(sqlite->db);
    sqlite->db = NULL;
    sqlite_lock_release(&sqlite->lock);
}

static void sqlite_free(struct store_sqlite *sqlite)
{
    sqlite_disconnect(sqlite);
    sqlite_watch_free(&sqlite->watch);
    batch_free(&sqlite->batch);
    free(sqlite->path);
    free(sqlite);
}

/* Has someone else had a hand in the database itself, or may have had? */
static bool is_theirs(const struct store_sqlite *sqlite)
{
    return sqlite->change == SQLITE_UNCHANGED || sqlite->change >= SQLITE_TOUCHED;
}

/* SQLite notices damage only where it comes across it; nothing is written before it was looked for.
 */
static int sqlite_check(struct store_sqlite *sqlite, struct fault *ret_fault)
{
    sqlite3_stmt *statement = NULL;
    const char *says = NULL;

    /* Our log may lie over a copy of another time that was written in the place of the database:
     * then its indexes do not agree with its tables. */
    const char *check =
        sqlite->change == SQLITE_TOUCHED ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)";
    if (sqlite3_prepare_v2(sqlite->db, check, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        says = (const char *)sqlite3_column_text(statement, 0);
    int error = says ? 0 : schema_fault(sqlite->db, sqlite->path, ret_fault);
    if (says && strcmp(says, "ok") != 0)
        error = fault_set(ret_fault, ERROR_STORE_FAILED,
            "%s is damaged; put a copy in its place, or remove it", sqlite->path);
    sqlite3_finalize(statement);
    return error;
}

/* Everything between the lock and the epoch. What fails leaves the rest to sqlite_disconnect(). */
static int sqlite_establish(struct store_sqlite *sqlite, struct fault *ret_fault)
{
    int error;

    if ((error = sqlite_lock_take(sqlite->path, &sqlite->lock, ret_fault)))
        return error;
    /* The clock of a running server does not change, whatever it opens again. */
    if (!sqlite->base.offset_ms)
        sqlite->base.offset_ms = sqlite_lock_offset_ms(&sqlite->lock);
    sqlite->lock.offset_ms = sqlite->base.offset_ms;
    if ((error = sqlite_connect(sqlite, ret_fault)) ||
        (sqlite->broken && is_theirs(sqlite) && (error = sqlite_check(sqlite, ret_fault))) ||
        (error = schema_bring_up(sqlite->db, &schema_current, sqlite->path, ret_fault)))
        return error;
    for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++) {
        if ((error = sqlite_set_pragma(sqlite, &pragmas[i], ret_fault)))
            return error;
    }
    error = sqlite_set_pragma(
        sqlite, sqlite->full_durability ? &durability_full : &durability_normal, ret_fault);
    /* Files that were changed under a running server hold another history, whatever they say. */
    if (sqlite->broken)
        sqlite->lock.past = (struct sqlite_past){0};
    if (error || (error = sqlite_prepare(sqlite, ret_fault)) ||
        (error = sqlite_settle_epoch(sqlite, ret_fault)))
        return error;
    if (!sqlite_watch_start(&sqlite->watch))
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "cannot find the files of %s (%s); give a file on a local disk with --db", sqlite->path,
            strerror(errno));
    return 0;
}

int store_sqlite_open(
    const struct store_sqlite_config *config, struct store **ret_store, struct fault *ret_fault)
{
    struct store_sqlite *sqlite = calloc(1, sizeof *sqlite);
    int error = 0;

    if (!sqlite)
        return fault_set(ret_fault, ERROR_STORE_FAILED, "out of memory opening %s", config->path);
    sqlite->base.f = &sqlite_functions;
    sqlite->lock.fd = -1;
    sqlite->full_durability = config->full_durability;
    if ((error = sqlite_make_file(config->path, ret_fault)))
        goto cleanup;
    /* Two names of one file must meet at one lock. */
    sqlite->path = realpath(config->path, NULL);
    if (!sqlite->path) {
        error = fault_set(ret_fault, ERROR_STORE_FAILED,
            "cannot find %s (%s); give another file with --db", config->path, strerror(errno));
        goto cleanup;
    }
    if (!sqlite_watch_name(&sqlite->watch, sqlite->path)) {
        error = fault_set(ret_fault, ERROR_STORE_FAILED, "out of memory opening %s", sqlite->path);
        goto cleanup;
    }
    if ((error = sqlite_establish(sqlite, ret_fault)))
        goto cleanup;
    *ret_store = &sqlite->base;
    sqlite = NULL;

cleanup:
    if (sqlite)
        sqlite_free(sqlite);
    return error;
}

/* Closes the connection to files that are not what they were. What only this process can still
 * reach (a log without a name) is brought into the database first. Where the database itself was
 * changed nothing more is written into it, and a log that belongs to what it was goes. */
static int sqlite_let_go(struct store_sqlite *sqlite)
{
    enum sqlite_change change = sqlite_watch_look(&sqlite->watch, SQLITE_OTHERS_WRITE);

    if (!sqlite->db)
        return 0;
    /* One that was away for a moment is the same still, and its log is what was acknowledged. */
    if (change <= SQLITE_BESIDE_GONE &&
        (sqlite->change == SQLITE_GONE || sqlite->change == SQLITE_REPLACED))
        sqlite->change = SQLITE_BESIDE_GONE;
    if (change > sqlite->change)
        sqlite->change = change;
    if (sqlite->change == SQLITE_LOCK_GONE || sqlite->change == SQLITE_BESIDE_GONE) {
        int code =
            sqlite3_wal_checkpoint_v2(sqlite->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        if (code != SQLITE_OK) {
            sqlite_report(sqlite, code, sqlite3_errmsg(sqlite->db));
            return ERROR_STORE_FAILED;
        }
    } else {
        sqlite3_db_config(sqlite->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    sqlite_disconnect(sqlite);
    if (sqlite->change >= SQLITE_CUT)
        sqlite_watch_discard(&sqlite->watch);
    return 0;
}

/* The trouble that /readyz shows names no path, the log does; said once. */
static void sqlite_note_refusal(struct store_sqlite *sqlite, const struct fault *fault)
{
    int code = sqlite->db ? sqlite3_errcode(sqlite->db) : SQLITE_CANTOPEN;
    char trouble[SQLITE_TROUBLE_SIZE];

    snprintf(trouble, sizeof trouble, "the database cannot be opened again: %s",
        code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE
            ? "the file is damaged or of another version"
            : sqlite3_errstr(code));
    if (strcmp(trouble, sqlite->trouble) == 0)
        return;
    strcpy(sqlite->trouble, trouble);
    log_event(LOG_ERROR, "store_not_reopened", "file", sqlite->path, "error", fault->detail,
        "effect", "it is tried again each second", NULL);
}

int sqlite_reopen(struct store_sqlite *sqlite)
{
    struct fault fault;

    if (sqlite->rests || (is_theirs(sqlite) && sqlite_watch_is_fresh(&sqlite->watch))) {
        sqlite->rests = false;
        return ERROR_STORE_FAILED;
    }
    if (sqlite_let_go(sqlite))
        return ERROR_STORE_FAILED;
    int error = sqlite_make_file(sqlite->path, &fault);
    if (!error)
        error = sqlite_establish(sqlite, &fault);
    if (error) {
        sqlite_note_refusal(sqlite, &fault);
        sqlite_disconnect(sqlite);
        return error;
    }
    sqlite->broken = false;
    sqlite->change = SQLITE_UNCHANGED;
    sqlite_recovered(sqlite, "store_reopened");
    return 0;
}

/* Leaves all in the one file, and a lock file that vouches for it. Where that does not succeed the
 * lock file stays as of a store that was not closed. */
static void sqlite_settle(struct store_sqlite *sqlite)
{
    char stamp[SQLITE_STAMP_SIZE];

    if (!sqlite_lock_make_stamp(stamp) || !sqlite_write_stamp(sqlite, stamp))
        return;
    int code = sqlite3_wal_checkpoint_v2(sqlite->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (!sqlite_lock_write(&sqlite->lock, stamp, code == SQLITE_OK, sqlite->full_durability))
        sqlite_report(sqlite, SQLITE_IOERR, "cannot write the lock file; the epoch will change");
}

void sqlite_close(struct store *store)
{
    if (!store)
        return;
    struct store_sqlite *sqlite = sqlite_of(store);
    /* A completion may have written again. */
    while (store->open_batch)
        store->f->flush(store);
    if (!sqlite->broken && sqlite_watch_look(&sqlite->watch, SQLITE_OTHERS_WRITE))
        sqlite->broken = true;
    if (!sqlite->broken)
        sqlite_settle(sqlite);
    else
        sqlite_let_go(sqlite);
    sqlite_free(sqlite);
}

uint64_t sqlite_bytes(const struct store *store)
{
    const struct store_sqlite *sqlite = (const struct store_sqlite *)store;
    static const char *const ends[] = {"", "-wal"};
    char path[PATH_MAX];
    struct stat status;
    uint64_t bytes = 0;

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(path, sizeof path, "%s%s", sqlite->path, ends[i]);
        if (!stat(path, &status))
            bytes += (uint64_t)status.st_size;
    }
    return bytes;
}
