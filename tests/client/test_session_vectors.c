/* The session machine against tests/session/vectors.json, which says what it is to do to every
 * implementation. README.md beside it has the format. */
#include "client_help.h"
#include "session/session.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VECTORS "tests/session/vectors.json"

struct replay {
    json_t *vector;
    json_t *out;                   /* of the step under way */
    size_t ids, jitters, reverses; /* so many were given out */
    struct session *session;
};

/* --- what comes out -------------------------------------------------------------------------- */

static void put(struct replay *replay, json_t *action)
{
    assert_non_null(action);
    json_array_append_new(replay->out, action);
}

static void on_state(void *user, enum session_state state, const char *reason, bool last)
{
    json_t *action = json_pack("[ss]", "state", session_state_name(state));

    if (*reason)
        json_array_append_new(action, json_string(reason));
    if (last)
        json_array_append_new(action, json_string("for good"));
    put(user, action);
}

static void on_send(void *user, const char *session, enum session_type type, unsigned gen,
    const char *payload, bool end)
{
    json_t *message = json_pack("{ssss}", "type", session_type_name(type), "session", session);

    if (type == SESSION_TYPE_OFFER || type == SESSION_TYPE_ANSWER ||
        type == SESSION_TYPE_CANDIDATES)
        json_object_set_new(message, "gen", json_integer(gen));
    if (*payload)
        json_object_set_new(message, "payload", json_string(payload));
    if (type == SESSION_TYPE_CANDIDATES)
        json_object_set_new(message, "end", json_boolean(end));
    put(user, json_pack("[so]", "send", message));
}

/* What has no payload is shown without one. */
static void put_text(struct replay *replay, const char *what, const char *payload)
{
    put(replay, *payload ? json_pack("[ss]", what, payload) : json_pack("[s]", what));
}

static void on_prepare(void *user, const char *knock)
{
    put_text(user, "prepare", knock);
}

static bool on_reverse(void *user, bool failed)
{
    struct replay *replay = user;
    const json_t *answers = json_object_get(replay->vector, "reverse");
    const json_t *answer = json_array_get(answers, replay->reverses++);

    put(replay, json_pack("[sb]", "reverse", failed));
    assert_true(json_is_boolean(answer));
    return json_is_true(answer);
}

static void on_link(void *user, const char *ready)
{
    put_text(user, "link", ready);
}

static void on_make_offer(void *user, unsigned gen)
{
    put(user, json_pack("[si]", "make-offer", (int)gen));
}

static void on_make_answer(void *user, unsigned gen, const char *offer)
{
    put(user, json_pack("[sis]", "make-answer", (int)gen, offer));
}

static void on_take_answer(void *user, unsigned gen, const char *answer)
{
    put(user, json_pack("[sis]", "take-answer", (int)gen, answer));
}

static void on_take_candidates(void *user, const char *candidates, bool end)
{
    put(user, json_pack("[ssb]", "take-candidates", candidates, end));
}

static void on_drop(void *user)
{
    put(user, json_pack("[s]", "drop"));
}

static uint64_t next_jitter(void *user, uint64_t most)
{
    struct replay *replay = user;
    json_t *jitter = json_array_get(json_object_get(replay->vector, "jitter"), replay->jitters++);

    assert_true(json_is_integer(jitter));
    assert_in_range(json_integer_value(jitter), 0, most);
    return (uint64_t)json_integer_value(jitter);
}

static void next_id(void *user, char ret_id[SESSION_ID_SIZE])
{
    struct replay *replay = user;
    snprintf(ret_id, SESSION_ID_SIZE, "s%zu", ++replay->ids);
}

static const struct session_actions actions = {
    .state = on_state,
    .send = on_send,
    .prepare = on_prepare,
    .reverse = on_reverse,
    .link = on_link,
    .make_offer = on_make_offer,
    .make_answer = on_make_answer,
    .take_answer = on_take_answer,
    .take_candidates = on_take_candidates,
    .drop = on_drop,
    .random = next_jitter,
    .new_id = next_id,
};

/* --- what goes in ---------------------------------------------------------------------------- */

static enum session_type type_of(const char *name)
{
    static const enum session_type types[] = {
#define X(upper, lower) SESSION_TYPE_##upper,
        SESSION_TYPES(X)
#undef X
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (name && !strcmp(name, session_type_name(types[i])))
            return types[i];
    fail_msg("no message has the type %s", name ? name : "(none)");
    return SESSION_TYPE_KNOCK;
}

static const char *text(const json_t *in, size_t place)
{
    const char *string = json_string_value(json_array_get(in, place));
    assert_non_null(string);
    return string;
}

static void receive(struct replay *replay, const json_t *message, int64_t now_ms)
{
    const char *payload = json_string_value(json_object_get(message, "payload"));
    struct session_message received = {
        .session = json_string_value(json_object_get(message, "session")),
        .type = type_of(json_string_value(json_object_get(message, "type"))),
        .gen = (unsigned)json_integer_value(json_object_get(message, "gen")),
        .payload = payload ? payload : "",
        .end = json_is_true(json_object_get(message, "end")),
    };

    assert_non_null(received.session);
    session_receive(replay->session, &received, now_ms);
}

static enum session_link link_of(const char *name)
{
    if (!strcmp(name, "connected"))
        return SESSION_LINK_CONNECTED;
    if (!strcmp(name, "disconnected"))
        return SESSION_LINK_DISCONNECTED;
    assert_string_equal(name, "failed");
    return SESSION_LINK_FAILED;
}

static void feed(struct replay *replay, const json_t *in, int64_t now_ms)
{
    struct session *session = replay->session;
    const char *what = text(in, 0);

    if (!strcmp(what, "connect"))
        session_connect(session, now_ms);
    else if (!strcmp(what, "accept"))
        session_accept(session, json_array_size(in) > 1 ? text(in, 1) : "", now_ms);
    else if (!strcmp(what, "refuse"))
        session_refuse(session, text(in, 1), now_ms);
    else if (!strcmp(what, "describe"))
        session_describe(session, text(in, 1), now_ms);
    else if (!strcmp(what, "candidate"))
        session_candidate(session, text(in, 1), now_ms);
    else if (!strcmp(what, "candidates-end"))
        session_candidates_end(session);
    else if (!strcmp(what, "link"))
        session_link(session, link_of(text(in, 1)), now_ms);
    else if (!strcmp(what, "link-failed"))
        session_link_failed(session, text(in, 1), now_ms);
    else if (!strcmp(what, "close"))
        session_close(session, now_ms);
    else if (!strcmp(what, "receive"))
        receive(replay, json_array_get(in, 1), now_ms);
    else if (!strcmp(what, "sent"))
        session_sent(session, text(in, 2), type_of(text(in, 1)), now_ms);
    else if (!strcmp(what, "lost"))
        session_lost(session, text(in, 2), type_of(text(in, 1)), text(in, 3),
            json_integer_value(json_array_get(in, 4)), now_ms);
    else if (!strcmp(what, "tick"))
        session_tick(session, now_ms);
    else
        fail_msg("no step is called %s", what);
}

/* --- replaying ------------------------------------------------------------------------------- */

static void expect(const char *name, size_t step, const char *what, json_t *seen, json_t *wanted)
{
    if (json_equal(seen, wanted))
        return;
    char *seen_text = json_dumps(seen, JSON_ENCODE_ANY);
    char *wanted_text = wanted ? json_dumps(wanted, JSON_ENCODE_ANY) : NULL;
    fail_msg("%s, step %zu: %s is\n  %s\nand not\n  %s", name, step, what, seen_text,
        wanted_text ? wanted_text : "(none)");
}

static bool is_direct(const json_t *vector)
{
    const char *kind = json_string_value(json_object_get(vector, "kind"));

    assert_true(!kind || !strcmp(kind, "direct"));
    return kind != NULL;
}

static void replay_vector(json_t *vector)
{
    const char *name = json_string_value(json_object_get(vector, "name"));
    struct replay replay = {.vector = vector};
    const json_t *steps = json_object_get(vector, "steps");

    assert_non_null(name);
    replay.session = session_new(json_string_value(json_object_get(vector, "own")),
        json_string_value(json_object_get(vector, "peer")), is_direct(vector), &actions, &replay);
    assert_non_null(replay.session);
    assert_true(json_array_size(steps) > 0);
    for (size_t i = 0; i < json_array_size(steps); i++) {
        json_t *step = json_array_get(steps, i);
        json_t *at = json_object_get(step, "at");
        assert_true(json_is_integer(at));
        replay.out = json_array();
        feed(&replay, json_object_get(step, "in"), json_integer_value(at));
        int64_t due_ms = session_due_ms(replay.session);
        json_t *due = due_ms == INT64_MAX ? json_null() : json_integer(due_ms);
        expect(name, i + 1, "out", replay.out, json_object_get(step, "out"));
        expect(name, i + 1, "due", due, json_object_get(step, "due"));
        json_decref(due);
        json_decref(replay.out);
    }
    assert_int_equal(replay.reverses, json_array_size(json_object_get(vector, "reverse")));
    session_free(replay.session);
}

static void test_session_does_what_the_vectors_say(void **state)
{
    json_error_t error;
    json_t *vectors = json_load_file(VECTORS, JSON_REJECT_DUPLICATES, &error);

    (void)state;
    if (!vectors)
        fail_msg("%s:%d: %s", VECTORS, error.line, error.text);
    assert_true(json_array_size(vectors) > 0);
    for (size_t i = 0; i < json_array_size(vectors); i++)
        replay_vector(json_array_get(vectors, i));
    json_decref(vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_does_what_the_vectors_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
