/* What to do about a finding. */
#ifndef SIGNPOST_CLIENT_NAT_VERDICT_ADVICE_H
#define SIGNPOST_CLIENT_NAT_VERDICT_ADVICE_H

#include "verdict_text.h"
#include "words.h"

/* What the sentences of a finding speak of. */
struct scene {
    const struct evidence *evidence;
    const struct reason *reason;
    const struct family_evidence *family;
    const struct protocol_evidence *protocol;
    const char *name; /* "TCP" */
    unsigned port;
    const char *machine;                  /* the address of this machine */
    const char *seen;                     /* and where the index sees it */
    char place[NAT_ENDPOINT_SIZE];        /* that was tried, from outside */
    char at_router[NAT_ADDRESS_SIZE + 4]; /* " at 192.168.1.1", "": its address is not known */
};

void verdict_advise(struct words *words, const struct scene *scene);

#endif
