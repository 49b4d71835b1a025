/* What the files of the check share. */
#ifndef SIGNPOST_CLIENT_NAT_CHECK_INTERNAL_H
#define SIGNPOST_CLIENT_NAT_CHECK_INTERNAL_H

#include "answer.h"
#include "codec.h"
#include "evidence.h"
#include "http.h"
#include "signpost.h"
#include "udp.h"
#include "verdict.h"

#include <uv.h>

#define CHECK_INDEXES_MAX 16
#define CHECK_SERVERS_MAX 4   /* STUN servers that the application names */
#define CHECK_INDEX_MS 3500   /* for an index to answer the first request */
#define CHECK_DIAL_MS 9000    /* for a dial-back: the index takes 8 s at most */
#define CHECK_AGAIN_S 3       /* the connect of a second one */
#define CHECK_END_MS 9400     /* what has not ended by then is not waited for */
#define CHECK_MAPPED_MS 13000 /* so much longer, where the router is asked for a mapping */
#define CHECK_OTHERS_MS 800   /* for the other tests, once the port is found open */
#define CHECK_DATAGRAM_MS 400 /* a datagram may come so much later than the index's word of it */
#define CHECK_PUBLISH_MS 2000

struct family_check;

typedef void (*dial_then)(struct family_check *family);

/* A dial-back under way; one at a time for each family and protocol. */
struct dial_call {
    struct family_check *family;
    enum nat_protocol protocol;
    struct dial *dial; /* where the result goes */
    char nonce[UDP_NONCE_SIZE];
    struct http_call *call; /* NULL: none is under way */
    dial_then then;
};

/* The node's record at one index is told what was found out. */
struct publish_call {
    struct signpost_check *check;
    struct http_call *call; /* NULL: none is under way */
};

/* One family of addresses. */
struct family_check {
    struct signpost_check *check;
    enum nat_family family;
    struct family_evidence *evidence;
    struct http *http;        /* its own, so that no connection of the other family is used */
    size_t url;               /* of the check's, that is asked or has answered */
    struct http_call *asking; /* for /ice */
    struct codec_ice ice;
    char remote[NAT_ADDRESS_SIZE]; /* of the index */
    struct answer *answer;
    struct udp *udp;
    uint16_t udp_mapped; /* the port that STUN has seen; 0: none */
    struct dial_call dials[NAT_PROTOCOLS];
    struct hops_probe *hops;
    uv_timer_t datagram;
    bool has_index;
    unsigned busy; /* tests under way that the verdict needs */
};

struct signpost_check {
    uv_loop_t *loop;
    signpost_check_config_t config; /* its strings are those below */
    char *urls[CHECK_INDEXES_MAX + 1];
    char *servers[CHECK_SERVERS_MAX + 1];
    char *key, *ca_file;
    uint8_t secret[SIGNPOST_SECRET_SIZE];
    struct evidence evidence;
    struct verdict verdict;
    struct family_check families[NAT_FAMILIES];
    struct gateway_probe *gateway;
    signpost_mapping_t *mappings[NAT_PROTOCOLS];
    bool heard_of[NAT_PROTOCOLS]; /* mappings */
    unsigned mapping;             /* mappings that nothing was heard of yet */
    struct publish_call publishing[CHECK_INDEXES_MAX];
    unsigned publishings; /* under way */
    bool published;       /* at one index at least */
    uv_timer_t deadline;
    uint64_t began_ms;
    signpost_report_t report;
    const char *also[VERDICT_ALSO_MAX + 1];
    char detail[NAT_DETAIL_SIZE], publish_detail[NAT_DETAIL_SIZE];
    char *json, *reach;
    bool judged; /* the verdict is there */
    bool closing;
    unsigned handles; /* that are not closed yet */
    void (*closed)(void *user);
    void *closed_user;
};

/* --- check.c --------------------------------------------------------------------------------- */

bool check_asks(const struct signpost_check *check, enum nat_protocol protocol);
void check_line(struct signpost_check *check, const char *line);

/* A test that the verdict needs begins, and ends: with the last one comes the verdict. */
void check_begin(struct family_check *family);
void check_end(struct family_check *family);

/* The port is open: what is left is waited for no longer than CHECK_OTHERS_MS. */
void check_found_open(struct signpost_check *check);

void check_published(struct signpost_check *check);

/* The check cannot be what was asked for: it ends with this error and sentence. */
void check_fail(struct signpost_check *check, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void check_fail_port(struct signpost_check *check); /* this user may not listen there */

/* --- check_ask.c: what the index is asked ---------------------------------------------------- */

void ask_index(struct family_check *family); /* GET /ice of each URL until one answers */
void ask_tests(struct family_check *family); /* begins those with dial-backs, if one did */

/* POST /check; `from` and `timeout_s` as codec_check() has them. `then` comes once, from the loop
 * or from inside, when `dial` has what came of it. */
void ask_dial(struct family_check *family, enum nat_protocol protocol, struct dial *dial,
    uint16_t port, const char *from, unsigned timeout_s, dial_then then);

/* POST /heartbeat with what is proved, to all indexes; check_published() when all have answered. */
void ask_publish(struct signpost_check *check);

/* --- check_tcp.c, check_udp.c: the tests of one family --------------------------------------- */

void check_tcp(struct family_check *family);
void check_udp(struct family_check *family);

#endif
