/*
 * Dials a caller back, so that it learns whether others can reach its port: guarded by target.h
 * (whom, which port) and quota.h (how often). Over TCP nothing is ever sent: who listens speaks
 * first, and only a proof is read. Over UDP three small datagrams are sent.
 */
#ifndef SIGNPOST_NET_DIALBACK_H
#define SIGNPOST_NET_DIALBACK_H

#include "clock.h"
#include "net/quota.h"
#include "net/target.h"

#include <uv.h>

struct dialback;
struct dial; /* one under way */

struct dialback_config {
    uv_loop_t *uv;
    const struct clock *clock;
    struct target_policy policy; /* what it points to is borrowed until dialback_free() */
    const struct address *from;  /* addresses of this machine to dial from; likewise */
    size_t from_count;
};

/* ERROR_BAD_REQUEST with a sentence where an address to dial from is none of this machine. */
int dialback_new(
    const struct dialback_config *config, struct dialback **ret_dialback, struct fault *ret_fault);

/* From which address: any but the one that the caller has talked to, where there is one. */
enum dial_from { DIAL_FROM_ANY, DIAL_FROM_OTHER, DIAL_FROM_CONTACTED };

struct dial_request {
    enum dial_protocol protocol;
    uint16_t port;
    uint8_t nonce[QUOTA_NONCE_BYTES];
    enum dial_from from;
    unsigned connect_s; /* 1 to LIMIT_CHECK_CONNECT_S */
    struct address target;
    struct address contacted; /* of this machine, that the caller has talked to; family 0: none */
};

struct dialled {
    const char *result; /* "open", "connected", "refused", "timeout", "unreachable", "sent" */
    bool verified;
    bool contacted; /* dialled from the address that the caller has talked to */
    struct address from;
    double ms;
};

typedef void (*dial_done)(const struct fault *fault, const struct dialled *result, void *user);

/* `done` comes once, perhaps before this returns; then NULL is returned, else a handle that is good
 * until `done`. */
struct dial *dialback_start(
    struct dialback *dialback, const struct dial_request *request, dial_done done, void *user);

/* Its caller has gone, or the index stops: `done` comes now, with ERROR_NOT_READY. */
void dial_cut(struct dial *dial);
void dialback_cut_all(struct dialback *dialback);

/* Cuts all; then run the loop once more before freeing. */
void dialback_close(struct dialback *dialback);
void dialback_free(struct dialback *dialback); /* NULL is fine */

#endif
