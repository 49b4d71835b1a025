/*
 * The three protocols, each as blocking calls: they run on the threads of jobs, never on the loop.
 * Only the gateway itself is listened to.
 */
#ifndef SIGNPOST_CLIENT_NAT_GATEWAY_INTERNAL_H
#define SIGNPOST_CLIENT_NAT_GATEWAY_INTERNAL_H

#include "gateway.h"

#include <stddef.h>

#define GATEWAY_PCP_NONCE_BYTES 12
#define GATEWAY_PORT 5351 /* of PCP and NAT-PMP */

struct gateway_target {
    char address[NAT_ADDRESS_SIZE]; /* "": there is none */
    char local[NAT_ADDRESS_SIZE];
    char upnp_url[256]; /* of its description; "": to be discovered */
};

/* A mapping as it is asked for, and as it came about. */
struct gateway_mapping {
    enum nat_protocol protocol;
    uint16_t internal_port;
    uint16_t external_port; /* wished for; then the one that there is */
    unsigned lifetime_s;    /* asked for; 0: remove it. Then the one granted, 0: for ever */
    uint8_t nonce[GATEWAY_PCP_NONCE_BYTES];
    char address[NAT_ADDRESS_SIZE]; /* outer, "": not told */
    char detail[NAT_DETAIL_SIZE];   /* where it failed */
};

struct gateway_calls {
    /* Fills in a zeroed claim; `ret_model` "": it is not told. */
    void (*probe)(
        const struct gateway_target *target, struct gateway_claim *ret_claim, char ret_model[64]);
    /* 0, SIGNPOST_ERROR_NO_GATEWAY (it does not speak this protocol) or SIGNPOST_ERROR_NO_MAPPING
     * (it refused). */
    int (*map)(const struct gateway_target *target, struct gateway_mapping *mapping);
};

extern const struct gateway_calls gateway_pcp, gateway_natpmp, gateway_upnp;
const struct gateway_calls *gateway_calls_of(enum gateway_protocol protocol);

/* The default gateway, and this machine's address towards it. */
void gateway_find(struct gateway_target *ret_target);
void gateway_local(const char *gateway, char ret_local[NAT_ADDRESS_SIZE]);

/* What a router calls its outer address; has_wan NO where it is none at all. */
void gateway_take_wan(const char *text, struct gateway_claim *claim);

/* gateway_start() for a gateway that is known. */
int gateway_start_at(uv_loop_t *loop, const struct gateway_target *target,
    void (*done)(const struct gateway_found *found, void *user), void *user,
    struct gateway_probe **ret_probe);

#endif
