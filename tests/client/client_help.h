/* What the tests of the client share: a loop that runs until something is so, and the fault server.
 */
#ifndef SIGNPOST_TESTS_CLIENT_HELP_H
#define SIGNPOST_TESTS_CLIENT_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include <cmocka.h>

#define HELP_DEADLINE_MS 60000 /* far more than anything takes on a busy machine */

/* Runs the loop until `reached` says so; fails the test at the deadline. What another thread or
 * process does is seen too, a little later. */
void help_run_until(uv_loop_t *loop, bool (*reached)(void *user), void *user);

/* Closes a handle, whose `data` is lost, and runs its loop until that is done. */
void help_close(uv_handle_t *handle);

/* Runs the loop until nothing is left in it, and closes it. Fails where a handle was left open. */
void help_close_loop(uv_loop_t *loop);

/* tests/client/fault_server.py as a child. */
struct help_faults {
    pid_t pid;
    int input; /* it ends when this is closed, so also when the test dies */
    unsigned port, tls_port;
    char ca_file[256]; /* trusts the certificate of tls_port */
};

void help_start_faults(struct help_faults *ret_faults);
void help_stop_faults(struct help_faults *faults);

#endif
