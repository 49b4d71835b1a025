/* The files of the SQLite store change under it: nothing is committed into what is gone, and the
 * store goes on with what is there. */
#include "store_help.h"

#include "store/sqlite.h"

#include <sys/stat.h>
#include <utime.h>

static const struct step write_step = {.name = "w"};
static const struct step probe_step = {.name = "p"};
static const struct step load_step = {.name = "l"};

struct fixture {
    char directory[64];
    char path[80];
    struct store *store;
    uint64_t epoch; /* of the last load */
    int nodes;      /* that it told of */
};

static struct fixture fixture;

static char *beside(const char *ending)
{
    static char name[100];

    snprintf(name, sizeof name, "%s%s", fixture.path, ending);
    return name;
}

static int setup(void **state)
{
    struct store_sqlite_config config = {.path = fixture.path};
    struct fault fault;

    (void)state;
    make_directory(fixture.directory);
    snprintf(fixture.path, sizeof fixture.path, "%s/s.db", fixture.directory);
    if (store_sqlite_open(&config, &fixture.store, &fault))
        fail_msg("cannot open: %s", fault.detail);
    fixture.store->lost = note_lost;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture.store->f->close(fixture.store);
    remove_directory(fixture.directory);
    text_clear(&journal);
    return 0;
}

/* --- load ------------------------------------------------------------------------------------ */

static void on_epoch(uint64_t epoch, uint64_t dropped_networks, void *user)
{
    (void)dropped_networks;
    (void)user;
    fixture.epoch = epoch;
}

static void on_network(const struct store_network *network, size_t tombstones, void *user)
{
    (void)network;
    (void)tombstones;
    (void)user;
}

static void on_node(const struct store_node *node, void *user)
{
    (void)node;
    (void)user;
    fixture.nodes++;
}

static void on_box(const struct store_box *box, void *user)
{
    (void)box;
    (void)user;
}

static void on_message(const struct store_message *message, void *user)
{
    (void)message;
    (void)user;
}

static void load(void)
{
    static const struct store_loader loader = {
        .epoch = on_epoch,
        .network = on_network,
        .node = on_node,
        .box = on_box,
        .message = on_message,
    };

    fixture.nodes = 0;
    fixture.store->f->load(fixture.store, &loader, note_done, (void *)&load_step);
}

static void put_numbered(int64_t number)
{
    char id[16];

    snprintf(id, sizeof id, "n%d", (int)number);
    put_node(fixture.store, number, 1, id, (uint64_t)number);
}

static void write_node(int64_t number)
{
    put_numbered(number);
    fixture.store->f->barrier(fixture.store, note_done, (void *)&write_step);
    fixture.store->f->flush(fixture.store);
}

static void probe(void)
{
    fixture.store->f->probe(fixture.store, note_done, (void *)&probe_step);
}

/* One node is there, and it has been read. */
static void begin(void)
{
    write_node(1);
    load();
    assert_int_equal(fixture.nodes, 1);
    assert_null(fixture.store->f->trouble(fixture.store));
    journal_is("w:done l:done ");
}

static void assert_trouble(const char *words)
{
    const char *trouble = fixture.store->f->trouble(fixture.store);

    assert_non_null(trouble);
    if (!strstr(trouble, words))
        fail_msg("\"%s\" does not say \"%s\"", trouble, words);
    assert_null(strstr(trouble, fixture.directory));
}

/* A load that comes at once gives whoever changes the files a moment; the next opens them. */
static void reopen(void)
{
    load();
    journal_is("l:store_failed ");
    load();
    journal_is("l:done ");
    assert_null(fixture.store->f->trouble(fixture.store));
}

/* --- tests ----------------------------------------------------------------------------------- */

static void test_removed_file_fails_the_batch_and_is_made_anew(void **state)
{
    (void)state;
    begin();
    uint64_t epoch = fixture.epoch;
    assert_int_equal(unlink(fixture.path), 0);
    write_node(2);
    journal_is("lost w:store_failed ");
    assert_trouble("was removed");
    write_node(3);
    journal_is("lost w:store_failed ");
    reopen();
    assert_int_equal(fixture.nodes, 0);
    assert_true(fixture.epoch != epoch);
    write_node(4);
    load();
    assert_int_equal(fixture.nodes, 1);
    journal_is("w:done l:done ");
}

static void test_removed_file_fails_a_probe_and_every_read(void **state)
{
    (void)state;
    begin();
    assert_int_equal(unlink(fixture.path), 0);
    probe();
    journal_is("p:store_failed ");
    fixture.store->f->get_node(fixture.store, 1, note_node, note_done, (void *)&write_step);
    fixture.store->f->barrier(fixture.store, note_done, (void *)&write_step);
    probe();
    journal_is("w:store_failed w:store_failed p:store_failed ");
    reopen();
    probe();
    journal_is("p:done ");
}

static void test_removed_log_loses_nothing(void **state)
{
    (void)state;
    begin();
    assert_int_equal(unlink(beside("-wal")), 0);
    write_node(2);
    journal_is("lost w:store_failed ");
    assert_trouble("-wal");
    reopen();
    assert_int_equal(fixture.nodes, 1);
}

static void test_cut_file_is_not_committed_into(void **state)
{
    (void)state;
    begin();
    assert_int_equal(truncate(fixture.path, 0), 0);
    write_node(2);
    journal_is("lost w:store_failed ");
    assert_trouble("cut short");
}

static void test_file_that_another_wrote_to_is_opened_again(void **state)
{
    struct utimbuf long_ago = {1000000000, 1000000000};

    (void)state;
    begin();
    assert_int_equal(utime(fixture.path, &long_ago), 0);
    write_node(2);
    journal_is("lost w:store_failed ");
    assert_trouble("another program wrote");
    reopen();
    assert_int_equal(fixture.nodes, 1);
    write_node(2);
    journal_is("w:done ");
}

static void test_file_that_was_written_just_now_is_left_in_peace(void **state)
{
    (void)state;
    begin();
    assert_int_equal(utime(fixture.path, NULL), 0);
    probe();
    journal_is("p:store_failed ");
    load();
    load();
    journal_is("l:store_failed l:store_failed ");
}

static void test_many_writes_and_checkpoints_are_our_own(void **state)
{
    (void)state;
    begin();
    for (int64_t number = 2; number < 3000; number++) {
        put_numbered(number);
        fixture.store->f->flush(fixture.store);
        if (number % 100 == 0)
            probe();
    }
    assert_null(strstr(journal.bytes, "failed"));
    text_clear(&journal);
    assert_null(fixture.store->f->trouble(fixture.store));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_removed_file_fails_the_batch_and_is_made_anew),
        TEST(test_removed_file_fails_a_probe_and_every_read),
        TEST(test_removed_log_loses_nothing),
        TEST(test_cut_file_is_not_committed_into),
        TEST(test_file_that_another_wrote_to_is_opened_again),
        TEST(test_file_that_was_written_just_now_is_left_in_peace),
        TEST(test_many_writes_and_checkpoints_are_our_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
