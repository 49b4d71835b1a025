#include "net/bucket.h"

static double burst(double rate)
{
    /* At least one, or a slow rate would never give any. */
    return rate > 0.5 ? rate * 2 : 1;
}

static void refill(double rate, struct bucket *bucket, int64_t now_ms)
{
    if (now_ms <= bucket->refilled_ms)
        return;
    bucket->spent -= (double)(now_ms - bucket->refilled_ms) * rate / 1000;
    if (bucket->spent < 0)
        bucket->spent = 0;
    bucket->refilled_ms = now_ms;
}

bool bucket_is_full(double rate, struct bucket *bucket, int64_t now_ms)
{
    refill(rate, bucket, now_ms);
    return bucket->spent <= 0;
}

bool bucket_take(double rate, struct bucket *bucket, int64_t now_ms, int64_t *ret_wait_ms)
{
    /* So little short of a whole request is rounding: who waits as long as told is never refused.
     */
    static const double nearly = 1 - 1e-6;

    if (rate <= 0)
        return true;
    refill(rate, bucket, now_ms);
    double left = burst(rate) - bucket->spent;
    if (left >= nearly) {
        bucket->spent += left < 1 ? left : 1;
        return true;
    }
    double wait_ms = (1 - left) * 1000 / rate;
    int64_t whole_ms = (int64_t)wait_ms;
    *ret_wait_ms = whole_ms < 1 || wait_ms - (double)whole_ms > 1e-6 ? whole_ms + 1 : whole_ms;
    return false;
}
