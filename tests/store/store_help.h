/* What the tests of stores share: a journal of what was called back, and rows to write. */
#ifndef SIGNPOST_TESTS_STORE_HELP_H
#define SIGNPOST_TESTS_STORE_HELP_H

#include "store/store.h"
#include "text.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Everything that a store calls back is written down here, in order. */
static struct text journal;

/* What was written down since the last time is just this. */
static inline void journal_is(const char *expected)
{
    assert_string_equal(journal.bytes ? journal.bytes : "", expected);
    text_clear(&journal);
}

/* The user of every call: its name in the journal, and what an edit is to do. */
struct step {
    const char *name;
    const struct store_node *node;       /* written by the edit; NULL: it keeps what is there */
    const struct store_network *network; /* written with it, or NULL */
    struct store *again;                 /* a completion writes to this one once more */
};

static inline void note_done(int error, void *user)
{
    const struct step *step = user;

    text_printf(&journal, "%s:%s ", step->name, error ? error_code(error) : "done");
}

static inline void note_lost(void *user)
{
    (void)user;
    text_puts(&journal, "lost ");
}

static inline bool note_change(
    const struct store_node *node, const struct store_tombstone *tombstone, void *user)
{
    const char *name = ((const struct step *)user)->name;
    const char *id = node ? node->id : tombstone->id;

    assert_true(!node != !tombstone);
    text_printf(&journal, "%s%s@%llu ", node ? "" : "-", id,
        (unsigned long long)(node ? node->seq : tombstone->seq));
    /* A step with the name of an id stops there. */
    return strcmp(name, id) != 0;
}

static inline bool note_node(const struct store_node *node, void *user)
{
    return note_change(node, NULL, user);
}

static inline bool note_message(const struct store_message *message, void *user)
{
    const char *name = ((const struct step *)user)->name;

    text_printf(&journal, "%llu=%.*s ", (unsigned long long)message->seq, (int)message->body_size,
        message->body);
    return strcmp(name, message->id) != 0;
}

static inline enum store_verdict edit_step(
    struct store_node *node, bool exists, struct store_network *ret_network, void *user)
{
    const struct step *step = user;

    (void)exists;
    if (!step->node)
        return STORE_KEEP;
    *node = *step->node;
    if (step->network)
        *ret_network = *step->network;
    return STORE_WRITE;
}

/* --- rows ------------------------------------------------------------------------------------ */

static inline struct store_network a_network(int64_t number, const char *name, uint64_t seq)
{
    return (struct store_network){.number = number, .name = name, .birth = 7, .seq = seq};
}

static inline struct store_node a_node(
    int64_t number, int64_t network, const char *id, uint64_t seq)
{
    return (struct store_node){.number = number,
        .network = network,
        .id = id,
        .token_hash = {1, 2, 3},
        .ttl_s = 30,
        .listed = seq != 0,
        .seq = seq,
        .registered_wall_ms = 1700000000000,
        .announced = "grpc://:1",
        .endpoints = "grpc://203.0.113.7:1",
        .meta = "{\"a\":1}",
        .reach = "{}"};
}

static inline struct store_message a_message(
    int64_t number, int64_t box, uint64_t seq, const char *body)
{
    return (struct store_message){.number = number,
        .box = box,
        .network = 1,
        .seq = seq,
        .to = "to",
        .from = "from",
        .id = "m",
        .session = "s",
        .type = "offer",
        .sent_wall_ms = 1700000000000,
        .expires_ms = 1700000010000,
        .forget_ms = 1700000060000,
        .body = body,
        .body_size = strlen(body)};
}

/* Writes a node with the row of its network, whose seq is then the node's; no completion. */
static inline void put_node(
    struct store *store, int64_t number, int64_t network, const char *id, uint64_t seq)
{
    char name[32];
    struct store_node node = a_node(number, network, id, seq);
    snprintf(name, sizeof name, "network-%lld", (long long)network);
    struct store_network row = a_network(network, name, seq);
    struct step step = {.name = id, .node = &node, .network = &row};

    store->f->edit_node(store, number, edit_step, NULL, &step);
}

static inline void put_tombstone(
    struct store *store, int64_t network, const char *id, uint64_t seq, int64_t gone_ms)
{
    char name[32];
    snprintf(name, sizeof name, "network-%lld", (long long)network);
    struct store_network row = a_network(network, name, seq);
    struct store_tombstone tombstone = {id, seq, gone_ms};

    store->f->put_tombstone(store, &row, &tombstone, NULL, NULL);
}

static inline void put_message(
    struct store *store, int64_t number, int64_t box, uint64_t seq, const char *body)
{
    struct store_message message = a_message(number, box, seq, body);

    store->f->put_message(store, &message, NULL, NULL);
}

/* --- all that a store holds, as text --------------------------------------------------------- */

struct dump {
    struct text text;
    int errors;
    int completions;
    uint64_t epoch;
};

static inline void dump_epoch(uint64_t epoch, uint64_t dropped_networks, void *user)
{
    struct dump *dump = user;

    dump->epoch = epoch;
    text_printf(&dump->text, "dropped %llu\n", (unsigned long long)dropped_networks);
}

static inline void dump_network(const struct store_network *row, size_t tombstones, void *user)
{
    text_printf(&((struct dump *)user)->text,
        "network %lld %s birth %llx seq %llu horizon %llu tombstones %zu\n", (long long)row->number,
        row->name, (unsigned long long)row->birth, (unsigned long long)row->seq,
        (unsigned long long)row->horizon, tombstones);
}

static inline void dump_bytes(struct text *text, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        text_printf(text, "%02x", bytes[i]);
    text_puts(text, " ");
}

static inline void dump_address(struct text *text, const struct address *address)
{
    char buffer[ADDRESS_TEXT_SIZE];

    text_printf(text, "[%s] ", address_format(address, buffer));
}

static inline void dump_node(const struct store_node *node, void *user)
{
    struct text *text = &((struct dump *)user)->text;

    text_printf(text, "node %lld of %lld %s %s ttl %d seq %llu registered %lld ",
        (long long)node->number, (long long)node->network, node->id,
        node->listed ? "listed" : "unlisted", node->ttl_s, (unsigned long long)node->seq,
        (long long)node->registered_wall_ms);
    dump_bytes(text, node->token_hash, STORE_HASH_SIZE);
    dump_bytes(text, node->key_hash, STORE_HASH_SIZE);
    dump_address(text, &node->observed_ipv4);
    dump_address(text, &node->observed_ipv6);
    text_printf(text, "<%s|%s|%s|%s>\n", node->announced, node->endpoints, node->meta, node->reach);
}

static inline void dump_box(const struct store_box *box, void *user)
{
    text_printf(&((struct dump *)user)->text, "box %lld seq %llu acked %llu\n",
        (long long)box->node, (unsigned long long)box->seq, (unsigned long long)box->acked);
}

static inline void dump_message(const struct store_message *message, void *user)
{
    struct text *text = &((struct dump *)user)->text;

    text_printf(text, "message %lld box %lld of %lld seq %llu to %s from %s ",
        (long long)message->number, (long long)message->box, (long long)message->network,
        (unsigned long long)message->seq, message->to, message->from);
    dump_address(text, &message->from_address);
    text_printf(text, "id %s session <%s> type %s ", message->id, message->session, message->type);
    dump_bytes(text, message->content_hash, STORE_HASH_SIZE);
    text_printf(text, "sent %lld expires %lld forget %lld %s mark %d size %zu body %s\n",
        (long long)message->sent_wall_ms, (long long)message->expires_ms,
        (long long)message->forget_ms, message->handed ? "handed" : "queued", message->mark,
        message->body_size, message->body ? message->body : "-");
}

static inline void dump_done(int error, void *user)
{
    struct dump *dump = user;

    dump->completions++;
    dump->errors += error != 0;
}

static const struct store_loader dump_loader = {
    dump_network, dump_node, dump_box, dump_message, dump_epoch};

/* What load() tells, to be freed. */
static inline char *dump_all(struct store *store)
{
    struct dump dump = {0};
    size_t length;

    store->f->load(store, &dump_loader, dump_done, &dump);
    assert_int_equal(dump.completions, 1);
    assert_int_equal(dump.errors, 0);
    return text_take(&dump.text, &length);
}

static inline void store_holds(struct store *store, const char *expected)
{
    char *now = dump_all(store);

    assert_string_equal(now, expected);
    free(now);
}

static inline uint64_t store_epoch(struct store *store)
{
    struct dump dump = {0};

    store->f->load(store, &dump_loader, dump_done, &dump);
    assert_int_equal(dump.errors, 0);
    text_clear(&dump.text);
    return dump.epoch;
}

/* --- files ----------------------------------------------------------------------------------- */

static inline void make_directory(char ret_path[64])
{
    snprintf(ret_path, 64, "/tmp/signpost-store-XXXXXX");
    assert_non_null(mkdtemp(ret_path));
}

/* Removes the directory and the files in it. */
static inline void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;

    assert_non_null(directory);
    while ((entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            assert_int_equal(unlinkat(dirfd(directory), entry->d_name,
                                 entry->d_type == DT_DIR ? AT_REMOVEDIR : 0),
                0);
    }
    closedir(directory);
    assert_int_equal(rmdir(path), 0);
}

#endif
