/*
 * The log: one line an event on stderr, `time level event key=value …` or the same as JSON. Never a
 * token, a key or a body. The loop's one thread only; a process-wide setting, as stderr is.
 */
#ifndef SIGNPOST_LOG_H
#define SIGNPOST_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set(enum log_level level, bool json);

/* `event` is a fixed word with underscores; after it pairs of key (const char *) and value
 * (const char *), ended by NULL. Values are quoted and escaped where they must be. */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

#endif
