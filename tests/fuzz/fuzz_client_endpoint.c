/* Endpoints and addresses as an index lists them: what is read is written, and reads as the same
 * again; none that no single machine has is taken. */
#include "direct/endpoint.h"
#include "want.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void try_endpoint(const char *text)
{
    char host[ENDPOINT_TEXT_SIZE], written[ENDPOINT_TEXT_SIZE + 40];
    struct endpoint endpoint, again;

    if (!endpoint_parse(text, &endpoint))
        return;
    want(endpoint.address.ss_family == AF_INET || endpoint.address.ss_family == AF_INET6);
    want(((const struct sockaddr_in *)&endpoint.address)->sin_port != 0);
    if (endpoint.address.ss_family == AF_INET) {
        uint32_t address = ntohl(((const struct sockaddr_in *)&endpoint.address)->sin_addr.s_addr);
        want(address >> 24 != 0 && address >> 24 < 224 && address >> 16 != 0xA9FE);
    }
    endpoint_text(&endpoint.address, host);
    snprintf(written, sizeof written, "%s://%s", endpoint.scheme, host);
    want(endpoint_parse(written, &again) && !strcmp(again.scheme, endpoint.scheme));
    want(endpoint_same(&endpoint.address, &again.address));
    want(endpoint_is_private(&endpoint.address) == endpoint_is_private(&again.address));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = strndup((const char *)bytes, size);
    char written[ENDPOINT_TEXT_SIZE];
    struct sockaddr_storage address;

    try_endpoint(text);
    if (endpoint_parse_address(text, &address))
        endpoint_text(&address, written);
    free(text);
    return 0;
}
