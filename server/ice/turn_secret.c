#include "ice/turn.h"
#include "quote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the text -------------------------------------------------------------------------------- */

/* The line without the white space around it; a line of Windows ends in \r. */
static void trim(const char **line, size_t *length)
{
    while (*length && strchr(" \t\r", (*line)[*length - 1]) && (*line)[*length - 1])
        --*length;
    while (*length && (**line == ' ' || **line == '\t')) {
        ++*line;
        --*length;
    }
}

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
    const char *first = NULL, *end = text + size;
    size_t first_length = 0, number = 0;

    for (const char *next = text; next < end;) {
        const char *line = next;
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((newline ? newline : end) - line);
        next = newline ? newline + 1 : end;
        number++;
        trim(&line, &length);
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

/* Returns 0 or an errno. */
static int read_file(const char *path, char *ret_bytes, size_t room, size_t *ret_size, mode_t *mode)
{
    struct stat status;
    int error = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    *ret_size = 0;
    if (fd < 0)
        return errno;
    if (fstat(fd, &status))
        error = errno;
    while (!error && *ret_size < room) {
        ssize_t got = read(fd, ret_bytes + *ret_size, room - *ret_size);
        if (got == 0)
            break;
        if (got > 0)
            *ret_size += (size_t)got;
        else if (errno != EINTR)
            error = errno;
    }
    close(fd);
    if (!error)
        *mode = S_ISREG(status.st_mode) ? status.st_mode : 0;
    return error;
}

int turn_secret_read(
    const char *path, char ret_secret[TURN_SECRET_SIZE], bool *ret_exposed, struct fault *ret_fault)
{
    size_t room = LIMIT_TURN_FILE_BYTES + 1, size;
    char *bytes = malloc(room);
    char quoted[QUOTE_SIZE];
    struct fault why;
    mode_t mode = 0;

    if (!bytes)
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory for the file of TURN secrets");
    int error = read_file(path, bytes, room, &size, &mode);
    if (error)
        error = fault_set(&why, ERROR_BAD_REQUEST, "%s", strerror(error));
    else if (size == room)
        error = fault_set(&why, ERROR_BAD_REQUEST,
            "it has more than %d bytes: is it the right file?", LIMIT_TURN_FILE_BYTES);
    else
        error = turn_secret_parse(bytes, size, ret_secret, &why);
    explicit_bzero(bytes, room);
    free(bytes);
    if (error)
        return fault_set(
            ret_fault, error, "--turn-secret-file %s: %s", quote_text(path, quoted), why.detail);
    *ret_exposed = (mode & S_IRWXO) != 0;
    return 0;
}
