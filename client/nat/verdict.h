/* The one thing that is wrong, out of the fourteen verdicts, and what to do. Pure: evidence
 * in, words out. */
#ifndef SIGNPOST_CLIENT_NAT_VERDICT_H
#define SIGNPOST_CLIENT_NAT_VERDICT_H

#include "evidence.h"
#include "signpost.h"

#include <stddef.h>

#define VERDICT_TEXT_SIZE 640
#define VERDICT_ALSO_MAX 16

struct finding {
    enum signpost_verdict verdict;
    enum nat_family family;
    enum nat_protocol protocol;
    char why[VERDICT_TEXT_SIZE];    /* a sentence, with the addresses and the port in it */
    char advice[VERDICT_TEXT_SIZE]; /* a sentence: what to do */
};

struct verdict {
    struct finding first;                  /* the verdict */
    struct finding also[VERDICT_ALSO_MAX]; /* what holds besides, the gravest first */
    size_t also_count;
};

/* 0; or where nothing could be tested, and so nothing can be said of the port, why: an enum
 * signpost_error and a sentence in `ret_detail`. */
int verdict_reach(
    const struct evidence *evidence, struct verdict *ret_verdict, char ret_detail[NAT_DETAIL_SIZE]);

#endif
