#include "error.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *code;
    unsigned status;
    const char *title;
} errors[] = {
#define X(name, code, status, title) {code, status, title},
    ERROR_LIST(X)
#undef X
};

int fault_set(struct fault *ret_fault, int error, const char *format, ...)
{
    va_list arguments;

    ret_fault->error = error;
    ret_fault->retry_after_s = 0;
    ret_fault->action = NULL;
    va_start(arguments, format);
    vsnprintf(ret_fault->detail, sizeof ret_fault->detail, format, arguments);
    va_end(arguments);
    return error;
}

int fault_busy(struct fault *ret_fault, int error)
{
    fault_set(ret_fault, error, "%s: try again",
        error == ERROR_NO_MEMORY ? "the index is out of memory" : "the index cannot use its store");
    ret_fault->retry_after_s = 1;
    ret_fault->action = "retry";
    return error;
}

const char *error_code(int error)
{
    return errors[-1 - error].code;
}

const char *error_title(int error)
{
    return errors[-1 - error].title;
}

unsigned error_http_status(int error)
{
    return errors[-1 - error].status;
}
