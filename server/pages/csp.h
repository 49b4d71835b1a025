/* The Content-Security-Policy of a page of ours (W3C CSP Level 3). */
#ifndef SIGNPOST_PAGES_CSP_H
#define SIGNPOST_PAGES_CSP_H

#include "text.h"

#include <stddef.h>

/* Nothing but the page's own: the inline scripts and styles that it has now, by their SHA-256,
 * scripts of this index, requests to it, and images that the page makes. Attributes such as `style`
 * and `onclick` stay forbidden. Not understood is a script with `<!--` and `<script` in it: the
 * browser then refuses that script. */
void csp_write(struct text *out, const char *html, size_t size);

#endif
