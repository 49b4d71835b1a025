#include "check_internal.h"

#include "report.h"

static void tell(struct family_check *family, const struct dial *dial)
{
    char line[REPORT_LINE_SIZE];

    report_dial_line(&family->check->evidence, family->family, NAT_TCP, dial, line);
    check_line(family->check, line);
}

static struct protocol_evidence *tcp_of(struct family_check *family)
{
    return &family->evidence->by[NAT_TCP];
}

/* Did it lead to the program that is to be reached, as far as can be told? Where we listen
 * ourselves only the proof counts. */
static bool is_reached(const struct dial *dial)
{
    return dial->result == DIAL_OPEN || (dial->result == DIAL_CONNECTED && !dial->listened);
}

/* Is there nothing to be learned by dialling once more? */
static bool is_final(const struct dial *dial)
{
    return dial->result == DIAL_CONNECTED || dial->result == DIAL_FORBIDDEN ||
           dial->result == DIAL_LIMITED || dial->result == DIAL_FAILED;
}

static int listen_here(struct family_check *family)
{
    return answer_open(
        family->check->loop, family->family, family->check->evidence.port, &family->answer);
}

static void end(struct family_check *family, const struct dial *dial)
{
    if (is_reached(dial))
        check_found_open(family->check);
    check_end(family);
}

static void after_last(struct family_check *family)
{
    const struct dial *dial = family->dials[NAT_TCP].dial;

    tell(family, dial);
    end(family, dial);
}

/* The gateway has given another port than was asked for: that one may work. */
static const struct map_evidence *other_port(const struct family_check *family)
{
    const struct signpost_check *check = family->check;
    const struct map_evidence *map = &check->evidence.map[NAT_TCP];

    return family->family == NAT_IPV4 && map->made && map->port != check->evidence.port ? map
                                                                                        : NULL;
}

static void after_first(struct family_check *family)
{
    struct protocol_evidence *tcp = tcp_of(family);
    const struct dial *first = &tcp->first;
    const struct map_evidence *map = other_port(family);
    bool free_here = !tcp->held && !family->answer;

    tell(family, first);
    if (is_reached(first)) {
        end(family, first);
    } else if (map && first->result != DIAL_LIMITED && first->result != DIAL_FAILED) {
        ask_dial(family, NAT_TCP, &tcp->mapped, map->port, NULL, 0, after_last);
    } else if (is_final(first)) {
        end(family, first);
    } else if (first->result == DIAL_REFUSED && free_here && !listen_here(family)) {
        /* Nobody listens: does the way lead here? */
        ask_dial(family, NAT_TCP, &tcp->listening, first->port, NULL, 0, after_last);
    } else {
        tcp->held = tcp->held || (first->result == DIAL_REFUSED && free_here);
        ask_dial(family, NAT_TCP, &tcp->again, first->port, "contacted", CHECK_AGAIN_S, after_last);
    }
}

void check_tcp(struct family_check *family)
{
    struct protocol_evidence *tcp = tcp_of(family);
    struct signpost_check *check = family->check;
    uint16_t port = check->evidence.port;
    int error = check->evidence.no_listen ? 0 : listen_here(family);

    if (error == SIGNPOST_ERROR_INVALID) {
        check_fail_port(check);
        return;
    }
    tcp->held = error == SIGNPOST_ERROR_ADDRESS;
    check_begin(family);
    ask_dial(family, NAT_TCP, &tcp->first, port, NULL, 0, after_first);
}
