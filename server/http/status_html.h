/* The status page as the server writes it, for who has no JavaScript and until there is some. What
 * strangers have sent stands in it as text only. */
#ifndef SIGNPOST_HTTP_STATUS_HTML_H
#define SIGNPOST_HTTP_STATUS_HTML_H

#include "codec.h"
#include "index/index.h"
#include "pages/pages.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct status_html {
    struct status_reply status;
    bool keyed;                       /* the index has join keys */
    const struct fault *fault;        /* why nothing can be shown, or NULL */
    const struct poll_result *result; /* NULL: nothing is shown */
    const struct text *rows;          /* by status_html_add_node() */
    const char *limit, *network;      /* of the query; NULL: absent */
    const struct meta_filter *filters;
    size_t filter_count;
};

/* A row of the table. `wall_ms`: now. */
void status_html_add_node(struct text *rows, const struct node_view *node, int64_t wall_ms);

/* The page whole. */
void status_html_write(struct text *out, const struct page *page, const struct status_html *html);

#endif
