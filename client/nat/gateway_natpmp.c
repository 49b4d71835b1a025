/* NAT-PMP (RFC 6886), by libnatpmp. */
#include "gateway_internal.h"

#include "signpost.h"

#include <arpa/inet.h>
#include <natpmp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define TRIES 3 /* of 250 ms, doubled: 1.75 s in all */

static const char *explain(int code)
{
    switch (code) {
    case NATPMP_ERR_NOTAUTHORIZED: return "it does not allow port mappings (not authorized)";
    case NATPMP_ERR_NETWORKFAILURE: return "its network is not up";
    case NATPMP_ERR_OUTOFRESOURCES: return "it has no room for another mapping";
    default: return "it refused, without a reason that is known";
    }
}

/* Has it refused, and so spoken the protocol? */
static bool is_refusal(int code)
{
    return code == NATPMP_ERR_NOTAUTHORIZED || code == NATPMP_ERR_NETWORKFAILURE ||
           code == NATPMP_ERR_OUTOFRESOURCES || code == NATPMP_ERR_UNDEFINEDERROR;
}

static int begin(const struct gateway_target *target, natpmp_t *ret_natpmp)
{
    in_addr_t gateway = inet_addr(target->address);

    if (!*target->address || gateway == INADDR_NONE)
        return NATPMP_ERR_CANNOTGETGATEWAY;
    return initnatpmp(ret_natpmp, 1, gateway);
}

/* Waits for the answer to what was sent; 0 or an error of the library's. */
static int await(natpmp_t *natpmp, natpmpresp_t *ret_response)
{
    int code = NATPMP_TRYAGAIN;

    while (code == NATPMP_TRYAGAIN && natpmp->try_number <= TRIES) {
        struct pollfd wait = {.fd = natpmp->s, .events = POLLIN};
        struct timeval timeout;
        if (getnatpmprequesttimeout(natpmp, &timeout))
            return NATPMP_ERR_NOPENDINGREQ;
        int64_t wait_ms = (int64_t)timeout.tv_sec * 1000 + timeout.tv_usec / 1000 + 1;
        (void)poll(&wait, 1, wait_ms > 0 ? (int)wait_ms : 0);
        code = readnatpmpresponseorretry(natpmp, ret_response);
        /* What a stranger sends is passed over; libnatpmp looks at the source. */
        if (code == NATPMP_ERR_WRONGPACKETSOURCE)
            code = NATPMP_TRYAGAIN;
    }
    return code;
}

static void probe(
    const struct gateway_target *target, struct gateway_claim *ret_claim, char ret_model[64])
{
    natpmpresp_t response = {0};
    natpmp_t natpmp;
    char text[INET_ADDRSTRLEN] = "";

    ret_model[0] = '\0'; /* the protocol tells none */
    ret_claim->present = NAT_NO;
    if (begin(target, &natpmp))
        return;
    int code =
        sendpublicaddressrequest(&natpmp) < 0 ? NATPMP_ERR_SENDERR : await(&natpmp, &response);
    closenatpmp(&natpmp);
    if (is_refusal(code)) {
        ret_claim->present = NAT_YES;
        ret_claim->has_wan = code == NATPMP_ERR_NETWORKFAILURE ? NAT_NO : NAT_UNTESTED;
        snprintf(ret_claim->detail, sizeof ret_claim->detail, "%s", explain(code));
    } else if (!code && response.type == NATPMP_RESPTYPE_PUBLICADDRESS) {
        ret_claim->present = NAT_YES;
        inet_ntop(AF_INET, &response.pnu.publicaddress.addr, text, sizeof text);
        gateway_take_wan(text, ret_claim);
    }
}

static int map(const struct gateway_target *target, struct gateway_mapping *mapping)
{
    natpmpresp_t response = {0};
    natpmp_t natpmp;
    bool tcp = mapping->protocol == NAT_TCP;
    /* RFC 6886, 3.4: to remove one, both the outer port and the lifetime are 0. */
    uint16_t external = mapping->lifetime_s ? mapping->external_port : 0;

    if (begin(target, &natpmp))
        return SIGNPOST_ERROR_NO_GATEWAY;
    int code = sendnewportmappingrequest(&natpmp, tcp ? NATPMP_PROTOCOL_TCP : NATPMP_PROTOCOL_UDP,
        mapping->internal_port, external, mapping->lifetime_s);
    code = code < 0 ? code : await(&natpmp, &response);
    closenatpmp(&natpmp);
    if (is_refusal(code)) {
        snprintf(mapping->detail, sizeof mapping->detail, "%s", explain(code));
        return SIGNPOST_ERROR_NO_MAPPING;
    }
    if (code ||
        response.type != (tcp ? NATPMP_RESPTYPE_TCPPORTMAPPING : NATPMP_RESPTYPE_UDPPORTMAPPING))
        return SIGNPOST_ERROR_NO_GATEWAY;
    if (!mapping->lifetime_s)
        return 0;
    mapping->external_port = response.pnu.newportmapping.mappedpublicport;
    mapping->lifetime_s = response.pnu.newportmapping.lifetime;
    if (mapping->external_port && mapping->lifetime_s &&
        response.pnu.newportmapping.privateport == mapping->internal_port)
        return 0;
    snprintf(mapping->detail, sizeof mapping->detail, "it gave a mapping that is none");
    return SIGNPOST_ERROR_NO_MAPPING;
}

const struct gateway_calls gateway_natpmp = {probe, map};
