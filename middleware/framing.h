/* SPDX-License-Identifier: MIT */
/* framing.h - requests whose length two programs could read differently
 *
 * h2o 2.2 takes a request with two different Content-Length fields, or one beside Transfer-Encoding,
 * folded header lines and lines that end in a bare LF. A proxy in front of it may read the same
 * bytes otherwise, and then the rest of one caller's request is the beginning of another's. Such a
 * request is refused and its connection closed (RFC 9112, sections 5.2, 6.3 and 11.2). */
#ifndef MIDDLEWARE_FRAMING_H
#define MIDDLEWARE_FRAMING_H

#include "lib/slice.h"

/* `head` is a request's line and header section, up to the empty line; names in any case. NULL when
 * there is one way to read it, else one sentence that says what is wrong. */
const char *framing_fault(struct slice head);

#endif
