/*
 * Every cap on what a stranger can make the index hold, with its unit in its name. Those that are
 * options (server/options.c) have DEFAULT in theirs.
 */
#ifndef SIGNPOST_LIMITS_H
#define SIGNPOST_LIMITS_H

/* names and values */
#define LIMIT_ID_CHARS 64        /* node ids, networks, message ids, sessions */
#define LIMIT_TYPE_CHARS 32      /* message types */
#define LIMIT_TOKEN_CHARS 43     /* base64url of 256 bits, without padding */
#define LIMIT_ENDPOINTS 10       /* of one node, as announced */
#define LIMIT_ENDPOINT_CHARS 300 /* of one endpoint */
#define LIMIT_SCHEME_CHARS 32    /* of an endpoint's scheme */
#define LIMIT_META_BYTES 4096
#define LIMIT_REACH_BYTES 1024
#define LIMIT_KEPT_DEPTH 100 /* nesting of meta, reach and bodies: readers have limits too */
#define LIMIT_FILTERS 8      /* meta.<key>=<value> in one query */

#define LIMIT_NETWORKS 100000
#define LIMIT_NETWORKS_PER_ADDRESS                                                                 \
    1024 /* made by its nodes, the empty ones of the last hour too                                 \
          */

/* join keys */
#define LIMIT_KEYS 10000
#define LIMIT_KEYS_FILE_BYTES (2 * 1024 * 1024)

/* TLS */
#define LIMIT_TLS_CHAIN 16          /* certificates in the file of one */
#define LIMIT_TLS_FILE_BYTES 262144 /* of a certificate's or key's */

/* leases and polls */
#define LIMIT_TTL_DEFAULT_S 30
#define LIMIT_TTL_MIN_S 5
#define LIMIT_TTL_MAX_S 7200
#define LIMIT_WAIT_MAX_S 55
#define LIMIT_LIST_DEFAULT_NODES 200
#define LIMIT_LIST_MAX_NODES 1000
#define LIMIT_LIST_SCAN_NODES 2000     /* looked at for one page of a filtered list */
#define LIMIT_PAGE_BYTES (1024 * 1024) /* a list's page ends past it, a mailbox's before it */
#define LIMIT_HEAR_EVERY_MS 100        /* one node or connection hears of the list this often */
#define LIMIT_EXPIRE_BATCH 256         /* leases or messages ended in one turn of the loop */
#define LIMIT_TOMBSTONE_S 3600
#define LIMIT_TOMBSTONES 10000      /* of one network */
#define LIMIT_TOMBSTONES_SLACK 1000 /* so many past that before the oldest are forgotten */
#define LIMIT_PRUNE_EVERY_MS 600000 /* how often a network's tombstones are looked at */
#define LIMIT_DROP_AFTER_MS 60000   /* when an empty network without any is forgotten */

/* mailboxes */
#define LIMIT_MESSAGE_BYTES 65536 /* of one body */
#define LIMIT_BOX_MESSAGES 64
#define LIMIT_BOX_BYTES (256 * 1024)
#define LIMIT_BOX_SENDER_MESSAGES 16 /* of these, from one sender */
#define LIMIT_BOX_SENDER_BYTES (64 * 1024)
#define LIMIT_BOX_RETRY_S                                                                          \
    2 /* a sender that finds a mailbox full is told to wait at most so long                        \
       */
#define LIMIT_BOX_UNDELIVERABLE 128 /* outside the quotas; the newest past this are dropped */
#define LIMIT_MAIL_MESSAGES 100000  /* in all, those kept for retries included */
#define LIMIT_MAIL_MESSAGES_PER_ADDRESS 6250   /* of these, from one address */
#define LIMIT_MAIL_BYTES (256LL * 1024 * 1024) /* of bodies, in all, on disk */
#define LIMIT_MAIL_MESSAGES_PER_NETWORK (LIMIT_MAIL_MESSAGES / 2)
#define LIMIT_MAIL_BYTES_PER_NETWORK (LIMIT_MAIL_BYTES / 2)
#define LIMIT_MAIL_DEFAULT_MESSAGES 100 /* in one reply */
#define LIMIT_MAIL_MAX_MESSAGES 1000
#define LIMIT_MESSAGE_TTL_MIN_S 1
#define LIMIT_MESSAGE_TTL_MAX_S 600
#define LIMIT_RETRY_MEMORY_S 60 /* at least so long a retried message gets the first answer */
#define LIMIT_UNDELIVERABLE_TTL_S 60

/* help with connecting */
#define LIMIT_TURN_TTL_S 3600 /* of a TURN credential */
#define LIMIT_TURN_SECRET_CHARS 256
#define LIMIT_TURN_FILE_BYTES 65536 /* of the file of TURN secrets */

#define LIMIT_STUN_RATE 20 /* answers a second to one stranger; the burst is twice that */

/* dial-backs of POST /check; the sentences of net/quota.c say the counts too */
#define LIMIT_CHECK_SOCKETS 64
#define LIMIT_CHECK_MS 8000         /* of one, in all */
#define LIMIT_CHECK_CONNECT_MS 5000 /* of it, for connecting */
#define LIMIT_CHECK_CONNECT_S 5
#define LIMIT_CHECK_GREETING_MS 2000 /* of it, for what the listener says first */
#define LIMIT_CHECK_DATAGRAMS 3
#define LIMIT_CHECK_DATAGRAM_EVERY_MS 500
#define LIMIT_CHECKS_A_MINUTE 120 /* of everyone */
#define LIMIT_CHECKS_OF_ADDRESS_A_MINUTE 20
#define LIMIT_CHECKS_OF_ADDRESS_AN_HOUR 60
#define LIMIT_CHECK_PORTS_AN_HOUR 8 /* of one address */

/* requests */
#define LIMIT_REQUEST_ID_CHARS 64
#define LIMIT_LOG_PATH_CHARS 128         /* of a request's path, in the log */
#define LIMIT_VARIABLE_CHARS 128         /* of an environment variable's name, in the log */
#define LIMIT_LOG_LINES_A_SECOND 20      /* of one kind that strangers can cause */
#define LIMIT_DAEMON_CONNECTIONS 256     /* of one daemon of libmicrohttpd */
#define LIMIT_CONNECTION_POOL_BYTES 5376 /* request line and headers of one request */
#define LIMIT_HEADER_BYTES 4096          /* of it for the request, so that its reply fits too */
#define LIMIT_BODY_BYTES (LIMIT_MESSAGE_BYTES + 4096)
#define LIMIT_DRAIN_BYTES                                                                          \
    (4 * 1024 * 1024)          /* of a refused body, read so that the reply is seen                \
                                */
#define LIMIT_LINK_CHARS 512   /* a longer link to the next page is left out */
#define LIMIT_POLICY_CHARS 384 /* of a page's policy: the head of its reply must fit too */
#define LIMIT_URL_CHARS 2048
#define LIMIT_ARGUMENTS 32 /* in a URL; their room in the pool is reckoned with */
/* of bodies that arrive and replies that are sent: past it the slowest go */
#define LIMIT_HELD_BYTES (16 * 1024 * 1024)
/* where so much of that is taken, a page is smaller */
#define LIMIT_SMALL_PAGES_FROM_BYTES (LIMIT_HELD_BYTES / 4)
#define LIMIT_SMALL_PAGE_BYTES (64 * 1024)
#define LIMIT_STATUS_PAGE_BYTES (256 * 1024) /* of rows as HTML: escaping takes long */
/* put together in one pass; further polls wait for the next one */
#define LIMIT_PASS_PAGES_BYTES (2 * 1024 * 1024)
/* a larger body is parsed only up to so many bytes in one pass: 64 KiB may take 7 ms */
#define LIMIT_SMALL_BODY_BYTES 2048
#define LIMIT_PASS_BODIES_BYTES (1024 * 1024)
#define LIMIT_SEND_BUFFER_BYTES (64 * 1024) /* of one connection, in the kernel */
#define LIMIT_REPLY_DEADLINE_MS 60000
#define LIMIT_TIMEOUT_MAX_S 600   /* the longest that the deadlines below may be set to */
#define LIMIT_IDLE_MS 75000       /* between two requests of one connection */
#define LIMIT_SHED_LISTS_MS 100   /* passes this long: whole lists are turned away, */
#define LIMIT_SHED_CHANGES_MS 200 /* then changes in them, */
#define LIMIT_SHED_MAIL_MS 300    /* then messages, */
#define LIMIT_SHED_LIFE_MS 400    /* and last what keeps a node registered */
#define LIMIT_SHED_RETRY_S 2
#define LIMIT_OPS_CONNECTIONS                                                                      \
    16                       /* for operations, besides all others; then the idle ones are cut */
#define LIMIT_OPS_PLACES 32  /* of those, with the ones that are being cut */
#define LIMIT_STOP_MS 3000   /* from SIGTERM to the last reply */
#define LIMIT_SOURCES 131072 /* addresses counted one by one */

/* defaults of options */
#define LIMIT_DEFAULT_HEADERS_TIMEOUT_S 10 /* from connecting to the end of the headers */
#define LIMIT_DEFAULT_BODY_TIMEOUT_S 20
#define LIMIT_DEFAULT_NODES 100000
#define LIMIT_DEFAULT_NODES_PER_NETWORK 50000
#define LIMIT_DEFAULT_NODES_PER_ADDRESS 256
#define LIMIT_DEFAULT_WAITERS 20000
#define LIMIT_DEFAULT_WAITERS_PER_ADDRESS 256
#define LIMIT_DEFAULT_CONNECTIONS 25000
#define LIMIT_DEFAULT_CONNECTIONS_PER_ADDRESS 512
#define LIMIT_DEFAULT_RATE 50                 /* requests a second; the burst is twice that */
#define LIMIT_DEFAULT_RATE_PER_CREDENTIAL 200 /* likewise, of one join key or node token */

#endif
