/* signpost_map_port() at a gateway that is known, for tests. */
#ifndef SIGNPOST_CLIENT_NAT_MAPPING_INTERNAL_H
#define SIGNPOST_CLIENT_NAT_MAPPING_INTERNAL_H

#include "gateway_internal.h"
#include "signpost.h"

/* `target` NULL: the default gateway, looked up anew each time. */
int mapping_start_at(uv_loop_t *loop, const signpost_mapping_config_t *config,
    const struct gateway_target *target, signpost_mapping_t **ret_mapping);

#endif
