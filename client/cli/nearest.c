#include "nearest.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define NAME_CHARS 32

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters to put in, take out, change or swap with the next one to make one of the other
 * (the optimal string alignment distance). */
static size_t distance(const char *a, const char *b)
{
    size_t rows[NAME_CHARS + 1][NAME_CHARS + 1];
    size_t height = strlen(a), width = strlen(b);

    for (size_t j = 0; j <= width; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= height; i++) {
        rows[i][0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t steps = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            steps = least(steps, least(rows[i - 1][j], rows[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                steps = least(steps, rows[i - 2][j - 2] + 1);
            rows[i][j] = steps;
        }
    }
    return rows[height][width];
}

const char *nearest_name(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    size_t length = strlen(word);

    if (!length || length > NAME_CHARS)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        bool begins = !strncmp(names[i], word, length);
        size_t away = begins ? 1 : distance(word, names[i]);
        if (away < best_distance && (begins || away * 2 <= strlen(names[i]))) {
            best = names[i];
            best_distance = away;
        }
    }
    return best;
}
