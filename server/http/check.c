#include "http/check.h"

static void dialled(const struct fault *fault, const struct dialled *result, void *user)
{
    struct request *request = user;
    struct text body = {0};

    request_dial_done(request);
    if (fault) {
        request_fail(request, fault);
        return;
    }
    codec_write_dialled(&body, result, &request->check, &request->caller.address, request->port);
    request_reply_json(request, &body);
}

/* A credential that is good for nothing is refused here too; none is needed where anyone may ask.
 */
static void identified(const struct fault *fault, const struct identity *caller, void *user)
{
    struct request *request = user;

    (void)caller;
    if (fault)
        request_fail(request, fault);
    else
        request_dial(request, dialled);
}

void check_handle(struct request *request)
{
    struct fault fault;

    if (!request_parse(request))
        return;
    if (codec_read_check(request->json, &request->check, &fault)) {
        request_fail(request, &fault);
        return;
    }
    index_identify(request_index(request), &request->caller, identified, request);
}
