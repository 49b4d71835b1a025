/*
 * The changes that were put together last. Whoever watched the same list to the same cursor is told
 * the same, so that of many who hear of a change in one pass only the first reads and writes it.
 */
#ifndef SIGNPOST_HTTP_DELTA_H
#define SIGNPOST_HTTP_DELTA_H

#include "codec.h"

#include "server_limits.h"

struct kept_delta {
    char network[LIMIT_ID_CHARS + 1]; /* "": none is kept */
    struct poll_delta of;
    struct text nodes, gone;
};

/* Copies the pieces; where memory is out none is kept. */
void delta_keep(
    struct kept_delta *kept, const struct poll_delta *delta, const struct poll_pieces *pieces);

bool delta_is_kept(const struct kept_delta *kept, const struct poll_delta *delta);

/* Appends what is kept. */
void delta_copy(const struct kept_delta *kept, struct poll_pieces *pieces);

void delta_forget(struct kept_delta *kept);

#endif
