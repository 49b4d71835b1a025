#include "http/load.h"

#include "server_limits.h"

#include <stddef.h>

/* Where the loop slept so long between two passes, it is not busy, whatever was before. */
#define RESTED_MS 50

/* One long pass (a slow disk, ten thousand polls woken at once) is not yet a busy loop: it counts
 * for no more than this, and an eighth of it. */
#define PASS_COUNTS_MS 500
#define NEWEST_SHARE 8

void load_begin_pass(struct load *load, int64_t now_ms)
{
    if (now_ms - load->ended_ms >= RESTED_MS)
        load->pass_ms = 0;
    load->began_ms = now_ms;
}

void load_end_pass(struct load *load, int64_t now_ms)
{
    double took_ms = (double)(now_ms - load->began_ms);

    if (took_ms > PASS_COUNTS_MS)
        took_ms = PASS_COUNTS_MS;
    load->pass_ms += (took_ms - load->pass_ms) / NEWEST_SHARE;
    load->ended_ms = now_ms;
}

enum importance load_least(const struct load *load)
{
    static const double limits_ms[] = {
        [IMPORTANCE_LIST] = LIMIT_SHED_LISTS_MS,
        [IMPORTANCE_CHANGE] = LIMIT_SHED_CHANGES_MS,
        [IMPORTANCE_MAIL] = LIMIT_SHED_MAIL_MS,
        [IMPORTANCE_LIFE] = LIMIT_SHED_LIFE_MS,
    };
    size_t least = 0;

    while (least < sizeof limits_ms / sizeof *limits_ms && load->pass_ms >= limits_ms[least])
        least++;
    return (enum importance)least;
}
