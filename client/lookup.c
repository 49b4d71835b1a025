#include "lookup.h"

#include "link.h"

#include <stdlib.h>
#include <string.h>

#define LOOKUP_TIMEOUT_MS 3000
#define REPLY_MAX 65536u

struct lookup {
    signpost_t *client;
    struct http_call *call;
    size_t next; /* the index that is asked after this one */
    char id[65];
    int error; /* of those that were asked so far: that one does not know it counts most */
    lookup_done done;
    void *user;
};

static bool ask_next(struct lookup *lookup);

static void on_reply(const struct http_reply *reply, void *user)
{
    struct lookup *lookup = user;
    struct codec_reply parsed = {0};
    char detail[HTTP_DETAIL_SIZE];
    const signpost_peer_t *peer = NULL;
    int error = reply->error;

    lookup->call = NULL;
    if (!error && reply->status == 404)
        error = SIGNPOST_ERROR_UNKNOWN_PEER;
    else if (!error && reply->status != 200)
        error = SIGNPOST_ERROR_REFUSED;
    else if (!error)
        error = codec_parse(CODEC_NODE, reply->body, reply->body_size, &parsed, detail);
    if (!error && !strcmp(parsed.list.nodes[0].id, lookup->id))
        peer = &parsed.list.nodes[0];
    else if (!error)
        error = SIGNPOST_ERROR_PROTOCOL;
    if (lookup->error != SIGNPOST_ERROR_UNKNOWN_PEER)
        lookup->error = error;
    if (peer || !ask_next(lookup)) {
        lookup->done(peer ? 0 : lookup->error, peer, lookup->user);
        free(lookup);
    }
    codec_free(&parsed);
}

/* False: there is none left. */
static bool ask_next(struct lookup *lookup)
{
    signpost_t *client = lookup->client;

    while (lookup->next < client->link_count) {
        struct link *link = client->links[lookup->next++];
        struct link_url url = {.length = 0};
        if (!link_is_ready(link))
            continue;
        link_url_put(&url, link_url(link));
        link_url_put(&url, "/nodes/");
        link_url_put(&url, lookup->id);
        if (client->config.network)
            link_url_parameter(&url, "network", client->config.network);
        if (!http_start(client->http,
                &(struct http_request){
                    .method = "GET",
                    .url = url.text,
                    .bearer = client->config.watch_only ? client->config.key : link_token(link),
                    .timeout_ms = LOOKUP_TIMEOUT_MS,
                    .max_bytes = REPLY_MAX,
                },
                on_reply, lookup, &lookup->call))
            return true;
    }
    return false;
}

struct lookup *lookup_start(signpost_t *client, const char *id, lookup_done done, void *user)
{
    struct lookup *lookup = calloc(1, sizeof *lookup);

    if (!lookup)
        return NULL;
    lookup->client = client;
    strncpy(lookup->id, id, sizeof lookup->id - 1);
    lookup->done = done;
    lookup->user = user;
    if (ask_next(lookup))
        return lookup;
    free(lookup);
    return NULL;
}

void lookup_cancel(struct lookup *lookup)
{
    if (!lookup)
        return;
    http_cancel(lookup->call);
    free(lookup);
}
