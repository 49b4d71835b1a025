#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Messages on their way. Of one session to one peer only the oldest is under way, so that they
 * arrive in order; the others stand behind it. A message goes by an index that lists its peer;
 * where none does, by each in turn, because a peer may be unlisted. It is tried again, with the
 * same id, until its time is over. Of those that go by one index only some are under way at a time,
 * so that many at once are no flood of connections.
 */

#define OUTBOX_MESSAGES_MAX 1024
#define OUTBOX_BYTES_MAX (16u << 20)
#define OUTBOX_UNDER_WAY_MAX 32u /* by one index, and so connections to it */
#define BODY_MAX 65536u
#define SEND_TIMEOUT_MS 5000
#define REPLY_MAX 65536u
#define TTL_DEFAULT_S 30u
#define TTL_MOST_S 600u
#define RETRY_MOST_MS 5000

/* As the index has it, so that a message is not tried for longer than it is worth. */
static const struct {
    const char *type;
    unsigned ttl_s;
} type_ttls[] = {{"knock", 5}, {"ready", 5}, {"offer", 10}, {"answer", 10}};

struct outgoing {
    struct outgoing *next;
    struct outbox *outbox;
    char id[SECRET_UUID_SIZE];
    char *to, *session, *text;
    size_t size;
    int64_t deadline_ms, next_try_ms;
    unsigned failures;
    uint32_t tried;    /* a bit for each index that does not know the peer */
    struct link *link; /* it is under way by, or was last */
    struct http_call *call;
    bool waits;    /* until fewer are under way */
    int error;     /* why it is not there yet */
    bool finished; /* with `delivery` and `error`: to be told from the loop */
    signpost_delivery_t delivery;
    signpost_sent_cb sent;
    void *user;
};

struct outbox {
    signpost_t *client;
    struct outgoing *first;
    size_t count, bytes;
    unsigned under_way[CLIENT_INDEXES_MAX];
    uv_timer_t timer;
    bool closed;
};

static void outgoing_free(struct outgoing *outgoing)
{
    free(outgoing->to);
    free(outgoing->session);
    free(outgoing->text);
    free(outgoing);
}

static void finish(struct outgoing *outgoing, signpost_delivery_t delivery, int error)
{
    outgoing->finished = true;
    outgoing->delivery = delivery;
    outgoing->error = error;
}

/* --- one try --------------------------------------------------------------------------------- */

static void outbox_later(struct outbox *outbox, uint64_t delay_ms);

static void call_ended(struct outgoing *outgoing)
{
    outgoing->call = NULL;
    outgoing->outbox->under_way[link_number(outgoing->link)]--;
}

static void give_up(struct outgoing *outgoing, int error)
{
    if (outgoing->call) {
        http_cancel(outgoing->call);
        call_ended(outgoing);
    }
    finish(outgoing, SIGNPOST_FAILED, error);
}

static void try_again(struct outgoing *outgoing, int error, int64_t retry_after_ms)
{
    outgoing->error = error;
    outgoing->next_try_ms = client_now_ms(outgoing->outbox->client) +
                            (int64_t)client_backoff_ms(outgoing->outbox->client,
                                outgoing->failures++, RETRY_MOST_MS, retry_after_ms);
}

static void on_sent(const struct http_reply *reply, void *user)
{
    struct outgoing *outgoing = user;
    struct codec_reply parsed = {0};
    struct codec_problem problem = {0};
    char detail[HTTP_DETAIL_SIZE];

    call_ended(outgoing);
    if (reply->error) {
        try_again(outgoing, reply->error, 0);
    } else if (reply->status == 202 &&
               !codec_parse(CODEC_SENT, reply->body, reply->body_size, &parsed, detail)) {
        finish(outgoing, parsed.handed ? SIGNPOST_HANDED : SIGNPOST_QUEUED, 0);
        codec_free(&parsed);
    } else if (!codec_parse_problem(reply->body, reply->body_size, &problem)) {
        try_again(outgoing, SIGNPOST_ERROR_PROTOCOL, reply->retry_after_ms);
    } else if (problem.register_again) {
        link_lost_lease(outgoing->link);
        try_again(outgoing, SIGNPOST_ERROR_UNREACHABLE, 0);
    } else if (reply->status == 404) {
        /* The next index may know it. */
        outgoing->tried |= 1u << link_number(outgoing->link);
        outgoing->error = SIGNPOST_ERROR_UNKNOWN_PEER;
    } else if (reply->status == 429 || reply->status == 503) {
        try_again(outgoing, SIGNPOST_ERROR_BUSY, reply->retry_after_ms);
    } else {
        finish(outgoing, SIGNPOST_FAILED, SIGNPOST_ERROR_REFUSED);
    }
    outbox_later(outgoing->outbox, 0);
}

/* An index that is there, has not said that it does not know the peer, and best lists it. */
static struct link *choose_link(const struct outgoing *outgoing)
{
    const signpost_t *client = outgoing->outbox->client;
    struct link *any = NULL;

    for (size_t i = 0; i < client->link_count; i++) {
        if (!link_is_ready(client->links[i]) || outgoing->tried & 1u << i)
            continue;
        if (directory_lists(client->directory, i, outgoing->to))
            return client->links[i];
        if (!any)
            any = client->links[i];
    }
    return any;
}

static void begin(struct outgoing *outgoing)
{
    signpost_t *client = outgoing->outbox->client;
    char url[2048];
    struct link *link = choose_link(outgoing);

    outgoing->waits =
        link && outgoing->outbox->under_way[link_number(link)] >= OUTBOX_UNDER_WAY_MAX;
    if (outgoing->waits)
        return;
    if (!link) {
        signpost_peer_t peer;
        bool unknown = outgoing->tried != 0;
        outgoing->tried = 0;
        if (unknown && directory_find(client->directory, outgoing->to, &peer))
            finish(outgoing, SIGNPOST_FAILED, SIGNPOST_ERROR_UNKNOWN_PEER);
        else
            try_again(
                outgoing, unknown ? SIGNPOST_ERROR_UNKNOWN_PEER : SIGNPOST_ERROR_UNREACHABLE, 0);
        return;
    }
    outgoing->link = link;
    snprintf(url, sizeof url, "%s/mailbox/%s", link_url(link), outgoing->to);
    int error = http_start(client->http,
        &(struct http_request){
            .method = "POST",
            .url = url,
            .bearer = link_token(link),
            .body = outgoing->text,
            .body_size = strlen(outgoing->text),
            .timeout_ms = SEND_TIMEOUT_MS,
            .max_bytes = REPLY_MAX,
        },
        on_sent, outgoing, &outgoing->call);
    if (error)
        try_again(outgoing, error, 0);
    else
        outgoing->outbox->under_way[link_number(link)]++;
}

/* --- all of them ----------------------------------------------------------------------------- */

/* Does an older one of the same session to the same peer stand before it? */
static bool is_blocked(const struct outbox *outbox, const struct outgoing *outgoing)
{
    if (!outgoing->session[0])
        return false;
    for (const struct outgoing *at = outbox->first; at != outgoing; at = at->next)
        if (!strcmp(at->session, outgoing->session) && !strcmp(at->to, outgoing->to))
            return true;
    return false;
}

/* Tells the first that is finished and takes it out; its callback may do anything. */
static bool tell_one(struct outbox *outbox)
{
    for (struct outgoing **at = &outbox->first; *at; at = &(*at)->next) {
        struct outgoing *outgoing = *at;
        if (!outgoing->finished)
            continue;
        *at = outgoing->next;
        outbox->count--;
        outbox->bytes -= outgoing->size;
        if (outgoing->sent)
            outgoing->sent(outbox->client, outgoing->id, outgoing->delivery,
                outgoing->delivery == SIGNPOST_FAILED ? outgoing->error : 0, outgoing->user);
        outgoing_free(outgoing);
        return true;
    }
    return false;
}

static void on_timer(uv_timer_t *timer)
{
    struct outbox *outbox = timer->data;
    int64_t now_ms = client_now_ms(outbox->client), next_ms = INT64_MAX;

    for (struct outgoing *at = outbox->first; at; at = at->next) {
        if (at->finished)
            continue;
        if (now_ms >= at->deadline_ms) {
            if (at->call) /* there is room for those that wait */
                next_ms = now_ms;
            give_up(at, at->error ? at->error : SIGNPOST_ERROR_EXPIRED);
        } else if (!at->call && now_ms >= at->next_try_ms && !is_blocked(outbox, at)) {
            begin(at);
        }
    }
    while (tell_one(outbox))
        continue;
    for (const struct outgoing *at = outbox->first; at; at = at->next) {
        int64_t due_ms = at->deadline_ms;
        if (!at->call && !at->waits && at->next_try_ms < due_ms && !is_blocked(outbox, at))
            due_ms = at->next_try_ms;
        if (due_ms < next_ms)
            next_ms = due_ms;
    }
    if (next_ms < INT64_MAX && !outbox->closed)
        outbox_later(outbox, next_ms > now_ms ? (uint64_t)(next_ms - now_ms) : 0);
}

static void outbox_later(struct outbox *outbox, uint64_t delay_ms)
{
    if (!outbox->closed)
        uv_timer_start(&outbox->timer, on_timer, delay_ms, 0);
}

static unsigned default_ttl_s(const char *type)
{
    for (size_t i = 0; i < sizeof type_ttls / sizeof type_ttls[0]; i++)
        if (!strcmp(type, type_ttls[i].type))
            return type_ttls[i].ttl_s;
    return TTL_DEFAULT_S;
}

static bool is_name(const char *text, size_t most, const char *more)
{
    size_t length = strlen(text);
    char allowed[80];

    snprintf(allowed, sizeof allowed, "abcdefghijklmnopqrstuvwxyz0123456789._-%s", more);
    return length >= 1 && length <= most && strspn(text, allowed) == length;
}

static bool is_id(const char *text)
{
    return is_name(text, 64, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

int outbox_send(struct outbox *outbox, const char *to, const char *session, const char *type,
    const char *body, size_t body_size, unsigned ttl_s, char ret_id[37], signpost_sent_cb sent,
    void *user)
{
    struct outgoing *outgoing;

    if (!to || !type || !body || !is_id(to) || (session && !is_id(session)) ||
        !is_name(type, 32, "") || ttl_s > TTL_MOST_S || body_size > BODY_MAX ||
        !codec_is_json(body, body_size))
        return SIGNPOST_ERROR_INVALID;
    if (outbox->count >= OUTBOX_MESSAGES_MAX || outbox->bytes + body_size > OUTBOX_BYTES_MAX)
        return SIGNPOST_ERROR_FULL;
    outgoing = calloc(1, sizeof *outgoing);
    if (!outgoing)
        return SIGNPOST_ERROR_NO_MEMORY;
    secret_uuid(outgoing->id);
    outgoing->to = strdup(to);
    outgoing->session = strdup(session ? session : "");
    outgoing->text = codec_message(outgoing->id, session, type, body, body_size, ttl_s);
    if (!outgoing->to || !outgoing->session || !outgoing->text) {
        outgoing_free(outgoing);
        return SIGNPOST_ERROR_NO_MEMORY;
    }
    outgoing->outbox = outbox;
    outgoing->size = body_size;
    outgoing->deadline_ms =
        client_now_ms(outbox->client) + (ttl_s ? ttl_s : default_ttl_s(type)) * 1000LL;
    outgoing->sent = sent;
    outgoing->user = user;
    struct outgoing **end = &outbox->first;
    while (*end)
        end = &(*end)->next;
    *end = outgoing;
    outbox->count++;
    outbox->bytes += body_size;
    if (ret_id)
        strcpy(ret_id, outgoing->id);
    outbox_later(outbox, 0);
    return 0;
}

void outbox_nudge(struct outbox *outbox)
{
    for (struct outgoing *at = outbox->first; at; at = at->next)
        if (at->error == SIGNPOST_ERROR_UNREACHABLE || at->error == SIGNPOST_ERROR_TIMEOUT)
            at->next_try_ms = 0;
    if (outbox->first)
        outbox_later(outbox, 0);
}

/* --- life ------------------------------------------------------------------------------------ */

int outbox_new(signpost_t *client, struct outbox **ret_outbox)
{
    struct outbox *outbox = calloc(1, sizeof *outbox);

    if (!outbox)
        return SIGNPOST_ERROR_NO_MEMORY;
    outbox->client = client;
    uv_timer_init(client->loop, &outbox->timer);
    outbox->timer.data = outbox;
    client_hold(client);
    *ret_outbox = outbox;
    return 0;
}

void outbox_stop(struct outbox *outbox)
{
    for (struct outgoing *at = outbox->first; at; at = at->next) {
        if (!at->finished)
            give_up(at, SIGNPOST_ERROR_STOPPED);
    }
    outbox_later(outbox, 0);
}

static void on_closed(uv_handle_t *handle)
{
    struct outbox *outbox = handle->data;
    signpost_t *client = outbox->client;

    free(outbox);
    client_release(client);
}

void outbox_close(struct outbox *outbox)
{
    while (tell_one(outbox))
        continue;
    outbox->closed = true;
    uv_close((uv_handle_t *)&outbox->timer, on_closed);
}
