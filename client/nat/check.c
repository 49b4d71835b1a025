#include "check_internal.h"

#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char nothing[] = "{}";

bool check_asks(const struct signpost_check *check, enum nat_protocol protocol)
{
    return check->evidence.families[NAT_IPV4].by[protocol].asked ||
           check->evidence.families[NAT_IPV6].by[protocol].asked;
}

void check_line(struct signpost_check *check, const char *line)
{
    if (check->config.on_line && !check->judged && !check->closing)
        check->config.on_line(check, line, check->config.user);
}

/* --- the verdict ----------------------------------------------------------------------------- */

static void stop_tests(struct signpost_check *check)
{
    for (size_t i = 0; i < NAT_FAMILIES; i++) {
        struct family_check *family = &check->families[i];
        struct http_call **under_way[] = {
            &family->asking, &family->dials[NAT_TCP].call, &family->dials[NAT_UDP].call};
        for (size_t j = 0; j < sizeof under_way / sizeof *under_way; j++) {
            struct http_call *call = *under_way[j];
            if (call)
                http_cancel(call);
            *under_way[j] = NULL;
        }
        answer_close(family->answer);
        udp_close(family->udp);
        hops_close(family->hops);
        uv_timer_stop(&family->datagram);
        family->answer = NULL;
        family->udp = NULL;
        family->hops = NULL;
    }
    gateway_close(check->gateway);
    check->gateway = NULL;
}

/* From the loop, never from inside a call. */
static void report(struct signpost_check *check)
{
    signpost_report_t *report = &check->report;

    report->publish_detail = check->publish_detail;
    check->config.on_report(check, report, check->config.user);
}

void check_published(struct signpost_check *check)
{
    report(check);
}

static void judge(uv_timer_t *timer)
{
    struct signpost_check *check = timer->data;
    signpost_report_t *told = &check->report;
    const struct verdict *verdict = &check->verdict;

    check->evidence.took_s = (double)(uv_now(check->loop) - check->began_ms) / 1000;
    stop_tests(check);
    check->judged = true;
    if (!told->error)
        told->error = verdict_reach(&check->evidence, &check->verdict, check->detail);
    check->json =
        report_json(&check->evidence, told->error ? NULL : verdict, told->error, check->detail);
    if (!told->error)
        check->reach = report_reach(&check->evidence, verdict);
    told->json = check->json ? check->json : nothing;
    told->reach = check->reach ? check->reach : nothing;
    told->why = told->error ? check->detail : verdict->first.why;
    told->advice = told->error ? "" : verdict->first.advice;
    told->verdict = told->error ? 0 : (int)verdict->first.verdict;
    for (size_t i = 0; !told->error && i < verdict->also_count; i++)
        check->also[i] = verdict->also[i].why;
    told->also = check->also;
    if (check->config.publish && check->reach)
        ask_publish(check);
    else
        report(check);
}

static void judge_after(struct signpost_check *check, uint64_t delay_ms)
{
    if (!check->judged && !check->closing)
        uv_timer_start(&check->deadline, judge, delay_ms, 0);
}

void check_fail(struct signpost_check *check, int error, const char *format, ...)
{
    va_list arguments;

    if (check->judged || check->report.error)
        return;
    check->report.error = error;
    va_start(arguments, format);
    vsnprintf(check->detail, sizeof check->detail, format, arguments);
    va_end(arguments);
    judge_after(check, 0);
}

void check_fail_port(struct signpost_check *check)
{
    check_fail(check, SIGNPOST_ERROR_ADDRESS,
        "this user may not listen on port %u: check as root, or without listening where your "
        "program holds it",
        (unsigned)check->evidence.port);
}

/* --- what is under way ----------------------------------------------------------------------- */

static unsigned busy(const struct signpost_check *check)
{
    return check->families[NAT_IPV4].busy + check->families[NAT_IPV6].busy + check->mapping +
           (check->gateway ? 1 : 0);
}

static void end_if_done(struct signpost_check *check)
{
    if (!busy(check))
        judge_after(check, 0);
}

void check_begin(struct family_check *family)
{
    family->busy++;
}

void check_end(struct family_check *family)
{
    family->busy--;
    end_if_done(family->check);
}

void check_found_open(struct signpost_check *check)
{
    if (!check->config.thorough && uv_timer_get_due_in(&check->deadline) > CHECK_OTHERS_MS)
        judge_after(check, CHECK_OTHERS_MS);
}

/* --- the gateway ----------------------------------------------------------------------------- */

static void on_gateway(const struct gateway_found *found, void *user)
{
    struct signpost_check *check = user;
    char line[REPORT_LINE_SIZE];

    check->gateway = NULL;
    check->evidence.gateway = *found;
    check->evidence.has_gateway = true;
    report_gateway_line(&check->evidence, line);
    check_line(check, line);
    end_if_done(check);
}

static enum gateway_protocol protocol_of(const char *name)
{
    for (int i = 0; i < GATEWAY_PROTOCOLS; i++)
        if (!strcmp(name, gateway_protocol_name((enum gateway_protocol)i)))
            return (enum gateway_protocol)i;
    return GATEWAY_UPNP;
}

static void take_mapping(struct map_evidence *map, const signpost_mapping_status_t *status)
{
    map->made = !status->error;
    map->by = protocol_of(status->protocol);
    map->port = status->port;
    map->lifetime_s = status->lifetime_s;
    snprintf(map->address, sizeof map->address, "%s", status->address);
    snprintf(map->detail, sizeof map->detail, "%s", status->error ? status->detail : "");
}

/* The first word of each counts; what happens to a mapping afterwards is told as a line. */
static void on_mapping(
    signpost_mapping_t *mapping, const signpost_mapping_status_t *status, void *user)
{
    struct signpost_check *check = user;
    enum nat_protocol protocol = mapping == check->mappings[NAT_TCP] ? NAT_TCP : NAT_UDP;
    struct map_evidence *map = &check->evidence.map[protocol];
    char line[REPORT_LINE_SIZE];

    if (check->closing)
        return;
    take_mapping(map, status);
    report_map_line(&check->evidence, protocol, line);
    if (check->config.on_line)
        check->config.on_line(check, line, check->config.user);
    if (check->closing || check->judged || check->heard_of[protocol])
        return;
    check->heard_of[protocol] = true;
    if (--check->mapping == 0) {
        ask_tests(&check->families[NAT_IPV4]);
        end_if_done(check);
    }
}

static int begin_mappings(struct signpost_check *check)
{
    int error = 0;

    for (int i = 0; i < NAT_PROTOCOLS && !error; i++) {
        struct map_evidence *map = &check->evidence.map[i];
        if (!check_asks(check, (enum nat_protocol)i))
            continue;
        map->asked = true;
        map->protocol = (enum nat_protocol)i;
        error = signpost_map_port(check->loop,
            &(signpost_mapping_config_t){
                .port = check->evidence.port,
                .udp = i == NAT_UDP,
                .on_mapping = on_mapping,
                .user = check,
            },
            &check->mappings[i]);
        check->mapping += !error;
    }
    return error;
}

/* --- life ------------------------------------------------------------------------------------ */

static void check_free(struct signpost_check *check)
{
    for (size_t i = 0; check->urls[i]; i++)
        free(check->urls[i]);
    for (size_t i = 0; check->servers[i]; i++)
        free(check->servers[i]);
    free(check->key);
    free(check->ca_file);
    free(check->json);
    free(check->reach);
    free(check);
}

static void handle_closed(struct signpost_check *check)
{
    void (*closed)(void *user) = check->closed;
    void *user = check->closed_user;

    if (--check->handles)
        return;
    check_free(check);
    if (closed)
        closed(user);
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

static void on_family_timer_closed(uv_handle_t *handle)
{
    const struct family_check *family = handle->data;
    handle_closed(family->check);
}

static void on_part_closed(void *user)
{
    handle_closed(user);
}

void signpost_check_close(signpost_check_t *check, void (*closed)(void *user), void *user)
{
    if (check->closing)
        return;
    check->closing = true;
    check->closed = closed;
    check->closed_user = user;
    stop_tests(check);
    for (size_t i = 0; i < NAT_FAMILIES; i++) {
        if (check->families[i].http)
            http_close(check->families[i].http, on_part_closed, check);
        uv_close((uv_handle_t *)&check->families[i].datagram, on_family_timer_closed);
    }
    for (size_t i = 0; i < NAT_PROTOCOLS; i++)
        if (check->mappings[i]) {
            check->handles++;
            signpost_unmap_port(check->mappings[i], on_part_closed, check);
        }
    uv_close((uv_handle_t *)&check->deadline, on_timer_closed);
}

/* The copies, ended by NULL; false where memory is out. */
static bool copy_list(const char *const *list, char **ret_copies)
{
    for (size_t i = 0; list && list[i]; i++) {
        ret_copies[i] = strdup(list[i]);
        if (!ret_copies[i])
            return false;
    }
    return true;
}

static size_t list_length(const char *const *list)
{
    size_t length = 0;

    while (list && list[length])
        length++;
    return length;
}

static bool is_valid(const signpost_check_config_t *config)
{
    size_t indexes = list_length(config->indexes);

    if (!indexes || indexes > CHECK_INDEXES_MAX || !config->port || !config->on_report ||
        list_length(config->stun_servers) > CHECK_SERVERS_MAX ||
        (config->publish && !config->secret))
        return false;
    for (size_t i = 0; i < indexes; i++)
        if (!http_is_base_url(config->indexes[i]))
            return false;
    for (size_t i = 0; config->stun_servers && config->stun_servers[i]; i++)
        if (strlen(config->stun_servers[i]) >= CODEC_PLACE_SIZE)
            return false;
    return true;
}

static int copy_config(struct signpost_check *check, const signpost_check_config_t *config)
{
    check->config = *config;
    if (!copy_list(config->indexes, check->urls) ||
        !copy_list(config->stun_servers, check->servers) ||
        (config->key && !(check->key = strdup(config->key))) ||
        (config->ca_file && !(check->ca_file = strdup(config->ca_file))))
        return SIGNPOST_ERROR_NO_MEMORY;
    if (config->secret)
        memcpy(check->secret, config->secret, SIGNPOST_SECRET_SIZE);
    check->config.indexes = check->config.stun_servers = NULL;
    check->config.key = check->config.ca_file = NULL;
    check->config.secret = NULL;
    return 0;
}

static void begin_evidence(struct signpost_check *check)
{
    const signpost_check_config_t *config = &check->config;
    bool neither = !config->tcp && !config->udp;
    bool no_family = !config->ipv4 && !config->ipv6;
    const bool families[NAT_FAMILIES] = {config->ipv4 || no_family, config->ipv6 || no_family};

    check->evidence.index = http_log_name(check->urls[0]);
    check->evidence.port = config->port;
    check->evidence.no_listen = config->no_listen;
    for (int i = 0; i < NAT_FAMILIES; i++) {
        struct family_evidence *evidence = &check->evidence.families[i];
        evidence->asked = families[i];
        evidence->by[NAT_TCP].asked = families[i] && (config->tcp || neither);
        evidence->by[NAT_UDP].asked = families[i] && config->udp;
        gateway_default((enum nat_family)i, evidence->gateway);
    }
}

static int begin_families(struct signpost_check *check)
{
    int error = 0;

    for (int i = 0; i < NAT_FAMILIES && !error; i++) {
        struct family_check *family = &check->families[i];
        error = http_new(check->loop, check->ca_file, &family->http);
        check->handles += !error;
    }
    return error;
}

static void init_families(struct signpost_check *check)
{
    for (int i = 0; i < NAT_FAMILIES; i++) {
        struct family_check *family = &check->families[i];
        family->check = check;
        family->family = (enum nat_family)i;
        family->evidence = &check->evidence.families[i];
        uv_timer_init(check->loop, &family->datagram);
        family->datagram.data = family;
        check->handles++;
        for (int j = 0; j < NAT_PROTOCOLS; j++) {
            family->dials[j].family = family;
            family->dials[j].protocol = (enum nat_protocol)j;
        }
    }
}

int signpost_check(
    uv_loop_t *loop, const signpost_check_config_t *config, signpost_check_t **ret_check)
{
    struct signpost_check *check;

    if (!loop || !config || !is_valid(config))
        return SIGNPOST_ERROR_INVALID;
    check = calloc(1, sizeof *check);
    if (!check)
        return SIGNPOST_ERROR_NO_MEMORY;
    check->loop = loop;
    int error = copy_config(check, config);
    if (error) {
        check_free(check);
        return error;
    }
    uv_timer_init(loop, &check->deadline);
    check->deadline.data = check;
    check->handles = 1;
    init_families(check);
    begin_evidence(check);
    error = begin_families(check);
    if (!error && config->map && check->evidence.families[NAT_IPV4].asked)
        error = begin_mappings(check);
    if (!error && check->evidence.families[NAT_IPV4].asked)
        error = gateway_start(loop, on_gateway, check, &check->gateway);
    if (error) {
        signpost_check_close(check, NULL, NULL);
        return error;
    }
    uv_update_time(loop);
    check->began_ms = uv_now(loop);
    judge_after(check, CHECK_END_MS + (config->map ? CHECK_MAPPED_MS : 0));
    for (int i = 0; i < NAT_FAMILIES; i++)
        if (check->evidence.families[i].asked)
            ask_index(&check->families[i]);
    *ret_check = check;
    return 0;
}
