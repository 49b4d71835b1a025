#include "gateway_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_BYTES 512

/* Interface, destination, gateway, ...: hexadecimal, as the kernel has them in memory. */
static bool read_ipv4(const char *line, char ret_address[NAT_ADDRESS_SIZE])
{
    char destination[9], hop[9];

    if (sscanf(line, "%*s %8s %8s", destination, hop) != 2 || strtoul(destination, NULL, 16))
        return false;
    in_addr_t gateway = (in_addr_t)strtoul(hop, NULL, 16);
    return gateway && inet_ntop(AF_INET, &gateway, ret_address, NAT_ADDRESS_SIZE) != NULL;
}

/* Destination, prefix length, source, prefix length, next hop, ... */
static bool read_ipv6(const char *line, char ret_address[NAT_ADDRESS_SIZE])
{
    char destination[33], bits[3], hop[33];
    uint8_t bytes[16];

    if (sscanf(line, "%32s %2s %*s %*s %32s", destination, bits, hop) != 3 ||
        strtoul(bits, NULL, 16) || strlen(hop) != 32 || strspn(hop, "0") == 32)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++) {
        const char digits[] = {hop[2 * i], hop[2 * i + 1], '\0'};
        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return inet_ntop(AF_INET6, bytes, ret_address, NAT_ADDRESS_SIZE) != NULL;
}

void gateway_default(enum nat_family family, char ret_address[NAT_ADDRESS_SIZE])
{
    bool ipv4 = family == NAT_IPV4;
    FILE *file = fopen(ipv4 ? "/proc/net/route" : "/proc/net/ipv6_route", "re");
    char line[LINE_BYTES];

    ret_address[0] = '\0';
    if (!file)
        return;
    while (!*ret_address && fgets(line, sizeof line, file))
        if (!(ipv4 ? read_ipv4(line, ret_address) : read_ipv6(line, ret_address)))
            ret_address[0] = '\0';
    fclose(file);
}

void gateway_local(const char *gateway, char ret_local[NAT_ADDRESS_SIZE])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(GATEWAY_PORT)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    ret_local[0] = '\0';
    if (fd < 0)
        return;
    /* Connecting UDP sends nothing, and chooses the address. */
    if (inet_pton(AF_INET, gateway, &address.sin_addr) == 1 &&
        !connect(fd, (const struct sockaddr *)&address, sizeof address) &&
        !getsockname(fd, (struct sockaddr *)&address, &length))
        inet_ntop(AF_INET, &address.sin_addr, ret_local, NAT_ADDRESS_SIZE);
    close(fd);
}

void gateway_find(struct gateway_target *ret_target)
{
    *ret_target = (struct gateway_target){.address = ""};
    gateway_default(NAT_IPV4, ret_target->address);
    if (*ret_target->address)
        gateway_local(ret_target->address, ret_target->local);
}

void gateway_take_wan(const char *text, struct gateway_claim *claim)
{
    struct in_addr address;

    claim->has_wan = NAT_NO;
    if (!*text || !strcmp(text, "0.0.0.0"))
        return;
    if (inet_pton(AF_INET, text, &address) == 1) {
        claim->has_wan = NAT_YES;
        inet_ntop(AF_INET, &address, claim->wan, sizeof claim->wan);
        return;
    }
    claim->has_wan = NAT_UNTESTED;
    snprintf(claim->detail, sizeof claim->detail, "what it calls its outer address is none");
}
