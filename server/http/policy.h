/* Who may talk to the door, and from where: Host, Origin, CORS, and the client's address behind
 * proxies. */
#ifndef SIGNPOST_HTTP_POLICY_H
#define SIGNPOST_HTTP_POLICY_H

#include "error.h"
#include "net/address.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

struct http_policy {
    bool loopback_only; /* open, and listening on loopback only: no web page may use it */
    const struct address_range *trusted; /* proxies; borrowed */
    size_t trusted_count;
    const char *const *origins; /* allowed; borrowed */
    size_t origin_count;        /* 0: any */
};

bool policy_trusts(const struct http_policy *policy, const struct address *address);

/* The client's address (given as the peer's): where that is a trusted proxy, the nearest one in
 * Forwarded (RFC 7239) or X-Forwarded-For that is not; where an element cannot be read, the proxy
 * that wrote it. `port` becomes 0 where it is not known. `ret_exempt`: it is a trusted proxy that
 * speaks for nobody. ERROR_BAD_REQUEST where the two headers disagree. */
int policy_client(const struct http_policy *policy, struct MHD_Connection *mhd,
    struct address *address, uint16_t *port, bool *ret_exempt, struct fault *ret_fault);

/* On an index for this machine only, Host and Origin must name it: ERROR_FOREIGN_HOST otherwise. */
int policy_check_host(
    const struct http_policy *policy, struct MHD_Connection *mhd, struct fault *ret_fault);

/* Adds what a browser needs to see the reply; false where memory is out. */
bool policy_add_cors(
    const struct http_policy *policy, struct MHD_Connection *mhd, struct MHD_Response *response);

#endif
