/* What is SQLite's own in the store: the file, its lock, its epoch, its query plans, its failures.
 */
#include "store_help.h"

#include "store/schema.h"
#include "store/sqlite.h"
#include "store/sqlite_internal.h"

#include "schema_sql.h"
#include "version.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct fixture {
    char directory[64];
    char path[80];
    char lock[88];
    struct store *store; /* closed by the teardown, where a test leaves one open */
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    make_directory(fixture->directory);
    snprintf(fixture->path, sizeof fixture->path, "%s/s.db", fixture->directory);
    snprintf(fixture->lock, sizeof fixture->lock, "%s.lock", fixture->path);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->store)
        fixture->store->f->close(fixture->store);
    remove_directory(fixture->directory);
    free(fixture);
    text_clear(&journal);
    return 0;
}

static struct store *open_store(const char *path, bool full_durability)
{
    struct store_sqlite_config config = {.path = path, .full_durability = full_durability};
    struct store *store = NULL;
    struct fault fault = {0};

    if (store_sqlite_open(&config, &store, &fault))
        fail_msg("cannot open: %s", fault.detail);
    store->lost = note_lost;
    return store;
}

static struct store *open_fixture(void **state)
{
    struct fixture *fixture = *state;

    fixture->store = open_store(fixture->path, false);
    return fixture->store;
}

static void close_fixture(void **state)
{
    struct fixture *fixture = *state;

    fixture->store->f->close(fixture->store);
    fixture->store = NULL;
}

/* The open is refused, with just this said after the path. */
static void expect_refusal(const char *path, const char *named, const char *expected)
{
    struct store_sqlite_config config = {.path = path};
    struct store *store = NULL;
    struct fault fault = {0};
    char sentence[300];

    const char *gap = strstr(expected, "%s");
    assert_non_null(gap);
    snprintf(
        sentence, sizeof sentence, "%.*s%s%s", (int)(gap - expected), expected, named, gap + 2);
    assert_int_equal(store_sqlite_open(&config, &store, &fault), ERROR_STORE_FAILED);
    assert_null(store);
    assert_int_equal(fault.error, ERROR_STORE_FAILED);
    assert_string_equal(fault.detail, sentence);
}

/* --- a connection of the test's own ---------------------------------------------------------- */

static sqlite3 *open_raw(const char *path)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static void run_raw(sqlite3 *db, const char *sql)
{
    char *message = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
}

static long long ask_raw(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    long long answer = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return answer;
}

/* Makes a file with that text run in it. */
static void make_database(const char *path, const char *sql)
{
    sqlite3 *db = open_raw(path);

    run_raw(db, sql);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static char *read_file(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    struct text text = {0};
    char buffer[4096];
    size_t length;

    assert_non_null(file);
    while ((length = fread(buffer, 1, sizeof buffer, file)) > 0)
        text_append(&text, buffer, length);
    fclose(file);
    return text_take(&text, ret_size);
}

static void write_file(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* --- the file -------------------------------------------------------------------------------- */

static void test_schema_text_alone_makes_the_current_version(void **state)
{
    sqlite3 *db = open_raw(":memory:");

    (void)state;
    run_raw(db, schema_sql);
    assert_int_equal(ask_raw(db, "PRAGMA application_id"), SCHEMA_APPLICATION_ID);
    assert_int_equal(ask_raw(db, "PRAGMA user_version"), schema_current.latest);
    assert_int_equal(ask_raw(db, "SELECT count(*) FROM index_state"), 1);
    assert_int_equal(
        ask_raw(db, "SELECT count(*) FROM pragma_table_list WHERE type = 'table' AND NOT strict "
                    "AND name NOT LIKE 'sqlite_%'"),
        0);
    sqlite3_close(db);
}

static void test_open_of_no_file_makes_one_for_its_owner_only(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    struct fixture *fixture = *state;
    struct stat status;
    char name[96];

    mode_t mask = umask(0);
    put_node(open_fixture(state), 1, 1, "a", 1);
    fixture->store->f->flush(fixture->store);
    umask(mask);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(name, sizeof name, "%s%s", fixture->path, ends[i]);
        assert_int_equal(stat(name, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0600);
    }
}

static void test_open_of_an_empty_file_makes_the_schema(void **state)
{
    struct fixture *fixture = *state;

    write_file(fixture->path, "", 0);
    store_holds(open_fixture(state), "dropped 0\n");
}

static void test_open_sets_what_it_relies_on(void **state)
{
    sqlite3 *db = sqlite_of(open_fixture(state))->db;

    assert_int_equal(ask_raw(db, "PRAGMA synchronous"), 1);
    assert_int_equal(ask_raw(db, "PRAGMA foreign_keys"), 1);
    assert_int_equal(ask_raw(db, "PRAGMA cache_size"), -4000);
    assert_int_equal(ask_raw(db, "PRAGMA trusted_schema"), 0);
    assert_int_equal(ask_raw(db, "PRAGMA temp_store"), 2);
    assert_int_equal(ask_raw(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    int defensive = 0;
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, -1, &defensive);
    assert_int_equal(defensive, 1);
}

static void test_full_durability_sets_synchronous_full(void **state)
{
    struct fixture *fixture = *state;

    fixture->store = open_store(fixture->path, true);
    assert_int_equal(ask_raw(sqlite_of(fixture->store)->db, "PRAGMA synchronous"), 2);
}

#define FOREIGN "%s is not a Signpost database; give another file with --db"

static void test_open_of_another_programs_file_refuses_and_leaves_it(void **state)
{
    static const char *const files[] = {
        "CREATE TABLE t (a); INSERT INTO t VALUES (1)",
        "PRAGMA application_id = 5; CREATE TABLE t (a)",
        "PRAGMA application_id = 5",
        "PRAGMA user_version = 3",
        "PRAGMA application_id = 1399287408; CREATE TABLE t (a)",
        "PRAGMA application_id = 1399287408; PRAGMA user_version = -1",
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t size, size_after;
        unlink(fixture->path);
        make_database(fixture->path, files[i]);
        char *before = read_file(fixture->path, &size);
        expect_refusal(fixture->path, fixture->path, FOREIGN);
        char *after = read_file(fixture->path, &size_after);
        assert_int_equal(size, size_after);
        assert_memory_equal(before, after, size);
        free(before);
        free(after);
    }
}

static void test_open_of_a_text_file_refuses_and_leaves_it(void **state)
{
    static const char text[] = "Dear diary, this is no database at all, but a letter to nobody.\n"
                               "It goes on for longer than the head of a database file would.\n";
    struct fixture *fixture = *state;
    size_t size;

    write_file(fixture->path, text, sizeof text - 1);
    expect_refusal(fixture->path, fixture->path, FOREIGN);
    char *after = read_file(fixture->path, &size);
    assert_int_equal(size, sizeof text - 1);
    assert_memory_equal(after, text, size);
    free(after);
}

static void test_open_of_a_newer_file_refuses(void **state)
{
    struct fixture *fixture = *state;

    open_fixture(state);
    close_fixture(state);
    make_database(fixture->path, "PRAGMA user_version = 7");
    expect_refusal(fixture->path, fixture->path,
        "%s was written by a newer signpostd (version \"" SIGNPOST_VERSION "\", schema 7, this one "
        "knows 3): upgrade signpostd or give another file with --db");
}

static void test_open_of_a_damaged_file_refuses(void **state)
{
    struct fixture *fixture = *state;

    open_fixture(state);
    close_fixture(state);
    make_database(fixture->path, "DROP TABLE messages");
    expect_refusal(fixture->path, fixture->path,
        "%s is damaged (no such table: messages); restore a copy or give another file with --db");
    unlink(fixture->path);
    open_fixture(state);
    close_fixture(state);
    make_database(fixture->path, "DELETE FROM index_state");
    expect_refusal(fixture->path, fixture->path,
        "%s is damaged (its index_state is empty); restore a copy or give another file with --db");
}

static void test_open_without_a_directory_refuses(void **state)
{
    struct fixture *fixture = *state;
    char path[128];

    snprintf(path, sizeof path, "%s/none/s.db", fixture->directory);
    expect_refusal(
        path, path, "the directory of %s does not exist; make it or give another file with --db");
}

static void test_open_of_a_directory_refuses(void **state)
{
    struct fixture *fixture = *state;

    expect_refusal(
        fixture->directory, fixture->directory, "%s is a directory; give a file in it with --db");
}

/* Runs the check as somebody who may not write everything, which root may. */
static void refuse_unprivileged(const char *path, const char *named)
{
    bool root = geteuid() == 0;

    if (root)
        assert_int_equal(seteuid(65534), 0);
    expect_refusal(path, named,
        "cannot write %s (Permission denied); let signpostd write it and its directory, or give "
        "another file with --db");
    if (root)
        assert_int_equal(seteuid(0), 0);
}

static void test_open_where_nothing_may_be_written_refuses(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(chmod(fixture->directory, 0555), 0);
    refuse_unprivileged(fixture->path, fixture->path);

    /* The file may be written, but nothing beside it. */
    assert_int_equal(chmod(fixture->directory, 0755), 0);
    write_file(fixture->path, "", 0);
    assert_int_equal(chmod(fixture->path, 0666), 0);
    assert_int_equal(chmod(fixture->directory, 0555), 0);
    refuse_unprivileged(fixture->path, fixture->lock);

    assert_int_equal(chmod(fixture->path, 0444), 0);
    refuse_unprivileged(fixture->path, fixture->path);
    assert_int_equal(chmod(fixture->directory, 0755), 0);
}

static void test_close_leaves_all_in_the_one_file(void **state)
{
    struct fixture *fixture = *state;
    char log[96];
    struct stat status;

    snprintf(log, sizeof log, "%s-wal", fixture->path);
    put_node(open_fixture(state), 1, 1, "a", 1);
    fixture->store->f->flush(fixture->store);
    assert_int_equal(stat(log, &status), 0);
    assert_true(status.st_size > 0);
    close_fixture(state);
    assert_true(stat(log, &status) != 0 || status.st_size == 0);
    sqlite3 *db = open_raw(fixture->path);
    assert_int_equal(ask_raw(db, "SELECT count(*) FROM nodes"), 1);
    sqlite3_close(db);
}

/* --- versions -------------------------------------------------------------------------------- */

static const char version_1[] = "PRAGMA application_id = 1399287408; PRAGMA user_version = 1;"
                                "CREATE TABLE t (a); INSERT INTO t VALUES (1)";
static const char *const good_steps[] = {"ALTER TABLE t ADD COLUMN b; UPDATE t SET b = a + 1",
    "ALTER TABLE t ADD COLUMN c; UPDATE t SET c = b + 1"};
static const char *const bad_steps[] = {"ALTER TABLE t ADD COLUMN b; UPDATE t SET b = a + 1",
    "ALTER TABLE t ADD COLUMN c; UPDATE t SET nonsense = 1"};

static void test_steps_bring_an_older_file_to_the_latest(void **state)
{
    const struct schema first = {.latest = 1, .sql = version_1};
    const struct schema third = {.latest = 3, .sql = "not run", .steps = good_steps};
    sqlite3 *db = open_raw(":memory:");
    struct fault fault = {0};

    (void)state;
    assert_int_equal(schema_bring_up(db, &first, "FILE", &fault), 0);
    assert_int_equal(schema_bring_up(db, &third, "FILE", &fault), 0);
    assert_int_equal(ask_raw(db, "PRAGMA user_version"), 3);
    assert_int_equal(ask_raw(db, "SELECT c FROM t"), 3);
    assert_int_equal(schema_bring_up(db, &third, "FILE", &fault), 0);
    assert_int_equal(fault.error, 0);
    sqlite3_close(db);
}

static void test_step_that_fails_leaves_the_version_before_it(void **state)
{
    const struct schema first = {.latest = 1, .sql = version_1};
    const struct schema bad = {.latest = 3, .sql = "not run", .steps = bad_steps};
    const struct schema good = {.latest = 3, .sql = "not run", .steps = good_steps};
    sqlite3 *db = open_raw(":memory:");
    struct fault fault = {0};

    (void)state;
    assert_int_equal(schema_bring_up(db, &first, "FILE", &fault), 0);
    assert_int_equal(schema_bring_up(db, &bad, "FILE", &fault), ERROR_STORE_FAILED);
    assert_string_equal(fault.detail, "FILE is damaged (no such column: nonsense); restore a copy "
                                      "or give another file with --db");
    assert_int_equal(ask_raw(db, "PRAGMA user_version"), 2);
    assert_int_equal(ask_raw(db, "SELECT count(*) FROM pragma_table_info('t')"), 2);
    assert_int_equal(schema_bring_up(db, &good, "FILE", &fault), 0);
    assert_int_equal(ask_raw(db, "SELECT c FROM t"), 3);
    sqlite3_close(db);
}

static void test_new_schema_that_fails_leaves_an_empty_file(void **state)
{
    const struct schema bad = {.latest = 1, .sql = "CREATE TABLE t (a); nonsense"};
    sqlite3 *db = open_raw(":memory:");
    struct fault fault = {0};

    (void)state;
    assert_int_equal(schema_bring_up(db, &bad, "FILE", &fault), ERROR_STORE_FAILED);
    assert_int_equal(ask_raw(db, "SELECT count(*) FROM sqlite_schema"), 0);
    sqlite3_close(db);
}

/* --- the lock -------------------------------------------------------------------------------- */

static void test_second_open_refuses_and_names_the_process(void **state)
{
    struct fixture *fixture = *state;
    char other[96], expected[200];

    open_fixture(state);
    snprintf(expected, sizeof expected,
        "%%s is in use by another signpostd (process %ld); stop it or give another file with --db",
        (long)getpid());
    expect_refusal(fixture->path, fixture->path, expected);

    /* Under another name it is the same file. */
    snprintf(other, sizeof other, "%s/link", fixture->directory);
    assert_int_equal(symlink("s.db", other), 0);
    expect_refusal(other, fixture->path, expected);

    close_fixture(state);
    open_fixture(state);
}

/* --- the epoch ------------------------------------------------------------------------------- */

/* Opens in a process of its own, writes, and is killed; returns the epoch that it had. */
static uint64_t run_until_killed(const char *path, bool full_durability)
{
    uint64_t epoch = 0;
    int ends[2];
    int status;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *store = open_store(path, full_durability);
        put_node(store, 1, 1, "a", 1);
        store->f->flush(store);
        epoch = store_epoch(store);
        if (write(ends[1], &epoch, sizeof epoch) != (ssize_t)sizeof epoch)
            _exit(1);
        /* This one is never committed. */
        put_node(store, 2, 1, "b", 2);
        raise(SIGKILL);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &epoch, sizeof epoch), sizeof epoch);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return epoch;
}

/* Makes the lock file look as after a restart of the system. */
static void pretend_reboot(const char *lock)
{
    size_t size;
    char *text = read_file(lock, &size);
    char *boot = strstr(text, "boot ");

    assert_non_null(boot);
    boot[5] = boot[5] == '0' ? '1' : '0';
    write_file(lock, text, size);
    free(text);
}

static void copy_file(const char *from, const char *to)
{
    size_t size;
    char *bytes = read_file(from, &size);

    write_file(to, bytes, size);
    free(bytes);
}

static void test_epoch_of_two_files_differs(void **state)
{
    struct fixture *fixture = *state;
    char other[96];

    snprintf(other, sizeof other, "%s/other.db", fixture->directory);
    uint64_t epoch = store_epoch(open_fixture(state));
    struct store *store = open_store(other, false);
    assert_true(store_epoch(store) != epoch);
    store->f->close(store);
}

static void test_epoch_after_a_clean_close_is_kept(void **state)
{
    struct fixture *fixture = *state;
    uint64_t epoch = store_epoch(open_fixture(state));

    close_fixture(state);
    assert_true(store_epoch(open_fixture(state)) == epoch);
    close_fixture(state);
    pretend_reboot(fixture->lock);
    assert_true(store_epoch(open_fixture(state)) == epoch);
}

static void test_epoch_after_a_kill_is_kept_with_what_was_committed(void **state)
{
    struct fixture *fixture = *state;
    uint64_t epoch = run_until_killed(fixture->path, false);

    assert_true(run_until_killed(fixture->path, false) == epoch);
    assert_true(store_epoch(open_fixture(state)) == epoch);
    char *now = dump_all(fixture->store);
    assert_non_null(strstr(now, "node 1 of 1 a "));
    assert_null(strstr(now, "node 2 "));
    free(now);
}

static void test_epoch_after_a_power_cut_changes(void **state)
{
    struct fixture *fixture = *state;
    uint64_t epoch = run_until_killed(fixture->path, false);

    pretend_reboot(fixture->lock);
    assert_true(store_epoch(open_fixture(state)) != epoch);
}

static void test_epoch_after_a_power_cut_with_full_durability_is_kept(void **state)
{
    struct fixture *fixture = *state;
    uint64_t epoch = run_until_killed(fixture->path, true);

    pretend_reboot(fixture->lock);
    assert_true(store_epoch(open_fixture(state)) == epoch);
}

static void test_epoch_of_a_restored_copy_changes(void **state)
{
    struct fixture *fixture = *state;
    char copy[96];

    snprintf(copy, sizeof copy, "%s/copy", fixture->directory);
    uint64_t epoch = store_epoch(open_fixture(state));
    close_fixture(state);
    copy_file(fixture->path, copy);
    assert_true(store_epoch(open_fixture(state)) == epoch);
    close_fixture(state);
    copy_file(copy, fixture->path);
    assert_true(store_epoch(open_fixture(state)) != epoch);
}

static void test_epoch_of_a_file_copied_elsewhere_changes(void **state)
{
    struct fixture *fixture = *state;
    char copy[96];

    snprintf(copy, sizeof copy, "%s/copy.db", fixture->directory);
    uint64_t epoch = store_epoch(open_fixture(state));
    close_fixture(state);
    copy_file(fixture->path, copy);
    struct store *store = open_store(copy, false);
    assert_true(store_epoch(store) != epoch);
    store->f->close(store);
}

static void test_epoch_without_a_usable_lock_file_changes(void **state)
{
    struct fixture *fixture = *state;
    uint64_t epoch = store_epoch(open_fixture(state));

    close_fixture(state);
    assert_int_equal(unlink(fixture->lock), 0);
    uint64_t second = store_epoch(open_fixture(state));
    assert_true(second != epoch);
    close_fixture(state);
    write_file(fixture->lock, "1\nstamp", 7);
    uint64_t third = store_epoch(open_fixture(state));
    assert_true(third != second);
    close_fixture(state);
    write_file(fixture->lock, "", 0);
    assert_true(store_epoch(open_fixture(state)) != third);
}

static void test_close_that_cannot_bring_all_to_the_disk_is_not_clean(void **state)
{
    struct fixture *fixture = *state;
    uint64_t epoch = store_epoch(open_fixture(state));

    /* A reader that began before the last write keeps the log from being emptied. */
    sqlite3 *reader = open_raw(fixture->path);
    run_raw(reader, "BEGIN; SELECT * FROM nodes");
    assert_int_equal(ask_raw(reader, "SELECT count(*) FROM nodes"), 0);
    put_node(fixture->store, 1, 1, "a", 1);
    close_fixture(state);
    sqlite3_close(reader);
    pretend_reboot(fixture->lock);
    assert_true(store_epoch(open_fixture(state)) != epoch);
}

/* --- failures -------------------------------------------------------------------------------- */

static void test_begin_that_fails_fails_the_batch_at_its_flush(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = open_fixture(state);
    struct step step = {.name = "w"};

    sqlite3 *other = open_raw(fixture->path);
    run_raw(other, "BEGIN IMMEDIATE");
    store->f->remove_node(store, 1, note_done, &step);
    assert_true(store->open_batch);
    put_node(store, 1, 1, "a", 1);
    store->f->barrier(store, note_done, &step);
    journal_is("");
    store->f->flush(store);
    journal_is("lost w:store_failed w:store_failed ");
    assert_false(store->open_batch);

    /* Reading goes on meanwhile, and writing after it. */
    store_holds(store, "dropped 0\n");
    run_raw(other, "ROLLBACK");
    sqlite3_close(other);
    put_node(store, 1, 1, "a", 1);
    store->f->barrier(store, note_done, &step);
    store->f->flush(store);
    journal_is("w:done ");
}

static int refuse_commit(void *user)
{
    (void)user;
    return 1;
}

static void test_commit_that_fails_undoes_the_batch(void **state)
{
    struct store *store = open_fixture(state);
    struct step step = {.name = "w"};

    sqlite3_commit_hook(sqlite_of(store)->db, refuse_commit, NULL);
    put_node(store, 1, 1, "a", 1);
    store->f->barrier(store, note_done, &step);
    store->f->flush(store);
    journal_is("lost w:store_failed ");
    sqlite3_commit_hook(sqlite_of(store)->db, NULL, NULL);
    store_holds(store, "dropped 0\n");
    store->f->remove_node(store, 1, note_done, &step);
    store->f->flush(store);
    journal_is("w:done ");
}

static int interrupt(void *user)
{
    (void)user;
    return 1;
}

static void test_read_that_fails_without_a_batch_loses_nothing(void **state)
{
    struct store *store = open_fixture(state);
    struct step step = {.name = "r"};
    struct dump dump = {0};

    put_node(store, 1, 1, "a", 1);
    store->f->flush(store);
    sqlite3_progress_handler(sqlite_of(store)->db, 1, interrupt, NULL);
    store->f->get_node(store, 1, note_node, note_done, &step);
    store->f->list_nodes(store, 1, "", note_change, note_done, &step);
    store->f->list_changes(store, 1, 0, note_change, note_done, &step);
    store->f->read_messages(store, (int64_t[]){1}, 1, note_message, note_done, &step);
    store->f->probe(store, note_done, &step);
    store->f->load(store, &dump_loader, dump_done, &dump);
    sqlite3_progress_handler(sqlite_of(store)->db, 0, NULL, NULL);
    journal_is("r:store_failed r:store_failed r:store_failed r:store_failed r:store_failed ");
    assert_int_equal(dump.completions, 1);
    assert_int_equal(dump.errors, 1);
    text_clear(&dump.text);
    assert_false(store->open_batch);
    store->f->probe(store, note_done, &step);
    journal_is("r:done ");
}

static void test_read_that_fails_in_a_batch_fails_it(void **state)
{
    struct store *store = open_fixture(state);
    struct step step = {.name = "s"};

    put_node(store, 1, 1, "a", 1);
    sqlite3_progress_handler(sqlite_of(store)->db, 1, interrupt, NULL);
    store->f->probe(store, note_done, &step);
    sqlite3_progress_handler(sqlite_of(store)->db, 0, NULL, NULL);
    store->f->get_node(store, 1, note_node, note_done, &step);
    store->f->flush(store);
    journal_is("lost s:store_failed s:store_failed ");
    store_holds(store, "dropped 0\n");
}

static void test_every_statement_is_reset_after_use(void **state)
{
    struct store *store = open_fixture(state);
    struct store_sqlite *sqlite = sqlite_of(store);
    struct step step = {.name = "a"};

    put_node(store, 1, 1, "a", 1);
    put_node(store, 2, 1, "b", 2);
    put_message(store, 1, 1, 1, "x");
    put_tombstone(store, 1, "t", 3, 1);
    store->f->flush(store);
    store->f->list_nodes(store, 1, "", note_change, NULL, &step);
    store->f->list_changes(store, 1, 0, note_change, NULL, &step);
    store->f->read_messages(store, (int64_t[]){1}, 1, note_message, NULL, &step);
    store->f->get_node(store, 1, note_node, NULL, &step);
    put_message(store, 1, 1, 1, "fails");
    store->f->flush(store);
    journal_is("a@1 a@1 1=x a@1 lost ");
    for (size_t i = 0; i < SQLITE_STATEMENT_COUNT; i++)
        assert_false(sqlite3_stmt_busy(sqlite->statements[i]));
}

static void test_spent_message_leaves_no_body_in_the_file(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = open_fixture(state);

    put_node(store, 1, 1, "a", 0);
    put_message(store, 1, 1, 1, "body");
    store->f->mark_message(store, 1, STORE_SPENT, NULL, NULL);
    store->f->flush(store);
    close_fixture(state);
    sqlite3 *db = open_raw(fixture->path);
    assert_int_equal(ask_raw(db, "SELECT body IS NULL AND body_size = 4 FROM messages"), 1);
    sqlite3_close(db);
}

/* --- query plans ----------------------------------------------------------------------------- */

/* A statement may walk through a whole table only to load it, and may sort nothing. */
static bool plan_is_fine(sqlite3 *db, size_t which)
{
    bool loads = which == SQLITE_LOAD_NETWORKS_STATEMENT || which == SQLITE_LOAD_NODES_STATEMENT ||
                 which == SQLITE_LOAD_BOXES_STATEMENT || which == SQLITE_LOAD_MESSAGES_STATEMENT;
    char *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sqlite_statements[which]);
    sqlite3_stmt *statement = NULL;
    bool fine = true;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    while (fine && sqlite3_step(statement) == SQLITE_ROW) {
        const char *line = (const char *)sqlite3_column_text(statement, 3);
        if (strstr(line, "TEMP B-TREE") ||
            (!loads && strncmp(line, "SCAN", 4) == 0 && !strstr(line, "CONSTANT ROW"))) {
            print_message("%s: %s\n", sqlite_statements[which], line);
            fine = false;
        }
    }
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    return fine;
}

static void test_every_statement_uses_an_index(void **state)
{
    sqlite3 *db = sqlite_of(open_fixture(state))->db;

    for (size_t i = 0; i < SQLITE_STATEMENT_COUNT; i++)
        assert_true(plan_is_fine(db, i));
}

static bool plan_names(sqlite3 *db, size_t which, const char *index)
{
    char *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sqlite_statements[which]);
    sqlite3_stmt *statement = NULL;
    bool named = false;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW)
        named = named || strstr((const char *)sqlite3_column_text(statement, 3), index);
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    return named;
}

static void test_lists_use_the_index_of_their_order(void **state)
{
    sqlite3 *db = sqlite_of(open_fixture(state))->db;

    assert_true(plan_names(db, SQLITE_LIST_NODES_STATEMENT, "(network=? AND id>?)"));
    assert_true(plan_names(db, SQLITE_CHANGED_NODES_STATEMENT, "nodes_by_seq"));
    assert_true(plan_names(db, SQLITE_NEW_TOMBSTONES_STATEMENT, "(network=? AND seq>?)"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_schema_text_alone_makes_the_current_version),
        TEST(test_open_of_no_file_makes_one_for_its_owner_only),
        TEST(test_open_of_an_empty_file_makes_the_schema),
        TEST(test_open_sets_what_it_relies_on),
        TEST(test_full_durability_sets_synchronous_full),
        TEST(test_open_of_another_programs_file_refuses_and_leaves_it),
        TEST(test_open_of_a_text_file_refuses_and_leaves_it),
        TEST(test_open_of_a_newer_file_refuses),
        TEST(test_open_of_a_damaged_file_refuses),
        TEST(test_open_without_a_directory_refuses),
        TEST(test_open_of_a_directory_refuses),
        TEST(test_open_where_nothing_may_be_written_refuses),
        TEST(test_close_leaves_all_in_the_one_file),
        TEST(test_steps_bring_an_older_file_to_the_latest),
        TEST(test_step_that_fails_leaves_the_version_before_it),
        TEST(test_new_schema_that_fails_leaves_an_empty_file),
        TEST(test_second_open_refuses_and_names_the_process),
        TEST(test_epoch_of_two_files_differs),
        TEST(test_epoch_after_a_clean_close_is_kept),
        TEST(test_epoch_after_a_kill_is_kept_with_what_was_committed),
        TEST(test_epoch_after_a_power_cut_changes),
        TEST(test_epoch_after_a_power_cut_with_full_durability_is_kept),
        TEST(test_epoch_of_a_restored_copy_changes),
        TEST(test_epoch_of_a_file_copied_elsewhere_changes),
        TEST(test_epoch_without_a_usable_lock_file_changes),
        TEST(test_close_that_cannot_bring_all_to_the_disk_is_not_clean),
        TEST(test_begin_that_fails_fails_the_batch_at_its_flush),
        TEST(test_commit_that_fails_undoes_the_batch),
        TEST(test_read_that_fails_without_a_batch_loses_nothing),
        TEST(test_read_that_fails_in_a_batch_fails_it),
        TEST(test_every_statement_is_reset_after_use),
        TEST(test_spent_message_leaves_no_body_in_the_file),
        TEST(test_every_statement_uses_an_index),
        TEST(test_lists_use_the_index_of_their_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
