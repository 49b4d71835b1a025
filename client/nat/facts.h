/* What follows from the evidence at once, and is needed both for the judgement and for telling what
 * was found. Pure. */
#ifndef SIGNPOST_CLIENT_NAT_FACTS_H
#define SIGNPOST_CLIENT_NAT_FACTS_H

#include "evidence.h"

enum address_kind {
    ADDRESS_NONE,    /* none, or not one that a host can have */
    ADDRESS_PRIVATE, /* of one network: RFC 1918, RFC 4193, link-local, loopback */
    ADDRESS_SHARED,  /* between a provider's NAT and its customers: 100.64.0.0/10 (RFC 6598), and
                        192.0.0.0/29 of DS-Lite and 464XLAT (RFC 7335) */
    ADDRESS_PUBLIC
};

enum address_kind facts_address(const char *address);
bool facts_same_address(const char *one, const char *other); /* false where either is none */
/* "203.0.113.7:50051"; without an address "port 50051" */
void facts_endpoint(const char *address, uint16_t port, char ret_endpoint[NAT_ENDPOINT_SIZE]);

/* What came of a dial-back, as far as it says something about the port. */
enum reached {
    REACHED_UNTESTED,    /* not tried, or the index could not or would not */
    REACHED_US,          /* proved; or where it could not be, because we did not listen, taken */
    REACHED_ANOTHER,     /* someone else took it */
    REACHED_UNPROVED,    /* someone took it, and we took one too, but the proof was not seen */
    REACHED_REFUSAL,     /* a reset */
    REACHED_UNREACHABLE, /* a router says that there is no way */
    REACHED_NOBODY       /* no answer; UDP: nothing came */
};

enum reached facts_reached(const struct dial *dial);

/* The index could not or would not dial: `detail` says why. */
bool facts_is_refusal(const struct dial *dial);

/* The dial-back that counts: `first`, or where nothing came of that, `again`. */
const struct dial *facts_main_dial(const struct protocol_evidence *evidence);

/* The port that was asked for is open, not open, or that was not tested. */
enum nat_answer facts_open(const struct protocol_evidence *evidence);

/* Is there a NAT between this machine and the index? */
enum nat_answer facts_nat(const struct family_evidence *evidence);

/* The router's outer address, as it says itself; where its protocols say different things, the one
 * that the index saw too, else PCP, NAT-PMP, UPnP in this order. */
struct outer {
    const char *address; /* NULL: not told */
    enum gateway_protocol by;
    bool none;                      /* not told, and one says that there is none: `by` */
    const char *other;              /* what another protocol says, NULL: they agree */
    enum gateway_protocol other_by; /* where `other` */
};

struct outer facts_outer(const struct evidence *evidence);

/* The names of the public things, as docs/nat.md has them. */
const char *facts_family_name(enum nat_family family);          /* "ipv4" */
const char *facts_protocol_name(enum nat_protocol protocol);    /* "tcp" */
const char *facts_gateway_name(enum gateway_protocol protocol); /* "NAT-PMP", for people */
const char *facts_mapping_name(enum nat_mapping mapping);       /* NULL: not known */
const char *facts_filtering_name(enum nat_filtering filtering); /* likewise */

#endif
