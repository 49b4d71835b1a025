#include "check_internal.h"

#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STUN_PORT 3478

static struct protocol_evidence *udp_of(struct family_check *family)
{
    return &family->evidence->by[NAT_UDP];
}

static void tell(struct family_check *family, const struct dial *dial)
{
    char line[REPORT_LINE_SIZE];

    report_dial_line(&family->check->evidence, family->family, NAT_UDP, dial, line);
    check_line(family->check, line);
}

/* --- STUN ------------------------------------------------------------------------------------ */

/* The servers of one round; those of the index come in pairs, so that two ports can be compared. */
struct servers {
    char text[UDP_SERVERS_MAX][CODEC_PLACE_SIZE];
    const char *list[UDP_SERVERS_MAX];
    size_t count;
};

static void add_server(struct servers *servers, const char *text)
{
    if (servers->count == UDP_SERVERS_MAX)
        return;
    snprintf(servers->text[servers->count], CODEC_PLACE_SIZE, "%s", text);
    servers->list[servers->count] = servers->text[servers->count];
    servers->count++;
}

/* The host of "HOST:PORT", with its length. An IPv6 address keeps its brackets. */
static size_t host_length(const char *place)
{
    const char *bracket = place[0] == '[' ? strchr(place, ']') : NULL;
    return bracket ? (size_t)(bracket - place) + 1 : strcspn(place, ":");
}

/* The responder that the index itself has answers under the name that the index was asked by. */
static bool is_own(const struct family_check *family, const char *place)
{
    const char *authority = strstr(family->check->urls[family->url], "://") + 3;
    const char *at = memchr(authority, '@', strcspn(authority, "/"));
    const char *host = at ? at + 1 : authority;
    size_t length = host_length(place);

    return host_length(host) >= length && !strncasecmp(host, place, length) &&
           strchr(":/", host[length]);
}

/* The index's second port, beside the one that it names (docs/http.md). */
static void add_pair(struct servers *servers, const char *place)
{
    char next[CODEC_PLACE_SIZE];
    size_t length = host_length(place);
    unsigned long port = STUN_PORT;

    add_server(servers, place);
    if (place[length] == ':')
        port = strtoul(place + length + 1, NULL, 10);
    if (!port || port >= UINT16_MAX)
        return;
    snprintf(next, sizeof next, "%.*s:%lu", (int)length, place, port + 1);
    add_server(servers, next);
}

static void gather_own(const struct family_check *family, struct servers *servers)
{
    for (size_t i = 0; i < family->ice.stun_count; i++)
        if (is_own(family, family->ice.stun[i]))
            add_server(servers, family->ice.stun[i]);
}

static void gather_all(const struct family_check *family, struct servers *servers)
{
    for (size_t i = 0; family->check->servers[i]; i++)
        add_server(servers, family->check->servers[i]);
    for (size_t i = 0; i < family->ice.stun_count; i++)
        if (is_own(family, family->ice.stun[i]))
            add_pair(servers, family->ice.stun[i]);
        else
            add_server(servers, family->ice.stun[i]);
}

static void take_stun(struct family_check *family, const struct udp_behaviour *behaviour)
{
    struct family_evidence *evidence = family->evidence;

    /* A second round that heard nobody says less than a first one that did. */
    if (!evidence->has_stun || behaviour->seen_count >= evidence->stun.seen_count)
        evidence->stun = *behaviour;
    evidence->has_stun = true;
}

static void end(struct family_check *family)
{
    const struct protocol_evidence *udp = udp_of(family);

    if (udp->first.heard || udp->mapped.heard)
        check_found_open(family->check);
    check_end(family);
}

static void on_all(const struct udp_behaviour *behaviour, void *user)
{
    struct family_check *family = user;
    char line[REPORT_LINE_SIZE];

    take_stun(family, behaviour);
    report_stun_line(&family->check->evidence, family->family, line);
    check_line(family->check, line);
    end(family);
}

static void ask_all(struct family_check *family)
{
    struct servers servers = {.count = 0};

    gather_all(family, &servers);
    if (!servers.count || udp_discover(family->udp, servers.list, servers.count,
                              family->evidence->local, on_all, family))
        end(family);
}

/* --- the dial-backs -------------------------------------------------------------------------- */

static void after_datagram(uv_timer_t *timer)
{
    struct family_check *family = timer->data;
    struct dial_call *call = &family->dials[NAT_UDP];
    dial_then then = call->then;

    udp_expect(family->udp, NULL, NULL, NULL);
    tell(family, call->dial);
    then(family);
}

/* The index has sent what it sends; what is on its way may still come. */
static void wait_for_datagram(struct family_check *family, dial_then then)
{
    const struct dial *dial = family->dials[NAT_UDP].dial;
    bool wait = dial->result == DIAL_SENT && !dial->heard;

    family->dials[NAT_UDP].then = then;
    uv_timer_start(&family->datagram, after_datagram, wait ? CHECK_DATAGRAM_MS : 0, 0);
}

static void after_contacted(struct family_check *family)
{
    ask_all(family);
}

static void wait_contacted(struct family_check *family)
{
    wait_for_datagram(family, after_contacted);
}

/* From the address that STUN was spoken with: in most NATs it is let in now. */
static void dial_contacted(struct family_check *family)
{
    ask_dial(family, NAT_UDP, &udp_of(family)->contacted_in, family->udp_mapped, "contacted", 0,
        wait_contacted);
}

static void after_other(struct family_check *family)
{
    const struct dial *other = &udp_of(family)->other_in;

    /* Whom a stranger's datagram reaches a friend's does too. */
    if (other->heard || other->result != DIAL_SENT)
        ask_all(family);
    else
        dial_contacted(family);
}

static void wait_other(struct family_check *family)
{
    wait_for_datagram(family, after_other);
}

static void on_own(const struct udp_behaviour *behaviour, void *user)
{
    struct family_check *family = user;
    struct protocol_evidence *udp = udp_of(family);

    take_stun(family, behaviour);
    family->udp_mapped = behaviour->seen_count ? behaviour->seen[0].port : 0;
    if (!family->udp_mapped || !udp->first.listened)
        ask_all(family);
    else if (udp->first.result == DIAL_SENT && !udp->first.contacted)
        ask_dial(family, NAT_UDP, &udp->other_in, family->udp_mapped, "other", 0, wait_other);
    else
        dial_contacted(family);
}

/* First the index's own responder alone: a server at the address that dials next would open the
 * filter for it. */
static void ask_own(struct family_check *family)
{
    struct servers servers = {.count = 0};

    gather_own(family, &servers);
    if (servers.count)
        servers.count = 1;
    if (!servers.count || udp_discover(family->udp, servers.list, servers.count,
                              family->evidence->local, on_own, family))
        ask_all(family);
}

static void after_mapped(struct family_check *family)
{
    if (udp_of(family)->mapped.heard)
        end(family);
    else
        ask_own(family);
}

static void wait_mapped(struct family_check *family)
{
    wait_for_datagram(family, after_mapped);
}

static void after_first(struct family_check *family)
{
    struct protocol_evidence *udp = udp_of(family);
    const struct map_evidence *map = &family->check->evidence.map[NAT_UDP];
    bool other = family->family == NAT_IPV4 && map->made && map->port != udp->first.port;

    if (udp->first.heard && !family->check->config.thorough)
        end(family);
    else if (!udp->first.heard && other && udp->first.result == DIAL_SENT)
        ask_dial(family, NAT_UDP, &udp->mapped, map->port, NULL, 0, wait_mapped);
    else if (udp->first.heard)
        ask_all(family);
    else
        ask_own(family);
}

static void wait_first(struct family_check *family)
{
    wait_for_datagram(family, after_first);
}

void check_udp(struct family_check *family)
{
    struct signpost_check *check = family->check;
    struct protocol_evidence *udp = udp_of(family);
    uint16_t port = check->evidence.port;
    int error = check->evidence.no_listen
                    ? SIGNPOST_ERROR_ADDRESS
                    : udp_open(check->loop, family->family, port, &family->udp);
    bool dials = !error;

    udp->held = error == SIGNPOST_ERROR_ADDRESS && !check->evidence.no_listen;
    /* Where another program has the port, what STUN says of any other one holds for it too. */
    if (error == SIGNPOST_ERROR_ADDRESS)
        error = udp_open(check->loop, family->family, 0, &family->udp);
    if (error == SIGNPOST_ERROR_INVALID) {
        check_fail_port(check);
        return;
    }
    if (error) {
        check_fail(check, error, "no UDP socket: %s", signpost_strerror(error));
        return;
    }
    check_begin(family);
    if (dials)
        ask_dial(family, NAT_UDP, &udp->first, port, NULL, 0, wait_first);
    else
        ask_own(family);
}
