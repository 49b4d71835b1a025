/* The query of the reading routes: wait, limit, network, since, after, meta.<key>. */
#ifndef SIGNPOST_HTTP_QUERY_H
#define SIGNPOST_HTTP_QUERY_H

#include "http/door.h"

/* Fills what the query says into `poll`, whose `list` and `mail` tell which names are known, and
 * the request's filters. Names that are not known are ignored; a known one may be given once. */
int query_read_poll(struct request *request, struct poll_request *poll, struct fault *ret_fault);

#endif
