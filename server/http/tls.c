#include "http/tls.h"

#include "http/loop.h"
#include "quote.h"
#include "secret_file.h"
#include "server_limits.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEY_ID_SIZE 64 /* room for what GnuTLS calls the id of a public key: a hash of it */

/* So long after a reload no handshake that began before it can be under way. */
#define RETIRED_MS ((LIMIT_TIMEOUT_MAX_S + 60) * 1000LL)

/* A certificate with those that it is signed by, and its key. */
struct identity {
    struct identity *next; /* among the retired */
    int64_t retired_ms;
    gnutls_pcert_st chain[LIMIT_TLS_CHAIN];
    unsigned chain_length;
    gnutls_privkey_t key;
};

struct tls {
    struct identity *current;
    struct identity *retired; /* the newest first */
};

/* --- reading --------------------------------------------------------------------------------- */

static void identity_free(struct identity *identity)
{
    if (!identity)
        return;
    for (unsigned i = 0; i < identity->chain_length; i++)
        gnutls_pcert_deinit(&identity->chain[i]);
    gnutls_privkey_deinit(identity->key);
    free(identity);
}

static int fault_library(struct fault *ret_fault, const char *what, int code)
{
    return fault_set(ret_fault, ERROR_BAD_REQUEST, "%s (%s)", what, gnutls_strerror(code));
}

static int parse_chain(const gnutls_datum_t *text, struct identity *identity,
    struct tls_facts *ret_facts, uint8_t ret_key_id[KEY_ID_SIZE], size_t *id_size,
    struct fault *ret_fault)
{
    gnutls_x509_crt_t certificates[LIMIT_TLS_CHAIN];
    unsigned count = LIMIT_TLS_CHAIN;
    int code = gnutls_x509_crt_list_import(certificates, &count, text, GNUTLS_X509_FMT_PEM,
        GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED | GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);

    if (code == GNUTLS_E_SHORT_MEMORY_BUFFER)
        return fault_set(
            ret_fault, ERROR_BAD_REQUEST, "it has more than %d certificates", LIMIT_TLS_CHAIN);
    if (code == GNUTLS_E_CERTIFICATE_LIST_UNSORTED)
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "its certificates are not in order: first that of this server, then the one that "
            "signed "
            "it, and so on");
    if (code < 0)
        return fault_library(ret_fault, "it is no certificate in PEM", code);
    count = (unsigned)code;
    ret_facts->expires_s = gnutls_x509_crt_get_expiration_time(certificates[0]);
    ret_facts->expired = ret_facts->expires_s < time(NULL);
    ret_facts->early = gnutls_x509_crt_get_activation_time(certificates[0]) > time(NULL);
    code = gnutls_x509_crt_get_key_id(certificates[0], 0, ret_key_id, id_size);
    if (!code) {
        identity->chain_length = count;
        code = gnutls_pcert_import_x509_list(
            identity->chain, certificates, &identity->chain_length, 0);
        if (code)
            identity->chain_length = 0;
    }
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(certificates[i]);
    return code ? fault_library(ret_fault, "it cannot be used", code) : 0;
}

static int parse_key(const gnutls_datum_t *text, struct identity *identity,
    const uint8_t *certificate_id, size_t id_size, struct fault *ret_fault)
{
    gnutls_pubkey_t public = NULL;
    uint8_t id[KEY_ID_SIZE];
    size_t size = sizeof id;
    int code = gnutls_privkey_import_x509_raw(identity->key, text, GNUTLS_X509_FMT_PEM, NULL, 0);

    if (code == GNUTLS_E_DECRYPTION_FAILED)
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "the key is encrypted, and nobody is there to be asked for its passphrase");
    if (code)
        return fault_library(ret_fault, "it is no private key in PEM", code);
    code = gnutls_pubkey_init(&public);
    if (!code)
        code = gnutls_pubkey_import_privkey(public, identity->key, 0, 0);
    if (!code)
        code = gnutls_pubkey_get_key_id(public, 0, id, &size);
    gnutls_pubkey_deinit(public);
    if (code)
        return fault_library(ret_fault, "it cannot be used", code);
    /* A public fact: no need to take the same time for each. */
    if (size != id_size || memcmp(id, certificate_id, size) != 0)
        return fault_set(
            ret_fault, ERROR_BAD_REQUEST, "it is not the key of the certificate in --tls-cert");
    return 0;
}

static int fault_of_option(
    struct fault *ret_fault, const char *option, const char *path, const struct fault *why)
{
    char quoted[QUOTE_SIZE];
    return fault_set(
        ret_fault, why->error, "%s %s: %s", option, quote_text(path, quoted), why->detail);
}

static int identity_read(const struct tls_files *files, struct identity **ret_identity,
    struct tls_facts *ret_facts, struct fault *ret_fault)
{
    struct identity *identity = calloc(1, sizeof *identity);
    uint8_t key_id[KEY_ID_SIZE];
    size_t id_size = sizeof key_id, size = 0;
    const char *option = "--tls-cert", *path = files->certificate;
    char *text = NULL;
    bool public = false; /* a certificate is */
    struct fault why;

    if (!identity || gnutls_privkey_init(&identity->key)) {
        free(identity);
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory for the certificate");
    }
    int error = secret_file_read(path, LIMIT_TLS_FILE_BYTES, &text, &size, &public, &why);
    if (!error)
        error = parse_chain(&(gnutls_datum_t){(unsigned char *)text, (unsigned)size}, identity,
            ret_facts, key_id, &id_size, &why);
    secret_file_free(text, size);
    text = NULL;
    if (!error) {
        option = "--tls-key";
        path = files->key;
        error =
            secret_file_read(path, LIMIT_TLS_FILE_BYTES, &text, &size, &ret_facts->exposed, &why);
        if (!error)
            error = parse_key(&(gnutls_datum_t){(unsigned char *)text, (unsigned)size}, identity,
                key_id, id_size, &why);
        secret_file_free(text, size);
    }
    if (error) {
        identity_free(identity);
        return fault_of_option(ret_fault, option, path, &why);
    }
    *ret_identity = identity;
    return 0;
}

/* --- life ------------------------------------------------------------------------------------ */

int tls_new(const struct tls_files *files, struct tls **ret_tls, struct tls_facts *ret_facts,
    struct fault *ret_fault)
{
    struct tls *tls = calloc(1, sizeof *tls);

    if (!tls)
        return fault_set(ret_fault, ERROR_NO_MEMORY, "no memory for TLS");
    int error = identity_read(files, &tls->current, ret_facts, ret_fault);
    if (error) {
        free(tls);
        return error;
    }
    *ret_tls = tls;
    return 0;
}

static void free_retired(struct tls *tls, int64_t before_ms)
{
    struct identity **at = &tls->retired;

    while (*at && (*at)->retired_ms > before_ms)
        at = &(*at)->next;
    while (*at) {
        struct identity *old = *at;
        *at = old->next;
        identity_free(old);
    }
}

int tls_reload(struct tls *tls, const struct tls_files *files, int64_t now_ms,
    struct tls_facts *ret_facts, struct fault *ret_fault)
{
    struct identity *fresh = NULL;
    int error = identity_read(files, &fresh, ret_facts, ret_fault);

    if (error)
        return error;
    free_retired(tls, now_ms - RETIRED_MS);
    tls->current->retired_ms = now_ms;
    tls->current->next = tls->retired;
    tls->retired = tls->current;
    tls->current = fresh;
    return 0;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    free_retired(tls, INT64_MAX);
    identity_free(tls->current);
    free(tls);
}

/* --- for libmicrohttpd ----------------------------------------------------------------------- */

static int give_certificate(gnutls_session_t session, const gnutls_datum_t *authorities,
    int authority_count, const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
    gnutls_pcert_st **ret_chain, unsigned *ret_length, gnutls_privkey_t *ret_key)
{
    struct http_connection *connection = http_connection_of(gnutls_session_get_ptr(session));
    struct identity *identity;

    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    if (!connection)
        return -1;
    identity = http_loop_tls(connection->loop)->current;
    *ret_chain = identity->chain;
    *ret_length = identity->chain_length;
    *ret_key = identity->key;
    return 0;
}

void *tls_certificate_callback(void)
{
    return (void *)give_certificate;
}

static gnutls_session_t session_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info ? info->tls_session : NULL;
}

/* The client's is the last word for which the handshake waits. */
static int on_finished(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
    const gnutls_datum_t *message)
{
    struct http_connection *connection = http_connection_of(gnutls_session_get_ptr(session));

    (void)type;
    (void)when;
    (void)message;
    if (incoming && connection)
        http_connection_secured(connection);
    return 0;
}

void tls_begin(struct MHD_Connection *mhd)
{
    gnutls_handshake_set_hook_function(
        session_of(mhd), GNUTLS_HANDSHAKE_FINISHED, GNUTLS_HOOK_POST, on_finished);
}

bool tls_waits_to_send(struct MHD_Connection *mhd)
{
    return gnutls_record_get_direction(session_of(mhd)) == 1;
}

void tls_send(struct MHD_Connection *mhd, const char *bytes, size_t size)
{
    gnutls_session_t session = session_of(mhd);

    if (!session)
        return;
    gnutls_record_send(session, bytes, size);
    gnutls_bye(session, GNUTLS_SHUT_WR);
}
