#include "request_world.h"

#include "codec.h"
#include "http/check.h"
#include "http/door.h"
#include "keys.h"
#include "log.h"
#include "net/source.h"
#include "pages/pages.h"
#include "store/memory.h"
#include "want.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define START_MS 1000000
#define START_WALL_MS 1767609000000 /* 2026-01-05T10:30:00Z */
#define TURNS_MAX 10000             /* past this the index never comes to rest */
#define CREDENTIAL_RATE 10
#define REQUEST_RATE 20 /* a second, so that an input can be too much */
#define WAITERS_MAX 3
#define NODES_MAX 8
#define HEADERS_TIMEOUT_S 10
#define BODY_TIMEOUT_S 20

/* The last of the 43 characters has only four bits of the 256: an A is always right. */
const char *const world_secrets[WORLD_SECRETS] = {
    "1111111111111111111111111111111111111111_1A",
    "2222222222222222222222222222222222222222-2A",
    "333333333333333333333333333333333333333333A",
    "spk_4444444444444444444444444444444444444444-4A",
    "spk_5555555555555555555555555555555555555555_5A",
    "spk_666666666666666666666666666666666666666666A",
};

static const char *const key_lines[] = {"default member", "default operator", "other member"};

static const char *const peers[WORLD_PEERS] = {
    "127.0.0.1", "203.0.113.7", "10.0.0.1", "2001:db8:7::1"};

struct world {
    uv_loop_t uv;
    struct clock clock;
    int64_t passed_ms;
    struct store *store;
    struct sources *sources;
    struct index *index;
    struct checker *checker;
    struct http_door *door;
    struct MHD_Daemon *daemon; /* of HTTP */
    struct keys *keys;         /* NULL: it is open */
    struct address_range trusted;
    char cursor[CURSOR_TEXT_SIZE], next[CURSOR_TEXT_SIZE];
};

static struct pages *pages; /* the same for each input, and slow to make */

/* --- what is taken the place of --------------------------------------------------------------- */

static uint64_t random_state;
static struct MHD_Daemon *last_daemon;

/* Random numbers that are the same for each input, so that what is found is found again. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the system's are __ */
ssize_t getrandom(void *bytes, size_t size, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < size; i++) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)bytes)[i] = (uint8_t)(random_state >> 56);
    }
    return (ssize_t)size;
}

/* The loop asks for the descriptor of each daemon that it has started; that is how it is found
 * here. */
const union MHD_DaemonInfo *MHD_get_daemon_info(
    struct MHD_Daemon *daemon, enum MHD_DaemonInfoType type, ...)
{
    static const union MHD_DaemonInfo *(*real)(struct MHD_Daemon *, enum MHD_DaemonInfoType, ...);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "MHD_get_daemon_info");
    last_daemon = daemon;
    return real(daemon, type);
}

static int64_t read_now(void *user)
{
    return START_MS + ((const struct world *)user)->passed_ms;
}

static int64_t read_wall(void *user)
{
    return START_WALL_MS + ((const struct world *)user)->passed_ms;
}

/* --- running --------------------------------------------------------------------------------- */

static bool on_pass_done(void *user)
{
    struct world *world = user;

    if (world->store->open_batch)
        world->store->f->flush(world->store);
    return world->store->open_batch;
}

/* Until nothing is ready. */
static void settle(struct world *world)
{
    struct http_loop *http = http_door_loop(world->door);
    int turn = 0;

    do {
        want(turn++ < TURNS_MAX);
        uv_run(&world->uv, UV_RUN_NOWAIT);
        http_loop_pump(http);
        if (index_next_due_ms(world->index) <= clock_now_ms(&world->clock))
            index_tick(world->index);
    } while (world->store->open_batch || http_loop_triggered(http) ||
             index_next_due_ms(world->index) <= clock_now_ms(&world->clock));
}

bool world_hear(struct world *world, int fd, struct text *ret_replies)
{
    char bytes[16384];
    ssize_t size;

    do {
        settle(world);
        size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (size > 0)
            text_append(ret_replies, bytes, (size_t)size);
    } while (size > 0);
    return size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

bool world_send(
    struct world *world, int fd, const void *bytes, size_t size, struct text *ret_replies)
{
    (void)!send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    return world_hear(world, fd, ret_replies);
}

void world_pass_time(struct world *world, int64_t ms)
{
    int64_t end_ms = world->passed_ms + ms;

    /* Second by second, as the timers of the service do. */
    while (world->passed_ms < end_ms) {
        world->passed_ms += end_ms - world->passed_ms < 1000 ? end_ms - world->passed_ms : 1000;
        settle(world);
    }
}

int world_connect(struct world *world, enum world_peer peer)
{
    struct address address;
    struct sockaddr_storage name;
    int ends[2];

    want(address_parse(peers[peer], &address));
    socklen_t size = address_to_sockaddr(&address, 40000, &name);
    want(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends));
    want(MHD_add_connection(world->daemon, ends[0], (struct sockaddr *)&name, size) == MHD_YES);
    return ends[1];
}

/* --- join keys -------------------------------------------------------------------------------- */

/* Those from the given one on. */
static struct keys *read_keys(size_t first)
{
    struct text text = {0};
    struct keys *keys = NULL;
    struct fault fault;

    for (size_t i = first; i < WORLD_SECRETS - WORLD_NODES; i++) {
        const char *key = world_secrets[WORLD_NODES + i];
        uint8_t hash[STORE_HASH_SIZE];
        token_hash(key, strlen(key), hash);
        text_printf(&text, "%s ", key_lines[i]);
        for (size_t j = 0; j < sizeof hash; j++)
            text_printf(&text, "%02x", hash[j]);
        text_puts(&text, "\n");
    }
    want(!keys_parse(text.bytes, text.length, &keys, &fault));
    text_clear(&text);
    return keys;
}

static bool on_admits(const uint8_t key_hash[STORE_HASH_SIZE], const char *network, void *user)
{
    return keys_admit(((struct world *)user)->keys, key_hash, network);
}

void world_withdraw_key(struct world *world)
{
    struct keys *before = world->keys;

    if (!before)
        return;
    world->keys = read_keys(1);
    http_door_set_keys(world->door, world->keys);
    keys_free(before);
    index_evict(world->index);
    settle(world);
}

/* --- what is there before --------------------------------------------------------------------- */

static struct caller owner(unsigned node)
{
    struct caller caller = {.kind = CREDENTIAL_TOKEN};

    want(address_parse(peers[node % 2 ? WORLD_STRANGER : WORLD_LOOPBACK], &caller.address));
    token_hash(world_secrets[node], strlen(world_secrets[node]), caller.hash);
    return caller;
}

static void on_done(const struct fault *fault, void *user)
{
    (void)user;
    want(!fault);
}

static void on_registered(const struct fault *fault, const struct registered *result, void *user)
{
    struct world *world = user;

    want(!fault);
    cursor_format(&result->cursor, world->cursor);
}

static void on_sent(const struct fault *fault, const struct sent *result, void *user)
{
    (void)result;
    (void)user;
    want(!fault);
}

static bool on_message(const struct message_view *message, void *user)
{
    (void)message;
    (void)user;
    return true;
}

static void on_polled(const struct fault *fault, const struct poll_result *result, void *user)
{
    struct world *world = user;

    want(!fault);
    cursor_format(&result->next, world->next);
}

static void register_node(struct world *world, unsigned node, const char *id)
{
    static const char *const endpoints[] = {"grpc://:50051", "udp://0.0.0.0:4000"};
    struct caller caller = owner(node);
    const char *key = world_secrets[WORLD_NODES];

    if (world->keys) {
        caller.kind = CREDENTIAL_KEY;
        token_hash(key, strlen(key), caller.hash);
        strcpy(caller.key_network, "default");
    }
    index_register(world->index, &caller,
        &(struct register_request){
            .id = id,
            .token = world_secrets[node],
            .endpoints = endpoints,
            .endpoint_count = 2,
            .meta = node ? "{\"role\":\"node\"}" : "{\"role\":\"master\",\"n\":1}",
            .listed = node < 2,
            .ttl_s = node == 1 ? 300 : 60,
        },
        on_registered, world);
    on_pass_done(world);
}

/* One message was given out, one was not. */
static void fill(struct world *world)
{
    struct caller alpha = owner(0), beta = owner(1);
    struct poll_request poll = {.mail = true, .mail_limit = 10, .on_message = on_message};
    struct send_request send = {
        .to = "alpha", .id = "m1", .type = "offer", .body = "[1]", .body_size = 3, .ttl_s = 60};

    register_node(world, 0, "alpha");
    register_node(world, 1, "beta");
    register_node(world, 2, "gamma");
    index_send(world->index, &beta, &send, on_sent, world);
    on_pass_done(world);
    index_poll(world->index, &alpha, &poll, on_polled, world);
    on_pass_done(world);
    send.id = "m2";
    send.session = "s";
    index_send(world->index, &beta, &send, on_sent, world);
    on_pass_done(world);
}

const char *world_cursor(const struct world *world)
{
    return world->cursor;
}

const char *world_next(const struct world *world)
{
    return world->next;
}

/* --- open and close -------------------------------------------------------------------------- */

static void open_index(struct world *world)
{
    struct fault fault;

    want(!store_memory_open(&world->store));
    world->sources = sources_new(REQUEST_RATE);
    want(world->sources && !index_open(
                               &(struct index_config){
                                   .store = world->store,
                                   .clock = &world->clock,
                                   .sources = world->sources,
                                   .max_nodes = NODES_MAX,
                                   .max_nodes_per_address = NODES_MAX / 2,
                                   .open = !world->keys,
                                   .admits = on_admits,
                                   .admits_user = world,
                                   .max_nodes_per_network = NODES_MAX - 1,
                                   .undeliverable_body = codec_undeliverable_body,
                               },
                               &world->index));
    index_load(world->index, on_done, world);
    on_pass_done(world);
    want(pages || !pages_new(true, &pages, &fault));
}

static void open_door(struct world *world, enum world_access access)
{
    static const char *const origins[] = {"https://app.example"};
    static const char *const stun[] = {"stun:stun.example:3478"};
    static const char *const turn[] = {"turn:turn.example:3478?transport=udp"};
    static const struct port_range none = {0, 0}; /* no port that there is: nothing is dialled */
    static struct ice_place own = {{4, {192, 0, 2, 1}}, 3478};
    struct fault fault;

    want(address_range_parse("10.0.0.0/8", &world->trusted));
    want(!checker_new(
        &(struct checker_config){
            .uv = &world->uv, .clock = &world->clock, .ports = &none, .port_count = 1},
        &world->checker, &fault));
    want(!http_door_new(
        &(struct http_door_config){
            .uv = &world->uv,
            .clock = &world->clock,
            .index = world->index,
            .sources = world->sources,
            .pages = pages,
            .checker = world->checker,
            .ice = {.clock = &world->clock,
                .own = &own,
                .own_count = 1,
                .stun_uris = stun,
                .stun_count = 1,
                .turn_uris = turn,
                .turn_count = 1,
                .secret = "north"},
            .policy = {.loopback_only = access == WORLD_LOOPBACK_ONLY,
                .trusted = &world->trusted,
                .trusted_count = 1,
                .origins = origins,
                .origin_count = access == WORLD_OPEN},
            .headers_timeout_s = HEADERS_TIMEOUT_S,
            .body_timeout_s = BODY_TIMEOUT_S,
            .keys = world->keys,
            .rate_per_credential = CREDENTIAL_RATE,
            .max_waiters = WAITERS_MAX,
            .max_waiters_per_address = WAITERS_MAX - 1,
            .pass_done = on_pass_done,
            .user = world,
        },
        &world->door, &fault));
}

struct world *world_open(enum world_access access)
{
    struct world *world = calloc(1, sizeof *world);

    want(world != NULL);
    signal(SIGPIPE, SIG_IGN);
    log_set(LOG_ERROR, false);
    random_state = 1;
    world->clock = (struct clock){read_now, read_wall, world};
    want(!uv_loop_init(&world->uv));
    if (access == WORLD_KEYED)
        world->keys = read_keys(0);
    open_index(world);
    open_door(world, access);
    world->daemon = last_daemon;
    fill(world);
    return world;
}

void world_close(struct world *world)
{
    struct http_loop *http = http_door_loop(world->door);

    http_door_drain(world->door);
    checker_stop(world->checker);
    index_release(world->index);
    settle(world);
    want(http_loop_is_empty(http));
    http_door_close(world->door);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    http_door_free(world->door);
    checker_free(world->checker);
    index_close(world->index);
    sources_free(world->sources);
    keys_free(world->keys);
    world->store->f->close(world->store);
    want(!uv_loop_close(&world->uv));
    free(world);
}
