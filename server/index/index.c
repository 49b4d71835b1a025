#include "index/internal.h"

#include "charset.h"
#include "server_limits.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define READY_LAG_MS 5000 /* expiry this late means that the index is not keeping up */

/* --- small things ---------------------------------------------------------------------------- */

int64_t index_now_ms(const struct index *index)
{
    return clock_now_ms(index->config.clock);
}

double index_jitter(struct index *index, double value, double share)
{
    /* xorshift64: good enough to spread clients, and far from any secret. */
    index->random ^= index->random << 13;
    index->random ^= index->random >> 7;
    index->random ^= index->random << 17;
    double unit = (double)(index->random >> 11) / (double)(1ULL << 53);
    return value * (1 + share * (2 * unit - 1));
}

int index_random_bytes(void *ret_bytes, size_t size)
{
    return getrandom(ret_bytes, size, 0) == (ssize_t)size ? 0 : ERROR_STORE_FAILED;
}

void index_make_uuid(char ret_text[37])
{
    uint8_t bytes[16] = {0};
    char *at = ret_text;

    index_random_bytes(bytes, sizeof bytes);
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40); /* RFC 9562, version 4 */
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof bytes; i++)
        at += sprintf(at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", bytes[i]);
}

uint64_t index_derive_epoch(
    const struct index *index, uint64_t number, const void *bytes, size_t size)
{
    struct sha256_ctx context;
    uint64_t epoch;
    uint8_t digest[sizeof epoch];

    sha256_init(&context);
    sha256_update(&context, sizeof index->store_epoch, (const uint8_t *)&index->store_epoch);
    sha256_update(&context, sizeof number, (const uint8_t *)&number);
    sha256_update(&context, size, bytes);
    sha256_digest(&context, sizeof digest, digest);
    memcpy(&epoch, digest, sizeof epoch);
    return epoch;
}

bool token_is_well_formed(const char *text)
{
    static const bool alphabet[CHARSET_SIZE] = {CHARSET_ALPHANUMERIC, ['-'] = true, ['_'] = true};
    size_t length = charset_span(text, alphabet);

    return length == LIMIT_TOKEN_CHARS && !text[length];
}

void token_hash(const char *text, size_t length, uint8_t ret_hash[STORE_HASH_SIZE])
{
    struct sha256_ctx context;

    sha256_init(&context);
    sha256_update(&context, length, (const uint8_t *)text);
    sha256_digest(&context, STORE_HASH_SIZE, ret_hash);
}

int id_check(const char *what, const char *text, struct fault *ret_fault)
{
    static const bool alphabet[CHARSET_SIZE] = {
        CHARSET_ALPHANUMERIC, ['.'] = true, ['_'] = true, ['-'] = true};
    size_t length = strlen(text);

    if (length >= 1 && length <= LIMIT_ID_CHARS && charset_span(text, alphabet) == length)
        return 0;
    return fault_set(ret_fault, ERROR_BAD_ID,
        "%s has %zu bytes or a character that is not allowed: use 1 to %d of A-Z a-z 0-9 . _ -",
        what, length, LIMIT_ID_CHARS);
}

int timer_start(struct index *index, struct timer *timer)
{
    return heap_set(&index->timers, &timer->due, INT64_MAX);
}

void timer_set(struct index *index, struct timer *timer, int64_t due_ms)
{
    /* A timer stays in the heap from the making of its thing to its end, so this cannot fail. */
    heap_set(&index->timers, &timer->due, due_ms);
}

void timer_stop(struct index *index, struct timer *timer)
{
    heap_remove(&index->timers, &timer->due);
}

void link_init(struct link *head)
{
    head->next = head->previous = head;
}

void link_add(struct link *head, struct link *link)
{
    link->next = head;
    link->previous = head->previous;
    head->previous->next = link;
    head->previous = link;
}

void link_remove(struct link *link)
{
    if (!link->next)
        return;
    link->next->previous = link->previous;
    link->previous->next = link->next;
    link->next = link->previous = NULL;
}

bool link_empty(const struct link *head)
{
    return head->next == head;
}

/* --- what is allowed now --------------------------------------------------------------------- */

int index_may_read(const struct index *index, struct fault *ret_fault)
{
    if (index->loaded)
        return 0;
    fault_set(ret_fault, ERROR_NOT_READY, "the index is reading its store: try again shortly");
    ret_fault->retry_after_s = 1;
    ret_fault->action = "retry";
    return ERROR_NOT_READY;
}

int index_may_write(const struct index *index, struct fault *ret_fault)
{
    int error = index_may_read(index, ret_fault);
    if (error || index_now_ms(index) >= index->refuse_until_ms)
        return error;
    return fault_busy(ret_fault, ERROR_STORE_FAILED);
}

/* --- open, close, tick ----------------------------------------------------------------------- */

int index_open(const struct index_config *config, struct index **ret_index)
{
    struct index *index = calloc(1, sizeof *index);

    if (!index)
        return ERROR_NO_MEMORY;
    index->config = *config;
    index->store = config->store;
    index->store->lost = index_lost;
    index->store->lost_user = index;
    index->next_node = index->next_network = index->next_message = 1;
    index->wall_offset_ms = index->store->offset_ms;
    if (!index->wall_offset_ms)
        index->wall_offset_ms = clock_wall_ms(config->clock) - clock_now_ms(config->clock);
    index->refuse_until_ms = 0;
    index->reload_ms = INT64_MAX;
    index->unread_ms = INT64_MAX;
    while (!index->random)
        index_random_bytes(&index->random, sizeof index->random);
    link_init(&index->parked);
    link_init(&index->mails);
    link_init(&index->woken);
    link_init(&index->woken_lists);
    *ret_index = index;
    return 0;
}

static void collect_any(void *item, void *user)
{
    struct sweep *sweep = user;
    if (sweep->count < LIMIT_EXPIRE_BATCH)
        sweep->items[sweep->count++] = item;
}

void index_close(struct index *index)
{
    if (!index)
        return;
    struct sweep sweep;

    if (index->store->open_batch)
        index->store->f->flush(index->store); /* its completions are ours */
    while (!link_empty(&index->mails))
        mail_free(index, container_of(index->mails.next, struct mail, all));
    leases_forget(index);
    do {
        sweep.count = 0;
        table_each(&index->networks, collect_any, &sweep);
        for (size_t i = 0; i < sweep.count; i++)
            network_free(index, sweep.items[i]);
    } while (sweep.count);
    table_free(&index->networks);
    table_free(&index->leases);
    table_free(&index->tokens);
    table_free(&index->retries);
    heap_free(&index->timers);
    heap_free(&index->waits);
    index->store->lost = NULL;
    free(index);
}

size_t index_node_count(const struct index *index)
{
    return index->lease_count;
}

size_t index_message_count(const struct index *index)
{
    return index->mail_count;
}

uint64_t index_store_bytes(const struct index *index)
{
    return index->store->f->bytes(index->store);
}

size_t index_network_count(const struct index *index)
{
    return index->networks.count;
}

/* When the store is next to be used without anyone asking: leases and messages end, it is read
 * again. */
static int64_t store_due_ms(const struct index *index)
{
    const struct heap_node *first = heap_first(&index->timers);

    if (!index->loaded)
        return index->reload_ms;
    if (index->evicting)
        return index->refuse_until_ms;
    if (!first)
        return INT64_MAX;
    return first->due_ms > index->refuse_until_ms ? first->due_ms : index->refuse_until_ms;
}

int64_t index_next_due_ms(const struct index *index)
{
    const struct heap_node *wait = heap_first(&index->waits);
    int64_t due_ms = store_due_ms(index);

    return wait && wait->due_ms < due_ms ? wait->due_ms : due_ms;
}

static bool fire_first(struct index *index, struct heap *heap)
{
    struct heap_node *first = heap_first(heap);

    if (!first || first->due_ms > index_now_ms(index))
        return false;
    struct timer *timer = container_of(first, struct timer, due);
    heap_set(heap, &timer->due, INT64_MAX);
    timer->fire(index, timer);
    return true;
}

static bool may_use_store(const struct index *index)
{
    return index->loaded && index->refuse_until_ms <= index_now_ms(index);
}

void index_tick(struct index *index)
{
    if (!index->loaded && index->reload_ms <= index_now_ms(index))
        index_lost(index);
    if (may_use_store(index) && index->evicting)
        leases_evict(index);
    for (int i = 0; i < LIMIT_EXPIRE_BATCH && may_use_store(index); i++)
        if (!fire_first(index, &index->timers))
            break;
    /* Whoever waits is answered in time, whatever the store does. */
    for (int i = 0; i < LIMIT_EXPIRE_BATCH; i++)
        if (!fire_first(index, &index->waits))
            break;
}

void index_evict(struct index *index)
{
    if (index->config.open)
        return;
    index->evicting = true;
    polls_evict(index);
}

static void watched(int error, void *user)
{
    struct index *index = user;

    if (error) {
        /* With a batch that was lost it has come to the same already. */
        if (index_now_ms(index) >= index->refuse_until_ms)
            index_lost(index);
    } else if (index->store->f->trouble(index->store)) {
        index->refuse_until_ms = index_now_ms(index) + LOSS_PAUSE_MS;
    }
}

void index_watch_store(struct index *index)
{
    if (index->loaded)
        index->store->f->probe(index->store, watched, index);
}

void index_credit(struct index *index, int64_t stalled_ms)
{
    int64_t now_ms = index_now_ms(index);

    /* While the store cannot be read all of the time is credited, by load.c, and none of it twice.
     */
    if (index->unread_ms != INT64_MAX)
        return;
    if (stalled_ms > now_ms - index->credited_to_ms)
        stalled_ms = now_ms - index->credited_to_ms;
    index->credit_ms += stalled_ms;
    index->credited_to_ms = now_ms;
}

struct readiness {
    struct index *index;
    index_done done;
    void *user;
};

/* 0, or ERROR_NOT_READY where the store has trouble or `error` is not 0. */
static int store_ready(const struct index *index, int error, struct fault *ret_fault)
{
    const char *trouble = index->store->f->trouble(index->store);

    if (!error && !trouble)
        return 0;
    fault_set(ret_fault, ERROR_NOT_READY, "%s", trouble ? trouble : "the store does not answer");
    ret_fault->retry_after_s = 1;
    ret_fault->action = "retry";
    return ERROR_NOT_READY;
}

static void ready_probed(int error, void *user)
{
    struct readiness *readiness = user;
    struct fault fault;

    error = store_ready(readiness->index, error, &fault);
    readiness->done(error ? &fault : NULL, readiness->user);
    free(readiness);
}

void index_check_ready(struct index *index, index_done done, void *user)
{
    struct fault fault = {0};
    const struct heap_node *first = heap_first(&index->timers);
    struct readiness *readiness;

    if (index_may_write(index, &fault)) {
        fault.error = ERROR_NOT_READY;
        store_ready(index, 0, &fault); /* the reason, where it is known */
    } else if (first && first->due_ms < index_now_ms(index) - READY_LAG_MS) {
        fault_set(&fault, ERROR_NOT_READY, "expiry is more than %d s late", READY_LAG_MS / 1000);
    }
    readiness = fault.error ? NULL : malloc(sizeof *readiness);
    if (!readiness) {
        if (!fault.error)
            fault_busy(&fault, ERROR_NO_MEMORY);
        done(&fault, user);
        return;
    }
    *readiness = (struct readiness){index, done, user};
    index->store->f->probe(index->store, ready_probed, readiness);
}
