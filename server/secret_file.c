#include "secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Returns 0 or an errno. */
static int read_all(const char *path, char *ret_bytes, size_t room, size_t *ret_size, mode_t *mode)
{
    struct stat status;
    int error = 0;
    /* A pipe that nobody writes to is an empty file, and not one that is waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    *ret_size = 0;
    if (fd < 0)
        return errno;
    (void)fcntl(fd, F_SETFL, 0);
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

int secret_file_read(const char *path, size_t most, char **ret_text, size_t *ret_size,
    bool *ret_exposed, struct fault *ret_fault)
{
    size_t room = most + 1; /* one more tells that it is too long */
    char *text = malloc(room);
    mode_t mode = 0;

    if (!text)
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory to read it");
    int error = read_all(path, text, room, ret_size, &mode);
    if (error)
        error = fault_set(ret_fault, ERROR_BAD_REQUEST, "%s", strerror(error));
    else if (*ret_size == room)
        error = fault_set(ret_fault, ERROR_BAD_REQUEST,
            "it has more than %zu bytes: is it the right file?", most);
    if (error) {
        secret_file_free(text, room);
        return error;
    }
    *ret_text = text;
    *ret_exposed = (mode & S_IRWXO) != 0;
    return 0;
}

void secret_file_free(char *text, size_t size)
{
    if (!text)
        return;
    explicit_bzero(text, size);
    free(text);
}

static bool is_blank(char character)
{
    return character == ' ' || character == '\t' || character == '\r';
}

bool secret_file_line(const char **text, const char *end, const char **ret_line, size_t *ret_length)
{
    const char *line = *text;

    if (line >= end)
        return false;
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    size_t length = (size_t)((newline ? newline : end) - line);
    *text = newline ? newline + 1 : end;
    while (length && is_blank(line[length - 1]))
        length--;
    while (length && is_blank(*line)) {
        line++;
        length--;
    }
    *ret_line = line;
    *ret_length = length;
    return true;
}
