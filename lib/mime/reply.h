/* SPDX-License-Identifier: MIT */
/* reply.h - the lines that mail programs put around what they quote, for reply.c alone
 *
 * Every answer looks at one line, or at a few below it, and none at more bytes than a stated number,
 * so that a text of any shape is read in linear time. Lines come trimmed (reply_trim()). */
#ifndef LIB_MIME_REPLY_H
#define LIB_MIME_REPLY_H

#include "lib/slice.h"

/* Without blanks around it, those of other scripts too. */
struct slice reply_trim(struct slice line);

/* The length of such a blank at the front of `s`, or 0. */
size_t reply_blank(struct slice s);
/* The prefix without regard to the case of ASCII letters. */
bool reply_begins(struct slice s, const char *prefix);
bool reply_ends(struct slice s, const char *suffix);
/* For lists of struct slice. */
/* clang-format off */
#define REPLY_WORD(s) { (s), sizeof(s) - 1 }
/* clang-format on */

/* The one of a list, closed by NULL, that `s` begins or ends with; NULL when there is none. */
const char *reply_begins_any(struct slice s, const char *const *prefixes);
const struct slice *reply_ends_any(struct slice s, const struct slice *suffixes);

/* "-----Original Message-----", "Begin forwarded message:", "reply above this line". */
bool reply_is_divider(struct slice line);
/* Five dashes or more on both sides of whatever it is, or what Lotus Notes has above a header. */
bool reply_is_dashed(struct slice line);

/* Of a header that is quoted without marks. */
enum reply_label {
	REPLY_NO_LABEL,
	REPLY_FROM,
	REPLY_TELLING, /* "Subject:", "Sent:" */
	REPLY_OTHER,   /* "To:", "Date:", which lists of other things have, too */
	REPLY_FORM,    /* "Phone:", which no header has */
};
enum reply_label reply_label(struct slice line);
/* Whether it is REPLY_FROM, which is known sooner. */
bool reply_is_from(struct slice line);

/* A line of nothing but "_", "-", "=" or "*". */
bool reply_is_ruler(struct slice line);
/* "Sent from my iPhone". */
bool reply_is_device_signature(struct slice line);

enum reply_attribution {
	REPLY_NO_ATTRIBUTION,
	REPLY_PERHAPS, /* "Alice wrote:" - when a quotation follows */
	REPLY_SURELY,  /* "On Fri, 7 Nov 2025 at 10:20, Alice <a@example.org> wrote:" */
};

/* One line that introduces a quotation, or several that were broken and are joined here again. */
enum reply_attribution reply_attribution(struct slice joined, bool broken);
/* Whether the line may be the first of such broken ones: surely, when it begins as they do. */
enum reply_attribution reply_begins_attribution(struct slice line);
/* Whether it may be the last: it ends with a colon, or with "wrote". */
bool reply_ends_attribution(struct slice line);
bool reply_ends_with_colon(struct slice line);

#endif
