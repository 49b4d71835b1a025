/* UPnP-IGD, by miniupnpc. The description and what it names are fetched from the gateway alone. */
#include "gateway_internal.h"

#include "signpost.h"

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/miniwget.h>
#include <miniupnpc/upnpcommands.h>
#include <miniupnpc/upnperrors.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISCOVER_FIRST_MS 250
#define DISCOVER_AGAIN_MS 1000
#define HOPS 2 /* of the search, as UPnP wants it */
#define DESCRIPTION "Signpost"
#define PORTS_TRIED 4    /* other outer ports, where the one wished for is taken */
#define PORT_LEAST 49152 /* RFC 6335, 6: the dynamic ones */

enum {
    ERROR_UNAUTHORISED = 606,
    ERROR_NO_SUCH_ENTRY = 714,
    ERROR_CONFLICT = 718,
    ERROR_PERMANENT_ONLY = 725
};

struct igd {
    struct UPNPUrls urls;
    struct IGDdatas data;
    char model[64];
};

/* Is the host of that URL the gateway? */
static bool is_gateways(const char *url, const struct gateway_target *target)
{
    size_t length = strlen(target->address);

    return url && !strncmp(url, "http://", 7) && length > 0 &&
           !strncmp(url + 7, target->address, length) && url[7 + length] &&
           strchr(":/", url[7 + length]);
}

/* The text of the first such element of the description, as far as it is printable ASCII. */
static void copy_element(const char *xml, const char *tag, char ret_text[64])
{
    const char *at = strstr(xml, tag);
    size_t length = 0;

    if (!at)
        return;
    at += strlen(tag);
    for (; *at && *at != '<' && length < 63; at++)
        if (*at >= ' ' && *at <= '~')
            ret_text[length++] = *at;
    ret_text[length] = '\0';
}

/* False: what is there is no gateway that makes mappings. */
static bool read_igd(const char *url, const struct gateway_target *target, struct igd *ret_igd)
{
    int size = 0, status = 0;
    char *xml = miniwget(url, &size, 0, &status);

    if (!xml)
        return false;
    memset(ret_igd, 0, sizeof *ret_igd);
    char *text = status == 200 && size > 0 ? strndup(xml, (size_t)size) : NULL;
    free(xml);
    if (!text)
        return false;
    copy_element(text, "<modelName>", ret_igd->model);
    parserootdesc(text, (int)strlen(text), &ret_igd->data);
    free(text);
    GetUPNPUrls(&ret_igd->urls, &ret_igd->data, url, 0);
    if (is_gateways(ret_igd->urls.controlURL, target) && *ret_igd->data.first.servicetype)
        return true;
    FreeUPNPUrls(&ret_igd->urls);
    return false;
}

/* The description's URL, from the gateway; "" where it does not answer. `ret_other`: another
 * device of the network did. */
static void discover(
    const struct gateway_target *target, int delay_ms, char ret_url[256], bool *ret_other)
{
    int error = 0;
    struct UPNPDev *devices =
        upnpDiscover(delay_ms, target->local, NULL, UPNP_LOCAL_PORT_ANY, 0, HOPS, &error);

    for (const struct UPNPDev *at = devices; at && !*ret_url; at = at->pNext)
        if (is_gateways(at->descURL, target) && strlen(at->descURL) < 256)
            strcpy(ret_url, at->descURL);
        else
            *ret_other = true;
    freeUPNPDevlist(devices);
}

static bool find_igd(const struct gateway_target *target, struct igd *ret_igd, bool *ret_other)
{
    char url[256] = "";

    snprintf(url, sizeof url, "%s", target->upnp_url);
    if (!*target->address)
        return false;
    if (!*url)
        discover(target, DISCOVER_FIRST_MS, url, ret_other);
    if (!*url)
        discover(target, DISCOVER_AGAIN_MS, url, ret_other);
    return *url && is_gateways(url, target) && read_igd(url, target, ret_igd);
}

static void probe(
    const struct gateway_target *target, struct gateway_claim *ret_claim, char ret_model[64])
{
    char address[64] = "";
    bool other = false;
    struct igd igd;

    ret_claim->present = NAT_NO;
    if (!find_igd(target, &igd, &other)) {
        if (other)
            snprintf(ret_claim->detail, sizeof ret_claim->detail,
                "another device than the default gateway answers to UPnP");
        return;
    }
    ret_claim->present = NAT_YES;
    memcpy(ret_model, igd.model, sizeof igd.model);
    int code = UPNP_GetExternalIPAddress(igd.urls.controlURL, igd.data.first.servicetype, address);
    if (code == UPNPCOMMAND_SUCCESS)
        gateway_take_wan(address, ret_claim);
    else
        snprintf(ret_claim->detail, sizeof ret_claim->detail,
            "it does not tell its outer address (%d)", code);
    FreeUPNPUrls(&igd.urls);
}

/* --- mappings -------------------------------------------------------------------------------- */

static const char *explain(int code)
{
    switch (code) {
    case ERROR_UNAUTHORISED: return "it does not allow port mappings (606, not authorized)";
    case ERROR_CONFLICT: return "its outer port leads to another machine already (718)";
    case UPNPCOMMAND_HTTP_ERROR: return "it closed the connection, or did not answer";
    default: return strupnperror(code) ? strupnperror(code) : "it refused";
    }
}

static int add(const struct igd *igd, const struct gateway_target *target,
    const struct gateway_mapping *mapping, uint16_t external, unsigned lifetime_s)
{
    char outer[8], inner[8], lease[16];

    snprintf(outer, sizeof outer, "%u", (unsigned)external);
    snprintf(inner, sizeof inner, "%u", (unsigned)mapping->internal_port);
    snprintf(lease, sizeof lease, "%u", lifetime_s);
    return UPNP_AddPortMapping(igd->urls.controlURL, igd->data.first.servicetype, outer, inner,
        target->local, DESCRIPTION, mapping->protocol == NAT_TCP ? "TCP" : "UDP", NULL, lease);
}

static int add_or_permanent(const struct igd *igd, const struct gateway_target *target,
    struct gateway_mapping *mapping, uint16_t external, unsigned *lifetime_s)
{
    int code = add(igd, target, mapping, external, *lifetime_s);

    if (code != ERROR_PERMANENT_ONLY)
        return code;
    *lifetime_s = 0;
    return add(igd, target, mapping, external, 0);
}

/* The port wished for; where another machine has it, some that hardly anyone has. */
static int make(
    const struct igd *igd, const struct gateway_target *target, struct gateway_mapping *mapping)
{
    unsigned lifetime_s = mapping->lifetime_s;
    uint16_t external = mapping->external_port;
    int code = add_or_permanent(igd, target, mapping, external, &lifetime_s);

    for (unsigned i = 0; i < PORTS_TRIED && code == ERROR_CONFLICT; i++) {
        unsigned spread = mapping->nonce[2 * i] * 256u + mapping->nonce[2 * i + 1];
        external = (uint16_t)(PORT_LEAST + spread % (65536 - PORT_LEAST));
        code = add_or_permanent(igd, target, mapping, external, &lifetime_s);
    }
    if (code != UPNPCOMMAND_SUCCESS)
        return code;
    mapping->external_port = external;
    mapping->lifetime_s = lifetime_s;
    return 0;
}

static int map(const struct gateway_target *target, struct gateway_mapping *mapping)
{
    char outer[8];
    bool other = false;
    struct gateway_claim claim = {.detail = ""};
    struct igd igd;
    int code;

    if (!find_igd(target, &igd, &other))
        return SIGNPOST_ERROR_NO_GATEWAY;
    if (mapping->lifetime_s) {
        char address[64] = "";
        code = make(&igd, target, mapping);
        if (!code &&
            !UPNP_GetExternalIPAddress(igd.urls.controlURL, igd.data.first.servicetype, address)) {
            gateway_take_wan(address, &claim);
            memcpy(mapping->address, claim.wan, sizeof mapping->address);
        }
    } else {
        snprintf(outer, sizeof outer, "%u", (unsigned)mapping->external_port);
        code = UPNP_DeletePortMapping(igd.urls.controlURL, igd.data.first.servicetype, outer,
            mapping->protocol == NAT_TCP ? "TCP" : "UDP", NULL);
        if (code == ERROR_NO_SUCH_ENTRY)
            code = 0;
    }
    FreeUPNPUrls(&igd.urls);
    if (code)
        snprintf(mapping->detail, sizeof mapping->detail, "%.200s", explain(code));
    return code ? SIGNPOST_ERROR_NO_MAPPING : 0;
}

const struct gateway_calls gateway_upnp = {probe, map};
