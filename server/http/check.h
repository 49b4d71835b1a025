/* POST /check: the caller wants to know whether a port of its own can be reached. */
#ifndef SIGNPOST_HTTP_CHECK_H
#define SIGNPOST_HTTP_CHECK_H

#include "http/door.h"

void check_handle(struct request *request);

#endif
