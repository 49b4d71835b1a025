/* The version, here and nowhere else. */
#ifndef SIGNPOST_VERSION_H
#define SIGNPOST_VERSION_H

#define SIGNPOST_VERSION "0.1.0"

#endif
