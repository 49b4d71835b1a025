#include "store/schema.h"

#include "log.h"
#include "quote.h"
#include "schema_sql.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define SCHEMA_PROGRAM_SIZE (QUOTE_SIZE + 24)

/* Of the table of messages, as it was made in more than one step. */
#define SCHEMA_MESSAGE_COLUMNS                                                                     \
    "    number INTEGER PRIMARY KEY CHECK (number > 0),\n"                                         \
    "    box INTEGER NOT NULL, -- the number of the recipient's node\n"                            \
    "    network INTEGER NOT NULL,\n"                                                              \
    "    seq INTEGER NOT NULL CHECK (seq >= 0), -- in its box\n"                                   \
    "    recipient TEXT NOT NULL,\n"                                                               \
    "    sender TEXT NOT NULL, -- '': the index itself\n"                                          \
    "    sender_address TEXT NOT NULL,\n"                                                          \
    "    id TEXT NOT NULL, -- the sender's own, which makes a retry harmless\n"                    \
    "    session TEXT NOT NULL, -- '': none\n"                                                     \
    "    type TEXT NOT NULL,\n"                                                                    \
    "    content_hash BLOB NOT NULL CHECK (length(content_hash) = 32), -- tells a retry from a "   \
    "reuse\n"                                                                                      \
    "    sent_wall_ms INTEGER NOT NULL,\n"                                                         \
    "    expires_ms INTEGER NOT NULL, -- when it is no longer given out\n"                         \
    "    forget_ms INTEGER NOT NULL, -- when the row goes\n"                                       \
    "    handed INTEGER NOT NULL CHECK (handed IN (0, 1)), -- whether a reader was waiting for "   \
    "it\n"                                                                                         \
    "    mark INTEGER NOT NULL CHECK (mark BETWEEN 0 AND 2), -- 0 queued, 1 given out, 2 spent\n"  \
    "    body_size INTEGER NOT NULL CHECK (body_size >= 0), -- in bytes, also once the body is "   \
    "gone\n"                                                                                       \
    "    body BLOB, -- JSON text, byte for byte as sent; NULL once spent\n"

/* Which program had the file open last. A table that is made anew has just the text that it has in
 * schema.sql, where a column that is added has not. */
static const char schema_step_2[] =
    "ALTER TABLE index_state RENAME TO index_state_1;\n"
    "CREATE TABLE index_state (\n"
    "    one INTEGER PRIMARY KEY CHECK (one = 1),\n"
    "    epoch INTEGER NOT NULL, -- random; another one wherever the history may have been cut\n"
    "    dropped_networks INTEGER NOT NULL CHECK (dropped_networks >= 0),\n"
    "    stamp TEXT NOT NULL, -- of the last open or close; the lock file beside holds the same "
    "one\n"
    "    program TEXT NOT NULL -- the version of the signpostd that had it open last\n"
    ") STRICT;\n"
    "INSERT INTO index_state SELECT one, epoch, dropped_networks, stamp, '' FROM index_state_1;\n"
    "DROP TABLE index_state_1;\n"
    /* An IN of more than two values had SQLite build a table at each write. */
    "ALTER TABLE messages RENAME TO messages_1;\n"
    "CREATE TABLE messages (\n" SCHEMA_MESSAGE_COLUMNS "    UNIQUE (box, seq),\n"
    "    CHECK ((mark = 2) = (body IS NULL))\n"
    ") STRICT;\n"
    "INSERT INTO messages SELECT * FROM messages_1;\n"
    "DROP TABLE messages_1;\n";

/* Messages are read by their numbers: the index on (box, seq) was work at each write. */
static const char schema_step_3[] =
    "ALTER TABLE messages RENAME TO messages_2;\n"
    "CREATE TABLE messages (\n" SCHEMA_MESSAGE_COLUMNS "    CHECK ((mark = 2) = (body IS NULL))\n"
    ") STRICT;\n"
    "INSERT INTO messages SELECT * FROM messages_2;\n"
    "DROP TABLE messages_2;\n";

static const char *const schema_steps[] = {schema_step_2, schema_step_3};

const struct schema schema_current = {
    .latest = 1 + sizeof schema_steps / sizeof *schema_steps,
    .sql = schema_sql,
    .steps = schema_steps,
};

/* What a file says of itself. */
struct identity {
    int application_id;
    int version;
    int objects; /* tables, indices, views, triggers */
};

int schema_fault(sqlite3 *db, const char *path, struct fault *ret_fault)
{
    int code = sqlite3_errcode(db) & 0xff;

    if (code == SQLITE_NOTADB)
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "%s is not a Signpost database; give another file with --db", path);
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "%s is locked by another program; end it or give another file with --db", path);
    if (code == SQLITE_FULL)
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "there is no room to write %s; free some or give another file with --db", path);
    if (code == SQLITE_CORRUPT || code == SQLITE_ERROR)
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "%s is damaged (%s); restore a copy or give another file with --db", path,
            sqlite3_errmsg(db));
    return fault_set(ret_fault, ERROR_STORE_FAILED,
        "cannot use %s (%s); check its disk and its permissions or give another file with --db",
        path, sqlite3_errmsg(db));
}

static bool schema_read_int(sqlite3 *db, const char *sql, int *ret_value)
{
    sqlite3_stmt *statement = NULL;
    bool found = false;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        *ret_value = sqlite3_column_int(statement, 0);
        found = true;
    }
    sqlite3_finalize(statement);
    return found;
}

static bool schema_identify(sqlite3 *db, struct identity *ret_identity)
{
    return schema_read_int(db, "PRAGMA application_id", &ret_identity->application_id) &&
           schema_read_int(db, "PRAGMA user_version", &ret_identity->version) &&
           schema_read_int(db, "SELECT count(*) FROM sqlite_schema", &ret_identity->objects);
}

/* Runs the text as one transaction; `version` 0: the text sets it itself. */
static int schema_apply(
    sqlite3 *db, const char *sql, int version, const char *path, struct fault *ret_fault)
{
    char set_version[48] = "";

    /* A PRAGMA takes no bound values; the number is our own. */
    if (version)
        snprintf(set_version, sizeof set_version, "PRAGMA user_version = %d", version);
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_exec(db, set_version, NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    schema_fault(db, path, ret_fault);
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return ERROR_STORE_FAILED;
}

/* `version "1.2.3", ` where the file says which signpostd had it open last; else nothing. `db` may
 * be NULL. */
static void schema_name_program(sqlite3 *db, char ret_name[SCHEMA_PROGRAM_SIZE])
{
    sqlite3_stmt *statement = NULL;
    char quoted[QUOTE_SIZE];

    ret_name[0] = '\0';
    if (db &&
        sqlite3_prepare_v2(db, "SELECT program FROM index_state WHERE program <> ''", -1,
            &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        snprintf(ret_name, SCHEMA_PROGRAM_SIZE, "version %s, ",
            quote_text((const char *)sqlite3_column_text(statement, 0), quoted));
    sqlite3_finalize(statement);
}

static int schema_judge(sqlite3 *db, const struct identity *identity, const struct schema *schema,
    const char *path, struct fault *ret_fault)
{
    char program[SCHEMA_PROGRAM_SIZE];

    if (identity->application_id != SCHEMA_APPLICATION_ID || identity->version < 1)
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "%s is not a Signpost database; give another file with --db", path);
    if (identity->version <= schema->latest)
        return 0;
    schema_name_program(db, program);
    return fault_set(ret_fault, ERROR_STORE_FAILED,
        "%s was written by a newer signpostd (%sschema %d, this one knows %d): upgrade signpostd "
        "or give another file with --db",
        path, program, identity->version, schema->latest);
}

int schema_examine(sqlite3 *db, const struct schema *schema, const char *path, int *ret_version,
    struct fault *ret_fault)
{
    struct identity identity;

    if (!schema_identify(db, &identity))
        return schema_fault(db, path, ret_fault);
    int error = schema_judge(db, &identity, schema, path, ret_fault);
    if (!error)
        *ret_version = identity.version;
    return error;
}

static int schema_read_number(const uint8_t bytes[4])
{
    return (int)((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
                 bytes[3]);
}

int schema_examine_header(const uint8_t header[SCHEMA_HEADER_SIZE], const struct schema *schema,
    const char *path, struct fault *ret_fault)
{
    static const char magic[16] = "SQLite format 3";
    struct identity identity = {0};

    if (!memcmp(header, magic, sizeof magic)) {
        identity.version = schema_read_number(header + 60);
        identity.application_id = schema_read_number(header + 68);
    }
    return schema_judge(NULL, &identity, schema, path, ret_fault);
}

static void schema_announce(const char *path, int version)
{
    char number[16];

    snprintf(number, sizeof number, "%d", version);
    log_event(LOG_INFO, "database_upgraded", "file", path, "schema", number, NULL);
}

int schema_bring_up(
    sqlite3 *db, const struct schema *schema, const char *path, struct fault *ret_fault)
{
    struct identity identity;

    if (!schema_identify(db, &identity))
        return schema_fault(db, path, ret_fault);
    if (sqlite3_exec(db, "PRAGMA foreign_keys = OFF", NULL, NULL, NULL) != SQLITE_OK)
        return schema_fault(db, path, ret_fault);
    if (!identity.application_id && !identity.version && !identity.objects)
        return schema_apply(db, schema->sql, 0, path, ret_fault);
    int error = schema_judge(db, &identity, schema, path, ret_fault);
    for (int version = identity.version; !error && version < schema->latest; version++) {
        error = schema_apply(db, schema->steps[version - 1], version + 1, path, ret_fault);
        if (!error)
            schema_announce(path, version + 1);
    }
    return error;
}
