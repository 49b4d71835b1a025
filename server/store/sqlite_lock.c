#include "store/sqlite_lock.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#define LOCK_TEXT_SIZE 256 /* bytes; what is written is shorter */

static void lock_read_boot(char ret_boot[SQLITE_BOOT_SIZE])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, ret_boot, SQLITE_BOOT_SIZE - 1);

    ret_boot[length > 0 ? length : 0] = '\0';
    ret_boot[strcspn(ret_boot, "\n")] = '\0';
    if (fd >= 0)
        close(fd);
}

/* Fills what the file says, the number of its process too; 0 where it says none. */
static long lock_read(int fd, struct sqlite_past *ret_past)
{
    char text[LOCK_TEXT_SIZE], state[8], durability[8], *rest;

    *ret_past = (struct sqlite_past){0};
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    long process = strtol(text, &rest, 10);
    int found = sscanf(rest, " stamp %32[0-9a-f] state %7s durability %7s boot %36s",
        ret_past->stamp, state, durability, ret_past->boot);
    if (found < 3)
        *ret_past = (struct sqlite_past){0};
    else {
        ret_past->clean = strcmp(state, "closed") == 0;
        ret_past->full = strcmp(durability, "full") == 0;
        const char *offset = strstr(rest, "\noffset ");
        if (offset)
            ret_past->offset_ms = strtoll(offset + strlen("\noffset "), NULL, 10);
    }
    return process;
}

static int lock_refuse(int fd, const char *path, struct fault *ret_fault)
{
    struct sqlite_past past;
    long process = lock_read(fd, &past);

    if (process <= 0)
        return fault_set(ret_fault, ERROR_STORE_FAILED,
            "%s is in use by another signpostd; stop it or give another file with --db", path);
    return fault_set(ret_fault, ERROR_STORE_FAILED,
        "%s is in use by another signpostd (process %ld); stop it or give another file with --db",
        path, process);
}

int sqlite_lock_take(const char *path, struct sqlite_lock *ret_lock, struct fault *ret_fault)
{
    char *name = NULL;
    int fd = -1;
    int error = 0;

    if (asprintf(&name, "%s.lock", path) < 0) {
        name = NULL;
        error = fault_set(ret_fault, ERROR_STORE_FAILED, "out of memory opening %s", path);
        goto cleanup;
    }
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        error = fault_set(ret_fault, ERROR_STORE_FAILED,
            "cannot write %s (%s); let signpostd write it and its directory, or give another file "
            "with --db",
            name, strerror(errno));
        goto cleanup;
    }
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno == EWOULDBLOCK)
            error = lock_refuse(fd, path, ret_fault);
        else
            error = fault_set(ret_fault, ERROR_STORE_FAILED,
                "cannot lock %s (%s); give a file on a local disk with --db", name,
                strerror(errno));
        goto cleanup;
    }
    lock_read(fd, &ret_lock->past);
    ret_lock->fd = fd;
    fd = -1;

cleanup:
    if (fd >= 0)
        close(fd);
    free(name);
    return error;
}

bool sqlite_lock_continues(const struct sqlite_lock *lock, const char *stamp)
{
    const struct sqlite_past *past = &lock->past;
    char boot[SQLITE_BOOT_SIZE];

    if (!past->stamp[0] || strcmp(past->stamp, stamp) != 0)
        return false;
    lock_read_boot(boot);
    return past->clean || past->full || (boot[0] && strcmp(past->boot, boot) == 0);
}

int64_t sqlite_lock_offset_ms(const struct sqlite_lock *lock)
{
    char boot[SQLITE_BOOT_SIZE];

    lock_read_boot(boot);
    if (lock->past.offset_ms && boot[0] && strcmp(lock->past.boot, boot) == 0)
        return lock->past.offset_ms;
    return clock_wall_ms(&clock_system) - clock_now_ms(&clock_system);
}

bool sqlite_lock_make_stamp(char ret_stamp[SQLITE_STAMP_SIZE])
{
    uint64_t random[2];

    if (getrandom(random, sizeof random, 0) != sizeof random)
        return false;
    snprintf(ret_stamp, SQLITE_STAMP_SIZE, "%016llx%016llx", (unsigned long long)random[0],
        (unsigned long long)random[1]);
    return true;
}

bool sqlite_lock_write(struct sqlite_lock *lock, const char *stamp, bool clean, bool full)
{
    char text[LOCK_TEXT_SIZE], boot[SQLITE_BOOT_SIZE];

    lock_read_boot(boot);
    /* One short write within one sector: cut off in the middle, the stamps do not agree. */
    int length = snprintf(text, sizeof text,
        "%ld\nstamp %s\nstate %s\ndurability %s\nboot %s\noffset %lld\n", (long)getpid(), stamp,
        clean ? "closed" : "open", full ? "full" : "normal", boot, (long long)lock->offset_ms);
    return pwrite(lock->fd, text, (size_t)length, 0) == length &&
           ftruncate(lock->fd, length) == 0 && fsync(lock->fd) == 0;
}

void sqlite_lock_release(struct sqlite_lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    lock->fd = -1;
}
