#include "index/poll.h"

#include "server_limits.h"

#include <stdlib.h>
#include <string.h>

/* Of a poll that is parked: its timer stands in the heap, so that this cannot fail. */
static void poll_set_timer(struct poll *poll, int64_t due_ms)
{
    heap_set(&poll->index->waits, &poll->timer.due, due_ms);
}

static bool is_parked(const struct poll *poll)
{
    return poll->parked.next;
}

void poll_unpark(struct poll *poll)
{
    if (!is_parked(poll))
        return;
    link_remove(&poll->parked);
    link_remove(&poll->watching);
    heap_remove(&poll->index->waits, &poll->timer.due);
    if (poll->lease && poll->lease->reader == poll)
        poll->lease->reader = NULL;
}

/* Leaves the network and the lease. */
static void poll_leave(struct poll *poll)
{
    link_remove(&poll->of_lease);
    if (poll->network) {
        poll->network->holds--;
        network_let_go(poll->index, poll->network);
    }
}

static void explain(int error, struct fault *ret_fault)
{
    if (error == ERROR_UNKNOWN_NODE) {
        fault_set(ret_fault, error, "your lease ended while you waited: register again");
        ret_fault->action = "register";
    } else if (error == ERROR_BAD_KEY) {
        fault_set(
            ret_fault, error, "the join key was withdrawn while you waited: ask for a new one");
    } else if (error == ERROR_NOT_READY) {
        fault_set(ret_fault, error, "the index is stopping: try again shortly");
        ret_fault->retry_after_s = 1;
        ret_fault->action = "retry";
    } else if (error == ERROR_SUPERSEDED) {
        fault_set(ret_fault, error,
            "another read of this mailbox began after this one: only the newest waits");
    } else {
        fault_busy(ret_fault, error);
    }
}

static void poll_finish(struct poll *poll)
{
    struct index *index = poll->index;
    struct poll_result *result = &poll->result;
    struct fault fault;

    if (poll->request.mail && !poll->lease && !poll->error)
        poll->error = ERROR_UNKNOWN_NODE;
    if (poll->error) {
        explain(poll->error, &fault);
    } else if (poll->lease) {
        if (poll->request.renew)
            result->heartbeat_after_s = heartbeat_after_s(index, poll->lease->ttl_s);
        if (result->list_changed)
            poll->lease->heard_ms = index_now_ms(index);
    }
    poll_leave(poll);
    poll->done(poll->error ? &fault : NULL, poll->error ? NULL : result, poll->user);
    if (poll->calling)
        poll->finished = true;
    else
        free(poll);
}

void poll_committed(int error, void *user)
{
    struct poll *poll = user;

    if (error && !poll->error)
        poll->error = error;
    poll_finish(poll);
}

void poll_answer(struct poll *poll)
{
    poll->index->store->f->barrier(poll->index->store, poll_committed, poll);
}

/* --- waiting for room ------------------------------------------------------------------------ */

static bool has_room(const struct index *index)
{
    const struct index_config *config = &index->config;
    return !config->has_room || config->has_room(config->room_user);
}

static void poll_wake(struct poll *poll)
{
    if (poll->woken)
        return; /* or it would lose its turn */
    poll->woken = true;
    link_remove(&poll->watching);
    link_add(poll->request.mail ? &poll->index->woken : &poll->index->woken_lists, &poll->watching);
}

/* The next to be answered, or NULL. Strangers can ask for lists without end; who reads a mailbox is
 * a node, and does not wait behind them. */
static struct poll *next_woken(struct index *index)
{
    const struct link *first = &index->woken;

    if (link_empty(first))
        first = &index->woken_lists;
    return link_empty(first) ? NULL : container_of(first->next, struct poll, watching);
}

/* The index stops, and there is no time to wait for room. */
static void poll_refuse(struct poll *poll)
{
    poll_unpark(poll);
    poll->error = ERROR_NOT_READY;
    poll_answer(poll);
}

/* Of a poll that is parked. */
static void poll_read_in_turn(struct poll *poll)
{
    if (has_room(poll->index)) {
        poll_read(poll);
    } else if (poll->index->released) {
        poll_refuse(poll);
    } else {
        poll->postponed = true;
        poll_wake(poll);
    }
}

/* Of a poll that is parked. */
static void poll_fail(struct poll *poll, int error)
{
    poll->error = error;
    poll_unpark(poll);
    poll_answer(poll);
}

/* --- waiting --------------------------------------------------------------------------------- */

static void poll_fire(struct index *index, struct timer *timer)
{
    struct poll *poll = container_of(timer, struct poll, timer);

    if (poll->postponed)
        return;
    if (!index->loaded) {
        /* There is nothing that could be said for sure. */
        if (poll->deadline_ms <= index_now_ms(index))
            poll_fail(poll, ERROR_STORE_FAILED);
        else
            poll_set_timer(poll, poll->deadline_ms);
        return;
    }
    if (poll_has_news(poll) || poll->deadline_ms <= index_now_ms(index))
        poll_read_in_turn(poll);
    else
        poll_set_timer(poll, poll->deadline_ms);
}

/* Puts it where changes in its list find it; what it may not hear of yet, it hears by its timer. */
static void poll_watch(struct poll *poll)
{
    if (!poll->request.list)
        return;
    link_add(&poll->network->polls, &poll->watching);
    if (list_is_news(poll) && poll->not_before_ms < poll->timer.due.due_ms)
        poll_set_timer(poll, poll->not_before_ms);
}

static int poll_enter(struct poll *poll)
{
    struct index *index = poll->index;

    poll->timer.fire = poll_fire;
    int error = heap_set(&index->waits, &poll->timer.due, INT64_MAX);
    if (error)
        return error;
    link_add(&index->parked, &poll->parked);
    if (poll->lease && poll->request.wait_s > 0)
        poll->lease->reader = poll;
    return 0;
}

static int poll_park(struct poll *poll)
{
    int error = poll_enter(poll);

    if (error)
        return error;
    poll_set_timer(poll, poll->deadline_ms);
    poll_watch(poll);
    return 0;
}

static void after_commit(int error, void *user)
{
    struct index *index = user;

    index->wake_waits = false;
    struct poll *poll;
    while (index->loaded && (poll = next_woken(index)) && has_room(index)) {
        link_remove(&poll->watching);
        poll->woken = false;
        poll->expected = 0;
        if (poll->postponed || (!error && poll_has_news(poll)))
            poll_read(poll);
        else
            poll_watch(poll);
    }
}

void poll_wake_network(struct index *index, struct network *network)
{
    int64_t now_ms = index_now_ms(index);
    struct link *next;

    for (struct link *at = network->polls.next; at != &network->polls; at = next) {
        struct poll *poll = container_of(at, struct poll, watching);
        next = at->next;
        if (poll->not_before_ms <= now_ms)
            poll_wake(poll);
        else if (poll->not_before_ms < poll->timer.due.due_ms)
            poll_set_timer(poll, poll->not_before_ms);
    }
}

bool poll_wake_reader(struct index *index, struct lease *lease)
{
    struct poll *poll = lease->reader;

    (void)index;
    if (!poll)
        return false;
    poll_wake(poll);
    return poll->expected++ < poll->request.mail_limit;
}

void polls_answer_after_commit(struct index *index)
{
    /* What memory has may not be true before the store was read back. */
    if (!index->loaded || index->wake_waits || !next_woken(index))
        return;
    index->wake_waits = true;
    index->store->f->barrier(index->store, after_commit, index);
}

void index_answer_more(struct index *index)
{
    polls_answer_after_commit(index);
}

void polls_lease_gone(struct index *index, struct lease *lease)
{
    (void)index;
    while (!link_empty(&lease->polls)) {
        struct poll *poll = container_of(lease->polls.next, struct poll, of_lease);
        bool waited = is_parked(poll);
        poll_unpark(poll);
        link_remove(&poll->of_lease);
        poll->lease = NULL;
        if (waited)
            poll_answer(poll);
    }
}

/* 0, or why the credential that a parked poll was asked with admits no more. */
static int withdrawn(const struct poll *poll)
{
    const struct index *index = poll->index;
    const struct index_config *config = &index->config;

    if (poll->kind == CREDENTIAL_KEY)
        return config->admits(poll->credential, poll->network_name, config->admits_user)
                   ? 0
                   : ERROR_BAD_KEY;
    const struct lease *lease = lease_find_token(index, poll->credential);
    return lease && lease_is_admitted(index, lease) ? 0 : ERROR_UNKNOWN_NODE;
}

void polls_evict(struct index *index)
{
    struct link *next;

    /* Answering may be deferred to the commit, so that the list holds still meanwhile, or not: what
     * comes after a poll is looked up before it goes. */
    for (struct link *at = index->parked.next; at != &index->parked; at = next) {
        struct poll *poll = container_of(at, struct poll, parked);
        next = at->next;
        poll->error = withdrawn(poll);
        if (!poll->error)
            continue;
        poll_unpark(poll);
        poll_answer(poll);
    }
}

void polls_fail(struct index *index)
{
    while (!link_empty(&index->parked)) {
        struct poll *poll = container_of(index->parked.next, struct poll, parked);
        poll_fail(poll, ERROR_STORE_FAILED);
    }
}

void index_poll_cut(struct poll *poll)
{
    if (!is_parked(poll))
        return;
    if (poll->request.list && !poll->request.has_since) {
        /* It waits for room only, and an empty answer would have no cursor. */
        poll_refuse(poll);
        return;
    }
    poll_unpark(poll);
    poll->result.cursor = poll->request.since;
    if (poll->lease)
        poll->result.next = (struct cursor){poll->lease->box->epoch, poll->mail_after};
    poll_answer(poll);
}

void index_release(struct index *index)
{
    index->released = true;
    while (!link_empty(&index->parked))
        index_poll_cut(container_of(index->parked.next, struct poll, parked));
}

/* --- asking ---------------------------------------------------------------------------------- */

static void ignore_heartbeat(const struct fault *fault, const struct heartbeat *result, void *user)
{
    (void)fault;
    (void)result;
    (void)user;
}

/* The caller's lease and box, what it acknowledges, and whom it supersedes. */
static int ask_mail(struct poll *poll, const struct caller *caller, struct fault *ret_fault)
{
    struct index *index = poll->index;
    const struct poll_request *request = &poll->request;
    struct lease *lease;
    int error = lease_of_caller(index, caller, &lease, ret_fault);

    if (error)
        return error;
    if (request->mailbox && strcmp(request->mailbox, lease->id) != 0) {
        error = id_check("the id", request->mailbox, ret_fault);
        if (!error && !lease_find(index, lease->network, request->mailbox))
            error = fault_set(ret_fault, ERROR_UNKNOWN_NODE,
                "%s is not registered, and your token is that of node %s", request->mailbox,
                lease->id);
        if (!error)
            error = fault_set(ret_fault, ERROR_NOT_YOURS,
                "the token is that of node %s: a mailbox is read by its owner", lease->id);
        return error;
    }
    struct box *box = box_of(index, lease);
    if (!box)
        return fault_busy(ret_fault, ERROR_NO_MEMORY);
    poll->lease = lease;
    link_add(&lease->polls, &poll->of_lease);
    if (request->renew)
        index_heartbeat(index, caller, &(struct heartbeat_request){0}, ignore_heartbeat, NULL);
    if (request->has_after) {
        poll->result.mail_reset =
            request->after.epoch != box->epoch || request->after.seq > box->seq;
        /* While no write is tried nothing is acknowledged, and it is all given out again. */
        struct fault busy;
        if (!poll->result.mail_reset && !index_may_write(index, &busy))
            box_ack(index, box, request->after.seq);
    }
    poll->mail_after = box->acked;
    if (request->wait_s > 0 && lease->reader) {
        struct poll *older = lease->reader;
        poll_unpark(older);
        older->error = ERROR_SUPERSEDED;
        poll_answer(older);
    }
    return 0;
}

static int ask_list(struct poll *poll, const struct caller *caller, struct fault *ret_fault)
{
    struct index *index = poll->index;
    const struct poll_request *request = &poll->request;
    const char *name;
    int error = network_resolve(index, caller, request->network, &name, ret_fault);

    if (!error && request->after_id)
        error = id_check("after", request->after_id, ret_fault);
    if (error)
        return error;
    strcpy(poll->network_name, name);
    if (request->after_id)
        strcpy(poll->after_id, request->after_id);
    poll->network = network_find(index, name);
    if (!poll->network && request->wait_s > 0) {
        poll->network = network_make(index, name);
        if (!poll->network)
            return fault_busy(ret_fault, ERROR_NO_MEMORY);
    }
    if (poll->network)
        poll->network->holds++;
    return 0;
}

struct poll *index_poll(struct index *index, const struct caller *caller,
    const struct poll_request *request, poll_done done, void *user)
{
    struct fault fault = {0};
    struct poll *poll = calloc(1, sizeof *poll);

    if (!poll) {
        fault_busy(&fault, ERROR_NO_MEMORY);
        done(&fault, NULL, user);
        return NULL;
    }
    poll->index = index;
    poll->request = *request;
    poll->done = done;
    poll->user = user;
    poll->calling = true;
    poll->kind = caller->kind;
    memcpy(poll->credential, caller->hash, STORE_HASH_SIZE);
    poll->result.network = poll->network_name;
    if (index->released)
        poll->request.wait_s = 0;
    /* The mailbox last: asking for it acknowledges, renews and supersedes. */
    if ((request->list && ask_list(poll, caller, &fault)) ||
        (request->mail && ask_mail(poll, caller, &fault))) {
        poll_leave(poll);
        free(poll);
        done(&fault, NULL, user);
        return NULL;
    }
    int64_t heard_ms = request->heard_ms;
    if (poll->lease && poll->lease->heard_ms > heard_ms)
        heard_ms = poll->lease->heard_ms;
    poll->not_before_ms = heard_ms == INT64_MIN ? INT64_MIN : heard_ms + LIMIT_HEAR_EVERY_MS;
    poll->deadline_ms = index_now_ms(index) + (int64_t)(poll->request.wait_s * 1000);
    if (poll->request.wait_s <= 0 || poll_has_news(poll)) {
        if (has_room(index) || poll_enter(poll))
            poll_read(poll);
        else
            poll_read_in_turn(poll);
    } else if (poll_park(poll)) {
        poll_read(poll);
    }
    poll->calling = false;
    if (!poll->finished)
        return poll;
    free(poll);
    return NULL;
}
