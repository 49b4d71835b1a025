#include "index/internal.h"

#include "metrics.h"
#include "server_limits.h"

#include <stdlib.h>
#include <string.h>

/* --- one node -------------------------------------------------------------------------------- */

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

/* --- who asks -------------------------------------------------------------------------------- */

struct identifying {
    identity_done done;
    void *user;
    bool open, is_node;
    char id[LIMIT_ID_CHARS + 1];
};

static void identify_done(int error, void *user)
{
    struct identifying *identifying = user;
    struct identity identity = {
        .node = identifying->is_node ? identifying->id : NULL,
        .open = identifying->open,
    };
    struct fault fault;

    if (error)
        fault_busy(&fault, error);
    identifying->done(error ? &fault : NULL, error ? NULL : &identity, identifying->user);
    free(identifying);
}

void index_identify(
    struct index *index, const struct caller *caller, identity_done done, void *user)
{
    const char *network;
    struct fault fault = {0};
    struct identifying *identifying = NULL;

    if (network_resolve(index, caller, NULL, &network, &fault)) {
        done(&fault, NULL, user);
        return;
    }
    identifying = calloc(1, sizeof *identifying);
    if (!identifying) {
        fault_busy(&fault, ERROR_NO_MEMORY);
        done(&fault, NULL, user);
        return;
    }
    *identifying = (struct identifying){.done = done, .user = user, .open = index->config.open};
    if (caller->kind == CREDENTIAL_TOKEN) {
        identifying->is_node = true;
        strcpy(identifying->id, lease_find_token(index, caller->hash)->id);
    }
    /* A node that has only just registered is one when that is committed. */
    index->store->f->barrier(index->store, identify_done, identifying);
}

/* --- the end of a node ----------------------------------------------------------------------- */

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
    metrics_add(METRIC_GONE_LEFT, 1);
    lease_end(index, lease);
    index->store->f->barrier(index->store, removal_done, removal);
    return;

refused:
    done(&fault, user);
}
