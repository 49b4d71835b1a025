#include "http/access.h"

#include "log.h"
#include "net/log_address.h"
#include "server_limits.h"

#include <stdio.h>
#include <string.h>

/* A copy that ends in dots where it does not fit. */
static void keep(char *ret_kept, size_t size, const char *text)
{
    size_t length = strnlen(text, size);

    if (length == size) {
        memcpy(ret_kept, text, size - 4);
        strcpy(ret_kept + size - 4, "...");
    } else {
        memcpy(ret_kept, text, length + 1);
    }
}

void access_begin(struct request *request, const char *method, const char *path)
{
    request_id_choose(request_header(request, REQUEST_ID_HEADER), request->id);
    keep(request->shown_method, sizeof request->shown_method, method);
    keep(request->shown_path, sizeof request->shown_path, path);
}

static const char *milliseconds(uint64_t ns, char ret_text[32])
{
    snprintf(ret_text, 32, "%llu.%03llu", (unsigned long long)(ns / 1000000),
        (unsigned long long)(ns / 1000 % 1000));
    return ret_text;
}

void access_end(const struct request *request, bool whole)
{
    char address[LOG_ADDRESS_SIZE], status[16] = "-", bytes[24], passed[32], parked[32];
    const char *route = request->route ? request->route->path : "-";

    /* Each route has its own room, so that a flood on one does not hide the others. */
    if (!log_takes(LOG_INFO, "request", route ? route : "(page)", request->status / 100))
        return;
    if (request->status)
        snprintf(status, sizeof status, "%u", request->status);
    snprintf(bytes, sizeof bytes, "%zu", request->sent_bytes);
    milliseconds(uv_hrtime() - request->began_ns, passed);
    milliseconds(request->parked_ns, parked);
    log_event(LOG_INFO, "request", "id", request->id, "address",
        log_address(&request->caller.address, address), "method", request->shown_method, "path",
        request->shown_path, "status", status, "ms", passed, "waited_ms", parked, "bytes", bytes,
        "end", whole ? "sent" : "aborted", NULL);
}
