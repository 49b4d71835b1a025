/* The running index: loop, store, heart and door, put together and taken apart. */
#ifndef SIGNPOST_SERVICE_H
#define SIGNPOST_SERVICE_H

#include "error.h"
#include "http/tls.h"
#include "ice/turn.h"
#include "keys.h"
#include "options.h"

/* What is read from the files that the options name: before the start, and again on SIGHUP. */
struct service_files {
    struct keys *keys;                  /* NULL: none, the index is open */
    struct tls *tls;                    /* NULL: no HTTPS */
    char turn_secret[TURN_SECRET_SIZE]; /* "": none */
};

/* What everyone may read and should not is told in the log. */
int service_read_files(
    const struct options *options, struct service_files *ret_files, struct fault *ret_fault);
void service_free_files(struct service_files *files);

/* Runs until SIGTERM or SIGINT; on SIGHUP it reads the files anew, each of which stays as it was
 * where it cannot be used. 0, or an error with a sentence where it could not start. */
int service_run(
    const struct options *options, struct service_files *files, struct fault *ret_fault);

#endif
