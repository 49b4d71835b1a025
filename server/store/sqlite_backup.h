/*
 * A copy of a database, also while an index runs on it: all that was committed at one moment.
 *
 * The copy is read over a connection of its own that can write nothing, so it never checkpoints,
 * and it takes no lock that the index wants; until it is done the log of the index grows. The
 * stamp in the copy is wiped, so that an index which is started on it has another epoch: clients
 * whose cursors are of a later time then read anew (sqlite_lock.h).
 */
#ifndef SIGNPOST_STORE_SQLITE_BACKUP_H
#define SIGNPOST_STORE_SQLITE_BACKUP_H

#include "error.h"

#include <stdint.h>

struct sqlite_backup {
    int version;   /* of the schema */
    int64_t nodes; /* that are registered in it */
    int64_t size;  /* in bytes */
};

/* Makes `to`, for its owner only; a file of that name is never replaced. It is written as TO.part
 * and checked before it gets its name, and is on the disk then. 0, or ERROR_STORE_FAILED with a
 * sentence, and then there is no `to`. */
int sqlite_backup(
    const char *path, const char *to, struct sqlite_backup *ret_backup, struct fault *ret_fault);

#endif
