#include "index_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURNS_MAX 100000 /* past this the index never comes to rest */

/* --- the clock and the life of the fixture --------------------------------------------------- */

static int64_t read_now(void *user)
{
    return ((struct fixture *)user)->now_ms;
}

static int64_t read_wall(void *user)
{
    return ((struct fixture *)user)->wall_ms;
}

static size_t write_undeliverable(
    const struct index_undeliverable *about, char *ret_body, size_t size)
{
    int length = snprintf(ret_body, size, "\"%s to %s session %s type %s reason %s\"", about->id,
        about->to, about->session, about->type, about->reason);
    assert_between(length, 1, (int)size - 1);
    return (size_t)length;
}

/* A node that came in without a key may stay: that is the business of the keys' own tests. */
static bool admits(const uint8_t key_hash[STORE_HASH_SIZE], const char *network, void *user)
{
    static const uint8_t nobody[STORE_HASH_SIZE];
    const struct fixture *fixture = user;

    assert_true(network[0]);
    return !memcmp(key_hash, nobody, STORE_HASH_SIZE) ||
           memcmp(key_hash, fixture->withdrawn, STORE_HASH_SIZE) != 0;
}

/* Counts what the store loses, and tells the index of it. */
static void count_loss(void *user)
{
    struct fixture *fixture = user;
    fixture->losses++;
    fixture->lost(fixture->lost_user);
}

static void open_index(struct fixture *fixture)
{
    struct outcome loaded = {0};
    fixture->sources = sources_new(0);
    assert_non_null(fixture->sources);
    fixture->config.sources = fixture->sources;
    assert_int_equal(index_open(&fixture->config, &fixture->index), 0);
    fixture->lost = fixture->store->lost;
    fixture->lost_user = fixture->store->lost_user;
    fixture->store->lost = count_loss;
    fixture->store->lost_user = fixture;
    index_load(fixture->index, fixture_on_done, &loaded);
    fixture_flush(fixture);
    assert_int_equal(loaded.calls, 1);
    assert_fault(loaded.fault, 0);
}

static void close_index(struct fixture *fixture)
{
    if (fixture->index != NULL) {
        index_release(fixture->index);
        fixture_flush(fixture);
        index_close(fixture->index);
        fixture_flush(fixture);
    }
    sources_free(fixture->sources);
    fixture->index = NULL;
    fixture->sources = NULL;
}

int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    *state = fixture;
    fixture->now_ms = 1000000;
    fixture->wall_ms = 1767609000000; /* 2026-01-05T10:30:00Z */
    fixture->clock = (struct clock){read_now, read_wall, fixture};
    assert_int_equal(store_memory_open(&fixture->store), 0);
    fixture->config = (struct index_config){.store = fixture->store,
        .clock = &fixture->clock,
        .open = true,
        .admits = admits,
        .admits_user = fixture,
        .undeliverable_body = write_undeliverable};
    open_index(fixture);
    return 0;
}

static void free_watch(struct watch *watch)
{
    for (size_t i = 0; i < watch->node_count; i++) {
        free(watch->nodes[i].endpoints);
        free(watch->nodes[i].meta);
        free(watch->nodes[i].reach);
    }
    for (size_t i = 0; i < watch->message_count; i++)
        free(watch->messages[i].body);
    free(watch->nodes);
    free(watch->messages);
    text_clear(&watch->told);
    free(watch);
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    close_index(fixture);
    fixture->store->f->close(fixture->store);
    while (fixture->watches != NULL) {
        struct watch *watch = fixture->watches;
        fixture->watches = watch->next;
        free_watch(watch);
    }
    free(fixture);
    return 0;
}

void fixture_restart(struct fixture *fixture)
{
    close_index(fixture);
    fixture->now_ms = 5000;
    open_index(fixture);
}

void fixture_flush(struct fixture *fixture)
{
    for (int turn = 0; fixture->store->open_batch; turn++) {
        assert_true(turn < TURNS_MAX);
        fixture->store->f->flush(fixture->store);
    }
}

void fixture_settle(struct fixture *fixture)
{
    fixture_flush(fixture);
    for (int turn = 0; index_next_due_ms(fixture->index) <= fixture->now_ms; turn++) {
        assert_true(turn < TURNS_MAX);
        index_tick(fixture->index);
        fixture_flush(fixture);
    }
}

void fixture_jump(struct fixture *fixture, int64_t ms)
{
    fixture->now_ms += ms;
    fixture->wall_ms += ms;
}

void fixture_tick_at_next_due(struct fixture *fixture)
{
    int64_t due_ms = index_next_due_ms(fixture->index);
    assert_between(due_ms, fixture->now_ms, INT64_MAX - 1);
    fixture_jump(fixture, due_ms - fixture->now_ms);
    index_tick(fixture->index);
}

void fixture_advance(struct fixture *fixture, int64_t ms)
{
    int64_t end_ms = fixture->now_ms + ms;
    fixture_settle(fixture);
    while (index_next_due_ms(fixture->index) <= end_ms) {
        fixture_jump(fixture, index_next_due_ms(fixture->index) - fixture->now_ms);
        fixture_settle(fixture);
    }
    fixture_jump(fixture, end_ms - fixture->now_ms);
}

/* --- who asks -------------------------------------------------------------------------------- */

const char *fixture_token(unsigned number, char ret_token[FIXTURE_TOKEN_SIZE])
{
    /* The last of 43 characters carries only four bits of the 256: an A is always right. */
    snprintf(ret_token, FIXTURE_TOKEN_SIZE, "%042uA", number);
    return ret_token;
}

struct caller fixture_stranger(const char *address)
{
    struct caller caller = {.kind = CREDENTIAL_NONE};
    assert_true(address_parse(address, &caller.address));
    return caller;
}

struct caller fixture_owner(const char *address, unsigned number)
{
    char token[FIXTURE_TOKEN_SIZE];
    struct caller caller = fixture_stranger(address);
    caller.kind = CREDENTIAL_TOKEN;
    fixture_token(number, token);
    token_hash(token, strlen(token), caller.hash);
    return caller;
}

struct caller fixture_keyed(const char *address, const char *network, bool is_operator)
{
    struct caller caller = fixture_stranger(address);
    caller.kind = CREDENTIAL_KEY;
    memset(caller.hash, is_operator ? 0xa5 : 0x5a, sizeof(caller.hash));
    strcpy(caller.key_network, network);
    caller.key_operator = is_operator;
    return caller;
}

struct caller fixture_node(unsigned number)
{
    char address[ADDRESS_TEXT_SIZE];
    snprintf(address, sizeof(address), "203.%u.113.%u", number / 250, number % 250);
    return fixture_owner(address, number);
}

/* --- nodes ----------------------------------------------------------------------------------- */

static void copy_id(char ret_copy[FIXTURE_ID_SIZE], const char *id)
{
    assert_non_null(id);
    assert_true(strlen(id) < FIXTURE_ID_SIZE);
    strcpy(ret_copy, id);
}

static void drop_line_end(char *lines)
{
    size_t length = strlen(lines);
    if (length > 0 && lines[length - 1] == '\n')
        lines[length - 1] = '\0';
}

static void copy_fault(struct fault *ret_fault, const struct fault *fault)
{
    if (fault == NULL)
        return;
    *ret_fault = *fault;
    assert_int_not_equal(fault->error, 0);
    assert_true(fault->detail[0] != '\0');
}

void fixture_on_registered(const struct fault *fault, const struct registered *result, void *user)
{
    struct registration *copy = user;
    copy->calls++;
    copy_fault(&copy->fault, fault);
    if (fault != NULL)
        return;
    assert_non_null(result);
    copy->created = result->created;
    copy_id(copy->id, result->id);
    copy_id(copy->network, result->network);
    if (result->token != NULL) {
        copy->has_token = true;
        assert_true(strlen(result->token) < sizeof(copy->token));
        strcpy(copy->token, result->token);
    }
    copy->ttl_s = result->ttl_s;
    copy->heartbeat_after_s = result->heartbeat_after_s;
    assert_true(strlen(result->endpoints) < sizeof(copy->endpoints));
    strcpy(copy->endpoints, result->endpoints);
    drop_line_end(copy->endpoints);
    copy->cursor = result->cursor;
}

void fixture_on_heartbeat(const struct fault *fault, const struct heartbeat *result, void *user)
{
    struct beat *copy = user;
    copy->calls++;
    copy_fault(&copy->fault, fault);
    if (fault == NULL) {
        assert_non_null(result);
        copy->result = *result;
    }
}

void fixture_on_done(const struct fault *fault, void *user)
{
    struct outcome *copy = user;
    copy->calls++;
    copy_fault(&copy->fault, fault);
}

void fixture_on_polled(const struct fault *fault, const struct poll_result *result, void *user)
{
    assert_true((fault == NULL) == (result != NULL));
    fixture_on_done(fault, user);
}

struct registration fixture_register(
    struct fixture *fixture, const struct caller *caller, const struct register_request *request)
{
    struct registration copy = {0};
    index_register(fixture->index, caller, request, fixture_on_registered, &copy);
    fixture_flush(fixture);
    assert_int_equal(copy.calls, 1);
    return copy;
}

struct registration fixture_join_for(
    struct fixture *fixture, const char *id, unsigned number, double ttl_s)
{
    struct caller caller = fixture_node(number);
    struct register_request request = {.id = id, .listed = true, .ttl_s = ttl_s};
    struct registration copy = fixture_register(fixture, &caller, &request);
    assert_fault(copy.fault, 0);
    return copy;
}

struct registration fixture_join(struct fixture *fixture, const char *id, unsigned number)
{
    return fixture_join_for(fixture, id, number, 0);
}

struct beat fixture_heartbeat(
    struct fixture *fixture, const struct caller *caller, const struct heartbeat_request *request)
{
    struct beat copy = {0};
    index_heartbeat(fixture->index, caller, request, fixture_on_heartbeat, &copy);
    fixture_flush(fixture);
    assert_int_equal(copy.calls, 1);
    return copy;
}

struct outcome fixture_remove(
    struct fixture *fixture, const struct caller *caller, const char *network, const char *id)
{
    struct outcome copy = {0};
    index_remove_node(fixture->index, caller, network, id, fixture_on_done, &copy);
    fixture_flush(fixture);
    assert_int_equal(copy.calls, 1);
    return copy;
}

void fixture_leave(struct fixture *fixture, const char *id, unsigned number)
{
    struct caller caller = fixture_node(number);
    struct outcome outcome = fixture_remove(fixture, &caller, NULL, id);
    assert_fault(outcome.fault, 0);
}

bool fixture_has_node(struct fixture *fixture, const char *id)
{
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct watch *watch = fixture_get_node(fixture, &stranger, NULL, id);
    if (watch->fault.error == 0)
        return true;
    assert_fault(watch->fault, ERROR_UNKNOWN_NODE);
    return false;
}

/* --- mailboxes ------------------------------------------------------------------------------- */

void fixture_on_sent(const struct fault *fault, const struct sent *result, void *user)
{
    struct delivery *copy = user;
    copy->calls++;
    copy_fault(&copy->fault, fault);
    if (fault == NULL) {
        assert_non_null(result);
        copy->result = *result;
    }
}

struct delivery fixture_send(
    struct fixture *fixture, const struct caller *caller, const struct send_request *request)
{
    struct delivery copy = {0};
    index_send(fixture->index, caller, request, fixture_on_sent, &copy);
    fixture_flush(fixture);
    assert_int_equal(copy.calls, 1);
    return copy;
}

struct delivery fixture_offer(
    struct fixture *fixture, unsigned number, const char *to, const char *id)
{
    char body[2 * FIXTURE_ID_SIZE];
    struct caller caller = fixture_node(number);
    snprintf(body, sizeof(body), "\"body of %s\"", id);
    struct send_request request = {
        .to = to, .id = id, .type = "offer", .body = body, .body_size = strlen(body)};
    struct delivery copy = fixture_send(fixture, &caller, &request);
    assert_fault(copy.fault, 0);
    return copy;
}

/* --- reads and polls ------------------------------------------------------------------------- */

static char *copy_text(const char *text)
{
    assert_non_null(text);
    char *copy = strdup(text);
    assert_non_null(copy);
    return copy;
}

static bool goes_on(const struct watch *watch)
{
    return watch->stop_after == 0 || watch->node_count + watch->message_count < watch->stop_after;
}

static bool see_node(const struct node_view *node, void *user)
{
    struct watch *watch = user;
    assert_int_equal(watch->calls, 0);
    struct seen_node *nodes =
        realloc(watch->nodes, (watch->node_count + 1) * sizeof(*watch->nodes));
    assert_non_null(nodes);
    watch->nodes = nodes;
    struct seen_node *copy = &nodes[watch->node_count++];
    *copy = (struct seen_node){.endpoints = copy_text(node->endpoints),
        .meta = copy_text(node->meta),
        .reach = copy_text(node->reach),
        .observed_ipv4 = node->observed_ipv4,
        .observed_ipv6 = node->observed_ipv6,
        .registered_wall_ms = node->registered_wall_ms,
        .age_s = node->age_s,
        .expires_in_s = node->expires_in_s};
    copy_id(copy->id, node->id);
    drop_line_end(copy->endpoints);
    text_printf(&watch->told, "+%s ", node->id);
    return goes_on(watch);
}

static void see_gone(const char *id, void *user)
{
    struct watch *watch = user;
    assert_int_equal(watch->calls, 0);
    watch->gone_count++;
    text_printf(&watch->told, "-%s ", id);
}

static bool see_message(const struct message_view *message, void *user)
{
    struct watch *watch = user;
    assert_int_equal(watch->calls, 0);
    if (!goes_on(watch))
        return false;
    struct seen_message *messages =
        realloc(watch->messages, (watch->message_count + 1) * sizeof(*watch->messages));
    assert_non_null(messages);
    watch->messages = messages;
    struct seen_message *copy = &messages[watch->message_count++];
    *copy = (struct seen_message){.seq = message->seq,
        .from_index = message->from == NULL,
        .from_address = message->from_address,
        .has_session = message->session != NULL,
        .body = malloc(message->body_size + 1),
        .body_size = message->body_size,
        .sent_wall_ms = message->sent_wall_ms,
        .expires_in_s = message->expires_in_s};
    assert_non_null(copy->body);
    memcpy(copy->body, message->body, message->body_size);
    copy->body[message->body_size] = '\0';
    copy_id(copy->id, message->id);
    if (message->from != NULL)
        copy_id(copy->from, message->from);
    if (message->session != NULL)
        copy_id(copy->session, message->session);
    assert_true(strlen(message->type) < sizeof(copy->type));
    strcpy(copy->type, message->type);
    text_printf(&watch->told, "*%s ", message->id);
    return true;
}

static bool match_meta(const char *meta, void *user)
{
    struct watch *watch = user;
    watch->looked_at++;
    return strstr(meta, watch->match) != NULL;
}

static void finish_watch(const struct fault *fault, const struct poll_result *result, void *user)
{
    struct watch *watch = user;
    watch->calls++;
    copy_fault(&watch->fault, fault);
    if (fault != NULL)
        return;
    assert_non_null(result);
    watch->result = *result;
    if (result->network != NULL) {
        copy_id(watch->network, result->network);
        watch->result.network = watch->network;
    }
    if (result->after != NULL) {
        copy_id(watch->after, result->after);
        watch->result.after = watch->after;
    }
}

static void finish_lookup(const struct fault *fault, void *user)
{
    struct watch *watch = user;
    watch->calls++;
    copy_fault(&watch->fault, fault);
}

static struct watch *new_watch(struct fixture *fixture)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    assert_non_null(watch);
    watch->next = fixture->watches;
    fixture->watches = watch;
    return watch;
}

const char *watch_told(const struct watch *watch)
{
    assert_false(text_failed(&watch->told));
    return watch->told.bytes != NULL ? watch->told.bytes : "";
}

struct poll_request poll_list(void)
{
    return (struct poll_request){
        .list = true, .list_limit = LIMIT_LIST_MAX_NODES, .heard_ms = INT64_MIN};
}

struct poll_request poll_changes(struct cursor since, double wait_s)
{
    struct poll_request request = poll_list();
    request.has_since = true;
    request.since = since;
    request.wait_s = wait_s;
    return request;
}

struct poll_request poll_mail(double wait_s)
{
    return (struct poll_request){.wait_s = wait_s,
        .mail = true,
        .mail_limit = LIMIT_MAIL_DEFAULT_MESSAGES,
        .heard_ms = INT64_MIN};
}

struct poll_request poll_mail_after(struct cursor after, double wait_s)
{
    struct poll_request request = poll_mail(wait_s);
    request.has_after = true;
    request.after = after;
    return request;
}

struct poll_request poll_events(struct cursor since, double wait_s)
{
    struct poll_request request = poll_changes(since, wait_s);
    request.renew = true;
    request.mail = true;
    request.mail_limit = LIMIT_MAIL_DEFAULT_MESSAGES;
    return request;
}

struct watch *fixture_poll_matching(struct fixture *fixture, const struct caller *caller,
    const struct poll_request *request, const char *match, size_t stop_after)
{
    struct watch *watch = new_watch(fixture);
    struct poll_request filled = *request;
    watch->match = match;
    watch->stop_after = stop_after;
    filled.match = match != NULL ? match_meta : NULL;
    filled.on_node = see_node;
    filled.on_gone = see_gone;
    filled.on_message = see_message;
    watch->poll = index_poll(fixture->index, caller, &filled, finish_watch, watch);
    assert_true((watch->poll == NULL) == (watch->calls == 1));
    fixture_flush(fixture);
    assert_between(watch->calls, 0, 1);
    return watch;
}

struct watch *fixture_poll(
    struct fixture *fixture, const struct caller *caller, const struct poll_request *request)
{
    return fixture_poll_matching(fixture, caller, request, NULL, 0);
}

static struct watch *poll_answered(
    struct fixture *fixture, const struct caller *caller, const struct poll_request *request)
{
    struct watch *watch = fixture_poll(fixture, caller, request);
    assert_int_equal(watch->calls, 1);
    assert_fault(watch->fault, 0);
    return watch;
}

struct watch *fixture_list(struct fixture *fixture, const char *network)
{
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct poll_request request = poll_list();
    request.network = network;
    return poll_answered(fixture, &stranger, &request);
}

struct watch *fixture_changes(
    struct fixture *fixture, const char *network, struct cursor since, size_t limit)
{
    struct caller stranger = fixture_stranger("198.51.100.99");
    struct poll_request request = poll_changes(since, 0);
    request.network = network;
    request.list_limit = limit;
    return poll_answered(fixture, &stranger, &request);
}

struct cursor fixture_cursor(struct fixture *fixture, const char *network)
{
    return fixture_list(fixture, network)->result.cursor;
}

struct watch *fixture_read(struct fixture *fixture, unsigned number)
{
    struct caller caller = fixture_node(number);
    struct poll_request request = poll_mail(0);
    return poll_answered(fixture, &caller, &request);
}

struct watch *fixture_acknowledge(struct fixture *fixture, unsigned number, struct cursor after)
{
    struct caller caller = fixture_node(number);
    struct poll_request request = poll_mail_after(after, 0);
    return poll_answered(fixture, &caller, &request);
}

struct watch *fixture_get_node(
    struct fixture *fixture, const struct caller *caller, const char *network, const char *id)
{
    struct watch *watch = new_watch(fixture);
    index_get_node(fixture->index, caller, network, id, see_node, finish_lookup, watch);
    fixture_flush(fixture);
    assert_int_equal(watch->calls, 1);
    assert_int_equal(watch->node_count, watch->fault.error == 0 ? 1 : 0);
    return watch;
}
