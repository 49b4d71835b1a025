/* What is counted: the bounds of buckets, and the text that Prometheus reads. */
#include "metrics.h"

#include "server_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_has_line(const char *text, const char *line)
{
    const char *at = strstr(text, line);

    if (!at || (at != text && at[-1] != '\n') || at[strlen(line)] != '\n')
        fail_msg("no line %s in\n%s", line, text);
}

static void test_histogram_value_on_a_bound_is_below_it(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    struct text out = {0};

    histogram_add(&histogram, METRICS_SECONDS, 100);
    histogram_add(&histogram, METRICS_SECONDS, 101);
    histogram_add(&histogram, METRICS_SECONDS, 10000000);
    histogram_add(&histogram, METRICS_SECONDS, 10000001);
    metrics_write_histogram(&out, "x_seconds", "a=\"b\"", METRICS_SECONDS, &histogram);
    assert_has_line(out.bytes, "x_seconds_bucket{a=\"b\",le=\"0.0001\"} 1");
    assert_has_line(out.bytes, "x_seconds_bucket{a=\"b\",le=\"0.00025\"} 2");
    assert_has_line(out.bytes, "x_seconds_bucket{a=\"b\",le=\"2.5\"} 2");
    assert_has_line(out.bytes, "x_seconds_bucket{a=\"b\",le=\"10\"} 3");
    assert_has_line(out.bytes, "x_seconds_bucket{a=\"b\",le=\"+Inf\"} 4");
    assert_has_line(out.bytes, "x_seconds_sum{a=\"b\"} 20.000202");
    assert_has_line(out.bytes, "x_seconds_count{a=\"b\"} 4");
    assert_int_equal(histogram_count(&histogram), 4);
    text_clear(&out);
}

static void test_histogram_of_counts_is_in_whole_numbers(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    struct text out = {0};

    histogram_add(&histogram, METRICS_COUNT, 0);
    histogram_add(&histogram, METRICS_COUNT, 3);
    metrics_write_histogram(&out, "x", "", METRICS_COUNT, &histogram);
    assert_has_line(out.bytes, "x_bucket{le=\"1\"} 1");
    assert_has_line(out.bytes, "x_bucket{le=\"4\"} 2");
    assert_has_line(out.bytes, "x_sum 3");
    assert_has_line(out.bytes, "x_count 2");
    text_clear(&out);
}

static void test_histogram_of_waits_goes_as_far_as_a_poll(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    struct text out = {0};

    histogram_add(&histogram, METRICS_WAIT_SECONDS, 25 * 1000000);
    histogram_add(&histogram, METRICS_WAIT_SECONDS, LIMIT_WAIT_MAX_S * 1000000);
    metrics_write_histogram(&out, "x_seconds", "", METRICS_WAIT_SECONDS, &histogram);
    assert_has_line(out.bytes, "x_seconds_bucket{le=\"20\"} 0");
    assert_has_line(out.bytes, "x_seconds_bucket{le=\"30\"} 1");
    assert_has_line(out.bytes, "x_seconds_bucket{le=\"60\"} 2");
    assert_has_line(out.bytes, "x_seconds_sum 80");
    text_clear(&out);
}

static void test_metrics_say_what_was_counted_once(void **state)
{
    (void)state;
    struct text out = {0};

    metrics_add(METRIC_MAIL_QUEUED, 2);
    metrics_add(METRIC_MAIL_QUEUED, 3);
    metrics_problem(ERROR_OVERLOADED);
    metrics_problem(0); /* no error: nothing is counted */
    metrics_observe(HISTOGRAM_COMMIT_SIZE, 7);
    metrics_write(&out);
    assert_false(text_failed(&out));
    assert_has_line(out.bytes, "signpost_messages_total{fate=\"queued\"} 5");
    assert_has_line(out.bytes, "signpost_messages_total{fate=\"handed\"} 0");
    assert_has_line(out.bytes, "signpost_problems_total{code=\"overloaded\"} 1");
    assert_has_line(out.bytes, "signpost_problems_total{code=\"bad_json\"} 0");
    assert_has_line(out.bytes, "signpost_store_commit_writes_sum 7");
    const char *type = strstr(out.bytes, "# TYPE signpost_messages_total counter\n");
    assert_non_null(type);
    assert_null(strstr(type + 1, "# TYPE signpost_messages_total "));
    text_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_value_on_a_bound_is_below_it),
        cmocka_unit_test(test_histogram_of_counts_is_in_whole_numbers),
        cmocka_unit_test(test_histogram_of_waits_goes_as_far_as_a_poll),
        cmocka_unit_test(test_metrics_say_what_was_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
