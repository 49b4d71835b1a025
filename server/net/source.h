/*
 * Counts by address: how many connections, parked polls and nodes one stranger (an IPv4 /32 or an
 * IPv6 /56) has, and its token buckets, of requests and of TLS handshakes. A source lives while
 * someone holds it or a bucket of it is not yet full again. Past LIMIT_SOURCES strangers, further
 * ones share one source.
 */
#ifndef SIGNPOST_NET_SOURCE_H
#define SIGNPOST_NET_SOURCE_H

#include "net/address.h"
#include "net/bucket.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sources;

struct source {
    struct address prefix;
    size_t connections;
    size_t waiters;
    size_t nodes;
    size_t networks; /* that its nodes have made */
    size_t mails;    /* that it has sent, as long as they are remembered */
    /* private */
    size_t holds;
    struct bucket requests, handshakes;
};

/* `rate` in requests a second, burst twice that; 0: no limit. NULL where memory is out. */
struct sources *sources_new(double rate);
void sources_free(struct sources *sources); /* NULL is fine; nothing may be held */

/* Finds or makes the source of that address and holds it. NULL where memory is out. */
struct source *source_hold(struct sources *sources, const struct address *address, int64_t now_ms);
void source_keep(struct source *source); /* holds once more what is held already */
void source_release(struct sources *sources, struct source *source); /* NULL is fine */

/* Takes one request from the bucket. Where it is empty: false, and in how many ms it has one. */
bool source_take(
    struct sources *sources, struct source *source, int64_t now_ms, int64_t *ret_wait_ms);

/* Likewise one TLS handshake, of which there may be as many. */
bool source_take_handshake(struct sources *sources, struct source *source, int64_t now_ms);

#endif
