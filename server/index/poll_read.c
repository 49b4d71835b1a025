#include "index/poll.h"

#include <string.h>

/* --- what there is to say -------------------------------------------------------------------- */

static struct cursor list_cursor(const struct poll *poll)
{
    if (poll->network)
        return (struct cursor){poll->network->epoch, poll->network->seq};
    return (struct cursor){network_unborn_epoch(poll->index, poll->network_name), 0};
}

bool list_is_news(const struct poll *poll)
{
    struct cursor now = list_cursor(poll), since = poll->request.since;
    return poll->request.list && (!poll->request.has_since || !cursor_equal(since, now));
}

/* May it hear of the list now? What answers no wait may always speak. */
static bool list_may_speak(const struct poll *poll)
{
    return !poll->request.has_since || poll->request.wait_s <= 0 ||
           index_now_ms(poll->index) >= poll->not_before_ms;
}

static bool mail_is_news(const struct poll *poll)
{
    if (!poll->request.mail || !poll->lease)
        return false;
    return poll->result.mail_reset ||
           box_first_after(poll->lease->box, poll->mail_after, index_now_ms(poll->index));
}

bool poll_has_news(const struct poll *poll)
{
    return mail_is_news(poll) || (list_is_news(poll) && list_may_speak(poll));
}

/* --- answering: the mailbox, after the list -------------------------------------------------- */

static bool mail_row(const struct store_message *row, void *user)
{
    struct poll *poll = user;
    struct box *box = poll->lease ? poll->lease->box : NULL;
    int64_t now_ms = index_now_ms(poll->index);

    if (!box)
        return false;
    struct mail *mail = box_first_after(box, row->seq - 1, now_ms);
    if (!mail || mail->seq != row->seq)
        return true; /* it has expired, though nobody has swept it away yet */
    struct message_view view = {
        .seq = row->seq,
        .id = row->id,
        .from = row->from[0] ? row->from : NULL,
        .from_address = row->from_address,
        .session = row->session[0] ? row->session : NULL,
        .type = row->type,
        .body = row->body,
        .body_size = row->body_size,
        .sent_wall_ms = row->sent_wall_ms,
        .expires_in_s = (double)(mail->expires_ms - now_ms) / 1000,
    };
    if (!poll->request.on_message(&view, poll->user))
        return false;
    poll->rows++;
    poll->result.next.seq = row->seq;
    poll->gave |= !mail->given;
    return true;
}

/* Marks what went out. A message may have left the box since it was read. In the pause after a loss
 * only memory knows: at worst a sender is told of a message that was read. */
static void mark_given(struct poll *poll)
{
    struct index *index = poll->index;
    struct box *box = poll->lease->box;
    int64_t now_ms = index_now_ms(index);
    struct fault pause;
    bool may_write = !index_may_write(index, &pause);

    for (struct link *at = box->mails.next; at != &box->mails; at = at->next) {
        struct mail *mail = container_of(at, struct mail, link);
        if (mail->seq > poll->result.next.seq)
            break;
        if (mail->given || mail->expires_ms <= now_ms)
            continue;
        mail->given = true;
        if (may_write)
            index->store->f->mark_message(index->store, mail->number, STORE_GIVEN, NULL, NULL);
    }
}

static void mail_read(int error, void *user)
{
    struct poll *poll = user;

    if (error) {
        poll_committed(error, poll);
        return;
    }
    if (poll->gave && poll->lease)
        mark_given(poll);
    poll_answer(poll);
}

/* The numbers of what it may be given. */
static size_t list_mail(const struct poll *poll, int64_t ret_numbers[LIMIT_MAIL_MAX_MESSAGES])
{
    const struct box *box = poll->lease->box;
    int64_t now_ms = index_now_ms(poll->index);
    size_t count = 0;

    for (struct link *at = box->mails.next; at != &box->mails; at = at->next) {
        const struct mail *mail = container_of(at, struct mail, link);
        if (count == poll->request.mail_limit || count == LIMIT_MAIL_MAX_MESSAGES)
            break;
        if (mail->seq > poll->mail_after && mail->expires_ms > now_ms)
            ret_numbers[count++] = mail->number;
    }
    return count;
}

static void read_mail(struct poll *poll)
{
    struct store *store = poll->index->store;
    int64_t numbers[LIMIT_MAIL_MAX_MESSAGES];

    if (!poll->lease) {
        poll_answer(poll);
        return;
    }
    poll->result.next = (struct cursor){poll->lease->box->epoch, poll->mail_after};
    poll->rows = 0;
    size_t count = list_mail(poll, numbers);
    if (count)
        store->f->read_messages(store, numbers, count, mail_row, mail_read, poll);
    else
        poll_answer(poll);
}

/* --- answering: the list --------------------------------------------------------------------- */

static void list_read(int error, void *user)
{
    struct poll *poll = user;

    if (error)
        poll_committed(error, poll);
    else if (poll->request.mail)
        read_mail(poll);
    else
        poll_answer(poll);
}

static struct poll_delta delta_to(const struct poll *poll, struct cursor cursor)
{
    return (struct poll_delta){
        poll->network_name, poll->request.since, cursor, poll->request.list_limit};
}

/* Is it one of many, perhaps, that are told the same? */
static bool is_shared(const struct poll *poll)
{
    return poll->request.keep_delta && !poll->request.match && poll->request.wait_s > 0;
}

static bool take_delta(struct poll *poll)
{
    struct poll_delta delta = delta_to(poll, list_cursor(poll));
    return is_shared(poll) && poll->request.take_delta(&delta, poll->user);
}

static void changes_read(int error, void *user)
{
    struct poll *poll = user;

    if (!error && !poll->result.more && is_shared(poll)) {
        struct poll_delta delta = delta_to(poll, poll->result.cursor);
        poll->request.keep_delta(&delta, poll->user);
    }
    list_read(error, poll);
}

/* There is more than this page takes; a whole list goes on after that id. */
static bool end_page(struct poll *poll, const char *after)
{
    poll->result.more = true;
    poll->result.after = after;
    return false;
}

static bool list_row(
    const struct store_node *node, const struct store_tombstone *tombstone, void *user)
{
    struct poll *poll = user;
    const struct poll_request *request = &poll->request;
    bool changes = request->has_since && !poll->result.reset;
    bool matches = node && (!request->match || request->match(node->meta, poll->user));

    if (!changes && poll->looked_at++ >= LIMIT_LIST_SCAN_NODES)
        return end_page(poll, poll->after_id);
    if (matches || changes) {
        if (poll->full || poll->rows >= request->list_limit)
            return end_page(poll, changes ? NULL : poll->after_id);
        poll->rows++;
    }
    if (!changes && node)
        strcpy(poll->after_id, node->id);
    const struct lease *lease = matches ? lease_find(poll->index, poll->network, node->id) : NULL;
    if (lease) {
        struct node_view view;
        lease_view(poll->index, lease, node, &view);
        poll->full = !request->on_node(&view, poll->user);
    } else if (changes) {
        request->on_gone(node ? node->id : tombstone->id, poll->user);
    }
    if (changes)
        poll->result.cursor.seq = node ? node->seq : tombstone->seq;
    return true;
}

static void read_list(struct poll *poll)
{
    struct store *store = poll->index->store;
    struct network *network = poll->network;
    const struct poll_request *request = &poll->request;
    struct poll_result *result = &poll->result;

    result->cursor = list_cursor(poll);
    if (!list_is_news(poll) || !list_may_speak(poll)) {
        result->cursor = request->since;
        list_read(0, poll);
        return;
    }
    result->reset =
        request->has_since &&
        (request->since.epoch != result->cursor.epoch || request->since.seq > result->cursor.seq ||
            request->since.seq < network->horizon || network->pruning);
    result->list_changed = request->has_since;
    bool known =
        !request->has_since && request->is_known && request->is_known(&result->cursor, poll->user);
    if (!network || !network->stored || known) {
        list_read(0, poll);
    } else if (request->has_since && !result->reset) {
        /* With no row at all the cursor moves on too: what changed has changed again since. */
        if (take_delta(poll))
            list_read(0, poll);
        else
            store->f->list_changes(
                store, network->number, request->since.seq, list_row, changes_read, poll);
    } else {
        char after_id[sizeof poll->after_id];
        strcpy(after_id, result->reset ? "" : poll->after_id); /* which moves on with each row */
        store->f->list_nodes(store, network->number, after_id, list_row, list_read, poll);
    }
}

void poll_read(struct poll *poll)
{
    poll_unpark(poll);
    if (poll->request.list)
        read_list(poll);
    else
        read_mail(poll);
}
