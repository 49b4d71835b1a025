#include "options_internal.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define HELP_COLUMNS 80 /* of --help */
#define HELP_INDENT 36  /* of the help sentences */

/* ---- help ---- */

void option_variable(const struct option *option, char ret_name[OPTION_VARIABLE_SIZE])
{
    char *end = stpcpy(ret_name, OPTION_VARIABLE_PREFIX);
    for (const char *at = option->name; *at; at++)
        *end++ = *at == '-' ? '_' : (char)(*at - 'a' + 'A');
    *end = '\0';
}

/* Words from column `column` on, the lines after the first indented to HELP_INDENT. */
static int print_words(const char *words, int column)
{
    while (*words) {
        int length = (int)strcspn(words, " ");
        if (column > HELP_INDENT && column + 1 + length > HELP_COLUMNS) {
            printf("\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        } else if (column > HELP_INDENT) {
            putchar(' ');
            column++;
        }
        printf("%.*s", length, words);
        column += length;
        words += length;
        words += *words == ' ';
    }
    return column;
}

void options_print_help(const struct option *table, size_t count)
{
    puts("usage: signpostd [OPTION...]\n"
         "       signpostd backup FILE [--db FILE]\n\n"
         "The Signpost index: nodes register, find each other, and leave each other messages.\n"
         "With backup it makes FILE, a copy of the database, also while an index runs on it.\n");
    for (size_t i = 0; i < count; i++) {
        const struct option *option = &table[i];
        char standard[64];
        int column = printf("  --%s %s", option->name, option->metavar ? option->metavar : "");
        column += printf("%*s", HELP_INDENT - column, "");
        column = print_words(option->help, column);
        if (option->standard) {
            snprintf(standard, sizeof standard, "Default: %s.", option->standard);
            print_words(standard, column);
        }
        putchar('\n');
    }
    puts("\nEach option but --version and --help is also an environment variable:\n"
         "--max-nodes is SIGNPOST_MAX_NODES. There the values of a repeatable one are\n"
         "separated by commas, and a flag takes 1, true, yes, 0, false or no. The command\n"
         "line goes before the environment.");
}

/* ---- the nearest name ---- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters to put in, take out or change to make one of the other (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t row[OPTION_NAME_CHARS + 1];
    size_t width = strlen(b);

    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t changed = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(changed, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[width];
}

/* The option that was meant, or NULL: one of which the name is the beginning, or one that differs
 * in no more than a third of its letters. */
const struct option *options_nearest(const struct option *table, size_t count, const char *name)
{
    const struct option *best = NULL;
    size_t best_distance = SIZE_MAX;
    size_t length = strlen(name);

    if (length < 2 || length > OPTION_NAME_CHARS)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const struct option *option = &table[i];
        size_t away = distance(name, option->name);
        bool beginning = !strncmp(option->name, name, length);
        if (beginning)
            away = away > 0;
        if (away < best_distance && (beginning || away * 3 <= strlen(option->name))) {
            best = option;
            best_distance = away;
        }
    }
    return best;
}
