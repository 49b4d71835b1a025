/* The client behind a real nginx that cuts long requests. */
#include "client_help.h"
#include "index_help.h"
#include "signpost.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NGINX "/usr/sbin/nginx"

struct fixture {
    uv_loop_t loop;
    struct index_process index;
    char directory[64], url[64];
    unsigned port;
    pid_t nginx;
    const char *indexes[2];
    struct member a, b;
    char log[8192]; /* what the clients' log said */
    bool away;      /* an index was told as anything but READY after it was */
};

/* --- nginx ----------------------------------------------------------------------------------- */

/* One that is free now. nginx cannot choose one by itself. */
static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(probe, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(probe, (struct sockaddr *)&address, &size), 0);
    close(probe);
    return ntohs(address.sin_port);
}

static void write_nginx_config(const struct fixture *fixture, unsigned cut_s)
{
    static const char *const temporary[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};
    char path[128];

    snprintf(path, sizeof path, "%s/nginx.conf", fixture->directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    const char *directory = fixture->directory;
    fprintf(file, "daemon off;\nmaster_process off;\npid %s/pid;\nerror_log %s/error.log;\n",
        directory, directory);
    fprintf(file, "events { worker_connections 64; }\nhttp {\n"
                  "  log_format plain '$status $request_time $uri.';\n");
    fprintf(file, "  access_log %s/access.log plain;\n", directory);
    for (size_t i = 0; i < sizeof temporary / sizeof temporary[0]; i++)
        fprintf(file, "  %s_temp_path %s/%s;\n", temporary[i], directory, temporary[i]);
    fprintf(file,
        "  server {\n    listen 127.0.0.1:%u;\n    location / {\n      proxy_pass %s;\n"
        "      proxy_read_timeout %us;\n"
        "      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n    }\n  }\n}\n",
        fixture->port, fixture->index.url, cut_s);
    fclose(file);
}

static bool accepts(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = !connect(probe, (struct sockaddr *)&address, sizeof address);

    close(probe);
    return connected;
}

static bool nginx_is_there(void *user)
{
    const struct fixture *fixture = user;

    assert_int_equal(waitpid(fixture->nginx, NULL, WNOHANG), 0); /* it has not given up */
    return accepts(fixture->port);
}

static void start_nginx(struct fixture *fixture, unsigned cut_s)
{
    char config[128], log[128];
    char *arguments[] = {"nginx", "-p", fixture->directory, "-c", config, "-e", log, NULL};

    strcpy(fixture->directory, "/tmp/signpost-nginx-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    fixture->port = free_port();
    snprintf(fixture->url, sizeof fixture->url, "http://127.0.0.1:%u", fixture->port);
    snprintf(config, sizeof config, "%s/nginx.conf", fixture->directory);
    snprintf(log, sizeof log, "%s/error.log", fixture->directory);
    write_nginx_config(fixture, cut_s);
    assert_int_equal(posix_spawn(&fixture->nginx, NGINX, NULL, NULL, arguments, environ), 0);
    help_run_until(&fixture->loop, nginx_is_there, fixture);
}

static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    char inner[512];

    while (directory && (entry = readdir(directory))) {
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && unlink(inner))
            remove_directory(inner);
    }
    if (directory)
        closedir(directory);
    rmdir(path);
}

/* --- the fixture ----------------------------------------------------------------------------- */

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    uv_loop_init(&fixture->loop);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->nginx) {
        member_stop(&fixture->loop, &fixture->a);
        member_stop(&fixture->loop, &fixture->b);
        kill(fixture->nginx, SIGTERM);
        waitpid(fixture->nginx, NULL, 0);
        remove_directory(fixture->directory);
    }
    index_forget(&fixture->index);
    help_close_loop(&fixture->loop);
    free(fixture);
    return 0;
}

/* The log's first words are the index's URL; its user is the member, so the fixture is found by
 * a static. */
static struct fixture *logged;

static void on_log(signpost_log_level_t level, const char *text, void *user)
{
    size_t length = strlen(logged->log);

    (void)user;
    logged->away |= level <= SIGNPOST_LOG_WARN;
    snprintf(logged->log + length, sizeof logged->log - length, "%s\n", text);
}

static bool two_see_each_other(void *user)
{
    const struct fixture *fixture = user;
    return fixture->a.ready && fixture->b.ready && strstr(fixture->a.told, "+b ") &&
           strstr(fixture->b.told, "+a ");
}

static void start_two(struct fixture *fixture, unsigned cut_s)
{
    signpost_config_t config = {.log_level = SIGNPOST_LOG_INFO, .on_log = on_log};

    if (access(NGINX, X_OK)) {
        print_message("nginx is not installed (Debian: nginx-light), so no ingress is tested\n");
        skip();
    }
    setenv("SIGNPOST_TRUST_PROXY", "127.0.0.1/32", 1);
    index_begin(&fixture->index, true);
    unsetenv("SIGNPOST_TRUST_PROXY");
    start_nginx(fixture, cut_s);
    logged = fixture;
    fixture->indexes[0] = fixture->url;
    member_start(&fixture->loop, &fixture->a, "a", fixture->indexes, &config);
    member_start(&fixture->loop, &fixture->b, "b", fixture->indexes, &config);
    help_run_until(&fixture->loop, two_see_each_other, fixture);
}

/* --- what is seen ---------------------------------------------------------------------------- */

/* How often the access log has a poll with such a status that took at least so long. */
static int count_polls(const struct fixture *fixture, int wanted, double least_s, double most_s)
{
    char path[128], line[256];
    int count = 0, status;
    double time_s;

    snprintf(path, sizeof path, "%s/access.log", fixture->directory);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        char *rest;
        status = (int)strtol(line, &rest, 10);
        time_s = strtod(rest, NULL);
        count +=
            strstr(line, "/events.") && status == wanted && time_s >= least_s && time_s <= most_s;
    }
    fclose(file);
    return count;
}

static int count_text(const char *text, const char *part)
{
    int count = 0;
    while ((text = strstr(text, part))) {
        count++;
        text += strlen(part);
    }
    return count;
}

/* Each was cut twice, and then waited for less, twice. */
static bool polls_fit(void *user)
{
    const struct fixture *fixture = user;
    return count_polls(fixture, 504, 0, 60) >= 4 && count_polls(fixture, 200, 3, 4.9) >= 4;
}

static bool polls_at_an_interval(void *user)
{
    const struct fixture *fixture = user;
    return count_text(fixture->log, "asked at an interval") >= 2 &&
           count_polls(fixture, 200, 0, 0.9) >= 12;
}

static void expect_undisturbed(const struct fixture *fixture)
{
    assert_string_equal(fixture->a.told, "+b ");
    assert_string_equal(fixture->b.told, "+a ");
    assert_int_equal(fixture->a.ready, 1);
    assert_int_equal(fixture->b.ready, 1);
    assert_false(fixture->away);
}

static void exchange(struct fixture *fixture)
{
    member_send(&fixture->a, "b", "s", "note", "1", 30);
    member_send(&fixture->b, "a", "s", "note", "2", 30);
    run_until_got(&fixture->loop, &fixture->b, "a:1 ");
    run_until_got(&fixture->loop, &fixture->a, "b:2 ");
}

static void test_client_behind_an_ingress_that_cuts_after_5_s_waits_less(void **state)
{
    struct fixture *fixture = *state;
    start_two(fixture, 5);
    exchange(fixture);
    help_run_until(&fixture->loop, polls_fit, fixture);
    expect_undisturbed(fixture);
    /* Twice each: what was learnt is kept. */
    assert_int_equal(count_polls(fixture, 504, 0, 60), 4);
    assert_int_equal(count_text(fixture->log, "so they are shorter now"), 2);
    member_forget(&fixture->a);
    member_forget(&fixture->b);
    exchange(fixture);
    assert_string_equal(fixture->a.got, "b:2 ");
    member_stop(&fixture->loop, &fixture->b);
    run_until_told(&fixture->loop, &fixture->a, "-b ");
}

static void test_client_behind_an_ingress_that_cuts_after_2_s_asks_at_an_interval(void **state)
{
    struct fixture *fixture = *state;
    start_two(fixture, 2);
    exchange(fixture);
    help_run_until(&fixture->loop, polls_at_an_interval, fixture);
    expect_undisturbed(fixture);
    assert_int_equal(count_polls(fixture, 504, 0, 60), 4);
    member_forget(&fixture->a);
    member_forget(&fixture->b);
    exchange(fixture);
    member_stop(&fixture->loop, &fixture->b);
    run_until_told(&fixture->loop, &fixture->a, "-b ");
}

static void test_client_behind_an_ingress_that_cuts_after_1_s_asks_at_an_interval(void **state)
{
    struct fixture *fixture = *state;
    start_two(fixture, 1);
    exchange(fixture);
    help_run_until(&fixture->loop, polls_at_an_interval, fixture);
    expect_undisturbed(fixture);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_client_behind_an_ingress_that_cuts_after_5_s_waits_less),
        TEST(test_client_behind_an_ingress_that_cuts_after_2_s_asks_at_an_interval),
        TEST(test_client_behind_an_ingress_that_cuts_after_1_s_asks_at_an_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
