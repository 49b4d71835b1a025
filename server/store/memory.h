/* A store that forgets on close: proves the seam of store.h, and serves the tests of operations. */
#ifndef SIGNPOST_STORE_MEMORY_H
#define SIGNPOST_STORE_MEMORY_H

#include "store/store.h"

int store_memory_open(struct store **ret_store);

/* The next flush fails with ERROR_STORE_FAILED and undoes its batch. */
void store_memory_fail_next_flush(struct store *store);

/* The next load fails with ERROR_STORE_FAILED, when it has told of networks and nodes. */
void store_memory_fail_next_load(struct store *store);

#endif
