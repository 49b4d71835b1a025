/*
 * How many lines of one kind the log takes: what strangers can cause as often as they like must not
 * fill a disk. What is left out is counted, kind by kind. Time is the caller's.
 */
#ifndef SIGNPOST_LOG_LIMIT_H
#define SIGNPOST_LOG_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LIMIT_KINDS                                                                            \
    256 /* the last is shared by all that came too late for one of their own                       \
         */

/* Which lines count together. Strings are compared by where they are, and stay: literals. */
struct log_kind {
    int level;
    const char *event;
    const char *about;     /* a part of the event's lines, or NULL */
    unsigned status_class; /* of HTTP, 1 to 5; 0: none */
};

struct log_limit_entry {
    struct log_kind kind;
    int64_t since_ms; /* of the second that `written` is counted in */
    unsigned written;
    uint64_t left_out; /* since `left_out_ms`, and not told of yet */
    int64_t left_out_ms;
};

/* Zeroed it is ready. */
struct log_limit {
    struct log_limit_entry entries[LOG_LIMIT_KINDS];
    size_t count;
};

/* May one more line of this kind be written? Where not, it is counted. */
bool log_limit_take(struct log_limit *limit, const struct log_kind *kind, int64_t now_ms);

/* One kind of which lines were left out, a second ago or longer, or whenever where `at_once` is
 * set; they count as told of. False: there is none. `ret_ms` is how long it took. */
bool log_limit_next(struct log_limit *limit, int64_t now_ms, bool at_once,
    struct log_kind *ret_kind, uint64_t *ret_count, int64_t *ret_ms);

#endif
