#include "log_limit.h"

#include "server_limits.h"

#define SECOND_MS 1000

static bool is_kind(const struct log_limit_entry *entry, const struct log_kind *kind)
{
    return entry->kind.event == kind->event && entry->kind.about == kind->about &&
           entry->kind.status_class == kind->status_class && entry->kind.level == kind->level;
}

static struct log_limit_entry *find(
    struct log_limit *limit, const struct log_kind *kind, int64_t now_ms)
{
    for (size_t i = 0; i < limit->count; i++)
        if (is_kind(&limit->entries[i], kind))
            return &limit->entries[i];
    if (limit->count == LOG_LIMIT_KINDS)
        return &limit->entries[LOG_LIMIT_KINDS - 1];
    struct log_limit_entry *entry = &limit->entries[limit->count++];
    entry->kind = *kind;
    if (limit->count == LOG_LIMIT_KINDS) {
        entry->kind.event = "others";
        entry->kind.about = NULL;
        entry->kind.status_class = 0;
    }
    entry->since_ms = now_ms;
    return entry;
}

bool log_limit_take(struct log_limit *limit, const struct log_kind *kind, int64_t now_ms)
{
    struct log_limit_entry *entry = find(limit, kind, now_ms);

    if (now_ms - entry->since_ms >= SECOND_MS) {
        entry->since_ms = now_ms;
        entry->written = 0;
    }
    if (entry->written < LIMIT_LOG_LINES_A_SECOND) {
        entry->written++;
        return true;
    }
    if (!entry->left_out++)
        entry->left_out_ms = now_ms;
    return false;
}

bool log_limit_next(struct log_limit *limit, int64_t now_ms, bool at_once,
    struct log_kind *ret_kind, uint64_t *ret_count, int64_t *ret_ms)
{
    for (size_t i = 0; i < limit->count; i++) {
        struct log_limit_entry *entry = &limit->entries[i];
        int64_t passed_ms = now_ms - entry->left_out_ms;
        if (!entry->left_out || (!at_once && passed_ms < SECOND_MS))
            continue;
        *ret_kind = entry->kind;
        *ret_count = entry->left_out;
        *ret_ms = passed_ms;
        entry->left_out = 0;
        return true;
    }
    return false;
}
