/* A small file of secrets, or of what stands for them, that the operator names in an option. */
#ifndef SIGNPOST_SECRET_FILE_H
#define SIGNPOST_SECRET_FILE_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>

/* Reads all of a file of at most `most` bytes into `ret_text`, which secret_file_free() frees.
 * `ret_exposed`: everyone on this machine may read or write it. The sentence of the fault has no
 * name of the file in it. */
int secret_file_read(const char *path, size_t most, char **ret_text, size_t *ret_size,
    bool *ret_exposed, struct fault *ret_fault);

void secret_file_free(char *text, size_t size); /* wiped first; NULL is fine */

/* One line of such a text without the white space around it; a line of Windows ends in \r. `text`
 * moves to the next line. False: there is none. */
bool secret_file_line(
    const char **text, const char *end, const char **ret_line, size_t *ret_length);

#endif
