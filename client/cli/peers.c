#include "peers.h"

#include "json.h"
#include "out.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define AGE_SIZE 16   /* of an age, with NUL */
#define GAP 2         /* between columns */
#define META_LEAST 16 /* characters of meta that are shown on however narrow a terminal */

bool peers_read_filter(const char *value, void *field)
{
    if (value[0] == '=' || !strchr(value, '='))
        return false;
    *(const char **)field = value;
    return true;
}

const char *peers_event_name(signpost_peer_event_t event)
{
    switch (event) {
    case SIGNPOST_PEER_UP: return "up";
    case SIGNPOST_PEER_CHANGED: return "changed";
    case SIGNPOST_PEER_DOWN: break;
    }
    return "down";
}

/* --- a table --------------------------------------------------------------------------------- */

enum column { ID, AGE, ENDPOINTS, OBSERVED, META, COLUMNS };

static const char *const headings[COLUMNS] = {"ID", "AGE", "ENDPOINTS", "OBSERVED", "META"};

struct table {
    size_t widths[COLUMNS];
    size_t peers;
    size_t rows, most_rows;
    size_t shown;
};

static void widen(size_t *width, const char *text)
{
    size_t needed = out_width(text);

    if (needed > *width)
        *width = needed;
}

/* How long ago it registered, in the largest unit of which it is two: "90s", "5m", "47h", "9d". */
static void write_age(const signpost_peer_t *peer, char ret_age[AGE_SIZE])
{
    static const struct {
        double seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}};
    struct tm registered = {.tm_isdst = 0};

    ret_age[0] = '\0';
    if (!strptime(peer->registered_at, "%Y-%m-%dT%H:%M:%SZ", &registered))
        return;
    double age_s = difftime(time(NULL), timegm(&registered));
    if (age_s < 0) /* by another clock than ours */
        age_s = 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (age_s >= 2 * units[i].seconds) {
            snprintf(ret_age, AGE_SIZE, "%ld%c", (long)(age_s / units[i].seconds), units[i].unit);
            return;
        }
    snprintf(ret_age, AGE_SIZE, "%.0fs", age_s);
}

static bool measure(const signpost_peer_t *peer, void *user)
{
    struct table *table = user;
    char age[AGE_SIZE];

    write_age(peer, age);
    widen(&table->widths[AGE], age);
    table->peers++;
    widen(&table->widths[ID], peer->id);
    for (size_t i = 0; i < peer->endpoint_count; i++)
        widen(&table->widths[ENDPOINTS], peer->endpoints[i]);
    for (size_t i = 0; i < peer->observed_count; i++)
        widen(&table->widths[OBSERVED], peer->observed[i]);
    return true;
}

static void print_cell(const struct table *table, enum column column, const char *text)
{
    size_t written = out_text(stdout, text, table->widths[column]);

    if (column != META)
        printf("%*s", (int)(table->widths[column] - written + GAP), "");
}

/* The values of a peer that has several stand below each other. */
static bool print_rows(const signpost_peer_t *peer, void *user)
{
    struct table *table = user;
    size_t rows = 1;
    char age[AGE_SIZE];

    if (peer->endpoint_count > rows)
        rows = peer->endpoint_count;
    if (peer->observed_count > rows)
        rows = peer->observed_count;
    if (table->most_rows && table->rows + rows > table->most_rows)
        return false;
    write_age(peer, age);
    for (size_t i = 0; i < rows; i++) {
        if (peer->stale)
            out_style(stdout, OUT_DIM);
        print_cell(table, ID, i ? "" : peer->id);
        print_cell(table, AGE, i ? "" : age);
        print_cell(table, ENDPOINTS, i < peer->endpoint_count ? peer->endpoints[i] : "");
        print_cell(table, OBSERVED, i < peer->observed_count ? peer->observed[i] : "");
        if (!i && peer->stale)
            fputs("(stale) ", stdout);
        print_cell(table, META, i || !strcmp(peer->meta, "{}") ? "" : peer->meta);
        if (peer->stale)
            out_style(stdout, OUT_PLAIN);
        putchar('\n');
    }
    table->rows += rows;
    table->shown++;
    return true;
}

static void print_table(const signpost_t *client, size_t most_rows)
{
    struct table table = {.most_rows = most_rows};
    size_t columns, screen_rows;

    for (int i = 0; i < META; i++)
        table.widths[i] = strlen(headings[i]);
    signpost_peers(client, measure, &table);
    if (!table.peers)
        return;
    out_terminal_size(&columns, &screen_rows);
    size_t used = table.widths[ID] + table.widths[AGE] + table.widths[ENDPOINTS] +
                  table.widths[OBSERVED] + 4 * GAP;
    table.widths[META] = columns > used + META_LEAST ? columns - used : META_LEAST;
    out_style(stdout, OUT_BOLD);
    for (int i = 0; i < COLUMNS; i++)
        print_cell(&table, (enum column)i, headings[i]);
    out_style(stdout, OUT_PLAIN);
    putchar('\n');
    signpost_peers(client, print_rows, &table);
    if (table.shown < table.peers)
        printf("... and %zu more\n", table.peers - table.shown);
}

/* --- for programs ---------------------------------------------------------------------------- */

static void print_joined(const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            putchar(',');
        out_text(stdout, texts[i], SIZE_MAX);
    }
    putchar('\t');
}

static bool print_fields(const signpost_peer_t *peer, void *user)
{
    (void)user;
    print_joined(&peer->id, 1);
    print_joined(peer->endpoints, peer->endpoint_count);
    print_joined(peer->observed, peer->observed_count);
    json_put_json(stdout, peer->meta);
    putchar('\n');
    return true;
}

void peers_print(const signpost_t *client, bool table, size_t most_rows)
{
    if (table)
        print_table(client, most_rows);
    else
        signpost_peers(client, print_fields, NULL);
}

static bool print_element(const signpost_peer_t *peer, void *user)
{
    const char **before = user;

    fputs(*before, stdout);
    *before = ", ";
    putchar('{');
    json_put_peer(stdout, peer);
    putchar('}');
    return true;
}

void peers_print_json(const signpost_t *client)
{
    const char *before = "";

    putchar('[');
    signpost_peers(client, print_element, &before);
    puts("]");
}
