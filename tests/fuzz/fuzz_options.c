/* The command line, an argument a line: what is refused has a sentence, what is taken is within its
 * bounds. */
#include "options.h"
#include "want.h"

#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MAX 100

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check(const struct options *options)
{
    want(options->listen_count && options->listen_count <= OPTIONS_LIST_MAX);
    want(options->check_ports_count && options->check_ports_count <= OPTIONS_LIST_MAX);
    want(options->trust_proxy_count <= OPTIONS_LIST_MAX);
    want(options->db && *options->db);
    want(options->rate >= 0 && options->rate <= 1e9);
    for (size_t i = 0; i < options->listen_count; i++)
        want(options->listen[i].address.family != 0);
    for (size_t i = 0; i < options->check_ports_count; i++)
        want(options->check_ports[i].first <= options->check_ports[i].last);
    for (size_t i = 0; i < options->cors_origin_count; i++)
        want(strstr(options->cors_origin[i], "://") != NULL);
    /* A backup takes the database alone: what else is given is not looked at together. */
    want(options->backup_to || !options->turn_uri_count == !options->turn_secret_file);
    want(!options->backup_to || *options->backup_to);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *argv[ARGUMENTS_MAX + 2] = {"signpostd"};
    char *text = strndup((const char *)bytes, size), *rest = text;
    struct options options;
    struct fault fault = {.detail = ""};
    int argc = 1;

    while (rest && argc <= ARGUMENTS_MAX)
        argv[argc++] = strsep(&rest, "\n");
    argv[argc] = NULL;
    enum options_verdict verdict = options_parse(argc, argv, &options, &fault);
    if (verdict == OPTIONS_RUN)
        check(&options);
    else if (verdict == OPTIONS_WRONG)
        want(*fault.detail && !strchr(fault.detail, '\n'));
    free(text);
    return 0;
}
