/* The running index: loop, store, heart and door, put together and taken apart. */
#ifndef SIGNPOST_SERVICE_H
#define SIGNPOST_SERVICE_H

#include "error.h"
#include "options.h"
#include "service_files.h"

/* Runs until SIGTERM or SIGINT; on SIGHUP it reads the files anew, each of which stays as it was
 * where it cannot be used. 0, or an error with a sentence where it could not start. */
int service_run(
    const struct options *options, struct service_files *files, struct fault *ret_fault);

#endif
