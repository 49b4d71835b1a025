#include "args.h"

#include "nearest.h"
#include "out.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 16  /* of one table */
#define LIST_BYTES 8192 /* of a list in the environment */
#define TIMEOUT_MAX_S 86400
#define ID_EXPECTED "1 to 64 of A-Z a-z 0-9 . _ -"

static bool read_url(const char *value, void *field);

const struct option args_common[] = {
    {"index", "URL", read_url, ARGS_FIELD(index), .most = CLI_LIST_MAX,
        .standard = "http://127.0.0.1:7117",
        .expected = "the URL of an index, as http://127.0.0.1:7117 or https://pod.example",
        .help = "An index. Repeatable: all are used at once."},
    {"network", "NAME", args_read_name, ARGS_FIELD(network), .expected = ID_EXPECTED,
        .help = "The network. Without it, the join key's, else \"default\"."},
    {"key-file", "FILE", args_read_text, ARGS_FIELD(key_file), .expected = "a file name",
        .help = "A file that holds a join key. SIGNPOST_KEY is the key itself."},
    {"id", "ID", args_read_name, ARGS_FIELD(id), .expected = ID_EXPECTED,
        .help = "The id of this node. Without it, one that is made from the secret."},
    {"secret-file", "FILE", args_read_text, ARGS_FIELD(secret_file), .expected = "a file name",
        .help = "The secret that makes register, send and recv one node; made where there is none. "
                "Without it, $XDG_STATE_HOME/signpost/secret or ~/.local/state/signpost/secret."},
    {"ca-file", "FILE", args_read_text, ARGS_FIELD(ca_file), .expected = "a file name",
        .help = "Certificates (PEM) to trust instead of the system's."},
    {"timeout", "SECONDS", args_read_seconds, ARGS_FIELD(timeout_ms), .standard = "10",
        .expected = "a number of seconds from 0.1 to 86400",
        .help = "How long a command may take that ends by itself."},
    {"json", ARGS_FLAG, ARGS_FIELD(json), .help = "Write JSON to stdout."},
    {"quiet", ARGS_FLAG, ARGS_FIELD(quiet), .help = "Write only results and errors."},
    {"verbose", ARGS_FLAG, ARGS_FIELD(verbose), .help = "Tell more of what happens."},
    {0},
};

/* --- values ---------------------------------------------------------------------------------- */

bool args_read_flag(const char *value, void *field)
{
    static const char *const words[] = {"0", "1", "false", "true", "no", "yes"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(value, words[i])) {
            *(bool *)field = i % 2 == 1;
            return true;
        }
    return false;
}

bool args_read_text(const char *value, void *field)
{
    if (!*value)
        return false;
    *(const char **)field = value;
    return true;
}

bool args_read_name(const char *value, void *field)
{
    size_t length = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._-");

    if (!length || length > CLI_ID_CHARS || value[length])
        return false;
    *(const char **)field = value;
    return true;
}

static bool read_url(const char *value, void *field)
{
    size_t scheme = !strncmp(value, "http://", 7) ? 7 : !strncmp(value, "https://", 8) ? 8 : 0;

    if (!scheme || !value[scheme] || value[scheme] == '/' || strpbrk(value, " \t\r\n") ||
        strlen(value) > CLI_URL_BYTES)
        return false;
    *(const char **)field = value;
    return true;
}

bool args_read_seconds(const char *value, void *field)
{
    char *end = NULL;

    /* strtod() would also take "inf", hexadecimal numbers and spaces. */
    if (!*value || value[strspn(value, "0123456789.")])
        return false;
    double seconds = strtod(value, &end);
    if (*end || seconds < 0.1 || seconds > TIMEOUT_MAX_S)
        return false;
    *(unsigned *)field = (unsigned)(seconds * 1000);
    return true;
}

bool args_read_number(const char *value, unsigned least, unsigned most, unsigned *ret_number)
{
    size_t digits = strspn(value, "0123456789");

    if (!digits || digits > 9 || value[digits])
        return false;
    unsigned long number = strtoul(value, NULL, 10);
    if (number < least || number > most)
        return false;
    *ret_number = (unsigned)number;
    return true;
}

/* --- what is being parsed -------------------------------------------------------------------- */

struct parse {
    struct settings settings;
    const struct command *command;
    bool given[OPTIONS_MAX];         /* of args_common */
    bool command_given[OPTIONS_MAX]; /* of the command's */
};

/* A list whose value is already there has its repetition dropped: two links to one index would
 * only take the node from each other. */
static bool list_has(const struct cli_list *list, const char *value)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->items[i], value))
            return true;
    return false;
}

/* `where`: the option or the environment variable, as the user wrote it. */
static int take_value(
    struct settings *settings, const struct option *option, const char *where, const char *value)
{
    void *field = (char *)settings + option->field;
    const char *item;

    if (!option->most) {
        if (option->read(value, field))
            return CLI_OK;
        out_error("%s: \"%s\" is not %s", where, value, option->expected);
        return CLI_USAGE;
    }
    struct cli_list *list = field;
    if (!option->read(value, &item)) {
        out_error("%s: \"%s\" is not %s", where, value, option->expected);
        return CLI_USAGE;
    }
    if (list_has(list, item))
        return CLI_OK;
    if (list->count == option->most) {
        out_error("%s: more than %zu values", where, option->most);
        return CLI_USAGE;
    }
    list->items[list->count++] = item;
    return CLI_OK;
}

/* --- the environment and the defaults -------------------------------------------------------- */

void args_variable(const struct option *option, char ret_name[ARGS_VARIABLE_SIZE])
{
    char *end = stpcpy(ret_name, "SIGNPOST_");
    for (const char *at = option->name; *at; at++)
        *end++ = *at == '-' ? '_' : (char)(*at - 'a' + 'A');
    *end = '\0';
}

/* The values of a list, separated by commas with or without spaces around. They stay in `pieces`,
 * which serves the one list that the environment has. */
static int take_list(
    struct settings *settings, const struct option *option, const char *where, const char *value)
{
    static char pieces[LIST_BYTES];

    if (strlen(value) >= sizeof pieces) {
        out_error("%s is too long, shorten it", where);
        return CLI_USAGE;
    }
    strcpy(pieces, value);
    for (char *piece = pieces, *next; piece; piece = next) {
        next = strchr(piece, ',');
        if (next)
            *next++ = '\0';
        piece += strspn(piece, " ");
        piece[strcspn(piece, " ")] = '\0';
        int code = take_value(settings, option, where, piece);
        if (code)
            return code;
    }
    return CLI_OK;
}

static int take_environment(struct parse *parse)
{
    for (size_t i = 0; args_common[i].name; i++) {
        const struct option *option = &args_common[i];
        char name[ARGS_VARIABLE_SIZE];
        args_variable(option, name);
        const char *value = parse->given[i] ? NULL : getenv(name);
        if (!value || !*value)
            continue;
        int code = (option->most ? take_list : take_value)(&parse->settings, option, name, value);
        if (code)
            return code;
        parse->given[i] = true;
    }
    return CLI_OK;
}

static void take_defaults(
    struct settings *settings, const struct option *options, const bool *given)
{
    for (size_t i = 0; options[i].name; i++)
        if (!given[i] && options[i].standard)
            (void)take_value(settings, &options[i], options[i].name, options[i].standard);
}

/* A key file on the command line goes before the key in the environment, and that before a key file
 * in the environment. */
static void take_key(struct parse *parse)
{
    const char *key = getenv("SIGNPOST_KEY");

    if (key && *key && !parse->settings.key_file)
        parse->settings.key = key;
}

/* --- the command line ------------------------------------------------------------------------ */

static size_t add_names(const struct option *options, const char **names, size_t count)
{
    for (; options && options->name; options++)
        names[count++] = options->name;
    return count;
}

static int unknown_option(const struct parse *parse, const char *argument)
{
    const char *names[2 * OPTIONS_MAX + 2];
    size_t length = strcspn(argument, "=");
    char word[ARGS_NAME_CHARS + 3] = "";
    size_t count = add_names(args_common, names, 0);

    if (parse->command)
        count = add_names(parse->command->options, names, count);
    names[count++] = "help";
    names[count++] = "version";
    const char *for_command = parse->command ? parse->command->name : "every command";
    memcpy(word, argument, length < sizeof word ? length : sizeof word - 1);
    const char *meant = nearest_name(word + strspn(word, "-"), names, count);
    if (meant)
        out_error("%s is not an option of %s: did you mean --%s?", word, for_command, meant);
    else
        out_error("%s is not an option of %s: see \"signpost help%s%s\"", word, for_command,
            parse->command ? " " : "", parse->command ? parse->command->name : "");
    return CLI_USAGE;
}

static const struct option *find_option(
    const struct option *options, const char *name, size_t length)
{
    for (; options && options->name; options++)
        if (strlen(options->name) == length && !strncmp(options->name, name, length))
            return options;
    return NULL;
}

/* The option that the argument names, noted as given; NULL where there is none. */
static const struct option *given_option(struct parse *parse, const char *argument, size_t length)
{
    const struct option *options = parse->command ? parse->command->options : NULL;
    const struct option *option;

    if (strncmp(argument, "--", 2) != 0)
        return NULL;
    option = find_option(options, argument + 2, length - 2);
    if (option) {
        parse->command_given[option - options] = true;
        return option;
    }
    option = find_option(args_common, argument + 2, length - 2);
    if (option)
        parse->given[option - args_common] = true;
    return option;
}

/* An option, with its value in the same argument or in `next`; `ret_used_next` says which. */
static int take_option(
    struct parse *parse, const char *argument, const char *next, bool *ret_used_next)
{
    char where[ARGS_NAME_CHARS + 3];
    size_t length = strcspn(argument, "=");
    const char *value = argument[length] ? argument + length + 1 : NULL;

    *ret_used_next = false;
    if (!strcmp(argument, "-h") || !strcmp(argument, "--help")) {
        parse->settings.help = true;
        return CLI_OK;
    }
    if (!strcmp(argument, "--version")) {
        parse->settings.version = true;
        return CLI_OK;
    }
    const struct option *option = given_option(parse, argument, length);
    if (!option)
        return unknown_option(parse, argument);
    snprintf(where, sizeof where, "--%s", option->name);
    if (!value && option->metavar) {
        if (!next || !strncmp(next, "--", 2)) {
            out_error("%s needs a value: %s", where, option->expected);
            return CLI_USAGE;
        }
        value = next;
        *ret_used_next = true;
    }
    return take_value(&parse->settings, option, where, value ? value : "yes");
}

const struct command *args_nearest_command(const char *word)
{
    const char *names[OPTIONS_MAX];
    size_t count = 0;

    for (; cli_commands[count]; count++)
        names[count] = cli_commands[count]->name;
    const char *meant = nearest_name(word, names, count);
    return meant ? cli_find_command(meant) : NULL;
}

static int take_argument(struct parse *parse, const char *argument)
{
    struct settings *settings = &parse->settings;

    if (!parse->command) {
        parse->command = cli_find_command(argument);
        if (parse->command)
            return CLI_OK;
        const struct command *meant = args_nearest_command(argument);
        if (meant)
            out_error("there is no command \"%s\": did you mean %s?", argument, meant->name);
        else
            out_error("there is no command \"%s\": see \"signpost help\"", argument);
        return CLI_USAGE;
    }
    if (settings->argument_count == parse->command->most_arguments) {
        out_error("\"%s\" is one argument too many: signpost %s %s", argument, parse->command->name,
            parse->command->usage);
        return CLI_USAGE;
    }
    settings->arguments[settings->argument_count++] = argument;
    return CLI_OK;
}

/* "-" is stdin, and a number below zero is a message's body. */
static bool is_option(const char *argument)
{
    return argument[0] == '-' && argument[1] && !strchr("0123456789", argument[1]);
}

static int take_arguments(struct parse *parse, int argc, char **argv)
{
    bool options_ended = false;

    for (int i = 1; i < argc; i++) {
        bool used_next = false;
        int code;
        if (options_ended || !is_option(argv[i])) {
            code = take_argument(parse, argv[i]);
        } else if (!strcmp(argv[i], "--")) {
            options_ended = true;
            continue;
        } else {
            code = take_option(parse, argv[i], argv[i + 1], &used_next);
        }
        if (code)
            return code;
        i += used_next;
    }
    return CLI_OK;
}

int args_parse(
    int argc, char **argv, struct settings *ret_settings, const struct command **ret_command)
{
    struct parse parse = {0};
    int code = take_arguments(&parse, argc, argv);

    if (code)
        return code;
    const struct command *command = parse.command;
    struct settings *settings = &parse.settings;
    if (command && !settings->help && !settings->version &&
        settings->argument_count < command->least_arguments) {
        out_error("an argument is missing: signpost %s %s", command->name, command->usage);
        return CLI_USAGE;
    }
    take_key(&parse);
    code = take_environment(&parse);
    if (code)
        return code;
    take_defaults(settings, args_common, parse.given);
    if (command && command->options)
        take_defaults(settings, command->options, parse.command_given);
    if (settings->key)
        settings->key_file = NULL;
    *ret_settings = *settings;
    *ret_command = command;
    return CLI_OK;
}
