#include "store/sqlite_internal.h"

void sqlite_read_node(struct query *query, bool with_texts, struct store_node *ret_node)
{
    ret_node->number = query_int(query);
    ret_node->network = query_int(query);
    ret_node->id = query_text(query);
    query_hash(query, ret_node->token_hash);
    query_hash(query, ret_node->key_hash);
    ret_node->ttl_s = (int)query_int(query);
    ret_node->listed = query_int(query) != 0;
    ret_node->seq = (uint64_t)query_int(query);
    ret_node->registered_wall_ms = query_int(query);
    query_address(query, &ret_node->observed_ipv4);
    query_address(query, &ret_node->observed_ipv6);
    ret_node->announced = with_texts ? query_text(query) : "";
    ret_node->endpoints = with_texts ? query_text(query) : "";
    ret_node->meta = with_texts ? query_text(query) : "";
    ret_node->reach = with_texts ? query_text(query) : "";
}

static void sqlite_read_message(
    struct query *query, bool with_body, struct store_message *ret_message)
{
    size_t size = 0;

    ret_message->number = query_int(query);
    ret_message->box = query_int(query);
    ret_message->network = query_int(query);
    ret_message->seq = (uint64_t)query_int(query);
    ret_message->to = query_text(query);
    ret_message->from = query_text(query);
    query_address(query, &ret_message->from_address);
    ret_message->id = query_text(query);
    ret_message->session = query_text(query);
    ret_message->type = query_text(query);
    query_hash(query, ret_message->content_hash);
    ret_message->sent_wall_ms = query_int(query);
    ret_message->expires_ms = query_int(query);
    ret_message->forget_ms = query_int(query);
    ret_message->handed = query_int(query) != 0;
    ret_message->mark = (enum store_mark)query_int(query);
    ret_message->body_size = (size_t)query_int(query);
    ret_message->body = with_body ? query_blob(query, &size) : NULL;
    if (with_body && (!ret_message->body || size != ret_message->body_size) && !query->code)
        query->code = SQLITE_CORRUPT;
}

/* --- load ------------------------------------------------------------------------------------ */

static int sqlite_load_state(
    struct store_sqlite *sqlite, const struct store_loader *loader, void *user)
{
    struct query query = query_start(sqlite, SQLITE_GET_STATE_STATEMENT);

    if (query_next(&query)) {
        uint64_t epoch = (uint64_t)query_int(&query);
        loader->epoch(epoch, (uint64_t)query_int(&query), user);
    }
    return query_end(&query);
}

static int sqlite_load_networks(
    struct store_sqlite *sqlite, const struct store_loader *loader, void *user)
{
    struct query query = query_start(sqlite, SQLITE_LOAD_NETWORKS_STATEMENT);

    while (query_next(&query)) {
        struct store_network network = {.number = query_int(&query)};
        network.name = query_text(&query);
        network.birth = (uint64_t)query_int(&query);
        network.seq = (uint64_t)query_int(&query);
        network.horizon = (uint64_t)query_int(&query);
        size_t tombstones = (size_t)query_int(&query);
        if (!query.code)
            loader->network(&network, tombstones, user);
    }
    return query_end(&query);
}

static int sqlite_load_nodes(
    struct store_sqlite *sqlite, const struct store_loader *loader, void *user)
{
    struct query query = query_start(sqlite, SQLITE_LOAD_NODES_STATEMENT);
    struct store_node node;

    while (query_next(&query)) {
        sqlite_read_node(&query, false, &node);
        if (!query.code)
            loader->node(&node, user);
    }
    return query_end(&query);
}

static int sqlite_load_boxes(
    struct store_sqlite *sqlite, const struct store_loader *loader, void *user)
{
    struct query query = query_start(sqlite, SQLITE_LOAD_BOXES_STATEMENT);

    while (query_next(&query)) {
        struct store_box box = {.node = query_int(&query)};
        box.seq = (uint64_t)query_int(&query);
        box.acked = (uint64_t)query_int(&query);
        loader->box(&box, user);
    }
    return query_end(&query);
}

static int sqlite_load_messages(
    struct store_sqlite *sqlite, const struct store_loader *loader, void *user)
{
    struct query query = query_start(sqlite, SQLITE_LOAD_MESSAGES_STATEMENT);
    struct store_message message;

    while (query_next(&query)) {
        sqlite_read_message(&query, false, &message);
        if (!query.code)
            loader->message(&message, user);
    }
    return query_end(&query);
}

void sqlite_load(
    struct store *store, const struct store_loader *loader, store_done done, void *user)
{
    static int (*const parts[])(struct store_sqlite * sqlite, const struct store_loader *loader,
        void *user) = {sqlite_load_state, sqlite_load_networks, sqlite_load_nodes,
        sqlite_load_boxes, sqlite_load_messages};
    struct store_sqlite *sqlite = sqlite_of(store);
    int error = 0;

    if (sqlite->broken)
        error = sqlite_reopen(sqlite);
    if (!error && sqlite_may_go_on(sqlite)) {
        for (size_t i = 0; !error && i < sizeof parts / sizeof *parts; i++)
            error = parts[i](sqlite, loader, user);
    }
    sqlite_finish(sqlite, error, done, user);
}

/* --- nodes ----------------------------------------------------------------------------------- */

void sqlite_get_node(
    struct store *store, int64_t number, store_node_visit visit, store_done done, void *user)
{
    struct store_sqlite *sqlite = sqlite_of(store);
    struct store_node node;
    int error = 0;

    if (sqlite_may_go_on(sqlite)) {
        struct query query = query_start(sqlite, SQLITE_GET_NODE_STATEMENT);

        query_bind_int(&query, number);
        if (query_next(&query)) {
            sqlite_read_node(&query, true, &node);
            if (!query.code)
                visit(&node, user);
        }
        error = query_end(&query);
    }
    sqlite_finish(sqlite, error, done, user);
}

void sqlite_list_nodes(struct store *store, int64_t network, const char *after_id,
    store_change_visit visit, store_done done, void *user)
{
    struct store_sqlite *sqlite = sqlite_of(store);
    struct store_node node;
    int error = 0;

    if (sqlite_may_go_on(sqlite)) {
        struct query query = query_start(sqlite, SQLITE_LIST_NODES_STATEMENT);

        query_bind_int(&query, network);
        query_bind_text(&query, after_id);
        while (query_next(&query)) {
            sqlite_read_node(&query, true, &node);
            if (query.code || !visit(&node, NULL, user))
                break;
        }
        error = query_end(&query);
    }
    sqlite_finish(sqlite, error, done, user);
}

static bool sqlite_next_node(struct query *query, struct store_node *ret_node)
{
    if (!query_next(query))
        return false;
    sqlite_read_node(query, true, ret_node);
    return !query->code;
}

static bool sqlite_next_tombstone(struct query *query, struct store_tombstone *ret_tombstone)
{
    if (!query_next(query))
        return false;
    ret_tombstone->id = query_text(query);
    ret_tombstone->seq = (uint64_t)query_int(query);
    ret_tombstone->gone_ms = query_int(query);
    return !query->code;
}

/* Merges the two by seq, each read in the order of its own index. */
static int sqlite_merge_changes(struct store_sqlite *sqlite, int64_t network, uint64_t since,
    store_change_visit visit, void *user)
{
    struct query nodes = query_start(sqlite, SQLITE_CHANGED_NODES_STATEMENT);
    struct query tombstones = query_start(sqlite, SQLITE_NEW_TOMBSTONES_STATEMENT);
    struct store_node node;
    struct store_tombstone tombstone;
    bool more = true;

    query_bind_int(&nodes, network);
    query_bind_seq(&nodes, since);
    query_bind_int(&tombstones, network);
    query_bind_seq(&tombstones, since);
    bool has_node = sqlite_next_node(&nodes, &node);
    bool has_tombstone = sqlite_next_tombstone(&tombstones, &tombstone);
    while (more && (has_node || has_tombstone) && !nodes.code && !tombstones.code) {
        if (has_node && (!has_tombstone || node.seq < tombstone.seq)) {
            more = visit(&node, NULL, user);
            has_node = more && sqlite_next_node(&nodes, &node);
        } else {
            more = visit(NULL, &tombstone, user);
            has_tombstone = more && sqlite_next_tombstone(&tombstones, &tombstone);
        }
    }
    int error = query_end(&nodes);
    int other = query_end(&tombstones);
    return error ? error : other;
}

void sqlite_list_changes(struct store *store, int64_t network, uint64_t since,
    store_change_visit visit, store_done done, void *user)
{
    struct store_sqlite *sqlite = sqlite_of(store);
    int error = 0;

    if (sqlite_may_go_on(sqlite))
        error = sqlite_merge_changes(sqlite, network, since, visit, user);
    sqlite_finish(sqlite, error, done, user);
}

/* --- messages --------------------------------------------------------------------------------- */

void sqlite_read_messages(struct store *store, const int64_t *numbers, size_t count,
    store_message_visit visit, store_done done, void *user)
{
    struct store_sqlite *sqlite = sqlite_of(store);
    struct store_message message;
    bool more = true;
    int error = 0;

    for (size_t i = 0; more && i < count && !error && sqlite_may_go_on(sqlite); i++) {
        struct query query = query_start(sqlite, SQLITE_GET_MESSAGE_STATEMENT);

        query_bind_int(&query, numbers[i]);
        if (query_next(&query)) {
            sqlite_read_message(&query, true, &message);
            more = !query.code && visit(&message, user);
        }
        error = query_end(&query);
    }
    sqlite_finish(sqlite, error, done, user);
}
