#include "http/status_html.h"

#include "http/link.h"
#include "version.h"

#include <string.h>

#define META_SHORT_BYTES 80 /* more stands behind a summary */

/* --- values ---------------------------------------------------------------------------------- */

/* Fit for text and for quoted attributes. */
static void write_escaped(struct text *out, const char *text, size_t length)
{
    static const char special[] = "&<>\"'";
    static const char *const escaped[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    const char *end = text + length;

    while (text < end) {
        size_t plain = strcspn(text, special);
        if (plain > (size_t)(end - text))
            plain = (size_t)(end - text);
        text_append(out, text, plain);
        text += plain;
        if (text < end)
            text_puts(out, escaped[strchr(special, *text++) - special]);
    }
}

static void write_text(struct text *out, const char *text)
{
    write_escaped(out, text, strlen(text));
}

/* With a comma between each three digits. */
static void write_number(struct text *out, size_t number)
{
    if (number >= 1000) {
        write_number(out, number / 1000);
        text_printf(out, ",%03zu", number % 1000);
    } else {
        text_printf(out, "%zu", number);
    }
}

/* The two largest units; the script of the page writes them alike. */
static void write_duration(struct text *out, double seconds)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    int64_t left = seconds > 0 && seconds < 1e12 ? (int64_t)seconds : 0;
    size_t unit = 0;

    while (unit < 3 && left < units[unit].seconds)
        unit++;
    text_printf(out, "%lld %s", (long long)(left / units[unit].seconds), units[unit].name);
    left %= units[unit].seconds;
    if (unit < 2 && left / units[unit + 1].seconds)
        text_printf(
            out, " %lld %s", (long long)(left / units[unit + 1].seconds), units[unit + 1].name);
}

/* --- a row ----------------------------------------------------------------------------------- */

static void write_endpoints(struct text *out, const char *lines)
{
    while (*lines) {
        size_t length = strcspn(lines, "\n");
        text_puts(out, "<code>");
        write_escaped(out, lines, length);
        text_puts(out, "</code> ");
        lines += length + (lines[length] == '\n');
    }
}

static void write_observed(struct text *out, const struct node_view *node)
{
    const struct address *const seen[] = {&node->observed_ipv4, &node->observed_ipv6};
    const char *before = "<small>seen at ";
    char text[ADDRESS_TEXT_SIZE];

    for (size_t i = 0; i < 2; i++) {
        if (!seen[i]->family)
            continue;
        text_puts(out, before);
        text_puts(out, address_format(seen[i], text));
        before = ", ";
    }
    if (*before == ',')
        text_puts(out, "</small>");
}

static void write_meta(struct text *out, const char *meta)
{
    size_t length = strlen(meta), shown = META_SHORT_BYTES;

    if (!strcmp(meta, "{}"))
        return;
    if (length <= META_SHORT_BYTES) {
        text_puts(out, "<code>");
        write_escaped(out, meta, length);
        text_puts(out, "</code>");
        return;
    }
    while ((meta[shown] & 0xC0) == 0x80) /* not within a character of UTF-8 */
        shown--;
    text_puts(out, "<details><summary><code>");
    write_escaped(out, meta, shown);
    text_puts(out, "…</code></summary><code>");
    write_escaped(out, meta, length);
    text_puts(out, "</code></details>");
}

static void begin_cell(struct text *out, const char *name)
{
    text_printf(out, "</td><td role=cell data-name=\"%s\">", name);
}

void status_html_add_node(struct text *rows, const struct node_view *node, int64_t wall_ms)
{
    text_puts(rows, "<tr role=row><th role=rowheader scope=row>");
    write_text(rows, node->id);
    text_puts(rows, "</th><td role=cell data-name=Where>");
    write_endpoints(rows, node->endpoints);
    write_observed(rows, node);
    begin_cell(rows, "Here for");
    write_duration(rows, (double)(wall_ms - node->registered_wall_ms) / 1000);
    begin_cell(rows, "Last heard");
    write_duration(rows, node->age_s);
    text_puts(rows, " ago");
    begin_cell(rows, "Lease left");
    write_duration(rows, node->expires_in_s);
    begin_cell(rows, "Mail");
    write_number(rows, node->mail);
    begin_cell(rows, "Meta");
    write_meta(rows, node->meta);
    text_puts(rows, "</td></tr>\n");
}

/* --- what stands in the places of the template ----------------------------------------------- */

/* What the script starts from. */
static void write_facts(struct text *out, const struct status_html *html)
{
    text_printf(out, "<div id=facts hidden%s data-access=%s data-now=%lld",
        html->result ? "" : " class=none", html->keyed ? "keys" : "open",
        (long long)html->status.wall_ms);
    if (html->fault)
        text_printf(out, " data-fault=%u", error_http_status(html->fault->error));
    text_puts(out, " data-network=\"");
    write_text(out, html->result && !html->keyed ? html->result->network
                    : html->network              ? html->network
                                                 : "");
    text_puts(out, "\"></div>");
}

static void write_of(struct text *out, size_t count, size_t most)
{
    write_number(out, count);
    if (!most)
        return;
    text_puts(out, "<small> of ");
    write_number(out, most);
    text_puts(out, "</small>");
}

static void write_nodes(struct text *out, const struct status_html *html)
{
    if (html->status.counts)
        write_number(out, html->status.nodes);
}

static void write_networks(struct text *out, const struct status_html *html)
{
    if (html->status.counts)
        write_number(out, html->status.networks);
}

static void write_waiting(struct text *out, const struct status_html *html)
{
    if (html->status.counts)
        write_of(out, html->status.waiting, html->status.max_waiting);
}

static void write_connections(struct text *out, const struct status_html *html)
{
    if (html->status.counts)
        write_of(out, html->status.connections, html->status.max_connections);
}

static void write_uptime(struct text *out, const struct status_html *html)
{
    write_duration(out, html->status.uptime_s);
}

static void write_cpu(struct text *out, const struct status_html *html)
{
    int64_t thousandths = (int64_t)(html->status.cpu_share * 1000 + 0.5);
    text_printf(out, "%lld.%lld %%", (long long)(thousandths / 10), (long long)(thousandths % 10));
}

static void write_memory(struct text *out, const struct status_html *html)
{
    text_printf(out, "%zu MiB", (html->status.memory_bytes + (1 << 19)) >> 20);
}

static void write_ready(struct text *out, const struct status_html *html)
{
    text_puts(out, html->status.ready ? "Ready" : "Not ready");
}

static void write_version(struct text *out, const struct status_html *html)
{
    (void)html;
    text_puts(out, SIGNPOST_VERSION);
}

static void write_note(struct text *out, const struct status_html *html)
{
    if (html->fault)
        write_text(out, html->fault->detail);
    else if (html->keyed && !html->result)
        text_puts(out, "<noscript>This index has join keys, and this page needs JavaScript to ask "
                       "for one. With curl: <code>curl -H 'Authorization: Bearer KEY' "
                       "INDEX/list</code></noscript>");
}

static void write_network(struct text *out, const struct status_html *html)
{
    text_puts(out, "In the network <b>");
    write_text(out, html->result->network);
    text_puts(out, "</b>");
}

static void write_rows(struct text *out, const struct status_html *html)
{
    if (text_failed(html->rows))
        out->failed = true;
    if (html->rows->length)
        text_append(out, html->rows->bytes, html->rows->length);
}

static void write_empty(struct text *out, const struct status_html *html)
{
    text_puts(out, html->result->more ? "Nobody on this page." : "Nobody is here.");
}

static void write_next(struct text *out, const struct status_html *html)
{
    struct text link = {0};

    if (!html->result || !html->result->after)
        return;
    link_write(&link, "/", html->result->after, html->limit, html->network, html->filters,
        html->filter_count);
    if (text_failed(&link))
        out->failed = true;
    else {
        text_puts(out, "<a href=\"");
        write_text(out, link.bytes);
        text_puts(out, "\">Next page</a>");
    }
    text_clear(&link);
}

static const struct {
    const char *name;
    bool shown; /* only together with a list */
    void (*write)(struct text *out, const struct status_html *html);
} places[] = {
    {"facts", false, write_facts},
    {"note", false, write_note},
    {"network", true, write_network},
    {"ready", true, write_ready},
    {"nodes", true, write_nodes},
    {"networks", true, write_networks},
    {"waiting", true, write_waiting},
    {"connections", true, write_connections},
    {"uptime", true, write_uptime},
    {"cpu", true, write_cpu},
    {"memory", true, write_memory},
    {"version", true, write_version},
    {"rows", true, write_rows},
    {"empty", true, write_empty},
    {"next", true, write_next},
};

static void fill_place(struct text *out, const char *name, size_t length, void *user)
{
    const struct status_html *html = user;

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strlen(places[i].name) == length && !strncmp(places[i].name, name, length) &&
            (html->result || !places[i].shown))
            places[i].write(out, html);
}

void status_html_write(struct text *out, const struct page *page, const struct status_html *html)
{
    pages_fill(out, page, fill_place, (void *)html);
}
