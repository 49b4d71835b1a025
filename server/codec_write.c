#include "codec_internal.h"

#include "digits.h"

#include <string.h>
#include <time.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* --- values ---------------------------------------------------------------------------------- */

/* The bytes of the UTF-8 sequence that starts there (RFC 3629), or 0 where there is none. */
static size_t measure_utf8(const unsigned char *at, size_t left)
{
    size_t length = at[0] < 0x80 ? 1 : at[0] < 0xC2 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;

    if (at[0] > 0xF4 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) ||
        (at[0] == 0xF0 && at[1] < 0x90) || (at[0] == 0xF4 && at[1] > 0x8F))
        return 0;
    return length;
}

static void write_escape(struct text *out, unsigned char character)
{
    static const char hex[] = "0123456789abcdef";
    static const char plain[] = "\"\\\b\f\n\r\t", escaped[] = "\"\\bfnrt";
    const char *found = character ? strchr(plain, character) : NULL;

    if (found) {
        text_append(out, (char[]){'\\', escaped[found - plain]}, 2);
    } else {
        text_puts(out, "\\u00");
        text_append(out, (char[]){hex[character >> 4], hex[character & 15]}, 2);
    }
}

/* What is not UTF-8 is replaced: a sentence that quotes a stranger, or that was cut to fit, must
 * not make a reply unreadable. */
static void write_piece(struct text *out, const char *string, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)string;
    size_t written = 0, at = 0;

    text_append(out, "\"", 1);
    while (at < length) {
        size_t step = measure_utf8(bytes + at, length - at);
        bool plain = step > 0 && bytes[at] >= 0x20 && bytes[at] != '"' && bytes[at] != '\\';
        if (plain) {
            at += step;
            continue;
        }
        text_append(out, string + written, at - written);
        if (step)
            write_escape(out, bytes[at]);
        else
            text_puts(out, REPLACEMENT);
        written = ++at;
    }
    text_append(out, string + written, at - written);
    text_append(out, "\"", 1);
}

void codec_write_string(struct text *out, const char *string)
{
    write_piece(out, string, strlen(string));
}

static void write_string_or_null(struct text *out, const char *string)
{
    if (string && *string)
        codec_write_string(out, string);
    else
        text_puts(out, "null");
}

/* Digits of `number`, at least `width` of them. */
static void write_digits(struct text *out, uint64_t number, size_t width)
{
    char digits[DIGITS_MAX];

    text_append(out, digits, (size_t)(digits_write(digits, number, width) - digits));
}

void codec_write_integer(struct text *out, uint64_t number)
{
    write_digits(out, number, 1);
}

/* At most three decimals, in digits of our own: printf's decimal point depends on the locale. */
void codec_write_seconds(struct text *out, double seconds)
{
    if (!(seconds > -1e12 && seconds < 1e12)) /* so written, it holds for what is no number too */
        seconds = 0;
    int64_t ms = (int64_t)(seconds * 1000 + (seconds < 0 ? -0.5 : 0.5));
    uint64_t size = (uint64_t)(ms < 0 ? -ms : ms), fraction = size % 1000;

    if (ms < 0)
        text_append(out, "-", 1);
    codec_write_integer(out, size / 1000);
    if (fraction == 0)
        return;
    size_t width = 3;
    for (; fraction % 10 == 0; fraction /= 10)
        width--;
    text_append(out, ".", 1);
    write_digits(out, fraction, width);
}

/* RFC 3339, in UTC. Years outside 1970 to 9999, which only a broken clock gives, are cut to it. */
void codec_write_time(struct text *out, int64_t wall_ms)
{
    static const int64_t last_s = 253402300799;
    time_t seconds = wall_ms < 0 ? 0 : wall_ms / 1000 > last_s ? last_s : wall_ms / 1000;
    struct tm utc;

    gmtime_r(&seconds, &utc);
    const int parts[] = {
        utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec};
    char text[] = "\"yyyy-mm-ddThh:mm:ssZ\"", *at = text + 1;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        at = digits_write(at, (uint64_t)parts[i], i == 0 ? 4 : 2) + 1;
    text_append(out, text, sizeof text - 1);
}

void codec_write_cursor(struct text *out, const struct cursor *cursor)
{
    char text[CURSOR_TEXT_SIZE];

    text_append(out, "\"", 1);
    text_puts(out, cursor_format(cursor, text));
    text_append(out, "\"", 1);
}

static void write_address(struct text *out, const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];

    text_append(out, "\"", 1);
    text_puts(out, address_format(address, text));
    text_append(out, "\"", 1);
}

static void write_bool(struct text *out, bool value)
{
    text_puts(out, value ? "true" : "false");
}

/* An array of strings from a text with one on each line. */
static void write_lines(struct text *out, const char *lines)
{
    const char *separator = "[";

    while (*lines) {
        size_t length = strcspn(lines, "\n");
        if (length > 0) {
            text_puts(out, separator);
            write_piece(out, lines, length);
            separator = ",";
        }
        lines += length + (lines[length] == '\n');
    }
    text_puts(out, *separator == '[' ? "[]" : "]");
}

/* --- nodes ----------------------------------------------------------------------------------- */

void codec_write_you(struct text *out, const struct address *address, unsigned port)
{
    text_puts(out, "{\"address\":");
    write_address(out, address);
    text_puts(out, ",\"port\":");
    codec_write_integer(out, port);
    text_puts(out, address->family == 6 ? ",\"family\":\"ipv6\"}" : ",\"family\":\"ipv4\"}");
}

/* What registering and a heartbeat both tell of the lease. */
static void write_lease(
    struct text *out, int ttl_s, double heartbeat_after_s, const struct address *you, unsigned port)
{
    text_puts(out, "\"ttl\":");
    codec_write_seconds(out, ttl_s);
    text_puts(out, ",\"heartbeat_after\":");
    codec_write_seconds(out, heartbeat_after_s);
    text_puts(out, ",\"you\":");
    codec_write_you(out, you, port);
}

void codec_write_registered(
    struct text *out, const struct registered *registered, const struct address *you, unsigned port)
{
    text_puts(out, "{\"id\":");
    codec_write_string(out, registered->id);
    text_puts(out, ",\"network\":");
    codec_write_string(out, registered->network);
    if (registered->token) {
        text_puts(out, ",\"token\":");
        codec_write_string(out, registered->token);
    }
    text_puts(out, ",");
    write_lease(out, registered->ttl_s, registered->heartbeat_after_s, you, port);
    text_puts(out, ",\"endpoints\":");
    write_lines(out, registered->endpoints);
    text_puts(out, ",\"cursor\":");
    codec_write_cursor(out, &registered->cursor);
    text_puts(out, "}\n");
}

void codec_write_heartbeat(
    struct text *out, const struct heartbeat *heartbeat, const struct address *you, unsigned port)
{
    text_puts(out, "{");
    write_lease(out, heartbeat->ttl_s, heartbeat->heartbeat_after_s, you, port);
    text_puts(out, ",\"cursor\":");
    codec_write_cursor(out, &heartbeat->cursor);
    text_puts(out, ",\"mail\":");
    codec_write_integer(out, heartbeat->mail);
    text_puts(out, "}\n");
}

void codec_write_node(struct text *out, const struct node_view *node)
{
    text_puts(out, "{\"id\":");
    codec_write_string(out, node->id);
    text_puts(out, ",\"endpoints\":");
    write_lines(out, node->endpoints);
    text_puts(out, ",\"observed\":[");
    if (node->observed_ipv4.family)
        write_address(out, &node->observed_ipv4);
    if (node->observed_ipv4.family && node->observed_ipv6.family)
        text_puts(out, ",");
    if (node->observed_ipv6.family)
        write_address(out, &node->observed_ipv6);
    text_puts(out, "],\"meta\":");
    text_puts(out, node->meta);
    text_puts(out, ",\"reach\":");
    text_puts(out, node->reach);
    text_puts(out, ",\"registered_at\":");
    codec_write_time(out, node->registered_wall_ms);
    text_puts(out, ",\"age\":");
    codec_write_seconds(out, node->age_s);
    text_puts(out, ",\"expires_in\":");
    codec_write_seconds(out, node->expires_in_s);
    text_puts(out, "}");
}

/* --- mailboxes ------------------------------------------------------------------------------- */

void codec_write_sent(struct text *out, const struct sent *sent)
{
    text_puts(out, "{\"seq\":");
    codec_write_integer(out, sent->seq);
    text_puts(out, sent->handed ? ",\"state\":\"handed\"" : ",\"state\":\"queued\"");
    text_puts(out, ",\"expires_in\":");
    codec_write_seconds(out, sent->expires_in_s);
    text_puts(out, "}\n");
}

static void write_message(struct text *out, const struct message_view *message)
{
    text_puts(out, "{\"seq\":");
    codec_write_integer(out, message->seq);
    text_puts(out, ",\"id\":");
    codec_write_string(out, message->id);
    text_puts(out, ",\"from\":");
    write_string_or_null(out, message->from);
    text_puts(out, ",\"from_address\":");
    if (message->from_address.family)
        write_address(out, &message->from_address);
    else
        text_puts(out, "null");
    text_puts(out, ",\"session\":");
    write_string_or_null(out, message->session);
    text_puts(out, ",\"type\":");
    codec_write_string(out, message->type);
    text_puts(out, ",\"body\":");
    text_append(out, message->body, message->body_size);
    text_puts(out, ",\"sent_at\":");
    codec_write_time(out, message->sent_wall_ms);
    text_puts(out, ",\"expires_in\":");
    codec_write_seconds(out, message->expires_in_s);
    text_puts(out, "}");
}

size_t codec_undeliverable_body(
    const struct index_undeliverable *about, char *ret_body, size_t size)
{
    struct text text = {0};
    size_t length;

    text_puts(&text, "{\"id\":");
    codec_write_string(&text, about->id);
    text_puts(&text, ",\"to\":");
    codec_write_string(&text, about->to);
    text_puts(&text, ",\"session\":");
    write_string_or_null(&text, about->session);
    text_puts(&text, ",\"type\":");
    codec_write_string(&text, about->type);
    text_puts(&text, ",\"reason\":");
    codec_write_string(&text, about->reason);
    text_puts(&text, "}");
    /* A message needs some JSON as its body, also where memory is out. */
    if (text_failed(&text) || text.length >= size) {
        text_clear(&text);
        text_puts(&text, "{}");
    }
    if (text_failed(&text) || text.length >= size) {
        length = 0;
    } else {
        length = text.length;
        memcpy(ret_body, text.bytes, length + 1);
    }
    text_clear(&text);
    return length;
}

/* --- polls ----------------------------------------------------------------------------------- */

static void write_separator(struct text *out)
{
    if (out->length > 0)
        text_append(out, ",", 1);
}

void codec_add_gone(struct text *gone, const char *id)
{
    write_separator(gone);
    codec_write_string(gone, id);
}

void codec_add_node(struct text *nodes, const struct node_view *node)
{
    write_separator(nodes);
    codec_write_node(nodes, node);
}

void codec_add_message(struct text *messages, const struct message_view *message)
{
    write_separator(messages);
    write_message(messages, message);
}

/* A piece that ran out of memory is cut off somewhere: the whole has failed with it. */
static void write_array(struct text *out, const struct text *piece)
{
    if (text_failed(piece))
        out->failed = true;
    text_append(out, "[", 1);
    text_append(out, piece->bytes, piece->length);
    text_append(out, "]", 1);
}

static void write_list(
    struct text *out, const struct poll_pieces *pieces, const struct poll_result *result)
{
    text_puts(out, "{\"network\":");
    codec_write_string(out, result->network);
    text_puts(out, ",\"cursor\":");
    codec_write_cursor(out, &result->cursor);
    text_puts(out, ",\"reset\":");
    write_bool(out, result->reset);
    text_puts(out, ",\"more\":");
    write_bool(out, result->more);
    if (result->after) {
        text_puts(out, ",\"after\":");
        codec_write_string(out, result->after);
    }
    text_puts(out, ",\"nodes\":");
    write_array(out, &pieces->nodes);
    text_puts(out, ",\"gone\":");
    write_array(out, &pieces->gone);
    text_puts(out, "}");
}

static void write_mail(
    struct text *out, const struct poll_pieces *pieces, const struct poll_result *result)
{
    text_puts(out, "{\"next\":");
    codec_write_cursor(out, &result->next);
    text_puts(out, ",\"reset\":");
    write_bool(out, result->mail_reset);
    text_puts(out, ",\"messages\":");
    write_array(out, &pieces->messages);
    text_puts(out, "}");
}

void codec_write_list(
    struct text *out, const struct poll_pieces *pieces, const struct poll_result *result)
{
    write_list(out, pieces, result);
    text_puts(out, "\n");
}

void codec_write_mail(
    struct text *out, const struct poll_pieces *pieces, const struct poll_result *result)
{
    write_mail(out, pieces, result);
    text_puts(out, "\n");
}

void codec_write_events(
    struct text *out, const struct poll_pieces *pieces, const struct poll_result *result)
{
    text_puts(out, "{\"list\":");
    write_list(out, pieces, result);
    text_puts(out, ",\"mail\":");
    write_mail(out, pieces, result);
    text_puts(out, ",\"heartbeat_after\":");
    codec_write_seconds(out, result->heartbeat_after_s);
    text_puts(out, "}\n");
}

/* --- help with connecting -------------------------------------------------------------------- */

/* `{"urls":[...]`, the brace left open. */
static void write_servers(struct text *out, const char *const *uris, size_t count)
{
    const char *separator = "";

    text_puts(out, "{\"urls\":[");
    for (size_t i = 0; i < count; i++) {
        text_puts(out, separator);
        codec_write_string(out, uris[i]);
        separator = ",";
    }
    text_puts(out, "]");
}

void codec_write_ice(
    struct text *out, const struct ice *ice, const char *own, const struct turn_credential *turn)
{
    text_puts(out, "{\"iceServers\":[");
    if (own) {
        text_printf(out, "{\"urls\":[%s]}", own);
        text_puts(out, ice->stun_count || turn ? "," : "");
    }
    if (ice->stun_count) {
        write_servers(out, ice->stun_uris, ice->stun_count);
        text_puts(out, turn ? "}," : "}");
    }
    if (turn) {
        write_servers(out, ice->turn_uris, ice->turn_count);
        text_puts(out, ",\"username\":");
        codec_write_string(out, turn->username);
        text_puts(out, ",\"credential\":");
        codec_write_string(out, turn->password);
        text_puts(out, "}");
    }
    text_puts(out, "],\"ttl\":");
    codec_write_integer(out, LIMIT_TURN_TTL_S);
    text_puts(out, "}\n");
}

void codec_write_check(struct text *out, const struct check_reply *reply)
{
    char target[ADDRESS_TEXT_SIZE];
    bool brackets = reply->target->family == 6;

    text_puts(out, "{\"result\":");
    codec_write_string(out, reply->result);
    text_puts(out, reply->verified ? ",\"verified\":true" : ",\"verified\":false");
    text_printf(out, ",\"target\":\"%s%s%s:%u\",\"dialed_from\":", brackets ? "[" : "",
        address_format(reply->target, target), brackets ? "]" : "", (unsigned)reply->port);
    if (reply->dialed_from->family)
        write_address(out, reply->dialed_from);
    else
        text_puts(out, "null");
    text_puts(out, reply->contacted ? ",\"contacted\":true" : ",\"contacted\":false");
    text_printf(out, ",\"ms\":%.1f,\"you\":", reply->ms);
    codec_write_you(out, reply->you, reply->your_port);
    text_puts(out, "}\n");
}

/* --- problems -------------------------------------------------------------------------------- */

void codec_write_problem(struct text *out, const struct fault *fault)
{
    text_puts(out, "{\"type\":\"urn:signpost:problem:");
    text_puts(out, error_code(fault->error));
    text_puts(out, "\",\"title\":");
    codec_write_string(out, error_title(fault->error));
    text_puts(out, ",\"status\":");
    codec_write_integer(out, error_http_status(fault->error));
    text_puts(out, ",\"detail\":");
    codec_write_string(out, fault->detail);
    text_puts(out, ",\"code\":");
    codec_write_string(out, error_code(fault->error));
    if (fault->action) {
        text_puts(out, ",\"action\":");
        codec_write_string(out, fault->action);
    }
    text_puts(out, "}\n");
}
