#include "link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED_MOST_MS 60000
#define TTL_LEAST_MS 5000
#define REPLY_MAX (4u << 20)

/* --- small things ---------------------------------------------------------------------------- */

bool link_is_ready(const struct link *link)
{
    return link->state == SIGNPOST_INDEX_READY;
}

signpost_t *link_client(const struct link *link)
{
    return link->client;
}

size_t link_number(const struct link *link)
{
    return link->number;
}

const char *link_url(const struct link *link)
{
    return link->url;
}

const char *link_log_name(const struct link *link)
{
    return http_log_name(link->url);
}

const char *link_token(const struct link *link)
{
    return link->token;
}

void link_status(const struct link *link, signpost_index_status_t *ret_status)
{
    *ret_status = (signpost_index_status_t){
        .url = link->url,
        .state = link->state,
        .error = link->error,
        .detail = link->detail,
        .observed = link->observed,
    };
}

void link_set_state(struct link *link, signpost_index_state_t state, int error, const char *detail)
{
    bool changed = link->state != state || link->error != error;

    link->state = state;
    link->error = error;
    snprintf(link->detail, sizeof link->detail, "%s", detail);
    /* While it is asked again, what it listed stays as it was. */
    if (state != SIGNPOST_INDEX_CONNECTING)
        directory_set_away(link->client->directory, link->number, state != SIGNPOST_INDEX_READY);
    client_follow_directory(link->client);
    if (!changed)
        return;
    client_log(link->client, error ? SIGNPOST_LOG_WARN : SIGNPOST_LOG_INFO, "%s: %s",
        link_log_name(link),
        error                           ? detail
        : state == SIGNPOST_INDEX_READY ? "ready"
                                        : "connecting");
    client_index_changed(link->client, link);
    if (state == SIGNPOST_INDEX_READY) {
        outbox_nudge(link->client->outbox);
        link_update(link); /* what changed meanwhile */
    }
}

bool link_reads_mail(const struct link *link)
{
    return !link->client->config.watch_only && !link->client->config.no_mailbox;
}

static void on_timer(uv_timer_t *timer)
{
    link_step(timer->data);
}

void link_obey(struct link *link, int64_t retry_after_ms)
{
    link->not_before_ms = client_now_ms(link->client) + retry_after_ms;
}

void link_rest(struct link *link, enum link_step next, uint64_t delay_ms)
{
    int64_t least_ms = link->not_before_ms - client_now_ms(link->client);

    if (least_ms > 0 && delay_ms < (uint64_t)least_ms)
        delay_ms = (uint64_t)least_ms;
    link->step = next;
    uv_timer_start(&link->timer, on_timer, delay_ms, 0);
}

uint64_t link_most_backoff_ms(const struct link *link)
{
    return (uint64_t)link->ttl_ms / 3;
}

/* --- requests -------------------------------------------------------------------------------- */

void link_url_put(struct link_url *url, const char *text)
{
    size_t length = strlen(text);

    if (url->length + length >= sizeof url->text)
        return; /* what is cut is refused by the index; nothing that is put here is so long */
    memcpy(url->text + url->length, text, length + 1);
    url->length += length;
}

void link_url_parameter(struct link_url *url, const char *name, const char *value)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    char piece[4] = "";

    link_url_put(url, url->query ? "&" : "?");
    url->query = true;
    link_url_put(url, name);
    link_url_put(url, "=");
    for (; *value; value++) {
        snprintf(
            piece, sizeof piece, strchr(plain, *value) ? "%c" : "%%%02X", (unsigned char)*value);
        link_url_put(url, piece);
    }
}

int link_request(struct link *link, const char *method, const char *url, const char *body,
    uint64_t timeout_ms, http_done done, struct http_call **ret_call)
{
    const signpost_config_t *config = &link->client->config;
    return http_start(link->client->http,
        &(struct http_request){
            .method = method,
            .url = url,
            .bearer = link->registered || link->joining ? link->token : config->key,
            .body = body,
            .body_size = body ? strlen(body) : 0,
            .timeout_ms = timeout_ms,
            .max_bytes = REPLY_MAX,
        },
        done, link, ret_call);
}

/* --- what went wrong ------------------------------------------------------------------------- */

int link_explain(
    const struct http_reply *reply, struct codec_problem *ret_problem, char ret_detail[256])
{
    bool problem = false;

    *ret_problem = (struct codec_problem){0};
    if (reply->error) {
        snprintf(ret_detail, HTTP_DETAIL_SIZE, "%s", reply->detail);
        return reply->error;
    }
    if (reply->status >= 400)
        problem = codec_parse_problem(reply->body, reply->body_size, ret_problem);
    if (problem)
        snprintf(ret_detail, HTTP_DETAIL_SIZE, "%s", ret_problem->detail);
    else
        snprintf(ret_detail, HTTP_DETAIL_SIZE, "it answered with status %ld, as no index does",
            reply->status);
    if (reply->status == 502 || reply->status == 504 || (reply->status == 503 && !problem))
        return SIGNPOST_ERROR_UNREACHABLE;
    if (!problem)
        return SIGNPOST_ERROR_PROTOCOL;
    if (reply->status == 429 || reply->status == 503)
        return SIGNPOST_ERROR_BUSY;
    return SIGNPOST_ERROR_REFUSED;
}

void link_try_later(
    struct link *link, enum link_step next, int error, const char *detail, int64_t retry_after_ms)
{
    signpost_index_state_t state =
        error == SIGNPOST_ERROR_REFUSED ? SIGNPOST_INDEX_REFUSED : SIGNPOST_INDEX_AWAY;
    uint64_t most_ms =
        error == SIGNPOST_ERROR_REFUSED ? REFUSED_MOST_MS : link_most_backoff_ms(link);

    link->probing = false;
    link->failures++;
    link_obey(link, retry_after_ms);
    link_rest(
        link, next, client_backoff_ms(link->client, link->failures - 1, most_ms, retry_after_ms));
    if (error != SIGNPOST_ERROR_BUSY || !link_is_ready(link))
        link_set_state(link, state, error, detail);
}

void link_lost_lease(struct link *link)
{
    if (!link->registered || link->leaving)
        return;
    link->registered = false;
    link->probing = false; /* the index was away, and nothing on the way cut its poll */
    uv_timer_stop(&link->heart);
    if (link->call) {
        http_cancel(link->call);
        link->call = NULL;
    }
    /* The tries until the index was there have spread the nodes out already: from the start again.
     * But ever later where it is lost again before a poll was answered. */
    link->failures = link->losses++;
    link_rest(link, STEP_REGISTER,
        client_backoff_ms(link->client, link->failures++, link_most_backoff_ms(link), 0));
    if (link_is_ready(link))
        link_set_state(link, SIGNPOST_INDEX_CONNECTING, 0, "");
}

void link_give_up(struct link *link)
{
    link->registered = false;
    link->step = STEP_REST;
    uv_timer_stop(&link->timer);
    uv_timer_stop(&link->heart);
    link_set_state(link, SIGNPOST_INDEX_REPLACED, SIGNPOST_ERROR_REPLACED,
        "another process reads the mailbox of this node");
}

/* --- register -------------------------------------------------------------------------------- */

static void begin_register(struct link *link);

/* The reply to /register, or to the heartbeat that asks whether the node is there. */
static void on_registered(const struct http_reply *reply, void *user)
{
    struct link *link = user;
    struct codec_reply parsed = {0};
    struct codec_problem problem;
    char detail[HTTP_DETAIL_SIZE] = "";

    link->call = NULL;
    link->joined = link->joining;
    link->joining = false;
    enum codec_kind kind = link->joined ? CODEC_HEARTBEAT : CODEC_REGISTERED;
    bool success = !reply->error && (reply->status == 200 || reply->status == 201);
    if (success && codec_parse(kind, reply->body, reply->body_size, &parsed, detail)) {
        link_try_later(link, STEP_REGISTER, SIGNPOST_ERROR_PROTOCOL, detail, 0);
        return;
    }
    if (!success) {
        int error = link_explain(reply, &problem, detail);
        if (link->joined && problem.register_again) {
            begin_register(link);
            return;
        }
        link_try_later(link, STEP_REGISTER, error, detail, reply->retry_after_ms);
        return;
    }
    link->registered = true;
    link->beat_failures = 0;
    link->told = link->telling;
    link->ttl_ms = parsed.ttl_ms > TTL_LEAST_MS ? parsed.ttl_ms : TTL_LEAST_MS;
    snprintf(link->observed, sizeof link->observed, "%s", parsed.observed);
    if (!link_reads_mail(link) || link_has_news(link))
        link_beat_later(link, link_has_news(link) ? 0 : link_beat_after_ms(&parsed));
    codec_free(&parsed);
    link->step = STEP_POLL;
    link_step(link);
}

static void begin_join(struct link *link)
{
    struct link_url url = {.length = 0};

    link_url_put(&url, link->url);
    link_url_put(&url, "/heartbeat");
    link->telling = link->client->version;
    link->joining = true;
    if (!link_request(
            link, "POST", url.text, "{}", LINK_SHORT_TIMEOUT_MS, on_registered, &link->call))
        return;
    link->joining = false;
    link_try_later(link, STEP_REGISTER, SIGNPOST_ERROR_NO_MEMORY, "out of memory", 0);
}

static void begin_register(struct link *link)
{
    signpost_t *client = link->client;
    signpost_config_t now = client->config;
    struct link_url url = {.length = 0};

    now.endpoints = (const char *const *)client->endpoints;
    now.meta = client->meta;
    now.reach = client->reach;
    char *body = codec_register(&now, client->id, link->token);
    link_url_put(&url, link->url);
    link_url_put(&url, "/register");
    link->telling = client->version;
    if (!body || link_request(link, "POST", url.text, body, LINK_SHORT_TIMEOUT_MS, on_registered,
                     &link->call))
        link_try_later(link, STEP_REGISTER, SIGNPOST_ERROR_NO_MEMORY, "out of memory", 0);
    free(body);
}

void link_step(struct link *link)
{
    if (link->call || link->leaving)
        return;
    if (!link->registered && !link->client->config.watch_only)
        link->step = STEP_REGISTER;
    uv_timer_stop(&link->timer);
    if (link->step == STEP_REGISTER && link->client->config.shared)
        begin_join(link);
    else if (link->step == STEP_REGISTER)
        begin_register(link);
    else if (link->step != STEP_REST)
        link_begin_poll(link);
}

/* --- life ------------------------------------------------------------------------------------ */

int link_new(signpost_t *client, size_t number, const char *url, struct link **ret_link)
{
    struct link *link = calloc(1, sizeof *link);
    int error = SIGNPOST_ERROR_NO_MEMORY;

    if (!link)
        return error;
    link->url = strdup(url);
    if (!link->url)
        goto failed;
    for (size_t length = strlen(link->url); length && link->url[length - 1] == '/'; length--)
        link->url[length - 1] = '\0';
    error = secret_token(client->secret, link->url, link->token);
    if (error)
        goto failed;
    link->client = client;
    link->number = number;
    link->wait_s = LINK_WAIT_S;
    link->wait_reset_ms = INT64_MAX;
    link->ttl_ms = (client->config.ttl_s ? client->config.ttl_s : CLIENT_TTL_DEFAULT_S) * 1000LL;
    link->state = SIGNPOST_INDEX_CONNECTING;
    uv_timer_init(client->loop, &link->timer);
    uv_timer_init(client->loop, &link->heart);
    link->timer.data = link->heart.data = link;
    link->handles = 2;
    client_hold(client);
    *ret_link = link;
    return 0;

failed:
    free(link->url);
    free(link);
    return error;
}

void link_start(struct link *link)
{
    link_rest(link, link->client->config.watch_only ? STEP_POLL : STEP_REGISTER, 0);
}

void link_nudge(struct link *link)
{
    if (link->leaving || link->state == SIGNPOST_INDEX_REPLACED)
        return;
    if (link->call && link->step != STEP_REGISTER) {
        http_cancel(link->call);
        link->call = NULL;
    }
    if (!link->call)
        link_rest(link, link->step == STEP_REST ? STEP_POLL : link->step, 0);
    if (link->registered && !link->beat)
        link_beat_later(link, 0); /* a poll that reads no mail does not tell where we are */
}

static void on_left(const struct http_reply *reply, void *user)
{
    struct link *link = user;

    (void)reply;
    link->call = NULL;
    link->left(link);
}

static void on_left_at_once(uv_timer_t *timer)
{
    struct link *link = timer->data;
    link->left(link);
}

void link_leave(struct link *link, void (*left)(struct link *link))
{
    struct link_url url = {.length = 0};

    link->leaving = true;
    link->left = left;
    /* Its reply is still to come, but the node may be there by now. */
    if (link->call && link->step == STEP_REGISTER && !link->joining) {
        link->registered = true;
        link->joined = false;
    }
    uv_timer_stop(&link->timer);
    uv_timer_stop(&link->heart);
    if (link->call)
        http_cancel(link->call);
    if (link->beat)
        http_cancel(link->beat);
    link->call = link->beat = NULL;
    link_url_put(&url, link->url);
    link_url_put(&url, "/nodes/");
    link_url_put(&url, link->client->id);
    if (!link->registered || link->joined ||
        link_request(link, "DELETE", url.text, NULL, CLIENT_STOP_MS, on_left, &link->call))
        uv_timer_start(&link->timer, on_left_at_once, 0, 0);
}

static void on_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;
    signpost_t *client = link->client;

    if (--link->handles)
        return;
    free(link->url);
    free(link);
    client_release(client);
}

void link_close(struct link *link)
{
    if (link->call)
        http_cancel(link->call);
    if (link->beat)
        http_cancel(link->beat);
    link->call = link->beat = NULL;
    uv_close((uv_handle_t *)&link->timer, on_closed);
    uv_close((uv_handle_t *)&link->heart, on_closed);
}
