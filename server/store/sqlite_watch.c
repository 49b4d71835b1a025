#include "store/sqlite_watch.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FRESH_S 1
#define ROOM_BYTES (1024 * 1024)

bool sqlite_watch_name(struct sqlite_watch *watch, const char *path)
{
    static const char *const endings[SQLITE_WATCHED] = {"", "-wal", "-shm", ".lock"};

    for (size_t i = 0; i < SQLITE_WATCHED; i++) {
        if (asprintf(&watch->names[i], "%s%s", path, endings[i]) < 0) {
            watch->names[i] = NULL;
            return false;
        }
    }
    return true;
}

void sqlite_watch_free(struct sqlite_watch *watch)
{
    for (size_t i = 0; i < SQLITE_WATCHED; i++)
        free(watch->names[i]);
    *watch = (struct sqlite_watch){0};
}

bool sqlite_watch_start(struct sqlite_watch *watch)
{
    struct stat now;

    for (size_t i = 0; i < SQLITE_WATCHED; i++) {
        if (stat(watch->names[i], &now))
            return false;
        watch->seen[i].device = now.st_dev;
        watch->seen[i].inode = now.st_ino;
        if (i == SQLITE_DB) {
            watch->size = now.st_size;
            watch->written = now.st_mtim;
        }
    }
    return true;
}

static bool is_same(const struct sqlite_watch *watch, size_t which, const struct stat *now)
{
    return watch->seen[which].device == now->st_dev && watch->seen[which].inode == now->st_ino;
}

enum sqlite_change sqlite_watch_look(struct sqlite_watch *watch, enum sqlite_writer writer)
{
    struct stat db, beside;

    if (!watch->seen[SQLITE_DB].inode)
        return SQLITE_UNCHANGED; /* not started yet */
    /* What cannot be looked at just now is not gone for that. */
    if (stat(watch->names[SQLITE_DB], &db))
        return errno == ENOENT || errno == ENOTDIR ? SQLITE_GONE : SQLITE_UNCHANGED;
    if (!is_same(watch, SQLITE_DB, &db))
        return SQLITE_REPLACED;
    if (db.st_size < watch->size)
        return SQLITE_CUT;
    if (writer == SQLITE_OTHERS_WRITE && (db.st_mtim.tv_sec != watch->written.tv_sec ||
                                             db.st_mtim.tv_nsec != watch->written.tv_nsec))
        return SQLITE_TOUCHED;
    watch->size = db.st_size;
    watch->written = db.st_mtim;
    if (writer == SQLITE_WE_WRITE)
        return SQLITE_UNCHANGED;
    for (size_t i = SQLITE_WAL; i < SQLITE_WATCHED; i++) {
        if (stat(watch->names[i], &beside) || !is_same(watch, i, &beside))
            return i == SQLITE_LOCK ? SQLITE_LOCK_GONE : SQLITE_BESIDE_GONE;
    }
    return SQLITE_UNCHANGED;
}

const char *sqlite_change_text(enum sqlite_change change)
{
    switch (change) {
    case SQLITE_LOCK_GONE: return "the .lock file of the database was removed";
    case SQLITE_BESIDE_GONE: return "the -wal or -shm file of the database was removed";
    case SQLITE_TOUCHED: return "another program wrote to the database file";
    case SQLITE_CUT: return "the database file was cut short";
    case SQLITE_GONE: return "the database file was removed";
    case SQLITE_REPLACED: return "another file was put in the place of the database file";
    case SQLITE_UNCHANGED: break;
    }
    return "the database is damaged";
}

void sqlite_watch_discard(const struct sqlite_watch *watch)
{
    struct stat now;

    for (size_t i = SQLITE_WAL; i <= SQLITE_SHM; i++) {
        if (stat(watch->names[i], &now) == 0 && is_same(watch, i, &now))
            unlink(watch->names[i]);
    }
}

bool sqlite_watch_is_fresh(const struct sqlite_watch *watch)
{
    struct stat now;
    struct timespec clock;

    if (stat(watch->names[SQLITE_DB], &now) || clock_gettime(CLOCK_REALTIME, &clock))
        return false;
    time_t age_s = clock.tv_sec - now.st_mtim.tv_sec;
    return age_s >= -FRESH_S && age_s <= FRESH_S;
}

bool sqlite_watch_has_room(const struct sqlite_watch *watch)
{
    struct statvfs disk;

    return statvfs(watch->names[SQLITE_DB], &disk) ||
           (unsigned long long)disk.f_bavail * disk.f_frsize >= ROOM_BYTES;
}
