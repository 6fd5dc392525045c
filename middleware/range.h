/* SPDX-License-Identifier: MIT */
/* range.h - what a client has already, and which bytes it wants (RFC 9110, 13 and 14)
 *
 * Pure: text in, a decision out. */
#ifndef MIDDLEWARE_RANGE_H
#define MIDDLEWARE_RANGE_H

#include "lib/slice.h"

#include <stdint.h>

enum range {
	RANGE_WHOLE, /* nothing that we understand is asked for, or many ranges: all of it */
	RANGE_ONE,   /* these bytes: 206 */
	RANGE_NOT_SATISFIABLE /* 416 */
};

/* The value of a Range field, for `size` bytes; its base may be NULL. `*first_r` and `*length_r` are
 * set with RANGE_ONE only; the length is then at least 1. */
enum range range_parse(struct slice value, uint64_t size, uint64_t *first_r, uint64_t *length_r);

/* If-None-Match: is `etag` (strong, with its quotes) in the list? Weak tags count, "*" is any. */
bool etag_in_list(struct slice list, struct slice etag);

/* If-Range: may the Range field count? So it is without the field, and with the very same tag; a date
 * is none. */
bool range_is_allowed(struct slice if_range, struct slice etag);

#endif
