#include "codec_internal.h"
#include "version.h"

void codec_add_sign_of_life(struct text *nodes, const struct node_view *node)
{
    if (nodes->length)
        text_puts(nodes, ",");
    text_puts(nodes, "{\"id\":");
    codec_write_string(nodes, node->id);
    text_puts(nodes, ",\"age\":");
    codec_write_seconds(nodes, node->age_s);
    text_puts(nodes, ",\"expires_in\":");
    codec_write_seconds(nodes, node->expires_in_s);
    text_puts(nodes, ",\"mail\":");
    codec_write_integer(nodes, node->mail);
    text_puts(nodes, "}");
}

static void write_count(struct text *out, const char *name, size_t count, bool known)
{
    text_printf(out, "\"%s\":", name);
    if (known)
        codec_write_integer(out, count);
    else
        text_puts(out, "null");
    text_puts(out, ",");
}

static void write_load(struct text *out, const struct status_reply *status)
{
    text_puts(out, "{");
    write_count(out, "nodes", status->nodes, status->counts);
    write_count(out, "networks", status->networks, status->counts);
    write_count(out, "waiting", status->waiting, status->counts);
    write_count(out, "max_waiting", status->max_waiting, status->max_waiting > 0);
    write_count(out, "connections", status->connections, status->counts);
    write_count(out, "max_connections", status->max_connections, status->max_connections > 0);
    text_puts(out, "\"cpu\":");
    codec_write_seconds(out, status->cpu_share);
    text_puts(out, ",\"memory\":");
    codec_write_integer(out, status->memory_bytes);
    text_puts(out, "}");
}

void codec_write_status(struct text *out, const struct status_reply *status,
    const struct poll_pieces *pieces, const struct poll_result *result)
{
    text_puts(out, "{\"version\":\"" SIGNPOST_VERSION "\",\"ready\":");
    text_puts(out, status->ready ? "true" : "false");
    text_puts(out, ",\"time\":");
    codec_write_time(out, status->wall_ms);
    text_puts(out, ",\"uptime\":");
    codec_write_seconds(out, status->uptime_s);
    text_puts(out, ",\"load\":");
    write_load(out, status);
    text_puts(out, ",\"network\":");
    codec_write_string(out, result->network);
    text_puts(out, ",\"cursor\":");
    codec_write_cursor(out, &result->cursor);
    text_puts(out, result->more ? ",\"more\":true" : ",\"more\":false");
    if (result->after) {
        text_puts(out, ",\"after\":");
        codec_write_string(out, result->after);
    }
    text_puts(out, ",\"nodes\":[");
    if (text_failed(&pieces->nodes))
        out->failed = true;
    text_append(out, pieces->nodes.bytes, pieces->nodes.length);
    text_puts(out, "]}\n");
}
