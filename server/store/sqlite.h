/* The embedded store: one SQLite file, one connection, on the loop's thread. */
#ifndef SIGNPOST_STORE_SQLITE_H
#define SIGNPOST_STORE_SQLITE_H

#include "store/store.h"

struct store_sqlite_config {
    const char *path;
    bool full_durability; /* synchronous=FULL: a power cut loses nothing that was answered */
};

/* Opens or makes the file, brings an older one to this version's schema, takes the lock beside it.
 * On failure ERROR_STORE_FAILED and a sentence that names the file and says what to do. */
int store_sqlite_open(
    const struct store_sqlite_config *config, struct store **ret_store, struct fault *ret_fault);

/* Whether it could be opened, as far as can be told from outside: nothing is made or changed, and
 * an index may have it open. 0, or ERROR_STORE_FAILED and a sentence. */
int store_sqlite_check(const char *path, struct fault *ret_fault);

#endif
