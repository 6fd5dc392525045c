/* SPDX-License-Identifier: MIT */
/* utf8.h - text that every database and every JSON reader takes (RFC 3629) */
#ifndef LIB_UTF8_H
#define LIB_UTF8_H

#include "lib/arena.h"

#include <stdbool.h>

#define UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Length (1-4) of the well-formed sequence at `s`, or 0 when the bytes there are none: a stray
 * or cut sequence, an overlong form, a surrogate, beyond U+10FFFF. NUL is well-formed. */
size_t utf8_sequence(const char *s, size_t len);

/* True when all of it is well-formed and holds no NUL. */
bool utf8_is_clean(const char *s, size_t len);

/* A NUL-terminated copy in which each maximal bad sequence and each NUL is one U+FFFD, cut at a
 * character's edge to at most `max_bytes`. `*changed_r` (may be NULL) is set to true when any
 * byte was replaced or cut, and is left alone otherwise. */
char *utf8_clean(struct arena *arena, const char *s, size_t len, size_t max_bytes, bool *changed_r);

#endif
