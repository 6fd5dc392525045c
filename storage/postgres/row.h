/* SPDX-License-Identifier: MIT */
/* row.h - what is derived from a message, as the columns of its rows; to put it and to put it anew */
#ifndef STORAGE_POSTGRES_ROW_H
#define STORAGE_POSTGRES_ROW_H

#include "storage/postgres/params.h"
#include "storage/storage.h"

/* The columns of `messages` that pg_row_add_derived() gives values for, in its order; all but the
 * last say what was derived. PG_DERIVED_VALUES: the same as values of the columns' types, which lists
 * are not in a parameter. */
#define PG_DERIVED_COLUMNS_BUT_VERSION                                                             \
	"message_id, in_reply_to, refs, date, subject, from_address, from_name, addresses,"        \
	" headers, text, html, parse_status, defects, text_is_derived, reply_text, security,"      \
	" auto_submitted, list_id, is_bounce, report, mailbox_tag"
#define PG_DERIVED_COLUMNS PG_DERIVED_COLUMNS_BUT_VERSION ", parser_version"
#define PG_DERIVED_VALUES_BUT_VERSION                                                              \
	"message_id, in_reply_to, refs::text[], date, subject, from_address, from_name,"           \
	" addresses, headers, text, html, parse_status, defects::text[], text_is_derived,"         \
	" reply_text, security, auto_submitted, list_id, is_bounce, report, mailbox_tag"
#define PG_DERIVED_VALUES PG_DERIVED_VALUES_BUT_VERSION ", parser_version"
/* Of the arrays that the values come in. */
#define PG_DERIVED_TYPES                                                                           \
	PG_TEXT_ARRAY, PG_TEXT_ARRAY, PG_TEXT_ARRAY,         /* message_id … refs */             \
		PG_TIMESTAMPTZ_ARRAY, PG_TEXT_ARRAY,         /* date, subject */                   \
		PG_TEXT_ARRAY, PG_TEXT_ARRAY,                /* from */                            \
		PG_JSONB_ARRAY, PG_JSONB_ARRAY,              /* addresses, headers */              \
		PG_TEXT_ARRAY, PG_TEXT_ARRAY,                /* text, html */                      \
		PG_TEXT_ARRAY, PG_TEXT_ARRAY,                /* parse_status, defects */           \
		PG_BOOL_ARRAY, PG_TEXT_ARRAY, PG_TEXT_ARRAY, /* text_is_derived … security */    \
		PG_TEXT_ARRAY, PG_TEXT_ARRAY, PG_BOOL_ARRAY, /* auto_submitted … is_bounce */    \
		PG_JSONB_ARRAY, PG_TEXT_ARRAY, PG_INT4_ARRAY /* report … parser_version */

/* The same for message_parts and pg_row_add_part(). */
#define PG_PART_COLUMNS                                                                            \
	"id, n, path, content_type, filename, disposition, content_id, charset, encoding, size,"   \
	" sha256, is_attachment, raw_offset, raw_length, inside"
#define PG_PART_TYPES                                                                              \
	PG_UUID_ARRAY, PG_INT4_ARRAY, PG_TEXT_ARRAY,          /* id, n, path */                    \
		PG_TEXT_ARRAY, PG_TEXT_ARRAY, PG_TEXT_ARRAY,  /* content_type … disposition */   \
		PG_TEXT_ARRAY, PG_TEXT_ARRAY, PG_TEXT_ARRAY,  /* content_id … encoding */        \
		PG_INT8_ARRAY, PG_BYTEA_ARRAY, PG_BOOL_ARRAY, /* size … is_attachment */         \
		PG_INT8_ARRAY, PG_INT8_ARRAY, PG_TEXT_ARRAY   /* raw_offset … inside */

enum { PG_DERIVED_COUNT = 22, PG_PART_COUNT = 15 };

/* A message as it goes to the server: bare, where that did not take the other. */
struct pg_row {
	const struct storage_message *message;
	const struct storage_message *derived; /* the same, or empty */
	struct storage_message nothing;
	struct mime_message *unparsed; /* of a bare one; its arena is for what has to be cleaned */
};

void pg_row_init(struct pg_row *row, const struct storage_message *m, bool bare);
void pg_row_deinit(struct pg_row *row);

/* `s`, or for a bare message what the server certainly takes. */
const char *pg_row_clean(const struct pg_row *row, const char *s);
/* Adds a list of them, and `more` behind it unless that is NULL. */
void pg_row_add_list(struct pg_params *p, const struct pg_row *row, const char *const *list,
	size_t count, const char *more);

void pg_row_add_derived(struct pg_params *p, const struct pg_row *row);
void pg_row_add_part(struct pg_params *p, const struct uuid *id, const struct mime_part *part);

#endif
