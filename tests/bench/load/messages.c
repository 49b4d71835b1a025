/* One message to one of many readers that wait, by two servers; and bare round trips. */
#include "modes.h"
#include "words.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Between two samples of every mode: each finds the server at rest. */
#define SPACING_MS 2
#define TTL_S 7200

/* Far apart, so that it does not matter where in its own order the server has a reader. */
#define STRIDE 7919

static size_t count, missing;
static size_t chosen; /* the reader that is to hear */
static double heard_us;
static char next[WORD_CHARS]; /* where that reader's mailbox goes on */

static void await_replies(size_t replies)
{
    missing = replies;
    await_none(&missing);
}

static void on_message(struct link *link, const char *body)
{
    if (link->number != chosen || !missing)
        fail("reader %zu was not to hear anything: %s", link->number, body);
    heard_us = now_us();
    word_member(next, body, "next");
    missing--;
}

static void on_reply(struct link *link, const char *body)
{
    (void)link;
    if (!missing)
        fail("a reply that nobody asked for: %s", body);
    missing--;
}

static void on_sent(struct link *link, const char *body)
{
    (void)link;
    if (strstr(body, "\"handed\"") == NULL)
        fail("the reader did not wait: %s", body);
    missing--;
}

/* --- mailboxes ------------------------------------------------------------------------------- */

/* `after` is empty where nothing is to be acknowledged. */
static void park(struct link *reader, const char *after)
{
    char id[WORD_CHARS], token[WORD_CHARS], path[TEXT_CHARS];

    word_node(id, reader->number);
    word_token(token, reader->number);
    snprintf(path, sizeof path, "/mailbox/%s?wait=55%s%s", id, *after ? "&after=" : "", after);
    link_get(reader, token, path);
}

static void send_offer(struct link *sender, size_t sample)
{
    char id[WORD_CHARS], token[WORD_CHARS], path[2 * WORD_CHARS], body[TEXT_CHARS];

    word_node(id, chosen);
    word_token(token, count);
    snprintf(path, sizeof path, "/mailbox/%s", id);
    snprintf(body, sizeof body,
        "{\"id\": \"offer-%d-%zu\", \"session\": \"s\", \"type\": \"offer\", \"body\": %s}",
        (int)getpid(), sample, word_offer());
    link_post(sender, token, path, body);
}

static struct link *register_all(uint16_t port)
{
    struct link *readers = links_open(port, count, on_reply);

    for (size_t i = 0; i < count; i++)
        node_register(&readers[i], i, TTL_S);
    await_replies(count);
    return readers;
}

void mode_messages(char **words)
{
    uint16_t port = (uint16_t)number_of(words[0]);
    size_t samples = number_of(words[2]);
    double *took_us = allocate(samples, sizeof *took_us);

    count = number_of(words[1]);
    struct link *readers = register_all(port);
    struct link *sender = links_open(port, 1, on_reply), *asker = asker_open(port);
    node_register(sender, count, TTL_S);
    await_replies(1);
    sender->on_message = on_sent;
    for (size_t i = 0; i < count; i++) {
        readers[i].on_message = on_message;
        park(&readers[i], "");
    }
    asker_await_parked(asker, count);
    for (size_t sample = 0; sample < samples; sample++) {
        rest(SPACING_MS);
        chosen = sample * STRIDE % count;
        double start = now_us();
        send_offer(sender, sample);
        await_replies(2);
        took_us[sample] = heard_us - start;
        park(&readers[chosen], next);
        asker_await_parked(asker, count);
    }
    print_list("took_us", took_us, samples, true);
}

/* --- PeerJS's relay -------------------------------------------------------------------------- */

static void on_relayed(struct link *link, const char *text)
{
    if (link->number != chosen || !missing || !strstr(text, "\"OFFER\""))
        fail("socket %zu was not to hear: %s", link->number, text);
    heard_us = now_us();
    missing--;
}

void mode_relay(char **words)
{
    size_t samples = number_of(words[2]);
    double *took_us = allocate(samples, sizeof *took_us);

    count = number_of(words[1]);
    /* The last one is the sender. */
    struct link *sockets = sockets_open((uint16_t)number_of(words[0]), count + 1, on_relayed);
    for (size_t sample = 0; sample < samples; sample++) {
        rest(SPACING_MS);
        chosen = sample * STRIDE % count;
        double start = now_us();
        socket_offer(&sockets[count], chosen);
        await_replies(1);
        took_us[sample] = heard_us - start;
    }
    print_list("took_us", took_us, samples, true);
}

/* --- bare round trips ------------------------------------------------------------------------ */

void mode_trips(char **words)
{
    size_t samples = number_of(words[1]), trips = number_of(words[2]);
    double *took_us = allocate(samples, sizeof *took_us);
    struct link *link = links_open((uint16_t)number_of(words[0]), 1, on_reply);

    for (size_t sample = 0; sample < samples; sample++) {
        rest(SPACING_MS);
        double start = now_us();
        for (size_t trip = 0; trip < trips; trip++) {
            send_offer(link, sample);
            await_replies(1);
        }
        took_us[sample] = now_us() - start;
    }
    print_list("took_us", took_us, samples, true);
}
