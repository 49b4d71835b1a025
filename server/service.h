/* The running index: loop, store, heart and door, put together and taken apart. */
#ifndef SIGNPOST_SERVICE_H
#define SIGNPOST_SERVICE_H

#include "error.h"
#include "options.h"

/* Runs until SIGTERM or SIGINT. 0, or an error with a sentence where it could not start. */
int service_run(const struct options *options, struct fault *ret_fault);

#endif
