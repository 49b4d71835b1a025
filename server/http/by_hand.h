/* Replies written past libmicrohttpd, for what it has no room to answer, or does not see. Each is a
 * problem, short enough for the socket's buffer, and says `id` as that of the request. */
#ifndef SIGNPOST_HTTP_BY_HAND_H
#define SIGNPOST_HTTP_BY_HAND_H

#include "error.h"

#include <stdbool.h>

struct MHD_Connection;

/* In TLS where the connection is; then the connection's sending side is closed. */
void by_hand_answer(struct MHD_Connection *mhd, const struct fault *fault, const char *id);

/* To a socket that libmicrohttpd has not got, in plain HTTP. */
void by_hand_send(int fd, const struct fault *fault, const char *id);

/* On a port of HTTPS, before anything was read: tells who speaks plain HTTP, and closes. False: it
 * is not plain HTTP. */
bool by_hand_greet(int fd, const char *id);

#endif
