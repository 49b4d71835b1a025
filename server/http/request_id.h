/* What a request is called in its reply and in the log, so that one finds the other. */
#ifndef SIGNPOST_HTTP_REQUEST_ID_H
#define SIGNPOST_HTTP_REQUEST_ID_H

#include "server_limits.h"

#define REQUEST_ID_HEADER "X-Request-Id"
#define REQUEST_ID_SIZE (LIMIT_REQUEST_ID_CHARS + 1)

/* The one that the client or its proxy gives, where it is one: 1 to LIMIT_REQUEST_ID_CHARS of
 * A-Z a-z 0-9 . _ - ; else, and for NULL, one that no other request has, of this process or of
 * another. */
void request_id_choose(const char *given, char ret_id[REQUEST_ID_SIZE]);

#endif
