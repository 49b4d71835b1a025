#include "answer.h"

#include "signpost.h"

#include <nettle/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG 16
#define GUESTS_MAX 16  /* at once; more are closed as they come */
#define GUEST_MS 10000 /* so long one may keep its connection */

struct guest {
    uv_tcp_t tcp; /* first: its handle is the guest */
    uv_write_t write;
    struct answer *answer;
    struct guest *next;
    int64_t since_ms;
    bool closing;
};

struct answer {
    uv_tcp_t tcp;
    struct guest *guests; /* the newest first */
    size_t guest_count;
    char proof[ANSWER_PROOF_SIZE];
    unsigned count;
    unsigned handles; /* not closed yet */
};

void answer_prove(
    const uint8_t nonce[ANSWER_NONCE_BYTES], uint16_t port, char ret_proof[ANSWER_PROOF_SIZE])
{
    struct hmac_sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char message[sizeof "signpost-check:65535"];

    int length = snprintf(message, sizeof message, "signpost-check:%u", (unsigned)port);
    hmac_sha256_set_key(&context, ANSWER_NONCE_BYTES, nonce);
    hmac_sha256_update(&context, (size_t)length, (const uint8_t *)message);
    hmac_sha256_digest(&context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(ret_proof + 2 * i, 3, "%02x", digest[i]);
}

/* --- those who connect ----------------------------------------------------------------------- */

static void handle_closed(struct answer *answer)
{
    if (--answer->handles == 0)
        free(answer);
}

static void on_guest_closed(uv_handle_t *handle)
{
    struct guest *guest = (struct guest *)handle;
    struct answer *answer = guest->answer;

    for (struct guest **at = &answer->guests; *at; at = &(*at)->next)
        if (*at == guest) {
            *at = guest->next;
            break;
        }
    answer->guest_count--;
    free(guest);
    handle_closed(answer);
}

static void guest_close(struct guest *guest)
{
    if (!guest->closing)
        uv_close((uv_handle_t *)&guest->tcp, on_guest_closed);
    guest->closing = true;
}

static void allocate(uv_handle_t *handle, size_t size, uv_buf_t *ret_buffer)
{
    static char nothing[256]; /* what a stranger says is thrown away */

    (void)handle;
    (void)size;
    *ret_buffer = uv_buf_init(nothing, sizeof nothing);
}

/* The other side ends it, once it has read the proof: were it closed here, what a stranger sent
 * meanwhile could reset the connection before the proof is read. */
static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    (void)buffer;
    if (size < 0)
        guest_close((struct guest *)stream);
}

static void on_written(uv_write_t *write, int status)
{
    if (status < 0)
        guest_close((struct guest *)write->handle);
}

/* Those who stay too long make room. */
static void close_late(struct answer *answer, int64_t now_ms)
{
    for (struct guest *guest = answer->guests; guest; guest = guest->next)
        if (now_ms - guest->since_ms > GUEST_MS)
            guest_close(guest);
}

static void on_guest(uv_stream_t *stream, int status)
{
    struct answer *answer = stream->data;
    int64_t now_ms = (int64_t)uv_now(stream->loop);
    struct guest *guest;

    if (status < 0)
        return;
    close_late(answer, now_ms);
    guest = calloc(1, sizeof *guest);
    if (!guest)
        return;
    if (uv_tcp_init(stream->loop, &guest->tcp)) {
        free(guest);
        return;
    }
    guest->answer = answer;
    guest->since_ms = now_ms;
    guest->next = answer->guests;
    answer->guests = guest;
    answer->guest_count++;
    answer->handles++;
    if (uv_accept(stream, (uv_stream_t *)&guest->tcp)) {
        guest_close(guest);
        return;
    }
    answer->count++;
    uv_buf_t proof = uv_buf_init(answer->proof, ANSWER_PROOF_SIZE - 1);
    if (answer->guest_count > GUESTS_MAX || !*answer->proof ||
        uv_write(&guest->write, (uv_stream_t *)&guest->tcp, &proof, 1, on_written) ||
        uv_read_start((uv_stream_t *)&guest->tcp, allocate, on_read))
        guest_close(guest);
}

/* --- the listener ---------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

int answer_open(uv_loop_t *loop, enum nat_family family, uint16_t port, struct answer **ret_answer)
{
    struct answer *answer = calloc(1, sizeof *answer);
    struct sockaddr_storage address;

    if (!answer)
        return SIGNPOST_ERROR_NO_MEMORY;
    int error = uv_tcp_init(loop, &answer->tcp);
    if (error) {
        free(answer);
        return SIGNPOST_ERROR_NO_MEMORY;
    }
    answer->tcp.data = answer;
    answer->handles = 1;
    nat_any_address(family, port, &address);
    error = uv_tcp_bind(
        &answer->tcp, (const struct sockaddr *)&address, family == NAT_IPV6 ? UV_TCP_IPV6ONLY : 0);
    if (!error)
        error = uv_listen((uv_stream_t *)&answer->tcp, BACKLOG, on_guest);
    if (error) {
        uv_close((uv_handle_t *)&answer->tcp, on_closed);
        return nat_bind_error(error);
    }
    *ret_answer = answer;
    return 0;
}

void answer_expect(struct answer *answer, const char proof[ANSWER_PROOF_SIZE])
{
    memcpy(answer->proof, proof, ANSWER_PROOF_SIZE);
    answer->count = 0;
}

unsigned answer_count(const struct answer *answer)
{
    return answer->count;
}

void answer_close(struct answer *answer)
{
    if (!answer)
        return;
    for (struct guest *guest = answer->guests; guest; guest = guest->next)
        guest_close(guest);
    uv_close((uv_handle_t *)&answer->tcp, on_closed);
}
