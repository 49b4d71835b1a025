#include "index/internal.h"

#include "metrics.h"
#include "server_limits.h"

#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *type;
    int ttl_s;
} type_ttls[] = {
    {"knock", 5},
    {"ready", 5},
    {"offer", 10},
    {"answer", 10},
};
#define OTHER_TYPE_TTL_S 30

/* --- send ------------------------------------------------------------------------------------ */

struct sending {
    struct sent result;
    sent_done done;
    void *user;
};

static void sending_done(int error, void *user)
{
    struct sending *sending = user;
    struct fault fault;

    if (error)
        fault_busy(&fault, error);
    sending->done(error ? &fault : NULL, error ? NULL : &sending->result, sending->user);
    free(sending);
}

static int check_type(const char *type, struct fault *ret_fault)
{
    size_t length = strlen(type);

    if (length < 1 || length > LIMIT_TYPE_CHARS ||
        strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789._-") != length)
        return fault_set(ret_fault, ERROR_BAD_REQUEST,
            "type must be 1 to %d of a-z 0-9 . _ -, such as offer", LIMIT_TYPE_CHARS);
    if (!strcmp(type, MAIL_UNDELIVERABLE))
        return fault_set(
            ret_fault, ERROR_BAD_REQUEST, "type undeliverable is the index's own: choose another");
    return 0;
}

static int type_ttl(const char *type)
{
    for (size_t i = 0; i < sizeof type_ttls / sizeof type_ttls[0]; i++)
        if (!strcmp(type, type_ttls[i].type))
            return type_ttls[i].ttl_s;
    return OTHER_TYPE_TTL_S;
}

static void hash_part(struct sha256_ctx *context, const char *string)
{
    sha256_update(context, strlen(string) + 1, (const uint8_t *)string);
}

/* The sender's token and the content, hashed: tells a retry from what only bears the same id. */
static void hash_content(const struct send_request *request, const struct lease *sender, int ttl_s,
    uint8_t ret_hash[STORE_HASH_SIZE])
{
    struct sha256_ctx context;

    sha256_init(&context);
    hash_part(&context, request->type);
    hash_part(&context, request->session ? request->session : "");
    sha256_update(&context, sizeof ttl_s, (const uint8_t *)&ttl_s);
    sha256_update(&context, request->body_size, (const uint8_t *)request->body);
    sha256_digest(
        &context, STORE_HASH_SIZE - MAIL_SENDER_HASH_SIZE, ret_hash + MAIL_SENDER_HASH_SIZE);
    memcpy(ret_hash, sender->token_hash, MAIL_SENDER_HASH_SIZE);
}

/* When it is worth trying again: when the first message expires, but its reader is mostly sooner.
 */
static int box_retry_after(const struct box *box, int64_t now_ms)
{
    int64_t first_ms = now_ms + LIMIT_BOX_RETRY_S * 1000LL;

    for (struct link *at = box->mails.next; at != &box->mails; at = at->next) {
        const struct mail *mail = container_of(at, struct mail, link);
        if (mail->expires_ms < first_ms)
            first_ms = mail->expires_ms;
    }
    return first_ms > now_ms ? (int)((first_ms - now_ms + 999) / 1000) : 1;
}

/* Does the box take one more message of that size from that sender? */
static int check_quota(const struct box *box, const struct lease *sender,
    const struct address *from, size_t size, int64_t now_ms, struct fault *ret_fault)
{
    struct address prefix = address_prefix(from);
    size_t sender_count = 1, sender_bytes = size, prefix_count = 1, prefix_bytes = size;

    for (struct link *at = box->mails.next; at != &box->mails; at = at->next) {
        const struct mail *mail = container_of(at, struct mail, link);
        if (!strcmp(mail->from, sender->id)) {
            sender_count++;
            sender_bytes += mail->body_size;
        }
        if (!mail_is_from_index(mail) && address_equal(&mail->from_prefix, &prefix)) {
            prefix_count++;
            prefix_bytes += mail->body_size;
        }
    }
    const char *why = NULL;
    if (box->count + 1 > LIMIT_BOX_MESSAGES || box->bytes + size > LIMIT_BOX_BYTES)
        why = "it is full";
    else if (sender_count > LIMIT_BOX_SENDER_MESSAGES || sender_bytes > LIMIT_BOX_SENDER_BYTES)
        why = "it holds as much of yours as one sender may leave";
    else if (prefix_count > LIMIT_BOX_MESSAGES / 2 || prefix_bytes > LIMIT_BOX_BYTES / 2)
        why = "it holds as much from your address as one address may leave";
    if (!why)
        return 0;
    metrics_add(METRIC_LIMIT_MAILBOX, 1);
    fault_set(ret_fault, ERROR_MAILBOX_FULL,
        "the mailbox of %s takes no more now: %s; wait until it is read or messages expire",
        box->lease->id, why);
    ret_fault->retry_after_s = box_retry_after(box, now_ms);
    ret_fault->action = "retry";
    return ERROR_MAILBOX_FULL;
}

static int check_send(struct index *index, const struct caller *caller,
    const struct send_request *request, struct lease **ret_sender, struct fault *ret_fault)
{
    int error = index_may_write(index, ret_fault);

    if (!error)
        error = lease_of_caller(index, caller, ret_sender, ret_fault);
    if (!error && request->body_size > LIMIT_MESSAGE_BYTES)
        error = fault_set(ret_fault, ERROR_TOO_LARGE, "the message has %zu bytes: at most %d",
            request->body_size, LIMIT_MESSAGE_BYTES);
    if (!error)
        error = id_check("the recipient", request->to, ret_fault);
    if (!error)
        error = id_check("the message id", request->id, ret_fault);
    if (!error && request->session)
        error = id_check("the session", request->session, ret_fault);
    if (!error)
        error = check_type(request->type, ret_fault);
    return error;
}

/* Has the address its share of all messages already? */
static int check_share(struct index *index, const struct caller *caller, struct fault *ret_fault)
{
    if (caller->exempt)
        return 0;
    struct source *source =
        source_hold(index->config.sources, &caller->address, index_now_ms(index));
    size_t mails = source ? source->mails : 0;
    source_release(index->config.sources, source);
    if (mails < LIMIT_MAIL_MESSAGES_PER_ADDRESS)
        return 0;
    metrics_add(METRIC_LIMIT_MESSAGES, 1);
    fault_set(ret_fault, ERROR_RATE_LIMITED,
        "your address sent %zu messages that are still kept or remembered: wait, or give them a "
        "shorter ttl",
        mails);
    ret_fault->retry_after_s = LIMIT_RETRY_MEMORY_S;
    ret_fault->action = "retry";
    return ERROR_RATE_LIMITED;
}

/* Is there room for one more, in all and in the network? */
static int check_mail_room(
    const struct index *index, const struct network *network, size_t size, struct fault *ret_fault)
{
    bool is_network = network->mails >= LIMIT_MAIL_MESSAGES_PER_NETWORK ||
                      network->mail_bytes + (int64_t)size > LIMIT_MAIL_BYTES_PER_NETWORK;
    bool is_index = index->mail_count >= LIMIT_MAIL_MESSAGES ||
                    index->mail_bytes + (int64_t)size > LIMIT_MAIL_BYTES;

    if (!is_network && !is_index)
        return 0;
    metrics_add(METRIC_LIMIT_MESSAGES, 1);
    fault_set(ret_fault, is_index ? ERROR_INDEX_FULL : ERROR_NETWORK_FULL,
        "the %s holds too many messages: try again", is_index ? "index" : "network");
    ret_fault->retry_after_s = LIMIT_RETRY_MEMORY_S;
    return ret_fault->error;
}

/* The box of a live recipient with room in it. */
static int find_box(struct index *index, const struct caller *caller, const struct lease *sender,
    const struct send_request *request, struct box **ret_box, struct fault *ret_fault)
{
    struct lease *recipient = lease_find(index, sender->network, request->to);

    if (!recipient)
        return fault_set(ret_fault, ERROR_UNKNOWN_NODE,
            "%s is not registered in your network now: it left or its lease ran out", request->to);
    int error = check_mail_room(index, sender->network, request->body_size, ret_fault);
    if (!error)
        error = check_share(index, caller, ret_fault);
    if (error)
        return error;
    struct box *box = box_of(index, recipient);
    if (!box)
        return fault_busy(ret_fault, ERROR_NO_MEMORY);
    error = check_quota(
        box, sender, &caller->address, request->body_size, index_now_ms(index), ret_fault);
    if (!error)
        *ret_box = box;
    return error;
}

void index_send(struct index *index, const struct caller *caller,
    const struct send_request *request, sent_done done, void *user)
{
    struct fault fault = {0};
    struct lease *sender;
    struct box *box = NULL;
    struct sending *sending = NULL;
    uint8_t hash[STORE_HASH_SIZE];
    int64_t now_ms = index_now_ms(index);

    if (check_send(index, caller, request, &sender, &fault))
        goto refused;
    int ttl_s = request->ttl_s ? request->ttl_s : type_ttl(request->type);
    hash_content(request, sender, ttl_s, hash);
    sending = malloc(sizeof *sending);
    if (!sending) {
        fault_busy(&fault, ERROR_NO_MEMORY);
        goto refused;
    }
    sending->done = done;
    sending->user = user;
    struct mail *mail = mail_find(index, sender, request->to, request->id);
    if (mail && memcmp(mail->content_hash, hash, STORE_HASH_SIZE) != 0) {
        fault_set(&fault, ERROR_MESSAGE_ID_REUSED,
            "you sent another message with the id %s to %s: use a new id", request->id,
            request->to);
        goto refused;
    }
    if (mail) {
        int64_t left_ms = mail->expires_ms > now_ms ? mail->expires_ms - now_ms : 0;
        sending->result = (struct sent){mail->seq, mail->handed, (double)left_ms / 1000};
        index->store->f->barrier(index->store, sending_done, sending);
        return;
    }
    if (find_box(index, caller, sender, request, &box, &fault))
        goto refused;
    int remember_s = ttl_s > LIMIT_RETRY_MEMORY_S ? ttl_s : LIMIT_RETRY_MEMORY_S;
    struct store_message message = {
        .from = sender->id,
        .from_address = caller->address,
        .id = request->id,
        .session = request->session ? request->session : "",
        .type = request->type,
        .expires_ms = now_ms + ttl_s * 1000LL,
        .forget_ms = now_ms + remember_s * 1000LL,
        .body = request->body,
        .body_size = request->body_size,
    };
    memcpy(message.content_hash, hash, STORE_HASH_SIZE);
    mail = box_put(index, box, &message, sending_done, sending);
    if (!mail) {
        fault_busy(&fault, ERROR_NO_MEMORY);
        goto refused;
    }
    metrics_add(mail->handed ? METRIC_MAIL_HANDED : METRIC_MAIL_QUEUED, 1);
    /* The store answers after the commit, so the result may still be filled in. */
    sending->result = (struct sent){mail->seq, mail->handed, ttl_s};
    return;

refused:
    free(sending);
    done(&fault, NULL, user);
}
