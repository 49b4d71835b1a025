#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OFFER_BYTES 640 /* of an offer's SDP */
#define REPLY_BYTES 65536

void word_node(char ret_id[WORD_CHARS], size_t number)
{
    snprintf(ret_id, WORD_CHARS, "node-%zu", number);
}

/* The A at its end: 43 characters have two bits more than 256, which must be 0. */
void word_token(char ret_token[WORD_CHARS], size_t number)
{
    snprintf(ret_token, WORD_CHARS, "bench-%036zuA", number);
}

static void word_socket(char ret_id[WORD_CHARS], size_t number)
{
    snprintf(ret_id, WORD_CHARS, "socket-%d-%zu", (int)getpid(), number);
}

const char *word_offer(void)
{
    static char offer[OFFER_BYTES + 64];
    char sdp[OFFER_BYTES + 1];

    memset(sdp, 'v', OFFER_BYTES);
    sdp[OFFER_BYTES] = '\0';
    snprintf(offer, sizeof offer, "{\"type\": \"offer\", \"sdp\": \"%s\"}", sdp);
    return offer;
}

/* Behind the name and its quotation marks, colon and space. */
static const char *member(const char *body, const char *name)
{
    char quoted[WORD_CHARS];

    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    const char *found = strstr(body, quoted);
    if (!found)
        fail("no %s in %s", name, body);
    return found + strlen(quoted);
}

void word_member(char ret_value[WORD_CHARS], const char *body, const char *name)
{
    const char *value = member(body, name);
    size_t length = *value == '"' ? strcspn(value + 1, "\"") : WORD_CHARS;

    if (length >= WORD_CHARS)
        fail("%s is no short string in %s", name, body);
    memcpy(ret_value, value + 1, length);
    ret_value[length] = '\0';
}

void node_register(struct link *link, size_t number, unsigned ttl_s)
{
    char id[WORD_CHARS], token[WORD_CHARS], ttl[WORD_CHARS] = "", body[TEXT_CHARS];

    word_node(id, number);
    word_token(token, number);
    if (ttl_s)
        snprintf(ttl, sizeof ttl, ", \"ttl\": %u", ttl_s);
    snprintf(body, sizeof body, "{\"id\": \"%s\", \"endpoints\": [\"grpc://:50051\"]%s}", id, ttl);
    link_post(link, token, "/register", body);
}

static size_t sockets_missing;

static void on_opened(struct link *link, const char *text)
{
    (void)link;
    if (!strstr(text, "\"OPEN\""))
        fail("not let in: %s", text);
    sockets_missing--;
}

struct link *sockets_open(uint16_t port, size_t count, link_message_cb *on_message)
{
    struct link *links = links_open(port, count, on_opened);
    char id[WORD_CHARS], path[2 * WORD_CHARS];

    for (size_t i = 0; i < count; i++) {
        word_socket(id, i);
        snprintf(path, sizeof path, "/peerjs?key=peerjs&token=bench&version=1.5.4&id=%s", id);
        link_upgrade(&links[i], path);
    }
    sockets_missing = count;
    await_none(&sockets_missing);
    for (size_t i = 0; i < count; i++)
        links[i].on_message = on_message;
    return links;
}

void socket_offer(struct link *link, size_t to)
{
    char id[WORD_CHARS], text[TEXT_CHARS];

    word_socket(id, to);
    snprintf(text, sizeof text, "{\"type\": \"OFFER\", \"payload\": %s, \"dst\": \"%s\"}",
        word_offer(), id);
    link_text(link, text);
}

static char answer[REPLY_BYTES];
static size_t answer_missing;

static void on_answer(struct link *link, const char *body)
{
    (void)link;
    snprintf(answer, sizeof answer, "%s", body);
    answer_missing--;
}

struct link *asker_open(uint16_t port)
{
    return links_open(port, 1, on_answer);
}

const char *asker_reply(void)
{
    answer_missing = 1;
    await_none(&answer_missing);
    return answer;
}

void asker_await_parked(struct link *asker, size_t count)
{
    for (;;) {
        link_get(asker, NULL, "/?limit=1");
        if (strtoul(member(asker_reply(), "waiting"), NULL, 10) == count)
            return;
        rest(1);
    }
}
