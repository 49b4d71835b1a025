/* What the tests of client/http share: a loop with an http on it, and the answers to its requests.
 */
#ifndef SIGNPOST_TESTS_HTTP_FIXTURE_H
#define SIGNPOST_TESTS_HTTP_FIXTURE_H

#include "client_help.h"

#include "http.h"
#include "signpost.h"

#define FIXTURE_TIMEOUT_MS HELP_DEADLINE_MS /* of requests that are not to time out */
#define FIXTURE_MAX_BYTES (4u << 20)
#define FIXTURE_URL_SIZE 256

struct fixture {
    uv_loop_t loop;
    struct http *http; /* NULL: the test has closed it */
    unsigned closed;   /* how often that was said */
};

/* A request, and what came of it. Zeroed before. */
struct answer {
    struct fixture *fixture;
    struct http_call *call;
    void (*then)(struct answer *answer); /* called at the end of its callback; or NULL */
    void *user;
    unsigned calls;          /* of its callback */
    struct http_reply reply; /* its body is a copy */
};

extern struct help_faults fixture_faults; /* for all tests of a program */

int fixture_start_faults(void **state);
int fixture_stop_faults(void **state);

int fixture_setup(void **state);    /* an http that trusts the system's certificates */
int fixture_teardown(void **state); /* fails where something of it is left */

/* An http that trusts only `ca_file`. */
void fixture_trust(struct fixture *fixture, const char *ca_file);

/* Closes the http and waits until that is done. */
void fixture_close(struct fixture *fixture);

/* http://127.0.0.1:PORT/PATH of the fault server; static, for the next four calls. */
const char *fixture_url(const char *path);
const char *fixture_tls_url(const char *path);

/* Starts it; what is 0 or NULL in `request` gets a default. The second takes it as it is, and may
 * fail. */
void fixture_start(
    struct fixture *fixture, struct answer *answer, const struct http_request *request);
int fixture_try(struct fixture *fixture, struct answer *answer, const struct http_request *request);
void fixture_start_get(struct fixture *fixture, struct answer *answer, const char *url);

/* Until its callback has come; to be freed with answer_free(). */
void fixture_wait(struct answer *answer);
void fixture_get(struct fixture *fixture, struct answer *answer, const char *url);
void answer_free(struct answer *answer);

/* GET of a URL fails like this. In the sentence, @ stands for host and port; a * at its end for
 * what comes from libraries. */
void fixture_expect_error(
    struct fixture *fixture, const struct http_request *request, int error, const char *sentence);

#endif
