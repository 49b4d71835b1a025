#include "store/sqlite_backup.h"

#include "store/schema.h"
#include "store/sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long another program may be in the way; nobody but this command waits. */
#define BACKUP_BUSY_MS 10000

/* What is under way. */
struct backup {
    const char *path; /* of the database */
    const char *to;
    char *part; /* TO.part */
    int fd;     /* of it, locked; -1: not made */
    sqlite3 *source;
    sqlite3 *copy;
};

/* --- TO.part --------------------------------------------------------------------------------- */

static int backup_cannot_write(const struct backup *backup, const char *reason, struct fault *fault)
{
    return fault_set(fault, ERROR_STORE_FAILED,
        "cannot write %s (%s); give another file, or mend that", backup->to, reason);
}

static int backup_refuse_taken(const struct backup *backup, struct fault *ret_fault)
{
    struct stat status;

    if (lstat(backup->to, &status))
        return 0;
    return fault_set(ret_fault, ERROR_STORE_FAILED,
        "%s is there already and is not replaced; give another file, or remove it first",
        backup->to);
}

/* Locks what was opened. One that has got its name meanwhile, or was removed, is another's: false.
 */
static bool backup_lock_part(const struct backup *backup)
{
    struct stat opened, named;

    return !flock(backup->fd, LOCK_EX | LOCK_NB) && !fstat(backup->fd, &opened) &&
           !lstat(backup->part, &named) && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/* Locked, so that two backups to one name do not write into each other's. What a killed one has
 * left is used again. */
static int backup_make_part(struct backup *backup, struct fault *ret_fault)
{
    backup->fd = open(backup->part, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (backup->fd < 0)
        return backup_cannot_write(backup, strerror(errno), ret_fault);
    if (!backup_lock_part(backup)) {
        close(backup->fd); /* and nothing is removed */
        backup->fd = -1;
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "another backup to %s is under way; give another file, or wait", backup->to);
    }
    if (fchmod(backup->fd, 0600) || ftruncate(backup->fd, 0))
        return backup_cannot_write(backup, strerror(errno), ret_fault);
    return 0;
}

/* The name is there after a power cut too. */
static int backup_give_name(struct backup *backup, struct fault *ret_fault)
{
    char *folder = strdup(backup->to);
    int fd = -1;
    int error = 0;

    if (!folder)
        return fault_set(ret_fault, ERROR_STORE_FAILED, "out of memory");
    if (fsync(backup->fd)) {
        error = backup_cannot_write(backup, strerror(errno), ret_fault);
        goto cleanup;
    }
    if ((error = backup_refuse_taken(backup, ret_fault)))
        goto cleanup;
    fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || rename(backup->part, backup->to)) {
        error = backup_cannot_write(backup, strerror(errno), ret_fault);
        goto cleanup;
    }
    free(backup->part);
    backup->part = NULL;
    if (fsync(fd)) {
        error = backup_cannot_write(backup, strerror(errno), ret_fault);
        unlink(backup->to);
    }

cleanup:
    if (fd >= 0)
        close(fd);
    free(folder);
    return error;
}

/* --- what is copied -------------------------------------------------------------------------- */

static int backup_open_source(struct backup *backup, struct fault *ret_fault)
{
    struct stat status;
    int version;

    if (stat(backup->path, &status))
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "cannot read %s (%s); say with --db where the database is", backup->path,
            strerror(errno));
    if (!S_ISREG(status.st_mode))
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "%s is not a regular file; say with --db where the database is", backup->path);
    if (sqlite3_open_v2(backup->path, &backup->source,
            SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK)
        return schema_fault(backup->source, backup->path, ret_fault);
    sqlite3_busy_timeout(backup->source, BACKUP_BUSY_MS);
    sqlite3_db_config(backup->source, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite_distrust(backup->source);
    return schema_examine(backup->source, &schema_current, backup->path, &version, ret_fault);
}

static int backup_copy(struct backup *backup, struct fault *ret_fault)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(backup->source, "VACUUM main INTO ?1", -1, &statement, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_bind_text(statement, 1, backup->part, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int error = 0;
    if ((code & 0xff) == SQLITE_FULL || code == SQLITE_IOERR_WRITE)
        error = backup_cannot_write(backup, sqlite3_errmsg(backup->source), ret_fault);
    else if (code != SQLITE_DONE)
        error = schema_fault(backup->source, backup->path, ret_fault);
    sqlite3_finalize(statement);
    return error;
}

/* --- what was copied ------------------------------------------------------------------------- */

/* The one number that the query gives; false where it gives none. */
static bool backup_ask(sqlite3 *copy, const char *sql, int64_t *ret_number)
{
    sqlite3_stmt *statement = NULL;
    bool found = sqlite3_prepare_v2(copy, sql, -1, &statement, NULL) == SQLITE_OK &&
                 sqlite3_step(statement) == SQLITE_ROW;

    if (found)
        *ret_number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return found;
}

static bool backup_is_whole(struct backup *backup, struct sqlite_backup *ret_backup)
{
    struct fault fault;
    struct stat status;
    int64_t good = 0;

    if (sqlite3_open_v2(backup->part, &backup->copy,
            SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK)
        return false;
    sqlite_distrust(backup->copy);
    if (schema_examine(backup->copy, &schema_current, backup->part, &ret_backup->version, &fault) ||
        !backup_ask(backup->copy,
            "SELECT count(*) FROM pragma_quick_check(1) WHERE quick_check = 'ok'", &good) ||
        !backup_ask(backup->copy, "SELECT count(*) FROM nodes", &ret_backup->nodes) ||
        fstat(backup->fd, &status))
        return false;
    ret_backup->size = status.st_size;
    return good;
}

/* No second file beside the copy: one that is cut off here never gets its name. */
static int backup_wipe_stamp(struct backup *backup, struct fault *ret_fault)
{
    if (sqlite3_exec(backup->copy,
            "PRAGMA journal_mode = MEMORY; UPDATE index_state SET stamp = ''", NULL, NULL,
            NULL) == SQLITE_OK)
        return 0;
    return backup_cannot_write(backup, sqlite3_errmsg(backup->copy), ret_fault);
}

static int backup_finish(
    struct backup *backup, struct sqlite_backup *ret_backup, struct fault *ret_fault)
{
    if (!backup_is_whole(backup, ret_backup))
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "the copy of %s is not whole: the database or a disk is damaged", backup->path);
    int error = backup_wipe_stamp(backup, ret_fault);
    sqlite3_close(backup->copy);
    backup->copy = NULL;
    return error ? error : backup_give_name(backup, ret_fault);
}

int sqlite_backup(
    const char *path, const char *to, struct sqlite_backup *ret_backup, struct fault *ret_fault)
{
    struct backup backup = {.path = path, .to = to, .fd = -1};
    struct sqlite_backup made = {0};
    int error;

    if (asprintf(&backup.part, "%s.part", to) < 0) {
        backup.part = NULL;
        return fault_set(ret_fault, ERROR_STORE_FAILED, "out of memory");
    }
    if ((error = backup_open_source(&backup, ret_fault)) ||
        (error = backup_refuse_taken(&backup, ret_fault)) ||
        (error = backup_make_part(&backup, ret_fault)) ||
        (error = backup_copy(&backup, ret_fault)) ||
        (error = backup_finish(&backup, &made, ret_fault)))
        goto cleanup;
    *ret_backup = made;

cleanup:
    sqlite3_close(backup.copy);
    sqlite3_close(backup.source);
    if (backup.fd >= 0) {
        if (backup.part)
            unlink(backup.part);
        close(backup.fd);
    }
    free(backup.part);
    return error;
}
