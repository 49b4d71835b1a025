/*
 * What is said to the two servers: to an index by nodes, to a PeerJS server by sockets. Both go by
 * number, and are called the same each time that the program runs, but for sockets: PeerJS server
 * may not have noticed yet that those of the run before are gone.
 */
#ifndef SIGNPOST_BENCH_WORDS_H
#define SIGNPOST_BENCH_WORDS_H

#include "link.h"

#define WORD_CHARS 128
#define TEXT_CHARS 2048

void word_node(char ret_id[WORD_CHARS], size_t number);
void word_token(char ret_token[WORD_CHARS], size_t number);

/* What a data channel offers, as JSON of some 700 bytes. */
const char *word_offer(void);

/* A string of a reply, by the name of its member. */
void word_member(char ret_value[WORD_CHARS], const char *body, const char *name);

/* Registers the node of a number; `ttl_s` of 0 leaves it to the index for how long. */
void node_register(struct link *link, size_t number, unsigned ttl_s);

/* Sockets that PeerJS server has let in, each under the name of its number. */
struct link *sockets_open(uint16_t port, size_t count, link_message_cb *on_message);
void socket_offer(struct link *link, size_t to);

/* A connection whose requests are answered one by one: send, then wait for the reply, which is
 * borrowed until the next one. */
struct link *asker_open(uint16_t port);
const char *asker_reply(void);

/* Returns when so many polls wait at the index. */
void asker_await_parked(struct link *asker, size_t count);

#endif
