#include "http/accept.h"

#include <string.h>
#include <strings.h>

#define QUALITY_MOST 1000

static size_t skip_blanks(const char *text, size_t length)
{
    size_t blanks = strspn(text, " \t");
    return blanks < length ? blanks : length;
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && !strncasecmp(text, word, length);
}

/* Without the blanks at its end. */
static size_t trimmed(const char *text, size_t length)
{
    while (length && strchr(" \t", text[length - 1]))
        length--;
    return length;
}

/* `0`, `1`, or that with up to three digits behind a dot; -1: it is none of these. */
static int read_quality(const char *text, size_t length)
{
    int quality = 0, worth = QUALITY_MOST;

    if (!length || length > strlen("0.123") || (length > 1 && text[1] != '.'))
        return -1;
    for (size_t i = 0; i < length; i += i == 0 ? 2 : 1, worth /= 10) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        quality += (text[i] - '0') * worth;
    }
    return quality <= QUALITY_MOST ? quality : -1;
}

/* The quality among the parameters of a range, of which the others say nothing here. */
static int find_quality(const char *text, size_t length)
{
    while (length) {
        size_t piece = strcspn(text, ";,");
        piece = piece < length ? piece : length;
        size_t blanks = skip_blanks(text, piece);
        size_t size = trimmed(text + blanks, piece - blanks);
        if (size >= 2 && !strncasecmp(text + blanks, "q=", 2))
            return read_quality(text + blanks + 2, size - 2);
        text += piece;
        length -= piece;
        if (length) {
            text++;
            length--;
        }
    }
    return QUALITY_MOST;
}

/* What is closer to the type itself speaks for it, whatever a wider range says. */
static void take(struct accept_choice *choice, int exactness, int quality)
{
    if (exactness > choice->exactness ||
        (exactness == choice->exactness && quality > choice->quality))
        *choice = (struct accept_choice){quality, exactness};
}

static void add_range(struct accept *accept, const char *range, size_t length)
{
    size_t name = 0;

    while (name < length && !strchr("; \t", range[name]))
        name++;
    int quality = find_quality(range + name, length - name);
    if (quality < 0)
        return;
    if (is_word(range, name, "text/html"))
        take(&accept->html, 3, quality);
    else if (is_word(range, name, "text/*"))
        take(&accept->html, 2, quality);
    else if (is_word(range, name, "application/json"))
        take(&accept->json, 3, quality);
    else if (is_word(range, name, "application/*"))
        take(&accept->json, 2, quality);
    else if (is_word(range, name, "*/*")) {
        take(&accept->html, 1, quality);
        take(&accept->json, 1, quality);
    }
}

void accept_add(struct accept *accept, const char *list)
{
    while (*list) {
        size_t length = strcspn(list, ",");
        size_t blanks = skip_blanks(list, length);
        add_range(accept, list + blanks, length - blanks);
        list += length + (list[length] == ',');
    }
}

bool accept_prefers_html(const struct accept *accept)
{
    if (accept->html.quality != accept->json.quality)
        return accept->html.quality > accept->json.quality;
    return accept->html.quality > 0 && accept->html.exactness > 1 &&
           accept->html.exactness >= accept->json.exactness;
}

static enum MHD_Result add_header(
    void *user, enum MHD_ValueKind kind, const char *key, const char *value)
{
    (void)kind;
    if (value && !strcasecmp(key, MHD_HTTP_HEADER_ACCEPT))
        accept_add(user, value);
    return MHD_YES;
}

bool accept_html(const struct request *request)
{
    struct accept accept = {0};

    MHD_get_connection_values(request->mhd, MHD_HEADER_KIND, add_header, &accept);
    return accept_prefers_html(&accept);
}
