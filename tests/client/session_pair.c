#include "session_pair.h"

#include "client_help.h"

#include <string.h>

#define MOST_EVENTS 5000 /* in a run; the longest has some hundreds */

#define TRIES_MS                                                                                   \
    ((1 + SESSION_RETRIES) * SESSION_ATTEMPT_MS + SESSION_RETRIES * (SESSION_RETRY_MS * 3 / 2))

static const char *const kinds[] = {"connect", "close", "accept", "refuse", "describe", "candidate",
    "last candidate", "link", "deliver", "sent", "lost"};

unsigned pair_seen[STATES];

void pair_explain(const struct world *world, const char *broken, const char *file, int line)
{
    const struct node *a = &world->nodes[0], *b = &world->nodes[1];
    unsigned first = world->told > TRACE_LINES ? world->told - TRACE_LINES : 0;

    for (unsigned i = first; i < world->told; i++)
        print_error("%s\n", world->trace[i % TRACE_LINES]);
    print_error("seed %" PRIu64 " at %" PRId64 " ms, a %s, b %s, %s:%d: %s\n", world->seed,
        world->now_ms, session_state_name(a->state), session_state_name(b->state), file, line,
        broken);
    fail();
}

/* --- chance ---------------------------------------------------------------------------------- */

uint64_t pair_draw(struct world *world, uint64_t most) /* splitmix64 */
{
    uint64_t z = world->random += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % (most + 1);
}

bool pair_chance(struct world *world, unsigned percent)
{
    return pair_draw(world, 99) < percent;
}

/* Often nearly none: what is slow once is overtaken by much. */
static int64_t delay(struct world *world, uint64_t most_ms)
{
    return (int64_t)pair_draw(world, pair_chance(world, 50) ? most_ms : most_ms / 50);
}

/* --- events ---------------------------------------------------------------------------------- */

struct event *pair_add(struct node *node, enum kind kind, uint64_t most_ms)
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

struct event *pair_add_link(
    struct node *node, enum session_link link, uint64_t after_ms, uint64_t most_ms)
{
    struct event *event = pair_add(node, LINK, most_ms);

    event->at_ms += (int64_t)after_ms;
    event->link = link;
    event->round = node->lives;
    return event;
}

bool pair_is_settled(const struct node *node)
{
    return node->state == SESSION_IDLE || (node->state == SESSION_FAILED && node->last);
}

/* --- the application ------------------------------------------------------------------------- */

static void happen(struct node *node, const struct event *event);

void pair_answer(struct node *node, enum kind kind, unsigned round, const char *text)
{
    struct event *event = pair_add(node, kind, node->world->conditions->application_ms);

    event->round = round;
    (void)snprintf(event->text, sizeof event->text, "%s", text);
    if (!node->world->eager)
        return;
    struct event copy = *event;

    node->world->waiting--; /* it is still the last one */
    happen(node, &copy);
}

void pair_answer_call(struct node *node, const char *ready)
{
    struct world *world = node->world;
    const char *id = session_get_id(node->session);

    /* A repeated knock disturbs nothing. */
    for (unsigned i = 0; i < CALLS_KEPT; i++)
        MUST(world, strcmp(id, node->called[i]) != 0);
    strcpy(node->called[node->prepares++ % CALLS_KEPT], id);
    if (pair_chance(world, world->conditions->unanswered))
        return;
    if (!ready || pair_chance(world, world->conditions->refused))
        pair_answer(node, REFUSE, node->prepares, "not now");
    else
        pair_answer(node, ACCEPT, node->prepares, ready);
}

void pair_connect(struct node *node)
{
    node->connects += node->state != SESSION_CONNECTED && node->state != SESSION_CLEANUP;
    session_connect(node->session, node->world->now_ms);
}

void pair_drop(struct node *node)
{
    node->holds = node->linked = false;
    node->lives++;
    if (node->world->eager && pair_chance(node->world, 20)) {
        node->world->hasty = true;
        pair_connect(node);
    }
}

/* --- the machine ----------------------------------------------------------------------------- */

/* The times of attempts, and of all that are made for one wish. */
static void check_tries(struct node *node, enum session_state state, bool last)
{
    struct world *world = node->world;
    int64_t now_ms = world->now_ms;

    if (node->state == SESSION_RETRYING && state == SESSION_REQUESTING)
        MUST(world, now_ms >= node->changed_ms + SESSION_RETRY_MS / 2 &&
                        now_ms <= node->changed_ms + SESSION_RETRY_MS * 3 / 2 + node->waits_ms);
    if (state == SESSION_REQUESTING && node->state != SESSION_CONNECTING) {
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
}

void pair_on_state(void *user, enum session_state state, const char *reason, bool last)
{
    struct node *node = user;
    struct world *world = node->world;
    unsigned allowed = world->pair->following[node->state];

    if (node->state == SESSION_FAILED) /* for good: until the application connects again */
        allowed &= ~(node->last ? BIT(RETRYING) : BIT(REQUESTING));

    NOTE(world, "%9" PRId64 " %s is %s %s%s", world->now_ms, node->name, session_state_name(state),
        reason, last ? " (for good)" : "");
    MUST(world, allowed & 1u << state);
    MUST(world, session_get_state(node->session) == state);
    MUST(world, state == SESSION_FAILED ? *reason : !last);
    MUST(world, state == SESSION_FAILED || state == SESSION_CLEANUP || !*reason);
    /* A caller's attempt that comes to nothing fails: that tells why. */
    MUST(world, state != SESSION_CLEANUP || !world->ticking || !node->was_caller || world->closed);
    node->was_caller = session_is_caller(node->session);
    pair_seen[node->state] |= 1u << state;
    check_tries(node, state, last);
    node->changed_ms = world->now_ms;
    node->state = state;
    node->last = last;
    world->failed |= last;
    if (state == SESSION_CLEANUP && world->eager && pair_chance(world, 20))
        pair_connect(node); /* passed over: IDLE comes next */
}

/* --- the index ------------------------------------------------------------------------------- */

static void deliver(struct node *from, const struct event *message, unsigned again_ms)
{
    struct world *world = from->world;
    struct event *event = pair_add(from->peer, DELIVER, 0);
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
    bool rejected = pair_chance(world, conditions->rejected);
    bool lost = pair_chance(world, conditions->lost);
    struct event *told = pair_add(node, rejected ? LOST : SENT, conditions->post_ms);

    told->type = message->type;
    strcpy(told->session, message->session);
    strcpy(told->text, "is offline");
    if (rejected && pair_chance(world, 50))
        told->retry_after_ms = 1 + (int64_t)pair_draw(world, 20000);
    if (rejected)
        return;
    if (!lost)
        deliver(node, message, 0);
    if (!lost && pair_chance(world, conditions->repeated))
        deliver(node, message, world->ordered ? 0 : 5000 - conditions->post_ms);
    if (lost && pair_chance(world, 50)) {
        told = pair_add(node, LOST, conditions->post_ms);
        told->at_ms += ttls_ms[message->type];
        told->type = message->type;
        strcpy(told->session, message->session);
        strcpy(told->text, "expired");
    }
}

void pair_on_send(void *user, const char *session, enum session_type type, unsigned gen,
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
    if (type == SESSION_TYPE_KNOCK) {
        node->knocks += !node->reversing;
        node->reversing = false;
        MUST(world, node->knocks <= 1 + SESSION_RETRIES);
        if (node->all_knocks++ == 0)
            strcpy(node->first_knock, session);
    }
    post(node, &message);
}

uint64_t pair_on_random(void *user, uint64_t most)
{
    struct node *node = user;

    return pair_draw(node->world, most);
}

void pair_on_new_id(void *user, char ret_id[SESSION_ID_SIZE])
{
    struct node *node = user;

    (void)snprintf(ret_id, SESSION_ID_SIZE, "%04x-%s%" PRIu64,
        (unsigned)pair_draw(node->world, UINT16_MAX), node->name, node->world->serial++);
}

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
    struct world *world = node->world;
    struct session *session = node->session;
    int64_t now_ms = world->now_ms;
    const struct session_message message = {
        event->session, event->type, event->gen, event->text, event->end};

    if (is_past(node, event))
        return;
    NOTE(world, "%9" PRId64 " %s: %s %s %s %d %.90s", now_ms, node->name, kinds[event->kind],
        event->session, event->kind >= DELIVER ? session_type_name(event->type) : "",
        (int)event->link, event->text);
    node->heard_ms = now_ms;
    switch (event->kind) {
    case CONNECT:
        pair_connect(node);
        MUST(world, !pair_is_settled(node) || world->closed);
        break;
    case CLOSE:
        world->closed = true;
        session_close(session, now_ms);
        break;
    case REFUSE: session_refuse(session, event->text, now_ms); break;
    case ACCEPT:
    case DESCRIBE:
    case CANDIDATE:
    case LAST:
    case LINK: world->pair->happen(node, event); break;
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

        MUST(world, !pair_is_settled(node) || (due_ms == INT64_MAX && !node->holds));
        MUST(world, node->state != SESSION_CONNECTED || due_ms == INT64_MAX ||
                        due_ms <= node->heard_ms + SESSION_CLEANUP_MS);
        MUST(world, node->state != SESSION_CONNECTING || !node->linked);
        MUST(
            world, node->state == SESSION_CONNECTED || pair_is_settled(node) || due_ms < INT64_MAX);
    }
}

static void begin(struct world *world, const struct pair *pair, uint64_t seed,
    const struct conditions *conditions)
{
    struct node *a = &world->nodes[0], *b = &world->nodes[1];
    uint64_t who;

    memset(world, 0, sizeof *world);
    world->pair = pair;
    world->conditions = conditions;
    world->seed = world->random = seed;
    world->now_ms = 1000000;
    world->ordered = !pair_chance(world, conditions->unordered);
    world->eager = pair_chance(world, 25);
    for (struct node *node = a; node <= b; node++) {
        node->world = world;
        node->peer = node == a ? b : a;
        node->name = node == a ? "a" : "b";
        node->session =
            session_new(node->name, node == a ? "b" : "a", pair->direct, pair->actions, node);
        assert_non_null(node->session);
    }
    who = pair_draw(world, 3); /* one, the other, both at once, both soon after another */
    if (who != 1)
        pair_add(a, CONNECT, who == 3 ? conditions->post_ms : 0);
    if (who != 0)
        pair_add(b, CONNECT, who == 3 ? conditions->post_ms : 0);
    if (!conditions->calm && pair_chance(world, 30))
        pair_add(&world->nodes[pair_draw(world, 1)], CONNECT, 300000);
    if (pair_chance(world, conditions->closing))
        pair_add(
            &world->nodes[pair_draw(world, 1)], CLOSE, pair_chance(world, 50) ? 10000 : 150000);
    if (pair->begin)
        pair->begin(world);
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

void pair_run(
    const struct pair *pair, uint64_t first, uint64_t count, const struct conditions *conditions)
{
    static struct world world;

    for (uint64_t seed = first; seed < first + count; seed++) {
        unsigned events = 0;

        begin(&world, pair, seed, conditions);
        while (step(&world)) {
            MUST(&world, ++events < MOST_EVENTS);
            check_timers(&world);
        }
        pair->check_end(&world);
        session_free(world.nodes[0].session);
        session_free(world.nodes[1].session);
    }
}

void pair_check_diagram(const struct pair *pair)
{
    for (unsigned i = 0; i < STATES; i++)
        if (pair->following[i])
            assert_int_equal(pair_seen[i] | ENDS, pair->following[i] | ENDS);
        else
            assert_int_equal(pair_seen[i], 0);
}
