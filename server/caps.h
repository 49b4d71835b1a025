/* Caps that the system sets: each connection is a descriptor. */
#ifndef SIGNPOST_CAPS_H
#define SIGNPOST_CAPS_H

#include "options.h"

/* Takes as many descriptors as the system allows; where that is fewer, the caps follow. */
void caps_fit(struct options *options);

/* Says in the log what was lowered. */
void caps_announce(const struct options *asked, const struct options *got);

#endif
