/*
 * The file beside the database, FILE.lock: it keeps a second process away, and tells the next open
 * whether the database still holds the history that the last one left.
 *
 * An epoch may be kept only while that history has not been cut, else a client's cursor would
 * point into a past that the index no longer has. So each open and each clean close makes up a new
 * stamp and writes it into both the database and this file, and the next open keeps the epoch only
 * if the two agree, and
 * - the system has not been restarted since (what a killed process wrote survives it), or
 * - the database was closed cleanly (all of it is on the disk then), or
 * - it ran with full durability (all that was answered is on the disk).
 * An older copy put in the database's place, another file, a lost lock file and a power cut with
 * normal durability thus all give a new epoch. Two things cannot be told: an older lock file put
 * back together with its database, and a copy that was taken while the very process ran that was
 * then killed. So a backup is kept without the lock file, and with its stamp wiped.
 */
#ifndef SIGNPOST_STORE_SQLITE_LOCK_H
#define SIGNPOST_STORE_SQLITE_LOCK_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>

#define SQLITE_STAMP_SIZE 33 /* 32 hex digits, NUL */
#define SQLITE_BOOT_SIZE 37  /* a UUID, NUL */

/* What the file says of the last open or close. */
struct sqlite_past {
    char stamp[SQLITE_STAMP_SIZE]; /* "": the file says nothing that can be used */
    char boot[SQLITE_BOOT_SIZE];   /* of the system that wrote it; "": unknown */
    bool clean;                    /* written by a close that brought all to the disk */
    bool full;                     /* full durability was on */
    int64_t offset_ms;             /* store time minus CLOCK_MONOTONIC; 0: unknown */
};

struct sqlite_lock {
    int fd; /* -1: not held */
    struct sqlite_past past;
    int64_t offset_ms; /* what is written for the next one */
};

/* Takes the lock of the database at `path` and reads what the file says. A lock that is held
 * elsewhere: ERROR_STORE_FAILED and a sentence with the number of that process. */
int sqlite_lock_take(const char *path, struct sqlite_lock *ret_lock, struct fault *ret_fault);

/* Whether a database with that stamp goes on with the history that was left. */
bool sqlite_lock_continues(const struct sqlite_lock *lock, const char *stamp);

/* Store time minus CLOCK_MONOTONIC: as the last process had it, or by the clock of the wall now. */
int64_t sqlite_lock_offset_ms(const struct sqlite_lock *lock);

bool sqlite_lock_make_stamp(char ret_stamp[SQLITE_STAMP_SIZE]);

/* Writes the stamp, on the disk when it returns true. An open must call it before anything is
 * answered: a power cut may then not bring back the file of the clean close before. */
bool sqlite_lock_write(struct sqlite_lock *lock, const char *stamp, bool clean, bool full);
void sqlite_lock_release(struct sqlite_lock *lock); /* one that is not held is fine */

#endif
