/* Numbers as text in what is written for each request, where printf() would be most of the work. */
#ifndef SIGNPOST_DIGITS_H
#define SIGNPOST_DIGITS_H

#include <stddef.h>
#include <stdint.h>

#define DIGITS_MAX 20 /* of a uint64_t in decimal */

/* Writes at least `width` digits, without a NUL, and gives what comes behind them. */
static inline char *digits_write(char *at, uint64_t number, size_t width)
{
    char digits[DIGITS_MAX];
    size_t first = sizeof digits;

    while (number > 0 || sizeof digits - first < width) {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    }
    while (first < sizeof digits)
        *at++ = digits[first++];
    return at;
}

#endif
