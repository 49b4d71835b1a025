/* The policy of a page: which inline scripts and styles it finds, and what it hashes of them. */
#include "pages/csp.h"

#include <nettle/base64.h>
#include <nettle/sha2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define CONTENTS_MAX 4

/* ` 'sha256-...'` of a content. */
static void add_hash(struct text *out, const char *content)
{
    struct sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char base64[BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE) + 1] = "";

    sha256_init(&context);
    sha256_update(&context, strlen(content), (const uint8_t *)content);
    sha256_digest(&context, sizeof digest, digest);
    base64_encode_raw(base64, sizeof digest, digest);
    text_printf(out, " 'sha256-%s'", base64);
}

/* The policy with these scripts and styles in it, each list ended by NULL. */
static void write_expected(struct text *out, const char *const *scripts, const char *const *styles)
{
    text_puts(out, "default-src 'none'; script-src 'self'");
    for (; *scripts; scripts++)
        add_hash(out, *scripts);
    text_puts(out, "; style-src");
    if (!*styles)
        text_puts(out, " 'none'");
    for (; *styles; styles++)
        add_hash(out, *styles);
    text_puts(out, "; connect-src 'self'; img-src 'self' blob: data:; base-uri 'none'; "
                   "form-action 'none'; frame-ancestors 'none'");
}

/* A copy of just that size, so that the address sanitizer sees any byte read past the end. */
static void write_policy(struct text *out, const char *html, size_t size)
{
    char *copy = malloc(size ? size : 1);

    assert_non_null(copy);
    memcpy(copy, html, size);
    csp_write(out, copy, size);
    free(copy);
    assert_false(text_failed(out));
}

static void test_csp_of_a_known_page_is_known(void **state)
{
    struct text out = {0};
    static const char html[] = "<style>b{}</style><script type=module>alert(1)</script>";
    (void)state;
    write_policy(&out, html, strlen(html));
    /* By openssl dgst -sha256 -binary | base64. */
    assert_string_equal(out.bytes,
        "default-src 'none'; script-src 'self' "
        "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='; style-src "
        "'sha256-7yqHVAesot11p6HczDsgKRipvI5UPgs97z80zNXlans='; "
        "connect-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'");
    text_clear(&out);
}

static void test_csp_finds_what_is_inline(void **state)
{
    static const struct {
        const char *html;
        const char *scripts[CONTENTS_MAX], *styles[CONTENTS_MAX];
    } cases[] = {
        {"", {0}, {0}},
        {"<p>no script, < no tag, <3", {0}, {0}},
        {"<script>a</script>", {"a"}, {0}},
        {"<script></script>", {""}, {0}},
        {"<style>a</style>", {0}, {"a"}},
        {"<script>a</script><style>b</style><script>c</script><style>d</style>", {"a", "c"},
            {"b", "d"}},
        {"<SCRIPT Type='Module'>\n a\n</Script >", {"\n a\n"}, {0}},
        {"<script\ntype=module\n>a</script\n>", {"a"}, {0}},
        {"<script/>a</script/>", {"a"}, {0}},
        {"<script type=\"importmap\">{}</script>", {"{}"}, {0}},
        /* what is elsewhere has no hash */
        {"<script src=/a.js></script>", {0}, {0}},
        {"<script type=module SRC = '/a.js'>a</script><script>b</script>", {"b"}, {0}},
        {"<script async src>a</script>", {0}, {0}},
        {"<script data-src=a>a</script>", {"a"}, {0}},
        {"<script title='src=a'>a</script>", {"a"}, {0}},
        {"<script title=src>a</script>", {"a"}, {0}},
        /* a > in an attribute ends no tag */
        {"<script title='>'>a</script>", {"a"}, {0}},
        {"<script title=\">'\">a</script>", {"a"}, {0}},
        {"<p title='<script>x</script>'><script>a</script>", {"a"}, {0}},
        /* other tags, and what only looks like one */
        {"<scripts>a</scripts><stylesheet>a</stylesheet>", {0}, {0}},
        {"< script>a</script>", {0}, {0}},
        {"<link rel=stylesheet href=a.css><script>a</script>", {"a"}, {0}},
        {"<script>if (a < b) '</scripts>'; '<p>'</script>", {"if (a < b) '</scripts>'; '<p>'"},
            {0}},
        {"<script>'<style>'</script>", {"'<style>'"}, {0}},
        {"<style>/* </script> */</style>", {0}, {"/* </script> */"}},
        /* comments */
        {"<!-- <script>a</script> --><script>b</script>", {"b"}, {0}},
        {"<!-- <script>a</script>", {0}, {0}},
        {"<script><!-- a --></script>", {"<!-- a -->"}, {0}},
        /* without an end */
        {"<script>a", {"a"}, {0}},
        {"<script>a</script", {"a</script"}, {0}},
        {"<script title='a", {""}, {0}},
        {"<script", {0}, {0}},
        {"<script>a</script><p title='", {"a"}, {0}},
        /* line ends as a browser sees them */
        {"<script>a\r\nb\rc\r\r\nd\n\r</script>", {"a\nb\nc\n\nd\n\n"}, {0}},
        {"<script>\r\n</script>", {"\n"}, {0}},
        {"<script>\r", {"\n"}, {0}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct text out = {0}, expected = {0};
        write_policy(&out, cases[i].html, strlen(cases[i].html));
        write_expected(&expected, cases[i].scripts, cases[i].styles);
        if (strcmp(out.bytes, expected.bytes) != 0)
            fail_msg("%s\ngets %s\nnot  %s", cases[i].html, out.bytes, expected.bytes);
        text_clear(&out);
        text_clear(&expected);
    }
}

static void test_csp_of_a_nul_is_of_the_bytes(void **state)
{
    struct text out = {0};
    (void)state;
    write_policy(&out, "\0<script>\0</script>\0", 20);
    assert_non_null(strstr(out.bytes, "script-src 'self' 'sha256-"));
    text_clear(&out);
}

static void test_csp_of_any_beginning_of_a_page_ends_well(void **state)
{
    static const char html[] = "<!doctype html><!-- a --><p title='a>b' hidden id=\"x\"/>"
                               "<style media = screen >b{}</style >\r\n"
                               "<script type=module src=/a.js></script><script>'</p>'\r</script>";
    (void)state;
    for (size_t size = 0; size <= strlen(html); size++) {
        struct text out = {0};
        write_policy(&out, html, size);
        text_clear(&out);
        write_policy(&out, html + size, strlen(html) - size);
        text_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csp_of_a_known_page_is_known),
        cmocka_unit_test(test_csp_finds_what_is_inline),
        cmocka_unit_test(test_csp_of_a_nul_is_of_the_bytes),
        cmocka_unit_test(test_csp_of_any_beginning_of_a_page_ends_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
