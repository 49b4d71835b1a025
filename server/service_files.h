/* What is read from the files that the options name: before the start, and again on SIGHUP. */
#ifndef SIGNPOST_SERVICE_FILES_H
#define SIGNPOST_SERVICE_FILES_H

#include "error.h"
#include "ice/turn.h"
#include "options.h"

#include <stddef.h>
#include <stdint.h>

struct keys;
struct tls;

struct service_files {
    struct keys *keys;                  /* NULL: none, the index is open */
    struct tls *tls;                    /* NULL: no HTTPS */
    char turn_secret[TURN_SECRET_SIZE]; /* "": none */
};

/* What everyone may read and should not is told in the log. */
int service_files_read(
    const struct options *options, struct service_files *ret_files, struct fault *ret_fault);
void service_files_free(struct service_files *files);

/* Reads each of them and keeps none: `complain` hears of each that is wrong. Returns how many. */
size_t service_files_check(
    const struct options *options, void (*complain)(const struct fault *fault));

/* Each anew; one that cannot be used stays as it was, and the log says why. `ret_before`: where the
 * keys were replaced, those of before, which are the caller's now. `now_ms` is that of the loop's
 * clock. */
void service_files_reload(const struct options *options, struct service_files *files,
    int64_t now_ms, struct keys **ret_before);

#endif
