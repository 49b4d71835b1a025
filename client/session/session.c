#include "session_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANDIDATES_MAX                                                                             \
    49152 /* bytes that are kept of either end's: with its frame it is a message */

static const char *const state_names[] = {
#define X(name, text) text,
    SESSION_STATES(X)
#undef X
};

static const char *const type_names[] = {
#define X(name, text) text,
    SESSION_TYPES(X)
#undef X
};

const char *session_state_name(enum session_state state)
{
    return state_names[state];
}

const char *session_type_name(enum session_type type)
{
    return type_names[type];
}

/* --- small things ---------------------------------------------------------------------------- */

void session_set_timer(struct session *session, enum timer timer, int64_t due_ms)
{
    session->due_ms[timer] = due_ms;
}

static void stop_timers(struct session *session)
{
    for (int i = 0; i < TIMERS; i++)
        session->due_ms[i] = INT64_MAX;
}

bool session_enter(struct session *session, enum session_state state, const char *reason, bool last)
{
    unsigned serial = ++session->serial;

    session->state = state;
    session->actions->state(session->user, state, reason, last);
    return session->serial == serial;
}

void session_post(struct session *session, enum session_type type, const char *payload, bool end)
{
    session->actions->send(
        session->user, session->id, type, session->gen, payload ? payload : "", end);
}

static void session_forget_candidates(struct session *session)
{
    free(session->local);
    free(session->early);
    session->local = session->early = NULL;
    session->local_end = session->early_end = false;
}

void session_append(char **text, const char *more, bool newline)
{
    size_t length = *text ? strlen(*text) : 0, size = strlen(more);
    char *longer;

    if (length + size + 2 > CANDIDATES_MAX)
        return;
    longer = realloc(*text, length + size + 2);
    if (!longer)
        return;
    memcpy(longer + length, more, size);
    strcpy(longer + length + size, newline ? "\n" : "");
    *text = longer;
}

bool session_is_middle(enum session_state state)
{
    return state != SESSION_IDLE && state != SESSION_CONNECTED && state != SESSION_FAILED &&
           state != SESSION_RETRYING && state != SESSION_CLEANUP;
}

bool session_end_attempt(struct session *session)
{
    unsigned serial = session->serial;
    bool live = session->live;

    stop_timers(session);
    session_forget_candidates(session);
    if (session->id[0] && !session->caller)
        memcpy(session->ended[session->endings++ % ENDED], session->id, sizeof session->id);
    session->id[0] = '\0';
    session->live = session->restarted = session->waiting = session->linked = false;
    session->described = session->has_remote = false;
    session->gen = session->early_gen = 0;
    if (live)
        session->actions->drop(session->user);
    return session->serial == serial;
}

static void say_bye(struct session *session, const char *reason)
{
    if (session->id[0])
        session_post(session, SESSION_TYPE_BYE, reason, false);
}

/* --- attempts -------------------------------------------------------------------------------- */

void session_knock(struct session *session, bool dials, int64_t now_ms)
{
    const char *payload = "";

    session->actions->new_id(session->user, session->id);
    session_set_timer(session, STAGE, now_ms + SESSION_READY_MS);
    if (!session_enter(session, SESSION_REQUESTING, "", false))
        return;
    if (session->direct) {
        unsigned serial = session->serial;
        bool reverse = dials || session->actions->reverse(session->user, false);

        if (session->serial != serial)
            return;
        session->dials = reverse;
        payload = reverse ? "dial" : "accept";
    }
    session_post(session, SESSION_TYPE_KNOCK, payload, false);
}

static void begin_attempt(struct session *session, int64_t now_ms)
{
    session->caller = true;
    session_set_timer(session, ATTEMPT, now_ms + SESSION_ATTEMPT_MS);
    session_knock(session, false, now_ms);
}

/* The attempt has failed; `final`: another one would too. */
static void fail(
    struct session *session, const char *reason, int64_t retry_after_ms, bool final, int64_t now_ms)
{
    char kept[SESSION_REASON_SIZE];
    bool last = final || session->retries >= SESSION_RETRIES;

    snprintf(kept, sizeof kept, "%s", reason);
    if (!session_end_attempt(session))
        return;
    if (last)
        session->wanted = false;
    if (!session_enter(session, SESSION_FAILED, kept, last) || last)
        return;
    session->retries++;
    int64_t delay_ms = SESSION_RETRY_MS / 2 +
                       (int64_t)session->actions->random(session->user, (uint64_t)SESSION_RETRY_MS);
    session_set_timer(
        session, STAGE, now_ms + (delay_ms > retry_after_ms ? delay_ms : retry_after_ms));
    session_enter(session, SESSION_RETRYING, "", false);
}

void session_finish(struct session *session, const char *reason)
{
    char kept[SESSION_REASON_SIZE];

    snprintf(kept, sizeof kept, "%s", reason);
    if (!session_end_attempt(session))
        return;
    session->wanted = false;
    session->retries = 0;
    stop_timers(session); /* a connect from inside `drop` came too early */
    if (session_enter(session, SESSION_CLEANUP, kept, false))
        session_enter(session, SESSION_IDLE, "", false);
}

void session_give_up(
    struct session *session, const char *reason, int64_t retry_after_ms, bool final, int64_t now_ms)
{
    if (session->caller || session->wanted)
        fail(session, reason, retry_after_ms, final, now_ms);
    else
        session_finish(session, reason);
}

void session_abandon(struct session *session, const char *reason, int64_t now_ms)
{
    unsigned serial = session->serial;

    say_bye(session, "failed");
    if (session->serial == serial)
        session_give_up(session, reason, 0, false, now_ms);
}

/* ICE anew, in the same session, with the next generation. */
static void restart(struct session *session, int64_t now_ms)
{
    session->restarted = true;
    session->described = session->has_remote = session->waiting = false;
    session->gen++;
    session_forget_candidates(session);
    session_set_timer(session, STAGE, INT64_MAX);
    session_set_timer(session, BATCH, INT64_MAX);
    if (session->state == SESSION_CONNECTED) {
        session->wanted = true;
        session_set_timer(session, CLEANUP, INT64_MAX);
        session_set_timer(session, ATTEMPT, now_ms + SESSION_ATTEMPT_MS);
    }
    if (session_enter(session, SESSION_CREATING_OFFER, "", false))
        session->actions->make_offer(session->user, session->gen);
}

static void no_path(struct session *session, int64_t now_ms)
{
    session_abandon(
        session, "no path between the two networks: no pair of addresses worked", now_ms);
}

static void restart_or_fail(struct session *session, int64_t now_ms)
{
    if (!session->restarted && now_ms < session->due_ms[ATTEMPT])
        restart(session, now_ms);
    else
        no_path(session, now_ms);
}

static void become_connected(struct session *session, int64_t now_ms)
{
    if (session->state == SESSION_ANSWER_SENT &&
        !session_enter(session, SESSION_CONNECTING, "", false))
        return;
    session->restarted = session->waiting = session->wanted = false;
    session->retries = 0;
    session_set_timer(session, STAGE, INT64_MAX);
    session_set_timer(session, ATTEMPT, INT64_MAX);
    session_set_timer(session, CLEANUP, now_ms + SESSION_CLEANUP_MS);
    session_enter(session, SESSION_CONNECTED, "", false);
}

void session_begin_connecting(struct session *session, int64_t now_ms)
{
    if (session->caller)
        session_set_timer(session, STAGE, now_ms + SESSION_ICE_MS);
    if (session_enter(session, SESSION_CONNECTING, "", false) && session->linked)
        become_connected(session, now_ms); /* it was never gone, or is back already */
}

/* --- what the application says --------------------------------------------------------------- */

void session_connect(struct session *session, int64_t now_ms)
{
    if (session->state == SESSION_CONNECTED || session->state == SESSION_CLEANUP || session->wanted)
        return;
    session->wanted = true;
    session->retries = 0;
    if (session->state == SESSION_IDLE || session->state == SESSION_FAILED)
        begin_attempt(session, now_ms);
    else if (session_is_middle(session->state)) /* the peer's attempt is ours too */
        session_set_timer(session, ATTEMPT, now_ms + SESSION_ATTEMPT_MS);
}

void session_accept(struct session *session, const char *payload, int64_t now_ms)
{
    if (session->state != SESSION_PREPARING)
        return;
    session->live = true;
    if (session->direct)
        session_set_timer(session, CLEANUP, now_ms + SESSION_TICKET_MS);
    if (session_enter(session, SESSION_READY, "", false))
        session_post(session, SESSION_TYPE_ANSWERED_READY, payload, false);
}

void session_refuse(struct session *session, const char *reason, int64_t now_ms)
{
    unsigned serial = session->serial;

    if (session->state != SESSION_PREPARING)
        return;
    say_bye(session, reason);
    if (session->serial == serial) /* what we want ourselves goes on */
        session_give_up(session, session->wanted ? "the peer called first and was refused" : "", 0,
            false, now_ms);
}

static void send_batch(struct session *session)
{
    char *batch = session->local;
    bool end = session->local_end;

    session->local = NULL;
    session->local_end = false;
    session_set_timer(session, BATCH, INT64_MAX);
    session_post(session, SESSION_TYPE_CANDIDATES, batch, end);
    free(batch);
}

void session_describe(struct session *session, const char *description, int64_t now_ms)
{
    bool offer = session->state == SESSION_CREATING_OFFER;

    if (!offer && session->state != SESSION_OFFER_RECEIVED)
        return;
    session->described = true;
    if (session->local)
        session_set_timer(session, BATCH, now_ms + SESSION_BATCH_MS);
    if (offer)
        session_set_timer(session, STAGE, now_ms + SESSION_ANSWER_MS);
    if (!session_enter(session, offer ? SESSION_WAITING_ANSWER : SESSION_ANSWER_SENT, "", false))
        return;
    session_post(session, offer ? SESSION_TYPE_OFFER : SESSION_TYPE_ANSWER, description, false);
    if (session->local_end)
        send_batch(session);
}

void session_candidate(struct session *session, const char *candidate, int64_t now_ms)
{
    if (!session->live)
        return;
    session_append(&session->local, candidate, true);
    if (session->described && session->due_ms[BATCH] == INT64_MAX)
        session_set_timer(session, BATCH, now_ms + SESSION_BATCH_MS);
}

void session_candidates_end(struct session *session)
{
    if (!session->live)
        return;
    session->local_end = true;
    if (session->described) /* nothing more will come: why wait? */
        send_batch(session);
}

void session_link(struct session *session, enum session_link link, int64_t now_ms)
{
    if (!session->live)
        return;
    if (session->direct) {
        session_direct_link(session, link, now_ms);
        return;
    }
    session->linked = link == SESSION_LINK_CONNECTED;
    switch (session->state) {
    case SESSION_CONNECTING:
    case SESSION_ANSWER_SENT:
        if (session->linked)
            become_connected(session, now_ms);
        else if (link == SESSION_LINK_FAILED && session->caller)
            restart_or_fail(session, now_ms);
        break;
    case SESSION_CONNECTED:
        if (session->linked) {
            session->waiting = false;
            session_set_timer(session, STAGE, INT64_MAX);
        } else if (link == SESSION_LINK_DISCONNECTED) {
            session_set_timer(session, STAGE, now_ms + SESSION_GRACE_MS);
        } else if (session->caller) {
            restart(session, now_ms);
        } else {
            session->waiting = true;
            session_set_timer(session, STAGE, now_ms + SESSION_RESTART_MS);
        }
        break;
    default: break;
    }
}

void session_close(struct session *session, int64_t now_ms)
{
    unsigned serial = session->serial;

    (void)now_ms;
    if (session->state == SESSION_IDLE || session->state == SESSION_CLEANUP)
        return;
    say_bye(session, "closed");
    if (session->serial == serial)
        session_finish(session, "");
}

/* --- time ------------------------------------------------------------------------------------ */

int64_t session_due_ms(const struct session *session)
{
    int64_t due_ms = INT64_MAX;

    for (int i = 0; i < TIMERS; i++)
        if (session->due_ms[i] < due_ms)
            due_ms = session->due_ms[i];
    return due_ms;
}

static void stage_is_over(struct session *session, int64_t now_ms)
{
    char reason[SESSION_REASON_SIZE];

    switch (session->state) {
    case SESSION_RETRYING: begin_attempt(session, now_ms); break;
    case SESSION_REQUESTING:
        snprintf(reason, sizeof reason, "no index took the call to %s within %d s", session->peer,
            SESSION_READY_MS / 1000);
        session_abandon(session, reason, now_ms);
        break;
    case SESSION_WAITING_READY:
        snprintf(reason, sizeof reason, "%s did not get ready within %d s", session->peer,
            SESSION_READY_MS / 1000);
        session_abandon(session, reason, now_ms);
        break;
    case SESSION_WAITING_ANSWER:
        snprintf(reason, sizeof reason, "no answer from %s in %d s", session->peer,
            SESSION_ANSWER_MS / 1000);
        session_abandon(session, reason, now_ms);
        break;
    case SESSION_CONNECTING:
        if (session->direct)
            session_direct_late(session, now_ms);
        else
            restart_or_fail(session, now_ms);
        break;
    case SESSION_CONNECTED:
        if (session->caller) {
            restart(session, now_ms);
        } else if (!session->waiting) {
            session->waiting = true;
            session_set_timer(session, STAGE, now_ms + SESSION_RESTART_MS);
        } else { /* the caller does not mend it */
            session->wanted = true;
            if (session_end_attempt(session))
                begin_attempt(session, now_ms);
        }
        break;
    default: break;
    }
}

static void attempt_is_over(struct session *session, int64_t now_ms)
{
    char reason[SESSION_REASON_SIZE];

    if (session->state == SESSION_CONNECTING && !session->direct) {
        no_path(session, now_ms);
        return;
    }
    snprintf(reason, sizeof reason, "no connection to %s within %d s", session->peer,
        SESSION_ATTEMPT_MS / 1000);
    session_abandon(session, reason, now_ms);
}

void session_tick(struct session *session, int64_t now_ms)
{
    for (int timer = 0; timer < TIMERS; timer++) {
        if (session->due_ms[timer] > now_ms)
            continue;
        session->due_ms[timer] = INT64_MAX;
        switch ((enum timer)timer) {
        case STAGE: stage_is_over(session, now_ms); break;
        case ATTEMPT: attempt_is_over(session, now_ms); break;
        case BATCH: send_batch(session); break;
        case CLEANUP:
            if (session->state == SESSION_CONNECTED)
                session_forget_candidates(session);
            else /* a wish that came late goes on */
                session_give_up(session, "nobody finished it", 0, false, now_ms);
            break;
        case TIMERS: break;
        }
    }
}

/* --- life ------------------------------------------------------------------------------------ */

struct session *session_new(const char *own, const char *peer, bool direct,
    const struct session_actions *actions, void *user)
{
    struct session *session = calloc(1, sizeof *session);

    if (!session)
        return NULL;
    session->direct = direct;
    session->actions = actions;
    session->user = user;
    snprintf(session->own, sizeof session->own, "%s", own);
    snprintf(session->peer, sizeof session->peer, "%s", peer);
    stop_timers(session);
    return session;
}

void session_free(struct session *session)
{
    if (!session)
        return;
    session_forget_candidates(session);
    free(session);
}

enum session_state session_get_state(const struct session *session)
{
    return session->state;
}

const char *session_get_id(const struct session *session)
{
    return session->id;
}

bool session_is_caller(const struct session *session)
{
    return session->caller;
}

bool session_is_over(const struct session *session)
{
    /* An attempt that failed and is to be followed by another one is FAILED for a moment too. */
    return session->state == SESSION_IDLE || (session->state == SESSION_FAILED && !session->wanted);
}
