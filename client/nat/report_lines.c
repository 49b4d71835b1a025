#include "report.h"

#include "facts.h"
#include "words.h"

#include <stdio.h>
#include <string.h>

static void add_trip(struct words *words, unsigned us)
{
    if (us) {
        words_add(words, ", round trip ");
        words_add(words, "%.1f ms", us / 1000.0);
    }
}

void report_index_line(
    const struct evidence *evidence, enum nat_family family, char ret_line[REPORT_LINE_SIZE])
{
    const struct family_evidence *of = &evidence->families[family];
    struct words words;

    words_begin(&words, ret_line, REPORT_LINE_SIZE);
    if (of->error) {
        words_add(&words, "%s: not tested: ", facts_family_name(family));
        words_add_detail(&words, of->detail[0] ? of->detail : signpost_strerror(of->error));
        return;
    }
    words_add(&words, "%s: index sees you at %s", facts_family_name(family), of->observed);
    if (facts_nat(of) == NAT_NO)
        words_add(&words, ", which is this machine's own address");
    else if (of->local[0])
        words_add(&words, " (this machine: %s)", of->local);
    add_trip(&words, of->http_rtt_us);
}

/* --- dial-backs ------------------------------------------------------------------------------ */

static void add_outcome(struct words *words, const struct dial *dial)
{
    switch (dial->result) {
    case DIAL_NONE: words_add(words, "was not tried"); break;
    case DIAL_OPEN: words_add(words, "is open, and it is this machine that answers"); break;
    case DIAL_CONNECTED:
        if (!dial->listened)
            words_add(words, "takes connections");
        else if (dial->heard)
            words_add(words, "takes connections; that it is this machine was not proved");
        else
            words_add(words, "takes connections, but it is another machine that does");
        break;
    case DIAL_REFUSED: words_add(words, "refuses connections"); break;
    case DIAL_TIMEOUT: words_add(words, "does not answer"); break;
    case DIAL_UNREACHABLE: words_add(words, "cannot be reached, says a router"); break;
    case DIAL_SENT:
        if (!dial->listened)
            words_add(words, "was sent to; nobody listened");
        else
            words_add(words,
                dial->heard ? "is open: a datagram arrived" : "is not open: no datagram arrived");
        break;
    case DIAL_FORBIDDEN:
    case DIAL_LIMITED:
    case DIAL_FAILED: words_add(words, "was not tested"); break;
    }
}

static void add_circumstances(
    struct words *words, const struct protocol_evidence *of, const struct dial *dial)
{
    const char *before = " (";

    if (dial->from[0]) {
        words_add(words, "%s%s %s", before, dial->result == DIAL_SENT ? "sent from" : "tried from",
            dial->from);
        before = ", ";
    }
    if (dial->from[0] && dial->contacted) {
        words_add(words, "%san address that we had contacted", before);
        before = ", ";
    }
    if (dial == &of->listening) {
        words_add(words, "%swhile we listened", before);
        before = ", ";
    } else if (dial->result == DIAL_REFUSED && !dial->listened) {
        words_add(words, "%swhile we did not listen", before);
        before = ", ";
    }
    if (dial->ms > 0) {
        words_add(words, "%s", before);
        words_add_time(words, dial->ms);
        before = ", ";
    }
    if (before[0] == ',')
        words_add(words, ")");
}

void report_dial_line(const struct evidence *evidence, enum nat_family family,
    enum nat_protocol protocol, const struct dial *dial, char ret_line[REPORT_LINE_SIZE])
{
    const struct family_evidence *of = &evidence->families[family];
    char endpoint[NAT_ENDPOINT_SIZE];
    struct words words;

    facts_endpoint(of->observed, dial->port ? dial->port : evidence->port, endpoint);
    words_begin(&words, ret_line, REPORT_LINE_SIZE);
    words_add(&words, "%s/%s: %s ", facts_protocol_name(protocol), facts_family_name(family),
        dial->target[0] ? dial->target : endpoint);
    add_outcome(&words, dial);
    if (!facts_is_refusal(dial)) {
        add_circumstances(&words, &of->by[protocol], dial);
    } else if (dial->detail[0]) {
        words_add(&words, ": ");
        words_add_detail(&words, dial->detail);
    }
}

/* --- STUN, hops ------------------------------------------------------------------------------ */

static void add_mapping(struct words *words, enum nat_mapping mapping)
{
    switch (mapping) {
    case NAT_MAPPING_UNKNOWN: words_add(words, "; whether others see the same is not known"); break;
    case NAT_MAPPING_NONE: words_add(words, ", its own address: no NAT"); break;
    case NAT_MAPPING_ENDPOINT: words_add(words, ", the same for all servers"); break;
    case NAT_MAPPING_ADDRESS:
    case NAT_MAPPING_ADDRESS_AND_PORT:
    case NAT_MAPPING_VARYING: words_add(words, ", and otherwise by other servers"); break;
    }
}

void report_stun_line(
    const struct evidence *evidence, enum nat_family family, char ret_line[REPORT_LINE_SIZE])
{
    const struct family_evidence *of = &evidence->families[family];
    const struct udp_behaviour *stun = &of->stun;
    char endpoint[NAT_ENDPOINT_SIZE];
    struct words words;

    words_begin(&words, ret_line, REPORT_LINE_SIZE);
    words_add(&words, "udp/%s: ", facts_family_name(family));
    if (!of->has_stun) {
        words_add(&words, "STUN was not tried");
    } else if (stun->seen_count == 0) {
        words_add(&words,
            stun->asked == 0 ? "no STUN server to ask" : "no STUN server answered (%u asked)",
            (unsigned)stun->asked);
    } else {
        facts_endpoint(stun->seen[0].address, stun->seen[0].port, endpoint);
        words_add(&words, "STUN sees this machine at %s", endpoint);
        add_mapping(&words, stun->mapping);
        add_trip(&words, stun->seen[0].rtt_us);
    }
    if (of->has_stun && stun->detail[0]) {
        words_add(&words, "; ");
        words_add_detail(&words, stun->detail);
    }
}

void report_hops_line(
    const struct evidence *evidence, enum nat_family family, char ret_line[REPORT_LINE_SIZE])
{
    const struct family_evidence *of = &evidence->families[family];
    const struct hops *hops = &of->hops;
    size_t last = HOPS_MAX;
    struct words words;

    words_begin(&words, ret_line, REPORT_LINE_SIZE);
    words_add(&words, "%s: ", facts_family_name(family));
    while (last > 0 && !hops->address[last - 1][0])
        last--;
    if (of->has_hops && hops->reached && last == 0) {
        words_add(&words, "no router is between this machine and the index");
        return;
    }
    if (!of->has_hops || last == 0) {
        words_add(&words, of->has_hops ? "the first routers on the way do not say who they are"
                                       : "the way to the index was not looked at");
        return;
    }
    words_add(&words, "on the way to the index: ");
    for (size_t i = 0; i < last; i++)
        words_add(
            &words, "%s%s", i > 0 ? ", " : "", hops->address[i][0] ? hops->address[i] : "(silent)");
}

/* --- the router ------------------------------------------------------------------------------ */

static void add_claim(
    struct words *words, enum gateway_protocol by, const struct gateway_claim *claim)
{
    words_add(words, "%s ", facts_gateway_name(by));
    switch (claim->present) {
    case NAT_UNTESTED: words_add(words, "not tried"); break;
    case NAT_NO: words_add(words, "no"); break;
    case NAT_YES:
        words_add(words, "yes");
        if (claim->has_wan == NAT_YES)
            words_add(words, ", outer address %s", claim->wan);
        else if (claim->has_wan == NAT_NO)
            words_add(words, ", no outer address");
        break;
    }
    if (claim->detail[0])
        words_add(words, " (%.60s)", claim->detail);
}

void report_gateway_line(const struct evidence *evidence, char ret_line[REPORT_LINE_SIZE])
{
    const struct gateway_found *found = &evidence->gateway;
    struct words words;

    words_begin(&words, ret_line, REPORT_LINE_SIZE);
    if (!evidence->has_gateway) {
        words_add(&words, "router: not asked");
        return;
    }
    words_add(&words, "router%s%s", found->address[0] ? " at " : "", found->address);
    if (found->model[0])
        words_add(&words, " (%s)", found->model);
    for (enum gateway_protocol by = 0; by < GATEWAY_PROTOCOLS; by++) {
        words_add(&words, "%s", by == 0 ? ": " : "; ");
        add_claim(&words, by, &found->by[by]);
    }
}

void report_map_line(
    const struct evidence *evidence, enum nat_protocol protocol, char ret_line[REPORT_LINE_SIZE])
{
    const struct map_evidence *map = &evidence->map[protocol];
    char endpoint[NAT_ENDPOINT_SIZE];
    struct words words;

    words_begin(&words, ret_line, REPORT_LINE_SIZE);
    words_add(&words, "%s: ", facts_protocol_name(protocol));
    if (!map->asked) {
        words_add(&words, "the router was not asked for a port mapping");
    } else if (!map->made) {
        words_add(&words, "the router did not map port %u", evidence->port);
        words_add(&words, "%s", map->detail[0] ? ": " : "");
        words_add_detail(&words, map->detail);
    } else {
        facts_endpoint(map->address, map->port, endpoint);
        words_add(&words, "the router leads %s to port %u of this machine (by %s, ", endpoint,
            evidence->port, facts_gateway_name(map->by));
        words_add(&words, map->lifetime_s ? "for %u s)" : "until it is removed)", map->lifetime_s);
    }
}
