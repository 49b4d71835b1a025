#include "sessions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINGER_MS 10000   /* of a session that is over: a late knock of it may come */
#define KNOCKS_MAX 8u     /* of one peer and kind at once, */
#define KNOCK_MS 1000     /* and one more after each such time; retries come slower */
#define BUSY_BYES_MAX 32u /* that are on their way; further knocks are passed over */

struct sessions {
    signpost_t *client;
    struct signpost_session *first;
    size_t count;
    unsigned busy_byes;
    uv_timer_t timer;
    bool stopped;
};

/* --- the table ------------------------------------------------------------------------------- */

struct signpost_session *sessions_find(
    const struct sessions *sessions, const char *peer, const char *kind)
{
    struct signpost_session *at = sessions->first;

    while (at && (strcmp(at->peer, peer) != 0 || strcmp(at->kind, kind) != 0))
        at = at->next;
    return at;
}

static bool is_direct(const char *kind)
{
    return !strcmp(kind, "direct");
}

/* By the id of the attempt, which the peer may have chosen. */
static struct signpost_session *find_by_id(
    const struct sessions *sessions, const char *peer, const char *id)
{
    struct signpost_session *at = sessions->first;

    while (at && (strcmp(at->peer, peer) != 0 || strcmp(session_get_id(at->machine), id) != 0))
        at = at->next;
    return at;
}

static void session_forget(struct signpost_session *session)
{
    session_free(session->machine);
    free(session);
}

int sessions_get(struct sessions *sessions, const char *peer, const char *kind,
    struct signpost_session **ret_session)
{
    struct signpost_session *session = sessions_find(sessions, peer, kind);
    bool direct = is_direct(kind);

    if (!session) {
        if (sessions->count >= SESSIONS_MAX)
            return SIGNPOST_ERROR_FULL;
        session = calloc(1, sizeof *session);
        if (!session)
            return SIGNPOST_ERROR_NO_MEMORY;
        session->client = sessions->client;
        snprintf(session->peer, sizeof session->peer, "%s", peer);
        snprintf(session->kind, sizeof session->kind, "%s", kind);
        session->machine = session_new(sessions->client->id, peer, direct,
            direct ? &direct_actions : &session_events_actions, session);
        if (!session->machine) {
            free(session);
            return SIGNPOST_ERROR_NO_MEMORY;
        }
        session->next = sessions->first;
        sessions->first = session;
        sessions->count++;
    }
    session->ended_ms = 0;
    *ret_session = session;
    return 0;
}

/* --- what a machine says --------------------------------------------------------------------- */

/* A message under way, so that its fate finds the session. */
struct note {
    char peer[SESSION_ID_SIZE], id[SESSION_ID_SIZE];
    enum session_type type;
};

static void explain(const char *peer, const char *type, int error, char *ret_reason, size_t size)
{
    switch (error) {
    case SIGNPOST_ERROR_UNKNOWN_PEER: snprintf(ret_reason, size, "%s is offline", peer); break;
    case SIGNPOST_ERROR_EXPIRED:
        snprintf(ret_reason, size, "%s did not fetch the %s in time", peer, type);
        break;
    case SIGNPOST_ERROR_BUSY:
        snprintf(ret_reason, size, "the index takes no more messages for %s now", peer);
        break;
    default: snprintf(ret_reason, size, "%s", signpost_strerror(error)); break;
    }
}

static void on_sent(
    signpost_t *client, const char *id, signpost_delivery_t delivery, int error, void *user)
{
    struct note *note = user;
    struct signpost_session *session = find_by_id(client->sessions, note->peer, note->id);
    char reason[SESSION_REASON_SIZE];

    (void)id;
    if (session && !client->stopping) {
        explain(note->peer, session_type_name(note->type), error, reason, sizeof reason);
        if (delivery == SIGNPOST_FAILED) {
            session->error = error;
            session_lost(session->machine, note->id, note->type, reason, 0, client_now_ms(client));
        } else {
            session_sent(session->machine, note->id, note->type, client_now_ms(client));
        }
        sessions_follow(client->sessions);
    }
    free(note);
}

static int post(struct signpost_session *session, const char *id, enum session_type type,
    unsigned gen, const char *payload, bool end)
{
    struct codec_signal signal = {.gen = gen, .end = end, .payload = (char *)payload};
    struct note *note = malloc(sizeof *note);
    int error = SIGNPOST_ERROR_NO_MEMORY;

    strcpy(signal.kind, session->kind);
    char *body = codec_signal(session_type_name(type), &signal);
    if (note && body) {
        snprintf(note->peer, sizeof note->peer, "%s", session->peer);
        snprintf(note->id, sizeof note->id, "%s", id);
        note->type = type;
        error = outbox_send(session->client->outbox, session->peer, id, session_type_name(type),
            body, strlen(body), 0, NULL, on_sent, note);
    }
    if (error)
        free(note);
    free(body);
    return error;
}

void sessions_send(
    void *user, const char *id, enum session_type type, unsigned gen, const char *payload, bool end)
{
    struct signpost_session *session = user;
    int error = session->client->stopping ? 0 : post(session, id, type, gen, payload, end);

    if (!error)
        return;
    session->error = error;
    session_lost(
        session->machine, id, type, signpost_strerror(error), 0, client_now_ms(session->client));
}

uint64_t sessions_random(void *user, uint64_t most)
{
    const struct signpost_session *session = user;
    return client_jitter(session->client, most);
}

void sessions_new_id(void *user, char ret_id[SESSION_ID_SIZE])
{
    struct signpost_session *session = user;

    session->error = 0;
    secret_uuid(ret_id);
}

/* --- what comes from a peer ------------------------------------------------------------------ */

static void on_busy_said(
    signpost_t *client, const char *id, signpost_delivery_t delivery, int error, void *user)
{
    (void)id, (void)delivery, (void)error, (void)user;
    client->sessions->busy_byes--;
}

/* Nothing is kept of a caller for whom there is no room. */
static void say_busy(struct sessions *sessions, const signpost_message_t *knock)
{
    static const char body[] = "{\"reason\":\"busy\"}";

    if (sessions->busy_byes < BUSY_BYES_MAX &&
        !outbox_send(sessions->client->outbox, knock->from, knock->session, "bye", body,
            sizeof body - 1, 0, NULL, on_busy_said, NULL))
        sessions->busy_byes++;
}

/* `own`: the caller's, of that kind; NULL: there is none yet. */
static bool has_room(const struct sessions *sessions, const signpost_message_t *knock, bool direct,
    const struct signpost_session *own)
{
    size_t called = 0, of_address = 0, kinds = 0;
    size_t most = direct ? SESSIONS_DIRECT_MAX : SESSIONS_CALLED_MAX;

    for (const struct signpost_session *at = sessions->first; at; at = at->next) {
        enum session_state state = session_get_state(at->machine);
        kinds += at != own && !strcmp(at->peer, knock->from);
        if (session_is_caller(at->machine) || state == SESSION_CONNECTED ||
            session_is_over(at->machine))
            continue;
        if (is_direct(at->kind) != direct)
            continue;
        called++;
        of_address += !strcmp(at->from, knock->from_address);
    }
    return called < most && of_address < most / 2 && kinds < SESSIONS_KINDS_MAX;
}

/* An honest peer knocks seldom; each knock is to cost us little. */
static bool knocks_too_often(struct signpost_session *session, int64_t now_ms)
{
    int64_t leaked = (now_ms - session->knocks_ms) / KNOCK_MS;

    if (leaked > 0) {
        session->knocks -= leaked < session->knocks ? (unsigned)leaked : session->knocks;
        session->knocks_ms = now_ms;
    }
    if (session->knocks >= KNOCKS_MAX)
        return true;
    session->knocks++;
    return false;
}

/* False: nobody here is for sessions of that kind. */
static bool take_knock(
    struct sessions *sessions, const signpost_message_t *knock, const struct codec_signal *signal)
{
    signpost_t *client = sessions->client;
    struct signpost_session *session = sessions_find(sessions, knock->from, signal->kind);

    bool direct = is_direct(signal->kind);
    if (direct ? !signpost_port(client) : !client->config.sessions)
        return false;
    if ((!session || session_is_over(session->machine)) &&
        (!has_room(sessions, knock, direct, session) ||
            sessions_get(sessions, knock->from, signal->kind, &session))) {
        say_busy(sessions, knock);
        return true;
    }
    if (knocks_too_often(session, client_now_ms(client))) {
        client_log(client, SIGNPOST_LOG_DEBUG, "%s knocks too often", knock->from);
        return true;
    }
    session->ended_ms = 0;
    session->error = 0;
    snprintf(session->from, sizeof session->from, "%s", knock->from_address);
    session_receive(session->machine,
        &(struct session_message){
            .session = knock->session, .type = SESSION_TYPE_KNOCK, .payload = signal->payload},
        client_now_ms(client));
    sessions_follow(sessions);
    return true;
}

static bool read_type(const char *name, enum session_type *ret_type)
{
    static const enum session_type types[] = {
#define X(upper, lower) SESSION_TYPE_##upper,
        SESSION_TYPES(X)
#undef X
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (!strcmp(name, session_type_name(types[i]))) {
            *ret_type = types[i];
            return true;
        }
    }
    return false;
}

static int read_bye(const char *reason)
{
    if (!strcmp(reason, "refused"))
        return SIGNPOST_ERROR_PEER_REFUSED;
    return strcmp(reason, "busy") ? SIGNPOST_ERROR_NO_PATH : SIGNPOST_ERROR_BUSY;
}

bool sessions_take(struct sessions *sessions, const signpost_message_t *message)
{
    struct signpost_session *session;
    struct codec_signal signal;
    enum session_type type;
    bool taken = true;

    if (sessions->stopped || !message->session[0] || !read_type(message->type, &type))
        return false;
    session = find_by_id(sessions, message->from, message->session);
    if (type != SESSION_TYPE_KNOCK && !session)
        return false;
    if (codec_parse_signal(message->type, message->body, message->body_size, &signal)) {
        client_log(sessions->client, SIGNPOST_LOG_DEBUG, "the %s from %s makes no sense",
            message->type, message->from);
        return session != NULL;
    }
    if (type == SESSION_TYPE_KNOCK) {
        taken = take_knock(sessions, message, &signal);
    } else {
        if (type == SESSION_TYPE_BYE)
            session->error = read_bye(signal.payload);
        session_receive(session->machine,
            &(struct session_message){.session = message->session,
                .type = type,
                .gen = signal.gen,
                .payload = signal.payload,
                .end = signal.end},
            client_now_ms(sessions->client));
        sessions_follow(sessions);
    }
    codec_free_signal(&signal);
    return taken;
}

bool sessions_take_undeliverable(
    struct sessions *sessions, const struct codec_undeliverable *undeliverable)
{
    struct signpost_session *session =
        find_by_id(sessions, undeliverable->to, undeliverable->session);
    char reason[SESSION_REASON_SIZE];
    enum session_type type;

    if (sessions->stopped || !undeliverable->session[0] || !session ||
        !read_type(undeliverable->type, &type))
        return false;
    session->error = undeliverable->reason;
    explain(session->peer, undeliverable->type, undeliverable->reason, reason, sizeof reason);
    session_lost(
        session->machine, undeliverable->session, type, reason, 0, client_now_ms(sessions->client));
    sessions_follow(sessions);
    return true;
}

/* --- time ------------------------------------------------------------------------------------ */

static void sweep(struct sessions *sessions, int64_t now_ms)
{
    struct signpost_session **at = &sessions->first;

    while (*at) {
        struct signpost_session *session = *at;
        if (!session->ended_ms || now_ms < session->ended_ms + LINGER_MS ||
            !session_is_over(session->machine)) {
            at = &session->next;
            continue;
        }
        *at = session->next;
        sessions->count--;
        session_forget(session);
    }
}

/* Only here sessions are forgotten, so that nobody further up the stack still has one. */
static void on_timer(uv_timer_t *timer)
{
    struct sessions *sessions = timer->data;
    int64_t now_ms = client_now_ms(sessions->client);

    sweep(sessions, now_ms);
    for (struct signpost_session *at = sessions->first; at && !sessions->stopped; at = at->next)
        if (session_due_ms(at->machine) <= now_ms)
            session_tick(at->machine, now_ms);
    sessions_follow(sessions);
}

void sessions_follow(struct sessions *sessions)
{
    int64_t now_ms = client_now_ms(sessions->client), due_ms = INT64_MAX;

    if (sessions->stopped)
        return;
    for (struct signpost_session *at = sessions->first; at; at = at->next) {
        int64_t own_ms = session_due_ms(at->machine);
        if (!session_is_over(at->machine))
            at->ended_ms = 0;
        else if (!at->ended_ms)
            at->ended_ms = now_ms;
        if (at->ended_ms)
            own_ms = at->ended_ms + LINGER_MS;
        if (own_ms < due_ms)
            due_ms = own_ms;
    }
    if (due_ms == INT64_MAX)
        uv_timer_stop(&sessions->timer);
    else
        uv_timer_start(
            &sessions->timer, on_timer, due_ms > now_ms ? (uint64_t)(due_ms - now_ms) : 0, 0);
}

/* --- life ------------------------------------------------------------------------------------ */

int sessions_new(signpost_t *client, struct sessions **ret_sessions)
{
    struct sessions *sessions = calloc(1, sizeof *sessions);

    if (!sessions)
        return SIGNPOST_ERROR_NO_MEMORY;
    sessions->client = client;
    uv_timer_init(client->loop, &sessions->timer);
    sessions->timer.data = sessions;
    client_hold(client);
    *ret_sessions = sessions;
    return 0;
}

void sessions_stop(struct sessions *sessions)
{
    uv_timer_stop(&sessions->timer);
    sessions->stopped = true;
    for (struct signpost_session *at = sessions->first; at; at = at->next)
        if (!session_is_over(at->machine))
            session_close(at->machine, client_now_ms(sessions->client));
}

static void on_closed(uv_handle_t *handle)
{
    struct sessions *sessions = handle->data;
    signpost_t *client = sessions->client;

    while (sessions->first) {
        struct signpost_session *session = sessions->first;
        sessions->first = session->next;
        session_forget(session);
    }
    free(sessions);
    client->sessions = NULL;
    client_release(client);
}

void sessions_close(struct sessions *sessions)
{
    sessions->stopped = true;
    uv_close((uv_handle_t *)&sessions->timer, on_closed);
}
