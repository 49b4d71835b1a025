/* GET /: how the index is and who is here, as a page for people or as JSON. */
#ifndef SIGNPOST_HTTP_STATUS_H
#define SIGNPOST_HTTP_STATUS_H

#include "http/door.h"

void handle_status(struct request *request);

#endif
