/*
 * What the index serves that is the same for everyone: the browser module and the page that shows
 * it; and the status page, whose places are filled for each request. One table in pages.c has them
 * all.
 */
#ifndef SIGNPOST_PAGES_PAGES_H
#define SIGNPOST_PAGES_PAGES_H

#include "error.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>

#define PAGE_TAG_SIZE (2 * 32 + 3) /* SHA-256 in hex, quotation marks, NUL */

struct page {
    const char *path;
    const char *type;  /* as for Content-Type */
    const char *bytes; /* static */
    size_t size;
    char tag[PAGE_TAG_SIZE]; /* as for ETag: strong, of the bytes */
    char *policy;            /* as for Content-Security-Policy, or NULL */
};

struct pages;

/* `demo`: also the demonstration page. */
int pages_new(bool demo, struct pages **ret_pages, struct fault *ret_fault);
void pages_free(struct pages *pages); /* NULL is fine */

/* NULL: there is no page at that path. */
const struct page *pages_find(const struct pages *pages, const char *path);

/* The status page, which is no page by itself: it has places. */
const struct page *pages_status(const struct pages *pages);

/* Writes the page, and for each `<!--{name}-->` in it what `fill` writes. */
void pages_fill(struct text *out, const struct page *page,
    void (*fill)(struct text *out, const char *name, size_t length, void *user), void *user);

#endif
