/*
 * What the index counts, for GET /metrics: one list of series, plain integers that the hot paths
 * add to, and the Prometheus text format. A process-wide setting as the log is; the loop's one
 * thread only. No label has a value that a stranger chose.
 */
#ifndef SIGNPOST_METRICS_H
#define SIGNPOST_METRICS_H

#include "error.h"
#include "text.h"

#include <stddef.h>
#include <stdint.h>

/* X(NAME, family, label, its value, help); the series of a family stand together, and the help of
 * the first is that of all. */
#define METRICS_COUNTERS(X)                                                                        \
    X(REGISTERED_NEW, "signpost_registrations_total", "result", "created",                         \
        "Registrations that were taken, of nodes that are new or come back.")                      \
    X(REGISTERED_AGAIN, "signpost_registrations_total", "result", "renewed", "")                   \
    X(HEARTBEATS, "signpost_heartbeats_total", "", "",                                             \
        "Heartbeats that were taken, by /heartbeat alone.")                                        \
    X(GONE_EXPIRED, "signpost_nodes_gone_total", "reason", "expired",                              \
        "Nodes that are gone: the lease ran out, they left, or their join key went.")              \
    X(GONE_LEFT, "signpost_nodes_gone_total", "reason", "left", "")                                \
    X(GONE_EVICTED, "signpost_nodes_gone_total", "reason", "evicted", "")                          \
    X(MAIL_HANDED, "signpost_messages_total", "fate", "handed",                                    \
        "Messages by what became of them: handed to a waiting reader or queued when they were "    \
        "sent; later acknowledged, expired (read or not), or dropped as their recipient left.")    \
    X(MAIL_QUEUED, "signpost_messages_total", "fate", "queued", "")                                \
    X(MAIL_ACKNOWLEDGED, "signpost_messages_total", "fate", "acknowledged", "")                    \
    X(MAIL_EXPIRED, "signpost_messages_total", "fate", "expired", "")                              \
    X(MAIL_GONE, "signpost_messages_total", "fate", "gone", "")                                    \
    X(MAIL_UNDELIVERABLE, "signpost_messages_undeliverable_total", "", "",                         \
        "Senders that were told that their message has come to nothing.")                          \
    X(LIMIT_RATE, "signpost_limit_hits_total", "limit", "rate",                                    \
        "Requests, connections and datagrams that met a limit.")                                   \
    X(LIMIT_RATE_CREDENTIAL, "signpost_limit_hits_total", "limit", "rate_per_credential", "")      \
    X(LIMIT_STUN, "signpost_limit_hits_total", "limit", "stun", "")                                \
    X(LIMIT_NODES, "signpost_limit_hits_total", "limit", "nodes", "")                              \
    X(LIMIT_NODES_NETWORK, "signpost_limit_hits_total", "limit", "nodes_per_network", "")          \
    X(LIMIT_NODES_ADDRESS, "signpost_limit_hits_total", "limit", "nodes_per_address", "")          \
    X(LIMIT_ALL_NETWORKS, "signpost_limit_hits_total", "limit", "networks", "")                    \
    X(LIMIT_ADDRESS_NETWORKS, "signpost_limit_hits_total", "limit", "networks_per_address", "")    \
    X(LIMIT_WAITERS, "signpost_limit_hits_total", "limit", "waiters", "")                          \
    X(LIMIT_WAITERS_ADDRESS, "signpost_limit_hits_total", "limit", "waiters_per_address", "")      \
    X(LIMIT_OPS, "signpost_limit_hits_total", "limit", "ops_connections", "")                      \
    X(LIMIT_CONNECTIONS, "signpost_limit_hits_total", "limit", "connections", "")                  \
    X(LIMIT_CONNECTIONS_ADDRESS, "signpost_limit_hits_total", "limit", "connections_per_address",  \
        "")                                                                                        \
    X(LIMIT_HANDSHAKES, "signpost_limit_hits_total", "limit", "handshakes", "")                    \
    X(LIMIT_MAILBOX, "signpost_limit_hits_total", "limit", "mailbox", "")                          \
    X(LIMIT_MESSAGES, "signpost_limit_hits_total", "limit", "messages", "")                        \
    X(LIMIT_CHECKS, "signpost_limit_hits_total", "limit", "checks", "")                            \
    X(LIMIT_LOAD, "signpost_limit_hits_total", "limit", "load", "")                                \
    X(LIMIT_HELD, "signpost_limit_hits_total", "limit", "held_bytes", "")                          \
    X(DIALBACK_OPEN, "signpost_dialbacks_total", "result", "open",                                 \
        "Connections and datagrams to those who asked with /check, by what came of them.")         \
    X(DIALBACK_CONNECTED, "signpost_dialbacks_total", "result", "connected", "")                   \
    X(DIALBACK_REFUSED, "signpost_dialbacks_total", "result", "refused", "")                       \
    X(DIALBACK_TIMEOUT, "signpost_dialbacks_total", "result", "timeout", "")                       \
    X(DIALBACK_UNREACHABLE, "signpost_dialbacks_total", "result", "unreachable", "")               \
    X(DIALBACK_SENT, "signpost_dialbacks_total", "result", "sent", "")                             \
    X(DIALBACK_CUT, "signpost_dialbacks_total", "result", "cut", "")                               \
    X(STUN_REPLIES, "signpost_stun_replies_total", "", "", "Binding requests of STUN answered.")   \
    X(CONNECTIONS, "signpost_http_connections_total", "", "",                                      \
        "TCP connections that were let in, without those for operations.")                         \
    X(HANDSHAKES_FAILED, "signpost_tls_handshakes_failed_total", "", "",                           \
        "TLS connections that ended before their handshake did.")                                  \
    X(RESPONSE_BYTES, "signpost_http_response_body_bytes_total", "", "",                           \
        "Bytes of the bodies that were answered.")                                                 \
    X(STORE_FAILURES, "signpost_store_failures_total", "", "", "Batches of writes that were lost.")

/* X(NAME, family, unit, help); the unit says how a value is written, and by what bounds:
 * METRICS_SECONDS and METRICS_WAIT_SECONDS (up to the longest poll) take microseconds,
 * METRICS_COUNT what there is. */
#define METRICS_HISTOGRAMS(X)                                                                      \
    X(COMMIT_TIME, "signpost_store_commit_seconds", METRICS_SECONDS,                               \
        "How long a batch of writes takes to be committed.")                                       \
    X(COMMIT_SIZE, "signpost_store_commit_writes", METRICS_COUNT,                                  \
        "How many requests and changes wait for one commit.")                                      \
    X(EXPIRY_LAG, "signpost_expiry_lag_seconds", METRICS_SECONDS,                                  \
        "How long after the end of its lease a node is gone.")                                     \
    X(PARKED_TIME, "signpost_http_parked_seconds", METRICS_WAIT_SECONDS,                           \
        "How long requests waited, long polls and checks; no part of the request duration.")       \
    X(STALL_TIME, "signpost_stall_seconds", METRICS_SECONDS,                                       \
        "How long the loop stood still, each time; leases do not pay for it.")

enum metric {
#define X(name, family, label, value, help) METRIC_##name,
    METRICS_COUNTERS(X)
#undef X
        METRICS
};

enum metrics_histogram {
#define X(name, family, unit, help) HISTOGRAM_##name,
    METRICS_HISTOGRAMS(X)
#undef X
        HISTOGRAMS
};

enum metrics_unit { METRICS_SECONDS, METRICS_WAIT_SECONDS, METRICS_COUNT };

#define METRICS_BUCKETS 12

/* Zeroed it is empty. */
struct histogram {
    uint64_t buckets[METRICS_BUCKETS]; /* each on its own; the last: above every bound */
    uint64_t sum;                      /* in microseconds, or what is counted */
};

void metrics_add(enum metric metric, uint64_t count);
void metrics_problem(int error); /* a request was answered with it */
void metrics_observe(enum metrics_histogram histogram, uint64_t value);

void histogram_add(struct histogram *histogram, enum metrics_unit unit, uint64_t value);
uint64_t histogram_count(const struct histogram *histogram);

/* --- the text format, 0.0.4 ------------------------------------------------------------------ */

/* `type` is counter, gauge or histogram. */
void metrics_write_family(struct text *out, const char *family, const char *type, const char *help);

/* `labels` as they stand between the braces, "" for none. */
void metrics_write_value(struct text *out, const char *family, const char *labels, double value);
void metrics_write_histogram(struct text *out, const char *family, const char *labels,
    enum metrics_unit unit, const struct histogram *histogram);

/* All that is counted here. */
void metrics_write(struct text *out);

#endif
