/* The name that was meant by a word that is none. */
#ifndef SIGNPOST_CLI_NEAREST_H
#define SIGNPOST_CLI_NEAREST_H

#include <stddef.h>

/* One of `names` that begins with the word, or that differs from it in at most half of its letters;
 * the nearest of them. NULL where none is near. */
const char *nearest_name(const char *word, const char *const *names, size_t count);

#endif
