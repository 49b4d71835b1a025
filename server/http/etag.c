#include "http/etag.h"

#include <string.h>
#include <strings.h>

static const char *skip_weak(const char *tag)
{
    return strncmp(tag, "W/", 2) ? tag : tag + 2;
}

bool etag_is_listed(const char *list, const char *tag)
{
    const char *wanted = skip_weak(tag);
    size_t length = strlen(wanted);

    list += strspn(list, " \t");
    if (list[0] == '*')
        return !list[1 + strspn(list + 1, " \t")];
    for (;;) {
        list += strspn(list, " \t,");
        const char *listed = skip_weak(list);
        /* A tag may have a comma in it: it ends at its quotation mark. */
        const char *end = listed[0] == '"' ? strchr(listed + 1, '"') : NULL;
        if (!end)
            return false;
        end++;
        if ((size_t)(end - listed) == length && !memcmp(listed, wanted, length))
            return true;
        list = end + strspn(end, " \t");
        if (*list != ',')
            return false;
    }
}

struct tag_search {
    const char *tag;
    bool found;
};

static enum MHD_Result search_tag(
    void *user, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct tag_search *search = user;

    (void)kind;
    if (value && !strcasecmp(key, MHD_HTTP_HEADER_IF_NONE_MATCH))
        search->found |= etag_is_listed(value, search->tag);
    return MHD_YES;
}

bool etag_is_known(const struct request *request, const char *tag)
{
    struct tag_search search = {tag, false};
    MHD_get_connection_values(request->mhd, MHD_HEADER_KIND, search_tag, &search);
    return search.found;
}
