/* Evidence as a check leaves it behind, for the tests of what is made of it. */
#ifndef SIGNPOST_TESTS_CLIENT_NAT_FIXTURE_H
#define SIGNPOST_TESTS_CLIENT_NAT_FIXTURE_H

#include "nat/evidence.h"
#include "signpost.h"

#include <stddef.h>

#define NAT_PORT 50051
#define NAT_LOCAL "192.168.1.20"
#define NAT_OBSERVED "203.0.113.7"
#define NAT_ROUTER "192.168.1.1"
#define NAT_FROM "198.51.100.2"      /* that the machine has not contacted */
#define NAT_CONTACTED "198.51.100.1" /* the index itself */
#define NAT_LOCAL6 "2001:db8::20"

/* A machine at home behind one router; port 50051; nothing asked for yet. */
void nat_home(struct evidence *evidence);

/* This family and protocol are tested. */
void nat_ask(struct evidence *evidence, enum nat_family family, enum nat_protocol protocol);

/* A try at port 50051 while we listen, from the address that was not contacted. */
void nat_dial(
    struct evidence *evidence, enum nat_family family, struct dial *dial, enum dial_result result);

/* Where `gateway` says its outer address is; NULL: that it has none. */
void nat_outer(struct evidence *evidence, enum gateway_protocol by, const char *address);
void nat_hops(struct evidence *evidence, const char *one, const char *two, const char *three);

/* A server that saw the machine; from the second on at another port where `varies`. */
void nat_stun(
    struct evidence *evidence, enum nat_family family, enum nat_mapping mapping, size_t count);

/* What there may be, one at a time. `set` asks for the protocol itself. */
struct situation {
    const char *name;
    enum signpost_verdict verdict;
    enum nat_protocol protocol;
    bool ipv4_only;
    void (*set)(struct evidence *evidence, enum nat_family family);
};

extern const struct situation nat_situations[];
extern const size_t nat_situation_count;

/* The one with this verdict; fails the test where there is none. */
const struct situation *nat_situation(enum nat_protocol protocol, enum signpost_verdict verdict);

#endif
