#include "service_files.h"

#include "http/tls.h"
#include "keys.h"
#include "log.h"

#include <string.h>
#include <time.h>

static void warn_exposed(const char *file, const char *reason)
{
    log_event(LOG_WARN, "secret_exposed", "file", file, "reason", reason, NULL);
}

static int read_keys(
    const struct options *options, struct service_files *ret_files, struct fault *ret_fault)
{
    bool exposed = false;

    if (!options->keys)
        return 0;
    int error = keys_read(options->keys, &ret_files->keys, &exposed, ret_fault);
    if (!error && exposed)
        warn_exposed(options->keys,
            "everyone on this machine may read or change who is let in: chmod 600 it");
    return error;
}

static struct tls_files tls_files(const struct options *options)
{
    return (struct tls_files){options->tls_cert, options->tls_key};
}

static void report_certificate(const struct options *options, const struct tls_facts *facts)
{
    char expires[32] = "";
    time_t expires_s = (time_t)facts->expires_s;
    struct tm date;

    if (gmtime_r(&expires_s, &date))
        strftime(expires, sizeof expires, "%Y-%m-%d", &date);
    if (facts->expired)
        log_event(LOG_WARN, "certificate_expired", "file", options->tls_cert, "on", expires,
            "effect", "clients that check it refuse to connect", NULL);
    else if (facts->early)
        log_event(LOG_WARN, "certificate_early", "file", options->tls_cert, "effect",
            "it is not valid yet: clients that check it refuse to connect", NULL);
    else
        log_event(LOG_INFO, "certificate", "file", options->tls_cert, "expires", expires, NULL);
    if (facts->exposed)
        warn_exposed(options->tls_key,
            "everyone on this machine may read it, and then be taken for this index: chmod 600 it");
}

static int read_certificate(
    const struct options *options, struct service_files *ret_files, struct fault *ret_fault)
{
    struct tls_files files = tls_files(options);
    struct tls_facts facts = {0};

    if (!options->tls_cert)
        return 0;
    int error = tls_new(&files, &ret_files->tls, &facts, ret_fault);
    if (!error)
        report_certificate(options, &facts);
    return error;
}

static int read_turn_secret(
    const struct options *options, struct service_files *ret_files, struct fault *ret_fault)
{
    const char *file = options->turn_secret_file;
    bool exposed = false;

    if (!file)
        return 0;
    int error = turn_secret_read(file, ret_files->turn_secret, &exposed, ret_fault);
    if (!error && exposed)
        warn_exposed(file,
            "everyone on this machine may read it, and then make TURN credentials: chmod 600 it");
    return error;
}

static int (*const readers[])(const struct options *, struct service_files *, struct fault *) = {
    read_keys, read_certificate, read_turn_secret};

#define READERS (sizeof readers / sizeof *readers)

int service_files_read(
    const struct options *options, struct service_files *ret_files, struct fault *ret_fault)
{
    int error = 0;

    *ret_files = (struct service_files){0};
    for (size_t i = 0; i < READERS && !error; i++)
        error = readers[i](options, ret_files, ret_fault);
    if (error)
        service_files_free(ret_files);
    return error;
}

size_t service_files_check(
    const struct options *options, void (*complain)(const struct fault *fault))
{
    struct service_files files = {0};
    struct fault fault;
    size_t wrong = 0;

    for (size_t i = 0; i < READERS; i++) {
        if (readers[i](options, &files, &fault)) {
            complain(&fault);
            wrong++;
        }
    }
    service_files_free(&files);
    return wrong;
}

void service_files_free(struct service_files *files)
{
    keys_free(files->keys);
    tls_free(files->tls);
    *files = (struct service_files){0};
}

static void report_reload(const char *what, int error, const struct fault *fault)
{
    if (error)
        log_event(LOG_ERROR, "reload_failed", "what", what, "reason", fault->detail, "effect",
            "what was read before stays", NULL);
    else
        log_event(LOG_INFO, "reloaded", "what", what, NULL);
}

void service_files_reload(const struct options *options, struct service_files *files,
    int64_t now_ms, struct keys **ret_before)
{
    struct service_files fresh = {0};
    struct fault fault;

    if (options->keys) {
        int error = read_keys(options, &fresh, &fault);
        report_reload("keys", error, &fault);
        if (!error) {
            *ret_before = files->keys;
            files->keys = fresh.keys;
        }
    }
    if (files->tls) {
        struct tls_files names = tls_files(options);
        struct tls_facts facts = {0};
        int error = tls_reload(files->tls, &names, now_ms, &facts, &fault);
        report_reload("certificate", error, &fault);
        if (!error)
            report_certificate(options, &facts);
    }
    if (options->turn_secret_file) {
        int error = read_turn_secret(options, &fresh, &fault);
        report_reload("TURN secret", error, &fault);
        if (!error)
            strcpy(files->turn_secret, fresh.turn_secret);
    }
}
