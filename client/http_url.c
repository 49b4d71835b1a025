#include "http_internal.h"

#include <string.h>
#include <strings.h>

size_t http_scheme_size(const char *url)
{
    return strncasecmp(url, "http://", 7) == 0 ? 7 : strncasecmp(url, "https://", 8) == 0 ? 8 : 0;
}

bool http_is_base_url(const char *url)
{
    size_t scheme = http_scheme_size(url);

    return scheme && url[scheme] && strlen(url) <= HTTP_URL_BYTES && !strpbrk(url, "?#");
}

const char *http_log_name(const char *url)
{
    const char *authority = url + http_scheme_size(url);
    /* The last one: what stands before it may have others in it. */
    const char *end = memrchr(authority, '@', strcspn(authority, "/"));

    return end ? end + 1 : url;
}
