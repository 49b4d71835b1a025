#include "check_internal.h"

#include "report.h"
#include "secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_MAX 16384 /* bytes of a reply */
#define URL_SIZE 1088

static const char *const protocol_names[NAT_PROTOCOLS] = {"tcp", "udp"};

/* A path behind an index's URL, which may end in a slash. */
static void put_url(const char *base, const char *path, char ret_url[URL_SIZE])
{
    size_t length = strlen(base);

    while (length > 0 && base[length - 1] == '/')
        length--;
    snprintf(ret_url, URL_SIZE, "%.*s%s", (int)length, base, path);
}

static int send_request(struct family_check *family, const char *path, const char *body,
    uint64_t timeout_ms, http_done done, void *user, struct http_call **ret_call)
{
    struct signpost_check *check = family->check;
    char url[URL_SIZE];

    put_url(check->urls[family->url], path, url);
    return http_start(family->http,
        &(struct http_request){
            .method = body ? "POST" : "GET",
            .url = url,
            .bearer = check->key,
            .body = body,
            .body_size = body ? strlen(body) : 0,
            .timeout_ms = timeout_ms,
            .max_bytes = REPLY_MAX,
            .family = family->family == NAT_IPV4 ? 4 : 6,
        },
        done, user, ret_call);
}

/* What a reply means that is none of success, with a sentence, and the index's word where it has
 * one. */
static int explain(const struct http_reply *reply, struct codec_problem *ret_problem,
    char ret_detail[NAT_DETAIL_SIZE])
{
    *ret_problem = (struct codec_problem){.code = ""};
    if (reply->error) {
        snprintf(ret_detail, NAT_DETAIL_SIZE, "%s", reply->detail);
        return reply->error;
    }
    if (!reply->json || !codec_parse_problem(reply->body, reply->body_size, ret_problem)) {
        snprintf(ret_detail, NAT_DETAIL_SIZE, "it answered %ld, and not as a Signpost index does",
            reply->status);
        return SIGNPOST_ERROR_PROTOCOL;
    }
    snprintf(ret_detail, NAT_DETAIL_SIZE, "%s", ret_problem->detail);
    if (reply->status == 429 || reply->status == 503)
        return SIGNPOST_ERROR_BUSY;
    return reply->status == 404 && !strcmp(ret_problem->code, "unknown_path")
               ? SIGNPOST_ERROR_PROTOCOL
               : SIGNPOST_ERROR_REFUSED;
}

/* --- the index ------------------------------------------------------------------------------- */

/* The tests of this family that need no dial-back, and those that do. */
static void begin_tests(struct family_check *family)
{
    const struct signpost_check *check = family->check;

    if (check_asks(check, NAT_TCP))
        check_tcp(family);
    if (check_asks(check, NAT_UDP))
        check_udp(family);
}

static void on_hops(const struct hops *hops, void *user)
{
    struct family_check *family = user;
    char line[REPORT_LINE_SIZE];

    family->hops = NULL;
    family->evidence->hops = *hops;
    family->evidence->has_hops = true;
    report_hops_line(&family->check->evidence, family->family, line);
    check_line(family->check, line);
    check_end(family);
}

static void begin_hops(struct family_check *family)
{
    struct sockaddr_storage target;
    int error = family->family == NAT_IPV4
                    ? uv_ip4_addr(family->remote, 9, (struct sockaddr_in *)&target)
                    : uv_ip6_addr(family->remote, 9, (struct sockaddr_in6 *)&target);

    check_begin(family);
    if (error || hops_start(family->check->loop, (const struct sockaddr *)&target, on_hops, family,
                     &family->hops))
        check_end(family);
}

static void on_index(const struct http_reply *reply, void *user)
{
    struct family_check *family = user;
    struct family_evidence *evidence = family->evidence;
    struct codec_problem problem;
    char detail[NAT_DETAIL_SIZE] = "", line[REPORT_LINE_SIZE];
    int error;

    family->asking = NULL;
    if (!reply->error && reply->status == 200)
        error = codec_parse_ice(reply->body, reply->body_size, &family->ice, detail);
    else
        error = explain(reply, &problem, detail);
    if (error && (!evidence->error || evidence->error == SIGNPOST_ERROR_UNREACHABLE)) {
        evidence->error = error;
        snprintf(evidence->detail, sizeof evidence->detail, "%s", detail);
    }
    if (error && family->check->urls[family->url + 1]) {
        family->url++;
        ask_index(family);
        check_end(family);
        return;
    }
    if (error) {
        report_index_line(&family->check->evidence, family->family, line);
        check_line(family->check, line);
        check_end(family);
        return;
    }
    family->check->evidence.index = http_log_name(family->check->urls[family->url]);
    evidence->error = 0;
    evidence->detail[0] = '\0';
    snprintf(evidence->local, sizeof evidence->local, "%s", reply->local);
    snprintf(family->remote, sizeof family->remote, "%s", reply->remote);
    evidence->http_rtt_us = reply->wait_us;
    family->has_index = true;
    begin_hops(family);
    if (!family->check->mapping || family->family == NAT_IPV6)
        begin_tests(family);
    check_end(family);
}

void ask_index(struct family_check *family)
{
    check_begin(family);
    if (send_request(family, "/ice", NULL, CHECK_INDEX_MS, on_index, family, &family->asking)) {
        family->evidence->error = SIGNPOST_ERROR_NO_MEMORY;
        check_end(family);
    }
}

void ask_tests(struct family_check *family)
{
    if (family->has_index)
        begin_tests(family);
}

/* --- a dial-back ----------------------------------------------------------------------------- */

static enum dial_result result_of(const char *word)
{
    static const struct {
        const char *word;
        enum dial_result result;
    } results[] = {
        {"open", DIAL_OPEN},
        {"connected", DIAL_CONNECTED},
        {"refused", DIAL_REFUSED},
        {"timeout", DIAL_TIMEOUT},
        {"unreachable", DIAL_UNREACHABLE},
        {"sent", DIAL_SENT},
    };

    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (!strcmp(word, results[i].word))
            return results[i].result;
    return DIAL_FAILED;
}

static enum dial_result failure_of(int error)
{
    switch (error) {
    case SIGNPOST_ERROR_BUSY: return DIAL_LIMITED;
    case SIGNPOST_ERROR_REFUSED: return DIAL_FORBIDDEN;
    default: return DIAL_FAILED;
    }
}

/* What the index says of us by the way. */
static void take_you(struct family_check *family, const struct codec_checked *checked,
    const struct http_reply *reply)
{
    struct family_evidence *evidence = family->evidence;
    char line[REPORT_LINE_SIZE];
    bool known = *evidence->observed != '\0';

    if (!*checked->you)
        return;
    snprintf(evidence->observed, sizeof evidence->observed, "%s", checked->you);
    if (checked->you_port && reply->local_port)
        evidence->tcp_port_preserved = checked->you_port == reply->local_port ? NAT_YES : NAT_NO;
    if (known)
        return;
    report_index_line(&family->check->evidence, family->family, line);
    check_line(family->check, line);
}

static void take_checked(struct dial_call *call, const struct http_reply *reply)
{
    struct dial *dial = call->dial;
    struct codec_checked checked = {.verified = false};
    struct codec_problem problem;
    int error;

    if (!reply->error && reply->status == 200)
        error = codec_parse_checked(reply->body, reply->body_size, &checked, dial->detail);
    else
        error = explain(reply, &problem, dial->detail);
    if (error) {
        dial->result = failure_of(error);
        return;
    }
    take_you(call->family, &checked, reply);
    dial->result = result_of(checked.result);
    if (dial->result == DIAL_FAILED)
        snprintf(dial->detail, sizeof dial->detail,
            "the index says \"%s\", which is not known here", checked.result);
    /* The index is not trusted more than needed: what it calls open has come to us. */
    if (dial->result == DIAL_OPEN && (!checked.verified || (dial->listened && !dial->heard)))
        dial->result = DIAL_CONNECTED;
    dial->contacted = checked.contacted;
    dial->ms = checked.ms;
    snprintf(dial->target, sizeof dial->target, "%s", checked.target);
    snprintf(dial->from, sizeof dial->from, "%s", checked.dialed_from);
}

static void on_dialled(const struct http_reply *reply, void *user)
{
    struct dial_call *call = user;
    struct family_check *family = call->family;

    call->call = NULL;
    if (call->protocol == NAT_TCP && call->dial->listened)
        call->dial->heard = answer_count(family->answer) > 0;
    take_checked(call, reply);
    call->then(family);
}

static void write_nonce(const uint8_t bytes[ANSWER_NONCE_BYTES], char ret_nonce[UDP_NONCE_SIZE])
{
    for (size_t i = 0; i < ANSWER_NONCE_BYTES; i++)
        snprintf(ret_nonce + 2 * i, 3, "%02x", bytes[i]);
}

static void on_heard(void *user)
{
    struct dial *dial = user;
    dial->heard = true;
}

/* Whoever waits for the dial-back does so from now on. */
static void expect(struct dial_call *call, const uint8_t nonce[ANSWER_NONCE_BYTES])
{
    struct family_check *family = call->family;
    char proof[ANSWER_PROOF_SIZE];

    if (call->protocol == NAT_UDP) {
        udp_expect(family->udp, call->nonce, on_heard, call->dial);
        call->dial->listened = true;
    } else if (family->answer) {
        answer_prove(nonce, call->dial->port, proof);
        answer_expect(family->answer, proof);
        call->dial->listened = true;
    }
}

void ask_dial(struct family_check *family, enum nat_protocol protocol, struct dial *dial,
    uint16_t port, const char *from, unsigned timeout_s, dial_then then)
{
    struct dial_call *call = &family->dials[protocol];
    uint8_t nonce[ANSWER_NONCE_BYTES];
    char *body = NULL;

    call->dial = dial;
    call->then = then;
    *dial = (struct dial){.port = port};
    if (!secret_random(nonce, sizeof nonce)) {
        write_nonce(nonce, call->nonce);
        body = codec_check(port, protocol_names[protocol], call->nonce, from, timeout_s);
    }
    if (body)
        expect(call, nonce);
    if (!body ||
        send_request(family, "/check", body, CHECK_DIAL_MS, on_dialled, call, &call->call)) {
        dial->result = DIAL_FAILED;
        snprintf(
            dial->detail, sizeof dial->detail, "%s", signpost_strerror(SIGNPOST_ERROR_NO_MEMORY));
        then(family);
    }
    free(body);
}

/* --- the node's record ----------------------------------------------------------------------- */

static void publish_failed(struct signpost_check *check, int error, const char *detail)
{
    signpost_report_t *report = &check->report;

    if (check->published || report->publish_error)
        return;
    report->publish_error = error;
    snprintf(check->publish_detail, sizeof check->publish_detail, "%s", detail);
}

static void on_published(const struct http_reply *reply, void *user)
{
    struct publish_call *call = user;
    struct signpost_check *check = call->check;
    struct codec_problem problem;
    char detail[NAT_DETAIL_SIZE];

    call->call = NULL;
    if (!reply->error && reply->status == 200) {
        check->published = true;
        check->report.publish_error = 0;
    } else {
        int error = explain(reply, &problem, detail);
        if (problem.register_again) {
            error = SIGNPOST_ERROR_UNKNOWN_PEER;
            snprintf(detail, sizeof detail,
                "no node with this secret is registered: start it first, then check");
        }
        publish_failed(check, error, detail);
    }
    if (--check->publishings == 0)
        check_published(check);
}

static int publish_at(struct signpost_check *check, size_t number, const char *body)
{
    char url[URL_SIZE], token[SECRET_TOKEN_SIZE];
    struct publish_call *call = &check->publishing[number];
    int error = secret_token(check->secret, check->urls[number], token);

    call->check = check;
    put_url(check->urls[number], "/heartbeat", url);
    if (error)
        return error;
    return http_start(check->families[0].http,
        &(struct http_request){
            .method = "POST",
            .url = url,
            .bearer = token,
            .body = body,
            .body_size = strlen(body),
            .timeout_ms = CHECK_PUBLISH_MS,
            .max_bytes = REPLY_MAX,
        },
        on_published, call, &call->call);
}

void ask_publish(struct signpost_check *check)
{
    char *body = codec_heartbeat(NULL, NULL, check->reach);

    check->publishings = 1; /* until all have begun */
    for (size_t i = 0; check->urls[i]; i++) {
        int error = body ? publish_at(check, i, body) : SIGNPOST_ERROR_NO_MEMORY;
        if (error)
            publish_failed(check, error, signpost_strerror(error));
        else
            check->publishings++;
    }
    free(body);
    if (--check->publishings == 0)
        check_published(check);
}
