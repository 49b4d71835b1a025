#include "usage.h"

#include "metrics.h"

#include <dirent.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MEASURE_EVERY_MS 1000

static int64_t cpu_now_us(void)
{
    struct rusage used;

    if (getrusage(RUSAGE_SELF, &used))
        return 0;
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000LL + used.ru_utime.tv_usec +
           used.ru_stime.tv_usec;
}

/* The second number of /proc/self/statm, in pages (proc(5)). 0 where there is no /proc. */
static size_t resident_bytes(void)
{
    char line[128];
    FILE *file = fopen("/proc/self/statm", "re");
    const char *second = file && fgets(line, sizeof line, file) ? strchr(line, ' ') : NULL;
    size_t pages = second ? strtoul(second, NULL, 10) : 0;

    if (file)
        fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

void usage_measure(struct usage *usage, int64_t now_ms)
{
    bool first = !usage->measured_ms;
    int64_t passed_ms = now_ms - usage->measured_ms;

    if (!first && passed_ms < MEASURE_EVERY_MS)
        return;
    int64_t cpu_us = cpu_now_us();
    if (!first)
        usage->cpu_share = (double)(cpu_us - usage->cpu_us) / 1000 / (double)passed_ms;
    usage->cpu_us = cpu_us;
    usage->memory_bytes = resident_bytes();
    usage->measured_ms = now_ms;
}

/* Without the one that the counting takes. */
static size_t open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;

    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count > 3 ? count - 3 : 0; /* and without `.` and `..` */
}

static void write_gauge(struct text *out, const char *name, const char *help, double value)
{
    metrics_write_family(out, name, "gauge", help);
    metrics_write_value(out, name, "", value);
}

void usage_write_metrics(struct text *out, int64_t started_wall_ms)
{
    static const char cpu[] = "process_cpu_seconds_total";
    struct rlimit limit = {0};

    getrlimit(RLIMIT_NOFILE, &limit);
    metrics_write_family(out, cpu, "counter", "Processor time, in the kernel too.");
    metrics_write_value(out, cpu, "", (double)cpu_now_us() / 1e6);
    write_gauge(
        out, "process_resident_memory_bytes", "Memory that is in use.", (double)resident_bytes());
    write_gauge(out, "process_open_fds", "Open file descriptors.", (double)open_descriptors());
    write_gauge(
        out, "process_max_fds", "File descriptors that the system allows.", (double)limit.rlim_cur);
    write_gauge(out, "process_start_time_seconds", "When the process started, since 1970.",
        (double)started_wall_ms / 1000);
}

void usage_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
