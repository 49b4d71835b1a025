#include "client_help.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_AGAIN_MS 10

/* --- a loop ---------------------------------------------------------------------------------- */

static void on_look_again(uv_timer_t *timer)
{
    (void)timer;
}

static void on_closed(uv_handle_t *handle)
{
    *(bool *)handle->data = true;
}

void help_close(uv_handle_t *handle)
{
    uv_loop_t *loop = handle->loop;
    bool *closed = calloc(1, sizeof *closed);

    assert_non_null(closed);
    handle->data = closed;
    uv_close(handle, on_closed);
    while (!*closed)
        uv_run(loop, UV_RUN_NOWAIT);
    free(closed);
}

void help_run_until(uv_loop_t *loop, bool (*reached)(void *user), void *user)
{
    uint64_t deadline_ns = uv_hrtime() + HELP_DEADLINE_MS * UINT64_C(1000000);
    uv_timer_t timer;
    bool late = false;

    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, on_look_again, LOOK_AGAIN_MS, LOOK_AGAIN_MS);
    while (!reached(user) && !late) {
        uv_run(loop, UV_RUN_ONCE);
        late = uv_hrtime() > deadline_ns;
    }
    help_close((uv_handle_t *)&timer);
    if (late)
        fail_msg("not reached within %d ms", HELP_DEADLINE_MS);
}

static bool is_empty(void *user)
{
    return !uv_loop_alive(user);
}

void help_close_loop(uv_loop_t *loop)
{
    uint64_t deadline_ns = uv_hrtime() + HELP_DEADLINE_MS * UINT64_C(1000000);

    while (!is_empty(loop) && uv_hrtime() < deadline_ns)
        uv_run(loop, UV_RUN_NOWAIT);
    assert_true(is_empty(loop));
    assert_int_equal(uv_loop_close(loop), 0);
}

/* --- the fault server ------------------------------------------------------------------------ */

/* It lies beside this file. */
static void server_path(char *ret_path, size_t size)
{
    const char *slash = strrchr(__FILE__, '/');

    snprintf(
        ret_path, size, "%.*sfault_server.py", slash ? (int)(slash - __FILE__ + 1) : 0, __FILE__);
}

static pid_t spawn(const char *path, int input, int output)
{
    /* Where the system has one of its own, whichever comes first in PATH. */
    char *python = access("/usr/bin/python3", X_OK) == 0 ? "/usr/bin/python3" : "python3";
    char *arguments[] = {python, (char *)path, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;

    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    int failed = posix_spawnp(&pid, python, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed)
        fail_msg("%s: %s", python, strerror(failed));
    return pid;
}

void help_start_faults(struct help_faults *ret_faults)
{
    char path[512];
    int input[2], output[2];
    char line[64];

    server_path(path, sizeof path);
    assert_int_equal(pipe2(input, O_CLOEXEC), 0);
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    ret_faults->pid = spawn(path, input[0], output[1]);
    ret_faults->input = input[1];
    close(input[0]);
    close(output[1]);

    FILE *said = fdopen(output[0], "r");
    char *end = line;
    assert_non_null(said);
    if (!fgets(line, sizeof line, said) ||
        !fgets(ret_faults->ca_file, sizeof ret_faults->ca_file, said))
        fail_msg("%s did not start", path);
    ret_faults->port = (unsigned)strtoul(line, &end, 10);
    ret_faults->tls_port = (unsigned)strtoul(end, NULL, 10);
    assert_true(ret_faults->port && ret_faults->tls_port);
    ret_faults->ca_file[strcspn(ret_faults->ca_file, "\n")] = '\0';
    fclose(said);
}

void help_stop_faults(struct help_faults *faults)
{
    int status = -1;

    close(faults->input);
    assert_int_equal(waitpid(faults->pid, &status, 0), faults->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
