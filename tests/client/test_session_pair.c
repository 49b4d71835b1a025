/* Two sessions against each other: what an index, an application and a connection may do to them
 * is drawn from a seed, the clock jumps from event to event. What must hold is looked at after each
 * event and at the end; a failure says the seed and what happened last. */
#include "client_help.h"
#include "session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_SIZE 512
#define MOST_WAITING 512 /* events at once */
#define MOST_EVENTS 5000 /* in a run; the longest has some hundreds */
#define TRACE_LINES 100
#define TRACE_SIZE 200

#define TRIES_MS                                                                                   \
    ((1 + SESSION_RETRIES) * SESSION_ATTEMPT_MS + SESSION_RETRIES * (SESSION_RETRY_MS * 3 / 2))

#define BIT(name) (1u << SESSION_##name)

/* Anything may end: by an error, by session_close() or a bye, by a knock that wins. */
#define ENDS (BIT(FAILED) | BIT(CLEANUP) | BIT(PREPARING))

/* docs/sessions.md: what may follow what. */
static const unsigned following[] = {
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
static unsigned seen[sizeof following / sizeof *following]; /* of these, in all runs */

/* Chances are percentages, delays run from 0 to what is said. */
struct conditions {
    bool calm; /* nothing goes wrong: then the outcome is known */
    unsigned post_ms, application_ms;
    unsigned lost, rejected, repeated, unordered;
    unsigned refused, unanswered; /* by the application */
    unsigned never;               /* ICE finds nothing */
    unsigned dropping;            /* a connection, at most three times in a run */
    unsigned closing;
};

enum kind { CONNECT, CLOSE, ACCEPT, REFUSE, DESCRIBE, CANDIDATE, LAST, LINK, DELIVER, SENT, LOST };
static const char *const kinds[] = {"connect", "close", "accept", "refuse", "describe", "candidate",
    "last candidate", "link", "deliver", "sent", "lost"};

struct event {
    int64_t at_ms;
    uint64_t serial; /* of two at the same time the older one is first */
    enum kind kind;
    struct node *node;
    unsigned round; /* where the node's differs, the application is past this */
    enum session_link link;
    enum session_type type;
    unsigned gen;
    bool end;
    int64_t retry_after_ms;
    char session[SESSION_ID_SIZE];
    char text[TEXT_SIZE];
};

/* One end: its machine, its application, and its half of the connection. */
struct node {
    struct world *world;
    struct node *peer;
    const char *name;
    struct session *session;
    enum session_state state;
    bool was_caller, last; /* FAILED for good */
    int64_t heard_ms;      /* the last time that it was told anything */

    unsigned knocks; /* since it was last settled */
    bool trying;
    int64_t changed_ms, tried_ms, attempt_ms, waits_ms;
    char first_knock[SESSION_ID_SIZE];
    unsigned all_knocks;
    int64_t ordered_ms; /* what it sends in order arrives no earlier */

    char called[2][SESSION_ID_SIZE];        /* by the last knocks that it was to prepare for */
    bool calls_ended;                       /* the last one is over */
    unsigned prepares, descriptions, lives; /* rounds: of session_accept(), _describe(), _link() */
    bool holds, linked;                     /* a connection, in the making or made */
    char held[SESSION_ID_SIZE];             /* the session that it is of */
    unsigned gen;
    char local[TEXT_SIZE], remote[TEXT_SIZE]; /* descriptions; "": not yet */
};

struct world {
    const struct conditions *conditions;
    uint64_t seed, random, serial;
    int64_t now_ms;
    bool ticking, ordered, eager; /* eager: the application answers from inside the action */
    unsigned drops, told;
    struct node nodes[2];
    struct event events[MOST_WAITING];
    size_t waiting;
    char met[TEXT_SIZE]; /* the description of a by which they last met */
    char trace[TRACE_LINES][TRACE_SIZE];
};

#define NOTE(world, ...)                                                                           \
    (void)snprintf((world)->trace[(world)->told++ % TRACE_LINES], TRACE_SIZE, __VA_ARGS__)

#define MUST(world, so)                                                                            \
    do {                                                                                           \
        if (!(so))                                                                                 \
            explain(world, #so, __LINE__);                                                         \
    } while (0)

static void explain(const struct world *world, const char *broken, int line)
{
    const struct node *a = &world->nodes[0], *b = &world->nodes[1];
    unsigned first = world->told > TRACE_LINES ? world->told - TRACE_LINES : 0;

    for (unsigned i = first; i < world->told; i++)
        print_error("%s\n", world->trace[i % TRACE_LINES]);
    print_error("seed %" PRIu64 " at %" PRId64 " ms, a %s, b %s, line %d: %s\n", world->seed,
        world->now_ms, session_state_name(a->state), session_state_name(b->state), line, broken);
    fail();
}

/* --- chance ---------------------------------------------------------------------------------- */

static uint64_t draw(struct world *world, uint64_t most) /* splitmix64 */
{
    uint64_t z = world->random += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % (most + 1);
}

static bool chance(struct world *world, unsigned percent)
{
    return draw(world, 99) < percent;
}

/* Often nearly none: what is slow once is overtaken by much. */
static int64_t delay(struct world *world, uint64_t most_ms)
{
    return (int64_t)draw(world, chance(world, 50) ? most_ms : most_ms / 50);
}

/* --- events ---------------------------------------------------------------------------------- */

static struct event *add(struct node *node, enum kind kind, uint64_t most_ms)
{
    struct world *world = node->world;
    struct event *event = &world->events[world->waiting];

    MUST(world, world->waiting < MOST_WAITING);
    world->waiting++;
    *event = (struct event){.at_ms = world->now_ms + delay(world, most_ms),
        .serial = world->serial++,
        .kind = kind,
        .node = node};
    return event;
}

static struct event *earliest(struct world *world)
{
    struct event *first = NULL;

    for (struct event *event = world->events; event < world->events + world->waiting; event++)
        if (!first || event->at_ms < first->at_ms ||
            (event->at_ms == first->at_ms && event->serial < first->serial))
            first = event;
    return first;
}

static struct event *add_link(
    struct node *node, enum session_link link, uint64_t after_ms, uint64_t most_ms)
{
    struct event *event = add(node, LINK, most_ms);

    event->at_ms += (int64_t)after_ms;
    event->link = link;
    event->round = node->lives;
    return event;
}

static bool is_settled(const struct node *node)
{
    return node->state == SESSION_IDLE || (node->state == SESSION_FAILED && node->last);
}

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
    bool never = chance(world, world->conditions->never);

    for (struct node *node = a; node <= b; node++)
        if (!node->linked && (!never || chance(world, 50)))
            add_link(node, never ? SESSION_LINK_FAILED : SESSION_LINK_CONNECTED, 0, 3000);
}

/* The path is lost, for one end or both; perhaps it comes back, perhaps it is given up. */
static void lose_path(struct world *world)
{
    uint64_t after_ms = draw(world, SESSION_CLEANUP_MS + 20000), fate = draw(world, 2);

    for (unsigned i = 0; i < 2; i++) {
        if (chance(world, 20))
            continue;
        add_link(&world->nodes[i], SESSION_LINK_DISCONNECTED, after_ms, 2000);
        if (fate < 2)
            add_link(&world->nodes[i], fate == 0 ? SESSION_LINK_CONNECTED : SESSION_LINK_FAILED,
                after_ms + 2000, 8000);
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
    if (node->linked && world->drops < 3 && chance(world, conditions->dropping)) {
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
        add_link(peer, SESSION_LINK_DISCONNECTED, 1000, 4000);
        add_link(peer, SESSION_LINK_FAILED, 15000, 10000);
    }
    node->holds = node->linked = false;
    *node->local = *node->remote = '\0';
    node->lives++;
    node->descriptions++;
    if (node->world->eager && chance(node->world, 20))
        session_connect(node->session, node->world->now_ms);
}

/* --- the application ------------------------------------------------------------------------- */

static void happen(struct node *node, const struct event *event);

/* What the application does next: now, if it is eager, else somewhat later. */
static struct event *answer(struct node *node, enum kind kind, unsigned round, const char *text)
{
    struct event *event = add(node, kind, node->world->conditions->application_ms);

    event->round = round;
    (void)snprintf(event->text, sizeof event->text, "%s", text);
    if (!node->world->eager)
        return event;
    struct event copy = *event;

    node->world->waiting--; /* it is still the last one */
    happen(node, &copy);
    return NULL;
}

static void on_prepare(void *user, const char *knock)
{
    struct node *node = user;
    const struct conditions *conditions = node->world->conditions;
    const char *id = session_get_id(node->session);

    MUST(node->world, *knock == '\0');
    /* A repeated knock, also of the attempt before, disturbs nothing. */
    MUST(node->world, strcmp(id, node->called[0]) != 0);
    MUST(node->world, node->calls_ended || strcmp(id, node->called[1]) != 0);
    node->calls_ended = false;
    strcpy(node->called[1], node->called[0]);
    strcpy(node->called[0], id);
    node->prepares++;
    if (!chance(node->world, conditions->unanswered))
        answer(node, chance(node->world, conditions->refused) ? REFUSE : ACCEPT, node->prepares,
            "not now");
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
    if (chance(world, 30)) { /* it is kept until the description is sent */
        (void)snprintf(early, sizeof early, "candidate %s %u early", node->held, gen);
        session_candidate(node->session, early, world->now_ms);
    }
    if (!chance(world, world->conditions->unanswered))
        answer(node, DESCRIBE, node->descriptions, text);
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
    unsigned candidates = (unsigned)draw(world, 3);
    char text[TEXT_SIZE];

    strcpy(node->local, event->text);
    session_describe(node->session, event->text, world->now_ms);
    for (unsigned i = 0; i < candidates && event->round == node->descriptions; i++) {
        (void)snprintf(text, sizeof text, "candidate %s %u %u", node->held, node->gen, i);
        answer(node, CANDIDATE, node->descriptions, text);
    }
    if (event->round == node->descriptions && chance(world, 70))
        answer(node, LAST, node->descriptions, "");
    meet(world);
}

/* --- the machine ----------------------------------------------------------------------------- */

static void on_state(void *user, enum session_state state, const char *reason, bool last)
{
    struct node *node = user;
    struct world *world = node->world;
    int64_t now_ms = world->now_ms;
    unsigned allowed = following[node->state];

    if (node->state == SESSION_FAILED) /* for good: until the application connects again */
        allowed &= ~(node->last ? BIT(RETRYING) : BIT(REQUESTING));

    NOTE(world, "%9" PRId64 " %s is %s %s%s", now_ms, node->name, session_state_name(state), reason,
        last ? " (for good)" : "");
    MUST(world, allowed & 1u << state);
    MUST(world, session_get_state(node->session) == state);
    MUST(world, state == SESSION_FAILED ? *reason : !last);
    MUST(world, state == SESSION_FAILED || state == SESSION_CLEANUP || !*reason);
    /* A caller's attempt that comes to nothing fails: that tells why. */
    MUST(world, state != SESSION_CLEANUP || !world->ticking || !node->was_caller);
    node->was_caller = session_is_caller(node->session);
    seen[node->state] |= 1u << state;
    if (node->state == SESSION_RETRYING && state == SESSION_REQUESTING)
        MUST(world, now_ms >= node->changed_ms + SESSION_RETRY_MS / 2 &&
                        now_ms <= node->changed_ms + SESSION_RETRY_MS * 3 / 2 + node->waits_ms);
    node->changed_ms = now_ms;
    if (state == SESSION_REQUESTING) {
        node->attempt_ms = now_ms;
        node->tried_ms = node->trying ? node->tried_ms : now_ms;
        node->trying = true;
    }
    if (state == SESSION_FAILED && node->trying)
        MUST(world, now_ms <= node->attempt_ms + SESSION_ATTEMPT_MS);
    if (last || (1u << state & (BIT(IDLE) | BIT(CONNECTED) | BIT(PREPARING)))) {
        MUST(world, !node->trying || now_ms <= node->tried_ms + TRIES_MS + node->waits_ms);
        node->knocks = 0;
        node->trying = false;
        node->waits_ms = 0;
    }
    node->calls_ended |= state == SESSION_IDLE || state == SESSION_FAILED;
    node->state = state;
    node->last = last;
    if (state == SESSION_CLEANUP && world->eager && chance(world, 20))
        session_connect(node->session, now_ms); /* passed over: IDLE comes next */
}

static void deliver(struct node *from, const struct event *message, unsigned again_ms)
{
    struct world *world = from->world;
    struct event *event = add(from->peer, DELIVER, 0);
    struct event copy = *message;

    copy.serial = event->serial;
    copy.kind = DELIVER;
    copy.node = from->peer;
    copy.at_ms = world->now_ms + delay(world, world->conditions->post_ms + again_ms);
    if (world->ordered && copy.at_ms < from->ordered_ms)
        copy.at_ms = from->ordered_ms;
    from->ordered_ms = copy.at_ms;
    *event = copy;
}

/* The index: takes it or not, and what it took it may lose, with a word or without one. */
static void post(struct node *node, const struct event *message)
{
    static const int64_t ttls_ms[] = {5000, 5000, 10000, 10000, 30000, 30000}; /* by type */
    struct world *world = node->world;
    const struct conditions *conditions = world->conditions;
    bool rejected = chance(world, conditions->rejected), lost = chance(world, conditions->lost);
    struct event *told = add(node, rejected ? LOST : SENT, conditions->post_ms);

    told->type = message->type;
    strcpy(told->session, message->session);
    strcpy(told->text, "is offline");
    if (rejected && chance(world, 50))
        told->retry_after_ms = 1 + (int64_t)draw(world, 20000);
    if (rejected)
        return;
    if (!lost)
        deliver(node, message, 0);
    if (!lost && chance(world, conditions->repeated))
        deliver(node, message, world->ordered ? 0 : 5000 - conditions->post_ms);
    if (lost && chance(world, 50)) {
        told = add(node, LOST, conditions->post_ms);
        told->at_ms += ttls_ms[message->type];
        told->type = message->type;
        strcpy(told->session, message->session);
        strcpy(told->text, "expired");
    }
}

static void on_send(void *user, const char *session, enum session_type type, unsigned gen,
    const char *payload, bool end)
{
    struct node *node = user;
    struct world *world = node->world;
    struct event message = {.type = type, .gen = gen, .end = end};

    NOTE(world, "%9" PRId64 " %s sends %s %s %u: %s", world->now_ms, node->name, session,
        session_type_name(type), gen, payload);
    MUST(world, strlen(session) < sizeof message.session && strlen(payload) < TEXT_SIZE);
    strcpy(message.session, session);
    strcpy(message.text, payload);
    MUST(world, type == SESSION_TYPE_BYE || !strcmp(session, session_get_id(node->session)));
    MUST(world, type != SESSION_TYPE_CANDIDATES || (*node->local && gen == node->gen));
    if (type == SESSION_TYPE_KNOCK) {
        MUST(world, ++node->knocks <= 1 + SESSION_RETRIES);
        if (node->all_knocks++ == 0)
            strcpy(node->first_knock, session);
    }
    post(node, &message);
}

static uint64_t on_random(void *user, uint64_t most)
{
    struct node *node = user;

    return draw(node->world, most);
}

static void on_new_id(void *user, char ret_id[SESSION_ID_SIZE])
{
    struct node *node = user;

    (void)snprintf(ret_id, SESSION_ID_SIZE, "%04x-%s%" PRIu64,
        (unsigned)draw(node->world, UINT16_MAX), node->name, node->world->serial++);
}

static const struct session_actions actions = {
    .state = on_state,
    .send = on_send,
    .prepare = on_prepare,
    .make_offer = on_make_offer,
    .make_answer = on_make_answer,
    .take_answer = on_take_answer,
    .take_candidates = on_take_candidates,
    .drop = on_drop,
    .random = on_random,
    .new_id = on_new_id,
};

/* --- a run ----------------------------------------------------------------------------------- */

static bool is_past(const struct node *node, const struct event *event)
{
    switch (event->kind) {
    case ACCEPT:
    case REFUSE: return event->round != node->prepares;
    case DESCRIBE:
    case CANDIDATE:
    case LAST: return event->round != node->descriptions;
    case LINK: return event->round != node->lives;
    default: return false;
    }
}

static void happen(struct node *node, const struct event *event)
{
    struct session *session = node->session;
    int64_t now_ms = node->world->now_ms;
    const struct session_message message = {
        event->session, event->type, event->gen, event->text, event->end};

    if (is_past(node, event))
        return;
    NOTE(node->world, "%9" PRId64 " %s: %s %s %s %d %.90s", now_ms, node->name, kinds[event->kind],
        event->session, event->kind >= DELIVER ? session_type_name(event->type) : "",
        (int)event->link, event->text);
    node->heard_ms = now_ms;
    switch (event->kind) {
    case CONNECT:
        session_connect(session, now_ms);
        MUST(node->world, !is_settled(node));
        break;
    case CLOSE: session_close(session, now_ms); break;
    case ACCEPT: session_accept(session, "", now_ms); break;
    case REFUSE: session_refuse(session, event->text, now_ms); break;
    case DESCRIBE: describe(node, event); break;
    case CANDIDATE: session_candidate(session, event->text, now_ms); break;
    case LAST: session_candidates_end(session, now_ms); break;
    case LINK: happen_link(node, event); break;
    case DELIVER: session_receive(session, &message, now_ms); break;
    case SENT: session_sent(session, event->session, event->type, now_ms); break;
    case LOST:
        node->waits_ms += event->retry_after_ms;
        session_lost(
            session, event->session, event->type, event->text, event->retry_after_ms, now_ms);
    }
}

/* After each event: no timer where there is nothing to wait for, and a connection is of use only
 * to a session that goes on. */
static void check_timers(const struct world *world)
{
    for (const struct node *node = world->nodes; node < world->nodes + 2; node++) {
        int64_t due_ms = session_due_ms(node->session);

        MUST(world, !is_settled(node) || (due_ms == INT64_MAX && !node->holds));
        MUST(world, node->state != SESSION_CONNECTED || due_ms == INT64_MAX ||
                        due_ms <= node->heard_ms + SESSION_CLEANUP_MS);
        MUST(world, node->state != SESSION_CONNECTING || !node->linked);
        MUST(world, node->state == SESSION_CONNECTED || is_settled(node) || due_ms < INT64_MAX);
    }
}

static void check_end(const struct world *world)
{
    const struct node *a = &world->nodes[0], *b = &world->nodes[1];
    const struct node *winner = a->all_knocks > 0 ? a : b;

    for (const struct node *node = a; node <= b; node++) {
        MUST(world, is_settled(node) || node->state == SESSION_CONNECTED);
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

static void begin(struct world *world, uint64_t seed, const struct conditions *conditions)
{
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    uint64_t who;

    memset(world, 0, sizeof *world);
    world->conditions = conditions;
    world->seed = world->random = seed;
    world->now_ms = 1000000;
    world->ordered = !chance(world, conditions->unordered);
    world->eager = chance(world, 25);
    for (struct node *node = a; node <= b; node++) {
        node->world = world;
        node->peer = node == a ? b : a;
        node->name = node == a ? "a" : "b";
        node->session = session_new(node->name, node == a ? "b" : "a", false, &actions, node);
        assert_non_null(node->session);
    }
    who = draw(world, 3); /* one, the other, both at the same moment, both soon after another */
    if (who != 1)
        add(a, CONNECT, who == 3 ? conditions->post_ms : 0);
    if (who != 0)
        add(b, CONNECT, who == 3 ? conditions->post_ms : 0);
    if (!conditions->calm && chance(world, 30))
        add(&world->nodes[draw(world, 1)], CONNECT, 300000);
    if (chance(world, conditions->closing))
        add(&world->nodes[draw(world, 1)], CLOSE, chance(world, 50) ? 10000 : 150000);
}

/* The next event or timer; false: there is none. */
static bool step(struct world *world)
{
    struct event *next = earliest(world), event;
    int64_t due_ms = INT64_MAX;

    for (unsigned i = 0; i < 2; i++)
        if (session_due_ms(world->nodes[i].session) < due_ms)
            due_ms = session_due_ms(world->nodes[i].session);
    if (next && next->at_ms <= due_ms) {
        event = *next;
        *next = world->events[--world->waiting];
        world->now_ms = event.at_ms;
        happen(event.node, &event);
        return true;
    }
    if (due_ms == INT64_MAX)
        return false;
    MUST(world, due_ms >= world->now_ms);
    world->now_ms = due_ms;
    for (unsigned i = 0; i < 2; i++) {
        world->ticking = true;
        session_tick(world->nodes[i].session, due_ms);
        world->ticking = false;
        MUST(world, session_due_ms(world->nodes[i].session) > due_ms);
    }
    return true;
}

static void run(uint64_t first, uint64_t count, const struct conditions *conditions)
{
    static struct world world;

    for (uint64_t seed = first; seed < first + count; seed++) {
        unsigned events = 0;

        begin(&world, seed, conditions);
        while (step(&world)) {
            MUST(&world, ++events < MOST_EVENTS);
            check_timers(&world);
        }
        check_end(&world);
        session_free(world.nodes[0].session);
        session_free(world.nodes[1].session);
    }
}

/*  calm, post_ms, application_ms, lost, rejected, repeated, unordered, refused, unanswered, never,
 *  dropping, closing */
static const struct conditions calm = {true, 1000, 500, 0, 0, 10, 30, 0, 0, 0, 0, 0},
                               lossy = {false, 3000, 1500, 8, 5, 40, 60, 20, 0, 0, 0, 10},
                               dropping = {false, 1000, 500, 2, 0, 5, 30, 0, 0, 15, 70, 10},
                               dire = {false, 3000, 3000, 20, 15, 20, 50, 10, 15, 40, 50, 40};

static void test_session_pair_without_faults_connects_as_the_lower_id_knocked(void **state)
{
    (void)state;
    run(1, 1500, &calm);
}

static void test_session_pair_with_slow_and_lost_messages_settles(void **state)
{
    (void)state;
    run(10001, 1500, &lossy);
}

static void test_session_pair_whose_path_drops_settles(void **state)
{
    (void)state;
    run(20001, 1000, &dropping);
}

static void test_session_pair_where_all_goes_wrong_settles(void **state)
{
    (void)state;
    run(30001, 1000, &dire);
}

/* Else the runs above would show little. */
static void test_session_pair_runs_go_through_the_whole_diagram(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof seen / sizeof *seen; i++)
        assert_int_equal(seen[i] | ENDS, following[i] | ENDS);
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
