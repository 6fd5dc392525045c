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

/* "-----Original Message-----", "Begin forwarded message:", "reply above this line". */
bool reply_is_divider(struct slice line);
/* Of a header that is quoted without marks: its "From:", or another of its lines. */
bool reply_is_from_label(struct slice line);
bool reply_is_label(struct slice line);
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
/* Whether the line may be the first of such broken ones. */
bool reply_begins_attribution(struct slice line);
/* Whether it may be the last. */
bool reply_ends_with_colon(struct slice line);

#endif
