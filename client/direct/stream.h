/* What those who dial and those who listen do alike with a connection that they will give away:
 * nothing of it may wait in libuv when they do. */
#ifndef SIGNPOST_CLIENT_STREAM_H
#define SIGNPOST_CLIENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* At once and all of it, or false; nothing is ever queued. The first few bytes on a connection
 * always fit. Unlike libuv's own writing it raises no SIGPIPE, with which a stranger could end an
 * application that does not care about that signal. */
bool stream_send(const uv_tcp_t *tcp, const uint8_t *bytes, size_t size);

/* Another descriptor for the connection, closed on exec, that outlives the handle; -1: none is
 * left. It is non-blocking, as the handle's is. */
int stream_copy(const uv_tcp_t *tcp);

#endif
