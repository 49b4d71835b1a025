/* Which of two forms does a client prefer? Accept of RFC 9110, 12.5.1. */
#ifndef SIGNPOST_HTTP_ACCEPT_H
#define SIGNPOST_HTTP_ACCEPT_H

#include "http/door.h"

#include <stdbool.h>

/* What the headers seen so far say; zeroed: nothing. */
struct accept {
    struct accept_choice {
        int quality;   /* in thousandths; 0: not wanted, or not named */
        int exactness; /* of the range that says it: 3 text/html, 2 text slash star, 1 all, 0 none
                        */
    } html, json;
};

/* The ranges of one header more. One that cannot be read is passed over. */
void accept_add(struct accept *accept, const char *list);

/* Does it want HTML rather than JSON? Where both are as good, only if it names HTML, or text: what
 * takes anything, as curl does, wants to read data. */
bool accept_prefers_html(const struct accept *accept);

/* By all Accept headers of the request. */
bool accept_html(const struct request *request);

#endif
