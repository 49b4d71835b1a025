#include "mesh.h"

#include "direct/direct_internal.h"
#include "direct/endpoint.h"
#include "mesh_choice.h"
#include "mesh_core.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEAD_AFTER_S 15u
#define DEAD_AFTER_MOST_S 86400u
#define KEEPALIVE_PROBES 3

/* A peer that is in the table, or that we are connected to, or about to be. */
struct neighbour {
    struct neighbour *next, **place;
    char peer[65];
    bool listed, linked;
    bool stale;                    /* no index that lists it answers */
    uint64_t reached_at;           /* a hash of where it can be reached */
    uint64_t request;              /* of our connect; 0: none */
    int error;                     /* for which it could not begin; the core is to be told */
    struct sockaddr_storage local; /* where linked: our end */
    bool local_known;
};

struct signpost_mesh {
    signpost_t *client;
    signpost_mesh_config_t config;
    struct mesh_core *core;
    void *tree; /* of neighbours, by peer */
    struct neighbour *first;
    uv_timer_t timer;
    bool failing; /* a connect could not begin */
    bool cancelling;
    bool stopped;
};

static int64_t now_of(const struct signpost_mesh *mesh)
{
    return client_now_ms(mesh->client);
}

/* --- the neighbours -------------------------------------------------------------------------- */

static int compare(const void *one, const void *other)
{
    return strcmp(((const struct neighbour *)one)->peer, ((const struct neighbour *)other)->peer);
}

static struct neighbour *find(const struct signpost_mesh *mesh, const char *peer)
{
    struct neighbour wanted;
    void *found;

    snprintf(wanted.peer, sizeof wanted.peer, "%s", peer);
    found = tfind(&wanted, &mesh->tree, compare);
    return found ? *(struct neighbour **)found : NULL;
}

/* NULL: no memory. */
static struct neighbour *get(struct signpost_mesh *mesh, const char *peer)
{
    struct neighbour *neighbour = find(mesh, peer);

    if (neighbour)
        return neighbour;
    neighbour = calloc(1, sizeof *neighbour);
    if (!neighbour)
        return NULL;
    snprintf(neighbour->peer, sizeof neighbour->peer, "%s", peer);
    if (!tsearch(neighbour, &mesh->tree, compare)) {
        free(neighbour);
        return NULL;
    }
    neighbour->next = mesh->first;
    neighbour->place = &mesh->first;
    if (mesh->first)
        mesh->first->place = &neighbour->next;
    mesh->first = neighbour;
    return neighbour;
}

/* Where nothing is left of it. */
static void let_go(struct signpost_mesh *mesh, struct neighbour *neighbour)
{
    if (neighbour->listed || neighbour->linked || neighbour->request || neighbour->error)
        return;
    tdelete(neighbour, &mesh->tree, compare);
    *neighbour->place = neighbour->next;
    if (neighbour->next)
        neighbour->next->place = neighbour->place;
    free(neighbour);
}

/* FNV-1a over the texts, each with its end. */
static uint64_t add_to_hash(uint64_t hash, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (const char *at = texts[i];; at++) {
            hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
            if (!*at)
                break;
        }
    return hash;
}

static uint64_t reached_at(const signpost_peer_t *peer)
{
    uint64_t hash = add_to_hash(0xcbf29ce484222325u, peer->endpoints, peer->endpoint_count);
    return add_to_hash(hash, peer->observed, peer->observed_count);
}

/* --- the core's time ------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void follow(struct signpost_mesh *mesh)
{
    int64_t now_ms = now_of(mesh);
    int64_t due_ms = mesh->failing ? now_ms : mesh_core_due_ms(mesh->core);

    if (mesh->stopped)
        return;
    if (due_ms == INT64_MAX)
        uv_timer_stop(&mesh->timer);
    else
        uv_timer_start(
            &mesh->timer, on_timer, due_ms > now_ms ? (uint64_t)(due_ms - now_ms) : 0, 0);
}

static void fail(struct signpost_mesh *mesh, const char *peer, const char *reason)
{
    struct neighbour *neighbour;

    mesh_core_failed(mesh->core, peer, now_of(mesh));
    neighbour = find(mesh, peer);
    if (neighbour)
        let_go(mesh, neighbour);
    if (mesh->config.on_trouble && !mesh->stopped)
        mesh->config.on_trouble(mesh, peer, reason, mesh->config.user);
}

/* The core hears of it later, as of any connect that fails. */
static void tell_failures(struct signpost_mesh *mesh)
{
    struct neighbour *at = mesh->first;
    char peer[65];

    while (at && !mesh->stopped) {
        int error = at->error;
        if (!error) {
            at = at->next;
            continue;
        }
        at->error = 0;
        strcpy(peer, at->peer);
        fail(mesh, peer, signpost_strerror(error));
        at = mesh->first; /* others may be gone */
    }
    mesh->failing = false;
}

static void on_timer(uv_timer_t *timer)
{
    struct signpost_mesh *mesh = timer->data;

    if (mesh->failing)
        tell_failures(mesh);
    mesh_core_tick(mesh->core, now_of(mesh));
    follow(mesh);
}

/* --- connections ----------------------------------------------------------------------------- */

/* A peer that is gone without a word is noticed when nothing gets through for a while, whether we
 * have something to say to it or not. */
static void watch_over(const struct signpost_mesh *mesh, int fd)
{
    unsigned dead_after_s = mesh->config.dead_after_s ? mesh->config.dead_after_s : DEAD_AFTER_S;
    int on = 1, probes = KEEPALIVE_PROBES, idle_s = (int)(dead_after_s + 3) / 4;
    unsigned timeout_ms = dead_after_s * 1000;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

static void link_up(struct signpost_mesh *mesh, const signpost_connection_t *connection)
{
    struct neighbour *neighbour = get(mesh, connection->peer);
    socklen_t size = sizeof neighbour->local;

    if (!neighbour) {
        close(connection->fd);
        mesh_core_lost(mesh->core, connection->peer, now_of(mesh));
        return;
    }
    neighbour->linked = true;
    neighbour->local_known =
        !getsockname(connection->fd, (struct sockaddr *)&neighbour->local, &size);
    watch_over(mesh, connection->fd);
    mesh->config.on_link(mesh, connection, mesh->config.user);
}

static void link_down(struct signpost_mesh *mesh, const char *peer)
{
    struct neighbour *neighbour = find(mesh, peer);

    if (!neighbour)
        return;
    neighbour->linked = false;
    let_go(mesh, neighbour);
}

/* The application may have stopped us from inside an on_unlink that came before. */
static void take(
    struct signpost_mesh *mesh, const signpost_connection_t *connection, bool is_of_use)
{
    if (is_of_use && !mesh->stopped)
        link_up(mesh, connection);
    else
        close(connection->fd);
}

static void on_connected(signpost_t *client, const char *peer, int error, const char *reason,
    const signpost_connection_t *connection, void *user)
{
    struct signpost_mesh *mesh = user;
    struct neighbour *neighbour = find(mesh, peer);

    (void)client;
    if (error == SIGNPOST_ERROR_CANCELLED)
        return;
    if (neighbour)
        neighbour->request = 0;
    if (mesh->stopped) {
        if (!error)
            close(connection->fd);
        return;
    }
    if (error)
        fail(mesh, peer, reason);
    else if (connection->called) /* both had asked, and the peer's session went on */
        mesh_called(mesh, connection);
    else
        take(mesh, connection, mesh_core_connected(mesh->core, peer, now_of(mesh)));
    follow(mesh);
}

void mesh_called(struct signpost_mesh *mesh, const signpost_connection_t *connection)
{
    take(mesh, connection,
        !mesh->stopped && mesh_core_called(mesh->core, connection->peer, now_of(mesh)));
    follow(mesh);
}

bool mesh_accepts(struct signpost_mesh *mesh, const char *peer)
{
    bool accepts = !mesh->stopped && mesh_core_accepts(mesh->core, peer, now_of(mesh));

    follow(mesh);
    return accepts;
}

void mesh_missed(struct signpost_mesh *mesh, const char *peer)
{
    if (mesh->stopped || mesh->cancelling) /* then the core is the one that does it */
        return;
    mesh_core_missed(mesh->core, peer, now_of(mesh));
    follow(mesh);
}

void signpost_mesh_lost(signpost_mesh_t *mesh, const char *peer)
{
    if (mesh->stopped)
        return;
    link_down(mesh, peer);
    mesh_core_lost(mesh->core, peer, now_of(mesh));
    follow(mesh);
}

/* --- what the core wants --------------------------------------------------------------------- */

static void connect_to(void *user, const char *peer)
{
    struct signpost_mesh *mesh = user;
    struct neighbour *neighbour = find(mesh, peer); /* it is listed, so that there is one */

    neighbour->error =
        signpost_connect(mesh->client, peer, NULL, on_connected, mesh, &neighbour->request);
    mesh->failing |= neighbour->error != 0;
}

static void cancel(void *user, const char *peer)
{
    struct signpost_mesh *mesh = user;
    struct neighbour *neighbour = find(mesh, peer);

    if (!neighbour)
        return;
    neighbour->error = 0;
    mesh->cancelling = true;
    if (neighbour->request)
        signpost_connect_cancel(mesh->client, neighbour->request);
    mesh->cancelling = false;
    neighbour->request = 0;
    let_go(mesh, neighbour);
}

static void unlink_peer(void *user, const char *peer, const char *reason)
{
    struct signpost_mesh *mesh = user;
    char copy[65];

    snprintf(copy, sizeof copy, "%s", peer);
    link_down(mesh, copy);
    if (!mesh->stopped)
        mesh->config.on_unlink(mesh, copy, reason, mesh->config.user);
}

static uint64_t jitter(void *user, uint64_t most)
{
    const struct signpost_mesh *mesh = user;
    return client_jitter(mesh->client, most);
}

static const struct mesh_actions actions = {
    .connect = connect_to,
    .cancel = cancel,
    .unlink = unlink_peer,
    .random = jitter,
};

/* --- what happens ---------------------------------------------------------------------------- */

void mesh_peer(struct signpost_mesh *mesh, signpost_peer_event_t event, const signpost_peer_t *peer)
{
    struct neighbour *neighbour;

    if (mesh->stopped)
        return;
    if (event == SIGNPOST_PEER_DOWN) {
        mesh_core_down(mesh->core, peer->id, now_of(mesh));
        neighbour = find(mesh, peer->id);
        if (neighbour) {
            neighbour->listed = false;
            let_go(mesh, neighbour);
        }
        follow(mesh);
        return;
    }
    neighbour = get(mesh, peer->id);
    if (!neighbour)
        return;
    /* Also where an index is back, without which nothing could come of it. */
    bool changed = neighbour->reached_at != reached_at(peer) || (neighbour->stale && !peer->stale);
    neighbour->reached_at = reached_at(peer);
    neighbour->stale = peer->stale;
    if (!neighbour->listed)
        neighbour->listed = mesh_core_up(mesh->core, peer->id, now_of(mesh));
    else if (changed)
        mesh_core_changed(mesh->core, peer->id, now_of(mesh));
    let_go(mesh, neighbour); /* where there was no memory for it */
    follow(mesh);
}

/* One whose connection was made from an address that we have no more. NULL: none. */
static struct neighbour *find_stranded(const struct signpost_mesh *mesh)
{
    struct neighbour *at = mesh->first;

    while (at &&
           !(at->linked && at->local_known && !direct_has_local(mesh->client->direct, &at->local)))
        at = at->next;
    return at;
}

/* Each is looked for anew: the application may lose others meanwhile, or stop. */
void mesh_addresses_changed(struct signpost_mesh *mesh)
{
    struct neighbour *stranded;

    while (!mesh->stopped && (stranded = find_stranded(mesh))) {
        stranded->local_known = false;
        mesh_core_address_gone(mesh->core, stranded->peer, now_of(mesh));
    }
    follow(mesh);
}

/* --- life ------------------------------------------------------------------------------------ */

static bool add_peer(const signpost_peer_t *peer, void *user)
{
    mesh_peer(user, SIGNPOST_PEER_UP, peer);
    return true;
}

int signpost_mesh_start(
    signpost_t *client, const signpost_mesh_config_t *config, signpost_mesh_t **ret_mesh)
{
    struct signpost_mesh *mesh;

    if (client->stopping)
        return SIGNPOST_ERROR_STOPPED;
    if (client->mesh || !signpost_port(client) || !config->on_link || !config->on_unlink ||
        config->neighbours == 1 || config->neighbours > MESH_NEIGHBOURS_MAX ||
        config->dead_after_s > DEAD_AFTER_MOST_S)
        return SIGNPOST_ERROR_INVALID;
    mesh = calloc(1, sizeof *mesh);
    if (!mesh)
        return SIGNPOST_ERROR_NO_MEMORY;
    mesh->client = client;
    mesh->config = *config;
    mesh->core = mesh_core_new(client->id, config->neighbours, &actions, mesh);
    if (!mesh->core) {
        free(mesh);
        return SIGNPOST_ERROR_NO_MEMORY;
    }
    uv_timer_init(client->loop, &mesh->timer);
    mesh->timer.data = mesh;
    client_hold(client);
    client->mesh = mesh;
    *ret_mesh = mesh;
    signpost_peers(client, add_peer, mesh);
    return 0;
}

void mesh_stop(struct signpost_mesh *mesh)
{
    mesh->stopped = true;
    uv_timer_stop(&mesh->timer);
}

static void on_closed(uv_handle_t *handle)
{
    struct signpost_mesh *mesh = handle->data;
    signpost_t *client = mesh->client;

    while (mesh->first) {
        struct neighbour *neighbour = mesh->first;
        mesh->first = neighbour->next;
        tdelete(neighbour, &mesh->tree, compare);
        free(neighbour);
    }
    mesh_core_free(mesh->core);
    free(mesh);
    client_release(client);
}

void mesh_close(struct signpost_mesh *mesh)
{
    uv_close((uv_handle_t *)&mesh->timer, on_closed);
}
