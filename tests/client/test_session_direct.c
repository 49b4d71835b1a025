/* Two ends that come to a direct connection, whatever an index, an application and the network do
 * to them: session_pair.h. Of a link the end that dials has its half first, the other one when the
 * greeting is over. */
#include "client_help.h"
#include "session_pair.h"

#include <string.h>

/* docs/sessions.md: what may follow what. */
static const unsigned following[STATES] = {
    [SESSION_IDLE] = BIT(REQUESTING) | BIT(PREPARING),
    /* The ready may come before the index has said that it took the knock. */
    [SESSION_REQUESTING] = BIT(WAITING_READY) | BIT(CONNECTING) | ENDS,
    [SESSION_WAITING_READY] = BIT(CONNECTING) | ENDS,
    /* REQUESTING: the other way round. */
    [SESSION_CONNECTING] = BIT(CONNECTED) | BIT(REQUESTING) | ENDS,
    [SESSION_CONNECTED] = BIT(CLEANUP),
    [SESSION_FAILED] = BIT(RETRYING) | BIT(REQUESTING) | BIT(CLEANUP) | BIT(PREPARING),
    [SESSION_RETRYING] = BIT(REQUESTING) | BIT(CLEANUP) | BIT(PREPARING),
    [SESSION_PREPARING] = BIT(READY) | ENDS,
    [SESSION_READY] = BIT(CONNECTING) | ENDS,
    [SESSION_CLEANUP] = BIT(IDLE),
};

/* --- the link -------------------------------------------------------------------------------- */

static bool has_linked(const struct node *node, const char *id)
{
    for (unsigned i = 0; i < node->links; i++)
        if (strcmp(node->link_ids[i], id) == 0)
            return true;
    return false;
}

static void hold(struct node *node, bool dials)
{
    MUST(node->world, !node->holds);
    node->holds = true;
    node->dials = dials;
    strcpy(node->held, session_get_id(node->session));
}

/* The end that dials does not get through, and notices it or waits in vain. */
static void miss(struct node *dialler)
{
    struct event *event;

    if (pair_chance(dialler->world, 30))
        return;
    event = pair_add_link(dialler, SESSION_LINK_FAILED, 0, 3000);
    strcpy(event->text, "connection refused");
}

/* The caller has the ready: from now on a link may come about. */
static void meet(struct node *caller)
{
    struct node *called = caller->peer, *dialler = caller->dials ? caller : called;
    struct world *world = caller->world;
    bool both = called->holds && strcmp(called->held, caller->held) == 0;

    if (both)
        MUST(world, called->dials != caller->dials);
    if (dialler == called && (!both || !caller->reachable))
        return; /* it has missed already, or is gone */
    if (both && dialler->peer->reachable && !pair_chance(world, world->conditions->never))
        (void)pair_add_link(dialler, SESSION_LINK_CONNECTED, 0, 3000);
    else
        miss(dialler);
}

static void take_link(struct node *node)
{
    struct world *world = node->world;
    struct node *peer = node->peer;

    if (node->dials && (!peer->holds || strcmp(node->held, peer->held) != 0)) {
        session_link_failed(node->session, "closed while greeting", world->now_ms);
        return;
    }
    MUST(world, node->dials || has_linked(peer, node->held));
    MUST(world, node->links < LINKS_MAX && !has_linked(node, node->held));
    MUST(world, strcmp(node->held, session_get_id(node->session)) == 0);
    strcpy(node->link_ids[node->links++], node->held);
    node->holds = false; /* nobody is to drop it from now on */
    node->lives++;
    if (node->dials && !pair_chance(world, world->conditions->halved))
        (void)pair_add_link(peer, SESSION_LINK_CONNECTED, 0, 300);
    if (world->drops < 3 && pair_chance(world, world->conditions->dropping)) {
        world->drops++; /* it loses the link, and wants another */
        (void)pair_add(node, CONNECT, 8000);
    }
    session_link(node->session, SESSION_LINK_CONNECTED, world->now_ms);
    MUST(world, pair_is_settled(node) || node->state == SESSION_REQUESTING);
}

static void on_drop(void *user)
{
    struct node *node = user;

    NOTE(node->world, "%9" PRId64 " %s drop", node->world->now_ms, node->name);
    MUST(node->world, node->holds);
    pair_drop(node);
}

/* --- the application ------------------------------------------------------------------------- */

static void on_prepare(void *user, const char *knock)
{
    struct node *node = user;
    const char *id = session_get_id(node->session);
    char ready[TEXT_SIZE];
    bool dials = strcmp(knock, "dial") == 0;

    MUST(node->world, dials || strcmp(knock, "accept") == 0);
    MUST(node->world, strcmp(id, session_get_id(node->peer->session)) != 0 ||
                          strcmp(knock, node->peer->want) == 0);
    (void)snprintf(ready, sizeof ready, "%s %s", dials ? "dials" : "accepts", id);
    pair_answer_call(node, dials || node->listens ? ready : NULL);
}

static bool on_reverse(void *user, bool failed)
{
    struct node *node = user;
    struct world *world = node->world;
    bool reverse = node->listens && (failed || node->blind);

    NOTE(world, "%9" PRId64 " %s reverse %d", world->now_ms, node->name, failed);
    MUST(world, node->state == (failed ? SESSION_CONNECTING : SESSION_REQUESTING));
    MUST(world, session_is_caller(node->session));
    MUST(world, !failed || (node->holds && strcmp(node->want, "accept") == 0));
    MUST(world, !failed || world->now_ms < node->attempt_ms + SESSION_ATTEMPT_MS);
    if (world->eager && pair_chance(world, world->conditions->closing / 10)) {
        world->closed = true;
        session_close(node->session, world->now_ms);
        return pair_chance(world, 50);
    }
    node->reversing = failed && reverse;
    node->reversals += node->reversing;
    strcpy(node->want, reverse ? "dial" : "accept");
    return reverse;
}

static void on_link(void *user, const char *ready)
{
    struct node *node = user;
    bool dials = strcmp(node->want, "accept") == 0;
    char expected[TEXT_SIZE];

    (void)snprintf(expected, sizeof expected, "%s %s", dials ? "accepts" : "dials",
        session_get_id(node->session));
    MUST(node->world, session_is_caller(node->session) && strcmp(ready, expected) == 0);
    hold(node, dials);
    meet(node);
}

static void accept_call(struct node *node, const char *ready)
{
    bool dials = strncmp(ready, "dials", strlen("dials")) == 0;

    if (node->state == SESSION_PREPARING) /* else it comes too late */
        hold(node, dials);
    session_accept(node->session, ready, node->world->now_ms);
    if (dials && node->holds && !node->peer->reachable)
        miss(node);
}

/* --- the machine ----------------------------------------------------------------------------- */

static void happen(struct node *node, const struct event *event)
{
    if (event->kind == ACCEPT)
        accept_call(node, event->text);
    else if (event->link == SESSION_LINK_CONNECTED)
        take_link(node);
    else
        session_link_failed(node->session, event->text, node->world->now_ms);
}

static void on_send(void *user, const char *session, enum session_type type, unsigned gen,
    const char *payload, bool end)
{
    const struct node *node = user;

    if (type == SESSION_TYPE_KNOCK)
        MUST(node->world, strcmp(payload, node->want) == 0);
    MUST(node->world, gen == 0 && !end);
    MUST(node->world, type == SESSION_TYPE_KNOCK || type == SESSION_TYPE_ANSWERED_READY ||
                          type == SESSION_TYPE_BYE);
    pair_on_send(user, session, type, gen, payload, end);
}

static void on_state(void *user, enum session_state state, const char *reason, bool last)
{
    struct node *node = user;

    if (state == SESSION_REQUESTING && node->state != SESSION_CONNECTING && node->links > 0)
        node->world->late = true;
    if (state == SESSION_CONNECTED) {
        MUST(node->world, node->links > 0);
        MUST(node->world,
            strcmp(session_get_id(node->session), node->link_ids[node->links - 1]) == 0);
    }
    pair_on_state(user, state, reason, last);
}

static const struct session_actions actions = {
    .state = on_state,
    .send = on_send,
    .prepare = on_prepare,
    .reverse = on_reverse,
    .link = on_link,
    .drop = on_drop,
    .random = pair_on_random,
    .new_id = pair_on_new_id,
};

/* --- a run ----------------------------------------------------------------------------------- */

static void begin(struct world *world)
{
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    bool sure = world->conditions->calm;

    for (struct node *node = a; node <= b; node++) {
        node->listens = sure || pair_chance(world, 80);
        node->reachable = node->listens && pair_chance(world, 60);
    }
    if (sure && !a->reachable)
        b->reachable = true;
    for (struct node *node = a; node <= b; node++)
        node->blind = !node->peer->reachable && pair_chance(world, 50);
}

static void check_calm(const struct world *world, unsigned common)
{
    const struct node *a = &world->nodes[0], *b = &world->nodes[1];
    const struct node *winner = a->all_knocks > 0 ? a : b;

    MUST(world, a->state == SESSION_IDLE && b->state == SESSION_IDLE);
    MUST(world, !world->failed && common >= 1);
    if (world->late) /* the second wish came when the first was fulfilled already */
        return;
    MUST(world, a->links == 1 && b->links == 1);
    MUST(world, winner->all_knocks == 1 + winner->reversals);
    MUST(world, winner->peer->all_knocks <= 1 + winner->peer->reversals);
    MUST(world, winner->reversals == (winner->peer->reachable || winner->blind ? 0 : 1));
    if (winner->reversals == 0)
        MUST(world, has_linked(winner, winner->first_knock));
}

static void check_end(const struct world *world)
{
    const struct node *a = &world->nodes[0], *b = &world->nodes[1];
    unsigned wishes = a->connects + b->connects, common = 0;

    for (const struct node *node = a; node <= b; node++)
        MUST(world, pair_is_settled(node) && !node->holds);
    for (unsigned i = 0; i < a->links; i++)
        common += has_linked(b, a->link_ids[i]);
    bool halved = a->links > common || b->links > common;

    MUST(world, common <= wishes);
    MUST(world, a->connects > 0 || b->links <= b->connects); /* a wish has one link */
    MUST(world, b->connects > 0 || a->links <= a->connects);
    if (world->failed || world->closed || world->hasty)
        return;
    for (const struct node *node = a; node <= b; node++)
        MUST(world, node->connects == 0 || node->links > 0);
    if (!world->late && a->connects <= 1 && b->connects <= 1)
        MUST(world, common <= 1 && (common == 1 || halved));
    if (world->conditions->calm)
        check_calm(world, common);
}

static const struct pair pair = {.direct = true,
    .following = following,
    .actions = &actions,
    .begin = begin,
    .happen = happen,
    .check_end = check_end};

/*  calm, post_ms, application_ms, lost, rejected, repeated, unordered, refused, unanswered, never,
 *  dropping, closing, halved */
static const struct conditions calm = {true, 1000, 500, 0, 0, 10, 30, 0, 0, 0, 0, 0, 0},
                               lossy = {false, 3000, 1500, 8, 5, 40, 60, 0, 0, 10, 0, 0, 0},
                               relinking = {false, 1000, 500, 2, 0, 20, 30, 0, 0, 10, 50, 10, 10},
                               dire = {false, 3000, 3000, 20, 15, 20, 50, 10, 15, 40, 30, 40, 20};

static void test_session_direct_without_faults_links_as_the_lower_id_knocked(void **state)
{
    (void)state;
    pair_run(&pair, 1, 10000, &calm);
}

static void test_session_direct_with_slow_and_lost_messages_links_once_or_fails(void **state)
{
    (void)state;
    pair_run(&pair, 100001, 10000, &lossy);
}

static void test_session_direct_whose_links_are_lost_settles(void **state)
{
    (void)state;
    pair_run(&pair, 200001, 10000, &relinking);
}

static void test_session_direct_where_all_goes_wrong_settles(void **state)
{
    (void)state;
    pair_run(&pair, 300001, 10000, &dire);
}

static void test_session_direct_runs_go_through_the_whole_diagram(void **state)
{
    (void)state;
    pair_check_diagram(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_direct_without_faults_links_as_the_lower_id_knocked),
        cmocka_unit_test(test_session_direct_with_slow_and_lost_messages_links_once_or_fails),
        cmocka_unit_test(test_session_direct_whose_links_are_lost_settles),
        cmocka_unit_test(test_session_direct_where_all_goes_wrong_settles),
        cmocka_unit_test(test_session_direct_runs_go_through_the_whole_diagram),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
