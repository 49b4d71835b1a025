/* signpostd: reads its options, runs the service, says in one line why it cannot. */
#include "healthcheck.h"
#include "log.h"
#include "options.h"
#include "service.h"

#include <stdio.h>

#define EXIT_RUNTIME 1
#define EXIT_USAGE 2

int main(int argc, char **argv)
{
    struct options options;
    struct service_files files;
    struct fault fault;

    switch (options_parse(argc, argv, &options, &fault)) {
    case OPTIONS_DONE: return 0;
    case OPTIONS_WRONG: fprintf(stderr, "signpostd: %s\n", fault.detail); return EXIT_USAGE;
    case OPTIONS_RUN: break;
    }
    if (options.healthcheck) {
        int error = healthcheck_ask(&options, &fault);
        fprintf(error ? stderr : stdout, "signpostd: %s\n", error ? fault.detail : "ready");
        return error ? EXIT_RUNTIME : 0;
    }
    log_set(options.log_level, options.log_json);
    if (service_files_read(&options, &files, &fault)) {
        fprintf(stderr, "signpostd: %s\n", fault.detail);
        return EXIT_USAGE;
    }
    int status = 0;
    if (options.check_config) {
        puts("signpostd: the configuration is fine");
    } else if (service_run(&options, &files, &fault)) {
        fprintf(stderr, "signpostd: %s\n", fault.detail);
        status = EXIT_RUNTIME;
    }
    service_files_free(&files);
    return status;
}
