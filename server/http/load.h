/*
 * How busy the loop is, and what is turned away when it is too busy: the least important requests
 * first. The measure is how long one pass over the ready sockets takes, its commit included: about
 * that long every request waits.
 */
#ifndef SIGNPOST_HTTP_LOAD_H
#define SIGNPOST_HTTP_LOAD_H

#include <stdint.h>

/* The later, the longer it is served. */
enum importance {
    IMPORTANCE_LIST,   /* a whole list */
    IMPORTANCE_CHANGE, /* what changed in it, one node, help with connecting */
    IMPORTANCE_MAIL,   /* messages of connections that are being made */
    IMPORTANCE_LIFE,   /* what keeps a node registered */
    IMPORTANCE_HEALTH  /* always served */
};

/* Zeroed it is not busy. */
struct load {
    double pass_ms; /* of the last passes, the newest counting most */
    int64_t began_ms, ended_ms;
};

void load_begin_pass(struct load *load, int64_t now_ms);
void load_end_pass(struct load *load, int64_t now_ms);

/* What is less important than this is turned away. */
enum importance load_least(const struct load *load);

#endif
