#include "help.h"

#include "args.h"
#include "json.h"
#include "out.h"

#include <string.h>

#define COLUMNS 80
#define INDENT 26 /* of what is said about an option */

static const struct {
    int code;
    const char *text;
} exits[] = {
#define X(name, code, text) {code, text},
    CLI_EXITS(X)
#undef X
};

/* Words from column `column` on, the lines after the first indented. Returns the last column. */
static size_t print_words(FILE *stream, const char *words, size_t column)
{
    while (*words) {
        size_t length = strcspn(words, " ");
        if (column > INDENT && column + 1 + length > COLUMNS) {
            fprintf(stream, "\n%*s", INDENT, "");
            column = INDENT;
        } else if (column > INDENT) {
            fputc(' ', stream);
            column++;
        }
        fprintf(stream, "%.*s", (int)length, words);
        column += length;
        words += length;
        words += *words == ' ';
    }
    return column;
}

static void print_heading(FILE *stream, const char *text)
{
    fputc('\n', stream);
    out_style(stream, OUT_BOLD);
    fputs(text, stream);
    out_style(stream, OUT_PLAIN);
    fputc('\n', stream);
}

static void print_item(FILE *stream, const char *name, const char *value, const char *text)
{
    int column = fprintf(stream, "  %s%s%s", name, *value ? " " : "", value);

    if (column >= INDENT) {
        fputc('\n', stream);
        column = 0;
    }
    fprintf(stream, "%*s", INDENT - column, "");
    print_words(stream, text, INDENT);
}

static void print_options(FILE *stream, const struct option *options)
{
    for (; options && options->name; options++) {
        char name[ARGS_NAME_CHARS + 3];
        char standard[80];
        snprintf(name, sizeof name, "--%s", options->name);
        print_item(stream, name, options->metavar ? options->metavar : "", options->help);
        if (options->standard) {
            snprintf(standard, sizeof standard, "Default: %s.", options->standard);
            print_words(stream, standard, COLUMNS);
        }
        fputc('\n', stream);
    }
}

static void print_command(FILE *stream, const struct command *command)
{
    fprintf(stream, "usage: signpost %s%s%s\n\n%s\n", command->name, *command->usage ? " " : "",
        command->usage, command->summary);
    if (*command->help)
        fprintf(stream, "\n%s\n", command->help);
    if (command->options && command->options->name)
        print_heading(stream, "Options");
    print_options(stream, command->options);
    fputs("\nThe options of every command: signpost help\n", stream);
}

static void print_all(FILE *stream)
{
    fputs("usage: signpost COMMAND [OPTION...] [ARGUMENT...]\n\n"
          "Registers a node with a Signpost index, finds the others, and exchanges messages with\n"
          "them.\n",
        stream);
    print_heading(stream, "Commands");
    for (size_t i = 0; cli_commands[i]; i++) {
        print_item(stream, cli_commands[i]->name, "", cli_commands[i]->summary);
        fputc('\n', stream);
    }
    print_heading(stream, "Options of every command");
    print_options(stream, args_common);
    fputs("  -h, --help              Print the help of a command, or this.\n"
          "  --version               Print the version.\n\n"
          "Each but the last two is also in the environment: --key-file is SIGNPOST_KEY_FILE.\n"
          "There the URLs of several indexes are separated by commas, and a flag takes 1, true,\n"
          "yes, 0, false or no. The command line goes before the environment.\n",
        stream);
    print_heading(stream, "Exit status");
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
        fprintf(stream, "  %-4d %s\n", exits[i].code, exits[i].text);
    fputs("\nMore: man signpost, and signpost help COMMAND\n", stream);
}

void help_print(FILE *stream, const struct command *command)
{
    if (command)
        print_command(stream, command);
    else
        print_all(stream);
}

/* --- for programs ---------------------------------------------------------------------------- */

static void put_member(FILE *stream, const char *name, const char *text)
{
    fprintf(stream, ", \"%s\": ", name);
    if (text)
        json_put_text(stream, text);
    else
        fputs("null", stream);
}

static void put_options(FILE *stream, const struct option *options, bool in_environment)
{
    fputs(", \"options\": [", stream);
    for (const struct option *option = options; option && option->name; option++) {
        char variable[ARGS_VARIABLE_SIZE];
        fputs(option == options ? "{\"name\": " : ", {\"name\": ", stream);
        json_put_text(stream, option->name);
        put_member(stream, "value", option->metavar);
        put_member(stream, "default", option->standard);
        args_variable(option, variable);
        put_member(stream, "environment", in_environment ? variable : NULL);
        put_member(stream, "help", option->help);
        fputc('}', stream);
    }
    fputc(']', stream);
}

void help_print_json(FILE *stream)
{
    fputs("{\"name\": \"signpost\", \"version\": ", stream);
    json_put_text(stream, signpost_version());
    put_options(stream, args_common, true);
    fputs(", \"commands\": [", stream);
    for (size_t i = 0; cli_commands[i]; i++) {
        fputs(i ? ", {\"name\": " : "{\"name\": ", stream);
        json_put_text(stream, cli_commands[i]->name);
        put_member(stream, "usage", cli_commands[i]->usage);
        put_member(stream, "summary", cli_commands[i]->summary);
        put_options(stream, cli_commands[i]->options, false);
        fputc('}', stream);
    }
    fputs("], \"exits\": [", stream);
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++) {
        fprintf(stream, "%s{\"code\": %d", i ? ", " : "", exits[i].code);
        put_member(stream, "help", exits[i].text);
        fputc('}', stream);
    }
    fputs("]}\n", stream);
}
