/* What the load generator can be asked for, see load.c; `words` are the arguments of each. */
#ifndef SIGNPOST_BENCH_MODES_H
#define SIGNPOST_BENCH_MODES_H

void mode_watchers(char **words);
void mode_served(char **words);
void mode_messages(char **words);
void mode_relay(char **words);
void mode_trips(char **words);
void mode_nodes(char **words);
void mode_sockets(char **words);
void mode_beats(char **words);

#endif
