/* Sentences and lines, put together piece by piece. What comes from outside is made harmless on the
 * way: only printable ASCII comes out, so that no stranger's text moves the cursor of a terminal.
 */
#ifndef SIGNPOST_CLIENT_NAT_WORDS_H
#define SIGNPOST_CLIENT_NAT_WORDS_H

#include <stddef.h>

#define WORDS_DETAIL_MAX 120 /* characters of a detail that go into a longer text */

struct words {
    char *text; /* always ended by NUL */
    size_t size, length;
};

void words_begin(struct words *words, char *text, size_t size);

/* What does not fit is left out. */
__attribute__((format(printf, 2, 3))) void words_add(struct words *words, const char *format, ...);

/* A text from outside, as the middle of a sentence: without a full stop at its end, and cut short
 * at WORDS_DETAIL_MAX. */
void words_add_detail(struct words *words, const char *detail);

/* "42 ms", "5.0 s"; what makes no sense is "a time not known". */
void words_add_time(struct words *words, double ms);

#endif
