#include "index/change.h"

#include "metrics.h"
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

/* --- register -------------------------------------------------------------------------------- */

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
static int check_room(struct index *index, const struct caller *caller,
    const struct network *network, struct fault *ret_fault)
{
    const struct index_config *config = &index->config;

    if (config->max_nodes && index->lease_count >= config->max_nodes) {
        metrics_add(METRIC_LIMIT_NODES, 1);
        fault_set(ret_fault, ERROR_INDEX_FULL, "the index has its %zu nodes: try again later",
            config->max_nodes);
        return fault_later(ret_fault, LIMIT_TTL_DEFAULT_S * 1000);
    }
    if (network && config->max_nodes_per_network &&
        network->nodes >= config->max_nodes_per_network) {
        metrics_add(METRIC_LIMIT_NODES_NETWORK, 1);
        fault_set(ret_fault, ERROR_NETWORK_FULL,
            "the network has %zu nodes, the most that this index takes: let one leave first",
            network->nodes);
        return fault_later(ret_fault, LIMIT_TTL_DEFAULT_S * 1000);
    }
    if (caller->exempt || !config->max_nodes_per_address)
        return 0;
    struct source *source = source_hold(config->sources, &caller->address, index_now_ms(index));
    size_t nodes = source ? source->nodes : 0;
    source_release(config->sources, source);
    if (nodes < config->max_nodes_per_address)
        return 0;
    metrics_add(METRIC_LIMIT_NODES_ADDRESS, 1);
    fault_set(ret_fault, ERROR_TOO_MANY_NODES,
        "your address has %zu nodes, the most that this index takes: let one leave first", nodes);
    return fault_later(ret_fault, LIMIT_TTL_DEFAULT_S * 1000);
}

/* May its node make one more network? */
static int check_network_room(
    struct index *index, const struct caller *caller, struct fault *ret_fault)
{
    size_t networks = 0;

    if (index->networks.count >= LIMIT_NETWORKS) {
        metrics_add(METRIC_LIMIT_ALL_NETWORKS, 1);
        fault_set(ret_fault, ERROR_INDEX_FULL, "the index has all the networks it takes");
        return fault_later(ret_fault, LIMIT_TOMBSTONE_S * 1000LL);
    }
    if (!caller->exempt) {
        struct source *source =
            source_hold(index->config.sources, &caller->address, index_now_ms(index));
        networks = source ? source->networks : 0;
        source_release(index->config.sources, source);
    }
    if (networks < LIMIT_NETWORKS_PER_ADDRESS)
        return 0;
    metrics_add(METRIC_LIMIT_ADDRESS_NETWORKS, 1);
    fault_set(ret_fault, ERROR_TOO_MANY_NODES,
        "nodes of your address made %zu networks within an hour: use one that is there", networks);
    return fault_later(ret_fault, LIMIT_TOMBSTONE_S * 1000LL);
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
        return fault_later(ret_fault, lease->expires_ms - lease_now_ms(index));
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
    if (!index->config.open && caller->kind != CREDENTIAL_KEY)
        return fault_set(ret_fault, ERROR_NO_CREDENTIAL,
            "a node token is proof of its own node: for another one send a join key in "
            "Authorization: Bearer, and its token in the body");
    error = check_room(index, caller, network, ret_fault);
    if (error)
        return error;
    if (!network || !network->stored) {
        error = check_network_room(index, caller, ret_fault);
        if (error)
            return error;
    }
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
    if (!network->stored)
        network_count_source(network, lease->source);
    lease->registered_wall_ms = clock_wall_ms(index->config.clock);
    change->registered_wall_ms = lease->registered_wall_ms;
    change->created = true;
    *ret_lease = lease;
    return 0;
}

/* A token in a registration is proof of one node, known or not. That of a live one admits to its
 * network, wherever it stands; another admits nobody: without a key only an open index takes it. */
static void admit_by_token(
    const struct index *index, const struct register_request *request, struct caller *caller)
{
    if (caller->kind == CREDENTIAL_NONE && request->token && token_is_well_formed(request->token)) {
        token_hash(request->token, LIMIT_TOKEN_CHARS, caller->hash);
        caller->kind = CREDENTIAL_TOKEN;
    }
    if (caller->kind == CREDENTIAL_TOKEN && !lease_find_token(index, caller->hash))
        caller->kind = CREDENTIAL_NONE;
}

void index_register(struct index *index, const struct caller *caller,
    const struct register_request *request, registered_done done, void *user)
{
    struct fault fault = {0};
    struct change *change = NULL;
    struct lease *lease = NULL;
    struct caller admitted = *caller;
    const char *network_name;

    admit_by_token(index, request, &admitted);
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
    change->by_key = caller->kind == CREDENTIAL_KEY;
    if (change->by_key)
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

/* --- heartbeat ------------------------------------------------------------------------------- */

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
