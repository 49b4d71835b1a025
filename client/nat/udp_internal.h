/* What the files of udp share. */
#ifndef SIGNPOST_CLIENT_NAT_UDP_INTERNAL_H
#define SIGNPOST_CLIENT_NAT_UDP_INTERNAL_H

#include "job.h"
#include "stun.h"
#include "udp.h"

#include <netinet/in.h>

#define UDP_PROBES_MAX (UDP_SERVERS_MAX + 4) /* with those of RFC 5780 */

enum probe_kind { PROBE_MAPPING, PROBE_OTHER_IP, PROBE_OTHER_PORT };

/* One request, until it is answered or its time is over. */
struct probe {
    enum probe_kind kind;
    struct sockaddr_storage to;
    uint8_t id[STUN_ID_SIZE];
    unsigned sends;
    uint64_t next_ms, until_ms;
    uint64_t sent_ns;
    bool answered, over;
    bool refused; /* an error, or from where it should not come: it tells nothing */
    struct sockaddr_storage mapped;
    unsigned rtt_us;
};

struct discovery;

/* A name on its way to addresses. */
struct lookup_job {
    struct discovery *discovery;
    struct job *job; /* NULL: done */
};

/* RFC 5780: the stages of the one server that has another address. */
enum stage { STAGE_NONE, STAGE_FILTERING, STAGE_OTHER, STAGE_DONE };

struct discovery {
    struct udp *udp;
    char local[NAT_ADDRESS_SIZE];
    udp_discovered done;
    void *user;
    struct probe probes[UDP_PROBES_MAX];
    size_t probe_count;
    struct lookup_job lookups[UDP_SERVERS_MAX];
    size_t lookup_count;
    uint64_t end_ms; /* of the names, and of whom nobody heard */
    bool answered;   /* by one server at least */
    enum stage stage;
    struct sockaddr_storage server, other; /* of RFC 5780 */
    char detail[NAT_DETAIL_SIZE];
};

struct udp {
    uv_loop_t *loop;
    uv_udp_t socket;
    uv_timer_t timer;
    enum nat_family family;
    uint16_t port;
    char nonce[UDP_NONCE_SIZE]; /* "": none is waited for */
    void (*heard)(void *user);
    void *heard_user;
    struct discovery *discovery; /* NULL: none */
    char buffer[2048];
    unsigned handles; /* not closed yet */
};

/* --- udp_discover.c -------------------------------------------------------------------------- */

/* A datagram that is no nonce. It may end the discovery, and with it the udp. */
void discovery_take(
    struct udp *udp, const uint8_t *bytes, size_t size, const struct sockaddr *from);
void discovery_free(struct discovery *discovery); /* NULL is fine */

/* --- udp_judge.c ----------------------------------------------------------------------------- */

bool udp_same_address(const struct sockaddr_storage *one, const struct sockaddr_storage *other);
uint16_t udp_port_of(const struct sockaddr_storage *address);
void udp_judge(const struct discovery *discovery, struct udp_behaviour *ret_behaviour);

#endif
