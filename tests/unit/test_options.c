/* The options, from the command line and from the environment, and each line that refuses them. */
#include "options.h"
#include "server_limits.h"
#include "version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#define ARGUMENTS_MAX 80

static struct options options;
static struct fault fault;

static int set_up(void **state)
{
    (void)state;
    memset(&options, 0x5a, sizeof options);
    memset(&fault, 0, sizeof fault);
    return 0;
}

/* Takes the SIGNPOST_ variables out of the environment, those of the caller's shell as well. */
static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; environ[i];) {
        char name[128];
        size_t length = strcspn(environ[i], "=");
        if (strncmp(environ[i], "SIGNPOST_", 9) != 0 || length >= sizeof name) {
            i++;
            continue;
        }
        memcpy(name, environ[i], length);
        name[length] = '\0';
        unsetenv(name);
    }
    return 0;
}

static int set_up_group(void **state)
{
    return tear_down(state);
}

/* `...`: the arguments after the name of the program, ended by NULL. */
static enum options_verdict __attribute__((sentinel)) parse(const char *program, ...)
{
    char *argv[ARGUMENTS_MAX + 1] = {(char *)program};
    int argc = 1;
    va_list arguments;
    va_start(arguments, program);
    while ((argv[argc] = va_arg(arguments, char *))) {
        argc++;
        assert_true(argc < ARGUMENTS_MAX);
    }
    va_end(arguments);
    return options_parse(argc, argv, &options, &fault);
}

#define PARSE(...) parse("signpostd", ##__VA_ARGS__, (const char *)NULL)

#define assert_runs(...)                                                                           \
    do {                                                                                           \
        if (PARSE(__VA_ARGS__) != OPTIONS_RUN)                                                     \
            fail_msg("refused: %s", fault.detail);                                                 \
    } while (0)

/* Refused with exactly this line, and nothing of the result touched. */
#define assert_wrong(line, ...)                                                                    \
    do {                                                                                           \
        struct options before;                                                                     \
        memset(&options, 0x5a, sizeof options);                                                    \
        memset(&before, 0x5a, sizeof before);                                                      \
        memset(&fault, 0, sizeof fault);                                                           \
        assert_int_equal(PARSE(__VA_ARGS__), OPTIONS_WRONG);                                       \
        assert_string_equal(fault.detail, line);                                                   \
        assert_int_not_equal(fault.error, 0);                                                      \
        assert_memory_equal(&options, &before, sizeof options);                                    \
    } while (0)

static void assert_listens(size_t i, const char *address, unsigned port)
{
    char text[ADDRESS_TEXT_SIZE];
    assert_true(i < options.listen_count);
    assert_string_equal(address_format(&options.listen[i].address, text), address);
    assert_int_equal(options.listen[i].port, port);
}

static void assert_trusts(size_t i, const char *base, unsigned bits)
{
    char text[ADDRESS_TEXT_SIZE];
    assert_true(i < options.trust_proxy_count);
    assert_string_equal(address_format(&options.trust_proxy[i].base, text), base);
    assert_int_equal(options.trust_proxy[i].bits, bits);
}

/* ---- what is taken ---- */

static void test_options_nothing_given_has_defaults(void **state)
{
    (void)state;
    assert_runs();
    assert_int_equal(options.listen_count, 1);
    assert_listens(0, "127.0.0.1", 7117);
    assert_string_equal(options.db, "signpost.db");
    assert_false(options.open);
    assert_false(options.full_durability);
    assert_int_equal(options.trust_proxy_count, 0);
    assert_int_equal(options.cors_origin_count, 0);
    assert_int_equal(options.stun_count, 0);
    assert_int_equal(options.stun_uri_count, 0);
    assert_int_equal(options.turn_uri_count, 0);
    assert_null(options.turn_secret_file);
    assert_false(options.check_private);
    assert_int_equal(options.check_from_count, 0);
    assert_int_equal(options.check_ports_count, 1);
    assert_int_equal(options.check_ports[0].first, 1024);
    assert_int_equal(options.check_ports[0].last, 65535);
    assert_false(options.demo);
    assert_true(options.rate == LIMIT_DEFAULT_RATE);
    assert_int_equal(options.max_nodes, LIMIT_DEFAULT_NODES);
    assert_int_equal(options.max_nodes_per_address, LIMIT_DEFAULT_NODES_PER_ADDRESS);
    assert_int_equal(options.max_waiters, LIMIT_DEFAULT_WAITERS);
    assert_int_equal(options.max_waiters_per_address, LIMIT_DEFAULT_WAITERS_PER_ADDRESS);
    assert_int_equal(options.max_connections, LIMIT_DEFAULT_CONNECTIONS);
    assert_int_equal(options.max_connections_per_address, LIMIT_DEFAULT_CONNECTIONS_PER_ADDRESS);
    assert_int_equal(options.log_level, LOG_INFO);
    assert_false(options.log_json);
    assert_false(options.check_config);
}

static void assert_all_given(void)
{
    assert_int_equal(options.listen_count, 2);
    assert_listens(0, "0.0.0.0", 0);
    assert_listens(1, "2001:db8::1", 8080);
    assert_string_equal(options.db, "/var/lib/a b.db");
    assert_true(options.open);
    assert_true(options.full_durability);
    assert_int_equal(options.trust_proxy_count, 2);
    assert_trusts(0, "10.0.0.0", 8);
    assert_trusts(1, "fd00::1", 128);
    assert_int_equal(options.cors_origin_count, 2);
    assert_string_equal(options.cors_origin[0], "https://app.example");
    assert_string_equal(options.cors_origin[1], "http://[::1]:8080");
    assert_int_equal(options.stun_count, 2);
    assert_int_equal(options.stun[0].address.family, 4);
    assert_int_equal(options.stun[0].port, 3478);
    assert_int_equal(options.stun[1].address.family, 6);
    assert_int_equal(options.stun[1].port, 0);
    assert_int_equal(options.stun_uri_count, 2);
    assert_string_equal(options.stun_uri[0], "stun:a.example");
    assert_string_equal(options.stun_uri[1], "stuns:[2001:db8::1]:5349");
    assert_int_equal(options.turn_uri_count, 2);
    assert_string_equal(options.turn_uri[0], "turn:a.example?transport=udp");
    assert_string_equal(options.turn_uri[1], "turns:a.example:443?transport=tcp");
    assert_string_equal(options.turn_secret_file, "/etc/a b.secret");
    assert_true(options.check_private);
    assert_int_equal(options.check_from_count, 2);
    assert_int_equal(options.check_from[0].family, 4);
    assert_int_equal(options.check_from[1].family, 6);
    assert_int_equal(options.check_ports_count, 2);
    assert_int_equal(options.check_ports[0].first, 443);
    assert_int_equal(options.check_ports[0].last, 443);
    assert_int_equal(options.check_ports[1].first, 2000);
    assert_int_equal(options.check_ports[1].last, 65535);
    assert_true(options.demo);
    assert_true(options.rate == 2.5);
    assert_int_equal(options.max_nodes, 1);
    assert_int_equal(options.max_nodes_per_address, 2);
    assert_int_equal(options.max_waiters, 3);
    assert_int_equal(options.max_waiters_per_address, 4);
    assert_int_equal(options.max_connections, 5);
    assert_int_equal(options.max_connections_per_address, 1000000000);
    assert_int_equal(options.log_level, LOG_DEBUG);
    assert_true(options.log_json);
    assert_true(options.check_config);
}

static void test_options_each_as_two_arguments(void **state)
{
    (void)state;
    assert_runs("--listen", "0.0.0.0:0", "--listen", "[2001:db8::1]:8080", "--db",
        "/var/lib/a b.db", "--open", "--durability", "full", "--trust-proxy", "10.0.0.0/8",
        "--trust-proxy", "fd00::1", "--cors-origin", "https://app.example", "--cors-origin",
        "http://[::1]:8080", "--stun", "192.0.2.1:3478", "--stun", "[2001:db8::1]:0", "--stun-uri",
        "stun:a.example", "--stun-uri", "stuns:[2001:db8::1]:5349", "--turn-uri",
        "turn:a.example?transport=udp", "--turn-uri", "turns:a.example:443?transport=tcp",
        "--turn-secret-file", "/etc/a b.secret", "--check-private", "--check-from", "192.0.2.1",
        "--check-from", "2001:db8::1", "--check-ports", "443", "--check-ports", "2000-65535",
        "--demo", "--rate", "2.5", "--max-nodes", "1", "--max-nodes-per-address", "2",
        "--max-waiters", "3", "--max-waiters-per-address", "4", "--max-connections", "5",
        "--max-connections-per-address", "1000000000", "--log-format", "json", "--log-level",
        "debug", "--check-config");
    assert_all_given();
}

static void test_options_each_with_equals_sign(void **state)
{
    (void)state;
    assert_runs("--listen=0.0.0.0:0", "--listen=[2001:db8::1]:8080", "--db=/var/lib/a b.db",
        "--open=yes", "--durability=full", "--trust-proxy=10.0.0.0/8", "--trust-proxy=fd00::1",
        "--cors-origin=https://app.example", "--cors-origin=http://[::1]:8080",
        "--stun=192.0.2.1:3478", "--stun=[2001:db8::1]:0", "--stun-uri=stun:a.example",
        "--stun-uri=stuns:[2001:db8::1]:5349", "--turn-uri=turn:a.example?transport=udp",
        "--turn-uri=turns:a.example:443?transport=tcp", "--turn-secret-file=/etc/a b.secret",
        "--check-private=1", "--check-from=192.0.2.1", "--check-from=2001:db8::1",
        "--check-ports=443", "--check-ports=2000-65535", "--demo=1", "--rate=2.5", "--max-nodes=1",
        "--max-nodes-per-address=2", "--max-waiters=3", "--max-waiters-per-address=4",
        "--max-connections=5", "--max-connections-per-address=1000000000", "--log-format=json",
        "--log-level=debug", "--check-config=1");
    assert_all_given();
}

static void test_options_each_from_environment(void **state)
{
    (void)state;
    static const char *const variables[][2] = {
        {"SIGNPOST_LISTEN", "0.0.0.0:0,[2001:db8::1]:8080"},
        {"SIGNPOST_DB", "/var/lib/a b.db"},
        {"SIGNPOST_OPEN", "true"},
        {"SIGNPOST_DURABILITY", "full"},
        {"SIGNPOST_TRUST_PROXY", " 10.0.0.0/8 , fd00::1 "},
        {"SIGNPOST_CORS_ORIGIN", "https://app.example,http://[::1]:8080"},
        {"SIGNPOST_STUN", "192.0.2.1:3478, [2001:db8::1]:0"},
        {"SIGNPOST_STUN_URI", "stun:a.example, stuns:[2001:db8::1]:5349"},
        {"SIGNPOST_TURN_URI", "turn:a.example?transport=udp,turns:a.example:443?transport=tcp"},
        {"SIGNPOST_TURN_SECRET_FILE", "/etc/a b.secret"},
        {"SIGNPOST_CHECK_PRIVATE", "yes"},
        {"SIGNPOST_CHECK_FROM", "192.0.2.1,2001:db8::1"},
        {"SIGNPOST_CHECK_PORTS", "443, 2000-65535"},
        {"SIGNPOST_DEMO", "yes"},
        {"SIGNPOST_RATE", "2.5"},
        {"SIGNPOST_MAX_NODES", "1"},
        {"SIGNPOST_MAX_NODES_PER_ADDRESS", "2"},
        {"SIGNPOST_MAX_WAITERS", "3"},
        {"SIGNPOST_MAX_WAITERS_PER_ADDRESS", "4"},
        {"SIGNPOST_MAX_CONNECTIONS", "5"},
        {"SIGNPOST_MAX_CONNECTIONS_PER_ADDRESS", "1000000000"},
        {"SIGNPOST_LOG_FORMAT", "json"},
        {"SIGNPOST_LOG_LEVEL", "debug"},
        {"SIGNPOST_CHECK_CONFIG", "1"},
    };
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        setenv(variables[i][0], variables[i][1], 1);
    assert_runs();
    assert_all_given();
    /* The environment is as it was. */
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        assert_string_equal(getenv(variables[i][0]), variables[i][1]);
}

static void test_options_empty_variable_is_as_if_unset(void **state)
{
    (void)state;
    setenv("SIGNPOST_LISTEN", "", 1);
    setenv("SIGNPOST_DB", "", 1);
    setenv("SIGNPOST_OPEN", "", 1);
    setenv("SIGNPOST_RATE", "", 1);
    assert_runs();
    assert_int_equal(options.listen_count, 1);
    assert_listens(0, "127.0.0.1", 7117);
    assert_string_equal(options.db, "signpost.db");
    assert_false(options.open);
    assert_true(options.rate == LIMIT_DEFAULT_RATE);
}

static void test_options_command_line_goes_before_environment(void **state)
{
    (void)state;
    setenv("SIGNPOST_DB", "environment.db", 1);
    setenv("SIGNPOST_OPEN", "1", 1);
    setenv("SIGNPOST_RATE", "7", 1);
    setenv("SIGNPOST_MAX_NODES", "not looked at", 1);
    setenv("SIGNPOST_LISTEN", "127.0.0.2:1,127.0.0.3:2", 1);
    assert_runs("--db", "line.db", "--open=no", "--max-nodes=3", "--listen", "127.0.0.4:3");
    assert_string_equal(options.db, "line.db");
    assert_false(options.open);
    assert_int_equal(options.max_nodes, 3);
    assert_int_equal(options.listen_count, 1);
    assert_listens(0, "127.0.0.4", 3);
    /* What the line does not have still comes from there. */
    assert_true(options.rate == 7);
}

static void test_options_given_twice_last_one_counts(void **state)
{
    (void)state;
    assert_runs("--db", "a", "--db", "b", "--rate=1", "--rate=0");
    assert_string_equal(options.db, "b");
    assert_true(options.rate == 0);
}

static void test_options_comma_on_command_line_is_no_separator(void **state)
{
    (void)state;
    assert_wrong("--listen: \"127.0.0.1:1,127.0.0.1:2\" is not an address and a port, as "
                 "127.0.0.1:7117 or https://[::1]:7117",
        "--listen=127.0.0.1:1,127.0.0.1:2");
}

static void test_options_flag_words_are_all_taken(void **state)
{
    (void)state;
    static const char *const yes[] = {"1", "true", "yes"}, *const no[] = {"0", "false", "no"};
    for (size_t i = 0; i < 3; i++) {
        setenv("SIGNPOST_OPEN", yes[i], 1);
        assert_runs();
        assert_true(options.open);
        setenv("SIGNPOST_OPEN", no[i], 1);
        assert_runs();
        assert_false(options.open);
    }
}

static void test_options_zero_is_taken_as_no_limit(void **state)
{
    (void)state;
    assert_runs("--rate=0", "--max-nodes=0", "--max-nodes-per-address=0", "--max-waiters=0",
        "--max-waiters-per-address=0", "--max-connections=0", "--max-connections-per-address=0");
    assert_true(options.rate == 0);
    assert_int_equal(options.max_nodes, 0);
    assert_int_equal(options.max_nodes_per_address, 0);
    assert_int_equal(options.max_waiters, 0);
    assert_int_equal(options.max_waiters_per_address, 0);
    assert_int_equal(options.max_connections, 0);
    assert_int_equal(options.max_connections_per_address, 0);
}

static void test_options_words_of_choices_are_taken(void **state)
{
    (void)state;
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
        assert_runs("--log-level", levels[i]);
        assert_int_equal(options.log_level, i);
    }
    assert_runs("--log-format=text", "--durability=normal");
    assert_false(options.log_json);
    assert_false(options.full_durability);
}

static void test_options_list_holds_its_most_and_no_more(void **state)
{
    (void)state;
    char list[64 * OPTIONS_LIST_MAX] = "";
    for (unsigned i = 0; i < OPTIONS_LIST_MAX; i++) {
        char piece[64];
        snprintf(piece, sizeof piece, "%shttp://host%u", i ? "," : "", i);
        strcat(list, piece);
    }
    setenv("SIGNPOST_CORS_ORIGIN", list, 1);
    assert_runs();
    assert_int_equal(options.cors_origin_count, OPTIONS_LIST_MAX);
    assert_string_equal(options.cors_origin[0], "http://host0");
    assert_string_equal(options.cors_origin[OPTIONS_LIST_MAX - 1], "http://host31");
    strcat(list, ",http://host32");
    setenv("SIGNPOST_CORS_ORIGIN", list, 1);
    assert_wrong("SIGNPOST_CORS_ORIGIN: more than 32 values");
}

static void test_options_overlong_list_is_wrong(void **state)
{
    (void)state;
    static char list[20000];
    memset(list, ' ', sizeof list - 1);
    setenv("SIGNPOST_TRUST_PROXY", list, 1);
    assert_wrong("SIGNPOST_TRUST_PROXY: the list is too long, shorten it");
}

/* ---- origins ---- */

static void test_options_origins_as_browsers_send_them_are_taken(void **state)
{
    (void)state;
    static const char *const origins[] = {"http://localhost", "https://app.example:8443",
        "http://192.0.2.1:8080", "http://[2001:db8::1]", "https://xn--bcher-kva.example",
        "chrome-extension://abcdef", "https://a.example:80", "http://a.example:443",
        "http://a:65535", "http://a:1"};
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        assert_runs("--cors-origin", origins[i]);
        assert_int_equal(options.cors_origin_count, 1);
        assert_ptr_equal(options.cors_origin[0], origins[i]);
    }
}

static void test_options_other_origins_are_wrong(void **state)
{
    (void)state;
    static const char *const origins[] = {"", "*", "null", "app.example", "//app.example",
        "://app.example", "https://", "https:app.example", "https://app.example/",
        "https://app.example/path", "https://app.example?a", "https://app.example#a",
        "https://me@app.example", "https://App.example", "HTTPS://app.example",
        "https://app.example:", "https://app.example:0", "https://app.example:080",
        "https://app.example:65536", "https://app.example:123456", "https://app.example:a",
        "https://app.example:80a", "https://app.example:443", "http://app.example:80",
        "https://*.app.example", "https://app example", "http://[]", "http://[::1", "http://[::1]x",
        "http://::1", "1http://app.example", "https://b\xc3\xbc.example"};
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        if (PARSE("--cors-origin", origins[i]) != OPTIONS_WRONG)
            fail_msg("%s is taken", origins[i]);
        assert_ptr_equal(strstr(fault.detail, "--cors-origin: \""), fault.detail);
        assert_non_null(strstr(fault.detail, " is not scheme://host[:port] as browsers send it: "
                                             "lower case, no path, no default port"));
    }
}

/* ---- what is refused ---- */

static void test_options_unknown_option_suggests_the_nearest(void **state)
{
    (void)state;
    assert_wrong("unknown option \"--lisen\": did you mean --listen?", "--lisen", "x");
    assert_wrong("unknown option \"--Listen=x\": did you mean --listen?", "--Listen=x");
    assert_wrong("unknown option \"-listen\": did you mean --listen?", "-listen");
    assert_wrong("unknown option \"-db\": did you mean --db?", "-db");
    assert_wrong("unknown option \"--max-node\": did you mean --max-nodes?", "--max-node", "3");
    assert_wrong("unknown option \"--maxnodes\": did you mean --max-nodes?", "--maxnodes", "3");
    assert_wrong("unknown option \"--max-waiters-per-adress\": did you mean "
                 "--max-waiters-per-address?",
        "--max-waiters-per-adress");
    assert_wrong("unknown option \"--dur\": did you mean --durability?", "--dur");
    assert_wrong("unknown option \"--cors\": did you mean --cors-origin?", "--cors");
}

static void test_options_unknown_option_with_none_near_says_help(void **state)
{
    (void)state;
    assert_wrong("unknown option \"--frobnicate\": see --help", "--frobnicate");
    assert_wrong("unknown option \"-x\": see --help", "-x");
    assert_wrong("unknown option \"--q\": see --help", "--q");
    assert_wrong("unknown option \"--xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                 "...\": see --help",
        "--xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    assert_wrong("unknown option \"--\?\?[31m\?\": see --help", "--\x1b\xff[31m\n");
}

#define TAKES "signpostd takes options, or the command backup FILE; see --help"

static void test_options_stray_argument_is_wrong(void **state)
{
    (void)state;
    assert_wrong("stray argument \"here\": " TAKES, "here");
    assert_wrong("stray argument \"yes\": " TAKES, "--open", "yes");
    assert_wrong("stray argument \"\": " TAKES, "");
    assert_wrong("stray argument \"-\": " TAKES, "-");
    assert_wrong("stray argument \"--\": " TAKES, "--");
    assert_wrong("stray argument \"--=x\": " TAKES, "--=x");
    assert_wrong("stray argument \"listen\": " TAKES, "listen");
}

static void test_options_backup_takes_one_file(void **state)
{
    (void)state;
    assert_runs("backup", "copy.db");
    assert_string_equal(options.backup_to, "copy.db");
    assert_runs("--db", "some.db", "backup", "backup");
    assert_string_equal(options.backup_to, "backup");
    assert_string_equal(options.db, "some.db");
    assert_runs("--db", "backup");
    assert_null(options.backup_to);
    /* What the index would not start with is no matter. */
    assert_runs("backup", "copy.db", "--listen", "0.0.0.0:1");
    assert_wrong("backup needs the name of the file to make: signpostd backup FILE", "backup");
    assert_wrong("stray argument \"more\": " TAKES, "backup", "copy.db", "more");
    assert_wrong("stray argument \"\": " TAKES, "backup", "");
    assert_wrong("stray argument \"copy.db\": " TAKES, "copy.db", "backup");
}

static void test_options_missing_value_is_wrong(void **state)
{
    (void)state;
    assert_wrong("--db needs a value: a file name", "--db");
    assert_wrong("--db needs a value: a file name", "--db", "--open");
    assert_wrong(
        "--listen needs a value: an address and a port, as 127.0.0.1:7117 or https://[::1]:7117",
        "--listen");
    assert_wrong("--db: \"\" is not a file name", "--db=");
    assert_wrong("--db: \"\" is not a file name", "--db", "");
    /* Said with an equals sign it is meant. */
    assert_runs("--db=--open");
    assert_string_equal(options.db, "--open");
    assert_false(options.open);
}

static void test_options_bad_number_is_wrong(void **state)
{
    (void)state;
    static const char *const counts[] = {"", "-1", "+1", "1.5", "1e3", "0x10", " 1", "1 ", "many",
        "1000000001", "18446744073709551617", "99999999999999999999"};
    static const char *const rates[] = {"", "-1", "+1", ".5", "5.", "1.2.3", "1e3", "0x10", " 1",
        "1 ", "inf", "nan", "1000001", "99999999999999999999", "1,5"};
    char line[256];
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        snprintf(line, sizeof line,
            "--max-waiters: \"%s\" is not a whole number from 0 (no limit) to 1000000000",
            counts[i]);
        assert_wrong(line, "--max-waiters", counts[i]);
    }
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        snprintf(line, sizeof line, "--rate: \"%s\" is not a number from 0 (no limit) to 1000000",
            rates[i]);
        assert_wrong(line, "--rate", rates[i]);
    }
}

static void test_options_bad_word_or_range_is_wrong(void **state)
{
    (void)state;
    assert_wrong("--durability: \"Full\" is not normal or full", "--durability", "Full");
    assert_wrong("--log-format: \"xml\" is not text or json", "--log-format=xml");
    assert_wrong("--log-level: \"trace\" is not error, warn, info or debug", "--log-level=trace");
    assert_wrong("--open: \"maybe\" is not 1, true, yes, 0, false or no", "--open=maybe");
    assert_wrong("--check-config: \"\" is not 1, true, yes, 0, false or no", "--check-config=");
    assert_wrong(
        "--listen: \"7117\" is not an address and a port, as 127.0.0.1:7117 or https://[::1]:7117",
        "--listen", "7117");
    assert_wrong("--trust-proxy: \"10.0.0.1/8\" is not an address or a range with no bits below "
                 "its prefix, as 10.0.0.0/8",
        "--trust-proxy", "10.0.0.1/8");
    assert_wrong("--listen: \"\?'\?\" is not an address and a port, as 127.0.0.1:7117 or "
                 "https://[::1]:7117",
        "--listen", "\n\"\x80");
}

static void test_options_bad_variable_is_named_as_such(void **state)
{
    (void)state;
    setenv("SIGNPOST_MAX_NODES", "lots", 1);
    assert_wrong("SIGNPOST_MAX_NODES: \"lots\" is not a whole number from 0 (no limit) to "
                 "1000000000");
    unsetenv("SIGNPOST_MAX_NODES");
    setenv("SIGNPOST_OPEN", "on", 1);
    assert_wrong("SIGNPOST_OPEN: \"on\" is not 1, true, yes, 0, false or no");
    unsetenv("SIGNPOST_OPEN");
    setenv("SIGNPOST_LISTEN", "127.0.0.1:1,127.0.0.1", 1);
    assert_wrong("SIGNPOST_LISTEN: \"127.0.0.1\" is not an address and a port, as 127.0.0.1:7117 "
                 "or https://[::1]:7117");
    setenv("SIGNPOST_LISTEN", "127.0.0.1:1,", 1);
    assert_wrong("SIGNPOST_LISTEN: \"\" is not an address and a port, as 127.0.0.1:7117 or "
                 "https://[::1]:7117");
}

static void test_options_public_address_needs_open(void **state)
{
    (void)state;
#define REASON                                                                                     \
    " is not loopback: without join keys the index is open to anyone, so it listens on loopback "  \
    "only; give --keys, or --open to allow it"
    assert_wrong("0.0.0.0:7117" REASON, "--listen", "0.0.0.0:7117");
    assert_wrong("[::]:80" REASON, "--listen", "127.0.0.1:80", "--listen", "[::]:80");
    assert_wrong("192.168.1.2:80" REASON, "--listen=192.168.1.2:80", "--open=no");
    assert_runs("--listen=192.168.1.2:80", "--open");
    assert_true(options.open);
    assert_runs("--listen=192.168.1.2:80", "--keys", "signpost.keys");
    assert_string_equal(options.keys, "signpost.keys");
    assert_wrong("--keys lets in only who has a key, --open lets in everyone: give one of the two",
        "--keys=signpost.keys", "--open");
    assert_runs("--listen", "127.9.9.9:80", "--listen", "[::1]:80", "--listen", "localhost:80");
    assert_int_equal(options.listen_count, 3);
    setenv("SIGNPOST_LISTEN", "0.0.0.0:7117", 1);
    assert_wrong("0.0.0.0:7117" REASON);
    setenv("SIGNPOST_OPEN", "1", 1);
    assert_runs();
}

static void test_options_timeout_is_some_seconds(void **state)
{
    (void)state;
    assert_runs();
    assert_int_equal(options.headers_timeout_s, 10);
    assert_int_equal(options.body_timeout_s, 20);
    assert_runs("--headers-timeout=1", "--body-timeout", "600");
    assert_int_equal(options.headers_timeout_s, 1);
    assert_int_equal(options.body_timeout_s, 600);
#define SECONDS " is not a whole number of seconds from 1 to 600"
    assert_wrong("--body-timeout: \"0\"" SECONDS, "--body-timeout=0");
    assert_wrong("--body-timeout: \"601\"" SECONDS, "--body-timeout=601");
    assert_wrong("--body-timeout: \"1.5\"" SECONDS, "--body-timeout=1.5");
    assert_wrong("--body-timeout: \"-1\"" SECONDS, "--body-timeout=-1");
    assert_wrong("--body-timeout: \"10000000000000000000000\"" SECONDS,
        "--body-timeout=10000000000000000000000");
}

static void test_options_scheme_of_a_listener(void **state)
{
    (void)state;
    assert_runs("--listen", "127.0.0.1:1", "--listen", "http://127.0.0.1:2");
    assert_int_equal(options.listen[0].scheme, LISTEN_HTTP);
    assert_int_equal(options.listen[1].scheme, LISTEN_HTTP);
    assert_runs("--listen", "127.0.0.1:1", "--listen=http://127.0.0.1:2",
        "--listen=https://[::1]:3", "--tls-cert=c", "--tls-key=k");
    assert_int_equal(options.listen[0].scheme, LISTEN_HTTPS);
    assert_int_equal(options.listen[1].scheme, LISTEN_HTTP);
    assert_int_equal(options.listen[2].scheme, LISTEN_HTTPS);
    assert_int_equal(options.listen[2].port, 3);
    assert_string_equal(options.tls_cert, "c");
    assert_string_equal(options.tls_key, "k");
    assert_runs("--tls-cert=c", "--tls-key=k");
    assert_int_equal(options.listen[0].scheme, LISTEN_HTTPS);
    assert_wrong("--tls-cert needs --tls-key: HTTPS takes both", "--tls-cert=c");
    assert_wrong("--tls-key needs --tls-cert: HTTPS takes both", "--tls-key=k");
    assert_wrong(
        "--listen https://... needs --tls-cert and --tls-key", "--listen", "https://127.0.0.1:1");
    assert_wrong("--listen: \"ftp://127.0.0.1:1\" is not an address and a port, as 127.0.0.1:7117 "
                 "or https://[::1]:7117",
        "--listen=ftp://127.0.0.1:1");
}

static void test_options_bad_uri_is_wrong(void **state)
{
    (void)state;
    assert_wrong(
        "--stun-uri: \"stun://a.example\" is not stun:host[:port] or stuns:host[:port], as "
        "stun:stun.example.org:3478",
        "--stun-uri", "stun://a.example");
    assert_wrong("--stun-uri: \"turn:a.example\" is not stun:host[:port] or stuns:host[:port], as "
                 "stun:stun.example.org:3478",
        "--stun-uri=turn:a.example");
    assert_wrong("--turn-uri: \"turn:a.example?transport=sctp\" is not turn:host[:port] or "
                 "turns:host[:port], perhaps with ?transport=udp or ?transport=tcp",
        "--turn-uri", "turn:a.example?transport=sctp");
    setenv("SIGNPOST_STUN_URI", "stun:a.example,stun:", 1);
    assert_wrong("SIGNPOST_STUN_URI: \"stun:\" is not stun:host[:port] or stuns:host[:port], as "
                 "stun:stun.example.org:3478");
}

static void test_options_turn_servers_and_secret_need_each_other(void **state)
{
    (void)state;
    assert_wrong("--turn-uri needs --turn-secret-file: the file with the secret that the TURN "
                 "servers share with this index",
        "--turn-uri", "turn:a.example");
    assert_wrong("--turn-secret-file needs --turn-uri: the TURN servers that the secret is for",
        "--turn-secret-file", "secret", "--stun-uri", "stun:a.example");
    assert_wrong("--turn-secret-file: \"\" is not a file name", "--turn-secret-file=");
    setenv("SIGNPOST_TURN_SECRET_FILE", "secret", 1);
    assert_runs("--turn-uri", "turn:a.example");
    assert_string_equal(options.turn_secret_file, "secret");
}

static void test_options_wrong_stun_is_named(void **state)
{
    static const char *const wrong[] = {"", "3478", ":3478", "127.0.0.1",
        "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "[::1]", "::1:3478", "[::1]x3478",
        "stun.example:3478", "127.1:3478", "[127.0.0.1]:3478", "[fe80::1%lo]:3478",
        "127.0.0.1:3478,3479"};
    (void)state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char expected[160];
        snprintf(expected, sizeof expected,
            "--stun: \"%s\" is not an address of this machine and a port, as 203.0.113.1:3478",
            wrong[i]);
        assert_wrong(expected, "--stun", wrong[i]);
    }
}

static void test_options_wrong_check_is_named(void **state)
{
    static const char *const wrong[] = {"", "0", "65536", "1-65536", "2-1", "-5", "5-", "1-2-3",
        "x", "+5", "100000", " 5", "5 ", "0-5", "5- 6", "5-+6", "0x50", "000443"};
    static const char *const wrong_from[] = {"", "192.0.2.1:80", "[::1]", "192.0.2", "192.0.2.256",
        "host.example", "fe80::1%lo", "192.0.2.1/32"};
    (void)state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char expected[160];
        snprintf(expected, sizeof expected,
            "--check-ports: \"%s\" is not a port or a range of ports from 1 to 65535, as 443 or "
            "1024-65535",
            wrong[i]);
        assert_wrong(expected, "--check-ports", wrong[i]);
    }
    for (size_t i = 0; i < sizeof wrong_from / sizeof *wrong_from; i++) {
        char expected[160];
        snprintf(expected, sizeof expected,
            "--check-from: \"%s\" is not an address of this machine, without a port",
            wrong_from[i]);
        assert_wrong(expected, "--check-from", wrong_from[i]);
    }
    assert_wrong("--check-private: \"perhaps\" is not 1, true, yes, 0, false or no",
        "--check-private=perhaps");
}

/* ---- help and version ---- */

/* What the arguments print to stdout; the text lives until the next call. */
static const char *printed(const char *first, const char *second)
{
    static char text[16384];
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    int true_stdout = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    enum options_verdict verdict = PARSE(first, second);
    fflush(stdout);
    dup2(true_stdout, STDOUT_FILENO);
    close(true_stdout);
    assert_int_equal(verdict, OPTIONS_DONE);
    rewind(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

static void test_options_version_prints_it(void **state)
{
    (void)state;
    assert_string_equal(printed("--version", NULL), "signpostd " SIGNPOST_VERSION "\n");
    assert_wrong("--version takes no value", "--version=2");
}

static void test_options_help_names_each_option_once_and_aligned(void **state)
{
    (void)state;
    static const char *const names[] = {"--listen ADDR:PORT ", "--db FILE ", "--open ",
        "--durability normal|full ", "--trust-proxy CIDR ", "--cors-origin ORIGIN ",
        "--stun ADDR:PORT ", "--stun-uri URI ", "--turn-uri URI ", "--turn-secret-file FILE ",
        "--check-private ", "--check-from ADDR ", "--check-ports RANGE ", "--demo ", "--rate N ",
        "--max-nodes N ", "--max-nodes-per-address N ", "--max-waiters N ",
        "--max-waiters-per-address N ", "--max-connections N ", "--max-connections-per-address N ",
        "--log-format text|json ", "--log-level LEVEL ", "--check-config ", "--version ",
        "--help "};
    const char *text = printed("--help", NULL);
    assert_ptr_equal(strstr(text, "usage: signpostd "), text);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char start[64];
        snprintf(start, sizeof start, "\n  %s", names[i]);
        const char *at = strstr(text, start);
        if (!at) {
            fail_msg("no %s", names[i]);
            return;
        }
        assert_null(strstr(at + 1, start));
        /* The sentence begins in one column for all. */
        size_t column = strlen(start) - 1;
        column += strspn(at + strlen(start), " ");
        assert_int_equal(column, 36);
    }
    /* No line is too wide for a terminal, but for the sentence on top. */
    const char *table = strstr(text, "\n  --listen");
    for (const char *at = table + 1; *at; at += strcspn(at, "\n") + 1)
        assert_in_range(strcspn(at, "\n"), 0, 80);
    assert_non_null(strstr(text, "SIGNPOST_MAX_NODES"));
    assert_non_null(strstr(text, "commas"));
}

static void test_options_help_is_there_also_when_others_are_wrong(void **state)
{
    (void)state;
    char help[16384];
    snprintf(help, sizeof help, "%s", printed("--help", NULL));
    assert_string_equal(printed("-h", NULL), help);
    setenv("SIGNPOST_RATE", "wrong", 1);
    assert_string_equal(printed("--help", "--nonsense"), help);
    assert_string_equal(printed("--open", "-h"), help);
    assert_wrong("--help takes no value", "--help=me");
}

static void test_options_version_variable_is_not_an_option(void **state)
{
    (void)state;
    setenv("SIGNPOST_VERSION", "9.9", 1);
    setenv("SIGNPOST_HELP", "1", 1);
    assert_runs();
}

#define OPTIONS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPTIONS_TEST(test_options_nothing_given_has_defaults),
        OPTIONS_TEST(test_options_each_as_two_arguments),
        OPTIONS_TEST(test_options_each_with_equals_sign),
        OPTIONS_TEST(test_options_each_from_environment),
        OPTIONS_TEST(test_options_empty_variable_is_as_if_unset),
        OPTIONS_TEST(test_options_command_line_goes_before_environment),
        OPTIONS_TEST(test_options_given_twice_last_one_counts),
        OPTIONS_TEST(test_options_comma_on_command_line_is_no_separator),
        OPTIONS_TEST(test_options_flag_words_are_all_taken),
        OPTIONS_TEST(test_options_zero_is_taken_as_no_limit),
        OPTIONS_TEST(test_options_words_of_choices_are_taken),
        OPTIONS_TEST(test_options_list_holds_its_most_and_no_more),
        OPTIONS_TEST(test_options_overlong_list_is_wrong),
        OPTIONS_TEST(test_options_origins_as_browsers_send_them_are_taken),
        OPTIONS_TEST(test_options_other_origins_are_wrong),
        OPTIONS_TEST(test_options_unknown_option_suggests_the_nearest),
        OPTIONS_TEST(test_options_unknown_option_with_none_near_says_help),
        OPTIONS_TEST(test_options_stray_argument_is_wrong),
        OPTIONS_TEST(test_options_backup_takes_one_file),
        OPTIONS_TEST(test_options_missing_value_is_wrong),
        OPTIONS_TEST(test_options_bad_number_is_wrong),
        OPTIONS_TEST(test_options_bad_word_or_range_is_wrong),
        OPTIONS_TEST(test_options_bad_variable_is_named_as_such),
        OPTIONS_TEST(test_options_public_address_needs_open),
        OPTIONS_TEST(test_options_timeout_is_some_seconds),
        OPTIONS_TEST(test_options_scheme_of_a_listener),
        OPTIONS_TEST(test_options_bad_uri_is_wrong),
        OPTIONS_TEST(test_options_turn_servers_and_secret_need_each_other),
        OPTIONS_TEST(test_options_wrong_stun_is_named),
        OPTIONS_TEST(test_options_wrong_check_is_named),
        OPTIONS_TEST(test_options_version_prints_it),
        OPTIONS_TEST(test_options_help_names_each_option_once_and_aligned),
        OPTIONS_TEST(test_options_help_is_there_also_when_others_are_wrong),
        OPTIONS_TEST(test_options_version_variable_is_not_an_option),
    };
    return cmocka_run_group_tests(tests, set_up_group, NULL);
}
