#include "http/meter.h"

#include "http/door_internal.h"
#include "http/routes.h"
#include "metrics.h"
#include "version.h"

#include <stdio.h>

#define PLAIN_TEXT "text/plain; version=0.0.4; charset=utf-8" /* as Prometheus calls its format */
#define CLASSES 4                                             /* 2xx to 5xx */

/* By route, and by the class of the status; the last row is of what has no route. */
static struct histogram durations[ROUTES_MAX + 1][CLASSES];

void meter_request(const struct request *request)
{
    unsigned class = request->status / 100;
    uint64_t parked_us = request->parked_ns / 1000;
    uint64_t passed_us = (uv_hrtime() - request->began_ns) / 1000;

    metrics_add(METRIC_RESPONSE_BYTES, request->sent_bytes);
    if (request->parked_ns)
        metrics_observe(HISTOGRAM_PARKED_TIME, parked_us);
    if (class >= 2 && class < 2 + CLASSES)
        histogram_add(&durations[route_number(request->route)][class - 2], METRICS_SECONDS,
            passed_us > parked_us ? passed_us - parked_us : 0);
}

int meter_check(const struct request *request, struct fault *ret_fault)
{
    const struct http_policy *policy = &request->door->config.policy;

    if (request->connection->ops || (policy->loopback_only && !policy->trusted_count))
        return 0;
    return fault_set(ret_fault, ERROR_UNKNOWN_PATH,
        "others can reach this listener: the metrics are at that of --ops-listen");
}

static void write_durations(struct text *out)
{
    static const char family[] = "signpost_http_request_duration_seconds";
    char labels[128], path[64];

    metrics_write_family(out, family, "histogram",
        "Time from the headers of a request to the end of its reply, without the time that a long "
        "poll was parked.");
    for (size_t route = 0; route <= ROUTES_MAX; route++)
        for (size_t class = 0; class < CLASSES; class ++) {
            if (!histogram_count(&durations[route][class]))
                continue;
            const char *method = route_describe(route, path, sizeof path);
            snprintf(labels, sizeof labels, "method=\"%s\",route=\"%s\",status=\"%zuxx\"", method,
                path, class + 2);
            metrics_write_histogram(out, family, labels, METRICS_SECONDS, &durations[route][class]);
        }
}

static void write_gauge(struct text *out, const char *name, const char *help, double value)
{
    metrics_write_family(out, name, "gauge", help);
    metrics_write_value(out, name, "", value);
}

static void write_gauges(struct request *request, struct text *out)
{
    const struct index *index = request_index(request);
    struct status_reply now;

    request_status(request, &now);
    metrics_write_family(out, "signpost_build_info", "gauge", "1; the version is in the label.");
    metrics_write_value(out, "signpost_build_info", "version=\"" SIGNPOST_VERSION "\"", 1);
    write_gauge(out, "signpost_uptime_seconds", "Since the index began to listen.", now.uptime_s);
    write_gauge(out, "signpost_ready", "1 where /readyz is answered with 200.", request->ready);
    write_gauge(out, "signpost_nodes", "Registered nodes.", (double)index_node_count(index));
    write_gauge(out, "signpost_networks", "Networks with nodes, or that had some of late.",
        (double)index_network_count(index));
    write_gauge(out, "signpost_mailbox_messages",
        "Messages in mailboxes, and those remembered for retries.",
        (double)index_message_count(index));
    write_gauge(
        out, "signpost_parked_polls", "Long polls and checks that wait.", (double)now.waiting);
    write_gauge(out, "signpost_parked_polls_max", "The most that may wait; 0: no limit.",
        (double)now.max_waiting);
    write_gauge(out, "signpost_http_open_connections",
        "Open TCP connections, without those for operations.", (double)now.connections);
    write_gauge(out, "signpost_http_open_connections_max",
        "The most that may be open; 0: no limit.", (double)now.max_connections);
    write_gauge(out, "signpost_store_size_bytes", "The database and its log of writes.",
        (double)index_store_bytes(index));
    usage_write_metrics(out, request->door->began_wall_ms);
}

static void readiness_known(const struct fault *fault, void *user)
{
    struct request *request = user;
    struct text body = {0};

    request->ready = !fault;
    write_gauges(request, &body);
    write_durations(&body);
    metrics_write(&body);
    request_reply(request, MHD_HTTP_OK, PLAIN_TEXT, &body, NULL);
}

void handle_metrics(struct request *request)
{
    index_check_ready(request_index(request), readiness_known, request);
}
