#include "metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *family, *label, *value, *help;
} counters[] = {
#define X(name, family, label, value, help) {family, label, value, help},
    METRICS_COUNTERS(X)
#undef X
};

static const struct {
    const char *family;
    enum metrics_unit unit;
    const char *help;
} histograms[] = {
#define X(name, family, unit, help) {family, unit, help},
    METRICS_HISTOGRAMS(X)
#undef X
};

static const int errors[] = {
#define X(name, code, status, title) ERROR_##name,
    ERROR_LIST(X)
#undef X
};

#define ERRORS (sizeof errors / sizeof errors[0])

/* The upper bounds of the buckets but the last, which has none. */
static const uint64_t bounds[][METRICS_BUCKETS - 1] = {
    [METRICS_SECONDS] = {100, 250, 1000, 2500, 10000, 25000, 100000, 250000, 1000000, 2500000,
        10000000},
    [METRICS_WAIT_SECONDS] = {10000, 100000, 500000, 1000000, 2500000, 5000000, 10000000, 20000000,
        30000000, 45000000, 60000000},
    [METRICS_COUNT] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096},
};

static uint64_t counted[METRICS];
static uint64_t problems[ERRORS];
static struct histogram observed[HISTOGRAMS];

void metrics_add(enum metric metric, uint64_t count)
{
    counted[metric] += count;
}

void metrics_problem(int error)
{
    size_t ordinal = (size_t)(-1 - error);

    if (error < 0 && ordinal < ERRORS)
        problems[ordinal]++;
}

void histogram_add(struct histogram *histogram, enum metrics_unit unit, uint64_t value)
{
    size_t at = 0;

    while (at < METRICS_BUCKETS - 1 && value > bounds[unit][at])
        at++;
    histogram->buckets[at]++;
    histogram->sum += value;
}

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;

    for (size_t i = 0; i < METRICS_BUCKETS; i++)
        count += histogram->buckets[i];
    return count;
}

void metrics_observe(enum metrics_histogram histogram, uint64_t value)
{
    histogram_add(&observed[histogram], histograms[histogram].unit, value);
}

/* --- the text format ------------------------------------------------------------------------- */

void metrics_write_family(struct text *out, const char *family, const char *type, const char *help)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family, help, family, type);
}

void metrics_write_value(struct text *out, const char *family, const char *labels, double value)
{
    text_printf(out, labels[0] ? "%s{%s} %.15g\n" : "%s%s %.15g\n", family, labels, value);
}

static double in_unit(enum metrics_unit unit, uint64_t value)
{
    return unit == METRICS_COUNT ? (double)value : (double)value / 1e6;
}

void metrics_write_histogram(struct text *out, const char *family, const char *labels,
    enum metrics_unit unit, const struct histogram *histogram)
{
    const char *comma = labels[0] ? "," : "";
    uint64_t count = 0;

    for (size_t i = 0; i < METRICS_BUCKETS - 1; i++) {
        count += histogram->buckets[i];
        text_printf(out, "%s_bucket{%s%sle=\"%.15g\"} %" PRIu64 "\n", family, labels, comma,
            in_unit(unit, bounds[unit][i]), count);
    }
    count += histogram->buckets[METRICS_BUCKETS - 1];
    text_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", family, labels, comma, count);
    text_printf(out, labels[0] ? "%s_sum{%s} %.15g\n" : "%s_sum%s %.15g\n", family, labels,
        in_unit(unit, histogram->sum));
    text_printf(out, labels[0] ? "%s_count{%s} %" PRIu64 "\n" : "%s_count%s %" PRIu64 "\n", family,
        labels, count);
}

void metrics_write(struct text *out)
{
    char labels[64];

    for (size_t i = 0; i < METRICS; i++) {
        if (!i || strcmp(counters[i].family, counters[i - 1].family) != 0)
            metrics_write_family(out, counters[i].family, "counter", counters[i].help);
        labels[0] = '\0';
        if (counters[i].label[0])
            snprintf(labels, sizeof labels, "%s=\"%s\"", counters[i].label, counters[i].value);
        metrics_write_value(out, counters[i].family, labels, (double)counted[i]);
    }
    metrics_write_family(
        out, "signpost_problems_total", "counter", "Requests that were answered with a problem.");
    for (size_t i = 0; i < ERRORS; i++) {
        snprintf(labels, sizeof labels, "code=\"%s\"", error_code(errors[i]));
        metrics_write_value(out, "signpost_problems_total", labels, (double)problems[i]);
    }
    for (size_t i = 0; i < HISTOGRAMS; i++) {
        metrics_write_family(out, histograms[i].family, "histogram", histograms[i].help);
        metrics_write_histogram(out, histograms[i].family, "", histograms[i].unit, &observed[i]);
    }
}
