#include "net/quota.h"

#include "server_limits.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

#define MINUTE_MS 60000
#define HOUR_MS 3600000
#define ALL_IN_HOUR (60 * LIMIT_CHECKS_MINUTE_ALL)

/* One that was admitted. */
struct admitted {
    int64_t at_ms;
    uint16_t port;
};

struct quota_stranger {
    struct address prefix;
    uint64_t hash;
    bool busy[DIAL_PROTOCOLS];
    struct admitted ring[LIMIT_CHECKS_HOUR]; /* the last ones */
    size_t next, count;
};

struct used_nonce {
    uint8_t bytes[QUOTA_NONCE_BYTES];
    int64_t at_ms;
};

struct quota {
    struct table strangers;
    struct used_nonce all[ALL_IN_HOUR]; /* the admitted of the last hour, whose ever they were */
    size_t next, count;
    int64_t swept_ms;
};

struct quota *quota_new(void)
{
    return calloc(1, sizeof(struct quota));
}

static void free_stranger(void *item, void *user)
{
    (void)user;
    free(item);
}

void quota_free(struct quota *quota)
{
    if (!quota)
        return;
    table_each(&quota->strangers, free_stranger, NULL);
    table_free(&quota->strangers);
    free(quota);
}

/* --- strangers ------------------------------------------------------------------------------- */

static bool same_prefix(const void *item, const void *key)
{
    const struct quota_stranger *stranger = item;
    return address_equal(&stranger->prefix, key);
}

/* The place of the one that was admitted `back` before the newest. */
static const struct admitted *admitted_before(const struct quota_stranger *stranger, size_t back)
{
    return &stranger->ring[(stranger->next + LIMIT_CHECKS_HOUR - 1 - back) % LIMIT_CHECKS_HOUR];
}

struct sweep {
    int64_t now_ms;
    struct quota_stranger *idle[64]; /* as many as are dropped at once */
    size_t count;
};

static void find_idle(void *item, void *user)
{
    struct quota_stranger *stranger = item;
    struct sweep *sweep = user;

    if (!stranger->busy[DIAL_TCP] && !stranger->busy[DIAL_UDP] &&
        (!stranger->count || sweep->now_ms - admitted_before(stranger, 0)->at_ms >= HOUR_MS) &&
        sweep->count < sizeof sweep->idle / sizeof *sweep->idle)
        sweep->idle[sweep->count++] = stranger;
}

/* Once in a while those of whom nothing counts any more are forgotten. */
static void sweep(struct quota *quota, int64_t now_ms)
{
    struct sweep found = {.now_ms = now_ms};

    if (now_ms - quota->swept_ms < MINUTE_MS / 4)
        return;
    quota->swept_ms = now_ms;
    table_each(&quota->strangers, find_idle, &found);
    for (size_t i = 0; i < found.count; i++) {
        table_remove(&quota->strangers, found.idle[i]->hash, found.idle[i]);
        free(found.idle[i]);
    }
}

static struct quota_stranger *find_stranger(struct quota *quota, const struct address *target)
{
    struct address prefix = address_prefix(target);
    uint64_t hash = table_hash(&prefix, sizeof prefix);
    struct quota_stranger *stranger = table_find(&quota->strangers, hash, same_prefix, &prefix);

    if (stranger)
        return stranger;
    stranger = calloc(1, sizeof *stranger);
    if (!stranger)
        return NULL;
    stranger->prefix = prefix;
    stranger->hash = hash;
    if (!table_add(&quota->strangers, hash, stranger))
        return stranger;
    free(stranger);
    return NULL;
}

/* --- limits ---------------------------------------------------------------------------------- */

static int limited(struct fault *ret_fault, int64_t wait_ms, const char *what, unsigned most)
{
    fault_set(
        ret_fault, ERROR_CHECK_LIMITED, "%s (at most %u): wait, then check again", what, most);
    ret_fault->retry_after_s = (int)((wait_ms + 999) / 1000);
    if (ret_fault->retry_after_s < 1)
        ret_fault->retry_after_s = 1;
    ret_fault->action = "retry";
    return ERROR_CHECK_LIMITED;
}

/* In how many ms one more may come, if `most` in `window_ms` may; 0: now. */
static int64_t wait_of(
    const struct quota_stranger *stranger, size_t most, int64_t window_ms, int64_t now_ms)
{
    if (stranger->count < most)
        return 0;
    int64_t left_ms = admitted_before(stranger, most - 1)->at_ms + window_ms - now_ms;
    return left_ms > 0 ? left_ms : 0;
}

/* The same for another port than those of the last hour. */
static int64_t wait_for_port(const struct quota_stranger *stranger, uint16_t port, int64_t now_ms)
{
    uint16_t ports[LIMIT_CHECK_PORTS_HOUR];
    size_t count = 0;
    int64_t frees_ms = 0;

    /* From the newest: each port stands for its last use, and the last of them frees first. */
    for (size_t i = 0; i < stranger->count && count < LIMIT_CHECK_PORTS_HOUR; i++) {
        const struct admitted *admitted = admitted_before(stranger, i);
        bool known = admitted->port == port;
        if (now_ms - admitted->at_ms >= HOUR_MS)
            break;
        if (known)
            return 0;
        for (size_t j = 0; j < count; j++)
            known |= ports[j] == admitted->port;
        if (known)
            continue;
        ports[count++] = admitted->port;
        frees_ms = admitted->at_ms + HOUR_MS - now_ms;
    }
    return count < LIMIT_CHECK_PORTS_HOUR ? 0 : frees_ms;
}

static int check_stranger(const struct quota_stranger *stranger, enum dial_protocol protocol,
    uint16_t port, int64_t now_ms, struct fault *ret_fault)
{
    int64_t wait_ms;

    if (stranger->busy[protocol])
        return limited(ret_fault, LIMIT_CHECK_MS, "a check of yours is under way", 1);
    if ((wait_ms = wait_of(stranger, LIMIT_CHECKS_MINUTE, MINUTE_MS, now_ms)))
        return limited(ret_fault, wait_ms, "too many checks in a minute", LIMIT_CHECKS_MINUTE);
    if ((wait_ms = wait_of(stranger, LIMIT_CHECKS_HOUR, HOUR_MS, now_ms)))
        return limited(ret_fault, wait_ms, "too many checks in an hour", LIMIT_CHECKS_HOUR);
    if ((wait_ms = wait_for_port(stranger, port, now_ms)))
        return limited(
            ret_fault, wait_ms, "too many different ports in an hour", LIMIT_CHECK_PORTS_HOUR);
    return 0;
}

static int check_all(const struct quota *quota, const uint8_t nonce[QUOTA_NONCE_BYTES],
    int64_t now_ms, struct fault *ret_fault)
{
    size_t in_minute = 0;
    int64_t wait_ms = 0;

    for (size_t i = 0; i < quota->count; i++) {
        const struct used_nonce *used =
            &quota->all[(quota->next + ALL_IN_HOUR - 1 - i) % ALL_IN_HOUR];
        if (now_ms - used->at_ms >= HOUR_MS)
            break;
        if (!memcmp(used->bytes, nonce, QUOTA_NONCE_BYTES))
            return fault_set(ret_fault, ERROR_NONCE_USED,
                "this nonce was used before: make a new one of 16 random bytes for each check");
        in_minute += now_ms - used->at_ms < MINUTE_MS;
        if (in_minute == LIMIT_CHECKS_MINUTE_ALL && !wait_ms)
            wait_ms = used->at_ms + MINUTE_MS - now_ms;
    }
    if (wait_ms)
        return limited(ret_fault, wait_ms, "this index makes no more checks in this minute",
            LIMIT_CHECKS_MINUTE_ALL);
    return 0;
}

int quota_begin(struct quota *quota, const struct address *target, enum dial_protocol protocol,
    uint16_t port, const uint8_t nonce[QUOTA_NONCE_BYTES], int64_t now_ms,
    struct quota_stranger **ret_stranger, struct fault *ret_fault)
{
    sweep(quota, now_ms);
    int error = check_all(quota, nonce, now_ms, ret_fault);
    if (error)
        return error;
    struct quota_stranger *stranger = find_stranger(quota, target);
    if (!stranger)
        return fault_busy(ret_fault, ERROR_NO_MEMORY);
    error = check_stranger(stranger, protocol, port, now_ms, ret_fault);
    if (error)
        return error;
    stranger->ring[stranger->next] = (struct admitted){now_ms, port};
    stranger->next = (stranger->next + 1) % LIMIT_CHECKS_HOUR;
    stranger->count += stranger->count < LIMIT_CHECKS_HOUR;
    stranger->busy[protocol] = true;
    struct used_nonce *used = &quota->all[quota->next];
    memcpy(used->bytes, nonce, QUOTA_NONCE_BYTES);
    used->at_ms = now_ms;
    quota->next = (quota->next + 1) % ALL_IN_HOUR;
    quota->count += quota->count < ALL_IN_HOUR;
    *ret_stranger = stranger;
    return 0;
}

void quota_end(struct quota_stranger *stranger, enum dial_protocol protocol)
{
    stranger->busy[protocol] = false;
}
