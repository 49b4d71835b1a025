/* What list, watch and register say of peers. */
#ifndef SIGNPOST_CLI_PEERS_H
#define SIGNPOST_CLI_PEERS_H

#include "args.h"
#include "signpost.h"

#include <stdbool.h>
#include <stddef.h>

bool peers_read_filter(const char *value, void *field); /* const char * */

#define PEERS_FILTER_OPTION                                                                        \
    {                                                                                              \
        "filter", "KEY=VALUE", peers_read_filter, ARGS_FIELD(filter),                              \
            .most = CLI_FILTERS_MAX, .expected = "a member of meta and its value, as role=master", \
            .help = "Only peers whose meta has this member. Repeatable: all must fit."             \
    }

const char *peers_event_name(signpost_peer_event_t event); /* "up", "changed", "down" */

/* On a terminal a table, of at most `most_rows` rows, 0 for any number; else a line a peer with its
 * fields separated by tabs and the values in a field by commas. To stdout. */
void peers_print(const signpost_t *client, bool table, size_t most_rows);
void peers_print_json(const signpost_t *client); /* an array on one line */

#endif
