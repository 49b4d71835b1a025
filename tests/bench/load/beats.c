/* Signs of life: at their own pace, to see what a server takes at rest, or as fast as they go. */
#include "modes.h"
#include "words.h"

#include <stdio.h>

#define NODE_LINKS 8        /* nodes share kept connections */
#define REGISTERING_MAX 128 /* at a time */

static const char heartbeat[] = "{\"type\": \"HEARTBEAT\"}";

static struct link *links;
static size_t missing;

/* --- at rest --------------------------------------------------------------------------------- */

static void on_reply(struct link *link, const char *body)
{
    (void)link;
    (void)body;
    missing--;
}

static void on_nothing(struct link *link, const char *text)
{
    fail("socket %zu was not to hear: %s", link->number, text);
}

static void beat_node(size_t number)
{
    char token[WORD_CHARS];

    word_token(token, number);
    link_post(&links[number % NODE_LINKS], token, "/heartbeat", "{}");
    missing++;
}

static void beat_socket(size_t number)
{
    link_text(&links[number], heartbeat);
}

/* By turns, one in each gap, for so long; how many there were. */
static size_t beat_for(double time_us, size_t count, double gap_us, void (*beat)(size_t number))
{
    double start = now_us(), now;
    size_t beats = 0;

    while ((now = now_us() - start) < time_us) {
        for (; (double)beats * gap_us <= now; beats++)
            beat(beats % count);
        double wait_us = (double)beats * gap_us - now;
        rest(wait_us > 1000 ? (uint64_t)(wait_us / 1000) : 1);
    }
    return beats;
}

/* Each of `count` once in an interval, evenly spread: what the server takes for that. It goes on
 * for one interval before the measured time begins. */
static void beat_evenly(char **words, void (*beat)(size_t number))
{
    pid_t server = (pid_t)number_of(words[1]);
    size_t count = number_of(words[2]), interval_us = number_of(words[3]) * 1000000;
    size_t seconds = number_of(words[4]);
    double gap_us = (double)interval_us / (double)count;

    beat_for((double)interval_us, count, gap_us, beat);
    double cpu = cpu_us(server), start = now_us();
    size_t beats = beat_for((double)seconds * 1e6, count, gap_us, beat);
    print_number("cpu_us", cpu_us(server) - cpu, false);
    print_number("took_us", now_us() - start, false);
    print_number("beats", (double)beats, true);
    await_none(&missing);
    await_end_of_input();
}

void mode_nodes(char **words)
{
    size_t count = number_of(words[2]);

    links = links_open((uint16_t)number_of(words[0]), NODE_LINKS, on_reply);
    for (size_t i = 0; i < count; i++) {
        node_register(&links[i % NODE_LINKS], i, 0);
        if (++missing == REGISTERING_MAX)
            await_none(&missing);
    }
    await_none(&missing);
    beat_evenly(words, beat_node);
}

void mode_sockets(char **words)
{
    links = sockets_open((uint16_t)number_of(words[0]), number_of(words[2]), on_nothing);
    beat_evenly(words, beat_socket);
}

/* --- as fast as they go ---------------------------------------------------------------------- */

#define BATCHES_A_SECOND_MAX 200000

static size_t each, batches, batches_max;
static double *begun_us, *took_us, end_us;

/* Heartbeats are not answered: the offer to itself that follows them comes back once they have
 * been read. */
static void beat(struct link *link)
{
    begun_us[link->number] = now_us();
    for (size_t i = 0; i < each; i++)
        link_text(link, heartbeat);
    socket_offer(link, link->number);
}

static void on_fence(struct link *link, const char *text)
{
    double now = now_us();

    (void)text;
    if (batches == batches_max)
        fail("more than %d batches a second", BATCHES_A_SECOND_MAX);
    took_us[batches++] = now - begun_us[link->number];
    if (now < end_us)
        beat(link);
    else
        missing--;
}

void mode_beats(char **words)
{
    pid_t server = (pid_t)number_of(words[1]);
    size_t count = number_of(words[2]), seconds = number_of(words[4]);

    each = number_of(words[3]);
    batches_max = seconds * BATCHES_A_SECOND_MAX;
    took_us = allocate(batches_max, sizeof *took_us);
    begun_us = allocate(count, sizeof *begun_us);
    links = sockets_open((uint16_t)number_of(words[0]), count, on_fence);
    double cpu = cpu_us(server), start = now_us();
    end_us = start + (double)seconds * 1e6;
    missing = count;
    for (size_t i = 0; i < count; i++)
        beat(&links[i]);
    await_none(&missing);
    print_number("cpu_us", cpu_us(server) - cpu, false);
    print_number("took_us", now_us() - start, false);
    print_number("beats", (double)(batches * each), false);
    print_list("batch_us", took_us, batches, true);
}
