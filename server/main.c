/* signpostd: reads its options, runs the service, says in one line why it cannot. */
#include "healthcheck.h"
#include "log.h"
#include "options.h"
#include "service.h"
#include "store/sqlite.h"
#include "store/sqlite_backup.h"

#include <stdio.h>

#define EXIT_RUNTIME 1
#define EXIT_USAGE 2

static void complain(const struct fault *fault)
{
    fprintf(stderr, "signpostd: %s\n", fault->detail);
}

/* Everything that is wrong, a line each. */
static int check(const struct options *options)
{
    struct fault fault;
    size_t wrong = service_files_check(options, complain);

    if (store_sqlite_check(options->db, &fault)) {
        complain(&fault);
        wrong++;
    }
    if (wrong)
        return EXIT_USAGE;
    puts("signpostd: the configuration is fine");
    return 0;
}

static int backup(const struct options *options)
{
    struct sqlite_backup made;
    struct fault fault;

    if (sqlite_backup(options->db, options->backup_to, &made, &fault)) {
        complain(&fault);
        return EXIT_RUNTIME;
    }
    printf("signpostd: %s is a copy of %s: %lld nodes, schema %d, %lld bytes\n", options->backup_to,
        options->db, (long long)made.nodes, made.version, (long long)made.size);
    return 0;
}

int main(int argc, char **argv)
{
    struct options options;
    struct service_files files;
    struct fault fault;

    switch (options_parse(argc, argv, &options, &fault)) {
    case OPTIONS_DONE: return 0;
    case OPTIONS_WRONG: complain(&fault); return EXIT_USAGE;
    case OPTIONS_RUN: break;
    }
    if (options.healthcheck) {
        int error = healthcheck_ask(&options, &fault);
        fprintf(error ? stderr : stdout, "signpostd: %s\n", error ? fault.detail : "ready");
        return error ? EXIT_RUNTIME : 0;
    }
    log_set(options.log_level, options.log_json);
    log_address_set(options.log_addresses);
    options_warn_environment();
    if (options.backup_to)
        return backup(&options);
    if (options.check_config)
        return check(&options);
    if (service_files_read(&options, &files, &fault)) {
        complain(&fault);
        return EXIT_USAGE;
    }
    int status = 0;
    if (service_run(&options, &files, &fault)) {
        complain(&fault);
        status = EXIT_RUNTIME;
    }
    service_files_free(&files);
    return status;
}
