/* The table of routes, and what each does: parse, call the index, answer. */
#ifndef SIGNPOST_HTTP_ROUTES_H
#define SIGNPOST_HTTP_ROUTES_H

#include "http/door.h"

/* The route of that method and path; fills in the request's name and page. Where there is none:
 * NULL, and in the request's methods those that the path has, as for Allow ("": there is no such
 * path). */
const struct route *route_find(struct request *request, const char *method, const char *path);

#define ROUTES_MAX 24

/* Its number, below ROUTES_MAX; NULL has the number ROUTES_MAX. */
size_t route_number(const struct route *route);

/* The method of the route with that number, and its path as docs/http.md writes it, as
 * `/nodes/{id}`; both "none" where there is no such route. */
const char *route_describe(size_t number, char *ret_path, size_t size);

#endif
