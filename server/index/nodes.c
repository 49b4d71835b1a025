#include "index/internal.h"

#include "server_limits.h"

#include <nettle/base64.h>
#include <nettle/memops.h>
#include <stdlib.h>
#include <string.h>

#define HEARTBEAT_SHARE 3 /* a client is asked for a sign of life this often in its ttl */
#define HEARTBEAT_JITTER 0.1

static int clamp_ttl(double ttl_s)
{
    if (ttl_s == 0)
        return LIMIT_TTL_DEFAULT_S;
    if (!(ttl_s > LIMIT_TTL_MIN_S))
        return LIMIT_TTL_MIN_S;
    return ttl_s < LIMIT_TTL_MAX_S ? (int)ttl_s : LIMIT_TTL_MAX_S;
}

double heartbeat_after_s(struct index *index, int ttl_s)
{
    return index_jitter(index, (double)ttl_s / HEARTBEAT_SHARE, HEARTBEAT_JITTER);
}

/* --- a change of one node's record ------------------------------------------------------------ */

/* What a registration or heartbeat asks to keep, held until the store has taken it. */
struct change {
    struct index *index;
    struct network *network; /* held */
    bool created;
    bool announces;        /* brings endpoints of its own, in `announced` */
    struct text announced; /* as sent, a line each */
    struct text endpoints; /* resolved */
    char *meta, *reach;    /* NULL: as they were */
    int ttl_s;
    bool listed;
    int64_t registered_wall_ms; /* of a new node */
    uint8_t token_hash[STORE_HASH_SIZE];
    uint8_t key_hash[STORE_HASH_SIZE]; /* of the join key that admits it; zeros: none does */
    struct address observed_ipv4, observed_ipv6;
    struct fault fault;
    struct cursor cursor;
    char network_name[LIMIT_ID_CHARS + 1];
    char id[LIMIT_ID_CHARS + 1];
    char token[LIMIT_TOKEN_CHARS + 1]; /* "": the client has it */
    registered_done registered;        /* one of the two */
    heartbeat_done heartbeat;
    void *user;
};

static void change_free(struct change *change)
{
    if (!change)
        return;
    text_clear(&change->announced);
    text_clear(&change->endpoints);
    free(change->meta);
    free(change->reach);
    free(change);
}

static void change_fail(struct change *change, const struct fault *fault)
{
    if (change->registered)
        change->registered(fault, NULL, change->user);
    else
        change->heartbeat(fault, NULL, change->user);
    change_free(change);
}

static struct change *change_new(
    struct index *index, const char *meta, const char *reach, struct fault *ret_fault)
{
    struct change *change = calloc(1, sizeof *change);

    if (change) {
        change->index = index;
        change->meta = meta ? strdup(meta) : NULL;
        change->reach = reach ? strdup(reach) : NULL;
    }
    if (!change || (meta && !change->meta) || (reach && !change->reach)) {
        change_free(change);
        fault_busy(ret_fault, ERROR_NO_MEMORY);
        return NULL;
    }
    return change;
}

static const char *text_or_empty(const struct text *text)
{
    return text->bytes ? text->bytes : "";
}

/* What the index has seen of the node so far (`lease` NULL: nothing), and where it calls from now.
 */
static void change_observe(
    struct change *change, const struct lease *lease, const struct address *address)
{
    if (lease) {
        change->observed_ipv4 = lease->observed_ipv4;
        change->observed_ipv6 = lease->observed_ipv6;
    }
    if (address->family == 4)
        change->observed_ipv4 = *address;
    else if (address->family == 6)
        change->observed_ipv6 = *address;
}

static int change_announce(struct change *change, const char *const *endpoints, size_t count,
    const struct address *address, struct fault *ret_fault)
{
    change->announces = true;
    int error = endpoints_join(endpoints, count, address, &change->announced, ret_fault);
    if (error)
        return error;
    return endpoints_resolve(text_or_empty(&change->announced), &change->observed_ipv4,
        &change->observed_ipv6, change->index->config.open, false, &change->endpoints, ret_fault);
}

/* Sets a text of the record; true where that changes it. */
static bool set_text(const char **ret_kept, const char *text)
{
    if (!strcmp(*ret_kept, text))
        return false;
    *ret_kept = text;
    return true;
}

/* Is given the record as it is kept, makes it what it shall be. */
static enum store_verdict change_edit(
    struct store_node *node, bool exists, struct store_network *ret_network, void *user)
{
    struct change *change = user;
    struct network *network = change->network;
    bool write = !exists;

    if (!exists) {
        node->network = network->number;
        node->id = change->id;
        node->announced = node->endpoints = "";
        node->meta = node->reach = "{}";
        node->registered_wall_ms = change->registered_wall_ms;
        memcpy(node->token_hash, change->token_hash, STORE_HASH_SIZE);
        memcpy(node->key_hash, change->key_hash, STORE_HASH_SIZE);
    }
    bool visible = !exists || !node->listed;
    bool moved = !address_equal(&node->observed_ipv4, &change->observed_ipv4) ||
                 !address_equal(&node->observed_ipv6, &change->observed_ipv6);
    if (change->announces)
        write |= set_text(&node->announced, text_or_empty(&change->announced));
    else if (moved &&
             endpoints_resolve(node->announced, &change->observed_ipv4, &change->observed_ipv6,
                 change->index->config.open, true, &change->endpoints, &change->fault))
        return STORE_KEEP;
    if (change->announces || moved)
        visible |= set_text(&node->endpoints, text_or_empty(&change->endpoints));
    if (change->meta)
        visible |= set_text(&node->meta, change->meta);
    if (change->reach)
        visible |= set_text(&node->reach, change->reach);
    visible |= moved;
    write |= visible || node->ttl_s != change->ttl_s || node->listed != change->listed;
    node->observed_ipv4 = change->observed_ipv4;
    node->observed_ipv6 = change->observed_ipv6;
    node->ttl_s = change->ttl_s;
    node->listed = change->listed;
    if (node->listed && visible) {
        network_change(change->index, network);
        node->seq = network->seq;
    } else if (!node->listed) {
        node->seq = 0;
    }
    change->cursor.seq = network->seq;
    if (write)
        network_row(network, ret_network);
    network->stored |= write;
    return write ? STORE_WRITE : STORE_KEEP;
}

static void change_done(int error, void *user)
{
    struct change *change = user;
    struct index *index = change->index;
    struct network *network = change->network;

    network->holds--;
    if (error && !change->fault.error)
        fault_busy(&change->fault, error);
    if (change->fault.error) {
        network_let_go(index, network);
        change_fail(change, &change->fault);
        return;
    }
    if (change->registered) {
        change->registered(NULL,
            &(struct registered){
                .created = change->created,
                .id = change->id,
                .network = change->network_name,
                .token = change->token[0] ? change->token : NULL,
                .ttl_s = change->ttl_s,
                .heartbeat_after_s = heartbeat_after_s(index, change->ttl_s),
                .endpoints = text_or_empty(&change->endpoints),
                .cursor = change->cursor,
            },
            change->user);
    } else {
        const struct lease *lease = lease_find(index, network, change->id);
        change->heartbeat(NULL,
            &(struct heartbeat){
                .ttl_s = change->ttl_s,
                .heartbeat_after_s = heartbeat_after_s(index, change->ttl_s),
                .cursor = change->cursor,
                .mail = lease ? box_waiting(lease->box) : 0,
            },
            change->user);
    }
    change_free(change);
}

/* Takes the change into memory and gives it to the store. If the batch is lost, index.c reads back
 * what memory should say. */
static void change_run(struct change *change, struct lease *lease)
{
    struct index *index = change->index;
    struct network *network = lease->network;

    if (!change->created && lease->listed && !change->listed)
        network_add_tombstone(index, network, lease->id);
    lease->ttl_s = change->ttl_s;
    lease->listed = change->listed;
    lease->observed_ipv4 = change->observed_ipv4;
    lease->observed_ipv6 = change->observed_ipv6;
    lease_renew(index, lease);
    network->holds++;
    change->network = network;
    change->cursor.epoch = network->epoch;
    strcpy(change->id, lease->id);
    strcpy(change->network_name, network->name);
    index->store->f->edit_node(index->store, lease->number, change_edit, change_done, change);
    polls_answer_after_commit(index);
}

/* --- register -----------------------------------------------------------------------------------
 */

/* The token that the node will have: the client's, or a new one. */
static int registration_token(const struct caller *caller, const struct register_request *request,
    char ret_made[LIMIT_TOKEN_CHARS + 1], uint8_t ret_hash[STORE_HASH_SIZE],
    struct fault *ret_fault)
{
    uint8_t secret[32];
    struct base64_encode_ctx encoding;
    char encoded[BASE64_ENCODE_RAW_LENGTH(sizeof secret)];

    ret_made[0] = '\0';
    if (request->token) {
        if (!token_is_well_formed(request->token))
            return fault_set(ret_fault, ERROR_BAD_TOKEN,
                "token must be %d base64url characters (256 random bits, no padding)",
                LIMIT_TOKEN_CHARS);
        token_hash(request->token, LIMIT_TOKEN_CHARS, ret_hash);
        return 0;
    }
    if (caller->kind == CREDENTIAL_TOKEN) {
        memcpy(ret_hash, caller->hash, STORE_HASH_SIZE);
        return 0;
    }
    if (index_random_bytes(secret, sizeof secret))
        return fault_busy(ret_fault, ERROR_NO_MEMORY);
    base64url_encode_init(&encoding);
    size_t length = base64_encode_update(&encoding, encoded, sizeof secret, secret);
    base64_encode_final(&encoding, encoded + length);
    memcpy(ret_made, encoded, LIMIT_TOKEN_CHARS); /* without the padding */
    ret_made[LIMIT_TOKEN_CHARS] = '\0';
    token_hash(ret_made, LIMIT_TOKEN_CHARS, ret_hash);
    return 0;
}

static int fault_later(struct fault *fault, int64_t wait_ms)
{
    fault->retry_after_s = wait_ms > 0 ? (int)((wait_ms + 999) / 1000) : 1;
    return fault->error;
}

/* Is there room for one more node of this caller? */
static int check_room(struct index *index, const struct caller *caller, struct fault *ret_fault)
{
    const struct index_config *config = &index->config;

    if (config->max_nodes && index->lease_count >= config->max_nodes) {
        fault_set(ret_fault, ERROR_INDEX_FULL, "the index has its %zu nodes: try again later",
            config->max_nodes);
        return fault_later(ret_fault, LIMIT_TTL_DEFAULT_S * 1000);
    }
    if (caller->exempt || !config->max_nodes_per_address)
        return 0;
    struct source *source = source_hold(config->sources, &caller->address, index_now_ms(index));
    size_t nodes = source ? source->nodes : 0;
    source_release(config->sources, source);
    if (nodes < config->max_nodes_per_address)
        return 0;
    fault_set(ret_fault, ERROR_TOO_MANY_NODES,
        "your address has %zu nodes, the most that this index takes: let one leave first", nodes);
    return fault_later(ret_fault, LIMIT_TTL_DEFAULT_S * 1000);
}

/* The lease that this registration is about: an own live one, or a new one. */
static int find_or_add_lease(struct index *index, const struct caller *caller,
    const struct register_request *request, const char *network_name,
    const uint8_t hash[STORE_HASH_SIZE], struct change *change, struct lease **ret_lease,
    struct fault *ret_fault)
{
    struct network *network = network_find(index, network_name);
    struct lease *own = lease_find_token(index, hash);
    struct lease *lease = NULL;
    char uuid[37];

    if (!request->id)
        lease = own && own->network == network ? own : NULL;
    else if (network)
        lease = lease_find(index, network, request->id);
    if (lease && lease != own) {
        fault_set(ret_fault, ERROR_ID_TAKEN,
            "%s is held by another node: choose another id, or send the token of that node",
            request->id);
        return fault_later(ret_fault, lease->expires_ms - index_now_ms(index));
    }
    change_observe(change, lease, &caller->address);
    int error = change_announce(
        change, request->endpoints, request->endpoint_count, &caller->address, ret_fault);
    if (error)
        return error;
    if (lease) {
        *ret_lease = lease;
        return 0;
    }
    if (own)
        return fault_set(ret_fault, ERROR_TOKEN_IN_USE,
            "the token is that of node %s: one token, one node", own->id);
    error = check_room(index, caller, ret_fault);
    if (error)
        return error;
    index_make_uuid(uuid);
    network = network_make(index, network_name);
    if (network)
        lease =
            lease_add(index, network, request->id ? request->id : uuid, index->next_node++, hash);
    if (!lease) {
        if (network)
            network_let_go(index, network);
        return fault_busy(ret_fault, ERROR_NO_MEMORY);
    }
    if (!caller->exempt)
        lease_count_source(index, lease, &caller->address);
    lease->registered_wall_ms = clock_wall_ms(index->config.clock);
    change->registered_wall_ms = lease->registered_wall_ms;
    change->created = true;
    *ret_lease = lease;
    return 0;
}

void index_register(struct index *index, const struct caller *caller,
    const struct register_request *request, registered_done done, void *user)
{
    struct fault fault = {0};
    struct change *change = NULL;
    struct lease *lease = NULL;
    struct caller admitted = *caller;
    const char *network_name;

    /* A token here is proof of this one node, known or not: it admits where no key is needed. */
    if (index->config.open && admitted.kind == CREDENTIAL_TOKEN &&
        !lease_find_token(index, admitted.hash))
        admitted.kind = CREDENTIAL_NONE;
    if (index_may_write(index, &fault) ||
        network_resolve(index, &admitted, request->network, &network_name, &fault) ||
        (request->id && id_check("the id", request->id, &fault)))
        goto refused;
    change = change_new(index, request->meta ? request->meta : "{}",
        request->reach ? request->reach : "{}", &fault);
    if (!change || registration_token(caller, request, change->token, change->token_hash, &fault) ||
        find_or_add_lease(
            index, caller, request, network_name, change->token_hash, change, &lease, &fault))
        goto refused;
    if (caller->kind == CREDENTIAL_KEY)
        memcpy(change->key_hash, caller->hash, STORE_HASH_SIZE);
    change->ttl_s = clamp_ttl(request->ttl_s);
    change->listed = request->listed;
    change->registered = done;
    change->user = user;
    change_run(change, lease);
    return;

refused:
    change_free(change);
    done(&fault, NULL, user);
}

/* --- heartbeat ----------------------------------------------------------------------------------
 */

/* A heartbeat that changed nothing, while a batch is open whose outcome it speaks of. */
struct pending_heartbeat {
    struct heartbeat result;
    heartbeat_done done;
    void *user;
};

static void heartbeat_committed(int error, void *user)
{
    struct pending_heartbeat *pending = user;
    struct fault fault;

    if (error)
        fault_busy(&fault, error);
    pending->done(error ? &fault : NULL, error ? NULL : &pending->result, pending->user);
    free(pending);
}

static void heartbeat_unchanged(
    struct index *index, struct lease *lease, heartbeat_done done, void *user)
{
    struct heartbeat result = {
        .ttl_s = lease->ttl_s,
        .heartbeat_after_s = heartbeat_after_s(index, lease->ttl_s),
        .cursor = {lease->network->epoch, lease->network->seq},
        .mail = box_waiting(lease->box),
    };
    struct pending_heartbeat *pending;

    lease_renew(index, lease);
    if (!index->store->open_batch) {
        done(NULL, &result, user);
        return;
    }
    pending = malloc(sizeof *pending);
    if (!pending) {
        struct fault fault;
        fault_busy(&fault, ERROR_NO_MEMORY);
        done(&fault, NULL, user);
        return;
    }
    *pending = (struct pending_heartbeat){result, done, user};
    index->store->f->barrier(index->store, heartbeat_committed, pending);
}

static bool moved(const struct lease *lease, const struct address *address)
{
    return !address_equal(
        address->family == 4 ? &lease->observed_ipv4 : &lease->observed_ipv6, address);
}

void index_heartbeat(struct index *index, const struct caller *caller,
    const struct heartbeat_request *request, heartbeat_done done, void *user)
{
    struct fault fault = {0};
    struct change *change = NULL;
    struct lease *lease;

    if (lease_of_caller(index, caller, &lease, &fault))
        goto refused;
    if (request->id && strcmp(request->id, lease->id) != 0) {
        fault_set(&fault, ERROR_NOT_YOURS, "the token is that of node %s, not of the id given",
            lease->id);
        goto refused;
    }
    if (!request->has_endpoints && !request->meta && !request->reach &&
        !moved(lease, &caller->address)) {
        heartbeat_unchanged(index, lease, done, user);
        return;
    }
    lease_renew(index, lease);
    if (index_may_write(index, &fault))
        goto refused;
    change = change_new(index, request->meta, request->reach, &fault);
    if (!change)
        goto refused;
    change_observe(change, lease, &caller->address);
    if (request->has_endpoints && change_announce(change, request->endpoints,
                                      request->endpoint_count, &caller->address, &fault))
        goto refused;
    change->ttl_s = lease->ttl_s;
    change->listed = lease->listed;
    change->heartbeat = done;
    change->user = user;
    change_run(change, lease);
    return;

refused:
    change_free(change);
    done(&fault, NULL, user);
}

/* --- one node ------------------------------------------------------------------------------------
 */

struct lookup {
    struct index *index;
    struct network *network; /* held */
    node_visit visit;
    index_done done;
    void *user;
    bool found;
    char id[LIMIT_ID_CHARS + 1];
};

static int fault_unknown(struct fault *ret_fault, const char *id)
{
    return fault_set(ret_fault, ERROR_UNKNOWN_NODE,
        "%s is not registered here now: it left, its lease ran out, or it is in another network",
        id);
}

/* Which live node a request names, in the network that it may see. */
static int find_named(struct index *index, const struct caller *caller, const char *network_name,
    const char *id, struct lease **ret_lease, struct fault *ret_fault)
{
    const char *name;
    int error = network_resolve(index, caller, network_name, &name, ret_fault);

    if (!error)
        error = id_check("the id", id, ret_fault);
    if (error)
        return error;
    struct network *network = network_find(index, name);
    struct lease *lease = network ? lease_find(index, network, id) : NULL;
    if (!lease)
        return fault_unknown(ret_fault, id);
    *ret_lease = lease;
    return 0;
}

static bool lookup_visit(const struct store_node *node, void *user)
{
    struct lookup *lookup = user;
    const struct lease *lease = lease_find(lookup->index, lookup->network, node->id);

    if (!lease)
        return false;
    struct node_view view;
    lease_view(lookup->index, lease, node, &view);
    lookup->found = true;
    return lookup->visit(&view, lookup->user);
}

static void lookup_done(int error, void *user)
{
    struct lookup *lookup = user;
    struct fault fault;

    lookup->network->holds--;
    network_let_go(lookup->index, lookup->network);
    if (!error && !lookup->found)
        error = fault_unknown(&fault, lookup->id);
    else if (error)
        fault_busy(&fault, error);
    lookup->done(error ? &fault : NULL, lookup->user);
    free(lookup);
}

void index_get_node(struct index *index, const struct caller *caller, const char *network,
    const char *id, node_visit visit, index_done done, void *user)
{
    struct fault fault = {0};
    struct lease *lease;
    struct lookup *lookup;

    if (find_named(index, caller, network, id, &lease, &fault)) {
        done(&fault, user);
        return;
    }
    lookup = calloc(1, sizeof *lookup);
    if (!lookup) {
        fault_busy(&fault, ERROR_NO_MEMORY);
        done(&fault, user);
        return;
    }
    *lookup = (struct lookup){index, lease->network, visit, done, user, false, ""};
    strcpy(lookup->id, id);
    lease->network->holds++;
    index->store->f->get_node(index->store, lease->number, lookup_visit, lookup_done, lookup);
}

struct removal {
    index_done done;
    void *user;
};

static void removal_done(int error, void *user)
{
    struct removal *removal = user;
    struct fault fault;

    if (error)
        fault_busy(&fault, error);
    removal->done(error ? &fault : NULL, removal->user);
    free(removal);
}

void index_remove_node(struct index *index, const struct caller *caller, const char *network,
    const char *id, index_done done, void *user)
{
    struct fault fault = {0};
    struct lease *lease, *own;
    struct removal *removal = NULL;
    bool by_operator = caller->kind == CREDENTIAL_KEY && caller->key_operator;

    if (caller->kind == CREDENTIAL_KEY && !by_operator) {
        fault_set(&fault, ERROR_NOT_YOURS,
            "a member's key removes no node: send the node's token, or an operator's key");
        goto refused;
    }
    if (index_may_write(index, &fault) ||
        (!by_operator && lease_of_caller(index, caller, &own, &fault)) ||
        find_named(index, caller, network, id, &lease, &fault))
        goto refused;
    if (!by_operator && lease != own) {
        fault_set(&fault, ERROR_NOT_YOURS, "the token is that of node %s, not of %s", own->id, id);
        goto refused;
    }
    removal = malloc(sizeof *removal);
    if (!removal) {
        fault_busy(&fault, ERROR_NO_MEMORY);
        goto refused;
    }
    *removal = (struct removal){done, user};
    lease_end(index, lease);
    index->store->f->barrier(index->store, removal_done, removal);
    return;

refused:
    done(&fault, user);
}
