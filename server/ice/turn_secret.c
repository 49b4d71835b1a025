#include "ice/turn.h"
#include "quote.h"
#include "secret_file.h"

#include <string.h>

/* --- the text -------------------------------------------------------------------------------- */

static int check_line(const char *line, size_t length, size_t number, struct fault *ret_fault)
{
    if (length > LIMIT_TURN_SECRET_CHARS)
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "line %zu has %zu characters: a secret has at most %d", number, length,
            LIMIT_TURN_SECRET_CHARS);
    for (size_t i = 0; i < length; i++)
        if (line[i] <= ' ' || line[i] > '~') /* a char may be signed: not ASCII is below 0 */
            return fault_set(ret_fault, ERROR_BAD_REQUEST,
                "line %zu has %s: a secret is printable ASCII without spaces, one a line", number,
                line[i] == ' ' || line[i] == '\t' ? "a space in it"
                                                  : "a character that is not printable ASCII");
    return 0;
}

int turn_secret_parse(
    const char *text, size_t size, char ret_secret[TURN_SECRET_SIZE], struct fault *ret_fault)
{
    const char *first = NULL, *end = text + size, *line;
    size_t first_length = 0, number = 0, length;

    while (secret_file_line(&text, end, &line, &length)) {
        number++;
        if (!length || line[0] == '#')
            continue;
        int error = check_line(line, length, number, ret_fault);
        if (error)
            return error;
        if (!first) {
            first = line;
            first_length = length;
        }
    }
    if (!first)
        return fault_set(ret_fault, ERROR_BAD_REQUEST, "there is no secret in it");
    memcpy(ret_secret, first, first_length);
    ret_secret[first_length] = '\0';
    return 0;
}

/* --- the file -------------------------------------------------------------------------------- */

int turn_secret_read(
    const char *path, char ret_secret[TURN_SECRET_SIZE], bool *ret_exposed, struct fault *ret_fault)
{
    char quoted[QUOTE_SIZE], *text = NULL;
    struct fault why;
    size_t size = 0;
    int error = secret_file_read(path, LIMIT_TURN_FILE_BYTES, &text, &size, ret_exposed, &why);

    if (!error)
        error = turn_secret_parse(text, size, ret_secret, &why);
    secret_file_free(text, size);
    if (error)
        fault_set(
            ret_fault, error, "--turn-secret-file %s: %s", quote_text(path, quoted), why.detail);
    return error;
}
