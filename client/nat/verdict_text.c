#include "verdict_text.h"

#include "facts.h"
#include "verdict_advice.h"
#include "words.h"

#include <string.h>

/* --- what was seen --------------------------------------------------------------------------- */

/* " from 198.51.100.1", " from 198.51.100.1, which this machine had contacted" */
static void add_from(struct words *words, const struct dial *dial)
{
    if (dial->from[0])
        words_add(words, " from %s", dial->from);
    if (dial->from[0] && dial->contacted)
        words_add(words, ", which this machine had contacted");
}

/* What came of one try, as the end of a sentence. */
static void add_outcome(struct words *words, const struct dial *dial)
{
    switch (facts_reached(dial)) {
    case REACHED_US: words_add(words, "it was reached"); break;
    case REACHED_ANOTHER: words_add(words, "another device took the connection"); break;
    case REACHED_UNPROVED: words_add(words, "the connection was taken"); break;
    case REACHED_REFUSAL: words_add(words, "it refused the connection"); break;
    case REACHED_UNREACHABLE: words_add(words, "a router said that it cannot be reached"); break;
    case REACHED_NOBODY: words_add(words, "it did not answer"); break;
    case REACHED_UNTESTED: words_add(words, "nothing was found out"); break;
    }
}

static void see_open(struct words *words, const struct scene *scene)
{
    const struct dial *dial = scene->reason->dial;

    if (scene->reason->protocol == NAT_UDP) {
        words_add(words, "A datagram");
        add_from(words, dial);
        words_add(words,
            " to %s arrived at this machine (%s), although nothing had been sent from "
            "the port before.",
            scene->place, scene->machine);
        return;
    }
    words_add(words, "%s was reached by TCP", scene->place);
    add_from(words, dial);
    if (dial->result == DIAL_OPEN)
        words_add(words, ", and it was this machine (%s) that answered.", scene->machine);
    else if (scene->protocol->held)
        words_add(words,
            ". A program on this machine (%s) holds the port, so it should be that "
            "one which answered; that was not proved.",
            scene->machine);
    else
        words_add(words,
            ". That it was a program on this machine (%s) was not proved, since this "
            "check did not listen itself.",
            scene->machine);
}

static void see_nothing_listens(struct words *words, const struct scene *scene)
{
    words_add(words,
        "%s refused the connection as long as nobody listened on TCP port %u of this "
        "machine (%s), and was reached once this check listened there itself.",
        scene->place, scene->port, scene->machine);
}

static void see_rejected(struct words *words, const struct scene *scene)
{
    const struct dial *dial = scene->reason->dial;

    if (dial->result == DIAL_UNREACHABLE) {
        words_add(words, "A router on the way said that %s cannot be reached by TCP (tried",
            scene->place);
        add_from(words, dial);
        words_add(words,
            "): it leads to a machine that is off or has another address now, or a "
            "firewall rejects what comes in. This machine is %s.",
            scene->machine);
        return;
    }
    words_add(words, "%s refused the TCP connection", scene->place);
    add_from(words, dial);
    if (dial->listened)
        words_add(words,
            ", although this check was listening on port %u of this machine (%s): the "
            "router or a firewall refuses it.",
            scene->port, scene->machine);
    else
        words_add(words, ", although a program on this machine (%s) holds port %u.", scene->machine,
            scene->port);
}

static void see_filtered(struct words *words, const struct scene *scene)
{
    const struct dial *dial = scene->reason->dial, *other = scene->reason->other;

    words_add(words, "%s did not answer by TCP (tried", scene->place);
    add_from(words, dial);
    if (other && facts_reached(other) != REACHED_UNTESTED && other->from[0] &&
        strcmp(other->from, dial->from) != 0) {
        words_add(words, ", and");
        add_from(words, other);
    }
    words_add(words, "; ");
    words_add_time(words, dial->ms);
    words_add(words,
        "): no way in leads to this machine (%s), or something on it swallows what comes.",
        scene->machine);
}

static void see_elsewhere(struct words *words, const struct scene *scene)
{
    words_add(words,
        "Something took the TCP connection at %s, but it was not this machine: this "
        "check was listening on port %u of %s, and nothing came.",
        scene->place, scene->port, scene->machine);
}

static void see_other_port(struct words *words, const struct scene *scene)
{
    const struct map_evidence *map = &scene->evidence->map[scene->reason->protocol];

    words_add(words, "The router did not give port %u to this machine (%s) but another one",
        scene->port, scene->machine);
    if (map->made)
        words_add(words, ", %u (by %s)", map->port, facts_gateway_name(map->by));
    words_add(words, "; that one works: %s was reached by %s", scene->place, scene->name);
    add_from(words, scene->reason->dial);
    words_add(words, ".");
}

static void add_claim(struct words *words, const struct outer *outer)
{
    words_add(words, "%s (by %s", outer->address, facts_gateway_name(outer->by));
    if (outer->other)
        words_add(words, "; by %s it says %s", facts_gateway_name(outer->other_by), outer->other);
    words_add(words, ")");
}

static void see_cgnat(struct words *words, const struct scene *scene)
{
    const struct family_evidence *family = scene->family;
    struct outer outer = facts_outer(scene->evidence);

    if (scene->reason->ground == GROUND_ROUTER && outer.address) {
        words_add(words, "Your router%s says that its own outer address is ", scene->at_router);
        add_claim(words, &outer);
        words_add(words, ".");
    } else if (scene->reason->ground == GROUND_LOCAL) {
        words_add(words, "This machine has the address %s.", family->local);
    } else {
        words_add(words, "On the way to the index comes %s as router number %u.",
            family->hops.address[scene->reason->hop], (unsigned)scene->reason->hop + 1);
    }
    words_add(words,
        " Addresses like this are used between an internet provider and its "
        "customers. So %s, where the index sees this machine (%s), seems to be shared "
        "by several customers, and what comes to port %u there does not find its way.",
        scene->seen, scene->machine, scene->port);
}

static void see_double_nat(struct words *words, const struct scene *scene)
{
    const struct family_evidence *family = scene->family;
    struct outer outer = facts_outer(scene->evidence);

    if (scene->reason->ground == GROUND_ROUTER && outer.address) {
        words_add(words, "Your router%s says that its own outer address is ", scene->at_router);
        add_claim(words, &outer);
        words_add(words, ", a private one: there is a second router");
    } else if (scene->reason->ground == GROUND_ROUTER_NONE) {
        words_add(words,
            "Your router%s says that it has no outer address (by %s): it seems that a "
            "second router is",
            scene->at_router, facts_gateway_name(outer.by));
    } else {
        words_add(words,
            "The first two routers on the way to the index, %s and %s, both have "
            "private addresses: there seem to be two routers",
            family->hops.address[0], family->hops.address[1]);
    }
    words_add(words,
        " between this machine (%s) and the internet, where it is seen at %s. What "
        "comes to port %u stops at the outer one.",
        scene->machine, scene->seen, scene->port);
}

static void see_mismatch(struct words *words, const struct scene *scene)
{
    struct outer outer = facts_outer(scene->evidence);

    words_add(words, "Your router%s says that its outer address is ", scene->at_router);
    if (outer.address)
        add_claim(words, &outer);
    words_add(words,
        ", but the index sees this machine (%s) at %s: what it sends goes another way, "
        "and what comes to port %u there does not reach the router.",
        scene->machine, scene->seen, scene->port);
}

/* Whether anything arrives unasked, as a sentence. */
static void add_unheard(struct words *words, const struct scene *scene)
{
    const struct dial *dial = scene->reason->dial;

    if (dial && facts_reached(dial) != REACHED_UNTESTED) {
        words_add(words, "Nothing");
        add_from(words, dial);
        words_add(words, " arrived unasked at %s by UDP.", scene->place);
        return;
    }
    words_add(words, "Whether anything arrives unasked at %s by UDP was not tested", scene->place);
    if (dial && facts_is_refusal(dial) && dial->detail[0]) {
        words_add(words, " (");
        words_add_detail(words, dial->detail);
        words_add(words, ")");
    } else if (scene->protocol->held || scene->evidence->no_listen) {
        words_add(words, ", since this check does not listen there itself");
    }
    words_add(words, ".");
}

static void see_restricted(struct words *words, const struct scene *scene)
{
    const struct dial *dial = scene->reason->dial;
    const struct protocol_evidence *udp = scene->protocol;

    if (scene->reason->protocol == NAT_TCP) {
        words_add(words, "%s was reached by TCP", scene->place);
        add_from(words, scene->reason->other);
        words_add(words, "; but when it was tried");
        add_from(words, dial);
        words_add(words, ", which it had not, ");
        add_outcome(words, dial);
        words_add(words,
            ". Something between lets only those in whom this machine (%s) has "
            "contacted.",
            scene->machine);
        return;
    }
    add_unheard(words, scene);
    if (facts_reached(&udp->contacted_in) == REACHED_US) {
        words_add(words, " Once this machine (%s) had sent, a datagram", scene->machine);
        add_from(words, &udp->contacted_in);
        words_add(words, ", arrived, and one");
        add_from(words, &udp->other_in);
        words_add(words, " did not: only those get in to whom it has sent.");
    } else {
        words_add(words,
            " A STUN server (which tells how a router treats UDP) has shown that only "
            "those get in to whom this machine (%s) has sent.",
            scene->machine);
    }
}

static void add_first_seen(struct words *words, const struct scene *scene)
{
    const struct udp_behaviour *stun = &scene->family->stun;
    char endpoint[NAT_ENDPOINT_SIZE];

    if (stun->seen_count == 0)
        return;
    facts_endpoint(stun->seen[0].address, stun->seen[0].port, endpoint);
    words_add(words, " as %s", endpoint);
}

static void see_punchable(struct words *words, const struct scene *scene)
{
    const struct udp_behaviour *stun = &scene->family->stun;
    const struct protocol_evidence *udp = scene->protocol;

    add_unheard(words, scene);
    if (facts_reached(&udp->other_in) == REACHED_US) {
        words_add(words, " But once this machine (%s) had sent from port %u, a datagram",
            scene->machine, scene->port);
        add_from(words, &udp->other_in);
        words_add(words, " arrived.");
    } else if (stun->mapping == NAT_MAPPING_NONE) {
        words_add(words,
            " No router changes the address of this machine (%s), so it is a firewall "
            "that keeps things out; what answers a datagram of ours gets in.",
            scene->machine);
    } else {
        words_add(words, " But whomever this machine (%s) sends to sees it", scene->machine);
        add_first_seen(words, scene);
        words_add(words, ", always the same, so peers know where to send.");
    }
}

static void see_symmetric(struct words *words, const struct scene *scene)
{
    const struct udp_behaviour *stun = &scene->family->stun;

    add_unheard(words, scene);
    words_add(words,
        " The router gives this machine (%s) another outer port for each one that it sends to",
        scene->machine);
    for (size_t i = 1; i < stun->seen_count && i < UDP_SERVERS_MAX; i++) {
        const struct udp_seen *one = &stun->seen[0], *other = &stun->seen[i];
        char endpoint[NAT_ENDPOINT_SIZE];
        if (one->port == other->port && facts_same_address(one->address, other->address))
            continue;
        facts_endpoint(other->address, other->port, endpoint);
        words_add(words, ": it was seen");
        add_first_seen(words, scene);
        words_add(words, " and as %s", endpoint);
        break;
    }
    words_add(words, ". So a peer cannot know where to send.");
}

static void see_udp_blocked(struct words *words, const struct scene *scene)
{
    const unsigned asked = (unsigned)scene->family->stun.asked;

    words_add(words,
        "%u STUN server%s asked by UDP from this machine (%s, seen at %s), and none "
        "answered, while the index answers by TCP: something on the way blocks UDP, "
        "and so port %u.",
        asked, asked == 1 ? " was" : "s were", scene->machine, scene->seen, scene->port);
}

/* --- what nothing was learned from ----------------------------------------------------------- */

static void see_disagreement(struct words *words, const struct scene *scene)
{
    const struct dial *dials[] = {scene->reason->dial, scene->reason->other};

    words_add(words,
        "Two tries to reach %s by %s (this machine is %s) do not go together:", scene->place,
        scene->name, scene->machine);
    for (size_t i = 0; i < 2; i++) {
        words_add(words, i == 0 ? " tried" : "; tried again");
        add_from(words, dials[i]);
        words_add(words, ", ");
        add_outcome(words, dials[i]);
    }
    words_add(words, ".");
}

static void see_untested(struct words *words, const struct scene *scene)
{
    const struct dial *dial = scene->reason->dial;

    words_add(words, "%s port %u of this machine (%s, seen at %s) could not be tested", scene->name,
        scene->port, scene->machine, scene->seen);
    if (dial && dial->detail[0]) {
        words_add(words, ": ");
        words_add_detail(words, dial->detail);
    } else if (!dial && (scene->protocol->held || scene->evidence->no_listen)) {
        words_add(words, ", since this check does not listen there itself");
    }
    words_add(words, ".");
}

static void see_inconclusive(struct words *words, const struct scene *scene)
{
    const struct udp_behaviour *stun = &scene->family->stun;

    switch (scene->reason->ground) {
    case GROUND_DISAGREE: see_disagreement(words, scene); break;
    case GROUND_UNPROVED:
        words_add(words,
            "%s took the TCP connection, and meanwhile one came to port %u of this "
            "machine (%s) too; but the proof that it was the same was not seen.",
            scene->place, scene->port, scene->machine);
        break;
    case GROUND_NOBODY:
        words_add(words,
            "%s refused the TCP connection, and nobody was listening on port %u of "
            "this machine (%s): whether it would be refused otherwise was not tested",
            scene->place, scene->port, scene->machine);
        if (scene->reason->other->detail[0]) {
            words_add(words, " (");
            words_add_detail(words, scene->reason->other->detail);
            words_add(words, ")");
        }
        words_add(words, ".");
        break;
    case GROUND_NO_STUN:
        add_unheard(words, scene);
        words_add(words,
            " No STUN server is known that would tell how UDP from this machine (%s) "
            "is treated on the way.",
            scene->machine);
        break;
    case GROUND_ONE_STUN:
        add_unheard(words, scene);
        words_add(words, " A STUN server at %s sees this machine (%s)", stun->seen[0].server,
            scene->machine);
        add_first_seen(words, scene);
        words_add(words, "; whether others see the same cannot be told from one address.");
        break;
    default: see_untested(words, scene); break;
    }
}

/* --- all of it ------------------------------------------------------------------------------- */

static void see(struct words *words, const struct scene *scene)
{
    switch (scene->reason->verdict) {
    case SIGNPOST_VERDICT_OPEN: see_open(words, scene); break;
    case SIGNPOST_VERDICT_NOTHING_LISTENS: see_nothing_listens(words, scene); break;
    case SIGNPOST_VERDICT_REJECTED: see_rejected(words, scene); break;
    case SIGNPOST_VERDICT_FILTERED: see_filtered(words, scene); break;
    case SIGNPOST_VERDICT_ELSEWHERE: see_elsewhere(words, scene); break;
    case SIGNPOST_VERDICT_OTHER_PORT: see_other_port(words, scene); break;
    case SIGNPOST_VERDICT_CGNAT: see_cgnat(words, scene); break;
    case SIGNPOST_VERDICT_DOUBLE_NAT: see_double_nat(words, scene); break;
    case SIGNPOST_VERDICT_MISMATCH: see_mismatch(words, scene); break;
    case SIGNPOST_VERDICT_RESTRICTED: see_restricted(words, scene); break;
    case SIGNPOST_VERDICT_PUNCHABLE: see_punchable(words, scene); break;
    case SIGNPOST_VERDICT_SYMMETRIC: see_symmetric(words, scene); break;
    case SIGNPOST_VERDICT_UDP_BLOCKED: see_udp_blocked(words, scene); break;
    case SIGNPOST_VERDICT_INCONCLUSIVE: see_inconclusive(words, scene); break;
    }
}

static void set_scene(
    struct scene *scene, const struct evidence *evidence, const struct reason *reason)
{
    const struct family_evidence *family = &evidence->families[reason->family];
    const char *router = family->gateway;

    if (!router[0] && reason->family == NAT_IPV4 && evidence->has_gateway)
        router = evidence->gateway.address;
    *scene = (struct scene){
        .evidence = evidence,
        .reason = reason,
        .family = family,
        .protocol = &family->by[reason->protocol],
        .name = reason->protocol == NAT_UDP ? "UDP" : "TCP",
        .port = evidence->port,
        .machine = family->local[0] ? family->local : "address not known",
        .seen = family->observed[0] ? family->observed : "an address not known",
    };
    if (reason->dial && reason->dial->target[0])
        (void)memcpy(scene->place, reason->dial->target, sizeof scene->place);
    else
        facts_endpoint(family->observed,
            reason->dial && reason->dial->port ? reason->dial->port : evidence->port, scene->place);
    if (router[0]) {
        struct words words;
        words_begin(&words, scene->at_router, sizeof scene->at_router);
        words_add(&words, " at %s", router);
    }
}

void verdict_tell(
    const struct evidence *evidence, const struct reason *reason, struct finding *ret_finding)
{
    struct scene scene;
    struct words words;

    ret_finding->verdict = reason->verdict;
    ret_finding->family = reason->family;
    ret_finding->protocol = reason->protocol;
    set_scene(&scene, evidence, reason);
    words_begin(&words, ret_finding->why, sizeof ret_finding->why);
    see(&words, &scene);
    words_begin(&words, ret_finding->advice, sizeof ret_finding->advice);
    verdict_advise(&words, &scene);
}
