/*
 * The log: one line an event on stderr, `time level event key=value …` or the same as JSON. Never a
 * token, a key or a body. The loop's one thread only; a process-wide setting, as stderr is. Where
 * nobody reads stderr, lines are lost rather than waited for: `log_lost` says how many.
 */
#ifndef SIGNPOST_LOG_H
#define SIGNPOST_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set(enum log_level level, bool json);

/* `event` is a fixed word with underscores; after it pairs of key (const char *) and value
 * (const char *), ended by NULL. Values are quoted and escaped where they must be. */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

/* To be asked before a line that strangers can cause as often as they like. Of each kind
 * LIMIT_LOG_LINES_A_SECOND are taken; the others are counted, and summed up in a line by
 * log_sum_up(). A kind is level, event, `about` (which part of the event's lines, or NULL) and
 * `status_class` (of HTTP, or 0). Strings are literals. An error is never left out. */
bool log_takes(enum log_level level, const char *event, const char *about, unsigned status_class);

/* Once a second; `at_once`: at the end, without waiting for a second to be over. */
void log_sum_up(bool at_once);

#endif
