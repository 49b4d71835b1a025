/* Files that are part of the program: their bytes as they were when it was built. */
#ifndef SIGNPOST_PAGES_FILES_H
#define SIGNPOST_PAGES_FILES_H

#include <stdint.h>

/* Each has its size beside it; a NUL stands behind the last byte and is not counted. */
#define FILES(X)                                                                                   \
    X(file_signpost_js, "client/js/signpost.js")                                                   \
    X(file_signpost_d_ts, "client/js/signpost.d.ts")                                               \
    X(file_demo_html, "client/js/demo.html")                                                       \
    X(file_status_html, "server/pages/status.html")                                                \
    X(file_openapi_json, "docs/openapi.json")

#define X(name, path)                                                                              \
    extern const char name[] __attribute__((visibility("hidden")));                                \
    extern const uint64_t name##_size __attribute__((visibility("hidden")));
FILES(X)
#undef X

#endif
