#include "index/internal.h"

#include "metrics.h"
#include "server_limits.h"

#include <stdlib.h>
#include <string.h>

#define UNDELIVERABLE_BODY_SIZE 512

/* --- mails in memory ------------------------------------------------------------------------- */

/* A retry comes from the same token, not just from the same id: another node may have that now. */
struct retry_key {
    const struct lease *sender;
    const char *to, *id;
};

static bool is_from(const struct mail *mail, const struct lease *sender)
{
    return !memcmp(mail->content_hash, sender->token_hash, MAIL_SENDER_HASH_SIZE);
}

static bool same_retry(const void *item, const void *key)
{
    const struct mail *mail = item;
    const struct retry_key *wanted = key;
    return mail->network == wanted->sender->network->number && is_from(mail, wanted->sender) &&
           !strcmp(mail->from, wanted->sender->id) && !strcmp(mail->id, wanted->id) &&
           !strcmp(mail->to, wanted->to);
}

static uint64_t retry_hash(int64_t network, const char *from, const char *to, const char *id)
{
    return table_hash_pair(table_hash_pair(table_hash_pair((uint64_t)network, from), to), id);
}

struct mail *mail_find(
    const struct index *index, const struct lease *sender, const char *to, const char *id)
{
    struct retry_key key = {sender, to, id};
    return table_find(
        &index->retries, retry_hash(sender->network->number, sender->id, to, id), same_retry, &key);
}

bool mail_is_from_index(const struct mail *mail)
{
    return !mail->from[0];
}

static void count_bytes(struct index *index, const struct mail *mail, int64_t bytes)
{
    index->mail_bytes += bytes;
    if (mail->home)
        mail->home->mail_bytes += bytes;
}

static void mail_leave_box(struct index *index, struct mail *mail)
{
    struct box *box = mail->box;

    if (!box)
        return;
    link_remove(&mail->link);
    if (mail_is_from_index(mail)) {
        box->undeliverable--;
    } else {
        box->count--;
        box->bytes -= mail->body_size;
    }
    count_bytes(index, mail, -(int64_t)mail->body_size);
    mail->box = NULL;
}

void mail_free(struct index *index, struct mail *mail)
{
    mail_leave_box(index, mail);
    link_remove(&mail->all);
    timer_stop(index, &mail->timer);
    if (!mail_is_from_index(mail))
        table_remove(
            &index->retries, retry_hash(mail->network, mail->from, mail->to, mail->id), mail);
    if (mail->source) {
        mail->source->mails--;
        source_release(index->config.sources, mail->source);
    }
    index->mail_count--;
    if (mail->home)
        mail->home->mails--;
    free(mail);
}

/* Removes the message from its box; what is kept for retries has no body any more. */
static void mail_spend(struct index *index, struct mail *mail)
{
    bool keep = !mail_is_from_index(mail) && mail->forget_ms > index_now_ms(index);

    mail_leave_box(index, mail);
    index->store->f->mark_message(
        index->store, mail->number, keep ? STORE_SPENT : STORE_FORGET, NULL, NULL);
    if (keep)
        timer_set(index, &mail->timer, mail->forget_ms);
    else
        mail_free(index, mail);
}

/* What the store is to know of a box once messages have left it: those in it say it no more. */
static void box_keep(struct index *index, const struct box *box)
{
    index->store->f->put_box(
        index->store, &(struct store_box){box->lease->number, box->seq, box->acked}, NULL, NULL);
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
    metrics_add(METRIC_MAIL_EXPIRED, !mail_is_from_index(mail));
    if (!mail->given)
        tell_sender(index, mail, false);
    box_keep(index, mail->box);
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

struct mail *mail_add(
    struct index *index, const struct store_message *message, struct network *home, struct box *box)
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
    if (!mail_is_from_index(mail) &&
        table_add(
            &index->retries, retry_hash(mail->network, mail->from, mail->to, mail->id), mail)) {
        timer_stop(index, &mail->timer);
        free(mail);
        return NULL;
    }
    if (message->from_address.family)
        mail->source =
            source_hold(index->config.sources, &message->from_address, index_now_ms(index));
    if (mail->source)
        mail->source->mails++;
    link_add(&index->mails, &mail->all);
    index->mail_count++;
    mail->home = home;
    if (home)
        home->mails++;
    if (box) {
        mail->box = box;
        link_add(&box->mails, &mail->link);
        if (mail_is_from_index(mail)) {
            box->undeliverable++;
        } else {
            box->count++;
            box->bytes += mail->body_size;
        }
        count_bytes(index, mail, (int64_t)mail->body_size);
        if (box->seq < mail->seq)
            box->seq = mail->seq;
    }
    timer_set(index, &mail->timer, box ? mail->expires_ms : mail->forget_ms);
    return mail;
}

/* --- boxes ----------------------------------------------------------------------------------- */

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
        metrics_add(METRIC_MAIL_GONE, !mail_is_from_index(mail));
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
        metrics_add(METRIC_MAIL_ACKNOWLEDGED, !mail_is_from_index(mail));
        mail_spend(index, mail);
    }
    box->acked = seq;
    box_keep(index, box);
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

/* --- putting a message into a box ------------------------------------------------------------ */

struct mail *box_put(struct index *index, struct box *box, struct store_message *message,
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
    mail = mail_add(index, message, box->lease->network, box);
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

    if (mail_is_from_index(mail))
        return;
    sender = lease_find(index, recipient->network, mail->from);
    if (!sender || !is_from(mail, sender))
        return;
    if (sender == recipient && recipient_leaves)
        return;
    box = box_of(index, sender);
    if (!box || box->undeliverable >= LIMIT_BOX_UNDELIVERABLE)
        return;
    metrics_add(METRIC_MAIL_UNDELIVERABLE, 1);
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
        .type = MAIL_UNDELIVERABLE,
        .expires_ms = expires_ms,
        .forget_ms = expires_ms,
        .body = body,
        .body_size = size,
    };
    box_put(index, box, &message, NULL, NULL);
}
