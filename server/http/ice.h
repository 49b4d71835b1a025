/* GET /ice: the servers that help with connecting. */
#ifndef SIGNPOST_HTTP_ICE_H
#define SIGNPOST_HTTP_ICE_H

#include "http/door.h"

void ice_handle(struct request *request);

#endif
