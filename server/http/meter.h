/* GET /metrics, and the time that requests take by route. */
#ifndef SIGNPOST_HTTP_METER_H
#define SIGNPOST_HTTP_METER_H

#include "http/door.h"

/* A request has ended: how it was answered, in what time. */
void meter_request(const struct request *request);

/* May /metrics be asked for there? The fault says where else. */
int meter_check(const struct request *request, struct fault *ret_fault);
void handle_metrics(struct request *request);

#endif
