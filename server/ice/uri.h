/*
 * The URIs of STUN and TURN servers, as browsers take them in an RTCConfiguration: RFC 7064
 * `stun:host[:port]`, RFC 7065 `turn:host[:port][?transport=udp|tcp]`, and stuns, turns for TLS.
 */
#ifndef SIGNPOST_ICE_URI_H
#define SIGNPOST_ICE_URI_H

#include <stdbool.h>

/* The scheme in lower case; the host a name, an IPv4 address or an IPv6 address in brackets; the
 * port 1 to 65535. No `//`, no user, no path. */
bool ice_uri_is_stun(const char *text);
bool ice_uri_is_turn(const char *text);

#endif
