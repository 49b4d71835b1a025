#include "verdict_advice.h"

#include "facts.h"

#include <string.h>

/* What keeps others out, and so what has to be set up. */
enum setting {
    SETTING_ROUTER, /* a router translates: forward a port */
    SETTING_BARE,   /* IPv4 without a NAT: a server, most often in a cloud */
    SETTING_IPV6    /* nothing to forward; the router's firewall lets in */
};

static enum setting setting_of(const struct scene *scene)
{
    if (scene->reason->family == NAT_IPV6)
        return SETTING_IPV6;
    return facts_nat(scene->family) == NAT_NO ? SETTING_BARE : SETTING_ROUTER;
}

static const struct map_evidence *map_of(const struct scene *scene)
{
    return &scene->evidence->map[scene->reason->protocol];
}

/* The first protocol by which the router can be asked for a mapping; GATEWAY_PROTOCOLS: none. */
static enum gateway_protocol speaks(const struct scene *scene)
{
    enum gateway_protocol by = 0;

    if (!scene->evidence->has_gateway)
        return GATEWAY_PROTOCOLS;
    while (by < GATEWAY_PROTOCOLS && scene->evidence->gateway.by[by].present != NAT_YES)
        by++;
    return by;
}

static bool is_in_a_container(const struct scene *scene)
{
    return strncmp(scene->family->local, "172.17.", 7) == 0;
}

/* Servers in clouds have a private address too, and a NAT that forwards every port. */
static bool may_be_in_a_cloud(const struct scene *scene)
{
    return facts_address(scene->family->local) == ADDRESS_PRIVATE && !is_in_a_container(scene) &&
           strncmp(scene->family->local, "192.168.", 8) != 0 && speaks(scene) == GATEWAY_PROTOCOLS;
}

static void add_container(struct words *words, const struct scene *scene)
{
    if (is_in_a_container(scene))
        words_add(words,
            " %s looks like the address of a Docker container: publish the port from it as well "
            "(-p %u:%u%s).",
            scene->machine, scene->port, scene->port,
            scene->reason->protocol == NAT_UDP ? "/udp" : "");
}

/* The router can be asked, or was. */
static void add_asking(struct words *words, const struct scene *scene)
{
    const struct map_evidence *map = map_of(scene);
    enum gateway_protocol by = speaks(scene);

    if (map->asked && !map->made && map->detail[0]) {
        words_add(words, " Asked to do so by itself, the router did not: ");
        words_add_detail(words, map->detail);
        words_add(words, ".");
    } else if (!map->asked && by < GATEWAY_PROTOCOLS) {
        words_add(words, " It may also do so when it is asked (by %s): check with --map.",
            facts_gateway_name(by));
    }
}

/* How to let this port in: the heart of most advice. */
static void add_way_in(struct words *words, const struct scene *scene)
{
    const char *name = scene->name, *machine = scene->machine;
    const unsigned port = scene->port;

    switch (setting_of(scene)) {
    case SETTING_ROUTER:
        if (map_of(scene)->made) {
            words_add(words,
                "The router%s says (by %s) that it leads %s port %u to port %u of this machine "
                "already. So look here: allow the port in the firewall of %s.",
                scene->at_router, facts_gateway_name(map_of(scene)->by), name, map_of(scene)->port,
                port, machine);
            break;
        }
        words_add(words,
            "Add a port forward on the router%s: %s port %u to %s port %u; and allow the port in "
            "the firewall of this machine.",
            scene->at_router, name, port, machine, port);
        add_asking(words, scene);
        if (may_be_in_a_cloud(scene))
            words_add(words, " On a server in a cloud, allow it in the provider's firewall "
                             "(security group) instead.");
        break;
    case SETTING_BARE:
        words_add(words,
            "No router has to be set up, since %s is this machine's own address: allow %s port %u "
            "in the firewall of this machine and, if it is a server in a cloud, in the provider's "
            "firewall (security group).",
            machine, name, port);
        break;
    case SETTING_IPV6:
        words_add(words,
            "IPv6 needs no forwarding: allow %s port %u to %s in the IPv6 firewall of the router%s "
            "(often called a pinhole) and in the firewall of this machine; in a cloud, in the "
            "provider's firewall (security group).",
            name, port, machine, scene->at_router);
        break;
    }
    add_container(words, scene);
}

static const char *any_address(const struct scene *scene)
{
    return scene->reason->family == NAT_IPV6 ? ":: and not ::1" : "0.0.0.0 and not 127.0.0.1";
}

/* --- for each verdict ------------------------------------------------------------------------ */

static void advise_open(struct words *words, const struct scene *scene)
{
    const char *observed = scene->family->observed;
    bool public = facts_address(observed) == ADDRESS_PUBLIC;
    bool loopback = !strcmp(observed, "127.0.0.1") || !strcmp(observed, "::1");

    words_add(words, "%s can %s %s by %s.",
        public     ? "Anyone on the internet"
        : loopback ? "Programs of this machine"
                   : "Whoever shares a network with the index",
        scene->reason->protocol == NAT_UDP ? "send to" : "connect to", scene->place, scene->name);
    if (scene->reason->protocol == NAT_TCP && scene->reason->dial->result == DIAL_CONNECTED)
        words_add(words,
            " To have it proved that this machine answers, stop the program that uses port %u for "
            "a moment, and check again without --no-listen.",
            scene->port);
}

static void advise_rejected(struct words *words, const struct scene *scene)
{
    if (!scene->reason->dial->listened && scene->reason->dial->result == DIAL_REFUSED)
        words_add(words,
            "See that the program on port %u listens on all addresses (%s). If it does so already, "
            "the way in is closed. ",
            scene->port, any_address(scene));
    add_way_in(words, scene);
}

static void advise_filtered(struct words *words, const struct scene *scene)
{
    add_way_in(words, scene);
    if (setting_of(scene) == SETTING_ROUTER && !map_of(scene)->made)
        words_add(words,
            " If there is a forward already, see that it leads to %s, which may have been another "
            "address when it was set up.",
            scene->machine);
}

static void advise_elsewhere(struct words *words, const struct scene *scene)
{
    switch (setting_of(scene)) {
    case SETTING_ROUTER:
        words_add(words,
            "Change the port forward on the router%s: TCP port %u has to lead to %s port %u. Where "
            "there is none, the router itself may be using the port (for its remote "
            "administration): choose another one.",
            scene->at_router, scene->port, scene->machine, scene->port);
        break;
    case SETTING_BARE:
    case SETTING_IPV6:
        words_add(words,
            "%s is this machine's own address, so something in front of it takes its connections "
            "(a load balancer, a firewall, a VPN): see that it passes TCP port %u on, or choose "
            "another port.",
            scene->machine, scene->port);
        break;
    }
    add_container(words, scene);
}

static void advise_other_port(struct words *words, const struct scene *scene)
{
    words_add(words,
        "Tell others %s (%s) instead of port %u. If it has to be port %u, look in the router%s for "
        "whom it is forwarded to now, and remove that; then it can lead to %s.",
        scene->place, scene->name, scene->port, scene->port, scene->at_router, scene->machine);
}

static void advise_cgnat(struct words *words, const struct scene *scene)
{
    words_add(words,
        "A port forward on your own router cannot help. Ask your internet provider for a public "
        "IPv4 address of your own (many give one for the asking, or for a small fee); or use IPv6, "
        "or UDP hole punching, or a server elsewhere that passes on what comes for %s port %u of "
        "%s.",
        scene->name, scene->port, scene->machine);
    if (scene->reason->ground == GROUND_LOCAL)
        words_add(words, " If that address is one of a VPN, switch it off and check again.");
    add_container(words, scene);
}

static void advise_double_nat(struct words *words, const struct scene *scene)
{
    const struct outer outer = facts_outer(scene->evidence);
    const bool told = scene->reason->ground == GROUND_ROUTER && outer.address;

    words_add(words,
        "Set the outer router, most often the box of your internet provider, to bridge mode, so "
        "that one router is left. Or forward %s port %u on both: on the outer one to ",
        scene->name, scene->port);
    if (told)
        words_add(words, "%s", outer.address);
    else
        words_add(words, "the inner one");
    words_add(words, ", and on the inner one%s to %s port %u.", scene->at_router, scene->machine,
        scene->port);
    add_container(words, scene);
}

static void advise_mismatch(struct words *words, const struct scene *scene)
{
    struct outer outer = facts_outer(scene->evidence);
    char endpoint[NAT_ENDPOINT_SIZE];

    facts_endpoint(outer.address ? outer.address : scene->seen, scene->evidence->port, endpoint);
    words_add(words,
        "If a VPN or a proxy is on, switch it off for this machine and check again, or have the "
        "port forwarded at the VPN's end. If you have two internet connections, the port may be "
        "open at %s, by the other one: %s port %u has to lead to %s there.",
        endpoint, scene->name, scene->port, scene->machine);
}

static void advise_restricted(struct words *words, const struct scene *scene)
{
    if (scene->reason->protocol == NAT_UDP) {
        words_add(words, "A peer reaches this machine if both send at about the same time (hole "
                         "punching). To be reached by anyone, open a way in. ");
        add_way_in(words, scene);
        return;
    }
    words_add(words,
        "The way in is there, but a rule says who may use it. Allow TCP port %u to %s from any "
        "address: in the router%s, in the firewall of this machine and, on a server in a cloud, in "
        "the provider's firewall (security group).",
        scene->port, scene->machine, scene->at_router);
}

static void advise_udp_blocked(struct words *words, const struct scene *scene)
{
    words_add(words,
        "Only TCP can work here: check the port with --protocol tcp. If you can change the "
        "firewall of this machine (%s) or of its network, allow outgoing UDP and, to be reached, "
        "incoming UDP to port %u.",
        scene->machine, scene->port);
}

static void advise_inconclusive(struct words *words, const struct scene *scene)
{
    const struct dial *dial = scene->reason->dial;

    switch (scene->reason->ground) {
    case GROUND_NOBODY:
        words_add(words,
            "Start your program on TCP port %u of %s, or check without --no-listen, and run this "
            "again.",
            scene->port, scene->machine);
        break;
    case GROUND_NO_STUN:
    case GROUND_ONE_STUN:
        words_add(words, "Name a STUN server that answers at two addresses (--stun-server "
                         "HOST:PORT), or several of them. Or open a way in, which always helps. ");
        add_way_in(words, scene);
        break;
    case GROUND_NOT_TRIED:
        words_add(words,
            "Stop the program that uses port %u for a moment and check without --no-listen, or "
            "name a STUN server (--stun-server HOST:PORT).",
            scene->port);
        break;
    case GROUND_REFUSED:
        if (dial && dial->result == DIAL_FORBIDDEN)
            words_add(
                words, "Check another port than %u, or by way of another index.", scene->port);
        else
            words_add(words, "Run the check of port %u again in a few minutes.", scene->port);
        break;
    default:
        words_add(words,
            "Run the check again. If it stays so, %s port %u at the router%s may lead now to %s "
            "and now to another machine, or a firewall on the way allows only a few connections a "
            "minute.",
            scene->name, scene->port, scene->at_router, scene->machine);
        break;
    }
}

void verdict_advise(struct words *words, const struct scene *scene)
{
    switch (scene->reason->verdict) {
    case SIGNPOST_VERDICT_OPEN: advise_open(words, scene); break;
    case SIGNPOST_VERDICT_NOTHING_LISTENS:
        words_add(words,
            "The way in works. Start your program on TCP port %u of %s, and have it listen on all "
            "addresses (%s).",
            scene->port, scene->machine, any_address(scene));
        break;
    case SIGNPOST_VERDICT_REJECTED: advise_rejected(words, scene); break;
    case SIGNPOST_VERDICT_FILTERED: advise_filtered(words, scene); break;
    case SIGNPOST_VERDICT_ELSEWHERE: advise_elsewhere(words, scene); break;
    case SIGNPOST_VERDICT_OTHER_PORT: advise_other_port(words, scene); break;
    case SIGNPOST_VERDICT_CGNAT: advise_cgnat(words, scene); break;
    case SIGNPOST_VERDICT_DOUBLE_NAT: advise_double_nat(words, scene); break;
    case SIGNPOST_VERDICT_MISMATCH: advise_mismatch(words, scene); break;
    case SIGNPOST_VERDICT_RESTRICTED: advise_restricted(words, scene); break;
    case SIGNPOST_VERDICT_PUNCHABLE:
        words_add(words, "Direct UDP should work with most peers, if both send at about the same "
                         "time (hole punching). To be reached unasked too, open a way in. ");
        add_way_in(words, scene);
        break;
    case SIGNPOST_VERDICT_SYMMETRIC:
        words_add(words, "Direct UDP works only with peers that can be reached themselves. ");
        add_way_in(words, scene);
        break;
    case SIGNPOST_VERDICT_UDP_BLOCKED: advise_udp_blocked(words, scene); break;
    case SIGNPOST_VERDICT_INCONCLUSIVE: advise_inconclusive(words, scene); break;
    }
}
