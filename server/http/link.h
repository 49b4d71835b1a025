/* Where a whole list goes on: the target of the request for its next page. */
#ifndef SIGNPOST_HTTP_LINK_H
#define SIGNPOST_HTTP_LINK_H

#include "codec.h"
#include "text.h"

#include <stddef.h>

/* `path?after=…` and what else the query had; `limit` and `network` NULL: absent. Nothing in it
 * needs quoting in a header, and only `&` in HTML, where both were accepted. */
void link_write(struct text *out, const char *path, const char *after, const char *limit,
    const char *network, const struct meta_filter *filters, size_t filter_count);

#endif
