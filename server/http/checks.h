/* What the headers of a request alone can tell: its route, its length, its type, its credential. */
#ifndef SIGNPOST_HTTP_CHECKS_H
#define SIGNPOST_HTTP_CHECKS_H

#include "http/door.h"

#include <stdbool.h>

/* Before libmicrohttpd reads the arguments in a target (RFC 9112, 3.2): has it room for them, while
 * headers that came with it are in the same pool? Where it has not, it would not answer at all. */
int checks_target(const char *target, struct fault *ret_fault);

/* The head of a reply is built in the same pool as the request's: is there room left for it? Where
 * there is not, no reply can be queued. */
int checks_size(struct request *request, struct fault *ret_fault);

/* 0, with the request's route, name and credential filled in, or what is wrong with it. */
int checks_run(
    struct request *request, const char *path, const char *method, struct fault *ret_fault);

/* Once more before a request is run, since the keys may have changed while its body came: does the
 * join key that it bears still admit? ERROR_BAD_KEY where not. */
int checks_key(struct request *request, struct fault *ret_fault);

/* May the body of a refused request be read and dropped first, so that the client sees the reply?
 * Not where its length is not known, it is too long, or the client waits to be asked for it. */
bool checks_can_drain(struct request *request);

/* Says that the index is too busy for this request now. */
int checks_refuse_overloaded(struct fault *ret_fault);

#endif
