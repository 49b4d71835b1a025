#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * One index: register there, then read on for ever. While it answers there is always one request
 * under way: POST /events, which renews the lease and brings list and mail; or, for a client that
 * leaves its mailbox alone or registers nowhere, GET /list, with heartbeats beside it.
 *
 * A long poll that is cut on the way by something that is not the index (an ingress with a limit)
 * is told from an index that is away by asking at once without waiting. If that is answered, later
 * polls wait less; if even short waits are cut, it is asked at an interval.
 */

#define WAIT_S 25u
#define WAIT_SLACK_MS 10000 /* what a long poll may take longer than it waits */
#define SHORT_TIMEOUT_MS 10000
#define CUT_AFTER_MS 1500 /* a poll that lived so long was cut; before, the index is away */
#define WAIT_LEAST_S 2u   /* shorter waits are worth nothing: then it is asked at an interval */
#define INTERVAL_MS 3000
#define WAIT_AGAIN_MS                                                                              \
    3600000 /* so long a shorter wait is kept before the full one is tried again */
#define REFUSED_MOST_MS 60000
#define PAGE_NODES 500u
#define REPLY_MAX (4u << 20)

enum step { STEP_REST, STEP_REGISTER, STEP_POLL, STEP_PAGE };

struct link {
    signpost_t *client;
    size_t number;
    char *url; /* without a slash at its end */
    char token[SECRET_TOKEN_SIZE];
    uv_timer_t timer; /* the next step */
    uv_timer_t heart; /* the next heartbeat, where polls do not renew */
    struct http_call *call;
    struct http_call *beat;
    enum step step; /* what `call` is, or what the timer will begin */
    bool registered, leaving;
    unsigned told;    /* the version of the node's record that the index has */
    unsigned telling; /* the one that is on its way */
    bool
        probing; /* the poll under way does not wait: was the last one cut, or is the index away? */
    unsigned failures;
    unsigned wait_s;       /* of long polls here */
    int64_t wait_reset_ms; /* when to try the full wait again */
    int64_t asked_ms;      /* when `call` began */
    int64_t lived_ms;      /* how long the poll lived that was cut */
    bool waited;           /* `call` is a long poll */
    int64_t ttl_ms;
    char since[CODEC_CURSOR_SIZE], after[CODEC_CURSOR_SIZE];
    char first[CODEC_CURSOR_SIZE]; /* the cursor of a whole list's first page */
    char page[72];                 /* where the whole list goes on */
    bool listed_once;              /* its list was known before */
    signpost_index_state_t state;
    int error;
    char detail[HTTP_DETAIL_SIZE];
    char observed[64];
    void (*left)(struct link *link);
    unsigned handles;
};

static void link_step(struct link *link);

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

static void set_state(
    struct link *link, signpost_index_state_t state, int error, const char *detail)
{
    bool changed = link->state != state || link->error != error;

    link->state = state;
    link->error = error;
    snprintf(link->detail, sizeof link->detail, "%s", detail);
    directory_set_away(link->client->directory, link->number,
        state != SIGNPOST_INDEX_READY && state != SIGNPOST_INDEX_CONNECTING);
    client_follow_directory(link->client);
    if (!changed)
        return;
    client_log(link->client, error ? SIGNPOST_LOG_WARN : SIGNPOST_LOG_INFO, "%s: %s", link->url,
        error                           ? detail
        : state == SIGNPOST_INDEX_READY ? "ready"
                                        : "connecting");
    client_index_changed(link->client, link);
    if (state == SIGNPOST_INDEX_READY)
        outbox_nudge(link->client->outbox);
}

static bool reads_mail(const struct link *link)
{
    return !link->client->config.watch_only && !link->client->config.no_mailbox;
}

static void on_timer(uv_timer_t *timer)
{
    link_step(timer->data);
}

static void rest(struct link *link, enum step next, uint64_t delay_ms)
{
    link->step = next;
    uv_timer_start(&link->timer, on_timer, delay_ms, 0);
}

/* The longest between two tries: a third of the lease, so that an index that comes back hears of us
 * soon. */
static uint64_t most_backoff_ms(const struct link *link)
{
    return (uint64_t)link->ttl_ms / 3;
}

/* --- requests -------------------------------------------------------------------------------- */

struct url {
    char text[2048];
    size_t length;
    bool query; /* a parameter was added */
};

static void url_put(struct url *url, const char *text)
{
    size_t length = strlen(text);

    if (url->length + length >= sizeof url->text)
        return; /* what is cut is refused by the index; nothing that is put here is so long */
    memcpy(url->text + url->length, text, length + 1);
    url->length += length;
}

static void url_parameter(struct url *url, const char *name, const char *value)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    char piece[4] = "";

    url_put(url, url->query ? "&" : "?");
    url->query = true;
    url_put(url, name);
    url_put(url, "=");
    for (; *value; value++) {
        snprintf(
            piece, sizeof piece, strchr(plain, *value) ? "%c" : "%%%02X", (unsigned char)*value);
        url_put(url, piece);
    }
}

static int request(struct link *link, const char *method, const char *url, const char *body,
    uint64_t timeout_ms, http_done done, struct http_call **ret_call)
{
    const signpost_config_t *config = &link->client->config;
    return http_start(link->client->http,
        &(struct http_request){
            .method = method,
            .url = url,
            .bearer = link->registered ? link->token : config->key,
            .body = body,
            .body_size = body ? strlen(body) : 0,
            .timeout_ms = timeout_ms,
            .max_bytes = REPLY_MAX,
        },
        done, link, ret_call);
}

/* --- what went wrong ------------------------------------------------------------------------- */

/* What a reply means that is no success; a sentence in `ret_detail`. */
static int explain(
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

/* Tries `next` again later. An index that is only busy is not away. */
static void try_later(
    struct link *link, enum step next, int error, const char *detail, int64_t retry_after_ms)
{
    signpost_index_state_t state =
        error == SIGNPOST_ERROR_REFUSED ? SIGNPOST_INDEX_REFUSED : SIGNPOST_INDEX_AWAY;
    uint64_t most_ms = error == SIGNPOST_ERROR_REFUSED ? REFUSED_MOST_MS : most_backoff_ms(link);

    link->probing = false;
    link->failures++;
    rest(link, next, client_backoff_ms(link->client, link->failures - 1, most_ms, retry_after_ms));
    if (error != SIGNPOST_ERROR_BUSY || !link_is_ready(link))
        set_state(link, state, error, detail);
}

void link_lost_lease(struct link *link)
{
    if (!link->registered || link->leaving)
        return;
    link->registered = false;
    uv_timer_stop(&link->heart);
    if (link->call) {
        http_cancel(link->call);
        link->call = NULL;
    }
    rest(link, STEP_REGISTER, client_jitter_ms(link->client, CLIENT_BACKOFF_FIRST_MS));
}

static void give_up(struct link *link)
{
    link->registered = false;
    link->step = STEP_REST;
    uv_timer_stop(&link->timer);
    uv_timer_stop(&link->heart);
    set_state(link, SIGNPOST_INDEX_REPLACED, SIGNPOST_ERROR_REPLACED,
        "another process reads the mailbox of this node");
}

/* --- heartbeats, and news of the node's record -------------------------------------------------
 */

static void beat_later(struct link *link, uint64_t delay_ms);

static void on_beat(const struct http_reply *reply, void *user)
{
    struct link *link = user;
    struct codec_reply parsed = {0};
    struct codec_problem problem;
    char detail[HTTP_DETAIL_SIZE] = "";

    link->beat = NULL;
    if (!reply->error && reply->status == 200 &&
        !codec_parse(CODEC_HEARTBEAT, reply->body, reply->body_size, &parsed, detail)) {
        link->told = link->telling;
        snprintf(link->observed, sizeof link->observed, "%s", parsed.observed);
        if (link->told != link->client->version)
            beat_later(link, 0);
        else if (!reads_mail(link))
            beat_later(link, (uint64_t)parsed.heartbeat_after_ms);
        codec_free(&parsed);
        return;
    }
    int error = explain(reply, &problem, detail);
    if (problem.register_again) {
        link_lost_lease(link);
        return;
    }
    client_log(link->client, SIGNPOST_LOG_WARN, "%s: %s", link->url, detail);
    if (error == SIGNPOST_ERROR_REFUSED)
        link->told = link->telling; /* as it is, it will never be taken */
    beat_later(link, client_backoff_ms(link->client, 1, most_backoff_ms(link),
                         reply->retry_after_ms ? reply->retry_after_ms : CLIENT_BACKOFF_FIRST_MS));
}

static void on_heart(uv_timer_t *timer)
{
    struct link *link = timer->data;
    signpost_t *client = link->client;
    bool news = link->told != client->version;
    struct url url = {.length = 0};

    if (link->beat || !link->registered || (!news && reads_mail(link)))
        return;
    char *body = codec_heartbeat(news ? (const char *const *)client->endpoints : NULL,
        news ? client->meta : NULL, news ? client->reach : NULL);
    url_put(&url, link->url);
    url_put(&url, "/heartbeat");
    link->telling = client->version;
    if (!body || request(link, "POST", url.text, body, SHORT_TIMEOUT_MS, on_beat, &link->beat))
        beat_later(link, CLIENT_BACKOFF_FIRST_MS);
    free(body);
}

static void beat_later(struct link *link, uint64_t delay_ms)
{
    if (!link->leaving)
        uv_timer_start(&link->heart, on_heart, delay_ms, 0);
}

void link_update(struct link *link)
{
    if (link->registered && !link->beat)
        beat_later(link, 0);
}

/* --- register -------------------------------------------------------------------------------- */

static void on_registered(const struct http_reply *reply, void *user)
{
    struct link *link = user;
    struct codec_reply parsed = {0};
    struct codec_problem problem;
    char detail[HTTP_DETAIL_SIZE] = "";

    link->call = NULL;
    bool success = !reply->error && (reply->status == 200 || reply->status == 201);
    if (success && codec_parse(CODEC_REGISTERED, reply->body, reply->body_size, &parsed, detail)) {
        try_later(link, STEP_REGISTER, SIGNPOST_ERROR_PROTOCOL, detail, 0);
        return;
    }
    if (!success) {
        int error = explain(reply, &problem, detail);
        try_later(link, STEP_REGISTER, error, detail, reply->retry_after_ms);
        return;
    }
    link->registered = true;
    link->told = link->telling;
    link->ttl_ms = parsed.ttl_ms;
    link->failures = 0;
    snprintf(link->observed, sizeof link->observed, "%s", parsed.observed);
    if (!reads_mail(link) || link->told != link->client->version)
        beat_later(
            link, link->told != link->client->version ? 0 : (uint64_t)parsed.heartbeat_after_ms);
    codec_free(&parsed);
    link->step = STEP_POLL;
    link_step(link);
}

static void begin_register(struct link *link)
{
    signpost_t *client = link->client;
    signpost_config_t now = client->config;
    struct url url = {.length = 0};

    now.endpoints = (const char *const *)client->endpoints;
    now.meta = client->meta;
    now.reach = client->reach;
    char *body = codec_register(&now, client->id, link->token);
    url_put(&url, link->url);
    url_put(&url, "/register");
    link->telling = client->version;
    if (!body ||
        request(link, "POST", url.text, body, SHORT_TIMEOUT_MS, on_registered, &link->call))
        try_later(link, STEP_REGISTER, SIGNPOST_ERROR_NO_MEMORY, "out of memory", 0);
    free(body);
}

/* --- poll ------------------------------------------------------------------------------------ */

static void take_node(struct link *link, const signpost_peer_t *peer)
{
    signpost_t *client = link->client;

    if (!strcmp(peer->id, client->id) && !client->config.watch_only)
        return;
    if (!codec_matches(peer->meta, client->config.filters))
        directory_remove(client->directory, link->number, peer->id);
    else if (directory_put(client->directory, link->number, peer))
        client_log(client, SIGNPOST_LOG_ERROR, "no room for peer %s", peer->id);
}

/* True: the list is complete now. */
static bool take_list(struct link *link, const struct codec_list *list)
{
    struct directory *directory = link->client->directory;
    bool page = link->step == STEP_PAGE;
    bool whole = page || !link->since[0] || list->reset;

    if (whole && !page) {
        directory_begin(directory, link->number);
        strcpy(link->first, list->cursor);
    }
    for (size_t i = 0; i < list->node_count; i++)
        take_node(link, &list->nodes[i]);
    for (size_t i = 0; i < list->gone_count; i++)
        directory_remove(directory, link->number, list->gone[i]);
    if (!whole) {
        strcpy(link->since, list->cursor);
        return true;
    }
    if (list->more) {
        const char *after = list->after[0]     ? list->after
                            : list->node_count ? list->nodes[list->node_count - 1].id
                                               : "";
        snprintf(link->page, sizeof link->page, "%s", after);
        if (link->page[0])
            return false;
    }
    strcpy(link->since, link->first);
    directory_end(directory, link->number,
        link->listed_once ? client_now_ms(link->client) + link->ttl_ms : INT64_MIN);
    link->listed_once = true;
    return true;
}

static bool waits_here(const struct link *link)
{
    return !link->client->config.poll_interval_ms && link->wait_s >= WAIT_LEAST_S;
}

/* The poll that was cut lived for so long, and the index is there: wait less from now on. */
static void learn_cut(struct link *link, int64_t lived_ms)
{
    unsigned lived_s = (unsigned)(lived_ms / 1000);

    link->wait_s = lived_s > WAIT_LEAST_S ? lived_s - 1 : 0;
    link->wait_reset_ms = client_now_ms(link->client) + WAIT_AGAIN_MS;
    client_log(link->client, SIGNPOST_LOG_INFO, "%s: long requests are cut after %u s, %s",
        link->url, lived_s,
        link->wait_s ? "so they are shorter now" : "so it is asked at an interval");
}

static void poll_answered(struct link *link, const struct http_reply *reply)
{
    enum codec_kind kind = link->step == STEP_POLL && reads_mail(link) ? CODEC_EVENTS : CODEC_LIST;
    struct codec_reply parsed = {0};
    char detail[HTTP_DETAIL_SIZE] = "";
    int error = codec_parse(kind, reply->body, reply->body_size, &parsed, detail);

    if (error) {
        try_later(link, STEP_POLL, error, detail, 0);
        return;
    }
    if (link->probing)
        learn_cut(link, link->lived_ms);
    link->probing = false;
    link->failures = 0;
    bool complete = !parsed.has_list || take_list(link, &parsed.list);
    for (size_t i = 0; parsed.has_mail && i < parsed.mailbox.message_count; i++)
        client_take_message(link->client, &parsed.mailbox.messages[i]);
    /* What was handed over is acknowledged by the next poll. */
    if (parsed.has_mail && !link->client->stopping)
        strcpy(link->after, parsed.mailbox.next);
    codec_free(&parsed);
    if (link->client->stopping)
        return;
    link->step = complete ? STEP_POLL : STEP_PAGE;
    if (complete)
        set_state(link, SIGNPOST_INDEX_READY, 0, "");
    else
        client_follow_directory(link->client);
    if (link->client->stopping)
        return;
    unsigned interval_ms = link->client->config.poll_interval_ms;
    int64_t delay_ms = reply->retry_after_ms;
    if (complete && !waits_here(link) && delay_ms < (interval_ms ? interval_ms : INTERVAL_MS))
        delay_ms = interval_ms ? interval_ms : INTERVAL_MS;
    if (delay_ms)
        rest(link, link->step, (uint64_t)delay_ms);
    else
        link_step(link);
}

static void on_polled(const struct http_reply *reply, void *user)
{
    struct link *link = user;
    struct codec_problem problem;
    char detail[HTTP_DETAIL_SIZE] = "";
    int64_t lived_ms = client_now_ms(link->client) - link->asked_ms;

    link->call = NULL;
    if (!reply->error && reply->status == 200) {
        poll_answered(link, reply);
        return;
    }
    int error = explain(reply, &problem, detail);
    if (problem.register_again) {
        link_lost_lease(link);
    } else if (!strcmp(problem.code, "superseded")) {
        give_up(link);
    } else if (!strcmp(problem.code, "bad_cursor")) {
        link->since[0] = link->after[0] = '\0';
        try_later(link, STEP_POLL, SIGNPOST_ERROR_PROTOCOL, detail, 0);
    } else if (link->waited && lived_ms > CUT_AFTER_MS &&
               (error == SIGNPOST_ERROR_UNREACHABLE || error == SIGNPOST_ERROR_TIMEOUT)) {
        link->probing = true;
        link->lived_ms = lived_ms;
        link->step = STEP_POLL;
        link_step(link);
    } else {
        try_later(link, STEP_POLL, error, detail, reply->retry_after_ms);
    }
}

static unsigned poll_wait_s(struct link *link)
{
    int64_t most_s = link->ttl_ms * 2 / 3 / 1000;

    if (client_now_ms(link->client) >= link->wait_reset_ms)
        link->wait_s = WAIT_S;
    if (link->probing || !link->since[0] || !waits_here(link))
        return 0;
    return reads_mail(link) && link->wait_s > most_s ? (unsigned)most_s : link->wait_s;
}

static void begin_poll(struct link *link)
{
    bool page = link->step == STEP_PAGE;
    bool events = !page && reads_mail(link);
    unsigned wait_s = page ? 0 : poll_wait_s(link);
    struct url url = {.length = 0};
    char number[24], *body = NULL;
    int error = 0;

    url_put(&url, link->url);
    url_put(&url, events ? "/events" : "/list");
    if (events) {
        body = codec_events(link->since[0] ? link->since : NULL,
            link->after[0] ? link->after : NULL, wait_s, PAGE_NODES);
        error = body ? 0 : SIGNPOST_ERROR_NO_MEMORY;
    } else {
        snprintf(number, sizeof number, "%u", PAGE_NODES);
        url_parameter(&url, "limit", number);
        if (link->client->config.network)
            url_parameter(&url, "network", link->client->config.network);
        if (page)
            url_parameter(&url, "after", link->page);
        else if (link->since[0])
            url_parameter(&url, "since", link->since);
        snprintf(number, sizeof number, "%u", wait_s);
        if (wait_s)
            url_parameter(&url, "wait", number);
    }
    link->waited = wait_s > 0;
    link->asked_ms = client_now_ms(link->client);
    if (!error)
        error = request(link, events ? "POST" : "GET", url.text, body,
            wait_s * 1000 + (wait_s ? WAIT_SLACK_MS : SHORT_TIMEOUT_MS), on_polled, &link->call);
    free(body);
    if (error)
        try_later(link, STEP_POLL, error, signpost_strerror(error), 0);
}

static void link_step(struct link *link)
{
    if (link->call || link->leaving)
        return;
    if (!link->registered && !link->client->config.watch_only)
        link->step = STEP_REGISTER;
    uv_timer_stop(&link->timer);
    if (link->step == STEP_REGISTER)
        begin_register(link);
    else if (link->step != STEP_REST)
        begin_poll(link);
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
    link->wait_s = WAIT_S;
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
    rest(link, link->client->config.watch_only ? STEP_POLL : STEP_REGISTER, 0);
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
        rest(link, link->step == STEP_REST ? STEP_POLL : link->step, 0);
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
    struct url url = {.length = 0};

    link->leaving = true;
    link->left = left;
    uv_timer_stop(&link->timer);
    uv_timer_stop(&link->heart);
    if (link->call)
        http_cancel(link->call);
    if (link->beat)
        http_cancel(link->beat);
    link->call = link->beat = NULL;
    url_put(&url, link->url);
    url_put(&url, "/nodes/");
    url_put(&url, link->client->id);
    if (!link->registered ||
        request(link, "DELETE", url.text, NULL, CLIENT_STOP_MS, on_left, &link->call))
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
