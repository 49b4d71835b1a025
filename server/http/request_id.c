#include "http/request_id.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

static bool is_request_id(const char *text)
{
    size_t length = strspn(text, NAME_CHARS);
    return length >= 1 && length <= LIMIT_REQUEST_ID_CHARS && !text[length];
}

/* Of this process alone. Nothing hangs on its being hard to guess. */
static uint64_t draw_process(void)
{
    uint64_t process;

    if (getrandom(&process, sizeof process, GRND_NONBLOCK) != sizeof process) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        process = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    }
    return process;
}

/* Less work than that of snprintf(), and each request has it. */
static char *put_hex(char *end, uint64_t number, int least_digits)
{
    int digits = least_digits;

    while (digits < 16 && number >> (4 * digits))
        digits++;
    for (int i = digits - 1; i >= 0; i--)
        *end++ = "0123456789abcdef"[(number >> (4 * i)) & 0xf];
    return end;
}

void request_id_choose(const char *given, char ret_id[REQUEST_ID_SIZE])
{
    static uint64_t process, count;

    if (given && is_request_id(given)) {
        strcpy(ret_id, given);
        return;
    }
    if (!count++)
        process = draw_process();
    char *end = put_hex(ret_id, process, 16);
    *end++ = '-';
    *put_hex(end, count, 1) = '\0';
}
