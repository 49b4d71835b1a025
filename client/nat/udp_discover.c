#include "udp_internal.h"

#include "secret.h"
#include "signpost.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RTO_MS 500 /* RFC 8489, 6.2.1: doubled after each send */
#define SENDS_MAX 7
#define OTHERS_MS 1000    /* for the other servers, once one has answered */
#define FILTERING_MS 1500 /* for an answer that a filter may hold back: three sends */
#define HOST_SIZE 256

static void advance(struct discovery *discovery);

/* --- probes ---------------------------------------------------------------------------------- */

static unsigned change_of(const struct probe *probe)
{
    switch (probe->kind) {
    case PROBE_OTHER_IP: return STUN_CHANGE_IP | STUN_CHANGE_PORT;
    case PROBE_OTHER_PORT: return STUN_CHANGE_PORT;
    default: return 0;
    }
}

static void send_probe(struct discovery *discovery, struct probe *probe, uint64_t now_ms)
{
    uint8_t bytes[STUN_REQUEST_SIZE];
    size_t size = stun_write_request(probe->id, change_of(probe), bytes);
    uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)size);
    /* Who waits for what a filter may hold back asks at an even pace. */
    uint64_t wait_ms = probe->kind == PROBE_MAPPING ? (uint64_t)RTO_MS << probe->sends : RTO_MS;

    probe->sent_ns = uv_hrtime();
    int sent =
        uv_udp_try_send(&discovery->udp->socket, &buffer, 1, (const struct sockaddr *)&probe->to);
    if (sent < 0 && !*discovery->detail)
        snprintf(
            discovery->detail, sizeof discovery->detail, "sending failed: %s", uv_strerror(sent));
    probe->sends++;
    probe->next_ms = probe->sends < SENDS_MAX ? now_ms + wait_ms : UINT64_MAX;
}

static bool has_probe(const struct discovery *discovery, const struct sockaddr_storage *to)
{
    for (size_t i = 0; i < discovery->probe_count; i++)
        if (udp_same_address(&discovery->probes[i].to, to) &&
            udp_port_of(&discovery->probes[i].to) == udp_port_of(to))
            return true;
    return false;
}

/* Of the places in the array some are kept for RFC 5780. */
static void add_probe(struct discovery *discovery, enum probe_kind kind,
    const struct sockaddr_storage *to, uint64_t until_ms, size_t most)
{
    struct probe *probe = &discovery->probes[discovery->probe_count];

    if (discovery->probe_count >= most || (kind == PROBE_MAPPING && has_probe(discovery, to)))
        return;
    *probe = (struct probe){.kind = kind, .to = *to, .until_ms = until_ms};
    if (!secret_random(probe->id, sizeof probe->id))
        discovery->probe_count++;
}

static void add_server(struct discovery *discovery, const struct sockaddr_storage *to)
{
    add_probe(discovery, PROBE_MAPPING, to, discovery->end_ms, UDP_SERVERS_MAX);
}

/* --- RFC 5780 -------------------------------------------------------------------------------- */

static bool is_contacted(const struct discovery *discovery, const struct sockaddr_storage *address)
{
    for (size_t i = 0; i < discovery->probe_count; i++)
        if (udp_same_address(&discovery->probes[i].to, address))
            return true;
    return false;
}

/* One of which the server says that it is another of its own; not one at which a stranger is. */
static bool is_other(const struct probe *probe, const struct sockaddr_storage *other)
{
    return other->ss_family == probe->to.ss_family && udp_port_of(other) != 0 &&
           !udp_same_address(other, &probe->to) && udp_port_of(other) != udp_port_of(&probe->to);
}

static void begin_filtering(
    struct discovery *discovery, const struct probe *probe, const struct sockaddr_storage *other)
{
    uint64_t until_ms = uv_now(discovery->udp->loop) + FILTERING_MS;

    discovery->server = probe->to;
    discovery->other = *other;
    discovery->stage = STAGE_FILTERING;
    /* An address that was sent to would be let in: nothing could be learned. */
    if (is_contacted(discovery, other))
        return;
    add_probe(discovery, PROBE_OTHER_IP, &discovery->server, until_ms, UDP_PROBES_MAX);
    add_probe(discovery, PROBE_OTHER_PORT, &discovery->server, until_ms, UDP_PROBES_MAX);
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)address)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
}

/* The same port at the other address, and the other port there (RFC 5780, 4.3). */
static void begin_other(struct discovery *discovery)
{
    uint64_t until_ms = uv_now(discovery->udp->loop) + OTHERS_MS;
    struct sockaddr_storage same_port = discovery->other;

    set_port(&same_port, udp_port_of(&discovery->server));
    add_probe(discovery, PROBE_MAPPING, &same_port, until_ms, UDP_PROBES_MAX);
    add_probe(discovery, PROBE_MAPPING, &discovery->other, until_ms, UDP_PROBES_MAX);
    discovery->stage = STAGE_OTHER;
}

/* --- answers --------------------------------------------------------------------------------- */

static bool came_from(const struct probe *probe, const struct sockaddr_storage *from)
{
    bool same_address = udp_same_address(&probe->to, from);
    bool same_port = udp_port_of(&probe->to) == udp_port_of(from);

    switch (probe->kind) {
    case PROBE_OTHER_IP: return !same_address;
    case PROBE_OTHER_PORT: return same_address && !same_port;
    default: return same_address && same_port;
    }
}

static void take_reply(struct discovery *discovery, struct probe *probe,
    const struct stun_reply *reply, const struct sockaddr_storage *from)
{
    uint64_t now_ms = uv_now(discovery->udp->loop);
    bool expected = came_from(probe, from);

    /* Someone else who knows the id has seen the request: not whom it was for. */
    if (probe->kind == PROBE_MAPPING && !expected)
        return;
    probe->answered = true;
    probe->over = true;
    probe->refused = reply->error || !expected || reply->mapped.ss_family != probe->to.ss_family;
    probe->mapped = reply->mapped;
    probe->rtt_us = (unsigned)((uv_hrtime() - probe->sent_ns) / 1000);
    if (probe->kind != PROBE_MAPPING)
        return;
    if (!discovery->answered)
        for (size_t i = 0; i < discovery->probe_count; i++)
            if (discovery->probes[i].until_ms > now_ms + OTHERS_MS)
                discovery->probes[i].until_ms = now_ms + OTHERS_MS;
    if (!discovery->answered && discovery->end_ms > now_ms + OTHERS_MS)
        discovery->end_ms = now_ms + OTHERS_MS;
    discovery->answered = true;
    if (discovery->stage == STAGE_NONE && !probe->refused && is_other(probe, &reply->other))
        begin_filtering(discovery, probe, &reply->other);
}

void discovery_take(struct udp *udp, const uint8_t *bytes, size_t size, const struct sockaddr *from)
{
    struct discovery *discovery = udp->discovery;
    struct sockaddr_storage source = {0};
    struct stun_reply reply;

    if (!discovery)
        return;
    memcpy(&source, from,
        from->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    for (size_t i = 0; i < discovery->probe_count; i++) {
        struct probe *probe = &discovery->probes[i];
        if (probe->over || !stun_read_reply(bytes, size, probe->id, &reply))
            continue;
        take_reply(discovery, probe, &reply, &source);
        break;
    }
    advance(discovery);
}

/* --- names ----------------------------------------------------------------------------------- */

struct name {
    char host[HOST_SIZE], port[8];
    int family;
    struct sockaddr_storage found[UDP_SERVERS_MAX];
    size_t count;
};

static void resolve(void *data)
{
    struct name *name = data;
    struct addrinfo hints = {.ai_family = name->family, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *list = NULL;

    if (getaddrinfo(name->host, name->port, &hints, &list))
        return;
    for (const struct addrinfo *at = list; at && name->count < UDP_SERVERS_MAX; at = at->ai_next)
        if (at->ai_addrlen <= sizeof name->found[0])
            memcpy(&name->found[name->count++], at->ai_addr, at->ai_addrlen);
    freeaddrinfo(list);
}

static void on_resolved(void *data, void *user)
{
    const struct name *name = data;
    struct lookup_job *lookup = user;
    struct discovery *discovery = lookup->discovery;

    lookup->job = NULL;
    for (size_t i = 0; i < name->count; i++)
        add_server(discovery, &name->found[i]);
    if (!name->count && !*discovery->detail)
        snprintf(discovery->detail, sizeof discovery->detail, "%.200s has no %s address",
            name->host, name->family == AF_INET ? "IPv4" : "IPv6");
    advance(discovery);
}

/* "HOST", "HOST:PORT", "[HOST]:PORT"; 3478 without a port (RFC 8489, 8.1). */
static bool split(const char *text, struct name *ret_name)
{
    bool bracket = text[0] == '[';
    const char *host = text + bracket;
    size_t length = strcspn(host, bracket ? "]" : ":");
    const char *rest = host[length] ? host + length + bracket : host + length;
    const char *digits = *rest == ':' ? rest + 1 : "3478";
    size_t count = strspn(digits, "0123456789");

    if (!length || length >= HOST_SIZE || (bracket && host[length] != ']') ||
        (*rest && *rest != ':') || !count || count > 5 || digits[count])
        return false;
    unsigned long port = strtoul(digits, NULL, 10);
    if (!port || port > UINT16_MAX)
        return false;
    memcpy(ret_name->host, host, length);
    snprintf(ret_name->port, sizeof ret_name->port, "%lu", port);
    return true;
}

static bool is_literal(const char *host)
{
    struct sockaddr_storage address;

    return !uv_ip4_addr(host, 1, (struct sockaddr_in *)&address) ||
           !uv_ip6_addr(host, 1, (struct sockaddr_in6 *)&address);
}

/* Those of the other family are passed over. */
static void add_literal(struct discovery *discovery, const struct name *name)
{
    struct sockaddr_storage address = {0};
    int port = (int)strtol(name->port, NULL, 10);
    int error = name->family == AF_INET
                    ? uv_ip4_addr(name->host, port, (struct sockaddr_in *)&address)
                    : uv_ip6_addr(name->host, port, (struct sockaddr_in6 *)&address);

    if (!error)
        add_server(discovery, &address);
}

static int begin_server(struct discovery *discovery, const char *text)
{
    static const struct job_calls calls = {.work = resolve, .done = on_resolved, .drop = free};
    struct udp *udp = discovery->udp;
    struct name *name = calloc(1, sizeof *name);

    if (!name)
        return SIGNPOST_ERROR_NO_MEMORY;
    name->family = udp->family == NAT_IPV4 ? AF_INET : AF_INET6;
    if (!split(text, name)) {
        snprintf(discovery->detail, sizeof discovery->detail,
            "\"%.100s\" is no STUN server: HOST or HOST:PORT", text);
        free(name);
        return 0;
    }
    if (is_literal(name->host)) {
        add_literal(discovery, name);
        free(name);
        return 0;
    }
    struct lookup_job *lookup = &discovery->lookups[discovery->lookup_count++];
    lookup->discovery = discovery;
    return job_start(udp->loop, &calls, name, lookup, &lookup->job);
}

/* --- its course ------------------------------------------------------------------------------ */

void discovery_free(struct discovery *discovery)
{
    if (!discovery)
        return;
    for (size_t i = 0; i < discovery->lookup_count; i++)
        job_abandon(discovery->lookups[i].job);
    free(discovery);
}

static void finish(struct discovery *discovery)
{
    struct udp *udp = discovery->udp;
    struct udp_behaviour behaviour;
    udp_discovered done = discovery->done;
    void *user = discovery->user;

    udp_judge(discovery, &behaviour);
    udp->discovery = NULL;
    uv_timer_stop(&udp->timer);
    discovery_free(discovery);
    done(&behaviour, user);
}

static void on_timer(uv_timer_t *timer)
{
    const struct udp *udp = timer->data;
    advance(udp->discovery);
}

/* Does what is due. The time of the next thing to do; UINT64_MAX: there is none. */
static uint64_t act(struct discovery *discovery, uint64_t now_ms)
{
    uint64_t due_ms = UINT64_MAX;

    for (size_t i = 0; i < discovery->lookup_count; i++) {
        struct lookup_job *lookup = &discovery->lookups[i];
        if (lookup->job && now_ms >= discovery->end_ms) {
            job_abandon(lookup->job);
            lookup->job = NULL;
        }
        if (lookup->job && discovery->end_ms < due_ms)
            due_ms = discovery->end_ms;
    }
    for (size_t i = 0; i < discovery->probe_count; i++) {
        struct probe *probe = &discovery->probes[i];
        probe->over = probe->over || now_ms >= probe->until_ms;
        if (probe->over)
            continue;
        if (now_ms >= probe->next_ms)
            send_probe(discovery, probe, now_ms);
        uint64_t next_ms = probe->next_ms < probe->until_ms ? probe->next_ms : probe->until_ms;
        if (next_ms < due_ms)
            due_ms = next_ms;
    }
    return due_ms;
}

static bool is_filtering_over(const struct discovery *discovery)
{
    for (size_t i = 0; i < discovery->probe_count; i++)
        if (discovery->probes[i].kind != PROBE_MAPPING && !discovery->probes[i].over)
            return false;
    return true;
}

static void advance(struct discovery *discovery)
{
    struct udp *udp = discovery->udp;
    uint64_t now_ms = uv_now(udp->loop);
    uint64_t due_ms = act(discovery, now_ms);

    if (discovery->stage == STAGE_FILTERING && is_filtering_over(discovery)) {
        begin_other(discovery);
        due_ms = act(discovery, now_ms);
    }
    /* From the timer, so that it never comes from inside udp_discover(). */
    if (due_ms == UINT64_MAX && !uv_is_active((uv_handle_t *)&udp->timer))
        finish(discovery);
    else
        uv_timer_start(&udp->timer, on_timer,
            due_ms == UINT64_MAX || due_ms < now_ms ? 0 : due_ms - now_ms, 0);
}

int udp_discover(struct udp *udp, const char *const *servers, size_t count, const char *local,
    udp_discovered done, void *user)
{
    struct discovery *discovery;
    int error = 0;

    if (udp->discovery || !count || count > UDP_SERVERS_MAX)
        return SIGNPOST_ERROR_INVALID;
    discovery = calloc(1, sizeof *discovery);
    if (!discovery)
        return SIGNPOST_ERROR_NO_MEMORY;
    uv_update_time(udp->loop);
    discovery->udp = udp;
    discovery->done = done;
    discovery->user = user;
    discovery->end_ms = uv_now(udp->loop) + UDP_ANSWER_MS;
    snprintf(discovery->local, sizeof discovery->local, "%s", local);
    for (size_t i = 0; i < count && !error; i++)
        error = begin_server(discovery, servers[i]);
    if (error) {
        discovery_free(discovery);
        return error;
    }
    udp->discovery = discovery;
    uv_timer_start(&udp->timer, on_timer, 0, 0);
    return 0;
}
