/* Registers with an index, greets every peer that comes, and prints what happens until Ctrl-C. */
#include <signpost.h>
#include <stdio.h>

static void on_peer(
    signpost_t *client, signpost_peer_event_t event, const signpost_peer_t *peer, void *user)
{
    static const char *const words[] = {"up", "changed", "down"};
    static const char greeting[] = "{\"text\":\"hello\"}";

    (void)user;
    printf("%s %s%s\n", words[event], peer->id, peer->stale ? " (stale)" : "");
    if (event == SIGNPOST_PEER_UP)
        signpost_send(
            client, peer->id, NULL, "greeting", greeting, sizeof greeting - 1, 0, NULL, NULL, NULL);
}

static void on_message(signpost_t *client, const signpost_message_t *message, void *user)
{
    (void)client, (void)user;
    printf("%s from %s: %s\n", message->type, message->from, message->body);
}

static void on_index(signpost_t *client, const signpost_index_status_t *status, void *user)
{
    (void)client, (void)user;
    printf("%s: %s\n", status->url, status->error ? status->detail : "ready");
}

static void on_interrupt(uv_signal_t *interrupt, int number)
{
    (void)number;
    signpost_stop(interrupt->data, NULL, NULL);
    uv_close((uv_handle_t *)interrupt, NULL);
}

int main(int argc, char **argv)
{
    const char *const indexes[] = {argc > 1 ? argv[1] : "http://127.0.0.1:7117", NULL};
    signpost_config_t config = {.indexes = indexes, .id = argc > 2 ? argv[2] : NULL};
    uv_signal_t interrupt;
    signpost_t *client;

    setvbuf(stdout, NULL, _IOLBF, 0);
    config.on_peer = on_peer;
    config.on_message = on_message;
    config.on_index = on_index;
    int error = signpost_start(uv_default_loop(), &config, &client);
    if (error) {
        fprintf(stderr, "peers: %s\n", signpost_strerror(error));
        return 1;
    }
    printf("this is %s\n", signpost_id(client));
    uv_signal_init(uv_default_loop(), &interrupt);
    interrupt.data = client;
    uv_signal_start(&interrupt, on_interrupt, SIGINT);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
