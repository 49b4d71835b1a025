/* Does a client already have what it would be sent? If-None-Match of RFC 9110, 13.1.2. */
#ifndef SIGNPOST_HTTP_ETAG_H
#define SIGNPOST_HTTP_ETAG_H

#include "http/door.h"

#include <stdbool.h>

/* Is the tag (`"x"` or `W/"x"`) in the list? By weak comparison: W/ counts for nothing. What comes
 * after something that is no list of tags is not looked at. */
bool etag_is_listed(const char *list, const char *tag);

/* Is it in any If-None-Match of the request? */
bool etag_is_known(const struct request *request, const char *tag);

#endif
