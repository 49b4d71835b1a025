/*
 * Whatever strangers send to an index: all of its way from the first byte to the replies.
 *
 * An input is pieces, and 0xFE between them, which no text has. The first byte of the input says
 * which index it is: `0` one for everyone, `1` for its own machine alone, `2` one with join keys.
 * Then the first byte of each piece says by its bits what becomes of the rest: 1, it goes over the
 * second connection; 2 and 4, who connects, if it does; 8, the client then closes its sending end;
 * 16, it comes in two parts; 32, afterwards half a minute goes by; 128, a join key is withdrawn
 * before. So `@` is the first connection from this machine, `C` the second from a stranger, and a
 * small letter takes its time.
 *
 * What only the index knows beforehand is one byte: 0xF1 to 0xF3 the tokens of the nodes and 0xF4
 * to 0xF6 join keys (only as a credential in the head: what is sent as content may come back), 0xF8
 * a cursor, 0xF9 a `next`, and 0xFA how many bytes of body follow the head, up to 0xFB or the end
 * of the piece: a body may change and its length is right all the same.
 */
#include "request_replies.h"
#include "request_world.h"
#include "want.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE_END 0xFE
#define SECRET_FIRST 0xF1
#define CURSOR 0xF8
#define NEXT 0xF9
#define LENGTH 0xFA
#define BODY_END 0xFB
#define LINKS 2
#define PIECES_MAX 12
#define MS_PASSED 30000
#define CREDENTIAL "\nAuthorization: Bearer "

enum {
    BIT_LINK = 1,
    BITS_PEER = 6,
    BIT_ENDS = 8,
    BIT_HALVES = 16,
    BIT_TIME = 32,
    BIT_WITHDRAW = 128
};

struct link {
    int fd;     /* -1: not open */
    bool knows; /* what is a secret of the index's: the input has one as it is */
    struct text sent, heard;
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool follows_credential(const struct text *text)
{
    size_t length = strlen(CREDENTIAL);
    return text->length >= length &&
           !memcmp(text->bytes + text->length - length, CREDENTIAL, length);
}

static void expand(
    const struct world *world, const uint8_t *bytes, size_t size, struct text *ret_text);

/* The length of the body behind the head that these bytes are in. */
static void expand_length(
    const struct world *world, const uint8_t *bytes, size_t size, struct text *ret_text)
{
    const uint8_t *body = memmem(bytes, size, "\r\n\r\n", 4);
    struct text expanded = {0};

    if (!body)
        return;
    body += 4;
    size -= (size_t)(body - bytes);
    const uint8_t *end = memchr(body, BODY_END, size);
    /* Not in a body itself, where this would go on without end. */
    size_t length = end ? (size_t)(end - body) : size;
    if (!memchr(body, LENGTH, length))
        expand(world, body, length, &expanded);
    text_printf(ret_text, "%zu", expanded.length);
    text_clear(&expanded);
}

/* The piece with what stands for one byte of it. */
static void expand(
    const struct world *world, const uint8_t *bytes, size_t size, struct text *ret_text)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == CURSOR)
            text_puts(ret_text, world_cursor(world));
        else if (bytes[i] == NEXT)
            text_puts(ret_text, world_next(world));
        else if (bytes[i] == LENGTH)
            expand_length(world, bytes + i, size - i, ret_text);
        else if (bytes[i] >= SECRET_FIRST && bytes[i] < SECRET_FIRST + WORLD_SECRETS &&
                 follows_credential(ret_text))
            text_puts(ret_text, world_secrets[bytes[i] - SECRET_FIRST]);
        else if (bytes[i] != BODY_END)
            text_append(ret_text, &bytes[i], 1);
    }
}

static void hang_up(struct world *world, struct link *link)
{
    if (link->fd < 0)
        return;
    shutdown(link->fd, SHUT_WR);
    world_hear(world, link->fd, &link->heard);
    close(link->fd);
    link->fd = -1;
    if (link->heard.length) {
        bool heads = memmem(link->sent.bytes, link->sent.length, "HEAD", 4) != NULL;
        replies_check(link->heard.bytes, link->heard.length, heads);
        want(link->knows || !replies_tell_secrets(link->heard.bytes, link->heard.length));
    }
    text_clear(&link->heard);
    text_clear(&link->sent);
}

static void play(struct world *world, struct link links[LINKS], const uint8_t *piece, size_t size)
{
    uint8_t mode = piece[0];
    struct link *link = &links[mode & BIT_LINK];
    struct text text = {0};
    bool alive = true;

    if (mode & BIT_WITHDRAW)
        world_withdraw_key(world);
    if (link->fd < 0)
        link->fd = world_connect(world, (enum world_peer)((mode & BITS_PEER) >> 1));
    expand(world, piece + 1, size - 1, &text);
    text_append(&link->sent, text.bytes, text.length);
    if (text.length) {
        size_t half = mode & BIT_HALVES ? text.length / 2 : text.length;
        alive = world_send(world, link->fd, text.bytes, half, &link->heard) &&
                world_send(world, link->fd, text.bytes + half, text.length - half, &link->heard);
    }
    text_clear(&text);
    if (mode & BIT_ENDS)
        shutdown(link->fd, SHUT_WR);
    if (mode & BIT_TIME)
        world_pass_time(world, MS_PASSED);
    for (int i = 0; i < LINKS; i++)
        if (links[i].fd >= 0 && !world_hear(world, links[i].fd, &links[i].heard))
            hang_up(world, &links[i]);
    if (!alive && link->fd >= 0)
        hang_up(world, link);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    bool knows = replies_tell_secrets((const char *)bytes, size);
    struct link links[LINKS] = {{-1, knows, {0}, {0}}, {-1, knows, {0}, {0}}};

    if (size < 2)
        return 0;
    struct world *world = world_open((enum world_access)(bytes[0] % 3));
    bytes++;
    size--;
    for (int i = 0; size && i < PIECES_MAX; i++) {
        const uint8_t *end = memchr(bytes, PIECE_END, size);
        size_t piece = end ? (size_t)(end - bytes) : size;
        if (piece)
            play(world, links, bytes, piece);
        bytes += piece + (end != NULL);
        size -= piece + (end != NULL);
    }
    for (int i = 0; i < LINKS; i++)
        hang_up(world, &links[i]);
    world_close(world);
    return 0;
}
