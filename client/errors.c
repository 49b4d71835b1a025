#include "signpost.h"

#define TEXT_OF(value) #value
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *signpost_version(void)
{
    return VERSION_TEXT(SIGNPOST_VERSION_MAJOR, SIGNPOST_VERSION_MINOR, SIGNPOST_VERSION_PATCH);
}

const char *signpost_strerror(int error)
{
    switch (error) {
    case SIGNPOST_OK: return "no error";
#define X(name, value, text)                                                                       \
    case SIGNPOST_ERROR_##name: return text;
        SIGNPOST_ERRORS(X)
#undef X
    default: return "an error that this version of libsignpost does not know";
    }
}

const char *signpost_error_name(int error)
{
    switch (error) {
    case SIGNPOST_OK: return "OK";
#define X(name, value, text)                                                                       \
    case SIGNPOST_ERROR_##name: return #name;
        SIGNPOST_ERRORS(X)
#undef X
    default: return "UNKNOWN";
    }
}
