#include "link.h"

#include <stdio.h>
#include <stdlib.h>

#define BEAT_LEAST_MS 500

bool link_has_news(const struct link *link)
{
    return link->told != link->client->version && !link->joined;
}

uint64_t link_beat_after_ms(const struct codec_reply *parsed)
{
    return parsed->heartbeat_after_ms > BEAT_LEAST_MS ? (uint64_t)parsed->heartbeat_after_ms
                                                      : BEAT_LEAST_MS;
}

static void beat_failed(struct link *link, int64_t retry_after_ms)
{
    link->beat_not_before_ms = client_now_ms(link->client) + retry_after_ms;
    link_beat_later(link, client_backoff_ms(link->client, link->beat_failures++,
                              link_most_backoff_ms(link), retry_after_ms));
}

static void on_beat(const struct http_reply *reply, void *user)
{
    struct link *link = user;
    struct codec_reply parsed = {0};
    struct codec_problem problem;
    char detail[HTTP_DETAIL_SIZE] = "";

    link->beat = NULL;
    if (!reply->error && reply->status == 200 &&
        !codec_parse(CODEC_HEARTBEAT, reply->body, reply->body_size, &parsed, detail)) {
        link->beat_failures = 0;
        link->told = link->telling;
        snprintf(link->observed, sizeof link->observed, "%s", parsed.observed);
        if (link_has_news(link))
            link_beat_later(link, 0);
        else if (!link_reads_mail(link))
            link_beat_later(link, link_beat_after_ms(&parsed));
        codec_free(&parsed);
        return;
    }
    int error = link_explain(reply, &problem, detail);
    if (problem.register_again) {
        link_lost_lease(link);
        return;
    }
    client_log(link->client, SIGNPOST_LOG_WARN, "%s: %s", link_log_name(link), detail);
    if (error == SIGNPOST_ERROR_REFUSED)
        link->told = link->telling; /* as it is, it will never be taken */
    beat_failed(link, reply->retry_after_ms);
}

static void on_heart(uv_timer_t *timer)
{
    struct link *link = timer->data;
    signpost_t *client = link->client;
    bool news = link_has_news(link);
    struct link_url url = {.length = 0};

    if (link->beat || !link->registered || (!news && link_reads_mail(link)))
        return;
    char *body = codec_heartbeat(news ? (const char *const *)client->endpoints : NULL,
        news ? client->meta : NULL, news ? client->reach : NULL);
    link_url_put(&url, link->url);
    link_url_put(&url, "/heartbeat");
    link->telling = client->version;
    if (!body ||
        link_request(link, "POST", url.text, body, LINK_SHORT_TIMEOUT_MS, on_beat, &link->beat))
        beat_failed(link, 0);
    free(body);
}

void link_beat_later(struct link *link, uint64_t delay_ms)
{
    int64_t least_ms = link->beat_not_before_ms - client_now_ms(link->client);

    if (least_ms > 0 && delay_ms < (uint64_t)least_ms)
        delay_ms = (uint64_t)least_ms;
    if (!link->leaving)
        uv_timer_start(&link->heart, on_heart, delay_ms, 0);
}

void link_update(struct link *link)
{
    if (link->registered && !link->beat && link_has_news(link))
        link_beat_later(link, 0);
}

void link_tell_again(struct link *link)
{
    if (link->beat)
        http_cancel(link->beat);
    link->beat = NULL;
    link->told = link->client->version - 1;
    link_update(link);
}
