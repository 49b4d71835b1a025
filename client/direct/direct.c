#include "direct.h"

#include "approach.h"
#include "direct_internal.h"
#include "endpoint.h"
#include "listener.h"
#include "mesh/mesh.h"
#include "session/sessions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIRECT_DIAL_MS 9900 /* just before the session's own limit, so that there is a reason */
#define DIRECT_FIRST_DIAL_MS 3000 /* where the peer may be asked to dial us after that */

/* What a session of kind "direct" has of its attempt. */
struct pairing {
    struct greet_ticket ticket;
    struct approach *approach;
    bool wants_dial;                       /* we are the caller, and the peer is to dial */
    bool handed_over;                      /* the connection is there */
    int64_t began_ms;                      /* as the called end: when the knock came */
    char dial_reason[SESSION_REASON_SIZE]; /* why we could not dial it, before it was asked to */
};

static struct pairing *pairing_of(struct signpost_session *session)
{
    if (!session->data)
        session->data = calloc(1, sizeof(struct pairing));
    return session->data;
}

static struct listener *listener_of(const struct signpost_session *session)
{
    return session->client->direct->listener;
}

static int64_t now_of(const struct signpost_session *session)
{
    return client_now_ms(session->client);
}

/* The ways of the attempt that is over lead nowhere any more. */
static void call_off(struct signpost_session *session)
{
    struct pairing *pairing = session->data;

    if (!pairing)
        return;
    approach_cancel(pairing->approach);
    pairing->approach = NULL;
    if (listener_of(session))
        listener_withdraw(listener_of(session), session);
}

/* --- hand-over ------------------------------------------------------------------------------- */

static void hand_over(struct signpost_session *session, int fd, bool private, signpost_path_t path)
{
    signpost_t *client = session->client;
    struct pairing *pairing = session->data;
    struct request *request = direct_take_request(client->direct, session->peer);
    int64_t began_ms = request ? request->began_ms : pairing ? pairing->began_ms : 0;
    char peer[SESSION_ID_SIZE];

    if (path == SIGNPOST_PATH_DIRECT && private)
        path = SIGNPOST_PATH_LAN;
    strcpy(peer, session->peer);
    bool called = !session_is_caller(session->machine);
    if (pairing)
        pairing->handed_over = true;
    session_link(session->machine, SESSION_LINK_CONNECTED, now_of(session));
    sessions_follow(client->sessions);
    direct_deliver(client->direct, request, peer, fd, path, called, now_of(session) - began_ms);
}

void direct_take_guest(int fd, const char *peer, void *ticket_user, void *user)
{
    struct signpost_session *session = ticket_user;
    struct sockaddr_storage remote, seen;
    socklen_t size = sizeof remote;
    bool private =
        !getpeername(fd, (struct sockaddr *)&remote, &size) && endpoint_is_private(&remote) &&
        !(endpoint_parse_address(session->from, &seen) && endpoint_same_address(&remote, &seen));

    (void)peer, (void)user;
    hand_over(session, fd, private,
        session_is_caller(session->machine) ? SIGNPOST_PATH_REVERSED : SIGNPOST_PATH_DIRECT);
}

static void on_approached(const struct dial_result *result, int error, void *user)
{
    struct signpost_session *session = user;
    struct pairing *pairing = session->data;
    bool caller = session_is_caller(session->machine);
    char reason[SESSION_REASON_SIZE];

    pairing->approach = NULL;
    if (result->fd >= 0) {
        hand_over(session, result->fd, result->private,
            caller ? SIGNPOST_PATH_DIRECT : SIGNPOST_PATH_REVERSED);
        return;
    }
    snprintf(reason, sizeof reason, "%s", result->reason);
    snprintf(pairing->dial_reason, sizeof pairing->dial_reason, "%s", reason);
    session->error = error;
    session_link_failed(session->machine, reason, now_of(session));
    sessions_follow(session->client->sessions);
}

static void approach(struct signpost_session *session, const char *only, uint64_t timeout_ms)
{
    struct pairing *pairing = session->data;

    pairing->approach = approach_start(session->client,
        &(struct approach_plan){.peer = session->peer,
            .scheme = DIRECT_SCHEME,
            .only = only,
            .ticket = &pairing->ticket,
            .timeout_ms = timeout_ms},
        on_approached, session);
    if (!pairing->approach)
        session_link_failed(
            session->machine, signpost_strerror(SIGNPOST_ERROR_NO_MEMORY), now_of(session));
}

/* --- what the machine says: the caller ------------------------------------------------------- */

static bool on_reverse(void *user, bool failed)
{
    struct signpost_session *session = user;
    struct pairing *pairing = pairing_of(session);
    signpost_peer_t peer;

    if (!pairing)
        return false;
    if (!failed)
        pairing->dial_reason[0] = '\0';
    pairing->wants_dial =
        listener_of(session) &&
        (failed || (!signpost_find(session->client, session->peer, &peer) &&
                       !approach_makes_sense(session->client, &peer, DIRECT_SCHEME)));
    return pairing->wants_dial;
}

static void on_link(void *user, const char *ready)
{
    struct signpost_session *session = user;
    struct pairing *pairing = pairing_of(session);
    const char *end = ready + strcspn(ready, "\n");
    uint8_t secret[GREET_SECRET_SIZE];

    if (!pairing || !secret_decode(ready, (size_t)(end - ready), secret)) {
        session_link_failed(session->machine, "its `ready` has no secret", now_of(session));
        return;
    }
    greet_make_ticket(secret, &pairing->ticket);
    if (!pairing->wants_dial)
        approach(session, *end ? end + 1 : end,
            listener_of(session) ? DIRECT_FIRST_DIAL_MS : DIRECT_DIAL_MS);
    else if (listener_expect(listener_of(session), &pairing->ticket, session->peer, session))
        session_link_failed(
            session->machine, signpost_strerror(SIGNPOST_ERROR_FULL), now_of(session));
}

/* --- what the machine says: the called end --------------------------------------------------- */

static void on_prepare(void *user, const char *knock)
{
    struct signpost_session *session = user;
    struct direct *direct = session->client->direct;
    struct pairing *pairing;
    char payload[SECRET_TOKEN_SIZE + DIRECT_ENDPOINTS_BYTES], id[SESSION_ID_SIZE];
    uint8_t secret[GREET_SECRET_SIZE];
    bool dials = !strcmp(knock, "dial");

    strcpy(id, session_get_id(session->machine));
    enum direct_answer answer = direct_answer_to(direct, session->peer);
    if (strcmp(id, session_get_id(session->machine)) != 0)
        return; /* a mesh that makes room for it tells the application, which may have stopped */
    pairing = pairing_of(session);
    if (answer != DIRECT_YES || !pairing || secret_random(secret, sizeof secret)) {
        session_refuse(session->machine, answer == DIRECT_NO ? "refused" : "busy", now_of(session));
        return;
    }
    pairing->began_ms = now_of(session);
    pairing->wants_dial = false;
    greet_make_ticket(secret, &pairing->ticket);
    secret_encode(secret, payload);
    strcat(payload, "\n");
    if (!dials) {
        direct_write_endpoints(direct, payload + strlen(payload));
        if (listener_expect(direct->listener, &pairing->ticket, session->peer, session)) {
            session_refuse(session->machine, "busy", now_of(session));
            return;
        }
    }
    session_accept(session->machine, payload, now_of(session));
    /* At once: who dials before the secret is there is waited for. */
    if (dials && !strcmp(id, session_get_id(session->machine)))
        approach(session, "", DIRECT_DIAL_MS);
}

/* --- what the machine says: both ------------------------------------------------------------- */

static void on_drop(void *user)
{
    call_off(user);
}

/* Why it came to nothing at last: our dialling, its dialling, or neither was come to. */
static void explain(
    const struct signpost_session *session, const char *reason, char ret_text[DIRECT_REASON_SIZE])
{
    const struct pairing *pairing = session->data;
    const char *dialled = pairing ? pairing->dial_reason : "";

    if (!*dialled)
        snprintf(ret_text, DIRECT_REASON_SIZE, "%s", reason);
    else if (!strcmp(dialled, reason))
        snprintf(ret_text, DIRECT_REASON_SIZE, "cannot reach %s: %s", session->peer, reason);
    else
        snprintf(ret_text, DIRECT_REASON_SIZE, "cannot reach %s: %s; asked to dial us: %s",
            session->peer, dialled, reason);
}

static bool has_index(const signpost_t *client)
{
    bool ready = false;

    for (size_t i = 0; i < client->link_count; i++)
        ready |= link_is_ready(client->links[i]);
    return ready;
}

static void on_state(void *user, enum session_state state, const char *reason, bool last)
{
    struct signpost_session *session = user;
    const struct pairing *pairing = session->data;
    bool handed_over = pairing && pairing->handed_over;
    char text[DIRECT_REASON_SIZE] = "the attempt was ended";

    client_log(session->client, SIGNPOST_LOG_DEBUG, "%s: %s%s%s", session->peer,
        session_state_name(state), *reason ? ", " : "", reason);
    if (state != SESSION_IDLE && (state != SESSION_FAILED || !last))
        return;
    if (state == SESSION_FAILED)
        explain(session, reason, text);
    call_off(session);
    free(session->data);
    session->data = NULL;
    if (handed_over)
        return;
    if (session->client->stopping)
        return; /* every request is told so */
    int error = has_index(session->client) ? SIGNPOST_ERROR_NO_PATH : SIGNPOST_ERROR_UNREACHABLE;
    direct_fail_request(
        session->client->direct, session->peer, session->error ? session->error : error, text);
    if (session->client->mesh)
        mesh_missed(session->client->mesh, session->peer);
}

const struct session_actions direct_actions = {
    .state = on_state,
    .send = sessions_send,
    .prepare = on_prepare,
    .reverse = on_reverse,
    .link = on_link,
    .drop = on_drop,
    .random = sessions_random,
    .new_id = sessions_new_id,
};
