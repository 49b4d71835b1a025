/* The table of routes, and what each does: parse, call the index, answer. */
#ifndef SIGNPOST_HTTP_ROUTES_H
#define SIGNPOST_HTTP_ROUTES_H

#include "http/door.h"

/* The route of that method and path. Where there is none: NULL, and in `ret_methods` the methods
 * that the path has, as for Allow ("" : there is no such path). */
const struct route *route_find(const char *method, const char *path, const char **ret_name,
    char ret_methods[ROUTE_METHODS_SIZE]);

#endif
