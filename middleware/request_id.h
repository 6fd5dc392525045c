/* SPDX-License-Identifier: MIT */
/* request_id.h - the id that ties an answer to its log lines */
#ifndef MIDDLEWARE_REQUEST_ID_H
#define MIDDLEWARE_REQUEST_ID_H

#include "middleware/request.h"

/* 1 to 128 of [A-Za-z0-9._:-] */
bool request_id_is_sane(struct slice id);

/* Sets r->id and the answer's X-Request-ID. */
void request_id_assign(struct request *r);

#endif
