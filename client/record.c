#include "client.h"

#include <stdlib.h>
#include <string.h>

#define ENDPOINTS_MAX 10

size_t record_length(const char *const *list)
{
    size_t length = 0;
    while (list && list[length])
        length++;
    return length;
}

static void free_list(char **list)
{
    for (char **at = list; at && *at; at++)
        free(*at);
    free(list);
}

/* Puts what is not there yet behind it, up to ENDPOINTS_MAX in all; false: no memory. */
static bool add(char **list, const char *const *more)
{
    for (; more && *more; more++) {
        size_t count = 0;
        while (list[count] && strcmp(list[count], *more) != 0)
            count++;
        if (list[count] || count == ENDPOINTS_MAX)
            continue;
        list[count] = strdup(*more);
        if (!list[count])
            return false;
    }
    return true;
}

/* One list and another; NULL: no memory. */
static char **join(const char *const *first, const char *const *second)
{
    char **list = calloc(ENDPOINTS_MAX + 1, sizeof *list);

    if (list && add(list, first) && add(list, second))
        return list;
    free_list(list);
    return NULL;
}

static void replace_list(char ***list, char **by)
{
    free_list(*list);
    *list = by;
}

static void replace_text(char **text, char *by)
{
    free(*text);
    *text = by;
}

int record_set(
    signpost_t *client, const char *const *endpoints, const char *meta, const char *reach)
{
    char **own = endpoints ? join(endpoints, NULL) : NULL;
    char **all = endpoints ? join(endpoints, (const char *const *)client->announced) : NULL;
    char *new_meta = meta ? strdup(meta) : NULL;
    char *new_reach = reach ? strdup(reach) : NULL;

    if ((endpoints && (!own || !all)) || (meta && !new_meta) || (reach && !new_reach)) {
        free_list(own);
        free_list(all);
        free(new_meta);
        free(new_reach);
        return SIGNPOST_ERROR_NO_MEMORY;
    }
    if (endpoints) {
        replace_list(&client->own_endpoints, own);
        replace_list(&client->endpoints, all);
    }
    if (meta)
        replace_text(&client->meta, new_meta);
    if (reach)
        replace_text(&client->reach, new_reach);
    client->version++;
    return 0;
}

static bool is_same(char **one, char **other)
{
    while (one && other && *one && *other && !strcmp(*one, *other)) {
        one++;
        other++;
    }
    return one && other && !*one && !*other;
}

static void tell_links(signpost_t *client)
{
    for (size_t i = 0; i < client->link_count; i++)
        link_update(client->links[i]);
}

int record_announce(signpost_t *client, const char *const *endpoints)
{
    char **announced = join(endpoints, NULL);
    char **all = join((const char *const *)client->own_endpoints, endpoints);

    if (!announced || !all) {
        free_list(announced);
        free_list(all);
        return SIGNPOST_ERROR_NO_MEMORY;
    }
    replace_list(&client->announced, announced);
    bool same = is_same(client->endpoints, all);
    replace_list(&client->endpoints, all);
    if (same)
        return 0;
    client->version++;
    tell_links(client);
    return 0;
}

int signpost_update(
    signpost_t *client, const char *const *endpoints, const char *meta, const char *reach)
{
    if (record_length(endpoints) > ENDPOINTS_MAX || (meta && !codec_is_object(meta)) ||
        (reach && !codec_is_object(reach)))
        return SIGNPOST_ERROR_INVALID;
    if (client->stopping)
        return SIGNPOST_ERROR_STOPPED;
    if (client->announced && record_length(endpoints) == ENDPOINTS_MAX)
        return SIGNPOST_ERROR_FULL; /* the listener needs one */
    int error = record_set(client, endpoints, meta, reach);
    if (!error)
        tell_links(client);
    return error;
}

void record_free(signpost_t *client)
{
    free_list(client->endpoints);
    free_list(client->own_endpoints);
    free_list(client->announced);
    free(client->meta);
    free(client->reach);
}
