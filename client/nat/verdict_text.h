/* The sentences of a finding: what was seen, and what to do. */
#ifndef SIGNPOST_CLIENT_NAT_VERDICT_TEXT_H
#define SIGNPOST_CLIENT_NAT_VERDICT_TEXT_H

#include "verdict.h"

/* What a finding rests on, where that may be one of several things. */
enum ground {
    GROUND_NONE,
    GROUND_ROUTER,      /* 15 to 17: the router's outer address, as it says */
    GROUND_ROUTER_NONE, /* 16: it says that it has none */
    GROUND_HOPS,        /* 15, 16: the first routers on the way */
    GROUND_LOCAL,       /* 15: this machine's own address */
    GROUND_DISAGREE,    /* 30: `dial` and `other` do not go together */
    GROUND_UNPROVED,    /* 30: our listener was reached, and the proof was not seen */
    GROUND_NOBODY,      /* 30: refused, and whether also while somebody listens is not known */
    GROUND_NO_STUN,     /* 30: no server to ask */
    GROUND_ONE_STUN,    /* 30: one address of one, which is too little */
    GROUND_REFUSED,     /* 30: the index could not or would not dial */
    GROUND_NOT_TRIED    /* 30 */
};

/* A finding before it is put into words. */
struct reason {
    enum signpost_verdict verdict;
    enum nat_family family;
    enum nat_protocol protocol;
    enum ground ground;
    size_t hop;              /* GROUND_HOPS: which one shows it, from 0 */
    const struct dial *dial; /* that shows it, NULL: none; is part of the evidence */
    const struct dial *other;
};

void verdict_tell(
    const struct evidence *evidence, const struct reason *reason, struct finding *ret_finding);

#endif
