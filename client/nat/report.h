/* What was found out, told: a line for people as each probe ends, and the whole as JSON. */
#ifndef SIGNPOST_CLIENT_NAT_REPORT_H
#define SIGNPOST_CLIENT_NAT_REPORT_H

#include "evidence.h"
#include "verdict.h"

#define REPORT_SCHEMA 1 /* counts changes that a reader would trip over */
#define REPORT_LINE_SIZE 400

/* One line each, without a newline, about what the evidence has by now. */
void report_index_line(
    const struct evidence *evidence, enum nat_family family, char ret_line[REPORT_LINE_SIZE]);
void report_dial_line(const struct evidence *evidence, enum nat_family family,
    enum nat_protocol protocol, const struct dial *dial, char ret_line[REPORT_LINE_SIZE]);
void report_stun_line(
    const struct evidence *evidence, enum nat_family family, char ret_line[REPORT_LINE_SIZE]);
void report_hops_line(
    const struct evidence *evidence, enum nat_family family, char ret_line[REPORT_LINE_SIZE]);
void report_gateway_line(const struct evidence *evidence, char ret_line[REPORT_LINE_SIZE]);
void report_map_line(
    const struct evidence *evidence, enum nat_protocol protocol, char ret_line[REPORT_LINE_SIZE]);

/* The whole, one JSON object in one line, as docs/nat.md describes it; what was not tested is null.
 * `verdict` NULL where nothing could be tested: `error` and `detail` then say why. NULL where
 * memory is out; free() it. */
char *report_json(
    const struct evidence *evidence, const struct verdict *verdict, int error, const char *detail);

/* What is proved, for the node's record: a JSON object of at most 1 KiB. NULL, free() likewise. */
char *report_reach(const struct evidence *evidence, const struct verdict *verdict);

#endif
