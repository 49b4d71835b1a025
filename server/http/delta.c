#include "http/delta.h"

static void append(struct text *text, const struct text *more)
{
    if (more->length)
        text_append(text, more->bytes, more->length);
}

void delta_keep(
    struct kept_delta *kept, const struct poll_delta *delta, const struct poll_pieces *pieces)
{
    delta_forget(kept);
    append(&kept->nodes, &pieces->nodes);
    append(&kept->gone, &pieces->gone);
    if (text_failed(&pieces->nodes) || text_failed(&pieces->gone) || text_failed(&kept->nodes) ||
        text_failed(&kept->gone)) {
        delta_forget(kept);
        return;
    }
    strcpy(kept->network, delta->network);
    kept->of = *delta;
    kept->of.network = kept->network;
}

bool delta_is_kept(const struct kept_delta *kept, const struct poll_delta *delta)
{
    return !strcmp(kept->network, delta->network) && cursor_equal(kept->of.since, delta->since) &&
           cursor_equal(kept->of.cursor, delta->cursor) && kept->of.limit == delta->limit;
}

void delta_copy(const struct kept_delta *kept, struct poll_pieces *pieces)
{
    append(&pieces->nodes, &kept->nodes);
    append(&pieces->gone, &kept->gone);
}

void delta_forget(struct kept_delta *kept)
{
    kept->network[0] = '\0';
    text_clear(&kept->nodes);
    text_clear(&kept->gone);
}
