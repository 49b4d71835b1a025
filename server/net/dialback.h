/*
 * Dials a caller back, to see whether strangers reach its port. Over TCP it says nothing, ever: it
 * connects, reads what a checker's listener says first, and closes. Over UDP it sends the nonce, a
 * few times. So a service that is no checker gets not one byte of this over TCP, and nothing of
 * what it says is given to anyone.
 */
#ifndef SIGNPOST_NET_DIALBACK_H
#define SIGNPOST_NET_DIALBACK_H

#include "error.h"
#include "net/address.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define DIALBACK_NONCE_BYTES 16

struct dialbacks; /* those under way: at most LIMIT_CHECK_SOCKETS */
struct dialback;

enum dialback_result {
    DIALBACK_OPEN,        /* it connects, and who listens has proved to be the checker */
    DIALBACK_CONNECTED,   /* it connects; who listens is not known */
    DIALBACK_REFUSED,     /* a reset came back */
    DIALBACK_TIMEOUT,     /* nothing came back */
    DIALBACK_UNREACHABLE, /* a router, or this machine, says that there is no way */
    DIALBACK_SENT,        /* UDP: only who listens knows whether it came */
    DIALBACK_CUT          /* called off before it was known */
};

struct dialback_request {
    struct address address;
    uint16_t port;
    bool udp;
    uint8_t nonce[DIALBACK_NONCE_BYTES];
    struct address from; /* to dial from, of the same family; family 0: the kernel chooses */
    int connect_ms;      /* how long connecting may take, at most LIMIT_CHECK_CONNECT_MS */
};

struct dialback_report {
    enum dialback_result result;
    struct address dialed_from; /* family 0: not known, where not even the attempt could be made */
    double ms;                  /* until it was known whether it connects; of UDP, in all */
};

/* Once for each, never before dialback_start() has returned; may come from dialback_cut(). */
typedef void (*dialback_done)(const struct dialback_report *report, void *user);

struct dialbacks *dialbacks_new(uv_loop_t *uv); /* NULL where memory is out */
/* Cuts those under way and takes no more. Then run the loop once more before freeing. */
void dialbacks_stop(struct dialbacks *dialbacks); /* NULL is fine */
void dialbacks_free(struct dialbacks *dialbacks); /* NULL is fine */

/* May one more begin? 0, or ERROR_INDEX_FULL or ERROR_NOT_READY with a sentence. */
int dialbacks_room(const struct dialbacks *dialbacks, struct fault *ret_fault);

/* ERROR_INDEX_FULL where too many are under way or there is no socket, ERROR_NOT_READY after
 * dialbacks_stop(), ERROR_NO_MEMORY; each with a sentence. */
int dialback_start(struct dialbacks *dialbacks, const struct dialback_request *request,
    dialback_done done, void *user, struct dialback **ret_dialback, struct fault *ret_fault);
void dialback_cut(struct dialback *dialback);

const char *dialback_word(enum dialback_result result); /* "open"; static */

/* Has this machine that address? */
bool dialback_can_bind(const struct address *address);

#endif
