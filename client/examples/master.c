/*
 * A master node: keeps a connection to every other one that is at an index, or to some of them, on
 * which both say a number every second. Prints what happens; on SIGUSR1 how far they have counted.
 * The join key, if the index wants one, is SIGNPOST_KEY in the environment.
 */
#include <inttypes.h>
#include <signal.h>
#include <signpost.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct link {
    uv_tcp_t tcp; /* first: a pointer to it is one to the link */
    struct link *next;
    char peer[65];
    uintmax_t sent, received, last; /* lines, and the number in the last one that came */
    char heard[24];                 /* what has come of the next line */
    size_t heard_size;
};

static struct {
    signpost_t *client;
    signpost_mesh_t *mesh;
    struct link *links;
    uv_timer_t timer;
    uv_signal_t signals[3];
} node;

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "master: %s: %s\n", what, why);
    exit(1);
}

static void on_closed(uv_handle_t *tcp)
{
    free(tcp);
}

static void drop(struct link *link)
{
    struct link **at = &node.links;

    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    uv_close((uv_handle_t *)&link->tcp, on_closed);
}

static void lose(struct link *link, const char *reason)
{
    printf("lost %s: %s\n", link->peer, reason);
    drop(link);
    signpost_mesh_lost(node.mesh, link->peer);
}

static void on_second(uv_timer_t *timer)
{
    (void)timer;
    char line[24];
    for (struct link *link = node.links, *next; link; link = next) {
        next = link->next;
        int size = snprintf(line, sizeof line, "%ju\n", link->sent + 1);
        uv_buf_t buffer = uv_buf_init(line, (unsigned)size);
        int written = uv_try_write((uv_stream_t *)&link->tcp, &buffer, 1);
        if (written == size)
            link->sent++;
        else if (written != UV_EAGAIN) /* a peer that does not read misses it: nothing piles up */
            lose(link, written < 0 ? uv_strerror(written) : "a line was cut");
    }
}

static void on_alloc(uv_handle_t *tcp, size_t size, uv_buf_t *buffer)
{
    (void)size;
    struct link *link = (struct link *)tcp;
    *buffer = uv_buf_init(
        link->heard + link->heard_size, (unsigned)(sizeof link->heard - link->heard_size));
}

/* A peer may send anything: what is no short line ends the link. */
static void on_read(uv_stream_t *tcp, ssize_t size, const uv_buf_t *buffer)
{
    (void)buffer;
    struct link *link = (struct link *)tcp;
    char *end;

    if (size < 0) {
        lose(link, uv_strerror((int)size));
        return;
    }
    link->heard_size += (size_t)size;
    while ((end = memchr(link->heard, '\n', link->heard_size))) {
        *end = '\0';
        link->last = strtoumax(link->heard, NULL, 10);
        link->received++;
        link->heard_size -= (size_t)(end + 1 - link->heard);
        memmove(link->heard, end + 1, link->heard_size);
    }
    if (link->heard_size == sizeof link->heard)
        lose(link, "its line is too long");
}

static void on_link(signpost_mesh_t *mesh, const signpost_connection_t *connection, void *user)
{
    (void)mesh, (void)user;
    struct link *link = calloc(1, sizeof *link);
    printf("link %s %s %s in %u ms, rtt %u us\n", connection->peer,
        signpost_path_name(connection->path), connection->remote, connection->took_ms,
        connection->rtt_us);
    if (!link || signpost_connection_open(connection, uv_default_loop(), &link->tcp))
        die("a link", "too little memory");
    snprintf(link->peer, sizeof link->peer, "%s", connection->peer);
    link->next = node.links;
    node.links = link;
    uv_read_start((uv_stream_t *)&link->tcp, on_alloc, on_read);
}

static void on_unlink(signpost_mesh_t *mesh, const char *peer, const char *reason, void *user)
{
    (void)mesh, (void)user;
    struct link *link = node.links;
    printf("unlink %s: %s\n", peer, reason);
    while (link && strcmp(link->peer, peer) != 0)
        link = link->next;
    if (link)
        drop(link);
}

static void on_trouble(signpost_mesh_t *mesh, const char *peer, const char *reason, void *user)
{
    (void)mesh, (void)user;
    printf("trouble %s: %s\n", peer, reason);
}

static void on_index(signpost_t *client, const signpost_index_status_t *status, void *user)
{
    (void)client, (void)user;
    static const char *const states[] = {"connecting", "ready", "away", "refused", "replaced"};
    printf("index %s: %s\n", status->url, states[status->state]);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)handle;
    if (number == SIGUSR1) {
        for (const struct link *link = node.links; link; link = link->next)
            printf("count %s sent %ju received %ju last %ju\n", link->peer, link->sent,
                link->received, link->last);
        puts("end of counts");
        return;
    }
    signpost_stop(node.client, NULL, NULL);
    while (node.links)
        drop(node.links);
    uv_close((uv_handle_t *)&node.timer, NULL);
    for (int i = 0; i < 3; i++)
        uv_close((uv_handle_t *)&node.signals[i], NULL);
}

int main(int argc, char **argv)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1};
    char *indexes[17] = {NULL};
    unsigned long options[] = {0, 0, 0, 1000}; /* port, neighbours, ttl, period */
    uv_loop_t *loop = uv_default_loop();
    int error;

    if (argc < 3 || argc > 7)
        die("usage", "master INDEX_URL[,URL...] ID [PORT [NEIGHBOURS [TTL_S [PERIOD_MS]]]]");
    for (int i = 0; i < 16; i++)
        indexes[i] = strtok(i ? NULL : argv[1], ",");
    for (int i = 3; i < argc; i++)
        options[i - 3] = strtoul(argv[i], NULL, 10);
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);

    signpost_config_t config = {.indexes = (const char *const *)indexes,
        .id = argv[2],
        .key = getenv("SIGNPOST_KEY"),
        .ttl_s = (unsigned)options[2],
        .on_index = on_index};
    signpost_mesh_config_t mesh = {.neighbours = (unsigned)options[1],
        .on_link = on_link,
        .on_unlink = on_unlink,
        .on_trouble = on_trouble};
    if ((error = signpost_start(loop, &config, &node.client)) ||
        (error = signpost_listen(node.client, NULL, (uint16_t)options[0], NULL, NULL)) ||
        (error = signpost_mesh_start(node.client, &mesh, &node.mesh)))
        die("start", signpost_strerror(error));
    printf("this is %s, port %u\n", argv[2], signpost_port(node.client));

    for (int i = 0; i < 3; i++) {
        uv_signal_init(loop, &node.signals[i]);
        uv_signal_start(&node.signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(loop, &node.timer);
    uv_timer_start(&node.timer, on_second, options[3], options[3]);
    return uv_run(loop, UV_RUN_DEFAULT);
}
