/* The version of a database file: telling ours from others', making a new one, bringing on an
 * older one. */
#ifndef SIGNPOST_STORE_SCHEMA_H
#define SIGNPOST_STORE_SCHEMA_H

#include "error.h"

#include <sqlite3.h>
#include <stdint.h>

#define SCHEMA_APPLICATION_ID 0x53676e70 /* "Sgnp" */
#define SCHEMA_HEADER_SIZE 100           /* bytes; https://sqlite.org/fileformat2.html */

struct schema {
    int latest;      /* the version that this program works with; from 1 */
    const char *sql; /* makes the latest version in an empty file, with both PRAGMAs that name it */
    /* steps[i] brings version i + 1 to i + 2; there are latest - 1 of them, NULL where that is
     * none. A step sees foreign keys unenforced, so that it may rebuild a table. */
    const char *const *steps;
};

extern const struct schema schema_current;

/* Makes the schema in an empty file, or brings an older file to the latest version, one
 * transaction a step: one that fails leaves the version before it. Refuses, and leaves as it is,
 * what is not ours or is newer. `path` names the file in `ret_fault`. Leaves foreign keys off.
 * Returns 0 or ERROR_STORE_FAILED. */
int schema_bring_up(
    sqlite3 *db, const struct schema *schema, const char *path, struct fault *ret_fault);

/* Whether the file is one of ours that this program knows: its version, or a sentence and
 * ERROR_STORE_FAILED where it is not, or is newer. */
int schema_examine(sqlite3 *db, const struct schema *schema, const char *path, int *ret_version,
    struct fault *ret_fault);

/* The same of the first bytes of a file that is not opened: what its log adds is not seen. */
int schema_examine_header(const uint8_t header[SCHEMA_HEADER_SIZE], const struct schema *schema,
    const char *path, struct fault *ret_fault);

/* What failed last on the connection, as a sentence that names the file and what to do. */
int schema_fault(sqlite3 *db, const char *path, struct fault *ret_fault);

#endif
