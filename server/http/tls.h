/*
 * TLS for the listeners of http/loop: the certificate and its key, which may change while the index
 * runs. The only place that knows GnuTLS, and it goes through libmicrohttpd.
 */
#ifndef SIGNPOST_HTTP_TLS_H
#define SIGNPOST_HTTP_TLS_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* TLS 1.2 and 1.3; what has forward secrecy and authenticates what it encrypts, nothing else. The
 * group that most clients bring a key for comes first: another one costs them a round trip more. */
#define TLS_PRIORITIES                                                                             \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:"      \
    "+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM:-MAC-ALL:+AEAD:-GROUP-ALL:+GROUP-X25519:"        \
    "+GROUP-SECP256R1:+GROUP-SECP384R1:%SERVER_PRECEDENCE"

struct tls;
struct MHD_Connection;

struct tls_files {
    const char *certificate; /* PEM: the server's own first, then those that it is signed by */
    const char *key;         /* PEM, not encrypted */
};

/* What was read, for the log. */
struct tls_facts {
    int64_t expires_s; /* of the server's own certificate, since 1970 */
    bool expired;
    bool early;   /* it is not valid yet */
    bool exposed; /* everyone on this machine may read or write the key */
};

/* Reads both; the sentence of a fault names the option that is wrong. */
int tls_new(const struct tls_files *files, struct tls **ret_tls, struct tls_facts *ret_facts,
    struct fault *ret_fault);

/* Reads both anew for the handshakes to come; on a fault all stays as it was. `now_ms` is that of
 * the loop's clock: those that handshakes may still be using go later. */
int tls_reload(struct tls *tls, const struct tls_files *files, int64_t now_ms,
    struct tls_facts *ret_facts, struct fault *ret_fault);
void tls_free(struct tls *tls); /* NULL is fine; no connection may be left */

/* Of MHD_OPTION_HTTPS_CERT_CALLBACK. It finds its struct tls by http_connection_of(). */
void *tls_certificate_callback(void);

/* A new connection: http_connection_secured() is called once its handshake is over. */
void tls_begin(struct MHD_Connection *mhd);

/* In a handshake: it is not the client's turn, but that of the socket's full buffer. */
bool tls_waits_to_send(struct MHD_Connection *mhd);

/* Past libmicrohttpd, as much as goes at once. */
void tls_send(struct MHD_Connection *mhd, const char *bytes, size_t size);

#endif
