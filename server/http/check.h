/*
 * POST /check: the index dials its caller back, on one port, and says what came of it. Which guards
 * it passes, and who may ask how often, is in net/target.h and net/quota.h.
 */
#ifndef SIGNPOST_HTTP_CHECK_H
#define SIGNPOST_HTTP_CHECK_H

#include "clock.h"
#include "http/door.h"
#include "net/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct checker_config {
    uv_loop_t *uv;
    const struct clock *clock;
    const struct address *from; /* to dial from where the caller has not contacted it; borrowed */
    size_t from_count;
    const struct port_range *ports; /* borrowed */
    size_t port_count;
    bool allow_private;
};

/* ERROR_BAD_REQUEST with a sentence where this machine has not an address to dial from. */
int checker_new(
    const struct checker_config *config, struct checker **ret_checker, struct fault *ret_fault);

/* Answers those that ask, at once, and takes no more. Run the loop once more before freeing. */
void checker_stop(struct checker *checker); /* NULL is fine */
void checker_free(struct checker *checker); /* NULL is fine */

void handle_check(struct request *request);

#endif
