#include "clock.h"

#include <stddef.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_now_ms(void *user)
{
    (void)user;
    return read_ms(CLOCK_MONOTONIC);
}

static int64_t system_wall_ms(void *user)
{
    (void)user;
    return read_ms(CLOCK_REALTIME);
}

const struct clock clock_system = {system_now_ms, system_wall_ms, NULL};
