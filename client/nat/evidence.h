/* Everything that one check found out. It is filled in by check.c, judged by verdict.c, and told by
 * report.c. */
#ifndef SIGNPOST_CLIENT_NAT_EVIDENCE_H
#define SIGNPOST_CLIENT_NAT_EVIDENCE_H

#include "gateway.h"
#include "hops.h"
#include "nat.h"
#include "udp.h"

enum dial_result {
    DIAL_NONE,        /* not tried */
    DIAL_OPEN,        /* connected, and the listener proved that it is ours */
    DIAL_CONNECTED,   /* someone took the connection, and proved nothing */
    DIAL_REFUSED,     /* reset */
    DIAL_TIMEOUT,     /* no answer */
    DIAL_UNREACHABLE, /* a router said so */
    DIAL_SENT,        /* UDP: what came of it `heard` tells */
    DIAL_FORBIDDEN,   /* the index dials no such address or port: `detail` */
    DIAL_LIMITED,     /* the index was asked too often: `detail` */
    DIAL_FAILED       /* the index did not answer, or not so that it can be read: `detail` */
};

/* One dial-back: the index tried to reach us. */
struct dial {
    enum dial_result result;
    bool listened;                  /* this process held the port meanwhile */
    bool heard;                     /* and was reached: a connection taken, a datagram read */
    bool contacted;                 /* dialled from the address that we had talked to before */
    uint16_t port;                  /* that was dialled */
    char target[NAT_ENDPOINT_SIZE]; /* "203.0.113.7:50051" */
    char from[NAT_ADDRESS_SIZE];    /* dialled from */
    double ms;                      /* that the index took */
    char detail[NAT_DETAIL_SIZE];
};

struct protocol_evidence {
    bool asked;
    bool held; /* another program of this machine has the port, so that we do not listen there */
    /* At the port that was asked for, before anything was sent from it. */
    struct dial first;
    /* TCP, where `first` was not reached: once more, from the address that we had contacted. */
    struct dial again;
    /* TCP, where nobody was to listen and it was refused: once more, while we listen. */
    struct dial listening;
    /* UDP, where `first` was not heard: after STUN, at the port that STUN saw; from an address that
     * we had not contacted (where the index has one), and from the one that we had. */
    struct dial other_in, contacted_in;
    /* At the external port that the gateway gave, where that is not the one asked for. */
    struct dial mapped;
};

struct family_evidence {
    bool asked;
    int error; /* why the index was not reached so, an enum signpost_error; 0: it was */
    char detail[NAT_DETAIL_SIZE];
    char local[NAT_ADDRESS_SIZE];    /* of this machine, towards the index */
    char observed[NAT_ADDRESS_SIZE]; /* of us, by the index */
    enum nat_answer tcp_port_preserved;
    unsigned http_rtt_us;           /* one request to the index; 0: not known */
    char gateway[NAT_ADDRESS_SIZE]; /* next hop of the default route */
    bool has_hops, has_stun;        /* tested */
    struct hops hops;
    struct udp_behaviour stun;
    struct protocol_evidence by[NAT_PROTOCOLS];
};

/* What came of asking the gateway for a mapping. */
struct map_evidence {
    bool asked;
    bool made;
    enum gateway_protocol by;
    enum nat_protocol protocol;
    char address[NAT_ADDRESS_SIZE]; /* outer, as the gateway says */
    uint16_t port;                  /* outer */
    unsigned lifetime_s;            /* 0: for ever */
    char detail[NAT_DETAIL_SIZE];   /* where it was not made */
};

struct evidence {
    const char *index; /* its URL, without a user and a password */
    uint16_t port;
    bool no_listen;
    bool has_gateway; /* the gateway was asked */
    struct gateway_found gateway;
    struct map_evidence map[NAT_PROTOCOLS];
    struct family_evidence families[NAT_FAMILIES];
    double took_s;
};

#endif
