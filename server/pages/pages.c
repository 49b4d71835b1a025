#include "pages/pages.h"

#include "pages/csp.h"
#include "pages/files.h"
#include "server_limits.h"

#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#define HTML "text/html; charset=utf-8"
#define PLACE "<!--{"
#define PLACE_END "}-->"

static const struct {
    const char *path;
    const char *type;
    const char *bytes;
    const uint64_t *size;
    enum { SERVED, STATUS, DEMO } kind; /* the demo only where it was asked for */
} table[] = {
    {"/signpost.js", "text/javascript; charset=utf-8", file_signpost_js, &file_signpost_js_size,
        SERVED},
    {"/signpost.d.ts", "text/plain; charset=utf-8", file_signpost_d_ts, &file_signpost_d_ts_size,
        SERVED},
    {"/openapi.json", "application/json", file_openapi_json, &file_openapi_json_size, SERVED},
    {"/", HTML, file_status_html, &file_status_html_size, STATUS},
    {"/demo", HTML, file_demo_html, &file_demo_html_size, DEMO},
};

#define TABLE_COUNT (sizeof table / sizeof table[0])

struct pages {
    struct page pages[TABLE_COUNT];
    size_t count;
    const struct page *status;
};

static void write_tag(const char *bytes, size_t size, char ret_tag[PAGE_TAG_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    struct sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char *at = ret_tag;

    sha256_init(&context);
    sha256_update(&context, size, (const uint8_t *)bytes);
    sha256_digest(&context, sizeof digest, digest);
    *at++ = '"';
    for (size_t i = 0; i < sizeof digest; i++) {
        *at++ = hex[digest[i] >> 4];
        *at++ = hex[digest[i] & 15];
    }
    *at++ = '"';
    *at = '\0';
}

static int write_policy(struct page *page, struct fault *ret_fault)
{
    struct text policy = {0};
    size_t length;

    csp_write(&policy, page->bytes, page->size);
    if (text_failed(&policy)) {
        text_clear(&policy);
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory to start");
    }
    page->policy = text_take(&policy, &length);
    /* A reply whose head does not fit its room would not be sent at all. */
    if (length > LIMIT_POLICY_CHARS)
        return fault_set(ret_fault, ERROR_HEADERS_TOO_LARGE,
            "%s has more inline scripts and styles than fit into a header", page->path);
    return 0;
}

int pages_new(bool demo, struct pages **ret_pages, struct fault *ret_fault)
{
    struct pages *pages = calloc(1, sizeof *pages);

    if (!pages)
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory to start");
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (table[i].kind == DEMO && !demo)
            continue;
        struct page *page = &pages->pages[pages->count++];
        if (table[i].kind == STATUS)
            pages->status = page;
        page->path = table[i].path;
        page->type = table[i].type;
        page->bytes = table[i].bytes;
        page->size = (size_t)*table[i].size;
        write_tag(page->bytes, page->size, page->tag);
        int error = strcmp(page->type, HTML) ? 0 : write_policy(page, ret_fault);
        if (error) {
            pages_free(pages);
            return error;
        }
    }
    *ret_pages = pages;
    return 0;
}

void pages_free(struct pages *pages)
{
    if (!pages)
        return;
    for (size_t i = 0; i < pages->count; i++)
        free(pages->pages[i].policy);
    free(pages);
}

const struct page *pages_find(const struct pages *pages, const char *path)
{
    for (size_t i = 0; i < pages->count; i++)
        if (&pages->pages[i] != pages->status && !strcmp(pages->pages[i].path, path))
            return &pages->pages[i];
    return NULL;
}

const struct page *pages_status(const struct pages *pages)
{
    return pages->status;
}

void pages_fill(struct text *out, const struct page *page,
    void (*fill)(struct text *out, const char *name, size_t length, void *user), void *user)
{
    const char *at = page->bytes, *end = page->bytes + page->size, *place, *close;

    while ((place = memmem(at, (size_t)(end - at), PLACE, strlen(PLACE)))) {
        const char *name = place + strlen(PLACE);
        close = memmem(name, (size_t)(end - name), PLACE_END, strlen(PLACE_END));
        if (!close)
            break;
        text_append(out, at, (size_t)(place - at));
        fill(out, name, (size_t)(close - name), user);
        at = close + strlen(PLACE_END);
    }
    text_append(out, at, (size_t)(end - at));
}
