#include "loop.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Longer than a parked poll lasts: then something was lost. */
#define PATIENCE_MS 60000

uv_loop_t *loop;
static uv_timer_t patience, pause_timer;
static bool rested, printed;

void loop_open(void)
{
    loop = uv_default_loop();
    uv_timer_init(loop, &patience);
    uv_timer_init(loop, &pause_timer);
}

void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (!memory)
        fail("no memory");
    return memory;
}

size_t number_of(const char *word)
{
    char *end;
    size_t number = strtoul(word, &end, 10);

    if (end == word || *end)
        fail("%s is no number", word);
    return number;
}

static void on_impatient(uv_timer_t *timer)
{
    (void)timer;
    fail("nothing more came for %d s", PATIENCE_MS / 1000);
}

void await_none(const size_t *missing)
{
    uv_timer_start(&patience, on_impatient, PATIENCE_MS, 0);
    while (*missing)
        uv_run(loop, UV_RUN_ONCE);
    uv_timer_stop(&patience);
}

/* Timers are run before the loop sleeps: it has to be told that there is nothing to sleep for. */
static void on_rested(uv_timer_t *timer)
{
    (void)timer;
    rested = true;
    uv_stop(loop);
}

void rest(uint64_t time_ms)
{
    rested = false;
    uv_update_time(loop);
    uv_timer_start(&pause_timer, on_rested, time_ms, 0);
    while (!rested)
        uv_run(loop, UV_RUN_ONCE);
}

void await_end_of_input(void)
{
    fflush(stdout);
    while (getchar() != EOF)
        ;
}

double now_us(void)
{
    return (double)uv_hrtime() / 1e3;
}

double cpu_us(pid_t pid)
{
    struct timespec time;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &time))
        fail("process %d has no clock", (int)pid);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void print_name(const char *name)
{
    printf("%s\"%s\": ", printed ? ", " : "{", name);
    printed = true;
}

static void print_end(bool last)
{
    if (last)
        printf("}\n");
}

void print_list(const char *name, const double *values, size_t count, bool last)
{
    print_name(name);
    for (size_t i = 0; i < count; i++)
        printf("%s%.1f", i ? ", " : "[", values[i]);
    printf("]");
    print_end(last);
}

void print_number(const char *name, double value, bool last)
{
    print_name(name);
    printf("%.1f", value);
    print_end(last);
}
