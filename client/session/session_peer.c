#include "session_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what comes from the peer ---------------------------------------------------------------- */

static void become_called(
    struct session *session, const struct session_message *knock, int64_t now_ms)
{
    if (!session_end_attempt(session))
        return;
    snprintf(session->id, sizeof session->id, "%s", knock->session);
    session->caller = false;
    session_set_timer(session, CLEANUP, now_ms + SESSION_CLEANUP_MS);
    if (session->wanted)
        session_set_timer(session, ATTEMPT, now_ms + SESSION_ATTEMPT_MS);
    if (session_enter(session, SESSION_PREPARING, "", false))
        session->actions->prepare(session->user, knock->payload);
}

static bool came_before(const struct session *session, const char *id)
{
    for (unsigned i = 0; i < ENDED; i++)
        if (!strcmp(id, session->ended[i]))
            return true;
    return !strcmp(id, session->id);
}

static void take_knock(struct session *session, const struct session_message *knock, int64_t now_ms)
{
    bool calls = session->caller && session_is_middle(session->state);
    bool done = session->state == (session->direct ? SESSION_IDLE : SESSION_CONNECTED);
    bool fresh = session->caller && done && now_ms < session->knocks_ms;

    if (!knock->session[0] || came_before(session, knock->session))
        return;
    /* Both knock at once: the session of the lower id goes on. The other knock may come late. */
    if (fresh || (calls && strcmp(session->own, session->peer) < 0))
        return;
    become_called(session, knock, now_ms);
}

static void take_offer(
    struct session *session, const struct session_message *message, int64_t now_ms)
{
    bool first = session->state == SESSION_READY && message->gen == 0;
    bool again =
        message->gen == session->gen + 1 &&
        (session->state == SESSION_OFFER_RECEIVED || session->state == SESSION_ANSWER_SENT ||
            session->state == SESSION_CONNECTING || session->state == SESSION_CONNECTED);

    if (session->caller || (!first && !again))
        return;
    session->gen = message->gen;
    session->live = session->has_remote = true;
    session->described = session->waiting = false;
    free(session->local); /* of the generation before */
    session->local = NULL;
    session->local_end = false;
    session_set_timer(session, STAGE, INT64_MAX);
    session_set_timer(session, BATCH, INT64_MAX);
    session_set_timer(session, CLEANUP, now_ms + SESSION_CLEANUP_MS);
    if (session_enter(session, SESSION_OFFER_RECEIVED, "", false))
        session->actions->make_answer(session->user, session->gen, message->payload);
}

/* What came before the description that it belongs to. */
static void hand_over_early(struct session *session)
{
    char *early = session->early;
    bool end = session->early_end, fits = session->early_gen == session->gen;

    session->early = NULL;
    session->early_end = false;
    if (fits && (early || end))
        session->actions->take_candidates(session->user, early ? early : "", end);
    free(early);
}

static void take_candidates(struct session *session, const struct session_message *message)
{
    if (message->gen == session->gen && session->has_remote) {
        session->actions->take_candidates(session->user, message->payload, message->end);
        return;
    }
    if (message->gen < session->gen || message->gen > session->gen + 1)
        return;
    if (message->gen != session->early_gen) {
        free(session->early);
        session->early = NULL;
        session->early_end = false;
        session->early_gen = message->gen;
    }
    session_append(&session->early, message->payload, false);
    session->early_end |= message->end;
}

static void take_answer(
    struct session *session, const struct session_message *message, int64_t now_ms)
{
    unsigned serial = session->serial;

    if (session->state != SESSION_WAITING_ANSWER || message->gen != session->gen)
        return;
    session->has_remote = true;
    session->actions->take_answer(session->user, session->gen, message->payload);
    if (session->serial == serial)
        hand_over_early(session);
    if (session->serial == serial)
        session_begin_connecting(session, now_ms);
}

static void take_bye(struct session *session, const char *reason, int64_t now_ms)
{
    char text[SESSION_REASON_SIZE];
    bool refused = !strcmp(reason, "refused");

    if (session->state == SESSION_CONNECTED) {
        session_finish(session, reason);
        return;
    }
    if (refused)
        snprintf(text, sizeof text, "%s refused", session->peer);
    else if (!strcmp(reason, "busy"))
        snprintf(text, sizeof text, "%s is busy", session->peer);
    else
        snprintf(text, sizeof text, "%s ended the attempt: %s", session->peer, reason);
    session_give_up(session, text, 0, refused, now_ms);
}

void session_receive(struct session *session, const struct session_message *message, int64_t now_ms)
{
    unsigned serial = session->serial;

    if (message->type == SESSION_TYPE_KNOCK) {
        take_knock(session, message, now_ms);
        return;
    }
    if (!session->id[0] || strcmp(message->session, session->id) != 0)
        return;
    if (session->direct && message->type >= SESSION_TYPE_OFFER && message->type < SESSION_TYPE_BYE)
        return; /* there is nothing to describe */
    switch (message->type) {
    case SESSION_TYPE_KNOCK: break;
    case SESSION_TYPE_ANSWERED_READY:
        if (session->state != SESSION_REQUESTING && session->state != SESSION_WAITING_READY)
            break;
        session_set_timer(session, STAGE, INT64_MAX);
        session->knocks_ms = now_ms + SESSION_READY_MS;
        session->live = true;
        if (session->direct)
            session_direct_ready(session, message->payload, now_ms);
        else if (session_enter(session, SESSION_CREATING_OFFER, "", false))
            session->actions->make_offer(session->user, session->gen);
        break;
    case SESSION_TYPE_OFFER:
        take_offer(session, message, now_ms);
        /* Only now: the connection has the offer. */
        if (session->serial != serial && session->has_remote)
            hand_over_early(session);
        break;
    case SESSION_TYPE_ANSWER: take_answer(session, message, now_ms); break;
    case SESSION_TYPE_CANDIDATES: take_candidates(session, message); break;
    case SESSION_TYPE_BYE: take_bye(session, message->payload, now_ms); break;
    }
}

/* --- how sending fared ----------------------------------------------------------------------- */

void session_sent(struct session *session, const char *id, enum session_type type, int64_t now_ms)
{
    if (!session->id[0] || strcmp(id, session->id) != 0)
        return;
    if (type == SESSION_TYPE_KNOCK && session->state == SESSION_REQUESTING)
        session_enter(session, SESSION_WAITING_READY, "", false);
    else if (type == SESSION_TYPE_ANSWERED_READY && session->direct &&
             session->state == SESSION_READY)
        session_enter(session, SESSION_CONNECTING, "", false);
    else if (type == SESSION_TYPE_ANSWER && session->state == SESSION_ANSWER_SENT)
        session_begin_connecting(session, now_ms);
}

void session_lost(struct session *session, const char *id, enum session_type type,
    const char *reason, int64_t retry_after_ms, int64_t now_ms)
{
    if (!session->id[0] || strcmp(id, session->id) != 0 || !session_is_middle(session->state))
        return;
    if (type == SESSION_TYPE_BYE || type == SESSION_TYPE_CANDIDATES)
        return; /* a connection may come without them */
    session_give_up(session, reason, retry_after_ms, false, now_ms);
}
