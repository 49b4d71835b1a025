/* What polls.c (asking, waiting, waking) and poll_read.c (what there is to say, and saying it)
 * share. */
#ifndef SIGNPOST_INDEX_POLL_H
#define SIGNPOST_INDEX_POLL_H

#include "index/internal.h"

#include "server_limits.h"

/*
 * A poll is asked, perhaps parked, answered once and freed. While it is parked it stands in the
 * list of the network that it watches, is the reader of the mailbox that it reads, and has a timer.
 * A change moves it to the woken ones, which are answered after the commit. Answering reads the
 * store: first the list, then the mailbox; each read completes at once, or after the commit of an
 * open batch.
 */
struct poll {
    struct timer timer;
    struct index *index;
    struct poll_request request;
    poll_done done;
    void *user;
    struct link parked;        /* in the index, while it waits */
    struct link watching;      /* in the network, or among the woken */
    struct link of_lease;      /* in the lease */
    enum credential_kind kind; /* of the caller, and its hash */
    uint8_t credential[STORE_HASH_SIZE];
    struct network *network; /* held; NULL: no list is read, or the network has never had a node */
    struct lease *lease;     /* whose mailbox is read; NULL: none is, or it is gone */
    bool woken;              /* stands among the woken */
    bool postponed;          /* is to be answered, and waits for room only */
    bool calling;            /* index_poll() has not returned yet */
    bool finished;           /* during that call */
    bool full;               /* the page is full: one more row only sets `more` */
    bool gave;               /* messages went out that are to be marked as given */
    size_t rows;
    size_t looked_at; /* rows of a whole list, matching or not */
    size_t expected;  /* messages put for it while it waits */
    int64_t deadline_ms;
    int64_t not_before_ms; /* it does not hear of changes in the list before */
    uint64_t mail_after;   /* messages past this seq are of interest */
    int error;             /* what it will be answered, or 0 */
    struct poll_result result;
    char network_name[LIMIT_ID_CHARS + 1];
    char after_id[LIMIT_ID_CHARS + 1]; /* of a whole list: the last node looked at, or before it */
};

/* --- polls.c --------------------------------------------------------------------------------- */

void poll_unpark(struct poll *poll); /* not parked: nothing to do */

/* Answers what was put together, or its error, once all that it speaks of is committed. */
void poll_answer(struct poll *poll);
void poll_committed(int error, void *user); /* the store_done of a poll */

/* --- poll_read.c ----------------------------------------------------------------------------- */

bool list_is_news(const struct poll *poll);  /* whether or not it may be told now */
bool poll_has_news(const struct poll *poll); /* that may be told now */
void poll_read(struct poll *poll);           /* answers now, with what there is */

#endif
