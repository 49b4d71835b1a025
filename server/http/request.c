/* What a route asks of its request, and makes it do: of http/door.h. */
#include "http/checks.h"
#include "http/door_internal.h"
#include "metrics.h"
#include "server_limits.h"

/* Looking at one node of a filtered list takes about as long as writing so much of a page. */
#define FILTERED_BYTES 512

const char *request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, name);
}

const char *request_query(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->mhd, MHD_GET_ARGUMENT_KIND, name);
}

const struct ice *request_ice(const struct request *request)
{
    return &request->door->config.ice;
}

const struct pages *request_pages(const struct request *request)
{
    return request->door->config.pages;
}

struct checker *request_checker(const struct request *request)
{
    return request->door->config.checker;
}

const struct keys *request_keys(const struct request *request)
{
    return request->door->config.keys;
}

struct index *request_index(const struct request *request)
{
    return request->door->config.index;
}

void request_status(const struct request *request, struct status_reply *ret_status)
{
    struct http_door *door = request->door;
    int64_t now_ms = door_now_ms(door);

    usage_measure(&door->usage, now_ms);
    *ret_status = (struct status_reply){
        .wall_ms = clock_wall_ms(door->config.clock),
        .uptime_s = (double)(now_ms - door->began_ms) / 1000,
        .waiting = waits_count(door->waits),
        .max_waiting = door->config.max_waiters,
        .connections = http_loop_connections(door->loop),
        .max_connections = door->config.max_connections,
        .cpu_share = door->usage.cpu_share,
        .memory_bytes = door->usage.memory_bytes,
    };
}

void request_heard(struct request *request)
{
    request->connection->heard_ms = door_now_ms(request->door);
}

/* --- its body, and the page that answers it
 * ------------------------------------------------------- */

/* Everyone waits while a pass lasts: so many large bodies at once are more than a rush. */
static bool may_parse(struct request *request)
{
    struct http_door *door = request->door;

    if (request->body.length <= LIMIT_SMALL_BODY_BYTES)
        return true;
    if (door->bodies_bytes >= LIMIT_PASS_BODIES_BYTES)
        return false;
    door->bodies_bytes += request->body.length;
    return true;
}

bool request_parse(struct request *request)
{
    struct fault fault;
    int error;

    if (text_failed(&request->body))
        error = fault_busy(&fault, ERROR_NO_MEMORY);
    else if (!may_parse(request))
        error = checks_refuse_overloaded(&fault);
    else
        error = codec_parse(request->body.bytes ? request->body.bytes : "", request->body.length,
            &request->json, &fault);
    if (error)
        request_fail(request, &fault);
    return !error;
}

/* Where much waits to be read, a page is no larger than what the kernel takes at once, so that
 * nothing is held for its reader, however slow that is. */
static size_t page_limit(const struct request *request)
{
    return http_loop_held_bytes(request->door->loop) < LIMIT_SMALL_PAGES_FROM_BYTES
               ? LIMIT_PAGE_BYTES
               : LIMIT_SMALL_PAGE_BYTES;
}

bool request_page_grew(struct request *request, size_t bytes, size_t length)
{
    request->door->pages_bytes += bytes;
    return length < page_limit(request);
}

bool request_page_takes(const struct request *request, size_t bytes)
{
    const struct poll_pieces *pieces = &request->pieces;
    return pieces->nodes.length + pieces->messages.length + bytes <= page_limit(request);
}

void request_keep_delta(struct request *request, const struct poll_delta *delta)
{
    delta_keep(&request->door->delta, delta, &request->pieces);
}

bool request_take_delta(struct request *request, const struct poll_delta *delta)
{
    const struct kept_delta *kept = &request->door->delta;
    size_t bytes = kept->nodes.length + kept->gone.length;

    if (!delta_is_kept(kept, delta) || !request_page_takes(request, bytes))
        return false;
    delta_copy(kept, &request->pieces);
    request_page_grew(request, bytes, 0);
    return true;
}

bool request_meta_matches(struct request *request, const char *meta)
{
    request_page_grew(request, FILTERED_BYTES, 0);
    return codec_meta_matches(meta, request->filters, request->filter_count);
}

/* --- parked requests ------------------------------------------------------------------------- */

void request_park(struct request *request, void (*vanished)(struct request *request))
{
    request->vanished = vanished;
    request->parked_ns = uv_hrtime();
    wait_begin(request->door->waits, &request->wait, request->source, request->connection->fd);
}

void request_unpark(struct request *request)
{
    if (request->vanished)
        request->parked_ns = uv_hrtime() - request->parked_ns;
    request->vanished = NULL;
    wait_end(request->door->waits, &request->wait);
}

static void cut_poll(struct request *request)
{
    /* The answer is an empty one: a client that has only closed its sending side still gets it. */
    if (request->poll)
        index_poll_cut(request->poll);
}

void request_poll(struct request *request, struct poll_request *poll, poll_done done)
{
    struct http_door *door = request->door;

    poll->heard_ms = request->connection->heard_ms;
    if (poll->wait_s > 0 && !waits_have_room(door->waits, request->source)) {
        poll->wait_s = 0;
        request->retry_after_s = 1;
        metrics_add(waits_have_room(door->waits, NULL) ? METRIC_LIMIT_WAITERS_ADDRESS
                                                       : METRIC_LIMIT_WAITERS,
            1);
    }
    request->poll = index_poll(door->config.index, &request->caller, poll, done, request);
    if (request->poll && poll->wait_s > 0)
        request_park(request, cut_poll);
}

void request_poll_done(struct request *request)
{
    request->poll = NULL;
    request_unpark(request);
}
