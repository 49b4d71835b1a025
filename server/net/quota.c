#include "net/quota.h"

#include "server_limits.h"

#include <stdlib.h>
#include <string.h>

#define MINUTE_MS 60000
#define HOUR_MS 3600000
#define RECORDS (LIMIT_CHECKS_A_MINUTE * 60) /* all that an hour can have */

struct record {
    int64_t at_ms;
    struct address prefix;
    uint16_t port;
    bool udp;
    bool active;
    uint8_t nonce[QUOTA_NONCE_BYTES];
};

/* A ring: the record of ticket n is at n % RECORDS. */
struct quota {
    uint64_t first, next; /* tickets: the oldest kept, and that of the next check */
    struct record records[RECORDS];
};

/* What one more check would have to wait for, and the words for it. */
struct obstacle {
    int64_t wait_ms; /* 0: nothing */
    const char *limit;
};

/* What the records of one stranger say. */
struct tally {
    int64_t minute[LIMIT_CHECKS_OF_ADDRESS_A_MINUTE]; /* times of the newest, as a ring */
    int64_t hour[LIMIT_CHECKS_OF_ADDRESS_AN_HOUR];
    size_t count;
    struct {
        uint16_t port;
        int64_t last_ms;
    } ports[LIMIT_CHECK_PORTS_AN_HOUR];
    size_t port_count;
    bool knows_port;
    int64_t busy_since_ms; /* of a check of the same protocol that is under way; -1: none */
};

struct quota *quota_new(void)
{
    return calloc(1, sizeof(struct quota));
}

void quota_free(struct quota *quota)
{
    free(quota);
}

static struct record *record_of(struct quota *quota, uint64_t ticket)
{
    return &quota->records[ticket % RECORDS];
}

static void forget_old(struct quota *quota, int64_t now_ms)
{
    while (quota->first < quota->next && record_of(quota, quota->first)->at_ms <= now_ms - HOUR_MS)
        quota->first++;
}

static void count_port(struct tally *tally, const struct record *record)
{
    size_t i = 0;

    while (i < tally->port_count && tally->ports[i].port != record->port)
        i++;
    /* No more were let through, so there is room for each. */
    if (i == LIMIT_CHECK_PORTS_AN_HOUR)
        return;
    if (i == tally->port_count)
        tally->port_count++;
    tally->ports[i].port = record->port;
    tally->ports[i].last_ms = record->at_ms;
}

static void count(
    struct tally *tally, const struct record *record, const struct quota_request *request)
{
    tally->minute[tally->count % LIMIT_CHECKS_OF_ADDRESS_A_MINUTE] = record->at_ms;
    tally->hour[tally->count % LIMIT_CHECKS_OF_ADDRESS_AN_HOUR] = record->at_ms;
    tally->count++;
    count_port(tally, record);
    if (record->port == request->port)
        tally->knows_port = true;
    if (record->active && record->udp == request->udp)
        tally->busy_since_ms = record->at_ms;
}

/* Keeps the one that lasts longer, so that who waits so long is not refused again. */
static void meet(struct obstacle *obstacle, int64_t until_ms, int64_t now_ms, const char *limit)
{
    if (until_ms - now_ms <= obstacle->wait_ms)
        return;
    obstacle->wait_ms = until_ms - now_ms;
    obstacle->limit = limit;
}

static void judge(const struct tally *tally, int64_t now_ms, struct obstacle *obstacle)
{
    if (tally->busy_since_ms >= 0) {
        /* One that is being closed this moment is waited for all the same. */
        int64_t until_ms = tally->busy_since_ms + LIMIT_CHECK_MS;
        meet(obstacle, until_ms > now_ms ? until_ms : now_ms + 1, now_ms,
            "one check of a protocol at a time from one address, and yours is still under way");
    }
    if (tally->count >= LIMIT_CHECKS_OF_ADDRESS_A_MINUTE)
        meet(obstacle, tally->minute[tally->count % LIMIT_CHECKS_OF_ADDRESS_A_MINUTE] + MINUTE_MS,
            now_ms, "20 checks a minute from one address");
    if (tally->count >= LIMIT_CHECKS_OF_ADDRESS_AN_HOUR)
        meet(obstacle, tally->hour[tally->count % LIMIT_CHECKS_OF_ADDRESS_AN_HOUR] + HOUR_MS,
            now_ms, "60 checks an hour from one address");
    if (tally->knows_port || tally->port_count < LIMIT_CHECK_PORTS_AN_HOUR)
        return;
    int64_t soonest_ms = INT64_MAX - HOUR_MS;
    for (size_t i = 0; i < tally->port_count; i++)
        if (tally->ports[i].last_ms < soonest_ms)
            soonest_ms = tally->ports[i].last_ms;
    meet(obstacle, soonest_ms + HOUR_MS, now_ms,
        "8 different ports an hour from one address (those of the last hour may be asked again)");
}

static int refuse(const struct obstacle *obstacle, struct fault *ret_fault)
{
    int64_t wait_s = (obstacle->wait_ms + 999) / 1000;

    fault_set(ret_fault, ERROR_CHECK_LIMITED, "this index makes at most %s: ask again in %lld s",
        obstacle->limit, (long long)wait_s);
    ret_fault->retry_after_s = (int)wait_s;
    ret_fault->action = "retry";
    return ret_fault->error;
}

int quota_begin(struct quota *quota, const struct quota_request *request, int64_t now_ms,
    uint64_t *ret_ticket, struct fault *ret_fault)
{
    struct address prefix = address_prefix(&request->address);
    struct obstacle obstacle = {0};
    struct tally tally = {.busy_since_ms = -1};

    forget_old(quota, now_ms);
    for (uint64_t ticket = quota->first; ticket < quota->next; ticket++) {
        const struct record *record = record_of(quota, ticket);
        if (!memcmp(record->nonce, request->nonce, QUOTA_NONCE_BYTES))
            return fault_set(ret_fault, ERROR_NONCE_USED,
                "this nonce was used for a check before: make 16 new random bytes for each");
        if (address_equal(&record->prefix, &prefix))
            count(&tally, record, request);
    }
    judge(&tally, now_ms, &obstacle);
    if (quota->next - quota->first >= LIMIT_CHECKS_A_MINUTE)
        meet(&obstacle, record_of(quota, quota->next - LIMIT_CHECKS_A_MINUTE)->at_ms + MINUTE_MS,
            now_ms, "120 checks a minute in all");
    if (obstacle.wait_ms > 0)
        return refuse(&obstacle, ret_fault);
    *record_of(quota, quota->next) = (struct record){
        .at_ms = now_ms,
        .prefix = prefix,
        .port = request->port,
        .udp = request->udp,
        .active = true,
    };
    memcpy(record_of(quota, quota->next)->nonce, request->nonce, QUOTA_NONCE_BYTES);
    *ret_ticket = quota->next++;
    return 0;
}

void quota_end(struct quota *quota, uint64_t ticket)
{
    if (ticket >= quota->first && ticket < quota->next)
        record_of(quota, ticket)->active = false;
}
