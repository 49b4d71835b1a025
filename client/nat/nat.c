#include "nat.h"

#include "signpost.h"

#include <netinet/in.h>

void nat_any_address(enum nat_family family, uint16_t port, struct sockaddr_storage *ret_address)
{
    if (family == NAT_IPV4)
        uv_ip4_addr("0.0.0.0", port, (struct sockaddr_in *)ret_address);
    else
        uv_ip6_addr("::", port, (struct sockaddr_in6 *)ret_address);
}

int nat_bind_error(int error)
{
    switch (error) {
    case 0: return 0;
    case UV_ENOMEM:
    case UV_ENOBUFS:
    case UV_EMFILE:
    case UV_ENFILE: return SIGNPOST_ERROR_NO_MEMORY;
    case UV_EACCES: return SIGNPOST_ERROR_INVALID;
    default: return SIGNPOST_ERROR_ADDRESS;
    }
}
