#include "job.h"

#include "signpost.h"

#include <pthread.h>
#include <stdlib.h>

struct job {
    struct job_calls calls;
    void *data;
    void *user;
    uv_async_t wake;
    pthread_mutex_t lock;
    bool finished;  /* the thread has done its work, and does not touch the job any more */
    bool abandoned; /* the loop's side does not */
};

static void job_free(struct job *job)
{
    job->calls.drop(job->data);
    pthread_mutex_destroy(&job->lock);
    free(job);
}

/* Of the two sides the one that comes last frees. `mine` is the caller's mark. */
static void job_leave(struct job *job, bool *mine, const bool *other)
{
    pthread_mutex_lock(&job->lock);
    bool last = *other;
    *mine = true;
    /* The handle is the loop's, which closes it only once it has set its own mark. */
    if (!last && mine == &job->finished)
        uv_async_send(&job->wake);
    pthread_mutex_unlock(&job->lock);
    if (last)
        job_free(job);
}

static void *on_thread(void *argument)
{
    struct job *job = argument;

    job->calls.work(job->data);
    job_leave(job, &job->finished, &job->abandoned);
    return NULL;
}

static void on_closed(uv_handle_t *handle)
{
    struct job *job = handle->data;
    job_leave(job, &job->abandoned, &job->finished);
}

static void on_wake(uv_async_t *wake)
{
    struct job *job = wake->data;

    if (uv_is_closing((uv_handle_t *)wake))
        return;
    uv_close((uv_handle_t *)wake, on_closed);
    if (job->calls.done)
        job->calls.done(job->data, job->user);
}

/* A thread with a small stack that nobody waits for. */
static int start_thread(struct job *job)
{
    pthread_attr_t attributes;
    pthread_t thread;

    if (pthread_attr_init(&attributes))
        return -1;
    int error = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (!error)
        error = pthread_create(&thread, &attributes, on_thread, job);
    pthread_attr_destroy(&attributes);
    return error;
}

int job_start(
    uv_loop_t *loop, const struct job_calls *calls, void *data, void *user, struct job **ret_job)
{
    struct job *job = calloc(1, sizeof *job);

    if (!job) {
        calls->drop(data);
        return SIGNPOST_ERROR_NO_MEMORY;
    }
    job->calls = *calls;
    job->data = data;
    job->user = user;
    pthread_mutex_init(&job->lock, NULL);
    if (uv_async_init(loop, &job->wake, on_wake)) {
        job_free(job);
        return SIGNPOST_ERROR_NO_MEMORY;
    }
    job->wake.data = job;
    if (start_thread(job)) {
        job->finished = true;
        uv_close((uv_handle_t *)&job->wake, on_closed);
        return SIGNPOST_ERROR_NO_MEMORY;
    }
    *ret_job = job;
    return 0;
}

void job_abandon(struct job *job)
{
    if (job && !uv_is_closing((uv_handle_t *)&job->wake))
        uv_close((uv_handle_t *)&job->wake, on_closed);
}
