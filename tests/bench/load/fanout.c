/* One change that many hear of; and, to have something to hold it against, as many plain replies.
 */
#include "modes.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* News of the list comes to one reader every 100 ms at most: that is not what is measured here. */
#define SPACING_MS 150
/* What a server does after its last reply belongs to the round too. */
#define SETTLE_MS 20

static struct link *links, *asker;
static size_t count, missing;
static pid_t server;
static double *heard_us; /* when the replies of a round came, in their order */
static char cursor[WORD_CHARS];

static struct {
    double *first_us, *median_us, *last_us, *cpu_us, *bytes;
} rounds;

static void on_reply(struct link *link, const char *body)
{
    (void)link;
    (void)body;
    if (!missing)
        fail("a reply came that nobody asked for");
    heard_us[count - missing--] = now_us();
}

static void on_news(struct link *link, const char *body)
{
    on_reply(link, body);
    if (strstr(body, "\"nodes\":[]"))
        fail("a poll ended without news: %s", body);
    if (!missing)
        word_member(cursor, body, "cursor");
}

static uint64_t received(void)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += links[i].received;
    return bytes;
}

/* From `begin`, which sets off all replies, to the last one. */
static void measure(size_t round, void (*begin)(size_t round))
{
    double cpu = cpu_us(server), start = now_us();
    uint64_t before = received();

    missing = count;
    begin(round);
    await_none(&missing);
    rest(SETTLE_MS);
    rounds.first_us[round] = heard_us[0] - start;
    rounds.median_us[round] = heard_us[count / 2] - start;
    rounds.last_us[round] = heard_us[count - 1] - start;
    rounds.cpu_us[round] = cpu_us(server) - cpu;
    rounds.bytes[round] = (double)(received() - before);
}

static void open_all(char **words, link_message_cb *on_message)
{
    size_t turns = number_of(words[3]);

    server = (pid_t)number_of(words[1]);
    count = number_of(words[2]);
    heard_us = allocate(count, sizeof *heard_us);
    rounds.first_us = allocate(turns, sizeof(double));
    rounds.median_us = allocate(turns, sizeof(double));
    rounds.last_us = allocate(turns, sizeof(double));
    rounds.cpu_us = allocate(turns, sizeof(double));
    rounds.bytes = allocate(turns, sizeof(double));
    links = links_open((uint16_t)number_of(words[0]), count, on_message);
}

static void print_rounds(size_t turns)
{
    print_list("first_us", rounds.first_us, turns, false);
    print_list("median_us", rounds.median_us, turns, false);
    print_list("last_us", rounds.last_us, turns, false);
    print_list("cpu_us", rounds.cpu_us, turns, false);
    print_list("bytes", rounds.bytes, turns, true);
}

/* Each round has a newcomer, so that the list changes. */
static void begin_change(size_t round)
{
    char body[TEXT_CHARS];

    snprintf(body, sizeof body,
        "{\"id\": \"news-%d-%zu\", \"ttl\": 7200, \"endpoints\": [\"grpc://:50051\"]}",
        (int)getpid(), round);
    link_post(asker, NULL, "/register", body);
}

static void park(void)
{
    char path[TEXT_CHARS];

    snprintf(path, sizeof path, "/list?since=%s&wait=55", cursor);
    for (size_t i = 0; i < count; i++)
        link_get(&links[i], NULL, path);
    asker_await_parked(asker, count);
}

void mode_watchers(char **words)
{
    size_t turns = number_of(words[3]);

    open_all(words, on_news);
    asker = asker_open((uint16_t)number_of(words[0]));
    link_get(asker, NULL, "/list?limit=1");
    word_member(cursor, asker_reply(), "cursor");
    for (size_t round = 0; round < turns; round++) {
        park();
        rest(SPACING_MS);
        measure(round, begin_change);
    }
    park();
    print_rounds(turns);
    await_end_of_input();
}

static void begin_requests(size_t round)
{
    (void)round;
    for (size_t i = 0; i < count; i++)
        link_get(&links[i], NULL, "/list");
}

void mode_served(char **words)
{
    size_t turns = number_of(words[3]);

    open_all(words, on_reply);
    for (size_t round = 0; round < turns; round++)
        measure(round, begin_requests);
    print_rounds(turns);
}
