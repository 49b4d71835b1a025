#include "report.h"

#include "facts.h"
#include "words.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PLAIN_SIZE (2 * VERDICT_TEXT_SIZE)
#define REAL_MAX 1e9
#define REAL_DIGITS 12 /* of which three are after the point */

/* --- values ---------------------------------------------------------------------------------- */

/* One of these is made for each report. Memory that was out once is remembered, and told at the
 * end: whatever cannot be made is NULL, and no object and no array takes that. */
struct writer {
    bool failed;
};

/* Takes the value over. */
static void put(struct writer *writer, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value))
        writer->failed = true;
}

static void append(struct writer *writer, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value))
        writer->failed = true;
}

/* Without what is not printable. NULL and "" are null. */
static json_t *text_of(const char *text)
{
    char plain[PLAIN_SIZE];
    struct words words;

    if (!text || !text[0])
        return json_null();
    words_begin(&words, plain, sizeof plain);
    words_add(&words, "%s", text);
    return json_string(plain);
}

static json_t *answer_of(enum nat_answer answer)
{
    return answer == NAT_UNTESTED ? json_null() : json_boolean(answer == NAT_YES);
}

/* With three digits after the point. A measure that makes no sense is null. */
static json_t *real_of(double value)
{
    if (!(value >= 0 && value < REAL_MAX))
        return json_null();
    return json_real((double)(int64_t)(value * 1000 + 0.5) / 1000);
}

static json_t *ms_of(unsigned us)
{
    return us ? real_of(us / 1000.0) : json_null();
}

static json_t *port_of(unsigned port)
{
    return port ? json_integer(port) : json_null();
}

static json_t *error_of(struct writer *writer, int error, const char *detail)
{
    if (!error)
        return json_null();
    json_t *object = json_object();
    put(writer, object, "name", json_string(signpost_error_name(error)));
    put(writer, object, "detail", text_of(detail && detail[0] ? detail : signpost_strerror(error)));
    return object;
}

/* In one line. NULL where memory is out, or was. Takes the value over. */
static char *finish(const struct writer *writer, json_t *value)
{
    const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS);
    char *text = NULL;

    if (!writer->failed) {
        size_t size = json_dumpb(value, NULL, 0, flags);
        text = size > 0 ? malloc(size + 1) : NULL;
        if (text && json_dumpb(value, text, size, flags) != size) {
            free(text);
            text = NULL;
        }
        if (text)
            text[size] = '\0';
    }
    json_decref(value);
    return text;
}

/* --- a protocol ------------------------------------------------------------------------------ */

static const char *result_name(enum dial_result result)
{
    switch (result) {
    case DIAL_NONE: break;
    case DIAL_OPEN: return "open";
    case DIAL_CONNECTED: return "connected";
    case DIAL_REFUSED: return "refused";
    case DIAL_TIMEOUT: return "timeout";
    case DIAL_UNREACHABLE: return "unreachable";
    case DIAL_SENT: return "sent";
    case DIAL_FORBIDDEN: return "forbidden";
    case DIAL_LIMITED: return "limited";
    case DIAL_FAILED: return "failed";
    }
    return "none";
}

static void append_dial(
    struct writer *writer, json_t *dials, const char *name, const struct dial *dial)
{
    bool dialled = facts_reached(dial) != REACHED_UNTESTED;

    if (dial->result == DIAL_NONE)
        return;
    json_t *object = json_object();
    put(writer, object, "try", json_string(name));
    put(writer, object, "result", json_string(result_name(dial->result)));
    put(writer, object, "target", text_of(dial->target));
    put(writer, object, "port", port_of(dial->port));
    put(writer, object, "from", text_of(dial->from));
    put(writer, object, "contacted", dialled ? json_boolean(dial->contacted) : json_null());
    put(writer, object, "listened", json_boolean(dial->listened));
    put(writer, object, "heard",
        dialled && dial->listened ? json_boolean(dial->heard) : json_null());
    put(writer, object, "ms", real_of(dial->ms));
    put(writer, object, "detail", text_of(dial->detail));
    append(writer, dials, object);
}

/* Was it proved that this machine answered? null: nobody did, or it was not tested. */
static json_t *verified_of(const struct protocol_evidence *evidence, enum nat_protocol protocol)
{
    const struct dial *dial = facts_main_dial(evidence);

    if (facts_open(evidence) != NAT_YES)
        return json_null();
    return json_boolean(protocol == NAT_UDP || dial->result == DIAL_OPEN);
}

/* Where others reach this machine; null: nowhere, as far as is known. */
static json_t *place_of(
    const struct evidence *evidence, enum nat_family family, enum nat_protocol protocol)
{
    const struct family_evidence *of = &evidence->families[family];
    const struct dial *dial = facts_main_dial(&of->by[protocol]);
    uint16_t port = dial->port ? dial->port : evidence->port;
    char endpoint[NAT_ENDPOINT_SIZE];

    if (facts_reached(dial) != REACHED_US) {
        dial = &of->by[protocol].mapped;
        port = dial->port;
    }
    if (facts_reached(dial) != REACHED_US)
        return json_null();
    if (dial->target[0])
        return text_of(dial->target);
    if (!of->observed[0] || !port)
        return json_null();
    facts_endpoint(of->observed, port, endpoint);
    return text_of(endpoint);
}

static json_t *protocol_of(struct writer *writer, const struct evidence *evidence,
    enum nat_family family, enum nat_protocol protocol)
{
    const struct protocol_evidence *of = &evidence->families[family].by[protocol];

    if (!of->asked)
        return json_null();
    json_t *object = json_object();
    json_t *dials = json_array();
    put(writer, object, "open", answer_of(facts_open(of)));
    put(writer, object, "verified", verified_of(of, protocol));
    put(writer, object, "reached_at", place_of(evidence, family, protocol));
    put(writer, object, "held", json_boolean(of->held));
    append_dial(writer, dials, "first", &of->first);
    append_dial(writer, dials, "again", &of->again);
    append_dial(writer, dials, "listening", &of->listening);
    append_dial(writer, dials, "after_stun_other", &of->other_in);
    append_dial(writer, dials, "after_stun", &of->contacted_in);
    append_dial(writer, dials, "mapped", &of->mapped);
    put(writer, object, "dials", dials);
    return object;
}

/* --- a family -------------------------------------------------------------------------------- */

static void append_seen(struct writer *writer, json_t *seen, const char *who, const char *address,
    unsigned port, unsigned rtt_us)
{
    json_t *object = json_object();

    put(writer, object, "who", text_of(who));
    put(writer, object, "address", text_of(address));
    put(writer, object, "port", port_of(port));
    put(writer, object, "rtt_ms", ms_of(rtt_us));
    append(writer, seen, object);
}

static json_t *seen_of(
    struct writer *writer, const struct evidence *evidence, enum nat_family family)
{
    static const char *const gateway[GATEWAY_PROTOCOLS] = {[GATEWAY_PCP] = "gateway (pcp)",
        [GATEWAY_NATPMP] = "gateway (nat-pmp)",
        [GATEWAY_UPNP] = "gateway (upnp)"};
    const struct family_evidence *of = &evidence->families[family];
    json_t *seen = json_array();

    if (of->observed[0])
        append_seen(writer, seen, "index", of->observed, 0, of->http_rtt_us);
    for (size_t i = 0; of->has_stun && i < of->stun.seen_count && i < UDP_SERVERS_MAX; i++) {
        const struct udp_seen *one = &of->stun.seen[i];
        append_seen(writer, seen, one->server, one->address, one->port, one->rtt_us);
    }
    for (enum gateway_protocol by = 0; by < GATEWAY_PROTOCOLS; by++) {
        const struct gateway_claim *claim = &evidence->gateway.by[by];
        if (family == NAT_IPV4 && evidence->has_gateway && claim->has_wan == NAT_YES)
            append_seen(writer, seen, gateway[by], claim->wan, 0, 0);
    }
    return seen;
}

/* From the first on; a silent one is null, and those behind the target are no more. */
static json_t *hops_of(struct writer *writer, const struct family_evidence *of)
{
    size_t count = HOPS_MAX;

    if (!of->has_hops)
        return json_null();
    while (of->hops.reached && count > 0 && !of->hops.address[count - 1][0])
        count--;
    json_t *hops = json_array();
    for (size_t i = 0; i < count; i++)
        append(writer, hops, text_of(of->hops.address[i]));
    return hops;
}

static json_t *stun_of(struct writer *writer, const struct family_evidence *of)
{
    if (!of->has_stun)
        return json_null();
    json_t *object = json_object();
    put(writer, object, "asked", json_integer((json_int_t)of->stun.asked));
    put(writer, object, "answered", json_integer((json_int_t)of->stun.seen_count));
    put(writer, object, "detail", text_of(of->stun.detail));
    return object;
}

static json_t *trips_of(struct writer *writer, const struct family_evidence *of)
{
    bool stun = of->has_stun && of->stun.seen_count > 0;
    json_t *object = json_object();

    put(writer, object, "http", ms_of(of->http_rtt_us));
    put(writer, object, "stun", ms_of(stun ? of->stun.seen[0].rtt_us : 0));
    return object;
}

static json_t *preserved_of(struct writer *writer, const struct family_evidence *of)
{
    json_t *object = json_object();

    put(writer, object, "tcp", answer_of(of->tcp_port_preserved));
    put(writer, object, "udp", answer_of(of->has_stun ? of->stun.port_preserved : NAT_UNTESTED));
    return object;
}

static json_t *family_of(
    struct writer *writer, const struct evidence *evidence, enum nat_family family)
{
    const struct family_evidence *of = &evidence->families[family];

    if (!of->asked)
        return json_null();
    json_t *object = json_object();
    put(writer, object, "error", error_of(writer, of->error, of->detail));
    put(writer, object, "public_address", text_of(of->observed));
    put(writer, object, "seen_by", seen_of(writer, evidence, family));
    put(writer, object, "local_address", text_of(of->local));
    put(writer, object, "gateway", text_of(of->gateway));
    put(writer, object, "nat", answer_of(facts_nat(of)));
    put(writer, object, "mapping",
        text_of(of->has_stun ? facts_mapping_name(of->stun.mapping) : NULL));
    put(writer, object, "filtering",
        text_of(of->has_stun ? facts_filtering_name(of->stun.filtering) : NULL));
    put(writer, object, "port_preserved", preserved_of(writer, of));
    put(writer, object, "hops", hops_of(writer, of));
    put(writer, object, "stun", stun_of(writer, of));
    put(writer, object, "round_trip_ms", trips_of(writer, of));
    put(writer, object, "tcp", protocol_of(writer, evidence, family, NAT_TCP));
    put(writer, object, "udp", protocol_of(writer, evidence, family, NAT_UDP));
    return object;
}

/* --- the router ------------------------------------------------------------------------------ */

static json_t *claim_of(struct writer *writer, const struct gateway_claim *claim)
{
    json_t *object = json_object();

    put(writer, object, "present", answer_of(claim->present));
    put(writer, object, "has_wan_address", answer_of(claim->has_wan));
    put(writer, object, "wan_address", text_of(claim->has_wan == NAT_YES ? claim->wan : NULL));
    put(writer, object, "detail", text_of(claim->detail));
    return object;
}

static json_t *gateway_of(struct writer *writer, const struct evidence *evidence)
{
    const struct gateway_found *found = &evidence->gateway;

    if (!evidence->has_gateway)
        return json_null();
    json_t *object = json_object();
    put(writer, object, "address", text_of(found->address));
    put(writer, object, "local_address", text_of(found->local));
    put(writer, object, "model", text_of(found->model));
    put(writer, object, "pcp", claim_of(writer, &found->by[GATEWAY_PCP]));
    put(writer, object, "nat_pmp", claim_of(writer, &found->by[GATEWAY_NATPMP]));
    put(writer, object, "upnp", claim_of(writer, &found->by[GATEWAY_UPNP]));
    return object;
}

static json_t *map_of(struct writer *writer, const struct map_evidence *map)
{
    static const char *const names[GATEWAY_PROTOCOLS] = {
        [GATEWAY_PCP] = "pcp", [GATEWAY_NATPMP] = "nat-pmp", [GATEWAY_UPNP] = "upnp"};

    if (!map->asked)
        return json_null();
    json_t *object = json_object();
    bool named = map->made && map->by < GATEWAY_PROTOCOLS;
    put(writer, object, "made", json_boolean(map->made));
    put(writer, object, "by", text_of(named ? names[map->by] : NULL));
    put(writer, object, "address", text_of(map->made ? map->address : NULL));
    put(writer, object, "port", port_of(map->made ? map->port : 0));
    put(writer, object, "lifetime_s", map->made ? json_integer(map->lifetime_s) : json_null());
    put(writer, object, "detail", text_of(map->detail));
    return object;
}

static json_t *maps_of(struct writer *writer, const struct evidence *evidence)
{
    const struct map_evidence *map = evidence->map;

    if (!map[NAT_TCP].asked && !map[NAT_UDP].asked)
        return json_null();
    json_t *object = json_object();
    put(writer, object, "tcp", map_of(writer, &map[NAT_TCP]));
    put(writer, object, "udp", map_of(writer, &map[NAT_UDP]));
    return object;
}

/* --- the whole ------------------------------------------------------------------------------- */

static json_t *finding_of(struct writer *writer, const struct finding *finding)
{
    json_t *object = json_object();

    put(writer, object, "code", json_integer(finding->verdict));
    put(writer, object, "name", json_string(signpost_verdict_name((int)finding->verdict)));
    put(writer, object, "family", json_string(facts_family_name(finding->family)));
    put(writer, object, "protocol", json_string(facts_protocol_name(finding->protocol)));
    put(writer, object, "why", text_of(finding->why));
    put(writer, object, "advice", text_of(finding->advice));
    return object;
}

char *report_json(
    const struct evidence *evidence, const struct verdict *verdict, int error, const char *detail)
{
    struct writer writer = {.failed = false};
    json_t *object = json_object();
    json_t *also = json_array();

    put(&writer, object, "schema", json_integer(REPORT_SCHEMA));
    put(&writer, object, "verdict", verdict ? finding_of(&writer, &verdict->first) : json_null());
    for (size_t i = 0; verdict && i < verdict->also_count; i++)
        append(&writer, also, finding_of(&writer, &verdict->also[i]));
    put(&writer, object, "also", also);
    put(&writer, object, "error", error_of(&writer, verdict ? 0 : error, detail));
    put(&writer, object, "index", text_of(evidence->index));
    put(&writer, object, "port", json_integer(evidence->port));
    put(&writer, object, "no_listen", json_boolean(evidence->no_listen));
    put(&writer, object, "ipv4", family_of(&writer, evidence, NAT_IPV4));
    put(&writer, object, "ipv6", family_of(&writer, evidence, NAT_IPV6));
    put(&writer, object, "gateway", gateway_of(&writer, evidence));
    put(&writer, object, "port_mapping", maps_of(&writer, evidence));
    put(&writer, object, "took_s", real_of(evidence->took_s));
    return finish(&writer, object);
}

/* --- for the node's record ------------------------------------------------------------------- */

/* The gravest finding about this family and protocol; NULL: none. */
static const struct finding *find(
    const struct verdict *verdict, enum nat_family family, enum nat_protocol protocol)
{
    const struct finding *finding = &verdict->first;

    for (size_t i = 0;; finding = &verdict->also[i++]) {
        if (finding->family == family && finding->protocol == protocol)
            return finding;
        if (i == verdict->also_count)
            return NULL;
    }
}

/* What a peer can use of it. NULL where that is nothing. */
static json_t *reach_of(struct writer *writer, const struct evidence *evidence,
    const struct verdict *verdict, enum nat_family family, enum nat_protocol protocol)
{
    const struct family_evidence *of = &evidence->families[family];
    const struct finding *finding = find(verdict, family, protocol);

    if (!finding || finding->verdict == SIGNPOST_VERDICT_INCONCLUSIVE)
        return NULL;
    json_t *object = json_object();
    put(writer, object, "verdict", json_string(signpost_verdict_name((int)finding->verdict)));
    put(writer, object, "at", place_of(evidence, family, protocol));
    if (protocol == NAT_UDP) {
        bool stun = of->has_stun;
        put(writer, object, "mapping", text_of(stun ? facts_mapping_name(of->stun.mapping) : NULL));
        put(writer, object, "filtering",
            text_of(stun ? facts_filtering_name(of->stun.filtering) : NULL));
    }
    return object;
}

static json_t *now(void)
{
    char text[32];
    time_t seconds = time(NULL);
    struct tm parts;

    if (!gmtime_r(&seconds, &parts) ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        return json_null();
    return json_string(text);
}

char *report_reach(const struct evidence *evidence, const struct verdict *verdict)
{
    struct writer writer = {.failed = false};
    json_t *root = json_object();

    for (enum nat_protocol protocol = 0; verdict && protocol < NAT_PROTOCOLS; protocol++) {
        json_t *families = json_object();
        for (enum nat_family family = 0; family < NAT_FAMILIES; family++) {
            json_t *reach = reach_of(&writer, evidence, verdict, family, protocol);
            if (reach)
                put(&writer, families, facts_family_name(family), reach);
        }
        if (json_object_size(families) > 0)
            put(&writer, root, facts_protocol_name(protocol), families);
        else
            json_decref(families);
    }
    if (json_object_size(root) > 0) {
        put(&writer, root, "port", json_integer(evidence->port));
        put(&writer, root, "checked_at", now());
    }
    return finish(&writer, root);
}
