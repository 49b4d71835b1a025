/* Kind direct: there are no descriptions, and the session ends with the link. */
#include "session_internal.h"

#include <stdio.h>

void session_direct_ready(struct session *session, const char *ready, int64_t now_ms)
{
    session_set_timer(session, STAGE, now_ms + SESSION_LINK_MS);
    if (session_enter(session, SESSION_CONNECTING, "", false))
        session->actions->link(session->user, ready);
}

void session_direct_link(struct session *session, enum session_link link, int64_t now_ms)
{
    if (link == SESSION_LINK_FAILED)
        session_link_failed(session, "the link failed", now_ms);
    if (link != SESSION_LINK_CONNECTED)
        return;
    /* It may come before the index has said that it took the ready. */
    if (session->state == SESSION_READY && !session_enter(session, SESSION_CONNECTING, "", false))
        return;
    session->live = false; /* the link is the application's own */
    if (session_enter(session, SESSION_CONNECTED, "", false))
        session_finish(session, "");
}

/* The same attempt goes on the other way round: its time is not extended. */
static void reverse(struct session *session, int64_t now_ms)
{
    int64_t attempt_ms = session->due_ms[ATTEMPT];
    unsigned serial = session->serial;

    session_post(session, SESSION_TYPE_BYE, "failed", false);
    if (session->serial != serial || !session_end_attempt(session))
        return;
    session_set_timer(session, ATTEMPT, attempt_ms);
    session_knock(session, true, now_ms);
}

void session_link_failed(struct session *session, const char *reason, int64_t now_ms)
{
    unsigned serial = session->serial;
    bool again = session->caller && !session->dials && now_ms < session->due_ms[ATTEMPT];

    if (!session->direct || !session->live)
        return;
    again = again && session->actions->reverse(session->user, true);
    if (session->serial != serial)
        return;
    if (again)
        reverse(session, now_ms);
    else
        session_abandon(session, reason, now_ms);
}

void session_direct_late(struct session *session, int64_t now_ms)
{
    char reason[SESSION_REASON_SIZE];

    snprintf(
        reason, sizeof reason, "no link to %s within %d s", session->peer, SESSION_LINK_MS / 1000);
    session_link_failed(session, reason, now_ms);
}
