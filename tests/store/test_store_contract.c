/* One suite over every store: what store.h promises, each of them keeps. */
#include "store_help.h"

#include "store/memory.h"
#include "store/sqlite.h"

struct kind {
    const char *name;
    bool persists;
    struct store *(*open)(const char *path);
};

static struct store *open_memory(const char *path)
{
    struct store *store = NULL;

    (void)path;
    assert_int_equal(store_memory_open(&store), 0);
    return store;
}

static struct store *open_sqlite(const char *path)
{
    struct store_sqlite_config config = {.path = path};
    struct store *store = NULL;
    struct fault fault;

    assert_int_equal(store_sqlite_open(&config, &store, &fault), 0);
    return store;
}

static const struct kind kinds[] = {
    {"memory", false, open_memory},
    {"sqlite", true, open_sqlite},
};

static const struct kind *kind; /* of the run */

struct fixture {
    char directory[64];
    char path[80];
    struct store *store;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    make_directory(fixture->directory);
    snprintf(fixture->path, sizeof fixture->path, "%s/s.db", fixture->directory);
    fixture->store = kind->open(fixture->path);
    fixture->store->lost = note_lost;
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    fixture->store->f->close(fixture->store);
    remove_directory(fixture->directory);
    free(fixture);
    text_clear(&journal);
    return 0;
}

static struct store *store_of(void **state)
{
    return ((struct fixture *)*state)->store;
}

/* Commits, and asserts that the batch did not fail. */
static void commit(struct store *store)
{
    struct step step = {.name = "commit"};

    store->f->barrier(store, note_done, &step);
    store->f->flush(store);
    journal_is("commit:done ");
}

static void expect_changes(
    struct store *store, int64_t network, uint64_t since, const char *expected)
{
    struct step step = {.name = "changes"};

    store->f->list_changes(store, network, since, note_change, note_done, &step);
    journal_is(expected);
}

static void expect_list(
    struct store *store, int64_t network, const char *after_id, const char *expected)
{
    struct step step = {.name = "list"};

    store->f->list_nodes(store, network, after_id, note_change, note_done, &step);
    journal_is(expected);
}

#define MAIL(...) (const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)

static void expect_mail(
    struct store *store, const int64_t *numbers, size_t count, const char *expected)
{
    struct step step = {.name = "mail"};

    store->f->read_messages(store, numbers, count, note_message, note_done, &step);
    journal_is(expected);
}

#define HASH_A "0102030000000000000000000000000000000000000000000000000000000000 "
#define HASH_0 "0000000000000000000000000000000000000000000000000000000000000000 "

/* --- nodes ----------------------------------------------------------------------------------- */

static void test_store_new_is_empty(void **state)
{
    store_holds(store_of(state), "dropped 0\n");
}

static enum store_verdict edit_absent(
    struct store_node *node, bool exists, struct store_network *ret_network, void *user)
{
    const struct store_node zero = {0};

    assert_false(exists);
    assert_int_equal(node->number, 9);
    assert_string_equal(node->id, "");
    assert_string_equal(node->announced, "");
    assert_string_equal(node->endpoints, "");
    assert_string_equal(node->meta, "");
    assert_string_equal(node->reach, "");
    assert_memory_equal(node->token_hash, zero.token_hash, STORE_HASH_SIZE);
    assert_int_equal(node->ttl_s, 0);
    assert_int_equal(node->seq, 0);
    assert_int_equal(ret_network->number, 0);
    text_puts(&journal, "edit ");
    (void)user;
    return STORE_KEEP;
}

static void test_edit_of_absent_node_shows_a_zeroed_one(void **state)
{
    struct store *store = store_of(state);
    struct step step = {.name = "keep"};

    store->f->edit_node(store, 9, edit_absent, note_done, &step);
    journal_is("edit ");
    store->f->flush(store);
    journal_is("keep:done ");
    store_holds(store, "dropped 0\n");
}

static const struct store_node full_node = {.number = 4,
    .network = 2,
    .id = "full",
    .token_hash = {0xff, 0, 1, [31] = 0x80},
    .key_hash = {[31] = 9},
    .ttl_s = 7200,
    .listed = true,
    .seq = INT64_MAX,
    .registered_wall_ms = 1700000000123,
    .observed_ipv4 = {4, {203, 0, 113, 7}},
    .observed_ipv6 = {6, {0x20, 0x01, 0x0d, 0xb8, [15] = 1}},
    .announced = "grpc://:1\nudp://[::]:2",
    .endpoints = "grpc://203.0.113.7:1\nudp://[2001:db8::1]:2",
    .meta = "{\"name\":\"\xc3\xa9\"}",
    .reach = "{\"nat\":\"easy\"}"};

static bool expect_full(const struct store_node *node, void *user)
{
    (void)user;
    assert_int_equal(node->number, full_node.number);
    assert_int_equal(node->network, full_node.network);
    assert_string_equal(node->id, full_node.id);
    assert_memory_equal(node->token_hash, full_node.token_hash, STORE_HASH_SIZE);
    assert_memory_equal(node->key_hash, full_node.key_hash, STORE_HASH_SIZE);
    assert_int_equal(node->ttl_s, full_node.ttl_s);
    assert_true(node->listed);
    assert_true(node->seq == full_node.seq);
    assert_true(node->registered_wall_ms == full_node.registered_wall_ms);
    assert_memory_equal(&node->observed_ipv4, &full_node.observed_ipv4, sizeof(struct address));
    assert_memory_equal(&node->observed_ipv6, &full_node.observed_ipv6, sizeof(struct address));
    assert_string_equal(node->announced, full_node.announced);
    assert_string_equal(node->endpoints, full_node.endpoints);
    assert_string_equal(node->meta, full_node.meta);
    assert_string_equal(node->reach, full_node.reach);
    text_puts(&journal, "full ");
    return true;
}

/* Changes one thing and leaves the rest pointing at what the store showed. */
static enum store_verdict edit_ttl(
    struct store_node *node, bool exists, struct store_network *ret_network, void *user)
{
    (void)ret_network;
    assert_true(exists);
    expect_full(node, user);
    node->ttl_s = 60;
    return STORE_WRITE;
}

static void test_node_written_is_read_back_whole(void **state)
{
    struct store *store = store_of(state);
    struct store_network network = a_network(2, "two", INT64_MAX);
    struct step step = {.name = "put", .node = &full_node, .network = &network};

    store->f->edit_node(store, 4, edit_step, note_done, &step);
    store->f->flush(store);
    journal_is("put:done ");
    store->f->get_node(store, 4, expect_full, note_done, &(struct step){.name = "get"});
    journal_is("full get:done ");
    store_holds(store,
        "dropped 0\n"
        "network 2 two birth 7 seq 9223372036854775807 horizon 0 tombstones 0\n"
        "node 4 of 2 full listed ttl 7200 seq 9223372036854775807 registered 1700000000123 "
        "ff00010000000000000000000000000000000000000000000000000000000080 "
        "0000000000000000000000000000000000000000000000000000000000000009 "
        "[203.0.113.7] [2001:db8::1] <|||>\n");
}

static bool expect_ttl_changed(const struct store_node *node, void *user)
{
    struct store_node same = *node;

    assert_int_equal(node->ttl_s, 60);
    same.ttl_s = full_node.ttl_s;
    return expect_full(&same, user);
}

static void test_edit_of_one_field_keeps_the_others(void **state)
{
    struct store *store = store_of(state);
    struct store_network network = a_network(2, "two", 1);
    struct step put = {.name = "put", .node = &full_node, .network = &network};
    struct step edit = {.name = "edit"};

    store->f->edit_node(store, 4, edit_step, note_done, &put);
    store->f->edit_node(store, 4, edit_ttl, note_done, &edit);
    store->f->flush(store);
    journal_is("full put:done edit:done ");
    store->f->get_node(store, 4, expect_ttl_changed, note_done, &edit);
    journal_is("full edit:done ");
}

static void test_edit_that_keeps_writes_nothing(void **state)
{
    struct store *store = store_of(state);

    put_node(store, 1, 1, "a", 1);
    commit(store);
    char *before = dump_all(store);
    store->f->edit_node(store, 1, edit_step, note_done, &(struct step){.name = "keep"});
    store->f->flush(store);
    journal_is("keep:done ");
    store_holds(store, before);
    free(before);
}

static void test_edit_may_change_id_and_network(void **state)
{
    struct store *store = store_of(state);

    put_node(store, 1, 1, "old", 1);
    put_node(store, 1, 2, "new", 1);
    commit(store);
    expect_list(store, 1, "", "list:done ");
    expect_list(store, 2, "", "new@1 list:done ");
}

static void test_get_of_absent_node_only_completes(void **state)
{
    struct store *store = store_of(state);

    store->f->get_node(store, 5, note_node, note_done, &(struct step){.name = "get"});
    journal_is("get:done ");
}

static void test_remove_takes_node_and_box_but_not_messages(void **state)
{
    struct store *store = store_of(state);

    put_node(store, 1, 1, "a", 1);
    put_message(store, 10, 1, 1, "x");
    store->f->remove_node(store, 1, NULL, NULL);
    store->f->remove_node(store, 77, NULL, NULL);
    commit(store);
    store_holds(store,
        "dropped 0\n"
        "network 1 network-1 birth 7 seq 1 horizon 0 tombstones 0\n"
        "message 10 box 1 of 1 seq 1 to to from from [] id m session <s> type offer " HASH_0
        "sent 1700000000000 expires 1700000010000 forget 1700000060000 queued mark 0 size 1 "
        "body -\n");
}

/* --- lists ----------------------------------------------------------------------------------- */

static void put_some_nodes(struct store *store)
{
    put_node(store, 1, 1, "c", 1);
    put_node(store, 2, 1, "a", 2);
    put_node(store, 3, 1, "hidden", 0);
    put_node(store, 4, 1, "B", 4);
    put_node(store, 5, 2, "other", 1);
    put_tombstone(store, 1, "x", 3, 100);
    put_tombstone(store, 1, "y", 5, 200);
    put_tombstone(store, 2, "z", 2, 300);
    commit(store);
}

static void test_list_gives_listed_nodes_of_the_network_by_id(void **state)
{
    struct store *store = store_of(state);

    put_some_nodes(store);
    expect_list(store, 1, "", "B@4 a@2 c@1 list:done ");
    expect_list(store, 1, "B", "a@2 c@1 list:done ");
    expect_list(store, 1, "aa", "c@1 list:done ");
    expect_list(store, 1, "c", "list:done ");
    expect_list(store, 3, "", "list:done ");
}

static void test_list_stops_where_the_visitor_says(void **state)
{
    struct store *store = store_of(state);

    put_some_nodes(store);
    store->f->list_nodes(store, 1, "", note_change, note_done, &(struct step){.name = "a"});
    journal_is("B@4 a@2 a:done ");
}

static bool expect_full_row(
    const struct store_node *node, const struct store_tombstone *tombstone, void *user)
{
    assert_null(tombstone);
    return expect_full(node, user);
}

static void test_lists_give_nodes_whole(void **state)
{
    struct store *store = store_of(state);
    struct store_network network = a_network(2, "two", 1);
    struct step put = {.name = "put", .node = &full_node, .network = &network};

    store->f->edit_node(store, 4, edit_step, NULL, &put);
    commit(store);
    struct step step = {.name = "list"};
    store->f->list_nodes(store, 2, "", expect_full_row, note_done, &step);
    store->f->list_changes(store, 2, 0, expect_full_row, note_done, &step);
    journal_is("full list:done full list:done ");
}

static void test_changes_merge_nodes_and_tombstones_by_seq(void **state)
{
    struct store *store = store_of(state);

    put_some_nodes(store);
    expect_changes(store, 1, 0, "c@1 a@2 -x@3 B@4 -y@5 changes:done ");
    expect_changes(store, 1, 2, "-x@3 B@4 -y@5 changes:done ");
    expect_changes(store, 1, 3, "B@4 -y@5 changes:done ");
    expect_changes(store, 1, 5, "changes:done ");
    expect_changes(store, 2, 0, "other@1 -z@2 changes:done ");
    expect_changes(store, 3, 0, "changes:done ");
}

static void test_changes_since_beyond_all_give_none(void **state)
{
    struct store *store = store_of(state);

    put_some_nodes(store);
    expect_changes(store, 1, UINT64_MAX, "changes:done ");
    expect_changes(store, 1, (uint64_t)INT64_MAX + 1, "changes:done ");
}

static void test_changes_stop_where_the_visitor_says(void **state)
{
    struct store *store = store_of(state);

    put_some_nodes(store);
    store->f->list_changes(store, 1, 0, note_change, note_done, &(struct step){.name = "x"});
    journal_is("c@1 a@2 -x@3 x:done ");
    store->f->list_changes(store, 1, 0, note_change, note_done, &(struct step){.name = "a"});
    journal_is("c@1 a@2 a:done ");
}

/* --- tombstones and networks ----------------------------------------------------------------- */

static void test_tombstone_goes_when_its_id_is_listed_again(void **state)
{
    struct store *store = store_of(state);

    put_tombstone(store, 1, "a", 1, 100);
    put_tombstone(store, 2, "a", 1, 100);
    put_node(store, 1, 1, "a", 2);
    commit(store);
    expect_changes(store, 1, 0, "a@2 changes:done ");
    expect_changes(store, 2, 0, "-a@1 changes:done ");
}

static void test_tombstone_stays_when_its_id_comes_back_unlisted(void **state)
{
    struct store *store = store_of(state);

    put_tombstone(store, 1, "a", 1, 100);
    put_node(store, 1, 1, "a", 0);
    commit(store);
    expect_changes(store, 1, 0, "-a@1 changes:done ");
}

static void test_tombstone_of_same_id_is_replaced(void **state)
{
    struct store *store = store_of(state);

    put_tombstone(store, 1, "a", 1, 100);
    put_tombstone(store, 1, "b", 2, 100);
    put_tombstone(store, 1, "a", 3, 100);
    commit(store);
    expect_changes(store, 1, 0, "-b@2 -a@3 changes:done ");
    store_holds(store, "dropped 0\nnetwork 1 network-1 birth 7 seq 3 horizon 0 tombstones 2\n");
}

static void note_pruned(int error, uint64_t horizon, size_t tombstones_left, void *user)
{
    text_printf(&journal, "%s:%s,%llu,%zu ", ((struct step *)user)->name,
        error ? error_code(error) : "done", (unsigned long long)horizon, tombstones_left);
}

static void put_five_tombstones(struct store *store)
{
    char id[2] = "a";

    for (uint64_t seq = 1; seq <= 5; seq++, id[0]++)
        put_tombstone(store, 1, id, seq, (int64_t)seq * 100);
    put_tombstone(store, 2, "other", 1, 0);
    commit(store);
}

static void test_prune_forgets_the_old_after_commit(void **state)
{
    struct store *store = store_of(state);
    struct step step = {.name = "prune"};

    put_five_tombstones(store);
    store->f->prune_tombstones(store, 1, 300, 100, note_pruned, &step);
    journal_is("");
    store->f->flush(store);
    journal_is("prune:done,2,3 ");
    expect_changes(store, 1, 0, "-c@3 -d@4 -e@5 changes:done ");
    expect_changes(store, 2, 0, "-other@1 changes:done ");
    store_holds(store, "dropped 0\n"
                       "network 1 network-1 birth 7 seq 5 horizon 2 tombstones 3\n"
                       "network 2 network-2 birth 7 seq 1 horizon 0 tombstones 1\n");
}

static void test_prune_keeps_no_more_than_the_newest(void **state)
{
    struct store *store = store_of(state);
    struct step step = {.name = "prune"};

    put_five_tombstones(store);
    store->f->prune_tombstones(store, 1, 0, 2, note_pruned, &step);
    store->f->prune_tombstones(store, 1, 0, 2, note_pruned, &step);
    store->f->prune_tombstones(store, 1, 0, 0, note_pruned, &step);
    store->f->flush(store);
    journal_is("prune:done,3,2 prune:done,3,2 prune:done,5,0 ");
}

static void test_prune_of_nothing_moves_nothing(void **state)
{
    struct store *store = store_of(state);
    struct step step = {.name = "prune"};

    put_five_tombstones(store);
    store->f->prune_tombstones(store, 1, 100, 5, note_pruned, &step);
    store->f->prune_tombstones(store, 9, 100, 5, note_pruned, &step);
    store->f->prune_tombstones(store, 1, 100, 5, NULL, NULL);
    store->f->flush(store);
    journal_is("prune:done,0,5 prune:done,0,0 ");
}

static void test_prune_after_a_clock_that_went_back_leaves_none_below_the_horizon(void **state)
{
    struct store *store = store_of(state);
    struct step step = {.name = "prune"};

    put_tombstone(store, 1, "late", 1, 900);
    put_tombstone(store, 1, "early", 2, 100);
    store->f->prune_tombstones(store, 1, 500, 10, note_pruned, &step);
    store->f->flush(store);
    journal_is("prune:done,2,0 ");
}

static void test_network_written_with_an_older_horizon_keeps_the_newer(void **state)
{
    struct store *store = store_of(state);
    struct step step = {.name = "prune"};

    put_five_tombstones(store);
    store->f->prune_tombstones(store, 1, 300, 100, note_pruned, &step);
    put_tombstone(store, 1, "f", 6, 600);
    store->f->flush(store);
    journal_is("prune:done,2,3 ");
    store_holds(store, "dropped 0\n"
                       "network 1 network-1 birth 7 seq 6 horizon 2 tombstones 4\n"
                       "network 2 network-2 birth 7 seq 1 horizon 0 tombstones 1\n");
}

static void test_network_keeps_all_64_bits_of_its_birth(void **state)
{
    struct store *store = store_of(state);
    struct store_network network = {1, "n", UINT64_MAX - 1, 5, 3};
    struct store_tombstone tombstone = {"t", 5, 0};

    store->f->put_tombstone(store, &network, &tombstone, NULL, NULL);
    network.birth = (uint64_t)1 << 63;
    network.number = 2;
    network.name = "m";
    store->f->put_tombstone(store, &network, &tombstone, NULL, NULL);
    commit(store);
    store_holds(store, "dropped 0\n"
                       "network 1 n birth fffffffffffffffe seq 5 horizon 3 tombstones 1\n"
                       "network 2 m birth 8000000000000000 seq 5 horizon 3 tombstones 1\n");
}

static void test_drop_forgets_only_an_empty_network(void **state)
{
    struct store *store = store_of(state);

    put_node(store, 1, 1, "a", 1);
    put_tombstone(store, 2, "b", 1, 100);
    put_node(store, 3, 3, "c", 1);
    store->f->remove_node(store, 3, NULL, NULL);
    for (int64_t network = 1; network <= 4; network++)
        store->f->drop_network(store, network, NULL, NULL);
    commit(store);
    store_holds(store, "dropped 1\n"
                       "network 1 network-1 birth 7 seq 1 horizon 0 tombstones 0\n"
                       "network 2 network-2 birth 7 seq 1 horizon 0 tombstones 1\n"
                       "node 1 of 1 a listed ttl 30 seq 1 registered 1700000000000 " HASH_A HASH_0
                       "[] [] <|||>\n");
}

/* --- mailboxes ------------------------------------------------------------------------------- */

static void test_message_is_kept_whole_beside_its_box(void **state)
{
    struct store *store = store_of(state);
    struct store_box box = {1, 4, 3};
    struct store_message message = {.number = INT64_MAX,
        .box = 1,
        .network = 8,
        .seq = 12,
        .to = "to",
        .from = "",
        .from_address = {4, {198, 51, 100, 4}},
        .id = "0a5e",
        .session = "",
        .type = "undeliverable",
        .content_hash = {1, 2, 3},
        .sent_wall_ms = -1,
        .expires_ms = INT64_MAX,
        .forget_ms = 5,
        .handed = true,
        .mark = STORE_GIVEN,
        .body = "{\"sdp\":\"\\u0000\"}",
        .body_size = 16};

    put_node(store, 1, 1, "a", 0);
    store->f->put_box(store, &box, NULL, NULL);
    store->f->put_message(store, &message, note_done, &(struct step){.name = "put"});
    store->f->flush(store);
    journal_is("put:done ");
    expect_mail(store, MAIL(INT64_MAX), "12={\"sdp\":\"\\u0000\"} mail:done ");
    store_holds(store,
        "dropped 0\n"
        "network 1 network-1 birth 7 seq 0 horizon 0 tombstones 0\n"
        "node 1 of 1 a unlisted ttl 30 seq 0 registered 1700000000000 " HASH_A HASH_0
        "[] [] <|||>\n"
        "box 1 seq 4 acked 3\n"
        "message 9223372036854775807 box 1 of 8 seq 12 to to from  [198.51.100.4] id 0a5e "
        "session <> type undeliverable " HASH_A
        "sent -1 expires 9223372036854775807 forget 5 handed mark 1 size 16 body -\n");
}

static bool expect_bytes(const struct store_message *message, void *user)
{
    (void)user;
    assert_int_equal(message->body_size, 5);
    assert_memory_equal(message->body,
        "a\0b\xff"
        "c",
        5);
    text_puts(&journal, "bytes ");
    return true;
}

static void test_message_body_comes_back_byte_for_byte(void **state)
{
    struct store *store = store_of(state);
    struct store_message message = a_message(1, 1, 1, "");

    message.body = "a\0b\xff"
                   "c";
    message.body_size = 5;
    put_node(store, 1, 1, "a", 0);
    store->f->put_message(store, &message, NULL, NULL);
    commit(store);
    store->f->read_messages(store, MAIL(1), expect_bytes, note_done, &(struct step){.name = "r"});
    journal_is("bytes r:done ");
}

static void put_some_mail(struct store *store)
{
    put_node(store, 1, 1, "a", 0);
    put_node(store, 2, 1, "b", 0);
    put_message(store, 14, 1, 4, "four");
    put_message(store, 11, 1, 1, "one");
    put_message(store, 12, 1, 2, "two");
    put_message(store, 13, 1, 3, "three");
    put_message(store, 21, 2, 1, "other");
    commit(store);
}

static void test_mail_is_read_by_numbers_in_their_order(void **state)
{
    struct store *store = store_of(state);

    put_some_mail(store);
    expect_mail(store, MAIL(11, 12, 13, 14), "1=one 2=two 3=three 4=four mail:done ");
    expect_mail(store, MAIL(14, 21, 11), "4=four 1=other 1=one mail:done ");
    expect_mail(store, MAIL(10, 12, -1, INT64_MAX), "2=two mail:done ");
    expect_mail(store, NULL, 0, "mail:done ");
}

static void test_mail_stops_where_the_visitor_says(void **state)
{
    struct store *store = store_of(state);

    put_some_mail(store);
    store->f->read_messages(
        store, MAIL(11, 12), note_message, note_done, &(struct step){.name = "m"});
    journal_is("1=one m:done ");
}

static void test_mark_decides_what_is_given_out(void **state)
{
    struct store *store = store_of(state);

    put_some_mail(store);
    store->f->mark_message(store, 11, STORE_GIVEN, NULL, NULL);
    store->f->mark_message(store, 12, STORE_SPENT, NULL, NULL);
    store->f->mark_message(store, 12, STORE_SPENT, NULL, NULL);
    store->f->mark_message(store, 13, STORE_FORGET, NULL, NULL);
    store->f->mark_message(store, 99, STORE_SPENT, NULL, NULL);
    store->f->mark_message(store, 99, STORE_FORGET, NULL, NULL);
    store->f->mark_message(store, 99, STORE_GIVEN, NULL, NULL);
    commit(store);
    expect_mail(store, MAIL(11, 12, 13, 14), "1=one 4=four mail:done ");

    char *now = dump_all(store);
    assert_non_null(strstr(now, "message 11 "));
    assert_non_null(strstr(now, "queued mark 1 size 3 body -\nmessage 12 "));
    assert_non_null(strstr(now, "queued mark 2 size 3 body -\nmessage 14 "));
    assert_null(strstr(now, "message 13 "));
    free(now);
}

static void test_message_put_as_spent_keeps_no_body(void **state)
{
    struct store *store = store_of(state);
    struct store_message message = a_message(1, 1, 1, "body");

    put_node(store, 1, 1, "a", 0);
    message.mark = STORE_SPENT;
    store->f->put_message(store, &message, NULL, NULL);
    message.number = 2;
    message.seq = 2;
    message.body = NULL;
    store->f->put_message(store, &message, NULL, NULL);
    commit(store);
    expect_mail(store, MAIL(1, 2), "mail:done ");
}

static void test_box_counters_are_set_as_given(void **state)
{
    struct store *store = store_of(state);
    struct store_box box = {2, 9, 8};

    put_some_mail(store);
    store->f->put_box(store, &box, note_done, &(struct step){.name = "box"});
    store->f->flush(store);
    journal_is("box:done ");
    char *now = dump_all(store);
    assert_non_null(strstr(now, "\nbox 2 seq 9 acked 8\nmessage 11 "));
    free(now);
}

/* --- the batch ------------------------------------------------------------------------------- */

static void test_reads_without_a_batch_complete_at_once(void **state)
{
    struct store *store = store_of(state);
    struct step step = {.name = "r"};

    assert_false(store->open_batch);
    store->f->barrier(store, note_done, &step);
    store->f->probe(store, note_done, &step);
    journal_is("r:done r:done ");
    assert_false(store->open_batch);
    store->f->flush(store);
    journal_is("");
}

static void test_completions_wait_for_the_flush_in_order(void **state)
{
    struct store *store = store_of(state);
    struct store_node node = a_node(1, 1, "a", 1);
    struct store_network network = a_network(1, "n", 1);
    struct store_tombstone tombstone = {"t", 2, 0};
    struct store_message message = a_message(1, 1, 1, "hello");
    struct store_box box = {1, 1, 1};
    struct step step = {.name = "edit", .node = &node, .network = &network};
    struct dump dump = {0};

    store->f->edit_node(store, 1, edit_step, note_done, &step);
    assert_true(store->open_batch);
    store->f->put_tombstone(store, &network, &tombstone, note_done, &(struct step){.name = "tomb"});
    store->f->prune_tombstones(store, 1, 1, 9, note_pruned, &(struct step){.name = "prune"});
    store->f->put_message(store, &message, note_done, &(struct step){.name = "message"});
    store->f->mark_message(store, 1, STORE_GIVEN, note_done, &(struct step){.name = "mark"});
    store->f->put_box(store, &box, note_done, &(struct step){.name = "box"});
    store->f->drop_network(store, 1, note_done, &(struct step){.name = "drop"});
    store->f->barrier(store, note_done, &(struct step){.name = "barrier"});
    store->f->probe(store, note_done, &(struct step){.name = "probe"});
    store->f->load(store, &dump_loader, dump_done, &dump);
    store->f->remove_node(store, 2, note_done, &(struct step){.name = "remove"});
    journal_is("");
    assert_int_equal(dump.completions, 0);
    store->f->flush(store);
    assert_false(store->open_batch);
    journal_is("edit:done tomb:done prune:done,2,0 message:done mark:done box:done drop:done "
               "barrier:done probe:done remove:done ");
    assert_int_equal(dump.completions, 1);
    assert_int_equal(dump.errors, 0);
    text_clear(&dump.text);
}

static void test_reads_in_a_batch_see_it_and_complete_with_it(void **state)
{
    struct store *store = store_of(state);
    struct step step = {.name = "r"};

    put_node(store, 1, 1, "a", 1);
    put_message(store, 1, 1, 1, "hello");
    store->f->get_node(store, 1, note_node, note_done, &step);
    store->f->list_nodes(store, 1, "", note_change, note_done, &step);
    store->f->list_changes(store, 1, 0, note_change, note_done, &step);
    store->f->read_messages(store, MAIL(1), note_message, note_done, &step);
    journal_is("a@1 a@1 a@1 1=hello ");
    store->f->flush(store);
    journal_is("r:done r:done r:done r:done ");
}

/* Something that contradicts what the store holds: it fails the batch. */
static void put_contradiction(struct store *store)
{
    static struct step step = {.name = "bad"};
    store->f->put_box(store, &(struct store_box){404, 1, 1}, note_done, &step); /* no such node */
}

static void test_failed_batch_is_undone_whole(void **state)
{
    struct store *store = store_of(state);
    struct step first = {.name = "first"}, last = {.name = "last"};

    put_some_nodes(store);
    put_node(store, 6, 1, "box", 0);
    put_message(store, 1, 6, 1, "kept");
    commit(store);
    char *before = dump_all(store);

    put_node(store, 1, 1, "c", 10);
    put_node(store, 7, 7, "new", 1);
    store->f->remove_node(store, 2, note_done, &first);
    put_tombstone(store, 1, "a", 11, 0);
    put_tombstone(store, 2, "z", 12, 0);
    store->f->prune_tombstones(store, 1, 9999, 0, note_pruned, &first);
    store->f->remove_node(store, 5, NULL, NULL);
    store->f->prune_tombstones(store, 2, 9999, 0, NULL, NULL);
    store->f->drop_network(store, 2, NULL, NULL);
    put_message(store, 2, 6, 2, "new");
    store->f->mark_message(store, 1, STORE_SPENT, NULL, NULL);
    put_contradiction(store);
    assert_true(store->open_batch);
    /* From here on nothing is done, and nobody is shown anything. */
    store->f->edit_node(store, 1, edit_absent, note_done, &last);
    store->f->get_node(store, 1, note_node, note_done, &last);
    store->f->prune_tombstones(store, 1, 0, 0, note_pruned, &last);
    store->f->flush(store);
    assert_false(store->open_batch);
    journal_is("lost first:store_failed first:store_failed,0,0 bad:store_failed "
               "last:store_failed last:store_failed last:store_failed,0,0 ");
    store_holds(store, before);
    expect_changes(store, 1, 0, "c@1 a@2 -x@3 B@4 -y@5 changes:done ");
    expect_mail(store, MAIL(1, 2), "1=kept mail:done ");
    free(before);
}

static void test_store_is_of_use_after_a_failed_batch(void **state)
{
    struct store *store = store_of(state);

    put_contradiction(store);
    store->f->flush(store);
    journal_is("lost bad:store_failed ");
    put_node(store, 1, 1, "a", 1);
    commit(store);
    expect_list(store, 1, "", "a@1 list:done ");
}

static void lost_reads(void *user)
{
    struct store *store = user;

    assert_false(store->open_batch);
    text_puts(&journal, "lost ");
    store->f->list_nodes(store, 1, "", note_change, note_done, &(struct step){.name = "still"});
    char *now = dump_all(store);
    assert_non_null(strstr(now, "node 1 of 1 a listed ttl 30 seq 1 "));
    assert_null(strstr(now, "node 2 "));
    free(now);
}

static void test_lost_reads_what_is_still_true(void **state)
{
    struct store *store = store_of(state);

    store->lost = lost_reads;
    store->lost_user = store;
    put_node(store, 1, 1, "a", 1);
    commit(store);
    put_node(store, 2, 1, "b", 2);
    put_contradiction(store);
    store->f->flush(store);
    journal_is("lost a@1 still:done bad:store_failed ");
}

static struct step second_step = {.name = "second"};

static void write_twice(int error, void *user)
{
    struct step *step = user;
    struct store *store = step->again;

    note_done(error, user);
    store->f->barrier(store, note_done, &(struct step){.name = "at-once"});
    store->f->remove_node(store, 1, note_done, &second_step);
    store->f->barrier(store, note_done, &second_step);
}

static void test_completion_that_writes_opens_the_next_batch(void **state)
{
    struct store *store = store_of(state);
    struct step first = {.name = "first", .again = store}, other = {.name = "other"};

    put_node(store, 1, 1, "a", 1);
    store->f->barrier(store, write_twice, &first);
    store->f->barrier(store, note_done, &other);
    store->f->flush(store);
    journal_is("first:done at-once:done other:done ");
    assert_true(store->open_batch);
    store->f->flush(store);
    journal_is("second:done second:done ");
    assert_false(store->open_batch);
    expect_list(store, 1, "", "list:done ");
}

static void test_completion_of_a_failed_batch_may_write(void **state)
{
    struct store *store = store_of(state);
    struct step first = {.name = "first", .again = store};

    put_node(store, 1, 1, "a", 1);
    commit(store);
    store->f->remove_node(store, 7, write_twice, &first);
    put_contradiction(store);
    store->f->flush(store);
    journal_is("lost first:store_failed at-once:done bad:store_failed ");
    store->f->flush(store);
    journal_is("second:done second:done ");
    expect_list(store, 1, "", "list:done ");
}

static void test_many_completions_keep_their_order(void **state)
{
    struct store *store = store_of(state);
    char names[100][12];
    struct step steps[100];
    struct text expected = {0};

    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        steps[i] = (struct step){.name = names[i]};
        store->f->remove_node(store, i + 1, note_done, &steps[i]);
        text_printf(&expected, "%d:done ", i);
    }
    store->f->flush(store);
    journal_is(expected.bytes);
    text_clear(&expected);
}

/* --- contradictions -------------------------------------------------------------------------- */

static void write_node(struct store *store, int64_t number, struct store_node node)
{
    struct step step = {.name = "w", .node = &node};

    store->f->edit_node(store, number, edit_step, NULL, &step);
}

static void break_node_id(struct store *store)
{
    write_node(store, 2, a_node(2, 1, "a", 9));
}

static void break_node_seq(struct store *store)
{
    write_node(store, 2, a_node(2, 1, "b", 1));
}

static void break_node_network(struct store *store)
{
    write_node(store, 2, a_node(2, 5, "b", 2));
}

static void break_node_number(struct store *store)
{
    write_node(store, 0, a_node(0, 1, "b", 2));
}

static void break_node_unlisted_seq(struct store *store)
{
    struct store_node node = a_node(2, 1, "b", 2);

    node.listed = false;
    write_node(store, 2, node);
}

static void break_node_ttl(struct store *store)
{
    struct store_node node = a_node(2, 1, "b", 2);

    node.ttl_s = 0;
    write_node(store, 2, node);
}

static void break_network_name(struct store *store)
{
    struct store_network network = a_network(2, "network-1", 1);
    struct store_tombstone tombstone = {"t", 1, 0};

    store->f->put_tombstone(store, &network, &tombstone, NULL, NULL);
}

static void break_network_seq(struct store *store)
{
    struct store_network network = a_network(1, "network-1", (uint64_t)1 << 63);
    struct store_tombstone tombstone = {"t", 9, 0};

    store->f->put_tombstone(store, &network, &tombstone, NULL, NULL);
}

static void break_tombstone_seq(struct store *store)
{
    put_tombstone(store, 1, "u", 2, 0);
}

static void break_message_number(struct store *store)
{
    put_message(store, 1, 1, 2, "x");
}

static void break_message_body(struct store *store)
{
    struct store_message message = a_message(2, 1, 2, "");

    message.body = NULL;
    store->f->put_message(store, &message, NULL, NULL);
}

static void break_message_mark(struct store *store)
{
    store->f->mark_message(store, 1, STORE_SPENT, NULL, NULL);
    store->f->mark_message(store, 1, STORE_GIVEN, NULL, NULL);
}

static void break_box_node(struct store *store)
{
    store->f->put_box(store, &(struct store_box){9, 1, 1}, NULL, NULL);
}

static void test_every_contradiction_fails_its_batch(void **state)
{
    static void (*const breaks[])(struct store * store) = {break_node_id, break_node_seq,
        break_node_network, break_node_number, break_node_unlisted_seq, break_node_ttl,
        break_network_name, break_network_seq, break_tombstone_seq, break_message_number,
        break_message_body, break_message_mark, break_box_node};
    struct store *store = store_of(state);
    struct step step = {.name = "end"};

    put_node(store, 1, 1, "a", 1);
    put_tombstone(store, 1, "t", 2, 0);
    put_message(store, 1, 1, 1, "x");
    commit(store);
    char *before = dump_all(store);
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        breaks[i](store);
        store->f->barrier(store, note_done, &step);
        store->f->flush(store);
        if (!journal.bytes || strcmp(journal.bytes, "lost end:store_failed ") != 0)
            fail_msg("contradiction %zu was taken: %s", i, journal.bytes);
        text_clear(&journal);
        store_holds(store, before);
    }
    free(before);
}

/* --- opening and closing --------------------------------------------------------------------- */

static void test_close_flushes_what_is_open(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->store;
    struct step first = {.name = "first", .again = store};

    put_node(store, 1, 1, "a", 1);
    store->f->barrier(store, write_twice, &first);
    store->f->close(store);
    fixture->store = kind->open(fixture->path);
    journal_is("first:done at-once:done second:done second:done ");
}

static void test_close_of_null_is_fine(void **state)
{
    store_of(state)->f->close(NULL);
    journal_is("");
}

static void test_reopen_gives_all_that_was_kept(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->store;

    put_some_nodes(store);
    put_node(store, 9, 3, "gone", 1);
    store->f->remove_node(store, 9, NULL, NULL);
    store->f->drop_network(store, 3, NULL, NULL);
    put_node(store, 6, 1, "box", 0);
    put_message(store, 1, 6, 1, "one");
    put_message(store, 2, 6, 2, "two");
    store->f->mark_message(store, 1, STORE_SPENT, NULL, NULL);
    store->f->put_box(store, &(struct store_box){6, 2, 1}, NULL, NULL);
    commit(store);
    char *before = dump_all(store);
    uint64_t epoch = store_epoch(store);
    assert_non_null(strstr(before, "dropped 1\n"));

    store->f->close(store);
    fixture->store = store = kind->open(fixture->path);
    store_holds(store, before);
    assert_true(store_epoch(store) == epoch);
    expect_changes(store, 1, 0, "c@1 a@2 -x@3 B@4 -y@5 changes:done ");
    expect_mail(store, MAIL(1, 2), "2=two mail:done ");
    free(before);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_store_new_is_empty),
        TEST(test_edit_of_absent_node_shows_a_zeroed_one),
        TEST(test_node_written_is_read_back_whole),
        TEST(test_edit_of_one_field_keeps_the_others),
        TEST(test_edit_that_keeps_writes_nothing),
        TEST(test_edit_may_change_id_and_network),
        TEST(test_get_of_absent_node_only_completes),
        TEST(test_remove_takes_node_and_box_but_not_messages),
        TEST(test_list_gives_listed_nodes_of_the_network_by_id),
        TEST(test_list_stops_where_the_visitor_says),
        TEST(test_lists_give_nodes_whole),
        TEST(test_changes_merge_nodes_and_tombstones_by_seq),
        TEST(test_changes_since_beyond_all_give_none),
        TEST(test_changes_stop_where_the_visitor_says),
        TEST(test_tombstone_goes_when_its_id_is_listed_again),
        TEST(test_tombstone_stays_when_its_id_comes_back_unlisted),
        TEST(test_tombstone_of_same_id_is_replaced),
        TEST(test_prune_forgets_the_old_after_commit),
        TEST(test_prune_keeps_no_more_than_the_newest),
        TEST(test_prune_of_nothing_moves_nothing),
        TEST(test_prune_after_a_clock_that_went_back_leaves_none_below_the_horizon),
        TEST(test_network_written_with_an_older_horizon_keeps_the_newer),
        TEST(test_network_keeps_all_64_bits_of_its_birth),
        TEST(test_drop_forgets_only_an_empty_network),
        TEST(test_message_is_kept_whole_beside_its_box),
        TEST(test_message_body_comes_back_byte_for_byte),
        TEST(test_mail_is_read_by_numbers_in_their_order),
        TEST(test_mail_stops_where_the_visitor_says),
        TEST(test_mark_decides_what_is_given_out),
        TEST(test_message_put_as_spent_keeps_no_body),
        TEST(test_box_counters_are_set_as_given),
        TEST(test_reads_without_a_batch_complete_at_once),
        TEST(test_completions_wait_for_the_flush_in_order),
        TEST(test_reads_in_a_batch_see_it_and_complete_with_it),
        TEST(test_failed_batch_is_undone_whole),
        TEST(test_store_is_of_use_after_a_failed_batch),
        TEST(test_lost_reads_what_is_still_true),
        TEST(test_completion_that_writes_opens_the_next_batch),
        TEST(test_completion_of_a_failed_batch_may_write),
        TEST(test_many_completions_keep_their_order),
        TEST(test_every_contradiction_fails_its_batch),
        TEST(test_close_flushes_what_is_open),
        TEST(test_close_of_null_is_fine),
    };
    const struct CMUnitTest persistent_tests[] = {
        TEST(test_reopen_gives_all_that_was_kept),
    };
    int failed = 0;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        kind = &kinds[i];
        failed += cmocka_run_group_tests_name(kind->name, tests, NULL, NULL);
        if (kind->persists)
            failed += cmocka_run_group_tests_name(kind->name, persistent_tests, NULL, NULL);
    }
    return failed;
}
