/*
 * For LD_PRELOAD: a disk that does not answer for a while, or refuses. Only what SQLite and the
 * lock file do is touched: sockets are written to by other functions. The file that $FAULTS_DISK
 * names is shared with the test, which may change it at any time.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct control {
    _Atomic uint32_t stall_ms; /* the next write waits for so long, once; 0: off */
    _Atomic uint32_t error;    /* every write fails with this errno; 0: off */
    _Atomic uint32_t touched;  /* counts the writes that waited or failed */
    _Atomic uint32_t kill_in;  /* the write of this number kills the process instead; 0: off */
};

static struct control *control;

__attribute__((constructor)) static void disk_start(void)
{
    const char *name = getenv("FAULTS_DISK");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared != MAP_FAILED)
        control = shared;
}

/* 0, or -1 with errno set. */
static int disk_answers(void)
{
    if (!control)
        return 0;
    if (control->kill_in && --control->kill_in == 0)
        raise(SIGKILL);
    uint32_t stall_ms = atomic_exchange(&control->stall_ms, 0);
    if (stall_ms) {
        control->touched++;
        struct timespec left = {stall_ms / 1000, (long)(stall_ms % 1000) * 1000000};
        while (nanosleep(&left, &left) && errno == EINTR)
            ;
    }
    int error = (int)control->error;
    if (!error)
        return 0;
    control->touched++;
    errno = error;
    return -1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset)
{
    return disk_answers() ? -1 : NEXT(pwrite64)(fd, buf, n, offset);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    return disk_answers() ? -1 : NEXT(pwrite)(fd, buf, n, offset);
}

int fdatasync(int fildes)
{
    return disk_answers() ? -1 : NEXT(fdatasync)(fildes);
}

int fsync(int fd)
{
    return disk_answers() ? -1 : NEXT(fsync)(fd);
}
