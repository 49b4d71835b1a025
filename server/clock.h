/* The clock, injected everywhere so that tests move time instead of waiting for it. */
#ifndef SIGNPOST_CLOCK_H
#define SIGNPOST_CLOCK_H

#include <stdint.h>

struct clock {
    int64_t (*now_ms)(void *user);  /* monotonic; for leases and deadlines */
    int64_t (*wall_ms)(void *user); /* since 1970 UTC, may jump; for people, and across restarts */
    void *user;
};

extern const struct clock clock_system;

static inline int64_t clock_now_ms(const struct clock *clock)
{
    return clock->now_ms(clock->user);
}

static inline int64_t clock_wall_ms(const struct clock *clock)
{
    return clock->wall_ms(clock->user);
}

#endif
