#include "index/internal.h"

#include "server_limits.h"

#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#define UNDELIVERABLE "undeliverable"
#define UNDELIVERABLE_BODY_SIZE 512

/* How long a message of that type is worth something, where the sender does not say. */
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

/* --- mails in memory ---------------------------------------------------------------------------
 */

struct retry_key {
    int64_t network;
    const char *from, *to, *id;
};

static bool same_retry(const void *item, const void *key)
{
    const struct mail *mail = item;
    const struct retry_key *wanted = key;
    return mail->network == wanted->network && !strcmp(mail->id, wanted->id) &&
           !strcmp(mail->from, wanted->from) && !strcmp(mail->to, wanted->to);
}

static uint64_t retry_hash(int64_t network, const char *from, const char *to, const char *id)
{
    return table_hash_pair(table_hash_pair(table_hash_pair((uint64_t)network, from), to), id);
}

static bool from_index(const struct mail *mail)
{
    return !mail->from[0];
}

static void mail_leave_box(struct index *index, struct mail *mail)
{
    struct box *box = mail->box;

    if (!box)
        return;
    link_remove(&mail->link);
    if (from_index(mail)) {
        box->undeliverable--;
    } else {
        box->count--;
        box->bytes -= mail->body_size;
    }
    index->mail_bytes -= (int64_t)mail->body_size;
    mail->box = NULL;
}

void mail_free(struct index *index, struct mail *mail)
{
    mail_leave_box(index, mail);
    link_remove(&mail->all);
    timer_stop(index, &mail->timer);
    if (!from_index(mail))
        table_remove(
            &index->retries, retry_hash(mail->network, mail->from, mail->to, mail->id), mail);
    index->mail_count--;
    free(mail);
}

/* Removes the message from its box; what is kept for retries has no body any more. */
static void mail_spend(struct index *index, struct mail *mail)
{
    bool keep = !from_index(mail) && mail->forget_ms > index_now_ms(index);

    mail_leave_box(index, mail);
    index->store->f->mark_message(
        index->store, mail->number, keep ? STORE_SPENT : STORE_FORGET, NULL, NULL);
    if (keep)
        timer_set(index, &mail->timer, mail->forget_ms);
    else
        mail_free(index, mail);
}

static void tell_sender(struct index *index, const struct mail *mail, bool recipient_leaves);

static void mail_fire(struct index *index, struct timer *timer)
{
    struct mail *mail = container_of(timer, struct mail, timer);

    if (!mail->box) {
        index->store->f->mark_message(index->store, mail->number, STORE_FORGET, NULL, NULL);
        mail_free(index, mail);
        return;
    }
    if (!mail->given)
        tell_sender(index, mail, false);
    mail_spend(index, mail);
}

static const char *copy_string(char **at, const char *string)
{
    char *copy = *at;
    size_t size = strlen(string) + 1;
    memcpy(copy, string, size);
    *at += size;
    return copy;
}

struct mail *mail_add(struct index *index, const struct store_message *message, struct box *box)
{
    size_t strings = strlen(message->from) + strlen(message->to) + strlen(message->id) +
                     strlen(message->session) + strlen(message->type) + 5;
    struct mail *mail = calloc(1, sizeof *mail + strings);

    if (!mail)
        return NULL;
    char *at = mail->strings;
    mail->from = copy_string(&at, message->from);
    mail->to = copy_string(&at, message->to);
    mail->id = copy_string(&at, message->id);
    mail->session = copy_string(&at, message->session);
    mail->type = copy_string(&at, message->type);
    mail->number = message->number;
    mail->network = message->network;
    mail->seq = message->seq;
    mail->expires_ms = message->expires_ms;
    mail->forget_ms = message->forget_ms;
    mail->body_size = message->body_size;
    mail->from_prefix = address_prefix(&message->from_address);
    memcpy(mail->content_hash, message->content_hash, STORE_HASH_SIZE);
    mail->handed = message->handed;
    mail->given = message->mark == STORE_GIVEN;
    mail->timer.fire = mail_fire;
    if (timer_start(index, &mail->timer)) {
        free(mail);
        return NULL;
    }
    if (!from_index(mail) && table_add(&index->retries,
                                 retry_hash(mail->network, mail->from, mail->to, mail->id), mail)) {
        timer_stop(index, &mail->timer);
        free(mail);
        return NULL;
    }
    link_add(&index->mails, &mail->all);
    index->mail_count++;
    if (box) {
        mail->box = box;
        link_add(&box->mails, &mail->link);
        if (from_index(mail)) {
            box->undeliverable++;
        } else {
            box->count++;
            box->bytes += mail->body_size;
        }
        index->mail_bytes += (int64_t)mail->body_size;
        if (box->seq < mail->seq)
            box->seq = mail->seq;
    }
    timer_set(index, &mail->timer, box ? mail->expires_ms : mail->forget_ms);
    return mail;
}

/* --- boxes ---------------------------------------------------------------------------------------
 */

struct box *box_of(struct index *index, struct lease *lease)
{
    if (lease->box)
        return lease->box;
    struct box *box = calloc(1, sizeof *box);
    if (!box)
        return NULL;
    box->lease = lease;
    link_init(&box->mails);
    /* The same again after a restart, another for the next node of that id. */
    uint8_t seed[STORE_HASH_SIZE + sizeof lease->registered_wall_ms];
    memcpy(seed, lease->token_hash, STORE_HASH_SIZE);
    memcpy(seed + STORE_HASH_SIZE, &lease->registered_wall_ms, sizeof lease->registered_wall_ms);
    box->epoch = index_derive_epoch(index, (uint64_t)lease->number, seed, sizeof seed);
    lease->box = box;
    return box;
}

void box_free(struct index *index, struct box *box)
{
    while (!link_empty(&box->mails))
        mail_free(index, container_of(box->mails.next, struct mail, link));
    box->lease->box = NULL;
    free(box);
}

void box_close(struct index *index, struct box *box)
{
    while (!link_empty(&box->mails)) {
        struct mail *mail = container_of(box->mails.next, struct mail, link);
        tell_sender(index, mail, true);
        mail_spend(index, mail);
    }
}

void box_ack(struct index *index, struct box *box, uint64_t seq)
{
    if (seq <= box->acked)
        return;
    while (!link_empty(&box->mails)) {
        struct mail *mail = container_of(box->mails.next, struct mail, link);
        if (mail->seq > seq)
            break;
        mail_spend(index, mail);
    }
    box->acked = seq;
    index->store->f->put_box(
        index->store, &(struct store_box){box->lease->number, box->seq, box->acked}, NULL, NULL);
}

size_t box_waiting(const struct box *box)
{
    return box ? box->count + box->undeliverable : 0;
}

struct mail *box_first_after(const struct box *box, uint64_t seq, int64_t now_ms)
{
    for (struct link *at = box->mails.next; at != &box->mails; at = at->next) {
        struct mail *mail = container_of(at, struct mail, link);
        if (mail->seq > seq && mail->expires_ms > now_ms)
            return mail;
    }
    return NULL;
}

/* --- putting a message into a box ------------------------------------------------------------- */

/* Completes the message (its numbers, times in ms of the loop's clock, whether a reader takes it),
 * keeps it in memory and gives it to the store. NULL: no memory, and nothing was done. */
static struct mail *box_put(struct index *index, struct box *box, struct store_message *message,
    store_done done, void *user)
{
    struct mail *mail;

    message->number = index->next_message;
    message->box = box->lease->number;
    message->network = box->lease->network->number;
    message->seq = box->seq + 1;
    message->to = box->lease->id;
    message->sent_wall_ms = clock_wall_ms(index->config.clock);
    message->mark = STORE_QUEUED;
    mail = mail_add(index, message, box);
    if (!mail)
        return NULL;
    index->next_message++;
    message->handed = mail->handed = poll_wake_reader(index, box->lease);
    if (mail->handed) {
        /* It goes out with the commit: one write less than marking it then. */
        mail->given = true;
        message->mark = STORE_GIVEN;
    }
    message->expires_ms += index->wall_offset_ms;
    message->forget_ms += index->wall_offset_ms;
    index->store->f->put_message(index->store, message, done, user);
    polls_answer_after_commit(index);
    return mail;
}

/* Tells a sender that is still there that its message has come to nothing. */
static void tell_sender(struct index *index, const struct mail *mail, bool recipient_leaves)
{
    struct lease *recipient = mail->box->lease;
    struct lease *sender;
    struct box *box = NULL;
    char id[37], body[UNDELIVERABLE_BODY_SIZE];

    if (from_index(mail))
        return;
    sender = lease_find(index, recipient->network, mail->from);
    /* Another node may have come under the sender's id since. */
    if (!sender || sender->number != mail->sender)
        return;
    if (sender == recipient && recipient_leaves)
        return;
    box = box_of(index, sender);
    if (!box || box->undeliverable >= LIMIT_BOX_UNDELIVERABLE)
        return;
    index_make_uuid(id);
    const char *reason = recipient_leaves ? "gone" : "expired";
    size_t size = index->config.undeliverable_body(
        &(struct index_undeliverable){mail->id, mail->to, mail->session, mail->type, reason}, body,
        sizeof body);
    int64_t expires_ms = index_now_ms(index) + LIMIT_UNDELIVERABLE_TTL_S * 1000LL;
    struct store_message message = {
        .from = "",
        .id = id,
        .session = mail->session,
        .type = UNDELIVERABLE,
        .expires_ms = expires_ms,
        .forget_ms = expires_ms,
        .body = body,
        .body_size = size,
    };
    box_put(index, box, &message, NULL, NULL);
}

/* --- send
 * ------------------------------------------------------------------------------------------ */

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
    if (!strcmp(type, UNDELIVERABLE))
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

/* The token is part of it: whoever takes over a sender's id is answered for its own messages only.
 */
static void hash_content(const struct send_request *request, const struct lease *sender, int ttl_s,
    uint8_t ret_hash[STORE_HASH_SIZE])
{
    struct sha256_ctx context;

    sha256_init(&context);
    sha256_update(&context, STORE_HASH_SIZE, sender->token_hash);
    hash_part(&context, request->type);
    hash_part(&context, request->session ? request->session : "");
    sha256_update(&context, sizeof ttl_s, (const uint8_t *)&ttl_s);
    sha256_update(&context, request->body_size, (const uint8_t *)request->body);
    sha256_digest(&context, STORE_HASH_SIZE, ret_hash);
}

/* The seconds until the first message leaves the box: when it is worth trying again. */
static int box_retry_after(const struct box *box, int64_t now_ms)
{
    int64_t first_ms = now_ms + LIMIT_MESSAGE_TTL_MAX_S * 1000LL;

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
        if (!from_index(mail) && address_equal(&mail->from_prefix, &prefix)) {
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

/* The box of a live recipient with room in it. */
static int find_box(struct index *index, const struct caller *caller, const struct lease *sender,
    const struct send_request *request, struct box **ret_box, struct fault *ret_fault)
{
    struct lease *recipient = lease_find(index, sender->network, request->to);

    if (!recipient)
        return fault_set(ret_fault, ERROR_UNKNOWN_NODE,
            "%s is not registered in your network now: it left or its lease ran out", request->to);
    if (index->mail_count >= LIMIT_MAIL_MESSAGES ||
        index->mail_bytes + (int64_t)request->body_size > LIMIT_MAIL_BYTES) {
        fault_set(ret_fault, ERROR_INDEX_FULL, "the index holds too many messages: try again");
        ret_fault->retry_after_s = LIMIT_RETRY_MEMORY_S;
        return ERROR_INDEX_FULL;
    }
    struct box *box = box_of(index, recipient);
    if (!box)
        return fault_busy(ret_fault, ERROR_NO_MEMORY);
    int error = check_quota(
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
    struct retry_key key = {sender->network->number, sender->id, request->to, request->id};
    struct mail *mail = table_find(
        &index->retries, retry_hash(key.network, key.from, key.to, key.id), same_retry, &key);
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
    mail->sender = sender->number;
    /* The store answers after the commit, so the result may still be filled in. */
    sending->result = (struct sent){mail->seq, mail->handed, ttl_s};
    return;

refused:
    free(sending);
    done(&fault, NULL, user);
}
