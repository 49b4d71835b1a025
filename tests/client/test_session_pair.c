/* Two ends that come to a WebRTC connection, whatever an index, an application and ICE do to them:
 * session_pair.h. */
#include "client_help.h"
#include "session_pair.h"

#include <string.h>

/* docs/sessions.md: what may follow what. */
static const unsigned following[STATES] = {
    [SESSION_IDLE] = BIT(REQUESTING) | BIT(PREPARING),
    /* The ready may come before the index has said that it took the knock. */
    [SESSION_REQUESTING] = BIT(WAITING_READY) | BIT(CREATING_OFFER) | ENDS,
    [SESSION_WAITING_READY] = BIT(CREATING_OFFER) | ENDS,
    [SESSION_CREATING_OFFER] = BIT(WAITING_ANSWER) | ENDS,
    [SESSION_WAITING_ANSWER] = BIT(CONNECTING) | ENDS,
    /* An ICE restart goes back, the caller to its offer, the called end to its answer. */
    [SESSION_CONNECTING] = BIT(CONNECTED) | BIT(CREATING_OFFER) | BIT(OFFER_RECEIVED) | ENDS,
    /* REQUESTING: the called end knocks where the caller restarts nothing. */
    [SESSION_CONNECTED] =
        BIT(CREATING_OFFER) | BIT(OFFER_RECEIVED) | BIT(REQUESTING) | BIT(CLEANUP) | BIT(PREPARING),
    [SESSION_FAILED] = BIT(RETRYING) | BIT(REQUESTING) | BIT(CLEANUP) | BIT(PREPARING),
    [SESSION_RETRYING] = BIT(REQUESTING) | BIT(CLEANUP) | BIT(PREPARING),
    [SESSION_PREPARING] = BIT(READY) | ENDS,
    [SESSION_READY] = BIT(OFFER_RECEIVED) | ENDS,
    [SESSION_OFFER_RECEIVED] = BIT(ANSWER_SENT) | ENDS,
    [SESSION_ANSWER_SENT] = BIT(CONNECTING) | BIT(OFFER_RECEIVED) | ENDS,
    [SESSION_CLEANUP] = BIT(IDLE),
};

/* --- the connection -------------------------------------------------------------------------- */

static bool fits(const struct node *node)
{
    const struct node *peer = node->peer;

    return node->holds && peer->holds && *node->local && *peer->local &&
           strcmp(node->local, peer->remote) == 0 && strcmp(peer->local, node->remote) == 0;
}

/* Both hold the description of the other: ICE may find a path. */
static void meet(struct world *world)
{
    struct node *a = &world->nodes[0], *b = &world->nodes[1];

    if (!fits(a) || strcmp(world->met, a->local) == 0)
        return;
    strcpy(world->met, a->local);
    MUST(world, strcmp(a->held, b->held) == 0 && a->gen == b->gen);
    bool never = pair_chance(world, world->conditions->never);

    for (struct node *node = a; node <= b; node++)
        if (!node->linked && (!never || pair_chance(world, 50)))
            pair_add_link(node, never ? SESSION_LINK_FAILED : SESSION_LINK_CONNECTED, 0, 3000);
}

/* The path is lost, for one end or both; perhaps it comes back, perhaps it is given up. */
static void lose_path(struct world *world)
{
    uint64_t after_ms = pair_draw(world, SESSION_CLEANUP_MS + 20000), fate = pair_draw(world, 2);

    for (unsigned i = 0; i < 2; i++) {
        if (pair_chance(world, 20))
            continue;
        pair_add_link(&world->nodes[i], SESSION_LINK_DISCONNECTED, after_ms, 2000);
        if (fate < 2)
            pair_add_link(&world->nodes[i],
                fate == 0 ? SESSION_LINK_CONNECTED : SESSION_LINK_FAILED, after_ms + 2000, 8000);
    }
}

static void happen_link(struct node *node, const struct event *event)
{
    struct world *world = node->world;
    const struct conditions *conditions = world->conditions;

    if (event->link == SESSION_LINK_CONNECTED && !fits(node) &&
        (!event->end || !node->peer->holds || strcmp(node->held, node->peer->held) != 0))
        return;
    node->linked = event->link == SESSION_LINK_CONNECTED;
    if (node->linked && world->drops < 3 && pair_chance(world, conditions->dropping)) {
        world->drops++;
        lose_path(world);
    }
    session_link(node->session, event->link, world->now_ms);
}

static void on_drop(void *user)
{
    struct node *node = user, *peer = node->peer;

    NOTE(node->world, "%9" PRId64 " %s drop", node->world->now_ms, node->name);
    if (node->holds && peer->linked && strcmp(node->held, peer->held) == 0) {
        pair_add_link(peer, SESSION_LINK_DISCONNECTED, 1000, 4000);
        pair_add_link(peer, SESSION_LINK_FAILED, 15000, 10000);
    }
    *node->local = *node->remote = '\0';
    node->descriptions++;
    pair_drop(node);
}

/* --- the application ------------------------------------------------------------------------- */

static void on_prepare(void *user, const char *knock)
{
    struct node *node = user;

    MUST(node->world, *knock == '\0');
    pair_answer_call(node, "");
}

/* A description is asked for: of a new connection, or of the one that there is. */
static void ask(struct node *node, unsigned gen, const char *type, const char *remote)
{
    struct world *world = node->world;
    char text[TEXT_SIZE], early[TEXT_SIZE];

    NOTE(world, "%9" PRId64 " %s make %s %u", world->now_ms, node->name, type, gen);
    MUST(world, node->holds == (gen > 0));
    if (gen == 0)
        strcpy(node->held, session_get_id(node->session));
    MUST(world, strcmp(node->held, session_get_id(node->session)) == 0);
    MUST(world, gen == 0 || gen > node->gen);
    node->holds = true;
    node->gen = gen;
    *node->local = '\0';
    (void)snprintf(node->remote, sizeof node->remote, "%s", remote);
    node->descriptions++;
    (void)snprintf(text, sizeof text, "%s %s %u %" PRIu64, type, node->held, gen, world->serial++);
    if (*remote)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), " to %.100s", remote);
    if (pair_chance(world, 30)) { /* it is kept until the description is sent */
        (void)snprintf(early, sizeof early, "candidate %s %u early", node->held, gen);
        session_candidate(node->session, early, world->now_ms);
    }
    if (!pair_chance(world, world->conditions->unanswered))
        pair_answer(node, DESCRIBE, node->descriptions, text);
}

static void on_make_offer(void *user, unsigned gen)
{
    ask(user, gen, "offer", "");
}

/* Whether a text of the peer is of this session and generation. */
static bool is_current(const struct node *node, const char *type, unsigned gen, const char *text)
{
    char expected[TEXT_SIZE];

    (void)snprintf(
        expected, sizeof expected, "%s %s %u ", type, session_get_id(node->session), gen);
    return strncmp(text, expected, strlen(expected)) == 0;
}

static void on_make_answer(void *user, unsigned gen, const char *offer)
{
    struct node *node = user;

    MUST(node->world, is_current(node, "offer", gen, offer));
    ask(node, gen, "answer", offer);
}

static void on_take_answer(void *user, unsigned gen, const char *text)
{
    struct node *node = user;
    const char *to = strstr(text, " to ");

    NOTE(node->world, "%9" PRId64 " %s take %s", node->world->now_ms, node->name, text);
    MUST(node->world, is_current(node, "answer", gen, text) && gen == node->gen && node->holds);
    MUST(node->world, to && *node->local && strcmp(to + 4, node->local) == 0);
    MUST(node->world, *node->remote == '\0');
    strcpy(node->remote, text);
    meet(node->world);
}

static void on_take_candidates(void *user, const char *candidates, bool end)
{
    struct node *node = user;

    (void)end;
    MUST(node->world, node->holds && *node->remote);
    for (const char *line = candidates; *line; line = strchr(line, '\n') + 1) {
        MUST(node->world, strchr(line, '\n') != NULL);
        MUST(node->world, is_current(node, "candidate", node->gen, line));
    }
}

static void describe(struct node *node, const struct event *event)
{
    struct world *world = node->world;
    unsigned candidates = (unsigned)pair_draw(world, 3);
    char text[TEXT_SIZE];

    strcpy(node->local, event->text);
    session_describe(node->session, event->text, world->now_ms);
    for (unsigned i = 0; i < candidates && event->round == node->descriptions; i++) {
        (void)snprintf(text, sizeof text, "candidate %s %u %u", node->held, node->gen, i);
        pair_answer(node, CANDIDATE, node->descriptions, text);
    }
    if (event->round == node->descriptions && pair_chance(world, 70))
        pair_answer(node, LAST, node->descriptions, "");
    meet(world);
}

/* --- the machine ----------------------------------------------------------------------------- */

static void happen(struct node *node, const struct event *event)
{
    int64_t now_ms = node->world->now_ms;

    switch (event->kind) {
    case ACCEPT: session_accept(node->session, event->text, now_ms); break;
    case DESCRIBE: describe(node, event); break;
    case CANDIDATE: session_candidate(node->session, event->text, now_ms); break;
    case LAST: session_candidates_end(node->session); break;
    case LINK: happen_link(node, event); break;
    default: break;
    }
}

static void on_send(void *user, const char *session, enum session_type type, unsigned gen,
    const char *payload, bool end)
{
    const struct node *node = user;

    MUST(node->world, type != SESSION_TYPE_CANDIDATES || (*node->local && gen == node->gen));
    pair_on_send(user, session, type, gen, payload, end);
}

static const struct session_actions actions = {
    .state = pair_on_state,
    .send = on_send,
    .prepare = on_prepare,
    .make_offer = on_make_offer,
    .make_answer = on_make_answer,
    .take_answer = on_take_answer,
    .take_candidates = on_take_candidates,
    .drop = on_drop,
    .random = pair_on_random,
    .new_id = pair_on_new_id,
};

/* --- the end of a run ------------------------------------------------------------------------ */

static void check_end(const struct world *world)
{
    const struct node *a = &world->nodes[0], *b = &world->nodes[1];
    const struct node *winner = a->all_knocks > 0 ? a : b;

    for (const struct node *node = a; node <= b; node++) {
        MUST(world, pair_is_settled(node) || node->state == SESSION_CONNECTED);
        MUST(world, node->state != SESSION_CONNECTED || (node->holds && node->linked));
    }
    MUST(world, (a->state == SESSION_CONNECTED) == (b->state == SESSION_CONNECTED));
    MUST(world, !world->conditions->calm || a->state == SESSION_CONNECTED);
    if (a->state == SESSION_CONNECTED) {
        MUST(world, strcmp(session_get_id(a->session), session_get_id(b->session)) == 0);
        MUST(world, session_is_caller(a->session) != session_is_caller(b->session));
    }
    if (world->conditions->calm) {
        MUST(world, a->all_knocks <= 1 && b->all_knocks <= 1);
        MUST(world, session_is_caller(winner->session));
        MUST(world, strcmp(session_get_id(winner->session), winner->first_knock) == 0);
    }
}

static const struct pair pair = {
    .following = following, .actions = &actions, .happen = happen, .check_end = check_end};

/*  calm, post_ms, application_ms, lost, rejected, repeated, unordered, refused, unanswered, never,
 *  dropping, closing, halved */
static const struct conditions calm = {true, 1000, 500, 0, 0, 10, 30, 0, 0, 0, 0, 0, 0},
                               lossy = {false, 3000, 1500, 8, 5, 40, 60, 20, 0, 0, 0, 10, 0},
                               dropping = {false, 1000, 500, 2, 0, 5, 30, 0, 0, 15, 70, 10, 0},
                               dire = {false, 3000, 3000, 20, 15, 20, 50, 10, 15, 40, 50, 40, 0};

static void test_session_pair_without_faults_connects_as_the_lower_id_knocked(void **state)
{
    (void)state;
    pair_run(&pair, 1, 1500, &calm);
}

static void test_session_pair_with_slow_and_lost_messages_settles(void **state)
{
    (void)state;
    pair_run(&pair, 10001, 1500, &lossy);
}

static void test_session_pair_whose_path_drops_settles(void **state)
{
    (void)state;
    pair_run(&pair, 20001, 1000, &dropping);
}

static void test_session_pair_where_all_goes_wrong_settles(void **state)
{
    (void)state;
    pair_run(&pair, 30001, 1000, &dire);
}

static void test_session_pair_runs_go_through_the_whole_diagram(void **state)
{
    (void)state;
    pair_check_diagram(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_pair_without_faults_connects_as_the_lower_id_knocked),
        cmocka_unit_test(test_session_pair_with_slow_and_lost_messages_settles),
        cmocka_unit_test(test_session_pair_whose_path_drops_settles),
        cmocka_unit_test(test_session_pair_where_all_goes_wrong_settles),
        cmocka_unit_test(test_session_pair_runs_go_through_the_whole_diagram),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
