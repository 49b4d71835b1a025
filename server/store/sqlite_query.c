#include "store/sqlite_internal.h"

#include <string.h>

const char *const sqlite_statements[SQLITE_STATEMENT_COUNT] = {
#define X(name, sql) [SQLITE_##name##_STATEMENT] = sql,
    SQLITE_STATEMENTS(X)
#undef X
};

struct query query_start(struct store_sqlite *sqlite, enum sqlite_statement which)
{
    return (struct query){sqlite, sqlite->statements[which], 0, SQLITE_OK};
}

static void query_note(struct query *query, int code)
{
    if (!query->code)
        query->code = code;
}

void query_bind_int(struct query *query, int64_t value)
{
    query_note(query, sqlite3_bind_int64(query->statement, ++query->index, value));
}

void query_bind_seq(struct query *query, uint64_t seq)
{
    query_bind_int(query, seq > INT64_MAX ? INT64_MAX : (int64_t)seq);
}

void query_bind_text(struct query *query, const char *text)
{
    query_note(query, sqlite3_bind_text64(query->statement, ++query->index, text, strlen(text),
                          SQLITE_STATIC, SQLITE_UTF8));
}

void query_bind_blob(struct query *query, const void *bytes, size_t size)
{
    query_note(
        query, sqlite3_bind_blob64(query->statement, ++query->index, bytes, size, SQLITE_STATIC));
}

bool query_next(struct query *query)
{
    if (query->code)
        return false;
    int code = sqlite3_step(query->statement);
    query->index = -1;
    if (code == SQLITE_ROW)
        return true;
    if (code != SQLITE_DONE)
        query_note(query, code);
    return false;
}

int64_t query_int(struct query *query)
{
    return sqlite3_column_int64(query->statement, ++query->index);
}

const char *query_text(struct query *query)
{
    const char *text = (const char *)sqlite3_column_text(query->statement, ++query->index);

    /* The columns are NOT NULL, so there was no memory for it. */
    if (!text)
        query_note(query, SQLITE_NOMEM);
    return text ? text : "";
}

const char *query_blob(struct query *query, size_t *ret_size)
{
    const char *bytes = sqlite3_column_blob(query->statement, ++query->index);

    *ret_size = (size_t)sqlite3_column_bytes(query->statement, query->index);
    /* Of a blob without bytes SQLite gives no place either. */
    if (!bytes && !*ret_size && sqlite3_column_type(query->statement, query->index) == SQLITE_BLOB)
        return "";
    return bytes;
}

void query_hash(struct query *query, uint8_t ret_hash[STORE_HASH_SIZE])
{
    size_t size;
    const char *bytes = query_blob(query, &size);

    if (bytes && size == STORE_HASH_SIZE)
        memcpy(ret_hash, bytes, size);
    else
        query_note(query, SQLITE_CORRUPT);
}

void query_address(struct query *query, struct address *ret_address)
{
    const char *text = query_text(query);

    *ret_address = (struct address){0};
    if (*text && !address_parse(text, ret_address))
        query_note(query, SQLITE_CORRUPT);
}

int query_end(struct query *query)
{
    int code = query->code;

    if (code) {
        /* What was noted here without SQLite's help has no message on the connection. */
        bool known = sqlite3_extended_errcode(query->sqlite->db) == code;
        sqlite_report(
            query->sqlite, code, known ? sqlite3_errmsg(query->sqlite->db) : sqlite3_errstr(code));
    }
    sqlite3_reset(query->statement);
    sqlite3_clear_bindings(query->statement);
    return code ? ERROR_STORE_FAILED : 0;
}

int query_run(struct query *query)
{
    query_next(query);
    return query_end(query);
}
