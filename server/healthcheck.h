/*
 * Asks the index that runs beside this process, with the same options, whether it is ready. For
 * containers: their image has neither a shell nor curl.
 */
#ifndef SIGNPOST_HEALTHCHECK_H
#define SIGNPOST_HEALTHCHECK_H

#include "options.h"

/* Blocks; ends the process with 1 if there is no answer within a few seconds. 0, or
 * ERROR_NOT_READY and in `ret_fault` why not. */
int healthcheck_ask(const struct options *options, struct fault *ret_fault);

#endif
