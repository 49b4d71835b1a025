#include "link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * One index: register there, then read on for ever. While it answers there is always one request
 * under way: POST /events, which renews the lease and brings list and mail; or, for a client that
 * leaves its mailbox alone or registers nowhere, GET /list, with heartbeats beside it.
 *
 * A long poll that is cut on the way by something that is not the index (an ingress with a limit)
 * is told from an index that is away by asking at once without waiting. One cut may be a restart on
 * the way. If the next is cut at the same age, later polls wait less; if even short waits are cut,
 * it is asked at an interval. Who says Retry-After is not asked at once: that is an index that is
 * away.
 */

#define WAIT_SLACK_MS 10000 /* what a long poll may take longer than it waits */
#define CUT_AFTER_MS 500    /* a poll that lived so long was cut; before, the index is away */
#define WAIT_LEAST_S 2u     /* shorter waits are worth nothing: then it is asked at an interval */
#define WAIT_SPREAD 5       /* a poll waits up to a fifth less, by chance */
#define INTERVAL_MS 3000
#define SAME_AGE_MS 1000 /* two cuts within this of each other are of one limit */
/* So long a shorter wait is kept before the full one is tried again. */
#define WAIT_AGAIN_MS 3600000
#define PAGE_NODES 500u

static bool is_bare(bool has_endpoints, const char *meta, const char *reach)
{
    return !has_endpoints && !strcmp(meta, "{}") && !strcmp(reach, "{}");
}

/* Where the index had forgotten our node, one that shares it may have been there before us, and has
 * registered it with nothing in its record. */
static void take_own(struct link *link, const signpost_peer_t *own)
{
    const signpost_t *client = link->client;

    if (!client->config.shared && is_bare(own->endpoint_count > 0, own->meta, own->reach) &&
        !is_bare(client->endpoints[0], client->meta, client->reach))
        link_tell_again(link);
}

static int take_node(struct link *link, const signpost_peer_t *peer)
{
    signpost_t *client = link->client;
    int error = 0;

    if (!strcmp(peer->id, client->id) && !client->config.watch_only) {
        take_own(link, peer);
        return 0;
    }
    if (!codec_matches(peer->meta, client->config.filters))
        directory_remove(client->directory, link->number, peer->id);
    else
        error = directory_put(client->directory, link->number, peer);
    if (error)
        client_log(client, SIGNPOST_LOG_ERROR, "no room for peer %s", peer->id);
    return error == SIGNPOST_ERROR_NO_MEMORY ? error : 0;
}

/* Says whether the list is complete now. Where memory is out the cursor stays, and the same comes
 * again. */
static int take_list(struct link *link, const struct codec_list *list, bool *ret_complete)
{
    struct directory *directory = link->client->directory;
    int error = 0;
    bool page = link->step == STEP_PAGE;
    bool whole = page || !link->since[0] || list->reset;

    if (whole && !page) {
        directory_begin(directory, link->number);
        strcpy(link->first, list->cursor);
    }
    for (size_t i = 0; i < list->node_count; i++)
        error = take_node(link, &list->nodes[i]) ? SIGNPOST_ERROR_NO_MEMORY : error;
    for (size_t i = 0; i < list->gone_count; i++)
        directory_remove(directory, link->number, list->gone[i]);
    *ret_complete = true;
    if (error)
        return error;
    if (!whole) {
        strcpy(link->since, list->cursor);
        return 0;
    }
    if (list->more) {
        const char *after = list->after[0]     ? list->after
                            : list->node_count ? list->nodes[list->node_count - 1].id
                                               : "";
        snprintf(link->page, sizeof link->page, "%s", after);
        *ret_complete = !link->page[0];
        if (!*ret_complete)
            return 0;
    }
    strcpy(link->since, link->first);
    directory_end(directory, link->number,
        link->listed_once ? client_now_ms(link->client) + link->ttl_ms : INT64_MIN);
    link->listed_once = true;
    return 0;
}

static bool waits_here(const struct link *link)
{
    return !link->client->config.poll_interval_ms && link->wait_s >= WAIT_LEAST_S;
}

/* Between plain polls; these renew the lease too. */
static int64_t interval_ms(const struct link *link)
{
    unsigned asked_ms = link->client->config.poll_interval_ms;
    int64_t delay_ms = asked_ms ? asked_ms : INTERVAL_MS;
    return delay_ms < link->ttl_ms / 3 ? delay_ms : link->ttl_ms / 3;
}

/* The poll that was cut had lived for a while, and the index is there. */
static void learn_cut(struct link *link)
{
    int64_t lived_ms = link->lived_ms;
    int64_t apart_ms = lived_ms - link->suspected_ms;
    unsigned lived_s = (unsigned)(lived_ms / 1000);

    if (!link->suspected_ms || apart_ms > SAME_AGE_MS || apart_ms < -SAME_AGE_MS) {
        link->suspected_ms = lived_ms;
        return;
    }
    link->suspected_ms = 0;
    link->wait_s = lived_s > WAIT_LEAST_S ? lived_s - 1 : 0;
    link->wait_reset_ms = client_now_ms(link->client) + WAIT_AGAIN_MS;
    client_log(link->client, SIGNPOST_LOG_INFO, "%s: long requests are cut after %u s, %s",
        link_log_name(link), lived_s,
        link->wait_s ? "so they are shorter now" : "so it is asked at an interval");
}

static void poll_answered(struct link *link, const struct http_reply *reply)
{
    enum codec_kind kind =
        link->step == STEP_POLL && link_reads_mail(link) ? CODEC_EVENTS : CODEC_LIST;
    struct codec_reply parsed = {0};
    char detail[HTTP_DETAIL_SIZE] = "";
    int error = codec_parse(kind, reply->body, reply->body_size, &parsed, detail);

    if (error) {
        link_try_later(link, STEP_POLL, error, detail, 0);
        return;
    }
    if (link->probing)
        learn_cut(link);
    else if (link->waited_s && client_now_ms(link->client) - link->asked_ms >= link->suspected_ms)
        link->suspected_ms = 0; /* this one was let live longer */
    link->probing = false;
    bool complete = true;
    error = parsed.has_list ? take_list(link, &parsed.list, &complete) : 0;
    for (size_t i = 0; parsed.has_mail && i < parsed.mailbox.message_count; i++)
        client_take_message(link->client, &parsed.mailbox.messages[i]);
    /* What was handed over is acknowledged by the next poll. */
    if (parsed.has_mail && !link->client->stopping)
        strcpy(link->after, parsed.mailbox.next);
    bool more = parsed.list.more && parsed.list.node_count + parsed.list.gone_count > 0;
    codec_free(&parsed);
    if (link->client->stopping)
        return;
    if (error) {
        link_try_later(link, STEP_POLL, error, signpost_strerror(error), reply->retry_after_ms);
        return;
    }
    link->failures = link->losses = 0;
    link->step = complete ? STEP_POLL : STEP_PAGE;
    if (complete)
        link_set_state(link, SIGNPOST_INDEX_READY, 0, "");
    else
        client_follow_directory(link->client);
    if (link->client->stopping)
        return;
    int64_t delay_ms = reply->retry_after_ms;
    link_obey(link, delay_ms);
    if (complete && !more && !waits_here(link) && delay_ms < interval_ms(link))
        delay_ms = interval_ms(link);
    if (delay_ms)
        link_rest(link, link->step, (uint64_t)delay_ms);
    else
        link_step(link);
}

/* What polls wait at most; each draws its own wait from it. */
static unsigned most_wait_s(const struct link *link)
{
    unsigned most_s = (unsigned)(link->ttl_ms * 2 / 3 / 1000);
    return link_reads_mail(link) && link->wait_s > most_s ? most_s : link->wait_s;
}

static void on_polled(const struct http_reply *reply, void *user)
{
    struct link *link = user;
    struct codec_problem problem;
    char detail[HTTP_DETAIL_SIZE] = "";
    int64_t lived_ms = client_now_ms(link->client) - link->asked_ms;

    link->call = NULL;
    if (!reply->error && reply->status == 200) {
        poll_answered(link, reply);
        return;
    }
    int error = link_explain(reply, &problem, detail);
    if (problem.register_again && link->registered) {
        link_lost_lease(link);
    } else if (!strcmp(problem.code, "superseded")) {
        link_give_up(link);
    } else if (!strcmp(problem.code, "bad_cursor")) {
        link->since[0] = link->after[0] = '\0';
        link_try_later(link, STEP_POLL, SIGNPOST_ERROR_PROTOCOL, detail, 0);
    } else if (link->waited_s && lived_ms > CUT_AFTER_MS && !reply->retry_after_ms &&
               (error == SIGNPOST_ERROR_UNREACHABLE || error == SIGNPOST_ERROR_TIMEOUT)) {
        link->probing = true;
        /* One that is overdue fell silent, at a time that nobody knows: the same each time. */
        link->lived_ms = lived_ms < link->waited_s * 1000LL ? lived_ms : most_wait_s(link) * 500LL;
        link->step = STEP_POLL;
        link_step(link);
    } else {
        link_try_later(link, STEP_POLL, error, detail, reply->retry_after_ms);
    }
}

static unsigned poll_wait_s(struct link *link)
{
    if (client_now_ms(link->client) >= link->wait_reset_ms)
        link->wait_s = LINK_WAIT_S;
    if (link->probing || !link_is_ready(link) || !link->since[0] || !waits_here(link))
        return 0;
    unsigned most_s = most_wait_s(link);
    /* Polls that came together, as after an outage, come apart. */
    return most_s - (unsigned)client_jitter(link->client, most_s / WAIT_SPREAD);
}

void link_begin_poll(struct link *link)
{
    bool page = link->step == STEP_PAGE;
    bool events = !page && link_reads_mail(link);
    unsigned wait_s = page ? 0 : poll_wait_s(link);
    struct link_url url = {.length = 0};
    char number[24], *body = NULL;
    int error = 0;

    link_url_put(&url, link->url);
    link_url_put(&url, events ? "/events" : "/list");
    if (events) {
        body = codec_events(link->since[0] ? link->since : NULL,
            link->after[0] ? link->after : NULL, wait_s, PAGE_NODES);
        error = body ? 0 : SIGNPOST_ERROR_NO_MEMORY;
    } else {
        snprintf(number, sizeof number, "%u", PAGE_NODES);
        link_url_parameter(&url, "limit", number);
        if (link->client->config.network)
            link_url_parameter(&url, "network", link->client->config.network);
        if (page)
            link_url_parameter(&url, "after", link->page);
        else if (link->since[0])
            link_url_parameter(&url, "since", link->since);
        snprintf(number, sizeof number, "%u", wait_s);
        if (wait_s)
            link_url_parameter(&url, "wait", number);
    }
    link->waited_s = wait_s;
    link->asked_ms = client_now_ms(link->client);
    if (!error)
        error = link_request(link, events ? "POST" : "GET", url.text, body,
            wait_s * 1000 + (wait_s ? WAIT_SLACK_MS : LINK_SHORT_TIMEOUT_MS), on_polled,
            &link->call);
    free(body);
    if (error)
        link_try_later(link, STEP_POLL, error, signpost_strerror(error), 0);
}
