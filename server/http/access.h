/* The access log: a line for each request. */
#ifndef SIGNPOST_HTTP_ACCESS_H
#define SIGNPOST_HTTP_ACCESS_H

#include "http/door.h"

/* At the first sight of a request, while what libmicrohttpd says of it is there: its id, and what
 * the log will say of its method and path. */
void access_begin(struct request *request, const char *method, const char *path);

/* At its end; `whole`: its reply was sent to the last byte. */
void access_end(const struct request *request, bool whole);

#endif
