#include "client.h"

#include "direct/direct.h"
#include "mesh/mesh.h"
#include "session/sessions.h"

#include <nettle/sha2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_LINE_SIZE 512
#define STRINGS_MAX 64 /* of the configuration */

/* --- small things ---------------------------------------------------------------------------- */

int64_t client_clock_ms(void)
{
    return (int64_t)(uv_hrtime() / 1000000);
}

int64_t client_now_ms(const signpost_t *client)
{
    return client->clock_ms();
}

uint64_t client_jitter(signpost_t *client, uint64_t most)
{
    /* xorshift64: good enough to spread clients, and far from any secret. */
    client->random ^= client->random << 13;
    client->random ^= client->random >> 7;
    client->random ^= client->random << 17;
    return client->random % (most + 1);
}

uint64_t client_backoff_ms(
    signpost_t *client, unsigned failures, uint64_t most_ms, int64_t at_least_ms)
{
    uint64_t window_ms = CLIENT_BACKOFF_FIRST_MS;

    while (failures-- && window_ms < most_ms)
        window_ms *= 2;
    if (window_ms > most_ms)
        window_ms = most_ms;
    uint64_t delay_ms = client_jitter(client, window_ms);
    return at_least_ms > 0 ? (uint64_t)at_least_ms + delay_ms / 4 : delay_ms;
}

void client_log(signpost_t *client, signpost_log_level_t level, const char *format, ...)
{
    char line[LOG_LINE_SIZE];
    va_list arguments;

    if (!client->config.on_log || level > client->config.log_level)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    client->config.on_log(level, line, client->config.user);
}

void client_hold(signpost_t *client)
{
    client->closing++;
}

static void client_free(signpost_t *client)
{
    for (size_t i = 0; i < client->string_count; i++)
        free(client->strings[i]);
    free(client->strings);
    record_free(client);
    free(client->links);
    free(client->seen);
    directory_free(client->directory);
    free(client);
}

void client_release(signpost_t *client)
{
    void (*stopped)(void *user) = client->stopped;
    void *user = client->stopped_user;

    if (--client->closing)
        return;
    client_free(client);
    if (stopped)
        stopped(user);
}

/* --- what the parts tell --------------------------------------------------------------------- */

static void on_peer(signpost_peer_event_t event, const signpost_peer_t *peer, void *user)
{
    signpost_t *client = user;
    if (client->stopping)
        return;
    if (client->mesh)
        mesh_peer(client->mesh, event, peer);
    if (client->config.on_peer && !client->stopping)
        client->config.on_peer(client, event, peer, client->config.user);
}

void client_index_changed(signpost_t *client, struct link *link)
{
    signpost_index_status_t status;

    if (!client->config.on_index || client->stopping)
        return;
    link_status(link, &status);
    client->config.on_index(client, &status, client->config.user);
}

/* True where it was handed over before: an index gives a message out again until it is
 * acknowledged, and a sender may have tried another index. */
static bool was_seen(struct seen *seen, const signpost_message_t *message)
{
    struct sha256_ctx context;
    uint8_t hash[16];

    sha256_init(&context);
    sha256_update(&context, strlen(message->from) + 1, (const uint8_t *)message->from);
    sha256_update(&context, strlen(message->id), (const uint8_t *)message->id);
    sha256_digest(&context, sizeof hash, hash);
    for (size_t i = 0; i < CLIENT_SEEN_MAX; i++)
        if (!memcmp(seen->hashes[i], hash, sizeof hash))
            return true;
    memcpy(seen->hashes[seen->next], hash, sizeof hash);
    seen->next = (seen->next + 1) % CLIENT_SEEN_MAX;
    return false;
}

void client_take_message(signpost_t *client, const struct codec_message *message)
{
    const signpost_config_t *config = &client->config;

    if (client->stopping || was_seen(client->seen, &message->message))
        return;
    if (!message->is_undeliverable) {
        if (!sessions_take(client->sessions, &message->message) && config->on_message)
            config->on_message(client, &message->message, config->user);
        return;
    }
    const struct codec_undeliverable *about = &message->undeliverable;
    if (!sessions_take_undeliverable(client->sessions, about) && config->on_undeliverable)
        config->on_undeliverable(
            client, about->id, about->to, about->session, about->type, about->reason, config->user);
}

void client_addresses_changed(signpost_t *client)
{
    client_log(client, SIGNPOST_LOG_INFO, "our addresses changed");
    for (size_t i = 0; i < client->link_count && !client->stopping; i++)
        link_nudge(client->links[i]);
    http_renew(client->http);
    if (!client->stopping)
        direct_addresses_changed(client->direct);
    if (!client->stopping && client->mesh)
        mesh_addresses_changed(client->mesh);
}

static void on_directory_due(uv_timer_t *timer)
{
    signpost_t *client = timer->data;
    directory_tick(client->directory, client_now_ms(client));
    client_follow_directory(client);
}

void client_follow_directory(signpost_t *client)
{
    int64_t due_ms = directory_due_ms(client->directory);
    int64_t now_ms = client_now_ms(client);

    if (client->stopping)
        return; /* the timer ends the client now */
    if (due_ms == INT64_MAX)
        uv_timer_stop(&client->timer);
    else
        uv_timer_start(
            &client->timer, on_directory_due, due_ms > now_ms ? (uint64_t)(due_ms - now_ms) : 0, 0);
}

/* --- copying the configuration --------------------------------------------------------------- */

static const char *keep_string(signpost_t *client, const char *string, int *error)
{
    char *copy;

    if (!string || *error)
        return NULL;
    copy = strdup(string);
    if (!copy || client->string_count == STRINGS_MAX) {
        free(copy);
        *error = SIGNPOST_ERROR_NO_MEMORY;
        return NULL;
    }
    client->strings[client->string_count++] = copy;
    return copy;
}

/* What can stand in a header. */
static bool is_key(const char *key)
{
    size_t length = strlen(key);

    for (size_t i = 0; i < length; i++)
        if (key[i] <= ' ' || key[i] > '~')
            return false;
    return length >= 1 && length <= CLIENT_KEY_CHARS;
}

static bool is_valid(const signpost_config_t *config)
{
    size_t indexes = record_length(config->indexes);

    if (!indexes || indexes > CLIENT_INDEXES_MAX || record_length(config->filters) > 8 ||
        record_length(config->endpoints) > 10)
        return false;
    for (size_t i = 0; i < indexes; i++)
        if (!http_is_base_url(config->indexes[i]))
            return false;
    if (config->key && !is_key(config->key))
        return false;
    for (size_t i = 0; config->filters && config->filters[i]; i++)
        if (!strchr(config->filters[i], '='))
            return false;
    return (!config->meta || codec_is_object(config->meta)) &&
           (!config->reach || codec_is_object(config->reach)) &&
           (!config->id || (config->id[0] && strlen(config->id) <= 64));
}

static int copy_config(signpost_t *client, const signpost_config_t *config)
{
    static const char *const none[] = {NULL};
    int error = 0;

    client->config = *config;
    client->strings = calloc(STRINGS_MAX, sizeof *client->strings);
    if (!client->strings)
        return SIGNPOST_ERROR_NO_MEMORY;
    client->config.network = keep_string(client, config->network, &error);
    client->config.key = keep_string(client, config->key, &error);
    client->config.ca_file = keep_string(client, config->ca_file, &error);
    client->config.indexes = client->config.endpoints = NULL;
    client->config.meta = client->config.reach = client->config.id = NULL;
    client->config.filters = NULL;
    if (config->filters) {
        size_t count = record_length(config->filters);
        const char **filters = calloc(count + 1, sizeof *filters);
        if (!filters)
            return SIGNPOST_ERROR_NO_MEMORY;
        client->strings[client->string_count++] = (char *)filters;
        for (size_t i = 0; i < count; i++)
            filters[i] = keep_string(client, config->filters[i], &error);
        client->config.filters = filters;
    }
    if (error)
        return error;
    if (config->sessions) {
        client->events = *config->sessions;
        client->config.sessions = &client->events;
    }
    if (config->secret)
        memcpy(client->secret, config->secret, SIGNPOST_SECRET_SIZE);
    else if (secret_random(client->secret, SIGNPOST_SECRET_SIZE))
        return SIGNPOST_ERROR_NO_MEMORY;
    if (config->id)
        snprintf(client->id, sizeof client->id, "%s", config->id);
    else
        secret_id(client->secret, client->id);
    return record_set(client, config->endpoints ? config->endpoints : none,
        config->meta ? config->meta : "{}", config->reach ? config->reach : "{}");
}

/* --- life ------------------------------------------------------------------------------------ */

static void on_timer_closed(uv_handle_t *handle)
{
    client_release(handle->data);
}

static void on_http_closed(void *user)
{
    client_release(user);
}

/* Closes every handle; the client is freed with the last of them. */
static void client_close(signpost_t *client)
{
    client_hold(client);
    for (size_t i = 0; i < client->link_count; i++)
        link_close(client->links[i]);
    client->link_count = 0;
    addresses_close(client->addresses);
    if (client->mesh)
        mesh_close(client->mesh);
    client->mesh = NULL;
    if (client->direct)
        direct_close(client->direct);
    if (client->sessions)
        sessions_close(client->sessions);
    if (client->outbox)
        outbox_close(client->outbox);
    if (client->http) {
        client_hold(client);
        http_close(client->http, on_http_closed, client);
    }
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
    client_release(client);
}

int signpost_start(uv_loop_t *loop, const signpost_config_t *config, signpost_t **ret_client)
{
    signpost_t *client;
    int error;

    if (!loop || !config || !is_valid(config))
        return SIGNPOST_ERROR_INVALID;
    client = calloc(1, sizeof *client);
    if (!client)
        return SIGNPOST_ERROR_NO_MEMORY;
    client->loop = loop;
    client->clock_ms = client_clock_ms;
    error = copy_config(client, config);
    if (error) {
        client_free(client);
        return error;
    }
    while (!client->random)
        if (secret_random(&client->random, sizeof client->random))
            client->random = uv_hrtime() | 1;
    uv_timer_init(loop, &client->timer);
    client->timer.data = client;
    client_hold(client);
    size_t indexes = record_length(config->indexes);
    client->links = calloc(indexes, sizeof(struct link *));
    client->seen = calloc(1, sizeof *client->seen);
    client->directory = directory_new(indexes, on_peer, client);
    error = client->links && client->seen && client->directory ? 0 : SIGNPOST_ERROR_NO_MEMORY;
    if (!error)
        error = http_new(loop, client->config.ca_file, &client->http);
    if (!error)
        error = outbox_new(client, &client->outbox);
    if (!error)
        error = sessions_new(client, &client->sessions);
    if (!error)
        error = direct_new(client, &client->direct);
    for (size_t i = 0; !error && i < indexes; i++) {
        error = link_new(client, i, config->indexes[i], &client->links[i]);
        client->link_count += !error;
    }
    if (error) {
        client->stopping = true;
        client_close(client);
        return error;
    }
    addresses_watch(client, &client->addresses);
    for (size_t i = 0; i < client->link_count; i++)
        link_start(client->links[i]);
    *ret_client = client;
    return 0;
}

static void on_stop_late(uv_timer_t *timer)
{
    client_close(timer->data);
}

static void on_left(struct link *link)
{
    signpost_t *client = link_client(link);

    /* From the timer, since this comes from inside the transport. */
    if (--client->leaving == 0)
        uv_timer_start(&client->timer, on_stop_late, 0, 0);
}

void signpost_stop(signpost_t *client, void (*stopped)(void *user), void *user)
{
    if (client->stopping)
        return;
    client->stopping = true;
    client->stopped = stopped;
    client->stopped_user = user;
    client->leaving = client->link_count;
    if (client->mesh)
        mesh_stop(client->mesh);
    sessions_stop(client->sessions);
    direct_stop(client->direct);
    outbox_stop(client->outbox);
    for (size_t i = 0; i < client->link_count; i++)
        link_leave(client->links[i], on_left);
    /* The loop's clock stood still while a callback worked, which is not to count. */
    uv_update_time(client->loop);
    uv_timer_start(&client->timer, on_stop_late, CLIENT_STOP_MS, 0);
}

const char *signpost_id(const signpost_t *client)
{
    return client->id;
}

void signpost_peers(
    const signpost_t *client, bool (*visit)(const signpost_peer_t *peer, void *user), void *user)
{
    directory_visit(client->directory, visit, user);
}

int signpost_find(const signpost_t *client, const char *id, signpost_peer_t *ret_peer)
{
    return directory_find(client->directory, id, ret_peer);
}

int signpost_send(signpost_t *client, const char *to, const char *session, const char *type,
    const char *body, size_t body_size, unsigned ttl_s, char ret_id[37], signpost_sent_cb sent,
    void *user)
{
    if (client->stopping)
        return SIGNPOST_ERROR_STOPPED;
    if (client->config.watch_only)
        return SIGNPOST_ERROR_INVALID;
    return outbox_send(
        client->outbox, to, session, type, body, body_size, ttl_s, ret_id, sent, user);
}
