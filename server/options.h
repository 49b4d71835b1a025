/*
 * The options of signpostd, from the command line and the environment: one table drives parsing,
 * the environment's names, and --help.
 */
#ifndef SIGNPOST_OPTIONS_H
#define SIGNPOST_OPTIONS_H

#include "error.h"
#include "log.h"
#include "net/address.h"
#include "net/log_address.h"
#include "net/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_LIST_MAX 32 /* values of one repeatable option */

struct listen_address {
    struct address address;
    uint16_t port; /* 0: any free one */
};

enum listen_scheme { LISTEN_AS_CAN_BE, LISTEN_HTTP, LISTEN_HTTPS };

struct listen_http {
    struct address address;
    uint16_t port;             /* 0: any free one */
    enum listen_scheme scheme; /* after parsing one of the other two */
};

struct options {
    struct listen_http listen[OPTIONS_LIST_MAX];
    size_t listen_count;  /* never 0 after parsing */
    const char *tls_cert; /* NULL: no HTTPS, and no tls_key; else both */
    const char *tls_key;
    const char *db;
    const char *keys; /* NULL: none, and the index is open */
    bool open;
    bool full_durability;
    struct address_range trust_proxy[OPTIONS_LIST_MAX];
    size_t trust_proxy_count;
    const char *cors_origin[OPTIONS_LIST_MAX];
    size_t cors_origin_count; /* 0: any */
    struct listen_address ops_listen[OPTIONS_LIST_MAX];
    size_t ops_listen_count;
    struct listen_address stun[OPTIONS_LIST_MAX];
    size_t stun_count;
    const char *stun_uri[OPTIONS_LIST_MAX];
    size_t stun_uri_count;
    const char *turn_uri[OPTIONS_LIST_MAX];
    size_t turn_uri_count;
    const char *turn_secret_file; /* NULL: none, and no turn_uri; else at least one */
    bool check_private;
    struct address check_from[OPTIONS_LIST_MAX];
    size_t check_from_count;
    struct port_range check_ports[OPTIONS_LIST_MAX];
    size_t check_ports_count; /* never 0 after parsing */
    bool demo;
    double rate, rate_per_credential;
    size_t max_nodes, max_nodes_per_network, max_nodes_per_address;
    size_t max_waiters, max_waiters_per_address;
    size_t max_connections, max_connections_per_address;
    int headers_timeout_s, body_timeout_s;
    enum log_level log_level;
    bool log_json;
    enum log_addresses log_addresses;
    bool check_config;     /* --check-config: parse, say so, exit 0 */
    bool healthcheck;      /* --healthcheck: ask the index that runs with these options, exit */
    const char *backup_to; /* backup FILE: copy the database there and exit; NULL: run */
};

enum options_verdict {
    OPTIONS_RUN,
    OPTIONS_DONE, /* --help or --version was printed to stdout: exit 0 */
    OPTIONS_WRONG /* one line was written to `ret_fault`: exit 2 */
};

/* Strings of the result point into argv and the environment, those of a list in the environment
 * into memory that the next call uses again. A value on the command line replaces that of the
 * environment; a repeatable option given there replaces the whole list. */
enum options_verdict options_parse(
    int argc, char **argv, struct options *ret_options, struct fault *ret_fault);

/* Warns in the log of each environment variable that begins with SIGNPOST_ and is neither an
 * option's nor one of the client's. Its value is not written. */
void options_warn_environment(void);

#endif
