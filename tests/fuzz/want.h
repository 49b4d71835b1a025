/* What must hold whatever the input is. Where it does not, says what, and aborts. */
#ifndef SIGNPOST_FUZZ_WANT_H
#define SIGNPOST_FUZZ_WANT_H

#include <stdio.h>
#include <stdlib.h>

#define want(holds) ((holds) ? (void)0 : want_failed(#holds, __FILE__, __LINE__))

__attribute__((noreturn)) static inline void want_failed(
    const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

#endif
