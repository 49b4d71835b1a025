/*
 * A watch on the files of an open database. SQLite goes on writing into a file that was removed, or
 * in whose place another was put, and would not see one that was cut short or written to by
 * others: what it commits there is gone at the next open, or damages the file. A look at their
 * names costs a few microseconds, so the store takes one with each commit.
 */
#ifndef SIGNPOST_STORE_SQLITE_WATCH_H
#define SIGNPOST_STORE_SQLITE_WATCH_H

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

/* From harmless to grave. */
enum sqlite_change {
    SQLITE_UNCHANGED,
    SQLITE_LOCK_GONE,   /* the database is there, FILE.lock is not, or another */
    SQLITE_BESIDE_GONE, /* the same of FILE-wal or FILE-shm */
    SQLITE_TOUCHED,     /* someone else wrote into the file */
    SQLITE_CUT,         /* the file is shorter than it was */
    SQLITE_GONE,
    SQLITE_REPLACED
};

enum sqlite_watched { SQLITE_DB, SQLITE_WAL, SQLITE_SHM, SQLITE_LOCK, SQLITE_WATCHED };

/* Who may have written into the database since the last look. */
enum sqlite_writer { SQLITE_WE_WRITE, SQLITE_OTHERS_WRITE };

struct sqlite_watch {
    char *names[SQLITE_WATCHED];
    struct {
        dev_t device;
        ino_t inode;
    } seen[SQLITE_WATCHED];
    off_t size;              /* of the database */
    struct timespec written; /* when it was written to last */
};

/* Makes the names of the files of the database at `path`; false where memory is out. */
bool sqlite_watch_name(struct sqlite_watch *watch, const char *path);
void sqlite_watch_free(struct sqlite_watch *watch);

/* The files as they are now are those that are watched; false where one of them is not there. */
bool sqlite_watch_start(struct sqlite_watch *watch);

/* What is different. With SQLITE_WE_WRITE, what was written into the database is taken for ours,
 * and the files beside it are not looked at. */
enum sqlite_change sqlite_watch_look(struct sqlite_watch *watch, enum sqlite_writer writer);

/* As a sentence for people; static. */
const char *sqlite_change_text(enum sqlite_change change);

/* Removes FILE-wal and FILE-shm where they are still those that are watched: they would be taken
 * for those of the file that is there now. */
void sqlite_watch_discard(const struct sqlite_watch *watch);

/* The database was written to within the last second: someone may be putting it there. */
bool sqlite_watch_is_fresh(const struct sqlite_watch *watch);

/* There is room on the disk for some writes; true also where the system does not say. */
bool sqlite_watch_has_room(const struct sqlite_watch *watch);

#endif
