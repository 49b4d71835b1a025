/*
 * For LD_PRELOAD: a program whose instructions can be counted, since nothing that it does depends
 * on when or where it runs. Its clocks stand still but while it sleeps as long as it was allowed
 * to; its random numbers are the same in each run. Where it would sleep it takes orders from the
 * measuring script (still.py), which listens on the socket $STILL. So an order is answered when
 * there is nothing left to do.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#define START_NS 1000000000000000 /* of the monotonic clock: no program minds the boot */
#define WALL_S 1767225600         /* the first second of 2026, where the wall clock starts */
#define NS_PER_S 1000000000
#define NS_PER_MS 1000000

enum order_kind { ORDER_PASS, ORDER_DUMP };

/* A dump has what was counted since the one before, and the first one begins to count. (Callgrind
 * can also zero its counts, but then keeps some of them.) */
struct order {
    uint64_t kind;
    int64_t pass_ns; /* of ORDER_PASS: so much time goes by while the program sleeps */
};

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int orders = -1; /* connected when the program first sleeps */
static bool owes_answer;
static bool is_free; /* the script is done with it */
static int64_t passed_ns, allowed_ns;

/* --- time ------------------------------------------------------------------------------------ */

int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
    int64_t start_s = clock_id == CLOCK_REALTIME || clock_id == CLOCK_REALTIME_COARSE
                          ? WALL_S
                          : START_NS / NS_PER_S;

    tp->tv_sec = start_s + passed_ns / NS_PER_S;
    tp->tv_nsec = passed_ns % NS_PER_S;
    return 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    (void)tz;
    tv->tv_sec = WALL_S + passed_ns / NS_PER_S;
    tv->tv_usec = passed_ns % NS_PER_S / 1000;
    return 0;
}

time_t time(time_t *timer)
{
    time_t now = WALL_S + passed_ns / NS_PER_S;

    if (timer)
        *timer = now;
    return now;
}

/* --- sleeping -------------------------------------------------------------------------------- */

static void connect_orders(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *path = getenv("STILL");

    orders = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    strncpy(name.sun_path, path ? path : "", sizeof name.sun_path - 1);
    if (connect(orders, (struct sockaddr *)&name, sizeof name)) {
        perror("$STILL");
        _exit(1);
    }
}

static void answer(void)
{
    owes_answer = false;
    is_free = send(orders, "", 1, MSG_NOSIGNAL) != 1;
}

static void take_order(void)
{
    struct order order;
    ssize_t size = recv(orders, &order, sizeof order, 0);

    if (size != sizeof order) {
        is_free = size >= 0 || errno != EINTR;
        return;
    }
    if (order.kind == ORDER_DUMP) {
        CALLGRIND_START_INSTRUMENTATION;
        CALLGRIND_DUMP_STATS;
    } else {
        allowed_ns += order.pass_ns;
    }
    owes_answer = true;
}

/* Only an order or a signal ends a sleep, so that what comes meanwhile is seen together, and never
 * while another program still works. Who is free sleeps as ever. */
int epoll_pwait(
    int epfd, struct epoll_event *events, int maxevents, int timeout, const sigset_t *ss)
{
    int64_t left_ns = timeout < 0 ? INT64_MAX : (int64_t)timeout * NS_PER_MS;
    __typeof__(&epoll_pwait) next = NEXT(epoll_pwait);

    while (!is_free) {
        int count = next(epfd, events, maxevents, 0, ss);
        if (count || !timeout)
            return count;
        int64_t step_ns = left_ns < allowed_ns ? left_ns : allowed_ns;
        passed_ns += step_ns;
        allowed_ns -= step_ns;
        left_ns -= step_ns;
        if (!left_ns)
            return 0;
        if (orders < 0)
            connect_orders();
        if (owes_answer)
            answer();
        take_order();
    }
    int count = next(epfd, events, maxevents, timeout, ss);
    if (!count && timeout > 0)
        passed_ns += left_ns;
    return count;
}

int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout)
{
    return epoll_pwait(epfd, events, maxevents, timeout, NULL);
}

/* --- chance ---------------------------------------------------------------------------------- */

/* Knuth's linear congruential generator (MMIX); of each number the high byte. */
ssize_t getrandom(void *buffer, size_t length, unsigned flags)
{
    static uint64_t state = 1;
    unsigned char *bytes = buffer;

    (void)flags;
    for (size_t i = 0; i < length; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        bytes[i] = (unsigned char)(state >> 56);
    }
    return (ssize_t)length;
}

/* What asks the device instead gets zeroes. */
int open(const char *file, int oflag, ...)
{
    va_list rest;

    va_start(rest, oflag);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return NEXT(open)(strcmp(file, "/dev/urandom") ? file : "/dev/zero", oflag, mode);
}
