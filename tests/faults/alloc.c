/*
 * For LD_PRELOAD: memory that is out. The file that $FAULTS_ALLOC names is shared with the test,
 * which may change it at any time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct control {
    _Atomic uint32_t after;  /* this many more succeed, and the next fails; 0: off */
    _Atomic uint32_t one_in; /* each fails with this probability; 0: off */
    _Atomic uint32_t random; /* the state of a generator of random numbers, not 0 */
    _Atomic uint32_t calls;  /* counted */
    _Atomic uint32_t failed; /* counted */
};

static struct control *control;

/* glibc's own names of what is replaced below. */
void *__libc_malloc(size_t size);               /* NOLINT(bugprone-reserved-identifier) */
void *__libc_calloc(size_t nmemb, size_t size); /* NOLINT(bugprone-reserved-identifier) */
void *__libc_realloc(void *ptr, size_t size);   /* NOLINT(bugprone-reserved-identifier) */

__attribute__((constructor)) static void alloc_start(void)
{
    const char *name = getenv("FAULTS_ALLOC");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared != MAP_FAILED)
        control = shared;
}

static int fails(void)
{
    if (!control)
        return 0;
    control->calls++;
    int fail = control->after && !--control->after;
    if (control->one_in) {
        /* xorshift32: the same seed gives the same run. */
        uint32_t state = control->random;
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        control->random = state;
        fail |= state % control->one_in == 0;
    }
    if (!fail)
        return 0;
    control->failed++;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t nmemb, size_t size)
{
    return fails() ? NULL : __libc_calloc(nmemb, size);
}

void *realloc(void *ptr, size_t size)
{
    return fails() ? NULL : __libc_realloc(ptr, size);
}
