/* The running index: loop, store, heart and door, put together and taken apart. */
#ifndef SIGNPOST_SERVICE_H
#define SIGNPOST_SERVICE_H

#include "error.h"
#include "ice/turn.h"
#include "options.h"

/* What is read before the start from the files that the options name. */
struct service_files {
    char turn_secret[TURN_SECRET_SIZE]; /* "": none */
};

/* What everyone may read and should not is told in the log. */
int service_read_files(
    const struct options *options, struct service_files *ret_files, struct fault *ret_fault);

/* Runs until SIGTERM or SIGINT. 0, or an error with a sentence where it could not start. */
int service_run(
    const struct options *options, const struct service_files *files, struct fault *ret_fault);

#endif
