/* A token bucket: so many requests a second, and at once what was saved up, twice that. */
#ifndef SIGNPOST_NET_BUCKET_H
#define SIGNPOST_NET_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed it is full. */
struct bucket {
    double spent; /* requests that are missing in it */
    int64_t refilled_ms;
};

/* `rate` in requests a second; 0: no limit. */
bool bucket_is_full(double rate, struct bucket *bucket, int64_t now_ms);

/* Takes one request. Where there is none: false, and in how many ms there is one. */
bool bucket_take(double rate, struct bucket *bucket, int64_t now_ms, int64_t *ret_wait_ms);

#endif
