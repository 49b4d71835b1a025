/*
 * Who a client is, by the headers of proxies, and whether a page may use the index. The input is
 * header lines, the first the address of the peer. libmicrohttpd's functions that look headers up
 * are those here, so that nothing stands between.
 */
#include "http/policy.h"
#include "want.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX 16
#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_[]"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct {
    const char *name, *value;
} headers[HEADERS_MAX];
static size_t header_count;

int MHD_get_connection_values(struct MHD_Connection *connection, enum MHD_ValueKind kind,
    MHD_KeyValueIterator visit, void *user)
{
    size_t i = 0;

    (void)connection;
    while (i < header_count && visit(user, kind, headers[i].name, headers[i].value) == MHD_YES)
        i++;
    return (int)i;
}

const char *MHD_lookup_connection_value(
    struct MHD_Connection *connection, enum MHD_ValueKind kind, const char *name)
{
    (void)connection;
    (void)kind;
    for (size_t i = 0; i < header_count; i++)
        if (!strcasecmp(headers[i].name, name))
            return headers[i].value;
    return NULL;
}

static void read_headers(char *lines)
{
    header_count = 0;
    for (char *line; (line = strsep(&lines, "\n")) && header_count < HEADERS_MAX;) {
        char *colon = strchr(line, ':');
        if (!colon)
            continue;
        *colon = '\0';
        headers[header_count].name = line;
        headers[header_count++].value = colon + 1 + strspn(colon + 1, " ");
    }
}

static void find_client(const struct http_policy *policy, const struct address *peer)
{
    struct address client = *peer;
    struct fault fault = {.detail = ""};
    uint16_t port = 7;
    bool exempt = false;
    int error = policy_client(policy, NULL, &client, &port, &exempt, &fault);

    want(client.family == 4 || client.family == 6);
    want(!error || *fault.detail);
    /* Only a proxy that is trusted speaks for others, and it counts itself where it does not. */
    if (!policy_trusts(policy, peer))
        want(!error && !exempt && port == 7 && address_equal(&client, peer));
    if (exempt)
        want(address_equal(&client, peer));
    /* Nobody's word is taken where nothing was said. */
    if (!MHD_lookup_connection_value(NULL, MHD_HEADER_KIND, "Forwarded") &&
        !MHD_lookup_connection_value(NULL, MHD_HEADER_KIND, "X-Forwarded-For"))
        want(address_equal(&client, peer));
}

static void check_host(struct http_policy *policy)
{
    const char *host = MHD_lookup_connection_value(NULL, MHD_HEADER_KIND, "Host");
    const char *origin = MHD_lookup_connection_value(NULL, MHD_HEADER_KIND, "Origin");
    struct fault fault;

    policy->loopback_only = true;
    if (policy_check_host(policy, NULL, &fault))
        return;
    /* What names no loopback at all does not get in. */
    want(!host || strcasestr(host, "localhost") || strstr(host, "127.") || strchr(host, ':'));
    want(!origin || strstr(origin, "://"));
    /* What is let in may come back, so it is nothing but a host. */
    want(!host || !host[strspn(host, HOST_CHARACTERS)]);
    want(!origin || !origin[strspn(origin, HOST_CHARACTERS "+/")]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const origins[] = {"https://app.example"};
    struct address_range trusted[2];
    struct http_policy policy = {
        .trusted = trusted, .trusted_count = 2, .origins = origins, .origin_count = 1};
    struct address peer;
    char *text = strndup((const char *)bytes, size), *rest = text;

    want(address_range_parse("10.0.0.0/8", &trusted[0]) &&
         address_range_parse("fd00::/8", &trusted[1]));
    char *first = strsep(&rest, "\n");
    if (!first || !address_parse(first, &peer))
        address_parse("10.0.0.1", &peer);
    read_headers(rest);
    find_client(&policy, &peer);
    check_host(&policy);
    free(text);
    return 0;
}
