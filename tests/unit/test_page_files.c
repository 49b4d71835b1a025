/* What is served as it is: the files as they are in the source, each with its tag and policy. */
#include "pages/files.h"
#include "pages/pages.h"
#include "server_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pages *make(bool demo)
{
    struct fault fault;
    struct pages *pages = NULL;

    if (pages_new(demo, &pages, &fault))
        fail_msg("%s", fault.detail);
    return pages;
}

/* The file of the source has just these bytes; the tests run where make does. */
static void assert_is_file(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "rb");
    char *content = malloc(size + 1);

    assert_non_null(file);
    assert_non_null(content);
    assert_int_equal(fread(content, 1, size + 1, file), size);
    assert_memory_equal(content, bytes, size);
    assert_int_equal(bytes[size], 0);
    free(content);
    fclose(file);
}

static void test_files_are_whole(void **state)
{
    (void)state;
#define X(name, path) assert_is_file(path, name, (size_t)name##_size);
    FILES(X)
#undef X
}

static void test_pages_have_their_types_and_tags(void **state)
{
    static const char *const paths[][2] = {{"/signpost.js", "text/javascript; charset=utf-8"},
        {"/signpost.d.ts", "text/plain; charset=utf-8"}, {"/openapi.json", "application/json"},
        {"/demo", "text/html; charset=utf-8"}};
    struct pages *pages = make(true);

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const struct page *page = pages_find(pages, paths[i][0]);
        assert_non_null(page);
        assert_string_equal(page->type, paths[i][1]);
        assert_int_equal(strlen(page->tag), 66);
        assert_int_equal(strspn(page->tag + 1, "0123456789abcdef"), 64);
        assert_true(page->tag[0] == '"' && page->tag[65] == '"');
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(page->tag, pages_find(pages, paths[k][0])->tag);
    }
    assert_ptr_equal(pages_find(pages, "/signpost.js")->bytes, file_signpost_js);
    assert_ptr_equal(pages_find(pages, "/signpost.d.ts")->bytes, file_signpost_d_ts);
    assert_ptr_equal(pages_find(pages, "/openapi.json")->bytes, file_openapi_json);
    assert_ptr_equal(pages_find(pages, "/demo")->bytes, file_demo_html);
    pages_free(pages);
}

static void test_pages_html_alone_has_a_policy_and_it_fits(void **state)
{
    struct pages *pages = make(true);

    (void)state;
    assert_null(pages_find(pages, "/signpost.js")->policy);
    assert_null(pages_find(pages, "/signpost.d.ts")->policy);
    const char *policy = pages_find(pages, "/demo")->policy;
    assert_non_null(policy);
    assert_in_range(strlen(policy), 1, LIMIT_POLICY_CHARS);
    assert_null(strpbrk(policy, "\r\n"));
    assert_null(strstr(policy, "unsafe"));
    policy = pages_status(pages)->policy;
    assert_non_null(policy);
    assert_in_range(strlen(policy), 1, LIMIT_POLICY_CHARS);
    pages_free(pages);
}

static void write_place(struct text *out, const char *name, size_t length, void *user)
{
    ++*(int *)user;
    text_printf(out, "[%.*s]", (int)length, name);
}

static void assert_filled(const char *bytes, const char *expected, int places)
{
    struct page page = {.bytes = bytes, .size = strlen(bytes)};
    struct text out = {0};
    int filled = 0;

    pages_fill(&out, &page, write_place, &filled);
    assert_int_equal(filled, places);
    assert_string_equal(out.bytes, expected);
    text_clear(&out);
}

static void test_pages_places_are_filled(void **state)
{
    (void)state;
    assert_filled("<p><!--{a}--></p><!--{bc}--><!--{}-->", "<p>[a]</p>[bc][]", 3);
    assert_filled("<!-- {a} --><!--{a} x", "<!-- {a} --><!--{a} x", 0);
    assert_filled("none", "none", 0);
}

static void test_pages_demo_is_there_only_where_asked_for(void **state)
{
    struct pages *pages = make(false);

    (void)state;
    assert_null(pages_find(pages, "/demo"));
    assert_non_null(pages_find(pages, "/signpost.js"));
    pages_free(pages);
}

static void test_pages_other_paths_have_none(void **state)
{
    static const char *const paths[] = {"", "/", "/demo/", "/Demo", "/demo.html", "/signpost",
        "/signpost.js/", "signpost.js", "/client/js/signpost.js", "/openapi", "/docs/openapi.json"};
    struct pages *pages = make(true);

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_null(pages_find(pages, paths[i]));
    pages_free(pages);
    pages_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_are_whole),
        cmocka_unit_test(test_pages_have_their_types_and_tags),
        cmocka_unit_test(test_pages_html_alone_has_a_policy_and_it_fits),
        cmocka_unit_test(test_pages_places_are_filled),
        cmocka_unit_test(test_pages_demo_is_there_only_where_asked_for),
        cmocka_unit_test(test_pages_other_paths_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
