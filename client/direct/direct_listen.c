#include "direct_internal.h"
#include "endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- this machine's addresses ---------------------------------------------------------------- */

/* Where that does not work what was known stays: an address that is missing counts as gone. */
static void read_locals(struct direct *direct)
{
    uv_interface_address_t *interfaces;
    struct sockaddr_storage *locals;
    int count;

    if (uv_interface_addresses(&interfaces, &count))
        return;
    locals = calloc((size_t)count + 1, sizeof *locals);
    for (int i = 0; locals && i < count; i++) {
        struct sockaddr_storage *local = &locals[i];
        if (interfaces[i].address.address4.sin_family == AF_INET)
            memcpy(local, &interfaces[i].address.address4, sizeof interfaces[i].address.address4);
        else
            memcpy(local, &interfaces[i].address.address6, sizeof interfaces[i].address.address6);
    }
    uv_free_interface_addresses(interfaces, count);
    if (!locals)
        return;
    free(direct->locals);
    direct->locals = locals;
    direct->local_count = (size_t)count;
}

/* --- where we listen ------------------------------------------------------------------------- */

static bool is_loopback(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

    if (address->ss_family == AF_INET)
        return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* Our endpoint at that address. */
static void write_endpoint(const struct direct *direct, const struct sockaddr_storage *at,
    char ret_endpoint[DIRECT_ENDPOINT_SIZE])
{
    struct sockaddr_storage address = *at;
    char text[ENDPOINT_TEXT_SIZE];

    if (address.ss_family == AF_INET)
        ((struct sockaddr_in *)&address)->sin_port = htons(listener_port(direct->listener));
    else
        ((struct sockaddr_in6 *)&address)->sin6_port = htons(listener_port(direct->listener));
    endpoint_text(&address, text);
    snprintf(ret_endpoint, DIRECT_ENDPOINT_SIZE, DIRECT_SCHEME "://%s", text);
}

/* Our endpoints besides the one that the indexes see: where we listen at one address only that one,
 * else the private ones, for those behind the same router. */
static size_t write_known(
    const struct direct *direct, char ret_endpoints[DIRECT_ENDPOINTS_MAX][DIRECT_ENDPOINT_SIZE])
{
    struct sockaddr_storage host;
    size_t count = 0;

    if (direct->host[0]) {
        if (endpoint_parse_address(direct->host, &host))
            write_endpoint(direct, &host, ret_endpoints[count++]);
        return count;
    }
    for (size_t i = 0; i < direct->local_count && count < DIRECT_ENDPOINTS_MAX; i++)
        if (endpoint_is_private(&direct->locals[i]) && !is_loopback(&direct->locals[i]))
            write_endpoint(direct, &direct->locals[i], ret_endpoints[count++]);
    return count;
}

void direct_write_endpoints(const struct direct *direct, char ret_lines[DIRECT_ENDPOINTS_BYTES])
{
    char endpoints[DIRECT_ENDPOINTS_MAX][DIRECT_ENDPOINT_SIZE], line[DIRECT_ENDPOINT_SIZE];
    size_t count = write_known(direct, endpoints), lines = 0;
    const signpost_t *client = direct->client;

    ret_lines[0] = '\0';
    for (size_t i = 0; i < client->link_count && !direct->host[0]; i++) {
        struct sockaddr_storage observed;
        signpost_index_status_t status;
        link_status(client->links[i], &status);
        if (!endpoint_parse_address(status.observed, &observed))
            continue;
        write_endpoint(direct, &observed, line);
        if (strstr(ret_lines, line) || lines == DIRECT_ENDPOINTS_MAX)
            continue;
        strcat(strcat(ret_lines, line), "\n");
        lines++;
    }
    for (size_t i = 0; i < count && lines < DIRECT_ENDPOINTS_MAX; i++, lines++)
        strcat(strcat(ret_lines, endpoints[i]), "\n");
}

static int announce(struct direct *direct)
{
    char endpoints[DIRECT_ENDPOINTS_MAX][DIRECT_ENDPOINT_SIZE], observed[DIRECT_ENDPOINT_SIZE];
    const char *list[DIRECT_ENDPOINTS_MAX + 2] = {NULL};
    size_t known = write_known(direct, endpoints), count = 0;

    snprintf(observed, sizeof observed, DIRECT_SCHEME "://:%u", listener_port(direct->listener));
    if (!direct->host[0])
        list[count++] = observed;
    for (size_t i = 0; i < known; i++)
        list[count++] = endpoints[i];
    return record_announce(direct->client, list);
}

void direct_addresses_changed(struct direct *direct)
{
    read_locals(direct);
    if (direct->listener)
        announce(direct);
}

bool direct_has_local(const struct direct *direct, const struct sockaddr_storage *address)
{
    for (size_t i = 0; i < direct->local_count; i++)
        if (endpoint_same_address(&direct->locals[i], address))
            return true;
    return false;
}

bool direct_is_own(const signpost_t *client, const struct sockaddr_storage *address)
{
    const struct direct *direct = client->direct;
    struct sockaddr_storage observed;
    char own[DIRECT_ENDPOINT_SIZE], other[ENDPOINT_TEXT_SIZE];
    bool here = direct_has_local(direct, address);

    if (!direct->listener)
        return false;
    for (size_t i = 0; i < client->link_count && !here; i++) {
        signpost_index_status_t status;
        link_status(client->links[i], &status);
        here = endpoint_parse_address(status.observed, &observed) &&
               endpoint_same_address(&observed, address);
    }
    write_endpoint(direct, address, own); /* the same address with our port */
    endpoint_text(address, other);
    return here && !strcmp(own + strlen(DIRECT_SCHEME "://"), other);
}

/* --- what an application asks for ------------------------------------------------------------ */

/* An index refuses the whole record of a node for an endpoint at any other address. */
static bool can_be_announced(const char *host)
{
    struct endpoint endpoint;
    struct sockaddr_storage address;
    char text[ENDPOINT_TEXT_SIZE], line[DIRECT_ENDPOINT_SIZE];

    if (!endpoint_parse_address(host, &address))
        return false;
    if (address.ss_family == AF_INET)
        ((struct sockaddr_in *)&address)->sin_port = htons(1);
    else
        ((struct sockaddr_in6 *)&address)->sin6_port = htons(1);
    endpoint_text(&address, text);
    snprintf(line, sizeof line, DIRECT_SCHEME "://%s", text);
    return endpoint_parse(line, &endpoint);
}

int signpost_listen(signpost_t *client, const char *host, uint16_t port,
    signpost_connection_cb on_connection, void *user)
{
    struct direct *direct = client->direct;
    struct listener *listener;

    if (client->stopping)
        return SIGNPOST_ERROR_STOPPED;
    if (direct->listener || client->config.watch_only || client->config.no_mailbox ||
        (host && !can_be_announced(host)))
        return SIGNPOST_ERROR_INVALID;
    if (record_length((const char *const *)client->own_endpoints) == DIRECT_ENDPOINTS_MAX)
        return SIGNPOST_ERROR_FULL;
    int error =
        listener_new(client->loop, host, port, client->id, direct_take_guest, direct, &listener);
    if (error)
        return error;
    direct->listener = listener;
    snprintf(direct->host, sizeof direct->host, "%s", host ? host : "");
    direct->on_connection = on_connection;
    direct->user = user;
    read_locals(direct);
    return announce(direct);
}

uint16_t signpost_port(const signpost_t *client)
{
    return client->direct->listener ? listener_port(client->direct->listener) : 0;
}
