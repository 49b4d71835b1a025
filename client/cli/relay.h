/* Joins stdin and stdout with a connection. */
#ifndef SIGNPOST_CLI_RELAY_H
#define SIGNPOST_CLI_RELAY_H

#include "cli.h"
#include "signpost.h"

#include <stdbool.h>

/* Says on stderr that it is there: whose, by which path, how long it took. */
void relay_tell(const struct settings *settings, const signpost_connection_t *connection);

/* Until both directions have ended: the end of stdin is passed on while the other direction goes
 * on, and the other way round. Closes `fd`. An enum cli_exit. */
int relay_run(int fd);

#endif
