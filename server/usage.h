/* What the process takes of the machine: processor and memory. */
#ifndef SIGNPOST_USAGE_H
#define SIGNPOST_USAGE_H

#include "text.h"

#include <stddef.h>
#include <stdint.h>

/* Zeroed it has not measured yet. */
struct usage {
    int64_t measured_ms; /* on the monotonic clock */
    int64_t cpu_us;      /* of the process until then, in the kernel too */
    double cpu_share;    /* of one processor, between the last two measurements; 1: all of it */
    size_t memory_bytes; /* resident */
};

/* Measures, unless that was done less than a second ago. */
void usage_measure(struct usage *usage, int64_t now_ms);

/* The same as metrics, by the names that every program has for them. */
void usage_write_metrics(struct text *out, int64_t started_wall_ms);

/* Gives memory that was freed back to the system, where it lies between what is in use too: by
 * itself the allocator keeps that of the busiest moment for ever. It takes longer the more was
 * freed, 2 ms for some MiB. A C library that cannot do it is left alone. */
void usage_trim(void);

#endif
