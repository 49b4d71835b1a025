/* Sessions that are the application's: what the machines say goes to its callbacks, and the other
 * way round. */
#include "sessions.h"

#include <stdlib.h>
#include <string.h>

#define SDP_BYTES_MAX 49152 /* as JSON, with what is around it, it has to fit into a message */
#define CANDIDATE_BYTES_MAX 4096

/* --- to the application ---------------------------------------------------------------------- */

static const signpost_session_events_t *events_of(const struct signpost_session *session)
{
    return session->client->config.sessions;
}

static void *user_of(const struct signpost_session *session)
{
    return session->client->config.user;
}

static void on_state(void *user, enum session_state state, const char *reason, bool last)
{
    struct signpost_session *session = user;
    const signpost_session_events_t *events = events_of(session);
    bool ended = state == SESSION_IDLE || (state == SESSION_FAILED && last);

    if (events->on_state)
        events->on_state(session, session_state_name(state), reason, ended, user_of(session));
    if (ended && session_is_over(session->machine)) /* else it goes on, with data of its own */
        session->data = NULL;
}

static void on_prepare(void *user, const char *knock)
{
    struct signpost_session *session = user;

    (void)knock;
    if (events_of(session)->on_call)
        events_of(session)->on_call(session, user_of(session));
    else
        signpost_session_refuse(session, false);
}

static void on_make_offer(void *user, unsigned gen)
{
    struct signpost_session *session = user;

    if (events_of(session)->on_describe)
        events_of(session)->on_describe(session, gen, NULL, user_of(session));
}

static void on_make_answer(void *user, unsigned gen, const char *offer)
{
    struct signpost_session *session = user;

    if (events_of(session)->on_describe)
        events_of(session)->on_describe(session, gen, offer, user_of(session));
}

static void on_take_answer(void *user, unsigned gen, const char *answer)
{
    struct signpost_session *session = user;

    if (events_of(session)->on_answer)
        events_of(session)->on_answer(session, gen, answer, user_of(session));
}

/* One by one; an application that ends the session in between gets no more of them. */
static void on_take_candidates(void *user, const char *candidates, bool end)
{
    struct signpost_session *session = user;
    const signpost_session_events_t *events = events_of(session);
    char *copy = strdup(candidates), *rest = copy, id[SESSION_ID_SIZE];

    if (!copy || !events->on_candidate) {
        free(copy);
        return;
    }
    strcpy(id, session_get_id(session->machine));
    for (char *line; (line = strsep(&rest, "\n")) != NULL;)
        if (*line && !strcmp(id, session_get_id(session->machine)))
            events->on_candidate(session, line, user_of(session));
    if (end && !strcmp(id, session_get_id(session->machine)))
        events->on_candidate(session, NULL, user_of(session));
    free(copy);
}

static void on_drop(void *user)
{
    struct signpost_session *session = user;

    if (events_of(session)->on_drop)
        events_of(session)->on_drop(session, user_of(session));
}

const struct session_actions session_events_actions = {
    .state = on_state,
    .send = sessions_send,
    .prepare = on_prepare,
    .make_offer = on_make_offer,
    .make_answer = on_make_answer,
    .take_answer = on_take_answer,
    .take_candidates = on_take_candidates,
    .drop = on_drop,
    .random = sessions_random,
    .new_id = sessions_new_id,
};

/* --- from the application -------------------------------------------------------------------- */

static int64_t now_of(const signpost_session_t *session)
{
    return client_now_ms(session->client);
}

int signpost_call(
    signpost_t *client, const char *peer, const char *kind, signpost_session_t **ret_session)
{
    struct signpost_session *session;

    if (!kind)
        kind = "webrtc";
    if (client->stopping)
        return SIGNPOST_ERROR_STOPPED;
    if (!client->config.sessions || !codec_is_id(peer) || !strcmp(peer, client->id) ||
        !codec_is_kind(kind) || !strcmp(kind, "direct"))
        return SIGNPOST_ERROR_INVALID;
    int error = sessions_get(client->sessions, peer, kind, &session);
    if (error)
        return error;
    if (session_is_over(session->machine))
        session->data = NULL;
    *ret_session = session;
    session_connect(session->machine, now_of(session));
    sessions_follow(client->sessions);
    return 0;
}

void signpost_session_accept(signpost_session_t *session)
{
    session_accept(session->machine, "", now_of(session));
    sessions_follow(session->client->sessions);
}

void signpost_session_refuse(signpost_session_t *session, bool busy)
{
    session_refuse(session->machine, busy ? "busy" : "refused", now_of(session));
    sessions_follow(session->client->sessions);
}

int signpost_session_describe(signpost_session_t *session, const char *sdp)
{
    if (!codec_is_text(sdp, SDP_BYTES_MAX))
        return SIGNPOST_ERROR_INVALID;
    session_describe(session->machine, sdp, now_of(session));
    sessions_follow(session->client->sessions);
    return 0;
}

int signpost_session_candidate(signpost_session_t *session, const char *candidate)
{
    char *line;

    if (!candidate) {
        session_candidates_end(session->machine);
    } else {
        line = strlen(candidate) <= CANDIDATE_BYTES_MAX ? codec_compact_object(candidate) : NULL;
        if (!line)
            return SIGNPOST_ERROR_INVALID;
        session_candidate(session->machine, line, now_of(session));
        free(line);
    }
    sessions_follow(session->client->sessions);
    return 0;
}

void signpost_session_link(signpost_session_t *session, signpost_link_t link)
{
    static const enum session_link links[] = {
        [SIGNPOST_LINK_CONNECTED] = SESSION_LINK_CONNECTED,
        [SIGNPOST_LINK_DISCONNECTED] = SESSION_LINK_DISCONNECTED,
        [SIGNPOST_LINK_FAILED] = SESSION_LINK_FAILED,
    };

    session_link(session->machine, links[link], now_of(session));
    sessions_follow(session->client->sessions);
}

void signpost_session_close(signpost_session_t *session)
{
    if (!session_is_over(session->machine))
        session_close(session->machine, now_of(session));
    sessions_follow(session->client->sessions);
}

const char *signpost_session_peer(const signpost_session_t *session)
{
    return session->peer;
}

const char *signpost_session_kind(const signpost_session_t *session)
{
    return session->kind;
}

signpost_t *signpost_session_client(const signpost_session_t *session)
{
    return session->client;
}

void signpost_session_set_data(signpost_session_t *session, void *data)
{
    session->data = data;
}

void *signpost_session_data(const signpost_session_t *session)
{
    return session->data;
}
