/* A real TURN server (coturn) takes the credentials that the index makes, and relays with them. */
#include "ice/turn.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define START_MS 20000
#define LIMIT_S "60" /* of one client; it takes about five where all is well */
#define OLD "the-old-secret"
#define NEW "the-new-secret"

static const char *const uris[] = {"turn:127.0.0.1"};

static struct {
    pid_t pid;
    uint16_t port;
    char folder[32];
    char port_text[8];
    char log[64], database[64], pid_file[64], secret_file[64];
} server;

/* --- processes ------------------------------------------------------------------------------- */

/* What it writes goes into a file. It does not outlive the test. */
static pid_t start_program(const char *const *arguments, const char *output)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execvp(arguments[0], (char *const *)arguments);
    _exit(127);
}

static void show_file(const char *path)
{
    char line[512];
    FILE *file = fopen(path, "r");

    while (file && fgets(line, sizeof line, file))
        print_message("| %s", line);
    if (file)
        fclose(file);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int open_socket(uint16_t port, struct sockaddr_in *ret_address)
{
    *ret_address = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = {htonl(INADDR_LOOPBACK)},
    };
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static uint16_t free_port(void)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int fd = open_socket(0, &address);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static bool listens(uint16_t port)
{
    struct sockaddr_in address;
    int fd = open_socket(port, &address);
    bool connected = !connect(fd, (struct sockaddr *)&address, sizeof address);

    close(fd);
    return connected;
}

/* --- the server ------------------------------------------------------------------------------ */

static int start_server(void **state)
{
    int64_t deadline_ms = now_ms() + START_MS;

    (void)state;
    strcpy(server.folder, "/tmp/signpost-turn-XXXXXX");
    if (!mkdtemp(server.folder))
        return -1;
    snprintf(server.log, sizeof server.log, "%s/log", server.folder);
    snprintf(server.database, sizeof server.database, "%s/turndb", server.folder);
    snprintf(server.pid_file, sizeof server.pid_file, "%s/pid", server.folder);
    snprintf(server.secret_file, sizeof server.secret_file, "%s/secret", server.folder);
    server.port = free_port();
    snprintf(server.port_text, sizeof server.port_text, "%u", server.port);
    /* Two secrets, as while one is changed for the other. */
    const char *const arguments[] = {"turnserver", "-n", "--listening-ip=127.0.0.1",
        "--relay-ip=127.0.0.1", "--listening-port", server.port_text, "--no-tls", "--no-dtls",
        "--no-cli", "--allow-loopback-peers", "--use-auth-secret",
        "--static-auth-secret=the-new-secret", "--static-auth-secret=the-old-secret",
        "--realm=signpost", "--relay-threads=1", "--userdb", server.database, "--pidfile",
        server.pid_file, "--log-file=stdout", "--simple-log", NULL};
    server.pid = start_program(arguments, server.log);
    while (!listens(server.port)) {
        if (now_ms() > deadline_ms || waitpid(server.pid, NULL, WNOHANG) != 0) {
            show_file(server.log);
            return -1;
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    kill(server.pid, SIGKILL);
    waitpid(server.pid, NULL, 0);
    unlink(server.log);
    unlink(server.database);
    unlink(server.pid_file);
    unlink(server.secret_file);
    return rmdir(server.folder);
}

/* --- the client ------------------------------------------------------------------------------ */

/* Two clients of coturn's own allocate a relay each and send each other messages through them.
 * Returns whether all of that went well. */
static bool relays(const struct turn_credential *credential)
{
    char output[80];
    int status = -1;
    const char *const arguments[] = {"timeout", LIMIT_S, "turnutils_uclient", "-t", "-y", "-c",
        "-n", "2", "-L", "127.0.0.1", "-p", server.port_text, "-u", credential->username, "-w",
        credential->password, "127.0.0.1", NULL};

    snprintf(output, sizeof output, "%s/client", server.folder);
    waitpid(start_program(arguments, output), &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 127 || WEXITSTATUS(status) == 124) {
        show_file(output);
        fail_msg("turnutils_uclient ended with status %x", (unsigned)status);
    }
    unlink(output);
    return WEXITSTATUS(status) == 0;
}

static int64_t wall_ms(void *user)
{
    return (int64_t)time(NULL) * 1000 + *(int64_t *)user;
}

/* A credential for `node` from a file that begins with that secret, by a clock that is so far off.
 */
static struct turn_credential issue(const char *secret, const char *node, int64_t off_ms)
{
    struct clock clock = {.wall_ms = wall_ms, .user = &off_ms};
    char read[TURN_SECRET_SIZE];
    struct turn_credential credential;
    struct fault fault;
    bool exposed;
    FILE *file = fopen(server.secret_file, "w");

    assert_non_null(file);
    fprintf(file, "# of the TURN servers\r\n\r\n%s\r\nanother\r\n", secret);
    fclose(file);
    if (turn_secret_read(server.secret_file, read, &exposed, &fault))
        fail_msg("%s", fault.detail);
    struct ice ice = {.clock = &clock, .turn_uris = uris, .turn_count = 1, .secret = read};
    assert_true(turn_issue(&ice, node, false, &credential));
    return credential;
}

static void test_coturn_relays_for_what_is_issued(void **state)
{
    char longest[LIMIT_ID_CHARS + 1] = "";
    struct turn_credential credential;

    (void)state;
    credential = issue(NEW, "master-a", 0);
    assert_true(relays(&credential));
    memset(longest, 'i', LIMIT_ID_CHARS);
    credential = issue(OLD, longest, 0);
    assert_true(relays(&credential));
}

static void test_coturn_relays_for_nothing_else(void **state)
{
    struct turn_credential credential, other;

    (void)state;
    credential = issue("no-secret-of-it", "master-a", 0);
    assert_false(relays(&credential));
    /* The hour is over. */
    credential = issue(NEW, "master-a", -(LIMIT_TURN_TTL_S + 60) * 1000LL);
    assert_false(relays(&credential));
    /* Another's password, and a later end of one's own. */
    credential = issue(NEW, "master-a", 0);
    other = issue(NEW, "master-b", 0);
    strcpy(other.password, credential.password);
    assert_false(relays(&other));
    other = issue(NEW, "master-a", 3600 * 1000);
    strcpy(other.password, credential.password);
    assert_false(relays(&other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coturn_relays_for_what_is_issued),
        cmocka_unit_test(test_coturn_relays_for_nothing_else),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
