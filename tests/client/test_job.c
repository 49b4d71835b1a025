/* Work on a thread: done once, or left behind at any moment, and always dropped once. */
#include "nat/job.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct data {
    sem_t begun, may_end, dropped;
    atomic_int drops;
    int worked;
    unsigned done;
};

static void work(void *data)
{
    struct data *at = data;

    sem_post(&at->begun);
    sem_wait(&at->may_end);
    at->worked = 1;
}

static void on_done(void *data, void *user)
{
    struct data *at = data;

    assert_ptr_equal(user, at);
    assert_int_equal(at->worked, 1);
    at->done++;
}

static void drop(void *data)
{
    struct data *at = data;

    atomic_fetch_add(&at->drops, 1);
    sem_post(&at->dropped);
}

static const struct job_calls calls = {work, on_done, drop};

static void begin(struct data *data)
{
    *data = (struct data){.worked = 0};
    sem_init(&data->begun, 0, 0);
    sem_init(&data->may_end, 0, 0);
    sem_init(&data->dropped, 0, 0);
}

static void test_job_is_done_once_and_dropped(void **state)
{
    struct data data;
    struct job *job;
    uv_loop_t loop;

    (void)state;
    begin(&data);
    uv_loop_init(&loop);
    assert_int_equal(job_start(&loop, &calls, &data, &data, &job), 0);
    sem_post(&data.may_end);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(data.done, 1);
    assert_int_equal(data.drops, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_job_left_while_it_works_frees_the_loop_at_once(void **state)
{
    struct data data;
    struct job *job;
    uv_loop_t loop;

    (void)state;
    begin(&data);
    uv_loop_init(&loop);
    assert_int_equal(job_start(&loop, &calls, &data, &data, &job), 0);
    sem_wait(&data.begun);
    job_abandon(job);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(data.drops, 0);
    sem_post(&data.may_end);
    sem_wait(&data.dropped);
    assert_int_equal(data.done, 0);
}

static void test_many_jobs_left_at_any_moment_leave_nothing(void **state)
{
    static struct data datas[64];
    struct job *jobs[64];
    uv_loop_t loop;

    (void)state;
    uv_loop_init(&loop);
    for (size_t i = 0; i < 64; i++) {
        begin(&datas[i]);
        assert_int_equal(job_start(&loop, &calls, &datas[i], &datas[i], &jobs[i]), 0);
        sem_post(&datas[i].may_end);
        if (i % 2)
            job_abandon(jobs[i]);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < 64; i++) {
        sem_wait(&datas[i].dropped);
        assert_int_equal(datas[i].done, i % 2 ? 0 : 1);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_job_is_done_once_and_dropped),
        cmocka_unit_test(test_job_left_while_it_works_frees_the_loop_at_once),
        cmocka_unit_test(test_many_jobs_left_at_any_moment_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
