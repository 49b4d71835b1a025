/*
 * The loop of the load generator: waiting, time, what is printed. Whatever goes wrong ends the
 * program with a sentence, since a number that was measured with a failure in it is none.
 */
#ifndef SIGNPOST_BENCH_LOOP_H
#define SIGNPOST_BENCH_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

extern uv_loop_t *loop;

void loop_open(void);

void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void *allocate(size_t count, size_t size); /* zeroed; never NULL */

/* The decimal number of a whole word. */
size_t number_of(const char *word);

/* Runs until callbacks have counted it down to 0. */
void await_none(const size_t *missing);
void rest(uint64_t time_ms);
void await_end_of_input(void);

double now_us(void);
double cpu_us(pid_t pid); /* of all threads of a process so far */

/* A member of the one object that the program prints, as a list; the last one ends the line. */
void print_list(const char *name, const double *values, size_t count, bool last);
void print_number(const char *name, double value, bool last);

#endif
