#include "pages/csp.h"

#include <nettle/base64.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* What is left of the page. */
struct scan {
    const char *at, *end;
};

static size_t left(const struct scan *scan)
{
    return (size_t)(scan->end - scan->at);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r' && c != '\v');
}

static bool ends_name(char c)
{
    return is_space(c) || c == '/' || c == '>';
}

/* Does what is left begin with that word, which is in lower case, in any case? */
static bool begins(const struct scan *scan, const char *word)
{
    size_t length = strlen(word);
    return left(scan) >= length && !strncasecmp(scan->at, word, length);
}

/* A tag of that name: `<script`, and no letter after it. */
static bool begins_tag(const struct scan *scan, const char *tag)
{
    size_t length = strlen(tag);
    return left(scan) > length && begins(scan, tag) && ends_name(scan->at[length]);
}

static void skip_spaces(struct scan *scan)
{
    while (left(scan) && is_space(*scan->at))
        scan->at++;
}

/* To the character after the next one of these, or to the end. */
static void skip_past(struct scan *scan, const char *stops)
{
    while (left(scan) && !(*scan->at && strchr(stops, *scan->at)))
        scan->at++;
    if (left(scan))
        scan->at++;
}

static void skip_value(struct scan *scan)
{
    if (!left(scan))
        return;
    if (*scan->at == '"' || *scan->at == '\'') {
        char quote[] = {*scan->at++, '\0'};
        skip_past(scan, quote);
        return;
    }
    while (left(scan) && !is_space(*scan->at) && *scan->at != '>')
        scan->at++;
}

/* From the attributes of a tag to behind its end. Returns whether one of them is `src`. */
static bool skip_attributes(struct scan *scan)
{
    bool has_src = false;

    for (;;) {
        while (left(scan) && (is_space(*scan->at) || *scan->at == '/'))
            scan->at++;
        if (!left(scan))
            return has_src;
        if (*scan->at == '>') {
            scan->at++;
            return has_src;
        }
        const char *name = scan->at++;
        while (left(scan) && !ends_name(*scan->at) && *scan->at != '=')
            scan->at++;
        has_src |= scan->at - name == 3 && !strncasecmp(name, "src", 3);
        skip_spaces(scan);
        if (left(scan) && *scan->at == '=') {
            scan->at++;
            skip_spaces(scan);
            skip_value(scan);
        }
    }
}

/* A browser makes each line end one \n before it looks at anything (HTML, 13.2.3.5). */
static void write_hash(struct text *out, const char *content, const char *end)
{
    struct sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char base64[BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE) + 1];

    sha256_init(&context);
    while (content < end) {
        const char *cr = memchr(content, '\r', (size_t)(end - content));
        size_t length = (size_t)((cr ? cr : end) - content);
        sha256_update(&context, length, (const uint8_t *)content);
        content += length;
        if (!cr)
            break;
        sha256_update(&context, 1, (const uint8_t *)"\n");
        content += content + 1 < end && content[1] == '\n' ? 2 : 1;
    }
    sha256_digest(&context, sizeof digest, digest);
    base64_encode_raw(base64, sizeof digest, digest);
    base64[sizeof base64 - 1] = '\0';
    text_puts(out, " 'sha256-");
    text_puts(out, base64);
    text_puts(out, "'");
}

/* From behind `<script` or `<style`, to the end tag or, without one, to the end of the page. */
static void take_element(struct scan *scan, const char *end_tag, struct text *hashes)
{
    bool elsewhere = skip_attributes(scan);
    const char *content = scan->at;

    while (left(scan) && !begins_tag(scan, end_tag))
        scan->at++;
    if (!elsewhere)
        write_hash(hashes, content, scan->at);
}

static void take_comment(struct scan *scan)
{
    const char *end = memmem(scan->at, left(scan), "-->", 3);
    scan->at = end ? end + 3 : scan->end;
}

static void find_inline(const char *html, size_t size, struct text *scripts, struct text *styles)
{
    struct scan scan = {html, html + size};

    while (left(&scan)) {
        if (begins_tag(&scan, "<script")) {
            scan.at += strlen("<script");
            take_element(&scan, "</script", scripts);
        } else if (begins_tag(&scan, "<style")) {
            scan.at += strlen("<style");
            take_element(&scan, "</style", styles);
        } else if (begins(&scan, "<!--")) {
            take_comment(&scan);
        } else if (left(&scan) > 1 && *scan.at == '<' && (scan.at[1] | 0x20) >= 'a' &&
                   (scan.at[1] | 0x20) <= 'z') {
            scan.at++;
            skip_attributes(&scan);
        } else {
            scan.at++;
        }
    }
}

void csp_write(struct text *out, const char *html, size_t size)
{
    struct text scripts = {0}, styles = {0};

    find_inline(html, size, &scripts, &styles);
    if (text_failed(&scripts) || text_failed(&styles))
        out->failed = true;
    text_puts(out, "default-src 'none'; script-src 'self'");
    text_append(out, scripts.bytes, scripts.length);
    text_puts(out, "; style-src");
    if (styles.length)
        text_append(out, styles.bytes, styles.length);
    else
        text_puts(out, " 'none'");
    text_puts(out, "; connect-src 'self'; img-src 'self' blob: data:; base-uri 'none'; "
                   "form-action 'none'; frame-ancestors 'none'");
    text_clear(&scripts);
    text_clear(&styles);
}
