#include "http/check.h"

#include "log.h"
#include "metrics.h"
#include "net/dialback.h"
#include "net/log_address.h"
#include "net/quota.h"

#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct checker {
    struct checker_config config;
    struct dialbacks *dialbacks;
    struct quota *quota;
};

/* One that is under way. */
struct check {
    struct request *request;
    struct checker *checker;
    struct dialback *dialback;
    uint64_t ticket;
    struct address address;
    struct check_request asked;
    bool contacted; /* dialled from the address that the caller has contacted */
};

/* --- where to and from ----------------------------------------------------------------------- */

/* Some of the interfaces' addresses are the index's own at every moment, so they are looked up each
 * time. Where the system does not say them, nothing is dialled. */
static int check_target(const struct checker *checker, const struct address *address, uint16_t port,
    struct fault *ret_fault)
{
    struct target_rules rules = {
        .allow_private = checker->config.allow_private,
        .ports = checker->config.ports,
        .port_count = checker->config.port_count,
    };
    struct ifaddrs *interfaces = NULL;
    struct address own;

    int error = target_check(&rules, address, port, ret_fault);
    if (error)
        return error;
    if (getifaddrs(&interfaces))
        return fault_busy(ret_fault, ERROR_NO_MEMORY);
    rules.own = &own;
    rules.own_count = 1;
    for (struct ifaddrs *at = interfaces; at && !error; at = at->ifa_next)
        if (at->ifa_addr && address_from_sockaddr(at->ifa_addr, &own))
            error = target_check(&rules, address, port, ret_fault);
    freeifaddrs(interfaces);
    return error;
}

/* The address of ours that the caller's connection came to. */
static bool find_contacted(const struct request *request, struct address *ret_address)
{
    struct sockaddr_storage here;
    socklen_t length = sizeof here;

    return !getsockname(request->connection->fd, (struct sockaddr *)&here, &length) &&
           address_from_sockaddr((struct sockaddr *)&here, ret_address);
}

static const struct address *find_other(
    const struct checker *checker, uint8_t family, const struct address *contacted)
{
    for (size_t i = 0; i < checker->config.from_count; i++) {
        const struct address *from = &checker->config.from[i];
        if (from->family == family && !address_equal(from, contacted))
            return from;
    }
    return NULL;
}

/* Fills `ret_from`; family 0 where the kernel is to choose. */
static int choose_from(const struct request *request, enum check_from wanted,
    struct address *ret_from, bool *ret_contacted, struct fault *ret_fault)
{
    bool direct = address_equal(&request->caller.address, &request->connection->address);
    struct address contacted = {0};
    bool known = find_contacted(request, &contacted);
    const struct address *other =
        find_other(request_checker(request), request->caller.address.family, &contacted);

    *ret_from = (struct address){0};
    *ret_contacted = false;
    if (wanted == CHECK_FROM_OTHER && !other)
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "this index has no other %s address to dial you from: leave `from` out, or say "
            "\"contacted\"",
            request->caller.address.family == 6 ? "IPv6" : "IPv4");
    if (other && wanted != CHECK_FROM_CONTACTED) {
        *ret_from = *other;
        return 0;
    }
    /* Behind a proxy the caller has contacted that, and no address of ours. */
    if (direct && known && contacted.family == request->caller.address.family) {
        *ret_from = contacted;
        *ret_contacted = true;
    }
    return 0;
}

/* --- the answer ------------------------------------------------------------------------------ */

static void log_check(
    const struct check *check, const char *event, enum log_level level, const char *result)
{
    char address[LOG_ADDRESS_SIZE], port[8];

    if (!log_takes(level, event, NULL, 0))
        return;
    snprintf(port, sizeof port, "%u", (unsigned)check->asked.port);
    log_event(level, event, "address", log_address(&check->address, address), "port", port,
        "protocol", check->asked.udp ? "udp" : "tcp", "result", result, "id", check->request->id,
        NULL);
}

static void answer_cut(struct request *request)
{
    struct fault fault;

    fault_set(&fault, ERROR_NOT_READY,
        "the check was called off, because you hung up or this index is stopping: ask again");
    fault.action = "retry";
    request_fail(request, &fault);
}

static void on_checked(const struct dialback_report *report, void *user)
{
    struct check *check = user;
    struct request *request = check->request;
    struct text body = {0};

    request->check = NULL;
    request_unpark(request);
    quota_end(check->checker->quota, check->ticket);
    metrics_add((enum metric)(METRIC_DIALBACK_OPEN + (int)report->result), 1);
    log_check(check, "check", LOG_INFO, dialback_word(report->result));
    if (report->result == DIALBACK_CUT) {
        answer_cut(request);
    } else {
        codec_write_check(&body, &(struct check_reply){
                                     .result = dialback_word(report->result),
                                     .verified = report->result == DIALBACK_OPEN,
                                     .contacted = check->contacted,
                                     .target = &check->address,
                                     .port = check->asked.port,
                                     .dialed_from = &report->dialed_from,
                                     .ms = report->ms,
                                     .you = &request->caller.address,
                                     .your_port = request->port,
                                 });
        request_reply_json(request, &body);
    }
    free(check);
}

static void on_vanished(struct request *request)
{
    if (request->check)
        dialback_cut(request->check->dialback);
}

/* --- the question ---------------------------------------------------------------------------- */

/* Everything that may be wrong, then the dial-back; the limits last, so that only what is dialled
 * counts. */
static int start(struct check *check, struct fault *ret_fault)
{
    const struct check_request *asked = &check->asked;
    struct request *request = check->request;
    struct checker *checker = check->checker;
    struct dialback_request dial = {
        .address = check->address,
        .port = asked->port,
        .udp = asked->udp,
        .connect_ms = (int)(asked->timeout_s * 1000),
    };
    struct quota_request quota = {check->address, asked->port, asked->udp, {0}};

    if (request->caller.exempt)
        return fault_set(ret_fault, ERROR_TARGET_REFUSED,
            "your request came from a trusted proxy that does not say for whom, and proxies are "
            "not dialled: let it set Forwarded or X-Forwarded-For");
    int error = check_target(checker, &check->address, asked->port, ret_fault);
    if (!error)
        error = choose_from(request, asked->from, &dial.from, &check->contacted, ret_fault);
    memcpy(dial.nonce, asked->nonce, sizeof dial.nonce);
    memcpy(quota.nonce, asked->nonce, sizeof quota.nonce);
    if (!error)
        error = dialbacks_room(checker->dialbacks, ret_fault);
    if (!error)
        error = quota_begin(
            checker->quota, &quota, clock_now_ms(checker->config.clock), &check->ticket, ret_fault);
    if (error == ERROR_CHECK_LIMITED || error == ERROR_INDEX_FULL)
        metrics_add(METRIC_LIMIT_CHECKS, 1);
    if (error)
        return error;
    error =
        dialback_start(checker->dialbacks, &dial, on_checked, check, &check->dialback, ret_fault);
    if (error)
        quota_end(checker->quota, check->ticket);
    return error;
}

static void caller_identified(
    const struct fault *refused, const struct identity *caller, void *user)
{
    struct check *check = user;
    struct request *request = check->request;
    struct fault fault;

    (void)caller;
    if (refused) {
        request_fail(request, refused);
        free(check);
        return;
    }
    if (start(check, &fault)) {
        log_check(check, "check_refused", LOG_DEBUG, error_code(fault.error));
        request_fail(request, &fault);
        free(check);
        return;
    }
    request->check = check;
    request_park(request, on_vanished);
}

void handle_check(struct request *request)
{
    struct check_request asked;
    struct fault fault;

    if (!request_parse(request))
        return;
    if (codec_read_check(request->json, &asked, &fault)) {
        request_fail(request, &fault);
        return;
    }
    struct check *check = calloc(1, sizeof *check);
    if (!check) {
        fault_busy(&fault, ERROR_NO_MEMORY);
        request_fail(request, &fault);
        return;
    }
    check->request = request;
    check->checker = request_checker(request);
    check->address = request->caller.address;
    check->asked = asked;
    index_identify(request_index(request), &request->caller, caller_identified, check);
}

/* --- the checker ----------------------------------------------------------------------------- */

int checker_new(
    const struct checker_config *config, struct checker **ret_checker, struct fault *ret_fault)
{
    char text[ADDRESS_TEXT_SIZE];

    for (size_t i = 0; i < config->from_count; i++)
        if (!dialback_can_bind(&config->from[i]))
            return fault_set(ret_fault, ERROR_BAD_REQUEST,
                "--check-from: this machine has no address %s; give one of its own, as `ip "
                "address` lists them",
                address_format(&config->from[i], text));
    struct checker *checker = calloc(1, sizeof *checker);
    if (!checker)
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory for checks");
    checker->config = *config;
    checker->dialbacks = dialbacks_new(config->uv);
    checker->quota = quota_new();
    if (!checker->dialbacks || !checker->quota) {
        checker_free(checker);
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory for checks");
    }
    *ret_checker = checker;
    return 0;
}

void checker_stop(struct checker *checker)
{
    if (checker)
        dialbacks_stop(checker->dialbacks);
}

void checker_free(struct checker *checker)
{
    if (!checker)
        return;
    dialbacks_free(checker->dialbacks);
    quota_free(checker->quota);
    free(checker);
}
