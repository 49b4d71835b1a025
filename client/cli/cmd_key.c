#include "args.h"
#include "cli.h"
#include "identity.h"
#include "json.h"
#include "out.h"

#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void digest_text(const char *text, char ret_digits[2 * SHA256_DIGEST_SIZE + 1])
{
    struct sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];

    sha256_init(&context);
    sha256_update(&context, strlen(text), (const uint8_t *)text);
    sha256_digest(&context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(ret_digits + 2 * i, 3, "%02x", digest[i]);
}

static void print_key(const struct settings *settings, const char *key)
{
    const char *network = settings->arguments[1];
    const char *role = settings->operator_role ? "operator" : "member";
    char digits[2 * SHA256_DIGEST_SIZE + 1], line[256], day[sizeof "2026-01-05"] = "";
    time_t now = time(NULL);
    struct tm date;

    if (gmtime_r(&now, &date))
        strftime(day, sizeof day, "%Y-%m-%d", &date);
    digest_text(key, digits);
    snprintf(line, sizeof line, "%s %s %s  # made %s", network, role, digits, day);
    if (!settings->json) {
        printf("%s\n%s\n", key, line);
        if (out_is_terminal(stdout))
            out_note("the first line is the secret of the nodes (--key-file); the second one goes "
                     "into the keys file of the index");
        return;
    }
    printf(
        "{\"key\": \"%s\", \"network\": \"%s\", \"role\": \"%s\", \"sha256\": \"%s\", \"line\": ",
        key, network, role, digits);
    json_put_text(stdout, line);
    puts("}");
}

static int run_key(const struct settings *settings)
{
    uint8_t bytes[IDENTITY_KEY_BYTES];
    char key[IDENTITY_KEY_SIZE];
    const char *network;

    if (strcmp(settings->arguments[0], "new") != 0) {
        out_error("key: \"%s\" is not \"new\": signpost key new NETWORK", settings->arguments[0]);
        return CLI_USAGE;
    }
    if (!args_read_name(settings->arguments[1], &network)) {
        out_error(
            "key new: \"%s\" is no network: 1 to 64 of A-Z a-z 0-9 . _ -", settings->arguments[1]);
        return CLI_USAGE;
    }
    int code = identity_random(bytes, sizeof bytes);
    if (code)
        return code;
    identity_write_key(bytes, key);
    print_key(settings, key);
    return CLI_OK;
}

static const struct option options[] = {
    {"operator", ARGS_FLAG, ARGS_FIELD(operator_role),
        .help = "A key that may also remove other nodes; else one of a member."},
    {0},
};

const struct command cmd_key = {
    .name = "key",
    .usage = "new NETWORK [--operator]",
    .summary = "Make a join key for a network.",
    .help = "Prints the key, and the line for the keys file of the index: network, role and the\n"
            "SHA-256 of the key. The index never needs the key itself. Asks no index.",
    .options = options,
    .least_arguments = 2,
    .most_arguments = 2,
    .run = run_key,
};
